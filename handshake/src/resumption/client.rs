//! The client's side of resumption: the tickets of one destination, and the group that worked there.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::{ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{HandshakeKind, NamedGroup};

use super::is_young;
use crate::kx::{Group, Strength};

/// Tickets that are held for one destination unless another number is asked for.
pub const DEFAULT_CLIENT_TICKETS: usize = 4;

/// The tickets that one destination gave to one configuration, and the group that worked there.
///
/// The group saves the second HelloRetryRequest. It is never a classical one.
pub struct ClientTickets {
    capacity: usize,
    time: Arc<dyn TimeProvider>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    tickets: VecDeque<Ticket>,
    kx_hint: Option<NamedGroup>,
    /// How often the tickets were thrown away.
    emptied: u64,
}

struct Ticket {
    /// With the pre-shared key in it, which rustls wipes.
    value: Tls13ClientSessionValue,
    full_at: UnixTime,
}

impl ClientTickets {
    /// Nothing yet, and room for `capacity` tickets; a new one makes the oldest go. Ages are read off `time`.
    pub fn new(capacity: usize, time: Arc<dyn TimeProvider>) -> Arc<Self> {
        Self::with_hint(capacity, time, None)
    }

    fn with_hint(
        capacity: usize,
        time: Arc<dyn TimeProvider>,
        kx_hint: Option<NamedGroup>,
    ) -> Arc<Self> {
        let held = Held {
            kx_hint,
            ..Held::default()
        };
        Arc::new(Self {
            capacity,
            time,
            held: Mutex::new(held),
        })
    }

    /// The view of one connection that is about to be opened.
    pub fn attempt(self: &Arc<Self>) -> Arc<ClientAttempt> {
        Arc::new(ClientAttempt {
            tickets: Arc::clone(self),
            emptied: self.held().emptied,
            progress: Mutex::default(),
        })
    }

    /// Forgets every ticket, also those still to come on connections that are open now. The group stays.
    pub fn empty(&self) {
        let mut held = self.held();
        held.tickets.clear();
        held.emptied += 1;
    }

    /// The tickets of the next configuration towards the same destination: none yet, and the same group.
    pub fn successor(&self) -> Arc<Self> {
        Self::with_hint(self.capacity, Arc::clone(&self.time), self.held().kx_hint)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.held().tickets.len()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Every change is one whole step, so a thread that panicked here broke nothing.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ClientTickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.held();
        f.debug_struct("ClientTickets")
            .field("capacity", &self.capacity)
            .field("held", &held.tickets.len())
            .field("kx_hint", &held.kx_hint)
            .finish_non_exhaustive()
    }
}

/// One connection's use of the tickets: it offers at most one, and keeps new ones once it has finished well.
///
/// rustls hands over a ticket whenever one arrives, long after the handshake; so each connection has its own.
#[derive(Debug)]
pub struct ClientAttempt {
    tickets: Arc<ClientTickets>,
    emptied: u64,
    progress: Mutex<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    /// The group whose share was put into the first hello, as far as that was our doing.
    hinted: Option<NamedGroup>,
    /// When the full handshake was made of the session that was offered.
    offered: Option<UnixTime>,
    outcome: Outcome,
}

/// What becomes of the tickets that the server sends.
#[derive(Debug, Default, Clone, Copy)]
enum Outcome {
    /// Dropped: the handshake is not finished, or nobody said how it ended.
    #[default]
    Pending,
    /// Dropped: classical, or with a HelloRetryRequest.
    Drop,
    /// Kept, as tickets of a session that began then.
    Keep { full_at: UnixTime },
}

impl ClientAttempt {
    /// Says what the handshake came to, after the peer was checked and before anything more is read.
    ///
    /// Tickets that arrive from now on are kept if `group` is not classical and no HelloRetryRequest was
    /// needed. Only the first call counts.
    pub fn finished(&self, kind: HandshakeKind, group: &'static Group) {
        let now = self.tickets.time.current_time();
        let mut progress = self.progress();
        if let Outcome::Pending = progress.outcome {
            progress.outcome = match progress.began(kind, group, now) {
                Some(full_at) => Outcome::Keep { full_at },
                None => Outcome::Drop,
            };
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress {
    /// When the session's full handshake was made, if its tickets may be kept.
    fn began(&self, kind: HandshakeKind, group: &Group, now: Option<UnixTime>) -> Option<UnixTime> {
        if group.strength == Strength::Classical {
            return None;
        }
        match kind {
            HandshakeKind::Full => now,
            HandshakeKind::FullWithHelloRetryRequest => None,
            // rustls says `Resumed` also where a HelloRetryRequest came first. None for another group did if this
            // is the one whose share the first hello held: RFC 9846 §4.3.8 forbids to ask for that one again.
            HandshakeKind::Resumed if self.hinted == Some(group.named_group) => self.offered,
            HandshakeKind::Resumed => None,
        }
    }
}

impl ClientSessionStore for ClientAttempt {
    fn set_kx_hint(&self, _server_name: ServerName<'static>, group: NamedGroup) {
        let known = Group::by_code_point(group);
        if known.is_some_and(|group| group.strength != Strength::Classical) {
            self.tickets.held().kx_hint = Some(group);
        }
    }

    fn kx_hint(&self, _server_name: &ServerName<'_>) -> Option<NamedGroup> {
        let hint = self.tickets.held().kx_hint;
        self.progress().hinted = hint;
        hint
    }

    fn set_tls12_session(
        &self,
        _server_name: ServerName<'static>,
        _value: Tls12ClientSessionValue,
    ) {
    }

    fn tls12_session(&self, _server_name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _server_name: &ServerName<'static>) {}

    fn insert_tls13_ticket(
        &self,
        _server_name: ServerName<'static>,
        value: Tls13ClientSessionValue,
    ) {
        let Outcome::Keep { full_at } = self.progress().outcome else {
            return;
        };
        let mut held = self.tickets.held();
        if held.emptied != self.emptied {
            return;
        }
        held.tickets.push_back(Ticket { value, full_at });
        while held.tickets.len() > self.tickets.capacity {
            held.tickets.pop_front();
        }
    }

    fn take_tls13_ticket(
        &self,
        _server_name: &ServerName<'static>,
    ) -> Option<Tls13ClientSessionValue> {
        let now = self.tickets.time.current_time()?;
        let mut progress = self.progress();
        if progress.offered.is_some() {
            return None;
        }
        let mut held = self.tickets.held();
        held.tickets.retain(|ticket| is_young(ticket.full_at, now));
        let ticket = held.tickets.pop_back()?;
        progress.offered = Some(ticket.full_at);
        Some(ticket.value)
    }
}
