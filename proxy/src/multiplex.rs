//! An HTTP/2 connection and all its streams as one task.
//!
//! hyper starts a task for every stream; run apart, streams that arrive in order reach the workload in any
//! order, and each wakes the connection on its own. Here the connection's task polls its streams itself, in
//! the order in which they came, and then writes what all of them had to say together: the frames of many
//! streams leave in one TLS record and one system call. Nothing waits for a timer or for the network.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::crew::{Crew, TakenIn, Tasks};

/// Bytes held back at most before they are written: some TLS records of the largest size.
const HELD_BYTES: usize = 64 * 1024;

/// A stream whose writes are held until the connection's task has run.
#[derive(Debug)]
pub(crate) struct Gathered<S>(Arc<Mutex<Gather<S>>>);

#[derive(Debug)]
struct Gather<S> {
    stream: S,
    held: Vec<u8>,
    written: usize,
    /// Whether written bytes may still wait inside the stream, as TLS records do.
    unflushed: bool,
    /// Who found no room. A socket remembers one waiting writer only, and that is whoever releases.
    blocked: Option<Waker>,
}

impl<S> Clone for Gathered<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> Gathered<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self(Arc::new(Mutex::new(Gather {
            stream,
            held: Vec::new(),
            written: 0,
            unflushed: false,
            blocked: None,
        })))
    }

    fn gather(&self) -> MutexGuard<'_, Gather<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Gather<S> {
    fn is_empty(&self) -> bool {
        self.held.is_empty() && !self.unflushed
    }
}

impl<S: AsyncWrite + Unpin> Gather<S> {
    /// Writes everything held, and wakes who waits for room.
    fn poll_release(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self
            .held
            .get(self.written..)
            .filter(|rest| !rest.is_empty())
        {
            match ready!(Pin::new(&mut self.stream).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
            self.unflushed = true;
        }
        self.held.clear();
        self.written = 0;
        if let Some(blocked) = self.blocked.take() {
            blocked.wake();
        }
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }

    /// Releases on behalf of hyper, whose task is told when there is room.
    fn poll_make_room(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let released = self.poll_release(context);
        if released.is_pending() {
            self.blocked = Some(context.waker().clone());
        }
        released
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.gather().stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathered<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut gather = self.gather();
        if gather.held.len() >= HELD_BYTES {
            ready!(gather.poll_make_room(context))?;
        }
        let room = HELD_BYTES.saturating_sub(gather.held.len());
        let taken = bytes.get(..room).unwrap_or(bytes);
        gather.held.extend_from_slice(taken);
        Poll::Ready(Ok(taken.len()))
    }

    /// Held bytes are one run already.
    fn is_write_vectored(&self) -> bool {
        false
    }

    /// Does nothing: the connection's task releases what is held after each turn.
    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut gather = self.gather();
        ready!(gather.poll_make_room(context))?;
        Pin::new(&mut gather.stream).poll_shutdown(context)
    }
}

/// What becomes of streams that are open when the connection's own future has ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtEnd {
    /// They end with it: a server's connection ends when its caller is gone.
    Drop,
    /// They finish: a client's ends when nobody will send on it any more.
    Finish,
}

/// Drives a connection, its streams and its writes.
pub(crate) struct Multiplexed<C, S> {
    connection: Pin<Box<C>>,
    ended: Option<hyper::Result<()>>,
    at_end: AtEnd,
    streams: Crew,
    io: Gathered<S>,
    /// Whether bytes have been held for one turn of the run queue.
    due: bool,
}

impl<C, S> Multiplexed<C, S> {
    /// `connection` was made with `streams` as its executor and with a clone of `io` under it.
    pub(crate) fn new(connection: C, streams: Tasks, io: Gathered<S>, at_end: AtEnd) -> Self {
        Self {
            connection: Box::pin(connection),
            ended: None,
            at_end,
            streams: Crew::new(streams),
            io,
            due: false,
        }
    }

    /// hyper's connection, to tell it to finish.
    pub(crate) fn connection(&mut self) -> Pin<&mut C> {
        self.connection.as_mut()
    }
}

impl<C, S> Multiplexed<C, S>
where
    C: Future<Output = hyper::Result<()>>,
    S: AsyncWrite + Unpin,
{
    /// One turn: streams, connection, and again while the connection starts new streams.
    fn turn(&mut self, context: &mut Context<'_>) {
        loop {
            self.streams.poll_running(context);
            if self.ended.is_none()
                && let Poll::Ready(ended) = self.connection.as_mut().poll(context)
            {
                self.ended = Some(ended);
            }
            if self.streams.take_new(context) == TakenIn::None {
                return;
            }
        }
    }

    fn is_over(&self) -> bool {
        match (&self.ended, self.at_end) {
            (None, _) => false,
            (Some(Err(_)), _) | (Some(Ok(())), AtEnd::Drop) => true,
            (Some(Ok(())), AtEnd::Finish) => self.streams.is_idle(),
        }
    }

    /// Writes what is held; the first time only asks for another turn, in which others may add to it.
    fn poll_release(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut gather = self.io.gather();
        if gather.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if !self.due {
            self.due = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let released = gather.poll_release(context);
        if released.is_ready() {
            self.due = false;
        }
        released
    }
}

impl<C, S> Future for Multiplexed<C, S>
where
    C: Future<Output = hyper::Result<()>>,
    S: AsyncWrite + Unpin,
{
    type Output = hyper::Result<()>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        let this = self.get_mut();
        this.turn(context);
        let released = this.poll_release(context);
        if this.is_over() && released.is_ready() {
            return Poll::Ready(this.ended.take().unwrap_or(Ok(())));
        }
        match released {
            // The transport is gone: so is the connection, whatever it waits for.
            Poll::Ready(Err(broken)) => {
                tracing::debug!(%broken, "connection broke");
                Poll::Ready(Ok(()))
            }
            _ => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A connection that is one task writing a lot, as h2's is.
    async fn written_through(total: usize) -> Vec<u8> {
        let (near, mut far) = tokio::io::duplex(1000);
        let io = Gathered::new(near);
        let tasks = Tasks::default();
        let mut writer = io.clone();
        tasks.add(async move {
            let bytes: Vec<u8> = (0..total).map(|n| (n % 251) as u8).collect();
            writer.write_all(&bytes).await.unwrap();
            writer.shutdown().await.unwrap();
        });
        let connection = async { Ok(()) };
        let driven = Multiplexed::new(connection, tasks, io, AtEnd::Finish);
        let mut received = Vec::new();
        let (ended, read) = tokio::join!(driven, far.read_to_end(&mut received));
        ended.unwrap();
        read.unwrap();
        received
    }

    #[tokio::test]
    async fn a_stream_that_found_no_room_is_woken_once_there_is() {
        let total = 5 * HELD_BYTES + 17;
        let received = written_through(total).await;
        assert_eq!(received.len(), total);
        assert!(
            received
                .iter()
                .enumerate()
                .all(|(n, byte)| *byte == (n % 251) as u8)
        );
    }

    #[tokio::test]
    async fn writes_of_one_turn_leave_together() {
        let (near, mut far) = tokio::io::duplex(64);
        let io = Gathered::new(near);
        let tasks = Tasks::default();
        for part in [b"one ", b"two "] {
            let mut writer = io.clone();
            tasks.add(async move { writer.write_all(part).await.unwrap() });
        }
        let connection = std::future::pending::<hyper::Result<()>>();
        let mut driven = Box::pin(Multiplexed::new(connection, tasks, io, AtEnd::Finish));
        let mut first = [0; 64];
        let read = tokio::select! {
            _ = &mut driven => unreachable!("the connection never ends"),
            read = far.read(&mut first) => read.unwrap(),
        };
        assert_eq!(&first[..read], b"one two ");
    }
}
