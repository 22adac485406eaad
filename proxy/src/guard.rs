//! Permission to keep a stream open, as a value that can be pulled.
//!
//! A connection owns a [`Guards`]; each call on it registers first, is checked second, and holds a
//! [`StreamGuard`] while bytes flow. Pulling wakes every holder at once, and whoever registers after that is
//! told at once.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_util::task::AtomicWaker;
use slab::Slab;

use crate::remediation::{Cut, Open};

/// Why a stream must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum PullCause {
    /// The process stops and the drain deadline has passed.
    DrainDeadline = 1,
    /// The peer is no longer trusted, allowed, or has been denied.
    NoLongerAllowed = 2,
    /// An SVID under which the connection was made has expired, and nobody showed a later one.
    SvidExpired = 3,
}

impl PullCause {
    fn of(stored: u8) -> Option<Self> {
        [
            Self::DrainDeadline,
            Self::NoLongerAllowed,
            Self::SvidExpired,
        ]
        .into_iter()
        .find(|cause| *cause as u8 == stored)
    }

    /// One sentence for the caller.
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::DrainDeadline => "the lane is stopping",
            Self::NoLongerAllowed => "the stream was ended: the peer is no longer allowed",
            Self::SvidExpired => "the stream was ended: the SVID under it has expired",
        }
    }

    /// The stable label of a cut stream in records.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::DrainDeadline => "drain-deadline",
            Self::NoLongerAllowed => "no-longer-allowed",
            Self::SvidExpired => "svid-expired",
        }
    }
}

/// A [`PullCause`] that is set at most once; the first one stays.
#[derive(Debug, Default)]
pub(crate) struct Pulled(AtomicU8);

impl Pulled {
    /// The cause, once there is one.
    pub(crate) fn cause(&self) -> Option<PullCause> {
        PullCause::of(self.0.load(Ordering::Acquire))
    }

    /// Whether this was the first cause.
    pub(crate) fn set(&self, cause: PullCause) -> bool {
        self.0
            .compare_exchange(0, cause as u8, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

/// The streams of one connection that may be cut together.
#[derive(Debug, Default, Clone)]
pub(crate) struct Guards {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    pulled: Pulled,
    streams: Mutex<Slab<Registered>>,
    /// Whoever drives the connection.
    driver: AtomicWaker,
}

/// A stream that is open.
#[derive(Debug, Default)]
struct Registered {
    waker: Option<Waker>,
    /// Tells whoever had it cut that it has ended.
    cut: Option<Open>,
}

impl Shared {
    fn streams(&self) -> MutexGuard<'_, Slab<Registered>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cause(&self) -> Option<PullCause> {
        self.pulled.cause()
    }
}

impl Guards {
    /// Registers a stream.
    pub(crate) fn register(&self) -> StreamGuard {
        StreamGuard {
            key: self.shared.streams().insert(Registered::default()),
            shared: Arc::clone(&self.shared),
        }
    }

    /// Ends every stream registered now or later. The first cause stays; tells whether this was it.
    pub(crate) fn pull(&self, cause: PullCause) -> bool {
        let first = self.shared.pulled.set(cause);
        if first {
            self.wake(|_stream| {});
        }
        first
    }

    /// As [`Guards::pull`], counted and timed by whoever withdraws.
    pub(crate) fn cut(&self, cause: PullCause, cut: &Cut) -> bool {
        let first = self.shared.pulled.set(cause);
        if first {
            let streams = self.wake(|stream| stream.cut = Some(cut.hold()));
            cut.connection(streams);
        }
        first
    }

    /// Wakes every holder; gives how many there are.
    fn wake(&self, mut each: impl FnMut(&mut Registered)) -> usize {
        let mut streams = self.shared.streams();
        let mut woken: Vec<Waker> = Vec::with_capacity(streams.len());
        for (_, stream) in streams.iter_mut() {
            each(stream);
            woken.extend(stream.waker.take());
        }
        let open = streams.len();
        drop(streams);
        woken.into_iter().for_each(Waker::wake);
        self.shared.driver.wake();
        open
    }

    /// The cause, once they are pulled.
    pub(crate) fn cause(&self) -> Option<PullCause> {
        self.shared.cause()
    }

    /// Ready with the cause once the guards are pulled; for whoever drives the connection.
    pub(crate) fn poll_pulled(&self, context: &Context<'_>) -> Poll<PullCause> {
        self.shared.driver.register(context.waker());
        match self.shared.cause() {
            Some(cause) => Poll::Ready(cause),
            None => Poll::Pending,
        }
    }

    /// Streams that hold a guard now.
    pub(crate) fn len(&self) -> usize {
        self.shared.streams().len()
    }
}

/// Held while a stream is open; ready once it must end.
#[derive(Debug)]
pub(crate) struct StreamGuard {
    shared: Arc<Shared>,
    key: usize,
}

impl StreamGuard {
    /// The cause, once it is pulled.
    pub(crate) fn cause(&self) -> Option<PullCause> {
        self.shared.cause()
    }

    /// Ready with the cause once the guard is pulled. One task at a time may wait.
    pub(crate) fn poll_pulled(&self, context: &Context<'_>) -> Poll<PullCause> {
        if let Some(cause) = self.shared.cause() {
            return Poll::Ready(cause);
        }
        if let Some(stream) = self.shared.streams().get_mut(self.key) {
            match &mut stream.waker {
                Some(waker) => waker.clone_from(context.waker()),
                none => *none = Some(context.waker().clone()),
            }
        }
        // Pulled between the first look and the registration: the waker was not seen.
        match self.shared.cause() {
            Some(cause) => Poll::Ready(cause),
            None => Poll::Pending,
        }
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        self.shared.streams().try_remove(self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::remediation::{End, Remediation};

    async fn pulled(guard: &StreamGuard) -> PullCause {
        poll_fn(|context| guard.poll_pulled(context)).await
    }

    #[tokio::test]
    async fn pulling_wakes_every_holder_and_later_ones() {
        let guards = Guards::default();
        let held = guards.register();
        let waiting = crate::task::spawn(async move { pulled(&held).await });
        let other = guards.register();
        tokio::task::yield_now().await;
        guards.pull(PullCause::DrainDeadline);
        assert_eq!(waiting.await.unwrap(), PullCause::DrainDeadline);
        assert_eq!(pulled(&other).await, PullCause::DrainDeadline);
        assert_eq!(pulled(&guards.register()).await, PullCause::DrainDeadline);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cut_is_counted_once_and_over_with_its_last_stream() {
        let guards = Guards::default();
        let (first, second) = (guards.register(), guards.register());
        let remediation = Remediation::begin();
        assert!(guards.cut(PullCause::NoLongerAllowed, remediation.cut()));
        assert!(!guards.cut(PullCause::NoLongerAllowed, remediation.cut()));
        assert_eq!(pulled(&first).await, PullCause::NoLongerAllowed);
        drop(first);
        let ended = crate::task::spawn(remediation.ended());
        tokio::task::yield_now().await;
        assert!(!ended.is_finished());
        drop(second);
        let remedied = ended.await.unwrap();
        assert_eq!((remedied.connections, remedied.streams), (1, 2));
        assert_eq!(remedied.end, End::Streams);
    }

    #[test]
    fn a_dropped_guard_is_forgotten() {
        let guards = Guards::default();
        let first = guards.register();
        let second = guards.register();
        assert_eq!(guards.len(), 2);
        drop(first);
        drop(second);
        assert_eq!(guards.len(), 0);
    }
}
