//! The server's side of resumption: what the tickets it gave out stand for.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::crypto::SharedSecret;
use rustls::pki_types::UnixTime;
use rustls::server::StoresServerSessions;
use rustls::time_provider::TimeProvider;

use super::is_young;
use crate::observation::{Observation, TicketRule, note};

/// The sessions that clients of one listener, class of groups and configuration may resume.
///
/// Each is given out once. One that is renewed keeps the time of its full handshake. The state is here and not
/// in the ticket, so that a chain of post-quantum certificates does not travel in the ClientHello; each entry
/// holds the client's chain and costs that much memory. Whoever drives the handshake sets
/// [`Observation::tickets`]; under [`TicketRule::Withhold`] nothing is resumed and no ticket is sent.
pub struct ServerTickets {
    capacity: usize,
    time: Arc<dyn TimeProvider>,
    sessions: Mutex<Sessions>,
}

#[derive(Default)]
struct Sessions {
    by_id: HashMap<Vec<u8>, Session>,
    /// Ids by the number of their entry, the oldest first.
    by_number: BTreeMap<u64, Vec<u8>>,
    next_number: u64,
    emptied_at: Option<UnixTime>,
}

struct Session {
    /// rustls's own encoding, with the pre-shared key in it; this type wipes it.
    value: SharedSecret,
    full_at: UnixTime,
    number: u64,
}

/// How the handshake that asks for a ticket began.
#[derive(Clone, Copy)]
enum Origin {
    /// With the peer's signature, just now.
    Full,
    /// With a ticket of the session whose full handshake was made then.
    Resumed { full_at: UnixTime },
}

impl ServerTickets {
    /// An empty store of at most `capacity` sessions; a new one makes the oldest go. Ages are read off `time`.
    pub fn new(capacity: usize, time: Arc<dyn TimeProvider>) -> Self {
        Self {
            capacity,
            time,
            sessions: Mutex::default(),
        }
    }

    /// Forgets every session. What was resumed before this is not renewed after it.
    ///
    /// A full handshake that had verified its peer and not yet ended still leaves a session: its peer is
    /// checked again when that session is resumed.
    pub fn empty(&self) {
        let now = self.time.current_time();
        let mut sessions = self.sessions();
        sessions.by_id.clear();
        sessions.by_number.clear();
        sessions.emptied_at = now.max(sessions.emptied_at);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let sessions = self.sessions();
        assert_eq!(sessions.by_id.len(), sessions.by_number.len());
        sessions.by_id.len()
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        // Every change leaves both maps whole, so a thread that panicked here broke nothing.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StoresServerSessions for ServerTickets {
    /// Keeps a session if the handshake's observation permits it; rustls sends a ticket only if it was kept.
    fn put(&self, id: Vec<u8>, value: Vec<u8>) -> bool {
        let value = SharedSecret::from(value);
        let Some(now) = self.time.current_time() else {
            return false;
        };
        let Some(origin) = note(|seen| origin(seen)) else {
            return false;
        };
        let mut sessions = self.sessions();
        let full_at = match origin {
            Origin::Full => now,
            // RFC 9846 §4.7.1: renewal must not go on extending what one CertificateVerify began.
            Origin::Resumed { full_at } if sessions.outlived(full_at) => return false,
            Origin::Resumed { full_at } => full_at,
        };
        if self.capacity == 0 || !is_young(full_at, now) {
            return false;
        }
        sessions.drop_old(now);
        sessions.keep(id, value, full_at, self.capacity);
        true
    }

    /// Nothing: a TLS 1.3 session is only ever taken.
    fn get(&self, _id: &[u8]) -> Option<Vec<u8>> {
        None
    }

    /// Gives a session out, once, and notes the time of its full handshake.
    fn take(&self, id: &[u8]) -> Option<Vec<u8>> {
        let now = self.time.current_time()?;
        note(|seen| {
            if seen.tickets == TicketRule::Withhold {
                return None;
            }
            let session = self.sessions().remove(id)?;
            if !is_young(session.full_at, now) {
                return None;
            }
            seen.resumed_from = Some(session.full_at);
            Some(session.value.secret_bytes().to_vec())
        })
    }

    fn can_cache(&self) -> bool {
        self.capacity > 0
    }
}

/// How this handshake began, if it may have a ticket.
fn origin(seen: &Observation) -> Option<Origin> {
    if seen.tickets == TicketRule::Withhold {
        return None;
    }
    match (seen.peer_scheme, seen.local_scheme, seen.resumed_from) {
        (Some(_), _, _) => Some(Origin::Full),
        // Neither side signs in a resumed handshake (RFC 9846 §2.2).
        (None, None, Some(full_at)) => Some(Origin::Resumed { full_at }),
        // The client was not authenticated, or nobody saw how.
        (None, _, _) => None,
    }
}

impl Sessions {
    fn keep(&mut self, id: Vec<u8>, value: SharedSecret, full_at: UnixTime, capacity: usize) {
        self.remove(&id);
        while self.by_id.len() >= capacity {
            let Some((_, oldest)) = self.by_number.pop_first() else {
                break;
            };
            self.by_id.remove(&oldest);
        }
        let number = self.next_number;
        self.next_number += 1;
        self.by_number.insert(number, id.clone());
        let session = Session {
            value,
            full_at,
            number,
        };
        self.by_id.insert(id, session);
    }

    fn remove(&mut self, id: &[u8]) -> Option<Session> {
        let session = self.by_id.remove(id)?;
        self.by_number.remove(&session.number);
        Some(session)
    }

    /// Wipes the oldest entries that can no longer be resumed.
    fn drop_old(&mut self, now: UnixTime) {
        while let Some(oldest) = self.by_number.first_entry() {
            let young = |session: &Session| is_young(session.full_at, now);
            if self.by_id.get(oldest.get()).is_some_and(young) {
                break;
            }
            self.by_id.remove(&oldest.remove());
        }
    }

    /// Whether the store was emptied since `full_at`, or within the same second.
    fn outlived(&self, full_at: UnixTime) -> bool {
        self.emptied_at.is_some_and(|emptied| emptied >= full_at)
    }
}

impl fmt::Debug for ServerTickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTickets")
            .field("capacity", &self.capacity)
            .field("held", &self.sessions().by_id.len())
            .finish_non_exhaustive()
    }
}
