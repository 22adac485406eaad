//! One authenticated connection, and the calls on it.
//!
//! Takes what TLS established; gives each call a slot, a number and the guard that can cut it, and keeps what
//! is the same for all calls of the connection: the workload's header about the peer, the record's members.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};

use arc_swap::ArcSwapOption;
use http::HeaderValue;
use pqlane_certs::revocation::DenyEntry;
use pqlane_certs::spiffe_id::SpiffeId;
use slab::Slab;

use crate::deny::DenyReason;
use crate::gather::Room;
use crate::guard::{Guards, PullCause, StreamGuard};
use crate::lane::LaneLog;
use crate::lifetime::Lifetime;
use crate::limits::Limits;
use crate::remediation::{Cut, Remediation};
use crate::tls::{LanePeer, TlsSide};

/// The connections of one process, and what each peer holds.
#[derive(Debug)]
pub(crate) struct Sessions {
    limits: Limits,
    /// Set apart from other processes' ids by a random beginning.
    next_id: AtomicU64,
    live: Mutex<Live>,
    /// The change of rules that takes effect now, if one does.
    change: ArcSwapOption<Cut>,
    peers: Mutex<HashMap<SpiffeId, Arc<PeerLoad>>>,
}

/// The connections that are open now.
#[derive(Debug, Default)]
struct Live {
    all: Slab<Weak<Session>>,
    by_peer: HashMap<SpiffeId, HashSet<usize>>,
}

impl Live {
    fn forget(&mut self, key: usize, peer: Option<&SpiffeId>) {
        self.all.try_remove(key);
        if let Some(peer) = peer
            && let Some(keys) = self.by_peer.get_mut(peer)
        {
            keys.remove(&key);
            if keys.is_empty() {
                self.by_peer.remove(peer);
            }
        }
    }
}

/// What one SPIFFE ID holds now.
#[derive(Debug)]
struct PeerLoad {
    connections: AtomicUsize,
    calls: AtomicUsize,
    /// What the bodies of its calls hold.
    room: Room,
}

impl PeerLoad {
    /// One peer may hold a quarter of what all may.
    fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            connections: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
            room: Room::new(limits.calls_bytes / 4),
        })
    }
}

impl Sessions {
    pub(crate) fn new(limits: &Limits) -> Self {
        // Keys of `RandomState` come from the system's random source: unique enough for names.
        let random = RandomState::new().build_hasher().finish();
        Self {
            limits: limits.clone(),
            next_id: AtomicU64::new(random & !0xFFFF_FFFF),
            live: Mutex::default(),
            change: ArcSwapOption::empty(),
            peers: Mutex::default(),
        }
    }

    /// Names a connection.
    pub(crate) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Registers a peer's connection.
    ///
    /// # Errors
    /// [`DenyReason::TooMany`] when the peer holds as many as one may.
    pub(crate) fn open_peer(
        self: &Arc<Self>,
        id: u64,
        peer: PeerSide,
        members: String,
    ) -> Result<Arc<Session>, DenyReason> {
        let place = self.place(peer.lane.identity.spiffe_id())?;
        Ok(self.open(id, Some((peer, place)), members))
    }

    /// Registers a connection of the local workload.
    pub(crate) fn open_local(self: &Arc<Self>, id: u64, members: String) -> Arc<Session> {
        self.open(id, None, members)
    }

    /// Ends every call there is, and every one to come.
    pub(crate) fn pull_all(&self, cause: PullCause) {
        for session in self.all() {
            session.pull(cause);
        }
    }

    /// Lets a change of rules take effect: whoever they are that fail by them meanwhile, it counts and times their
    /// end. One change at a time.
    pub(crate) fn during<T>(&self, change: &Remediation, take_effect: impl FnOnce() -> T) -> T {
        self.change.store(Some(Arc::new(change.cut().clone())));
        let effect = take_effect();
        self.change.store(None);
        effect
    }

    /// What counts those who fail by the rules of now.
    pub(crate) fn change(&self) -> Option<Arc<Cut>> {
        self.change.load_full()
    }

    /// The connections that are open now.
    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        lock(&self.live)
            .all
            .iter()
            .filter_map(|(_, session)| session.upgrade())
            .collect()
    }

    /// The connections, open now, of the peers that an entry of a deny-list names.
    pub(crate) fn named_by(&self, entry: &DenyEntry) -> Vec<Arc<Session>> {
        let mut named = match entry {
            DenyEntry::Id(id) => {
                let live = lock(&self.live);
                let keys = live.by_peer.get(id).into_iter().flatten();
                keys.filter_map(|key| live.all.get(*key)?.upgrade())
                    .collect()
            }
            DenyEntry::Serial { .. } | DenyEntry::TrustDomain(_) => self.all(),
        };
        // Afterwards, since a session that is dropped here takes the lock.
        named.retain(|session: &Arc<Session>| {
            let peer = session.peer();
            peer.is_some_and(|peer| entry.names(&peer.lane.identity))
        });
        named
    }

    fn open(
        self: &Arc<Self>,
        id: u64,
        peer: Option<(PeerSide, PeerPlace)>,
        members: String,
    ) -> Arc<Session> {
        let (peer, place) = peer.unzip();
        let mut live = lock(&self.live);
        let key = live.all.vacant_key();
        let session = Arc::new(Session {
            id,
            key,
            sessions: Arc::clone(self),
            guards: Guards::default(),
            judged: AtomicU64::new(peer.as_ref().map_or(0, |peer| peer.epoch)),
            peer,
            load: place.as_ref().map_or_else(
                || PeerLoad::new(&self.limits),
                |place| Arc::clone(&place.load),
            ),
            reading: Arc::default(),
            _place: place,
            members,
            calls: AtomicU64::new(0),
        });
        live.all.insert(Arc::downgrade(&session));
        if let Some(peer) = session.peer() {
            let keys = live.by_peer.entry(peer.lane.spiffe_id().clone());
            keys.or_default().insert(key);
        }
        session
    }

    /// A place among the connections of one SPIFFE ID.
    fn place(self: &Arc<Self>, peer: &SpiffeId) -> Result<PeerPlace, DenyReason> {
        let mut peers = lock(&self.peers);
        let load = peers
            .entry(peer.clone())
            .or_insert_with(|| PeerLoad::new(&self.limits));
        let load = Arc::clone(load);
        if load.connections.load(Ordering::Relaxed) >= self.limits.connections_per_peer {
            return Err(DenyReason::TooMany);
        }
        load.connections.fetch_add(1, Ordering::Relaxed);
        Ok(PeerPlace {
            sessions: Arc::clone(self),
            peer: peer.clone(),
            load,
        })
    }
}

/// A connection's place among those of its peer; given back on drop.
#[derive(Debug)]
struct PeerPlace {
    sessions: Arc<Sessions>,
    peer: SpiffeId,
    load: Arc<PeerLoad>,
}

impl Drop for PeerPlace {
    fn drop(&mut self) {
        let mut peers = lock(&self.sessions.peers);
        if self.load.connections.fetch_sub(1, Ordering::Relaxed) == 1 {
            peers.remove(&self.peer);
        }
    }
}

/// One authenticated connection.
#[derive(Debug)]
pub(crate) struct Session {
    id: u64,
    key: usize,
    sessions: Arc<Sessions>,
    guards: Guards,
    /// Nobody for a connection of the local workload.
    peer: Option<PeerSide>,
    /// Epoch of the rules by which the peer was judged last.
    judged: AtomicU64,
    load: Arc<PeerLoad>,
    /// Bodies that are being read, before their calls begin.
    reading: Arc<AtomicUsize>,
    _place: Option<PeerPlace>,
    members: String,
    calls: AtomicU64,
}

/// What is the same for all calls of a peer's connection.
#[derive(Debug)]
pub(crate) struct PeerSide {
    /// Who the peer proved to be, and what was negotiated.
    pub(crate) lane: LanePeer,
    /// Name of the listener.
    pub(crate) listener: Arc<str>,
    /// The rules by which the peer was judged last.
    pub(crate) side: Mutex<Arc<TlsSide>>,
    /// Where the end of the connection goes on record.
    pub(crate) log: Arc<LaneLog>,
    /// `X-Forwarded-Client-Cert` for the workload.
    pub(crate) xfcc: Option<HeaderValue>,
    /// While what time the connection may be used.
    pub(crate) lifetime: Lifetime,
    /// Epoch of the rules by which the handshake was judged.
    pub(crate) epoch: u64,
}

impl PeerSide {
    /// The rules by which the peer was judged last.
    pub(crate) fn rules(&self) -> Arc<TlsSide> {
        Arc::clone(&lock(&self.side))
    }
}

impl Session {
    /// Name of the connection in records.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Who is at the other end; nobody is named for the local workload.
    pub(crate) fn peer(&self) -> Option<&PeerSide> {
        self.peer.as_ref()
    }

    /// Epoch of the rules by which the peer was judged last.
    pub(crate) fn judged(&self) -> u64 {
        self.judged.load(Ordering::Acquire)
    }

    /// Notes that the peer passed the rules of an epoch.
    pub(crate) fn passed(&self, epoch: u64, side: &Arc<TlsSide>) {
        if self.judged.fetch_max(epoch, Ordering::AcqRel) < epoch
            && let Some(peer) = &self.peer
        {
            *lock(&peer.side) = Arc::clone(side);
        }
    }

    /// Ends every call of the connection, every one to come, and then the connection. Tells whether that is new.
    pub(crate) fn pull(&self, cause: PullCause) -> bool {
        match (cause, self.sessions.change()) {
            (PullCause::NoLongerAllowed, Some(cut)) => self.guards.cut(cause, &cut),
            _ => self.guards.pull(cause),
        }
    }

    /// As [`Session::pull`] because of a withdrawal, which counts and times it.
    pub(crate) fn cut(&self, cause: PullCause, cut: &Cut) -> bool {
        self.guards.cut(cause, cut)
    }

    /// Whether it was cut because its peer may no longer use it.
    pub(crate) fn is_cut(&self) -> bool {
        self.guards.cause() == Some(PullCause::NoLongerAllowed)
    }

    /// Ready with the cause once the connection must end; for whoever drives it.
    pub(crate) fn poll_pulled(&self, context: &Context<'_>) -> Poll<PullCause> {
        self.guards.poll_pulled(context)
    }

    /// Members that every record of a call on this connection has.
    pub(crate) fn members(&self) -> &str {
        &self.members
    }

    /// Calls begun so far.
    pub(crate) fn calls_begun(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Calls open now, and those that are still being read.
    pub(crate) fn calls_open(&self) -> usize {
        self.guards.len() + self.reading.load(Ordering::Relaxed)
    }

    /// Counts a call whose body is being read.
    pub(crate) fn reads(&self) -> BeingRead {
        self.reading.fetch_add(1, Ordering::Relaxed);
        BeingRead(Arc::clone(&self.reading))
    }

    /// What the bodies of the peer's calls may hold.
    pub(crate) fn room(&self) -> &Room {
        &self.load.room
    }

    /// Numbers a call.
    pub(crate) fn next_call(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed)
    }

    /// Registers a call: first this, then whatever may refuse it.
    ///
    /// # Errors
    /// [`DenyReason::TooMany`] when the peer has as many calls open as one may; [`DenyReason::SvidExpired`] when the
    /// connection has outlived an SVID under it.
    pub(crate) fn register(&self) -> Result<CallSlot, DenyReason> {
        if let Some(peer) = &self.peer
            && peer.lifetime.has_expired()
        {
            return Err(DenyReason::SvidExpired);
        }
        let open = self.load.calls.fetch_add(1, Ordering::Relaxed);
        let slot = CallSlot {
            guard: self.guards.register(),
            load: Arc::clone(&self.load),
        };
        match open >= self.sessions.limits.calls_per_peer {
            true => Err(DenyReason::TooMany),
            false => Ok(slot),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let peer = self.peer.as_ref().map(|peer| peer.lane.spiffe_id());
        lock(&self.sessions.live).forget(self.key, peer);
    }
}

/// A call whose body is being read; counted until dropped.
#[derive(Debug)]
pub(crate) struct BeingRead(Arc<AtomicUsize>);

impl Drop for BeingRead {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A call's place among its peer's calls; given back on drop.
#[derive(Debug)]
pub(crate) struct CallSlot {
    guard: StreamGuard,
    load: Arc<PeerLoad>,
}

impl CallSlot {
    /// The guard that can cut the call.
    pub(crate) fn guard(&self) -> &StreamGuard {
        &self.guard
    }
}

impl Drop for CallSlot {
    fn drop(&mut self) {
        self.load.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
