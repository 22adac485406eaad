//! Our clock, as rustls takes it.

use std::sync::Arc;

use pqlane_certs::clock::Clock;
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

/// A clock as rustls takes it.
#[derive(Debug)]
pub(super) struct TimeOf(pub(super) Arc<dyn Clock>);

impl TimeProvider for TimeOf {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.0.now())
    }
}
