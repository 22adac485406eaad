//! How long a lane connection may be used: as long as the SVIDs under which it was made.
//!
//! A connection takes nothing new shortly before the earlier of its two leaves expires. Streams that are open
//! then may go on while both SPIFFE IDs have proved, in some handshake, to hold an SVID that is still valid, and
//! not beyond a maximum age.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pqlane_certs::clock::Clock;
use pqlane_certs::spiffe_id::SpiffeId;
use tokio::time::Instant;

/// The longest that is slept before the clock is looked at again: it may be set, or have stood still.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// Entries above which the expired ones are looked for.
const PRUNE_ABOVE: usize = 1_024;

/// Until when each SPIFFE ID, our own among them, has proved to hold a valid SVID. Seconds since 1970.
#[derive(Debug, Default)]
pub(crate) struct Proofs {
    latest: Mutex<HashMap<SpiffeId, u64>>,
}

impl Proofs {
    /// Notes an SVID whose possession was proved.
    pub(crate) fn note(&self, id: &SpiffeId, not_after: u64, now: u64) {
        let mut latest = self.latest();
        if latest.len() >= PRUNE_ABOVE && latest.len().is_power_of_two() {
            latest.retain(|_, until| *until >= now);
        }
        let until = latest.entry(id.clone()).or_default();
        *until = not_after.max(*until);
    }

    fn until(&self, id: &SpiffeId) -> u64 {
        self.latest().get(id).copied().unwrap_or_default()
    }

    fn latest(&self) -> MutexGuard<'_, HashMap<SpiffeId, u64>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How much of its life a connection has behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Age {
    /// It takes calls.
    Fresh,
    /// It finishes what it carries, and asks for nothing new.
    Retiring,
    /// What it still carries must end.
    Over,
}

/// Which end of a connection retires it first: the client's, so that the server refuses nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retires {
    First,
    Second,
}

/// The life of one lane connection.
#[derive(Debug, Clone)]
pub(crate) struct Lifetime {
    local: SpiffeId,
    peer: SpiffeId,
    /// How long before a leaf expires the next one is needed, in seconds.
    margin: u64,
    /// Seconds since 1970, as are all below.
    retires_at: u64,
    not_after: u64,
    streams_until: u64,
    proofs: Arc<Proofs>,
    clock: Arc<dyn Clock>,
}

/// A leaf: whose it is and its last valid second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held<'a> {
    pub(crate) id: &'a SpiffeId,
    pub(crate) not_after: u64,
}

impl Lifetime {
    /// A connection that is made now. Streams may stay for `max_age` at most once a leaf has expired.
    pub(crate) fn new(
        local: Held<'_>,
        peer: Held<'_>,
        retires: Retires,
        max_age: Duration,
        proofs: Arc<Proofs>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let now = clock.now().as_secs();
        proofs.note(peer.id, peer.not_after, now);
        let not_after = local.not_after.min(peer.not_after);
        let left = not_after.saturating_sub(now);
        let margin = match retires {
            // At least a second, in which the next connection is made; but one that is made in the last second of a
            // leaf is used for it, or each call would make another.
            Retires::First => (left / 4).clamp(1, 60).min(left),
            Retires::Second => (left / 10).min(20),
        };
        Self {
            local: local.id.clone(),
            peer: peer.id.clone(),
            margin,
            retires_at: not_after.saturating_sub(margin),
            not_after,
            streams_until: now.saturating_add(max_age.as_secs()).max(not_after),
            proofs,
            clock,
        }
    }

    /// Whether a leaf under it has expired: it takes no new call, whatever its peer makes of that.
    pub(crate) fn has_expired(&self) -> bool {
        self.clock.now().as_secs() > self.not_after
    }

    /// Whether it should take no further call.
    pub(crate) fn is_retiring(&self) -> bool {
        self.clock.now().as_secs() > self.retires_at
    }

    /// Waits for an age later than `seen`.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn after(&self, seen: Age) -> Age {
        match seen {
            Age::Fresh => {
                self.sleep_past(self.retires_at).await;
                Age::Retiring
            }
            Age::Retiring => {
                let mut end = self.not_after;
                loop {
                    self.sleep_past(end).await;
                    end = self.extended();
                    if self.clock.now().as_secs() > end {
                        return Age::Over;
                    }
                }
            }
            Age::Over => std::future::pending().await,
        }
    }

    /// Waits until fresh proof is needed for what is still carried: shortly before the proof there is expires,
    /// and again every so often while there is none.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn until_proof_is_needed(&self, asked_before: Option<Instant>) {
        if let Some(asked) = asked_before {
            tokio::time::sleep_until(asked + Duration::from_secs((self.margin / 4).max(1))).await;
        }
        let needed_at = || {
            let end = self.extended().max(self.not_after);
            end.saturating_sub(self.margin)
        };
        while self.clock.now().as_secs() < needed_at() {
            self.sleep_past(needed_at().saturating_sub(1)).await;
        }
    }

    /// Until when both ends hold a valid SVID, as far as is proved.
    fn extended(&self) -> u64 {
        let own = self.proofs.until(&self.local);
        own.min(self.proofs.until(&self.peer))
            .min(self.streams_until)
    }

    async fn sleep_past(&self, second: u64) {
        loop {
            let now = self.clock.now().as_secs();
            if now > second {
                return;
            }
            let left = Duration::from_secs(second.saturating_sub(now).saturating_add(1));
            tokio::time::sleep(left.min(LONGEST_SLEEP)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use pqlane_certs::clock::FixedClock;
    use rustls::pki_types::UnixTime;

    use super::*;

    const START: u64 = 1_800_000_000;

    struct World {
        clock: Arc<FixedClock>,
        proofs: Arc<Proofs>,
        local: SpiffeId,
        peer: SpiffeId,
    }

    impl World {
        fn new() -> Self {
            let start = UnixTime::since_unix_epoch(Duration::from_secs(START));
            Self {
                clock: Arc::new(FixedClock::new(start)),
                proofs: Arc::default(),
                local: "spiffe://example.org/here".parse().unwrap(),
                peer: "spiffe://example.org/there".parse().unwrap(),
            }
        }

        fn lifetime(&self, local: u64, peer: u64, max_age: u64) -> Lifetime {
            self.proofs.note(&self.local, START + local, START);
            let held = |id, seconds| Held {
                id,
                not_after: START + seconds,
            };
            Lifetime::new(
                held(&self.local, local),
                held(&self.peer, peer),
                Retires::Second,
                Duration::from_secs(max_age),
                Arc::clone(&self.proofs),
                Arc::clone(&self.clock) as Arc<dyn Clock>,
            )
        }

        /// The second, after the start, at which the lifetime reaches its next age; time moves with the runtime's.
        async fn reaches(&self, lifetime: &Lifetime, seen: Age) -> (u64, Age) {
            let mut next = std::pin::pin!(lifetime.after(seen));
            loop {
                tokio::select! {
                    biased;
                    age = &mut next => return (self.clock.now().as_secs() - START, age),
                    () = tokio::time::sleep(Duration::from_millis(999)) => self.clock.advance(Duration::from_secs(1)),
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_retires_before_the_earlier_leaf_and_ends_with_it() {
        let world = World::new();
        let lifetime = world.lifetime(1_000, 100, 5_000);
        let (at, age) = world.reaches(&lifetime, Age::Fresh).await;
        assert_eq!(age, Age::Retiring);
        assert!((90..=95).contains(&at), "{at}");
        let (at, age) = world.reaches(&lifetime, Age::Retiring).await;
        assert_eq!(age, Age::Over);
        assert!((101..=104).contains(&at), "{at}");
        assert!(lifetime.has_expired());
    }

    #[tokio::test(start_paused = true)]
    async fn streams_stay_while_a_later_svid_is_proved_and_no_longer() {
        let world = World::new();
        let lifetime = world.lifetime(1_000, 100, 5_000);
        world.proofs.note(&world.peer, START + 300, START);
        let (at, age) = world.reaches(&lifetime, Age::Retiring).await;
        assert_eq!(age, Age::Over);
        assert!((301..=310).contains(&at), "{at}");
    }

    #[tokio::test(start_paused = true)]
    async fn streams_end_at_their_maximum_age_and_when_our_own_svid_is_gone() {
        let world = World::new();
        let lifetime = world.lifetime(2_000, 100, 200);
        world.proofs.note(&world.peer, START + 9_000, START);
        let (at, _) = world.reaches(&lifetime, Age::Retiring).await;
        assert!((201..=210).contains(&at), "{at}");

        let world = World::new();
        let lifetime = world.lifetime(100, 9_000, 5_000);
        let (at, _) = world.reaches(&lifetime, Age::Retiring).await;
        assert!((101..=104).contains(&at), "{at}");
    }
}
