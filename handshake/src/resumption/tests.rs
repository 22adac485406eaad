//! Real rustls connections, in memory, with two clocks that move when told.

mod client;
mod early_data;
mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::server::StoresServerSessions;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, HandshakeKind, ServerConfig};

use super::*;
use crate::client_config::with_tickets;
use crate::kx::{Group, X25519MLKEM768};
use crate::observation::{Observation, TicketRule};
use crate::testing::{Pair, World};

const START: u64 = 1_795_000_000;

#[derive(Debug)]
struct Clock(AtomicU64);

impl Clock {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(START)))
    }

    fn set(&self, after_start: u64) {
        self.0.store(START + after_start, Ordering::SeqCst);
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(at(self.0.load(Ordering::SeqCst) - START))
    }
}

fn at(after_start: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(START + after_start))
}

/// A client and a server that both keep tickets.
struct Ends {
    world: World,
    client: ClientConfig,
    server: Arc<ServerConfig>,
    at_client: Arc<ClientTickets>,
    at_server: Arc<ServerTickets>,
    client_clock: Arc<Clock>,
    server_clock: Arc<Clock>,
}

impl Ends {
    fn new(client: &[&'static Group], server: &[&'static Group]) -> Self {
        let world = World::new();
        let (client_clock, server_clock) = (Clock::new(), Clock::new());
        let at_server = Arc::new(ServerTickets::new(8, Arc::clone(&server_clock) as _));
        let store = Some(Arc::clone(&at_server));
        Self {
            client: world.client(client),
            server: Arc::new(world.server_with(server, store)),
            world,
            at_client: ClientTickets::new(DEFAULT_CLIENT_TICKETS, Arc::clone(&client_clock) as _),
            at_server,
            client_clock,
            server_clock,
        }
    }

    fn hybrid() -> Self {
        Self::new(&[&X25519MLKEM768], &[&X25519MLKEM768])
    }

    fn set_clocks(&self, after_start: u64) {
        self.client_clock.set(after_start);
        self.server_clock.set(after_start);
    }

    fn open(&self, tickets: TicketRule) -> (Pair, Arc<ClientAttempt>) {
        let attempt = self.at_client.attempt();
        let client = with_tickets(&self.client, Arc::clone(&attempt));
        let pair = Pair::open(client, Arc::clone(&self.server), tickets);
        (pair, attempt)
    }

    /// One whole connection, up to the ticket that follows it.
    fn connect(&self) -> Pair {
        let (mut pair, attempt) = self.open(TicketRule::Give);
        finish(&mut pair, &attempt);
        pair
    }
}

/// Shakes hands, tells the client's store what came of it, and delivers the server's ticket.
fn finish(pair: &mut Pair, attempt: &ClientAttempt) {
    pair.shake_hands().unwrap();
    attempt.finished(kind(pair), group(pair));
    pair.server_speaks().unwrap();
}

/// What both sides say that the handshake was.
fn kind(pair: &Pair) -> HandshakeKind {
    let kind = pair.client.handshake_kind().unwrap();
    assert_eq!(pair.server.handshake_kind(), Some(kind));
    kind
}

fn group(pair: &Pair) -> &'static Group {
    let group = pair.client.negotiated_key_exchange_group().unwrap();
    Group::by_code_point(group.name()).unwrap()
}

fn held_at_client(ends: &Ends) -> usize {
    ends.at_client.len()
}

fn held_at_server(ends: &Ends) -> usize {
    ends.at_server.len()
}

/// What a server's observation holds after a full handshake that may have a ticket.
fn seen_to_sign() -> Observation {
    Observation {
        peer_scheme: Some(rustls::SignatureScheme::ED25519),
        local_scheme: Some(rustls::SignatureScheme::ED25519),
        tickets: TicketRule::Give,
        ..Observation::default()
    }
}

#[test]
fn a_ticket_resumes_and_says_when_the_full_handshake_was() {
    let ends = Ends::hybrid();
    let full = ends.connect();
    assert_eq!(kind(&full), HandshakeKind::Full);
    assert_eq!(full.server_saw().resumed_from, None);
    ends.set_clocks(30);
    let resumed = ends.connect();
    assert_eq!(kind(&resumed), HandshakeKind::Resumed);
    assert_eq!(resumed.server_saw().resumed_from, Some(at(0)));
    // No signature was made or checked; the chain is that of the full handshake.
    assert_eq!(resumed.server_saw().local_scheme, None);
    assert_eq!(resumed.server_saw().peer_scheme, None);
    assert_eq!(
        resumed.server.peer_certificates(),
        full.server.peer_certificates()
    );
    assert_eq!(
        resumed.client.peer_certificates(),
        full.client.peer_certificates()
    );
}

#[test]
fn a_resumed_handshake_still_exchanges_a_fresh_hybrid_key() {
    let ends = Ends::hybrid();
    ends.connect();
    let secrets = [ends.connect(), ends.connect()].map(|pair| {
        assert_eq!(kind(&pair), HandshakeKind::Resumed);
        assert_eq!(group(&pair).name, "X25519MLKEM768");
        let flights = pair.server_flights();
        // Both shares are on the wire, as in a full handshake.
        assert!(flights[0] as usize > X25519MLKEM768.client_share_len);
        assert!(flights[1] as usize > X25519MLKEM768.server_share_len);
        let exported = pair.client.export_keying_material([0; 32], b"test", None);
        exported.unwrap()
    });
    assert_ne!(secrets[0], secrets[1]);
}

/// Connects each minute, with only one of the clocks moving; gives what each handshake was.
fn each_minute(set: impl Fn(&Ends, u64)) -> Vec<HandshakeKind> {
    let ends = Ends::hybrid();
    let minutes = (0..=6).map(|minute| {
        set(&ends, minute * 60);
        kind(&ends.connect())
    });
    minutes.collect()
}

#[test]
fn five_minutes_after_the_full_handshake_the_next_is_full_although_renewed_each_minute() {
    use HandshakeKind::{Full, Resumed};
    let expected = [Full, Resumed, Resumed, Resumed, Resumed, Full, Resumed];
    let by_server = each_minute(|ends, now| ends.server_clock.set(now));
    let by_client = each_minute(|ends, now| ends.client_clock.set(now));
    assert_eq!(by_server, expected);
    assert_eq!(by_client, expected);
}

#[test]
fn a_session_is_young_for_less_than_five_minutes_and_not_before_it_began() {
    assert!(is_young(at(0), at(0)));
    assert!(is_young(at(0), at(299)));
    assert!(!is_young(at(0), at(300)));
    assert!(!is_young(at(1), at(0)));
}

#[test]
fn both_stores_hold_no_more_than_their_capacity() {
    let ends = Ends::hybrid();
    let mut pairs: Vec<_> = (0..10).map(|_| ends.open(TicketRule::Give)).collect();
    for (pair, attempt) in &mut pairs {
        finish(pair, attempt);
    }
    assert_eq!(held_at_server(&ends), 8);
    assert_eq!(held_at_client(&ends), DEFAULT_CLIENT_TICKETS);
    // The client holds the newest of its tickets, and the server still knows all of those.
    assert_eq!(kind(&ends.connect()), HandshakeKind::Resumed);
}

#[test]
fn a_store_without_room_keeps_nothing() {
    let mut ends = Ends::hybrid();
    let clock = Arc::clone(&ends.client_clock);
    ends.at_client = ClientTickets::new(0, clock as _);
    ends.connect();
    assert_eq!((held_at_server(&ends), held_at_client(&ends)), (1, 0));
    let none = ServerTickets::new(0, Arc::clone(&ends.server_clock) as _);
    let mut seen = seen_to_sign();
    assert!(!seen.during(|| none.put(vec![1], vec![2])));
    assert!(!none.can_cache());
}
