//! A value that is replaced while it is in use: configuration and identity change, connections stay.
//!
//! Whoever asks gets the value of now and may keep it; nobody waits, and nobody sees half of a change.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

/// The current value of something that can be replaced whole.
#[derive(Debug)]
pub(crate) struct Live<T>(ArcSwap<T>);

impl<T> Live<T> {
    pub(crate) fn new(value: Arc<T>) -> Self {
        Self(ArcSwap::new(value))
    }

    /// The value now, for a short look.
    pub(crate) fn now(&self) -> Guard<Arc<T>> {
        self.0.load()
    }

    /// The value now, to be kept.
    pub(crate) fn keep(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// Replaces it; later looks see the new value.
    pub(crate) fn publish(&self, value: Arc<T>) {
        self.0.store(value);
    }
}
