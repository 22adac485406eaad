//! Whether calls may be sent here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pqlane_certs::clock::Clock;

use crate::deny::DenyReason;
use crate::drain::{Drain, Phase};
use crate::record::Recorder;

/// What readiness depends on.
#[derive(Debug, Clone)]
pub(crate) struct Readiness {
    pub(crate) drain: Drain,
    pub(crate) recorder: Recorder,
    /// Last valid second of the own SVID that expires first; 0 before there is one.
    pub(crate) svid_not_after: Arc<AtomicU64>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Readiness {
    /// # Errors
    /// The reason for which calls would be refused now.
    pub(crate) fn check(&self) -> Result<(), DenyReason> {
        if self.drain.phase() != Phase::Running {
            return Err(DenyReason::Draining);
        }
        if self.clock.now().as_secs() > self.svid_not_after.load(Ordering::Acquire) {
            return Err(DenyReason::IdentityUnavailable);
        }
        self.recorder.admit()
    }
}
