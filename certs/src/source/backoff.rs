//! How long to wait before trying again.

use std::time::Duration;

use aws_lc_rs::rand;

/// The shortest wait, which is also the first.
const SHORTEST: Duration = Duration::from_millis(200);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(5);
/// How much longer than the last a wait can be.
const GROWTH: u32 = 3;

/// Waits between 0.2 s and 5 s: each is drawn at random up to three times the last one, so that many clients
/// of one endpoint do not come back together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backoff {
    last: Duration,
}

impl Backoff {
    /// The next wait.
    pub(super) fn next(&mut self) -> Duration {
        let longest = (self.last * GROWTH).clamp(SHORTEST, LONGEST);
        self.last = SHORTEST + (longest - SHORTEST).mul_f64(fraction());
        self.last
    }

    /// Begins with the shortest wait again.
    pub(super) fn reset(&mut self) {
        self.last = Duration::ZERO;
    }
}

/// A random number from 0 to 1; 1 if there is no randomness to be had.
fn fraction() -> f64 {
    let mut random = [0; 4];
    match rand::fill(&mut random) {
        Ok(()) => f64::from(u32::from_be_bytes(random)) / f64::from(u32::MAX),
        Err(_unspecified) => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_stay_within_their_bounds_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.next(), SHORTEST);
        let waits: Vec<Duration> = (0..100).map(|_| backoff.next()).collect();
        assert!(waits.iter().all(|wait| (SHORTEST..=LONGEST).contains(wait)));
        assert!(
            waits.iter().any(|wait| *wait > SHORTEST * GROWTH),
            "{waits:?}"
        );
        backoff.reset();
        assert_eq!(backoff.next(), SHORTEST);
    }
}
