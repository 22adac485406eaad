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
    wakers: Mutex<Slab<Option<Waker>>>,
    /// Whoever drives the connection.
    driver: AtomicWaker,
}

impl Shared {
    fn wakers(&self) -> MutexGuard<'_, Slab<Option<Waker>>> {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cause(&self) -> Option<PullCause> {
        self.pulled.cause()
    }
}

impl Guards {
    /// Registers a stream.
    pub(crate) fn register(&self) -> StreamGuard {
        StreamGuard {
            key: self.shared.wakers().insert(None),
            shared: Arc::clone(&self.shared),
        }
    }

    /// Ends every stream registered now or later. The first cause stays; tells whether this was it.
    pub(crate) fn pull(&self, cause: PullCause) -> bool {
        let first = self.shared.pulled.set(cause);
        if first {
            let woken: Vec<Waker> = self
                .shared
                .wakers()
                .iter_mut()
                .filter_map(|(_, waker)| waker.take())
                .collect();
            woken.into_iter().for_each(Waker::wake);
            self.shared.driver.wake();
        }
        first
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
        self.shared.wakers().len()
    }
}

/// Held while a stream is open; ready once it must end.
#[derive(Debug)]
pub(crate) struct StreamGuard {
    shared: Arc<Shared>,
    key: usize,
}

impl StreamGuard {
    /// Ready with the cause once the guard is pulled. One task at a time may wait.
    pub(crate) fn poll_pulled(&self, context: &Context<'_>) -> Poll<PullCause> {
        if let Some(cause) = self.shared.cause() {
            return Poll::Ready(cause);
        }
        if let Some(slot) = self.shared.wakers().get_mut(self.key) {
            match slot {
                Some(waker) => waker.clone_from(context.waker()),
                None => *slot = Some(context.waker().clone()),
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
        self.shared.wakers().try_remove(self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

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
