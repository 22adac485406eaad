//! The deadline for reading a request's head on an HTTP/1 connection.
//!
//! hyper starts its timer when the last answer ends, so that a deadline for heads would also cut connections
//! that merely wait for their next request. This one tells the two apart by whether bytes have come, and sets
//! no timer for each request: the connection's task looks at it now and then.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use tokio::io::{AsyncRead, ReadBuf};

use crate::transport::write_through;

/// The clock of one connection.
#[derive(Debug, Clone)]
pub(crate) struct HeadClock(Arc<Clock>);

#[derive(Debug)]
struct Clock {
    /// Longest time from a head's first byte to its last.
    head: Duration,
    /// Longest time without a byte between two requests.
    idle: Duration,
    /// Reads that brought bytes.
    reads: AtomicU64,
    stage: Mutex<Stage>,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    /// A request is being answered.
    Answering,
    /// A head has begun; since when is noted at the first look.
    Head { since: Option<Instant> },
    /// Nothing came for too long.
    Idle,
    /// A head took too long.
    Over,
    /// Nothing has come since the last answer; since when is noted at the first look.
    Waiting { since: Option<Instant>, reads: u64 },
}

impl HeadClock {
    pub(crate) fn new(head: Duration, idle: Duration) -> Self {
        Self(Arc::new(Clock {
            head,
            idle,
            reads: AtomicU64::new(0),
            stage: Mutex::new(Stage::Answering),
        }))
    }

    /// Counts a stream's reads.
    pub(crate) fn watch<S>(&self, stream: S) -> Watched<S> {
        Watched {
            stream,
            clock: Arc::clone(&self.0),
        }
    }

    /// How often to look; a deadline is met at most twice this much late.
    pub(crate) fn look_every(&self) -> Duration {
        self.0.head / 4
    }

    /// Finds out whether time is up. The connection has to be polled after.
    pub(crate) fn look(&self) {
        let now = Instant::now();
        let mut stage = self.0.stage();
        let passed = |since: Option<Instant>, limit| {
            since.is_some_and(|since| now.saturating_duration_since(since) >= limit)
        };
        *stage = match self.0.begun(*stage) {
            Stage::Head { since } if passed(since, self.0.head) => Stage::Over,
            Stage::Head { since } => Stage::Head {
                since: since.or(Some(now)),
            },
            Stage::Waiting { since, .. } if passed(since, self.0.idle) => Stage::Idle,
            Stage::Waiting { since, reads } => Stage::Waiting {
                since: since.or(Some(now)),
                reads,
            },
            stage => stage,
        };
    }

    /// Whether a head was cut for taking too long.
    pub(crate) fn cut_a_head(&self) -> bool {
        matches!(*self.0.stage(), Stage::Over)
    }
}

impl Clock {
    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stage, or the head that has begun in it.
    fn begun(&self, stage: Stage) -> Stage {
        match stage {
            Stage::Waiting { reads, .. } if self.reads.load(Ordering::Relaxed) != reads => {
                Stage::Head { since: None }
            }
            stage => stage,
        }
    }
}

impl Timer for HeadClock {
    fn sleep(&self, _duration: Duration) -> Pin<Box<dyn Sleep>> {
        *self.0.stage() = Stage::Waiting {
            since: None,
            reads: self.0.reads.load(Ordering::Relaxed),
        };
        Box::pin(HeadSleep(Arc::clone(&self.0)))
    }

    fn sleep_until(&self, _deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(self.0.head)
    }
}

/// What hyper polls while it waits for a head. It wakes nobody: see [`HeadClock::look`].
struct HeadSleep(Arc<Clock>);

impl Sleep for HeadSleep {}

impl Future for HeadSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<()> {
        let mut stage = self.0.stage();
        *stage = self.0.begun(*stage);
        match *stage {
            Stage::Idle | Stage::Over => Poll::Ready(()),
            Stage::Answering | Stage::Head { .. } | Stage::Waiting { .. } => Poll::Pending,
        }
    }
}

impl Drop for HeadSleep {
    fn drop(&mut self) {
        let mut stage = self.0.stage();
        if !matches!(*stage, Stage::Idle | Stage::Over) {
            *stage = Stage::Answering;
        }
    }
}

/// A stream that counts the reads that brought bytes.
#[derive(Debug)]
pub(crate) struct Watched<S> {
    stream: S,
    clock: Arc<Clock>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            this.clock.reads.fetch_add(1, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

write_through!(Watched<S> => stream);

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn is_over(sleep: &mut Pin<Box<dyn Sleep>>) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        sleep.as_mut().poll(&mut context).is_ready()
    }

    #[tokio::test]
    async fn a_head_has_a_deadline_and_waiting_for_one_another() {
        let clock = HeadClock::new(Duration::ZERO, Duration::from_secs(3600));
        let (mut peer, stream) = tokio::io::duplex(64);
        let mut stream = clock.watch(stream);
        let mut sleep = clock.sleep(Duration::ZERO);
        clock.look();
        assert!(!is_over(&mut sleep), "nothing has come: only waiting");
        peer.write_all(b"POST").await.unwrap();
        stream.read_buf(&mut Vec::with_capacity(4)).await.unwrap();
        assert!(!is_over(&mut sleep), "a head has begun, nobody has looked");
        clock.look();
        clock.look();
        assert!(is_over(&mut sleep));
        assert!(clock.cut_a_head());
    }

    #[test]
    fn waiting_too_long_ends_it_too() {
        let clock = HeadClock::new(Duration::from_secs(3600), Duration::ZERO);
        let mut sleep = clock.sleep(Duration::ZERO);
        clock.look();
        clock.look();
        assert!(is_over(&mut sleep));
        assert!(!clock.cut_a_head());
    }

    #[test]
    fn a_request_that_is_being_answered_has_no_deadline() {
        let clock = HeadClock::new(Duration::ZERO, Duration::ZERO);
        drop(clock.sleep(Duration::ZERO));
        clock.look();
        assert!(!is_over(&mut clock.sleep(Duration::ZERO)));
    }
}
