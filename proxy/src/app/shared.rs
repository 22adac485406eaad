//! What lasts as long as the process, whatever configuration and identity become.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use pqlane_certs::bundle::TrustBundles;
use pqlane_certs::clock::Clock;
use pqlane_certs::revocation::{Denials, DenyEntry, DenyList};
use pqlane_certs::spiffe_id::SpiffeId;
use pqlane_certs::svid::X509Svid;
use pqlane_certs::verifier::ChainCache;
use tokio::sync::Semaphore;

use super::BuildError;
use super::revoke::Revoker;
use crate::admin::{Admin, AdminToken};
use crate::config::Config;
use crate::drain::Drain;
use crate::gather::Room;
use crate::headers::UpstreamName;
use crate::lane::{Direction, LaneLog};
use crate::lifetime::Proofs;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::pool::{Address, Upstream};
use crate::ratchet::Ratchet;
use crate::readiness::Readiness;
use crate::record::Recorder;
use crate::refusals::Refusals;
use crate::remediation::Cut;
use crate::revocations::{Denied, Revocations};
use crate::seal::Keyring;
use crate::session::Sessions;
use crate::tls::Tickets;

/// Name of the file in the state directory that holds who has shown hybrid key exchange.
pub(crate) const RATCHET_FILE: &str = "ratchet.jsonl";

/// Name of the file in the state directory that holds who was revoked by a call.
const REVOCATIONS_FILE: &str = "revocations.jsonl";

/// Counts what changes the rules by which peers are judged.
#[derive(Debug)]
pub(super) struct Epochs(AtomicU64);

impl Epochs {
    /// The first epoch of rules; every change takes effect with a later one.
    pub(super) const FIRST: u64 = 1;

    /// A later epoch than all before.
    pub(super) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::AcqRel) + 1
    }
}

impl Default for Epochs {
    fn default() -> Self {
        Self(AtomicU64::new(Self::FIRST))
    }
}

/// What all listeners share.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) handshakes_in: Arc<Semaphore>,
    /// Apart from the others, so that strangers who stall theirs do not hold up ours.
    pub(super) handshakes_out: Arc<Semaphore>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) proofs: Arc<Proofs>,
    pub(super) chains: Arc<ChainCache>,
    pub(super) ratchet: Arc<Ratchet>,
    pub(super) epochs: Arc<Epochs>,
    pub(super) revocations: Arc<Revocations>,
    pub(super) tickets: Arc<Tickets>,
    /// What calls to the admin listener must bear if they change something.
    admin_token: Option<Arc<AdminToken>>,
    pub(super) refusals: Arc<Refusals>,
    pub(super) recorder: Recorder,
    /// Seals where no file with keys is configured and there is no state directory.
    pub(super) passing_keyring: Arc<Keyring>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) room: Room,
    pub(super) pools: Arc<Pools>,
    /// Last valid second of the own SVID that expires first; 0 before there is one.
    pub(super) svid_not_after: Arc<AtomicU64>,
}

impl Shared {
    pub(super) fn start(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, BuildError> {
        let limits = &config.limits;
        let metrics = Arc::new(Metrics::default());
        let state = |name| config.state_dir.as_ref().map(|dir| dir.join(name));
        let ratchet = Ratchet::open(
            state(RATCHET_FILE).as_deref(),
            config.ratchet,
            Arc::clone(&clock),
            limits.ratchet_ids,
        )?;
        let revocations = Revocations::open(
            state(REVOCATIONS_FILE).as_deref(),
            Arc::clone(&clock),
            limits.revocations,
        )?;
        let token_file = config.admin.as_ref().and_then(|it| it.token_file.as_ref());
        let admin_token = token_file.map(|path| AdminToken::read(path)).transpose()?;
        Ok(Self {
            recorder: Recorder::start(
                &config.audit,
                config.on_audit_failure,
                limits.audit_queue_records,
                Arc::clone(&metrics),
            )?,
            passing_keyring: Arc::new(Keyring::random()?),
            handshakes_in: Arc::new(Semaphore::new(limits.handshakes_in_flight)),
            handshakes_out: Arc::new(Semaphore::new(limits.handshakes_in_flight)),
            sessions: Arc::new(Sessions::new(limits)),
            proofs: Arc::default(),
            chains: Arc::new(ChainCache::new(limits.verified_chains)),
            ratchet: Arc::new(ratchet),
            epochs: Arc::default(),
            revocations: Arc::new(revocations),
            tickets: Arc::default(),
            admin_token: admin_token.map(Arc::new),
            refusals: Arc::new(Refusals::new(limits.refusal_sources, Arc::clone(&clock))),
            metrics,
            room: Room::new(limits.calls_bytes),
            pools: Arc::default(),
            svid_not_after: Arc::default(),
            clock,
        })
    }

    pub(super) fn lane_log(
        &self,
        direction: Direction,
        name: String,
        local: &X509Svid,
        epoch: u64,
    ) -> LaneLog {
        LaneLog {
            direction,
            name: name.into(),
            local: local.id().clone(),
            leaf: local.leaf().thumbprint(),
            epoch,
            recorder: self.recorder.clone(),
            metrics: Arc::clone(&self.metrics),
            sessions: Arc::clone(&self.sessions),
            revocations: Arc::clone(&self.revocations),
        }
    }

    /// Who is denied, by a list and by what calls add at any time.
    pub(super) fn denied(&self, listed: &Arc<DenyList>) -> Arc<dyn Denials> {
        Arc::new(Denied {
            listed: Arc::clone(listed),
            revoked: Arc::clone(&self.revocations),
        })
    }

    pub(super) fn admin(&self, limits: &Limits, drain: Drain) -> Admin {
        Admin {
            readiness: Readiness {
                drain,
                recorder: self.recorder.clone(),
                svid_not_after: Arc::clone(&self.svid_not_after),
                clock: Arc::clone(&self.clock),
            },
            metrics: Arc::clone(&self.metrics),
            ratchet: Arc::clone(&self.ratchet),
            refusals: Arc::clone(&self.refusals),
            revoker: Arc::new(Revoker::new(self)),
            token: self.admin_token.clone(),
            limits: limits.clone(),
        }
    }

    /// Notes which own SVIDs are in use, by ID and last valid second.
    pub(super) fn own_svids(&self, svids: &[(SpiffeId, u64)]) {
        let now = self.clock.now().as_secs();
        for (id, not_after) in svids {
            self.proofs.note(id, *not_after, now);
        }
        let first = svids.iter().map(|(_, not_after)| *not_after).min();
        let first = first.unwrap_or_default();
        self.svid_not_after.store(first, Ordering::Release);
        self.metrics
            .svid_expiry
            .set(i64::try_from(first).unwrap_or(i64::MAX));
    }
}

/// What makes an upstream another one. What a lane connection must be made with is not part of it: that may change
/// under an upstream, and its connections with it (see `LaneKey`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PoolKey {
    pub(super) listener: String,
    /// Which of the listener's agents calls it; 0 for the workload.
    pub(super) agent: usize,
    /// In whose name it is called; nobody's for the workload.
    pub(super) local: Option<SpiffeId>,
    pub(super) label: String,
    pub(super) name: UpstreamName,
    pub(super) address: Address,
}

/// The upstreams in use, and those that only finish.
#[derive(Debug, Default)]
pub(super) struct Pools {
    used: Mutex<Vec<(PoolKey, Arc<Upstream>)>>,
    /// Gone from configuration; they last as long as their connections.
    finishing: Mutex<Vec<Weak<Upstream>>>,
}

impl Pools {
    pub(super) fn find(&self, key: &PoolKey) -> Option<Arc<Upstream>> {
        lock(&self.used)
            .iter()
            .find_map(|(known, upstream)| (known == key).then(|| Arc::clone(upstream)))
    }

    /// Keeps these; the others carry what they have to its end.
    pub(super) fn keep(&self, used: Vec<(PoolKey, Arc<Upstream>)>) {
        let is_used =
            |upstream: &Arc<Upstream>| used.iter().any(|(_, kept)| Arc::ptr_eq(kept, upstream));
        let mut gone = std::mem::take(&mut *lock(&self.used));
        gone.retain(|(_, upstream)| !is_used(upstream));
        *lock(&self.used) = used;
        for (_, upstream) in gone {
            upstream.close();
            lock(&self.finishing).push(Arc::downgrade(&upstream));
        }
    }

    /// Judges the connections of all by the rules of now.
    pub(super) fn judge_again(&self) {
        for (_, upstream) in lock(&self.used).iter() {
            upstream.judge_again();
        }
    }

    /// Judges the connections of those that only finish by whom we trust and deny now.
    pub(super) fn judge_finishing(&self, bundles: &Arc<TrustBundles>, denied: &Arc<dyn Denials>) {
        for upstream in self.finishing() {
            upstream.judge_under(bundles, denied);
        }
    }

    /// Cuts the connections of all to the peers that an entry of a deny-list names.
    pub(super) fn cut_off(&self, entry: &DenyEntry, cut: &Cut) {
        let used: Vec<_> = lock(&self.used)
            .iter()
            .map(|(_, upstream)| Arc::clone(upstream))
            .collect();
        for upstream in used.into_iter().chain(self.finishing()) {
            upstream.cut_off(entry, cut);
        }
    }

    fn finishing(&self) -> Vec<Arc<Upstream>> {
        let mut finishing = lock(&self.finishing);
        finishing.retain(|upstream| upstream.strong_count() > 0);
        finishing.iter().filter_map(Weak::upgrade).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
