//! Whether calls may be sent here.

use std::sync::Arc;

use pqlane_certs::clock::Clock;
use rustls::pki_types::UnixTime;

use crate::deny::DenyReason;
use crate::drain::{Drain, Phase};
use crate::record::Recorder;

/// What readiness depends on.
#[derive(Debug, Clone)]
pub(crate) struct Readiness {
    pub(crate) drain: Drain,
    pub(crate) recorder: Recorder,
    pub(crate) svid_not_after: UnixTime,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Readiness {
    /// # Errors
    /// The reason for which calls would be refused now.
    pub(crate) fn check(&self) -> Result<(), DenyReason> {
        if self.drain.phase() != Phase::Running {
            return Err(DenyReason::Draining);
        }
        if self.clock.now().as_secs() > self.svid_not_after.as_secs() {
            return Err(DenyReason::SvidExpired);
        }
        self.recorder.admit()
    }
}
