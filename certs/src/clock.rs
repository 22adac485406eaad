//! The time, as an argument.
//!
//! Every check of a validity period takes its time from a [`Clock`], so that tests move time
//! instead of sleeping. This is the one place that reads the system clock.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rustls_pki_types::UnixTime;
use time::OffsetDateTime;
use time::format_description::well_known;

/// A source of the current time, in whole seconds since the Unix epoch.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The current time.
    fn now(&self) -> UnixTime;
}

/// The clock of the operating system.
///
/// A system clock set before 1970 reads as the epoch itself, at which no certificate is valid.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the system clock"
    )]
    fn now(&self) -> UnixTime {
        let since_epoch = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        UnixTime::since_unix_epoch(since_epoch)
    }
}

/// A clock that stands still until it is set.
#[derive(Debug)]
pub struct FixedClock(AtomicU64);

impl FixedClock {
    /// A clock that reads `now`.
    pub fn new(now: UnixTime) -> Self {
        Self(AtomicU64::new(now.as_secs()))
    }

    /// Moves the clock to `now`, forwards or backwards.
    pub fn set(&self, now: UnixTime) {
        self.0.store(now.as_secs(), Ordering::SeqCst);
    }

    /// Moves the clock forwards; fractions of a second are dropped.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_secs(), Ordering::SeqCst);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(self.0.load(Ordering::SeqCst)))
    }
}

/// Writes a time as RFC 3339 in UTC, `2026-11-21T09:30:00Z`.
///
/// A time past the year 9999 is written as its number of seconds since the epoch.
#[derive(Clone, Copy, Debug)]
pub struct Rfc3339(pub UnixTime);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.0.as_secs();
        let written = i64::try_from(secs)
            .ok()
            .and_then(|secs| OffsetDateTime::from_unix_timestamp(secs).ok())
            .and_then(|time| time.format(&well_known::Rfc3339).ok());
        match written {
            Some(written) => f.write_str(&written),
            None => write!(f, "{secs} s after 1970-01-01T00:00:00Z"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(secs))
    }

    #[test]
    fn fixed_clock_moves_only_when_told() {
        let clock = FixedClock::new(at(100));
        assert_eq!(clock.now(), at(100));
        clock.advance(Duration::from_millis(5_900));
        assert_eq!(clock.now(), at(105));
        clock.set(at(7));
        assert_eq!(clock.now(), at(7));
    }

    #[test]
    fn system_clock_reads_a_time_after_this_was_written() {
        assert!(SystemClock.now() > at(1_767_225_600));
    }

    #[test]
    fn writes_times_as_rfc_3339() {
        assert_eq!(Rfc3339(at(0)).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(
            Rfc3339(at(1_795_253_400)).to_string(),
            "2026-11-21T09:30:00Z"
        );
        assert!(Rfc3339(at(u64::MAX)).to_string().contains("s after 1970"));
    }
}
