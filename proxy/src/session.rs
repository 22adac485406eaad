//! One authenticated connection, and the calls on it.
//!
//! Takes what TLS established; gives each call a slot, a number and the guard that can cut it, and keeps what
//! is the same for all calls of the connection: the workload's header about the peer, the record's members.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderValue;
use pqlane_certs::spiffe_id::SpiffeId;
use pqlane_certs::verifier::PeerIdentity;
use slab::Slab;

use crate::deny::DenyReason;
use crate::guard::{Guards, PullCause, StreamGuard};
use crate::limits::Limits;

/// The connections of one process, and what each peer holds.
#[derive(Debug)]
pub(crate) struct Sessions {
    limits: Limits,
    /// Set apart from other processes' ids by a random beginning.
    next_id: AtomicU64,
    live: Mutex<Slab<Guards>>,
    peers: Mutex<HashMap<SpiffeId, Arc<PeerLoad>>>,
}

/// What one SPIFFE ID holds now.
#[derive(Debug, Default)]
struct PeerLoad {
    connections: AtomicUsize,
    calls: AtomicUsize,
}

impl Sessions {
    pub(crate) fn new(limits: &Limits) -> Self {
        // Keys of `RandomState` come from the system's random source: unique enough for names.
        let random = RandomState::new().build_hasher().finish();
        Self {
            limits: limits.clone(),
            next_id: AtomicU64::new(random & !0xFFFF_FFFF),
            live: Mutex::default(),
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
        peer: &PeerIdentity,
        xfcc: Option<HeaderValue>,
        members: String,
    ) -> Result<Arc<Session>, DenyReason> {
        let load = self.load_of(peer.spiffe_id())?;
        Ok(self.open(id, Some(peer.spiffe_id().clone()), load, xfcc, members))
    }

    /// Registers a connection of the local workload.
    pub(crate) fn open_local(self: &Arc<Self>, id: u64, members: String) -> Arc<Session> {
        self.open(id, None, Arc::default(), None, members)
    }

    /// Ends every call there is, and every one to come.
    pub(crate) fn pull_all(&self, cause: PullCause) {
        let all: Vec<Guards> = lock(&self.live).iter().map(|(_, g)| g.clone()).collect();
        all.iter().for_each(|guards| guards.pull(cause));
    }

    fn open(
        self: &Arc<Self>,
        id: u64,
        peer: Option<SpiffeId>,
        load: Arc<PeerLoad>,
        xfcc: Option<HeaderValue>,
        members: String,
    ) -> Arc<Session> {
        let guards = Guards::default();
        Arc::new(Session {
            id,
            key: lock(&self.live).insert(guards.clone()),
            sessions: Arc::clone(self),
            guards,
            peer,
            load,
            xfcc,
            members,
            calls: AtomicU64::new(0),
        })
    }

    fn load_of(&self, peer: &SpiffeId) -> Result<Arc<PeerLoad>, DenyReason> {
        let mut peers = lock(&self.peers);
        let load = Arc::clone(peers.entry(peer.clone()).or_default());
        if load.connections.load(Ordering::Relaxed) >= self.limits.connections_per_peer {
            return Err(DenyReason::TooMany);
        }
        load.connections.fetch_add(1, Ordering::Relaxed);
        Ok(load)
    }

    fn close(&self, session: &Session) {
        lock(&self.live).try_remove(session.key);
        if let Some(peer) = &session.peer {
            let mut peers = lock(&self.peers);
            if session.load.connections.fetch_sub(1, Ordering::Relaxed) == 1 {
                peers.remove(peer);
            }
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
    peer: Option<SpiffeId>,
    load: Arc<PeerLoad>,
    xfcc: Option<HeaderValue>,
    members: String,
    calls: AtomicU64,
}

impl Session {
    /// Name of the connection in records.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Who is at the other end; nobody is named for the local workload.
    pub(crate) fn peer(&self) -> Option<&SpiffeId> {
        self.peer.as_ref()
    }

    /// `X-Forwarded-Client-Cert` for the workload.
    pub(crate) fn xfcc(&self) -> Option<&HeaderValue> {
        self.xfcc.as_ref()
    }

    /// Members that every record of a call on this connection has.
    pub(crate) fn members(&self) -> &str {
        &self.members
    }

    /// Calls begun so far.
    pub(crate) fn calls_begun(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Calls open now.
    pub(crate) fn calls_open(&self) -> usize {
        self.guards.len()
    }

    /// Numbers a call.
    pub(crate) fn next_call(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed)
    }

    /// Registers a call: first this, then whatever may refuse it.
    ///
    /// # Errors
    /// [`DenyReason::TooMany`] when the peer has as many calls open as one may.
    pub(crate) fn register(&self) -> Result<CallSlot, DenyReason> {
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
        self.sessions.close(self);
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
mod tests {
    use super::*;

    async fn pulled(slot: &CallSlot) -> PullCause {
        std::future::poll_fn(|context| slot.guard().poll_pulled(context)).await
    }

    fn sessions(limits: Limits) -> Arc<Sessions> {
        Arc::new(Sessions::new(&limits))
    }

    fn id(text: &str) -> SpiffeId {
        text.parse().unwrap()
    }

    #[test]
    fn a_peer_is_held_to_its_connections_and_forgotten_after_the_last() {
        let sessions = sessions(Limits {
            connections_per_peer: 2,
            ..Limits::default()
        });
        let peer = id("spiffe://example.org/a");
        let open = |load| sessions.open(1, Some(peer.clone()), load, None, String::new());
        let first = open(sessions.load_of(&peer).unwrap());
        let second = open(sessions.load_of(&peer).unwrap());
        assert_eq!(sessions.load_of(&peer).err(), Some(DenyReason::TooMany));
        assert!(sessions.load_of(&id("spiffe://example.org/b")).is_ok());
        drop(first);
        let third = open(sessions.load_of(&peer).unwrap());
        drop((second, third));
        assert!(!lock(&sessions.peers).contains_key(&peer));
        assert!(lock(&sessions.live).is_empty());
    }

    #[test]
    fn calls_are_bounded_and_their_places_given_back() {
        let sessions = sessions(Limits {
            calls_per_peer: 1,
            ..Limits::default()
        });
        let session = sessions.open_local(1, String::new());
        let slot = session.register().unwrap();
        assert_eq!(session.register().err(), Some(DenyReason::TooMany));
        drop(slot);
        assert!(session.register().is_ok());
    }

    #[tokio::test]
    async fn pulling_all_ends_calls_on_every_connection() {
        let sessions = sessions(Limits::default());
        let one = sessions.open_local(1, String::new());
        let two = sessions.open_local(2, String::new());
        let (first, second) = (one.register().unwrap(), two.register().unwrap());
        sessions.pull_all(PullCause::DrainDeadline);
        assert_eq!(pulled(&first).await, PullCause::DrainDeadline);
        assert_eq!(pulled(&second).await, PullCause::DrainDeadline);
    }
}
