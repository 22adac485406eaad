//! Real rustls connections, in memory, with two clocks that move when told.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::client::{
    ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::pki_types::{ServerName, UnixTime};
use rustls::server::StoresServerSessions;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, HandshakeKind, NamedGroup, ServerConfig};

use super::*;
use crate::client_config::with_tickets;
use crate::kx::{Group, MLKEM1024, SECP256R1MLKEM768, X25519, X25519MLKEM768};
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

#[test]
fn a_hello_that_is_sent_again_finds_its_ticket_spent() {
    let ends = Ends::hybrid();
    ends.connect();
    let (mut first, _attempt) = ends.open(TicketRule::Give);
    let mut hello = Vec::new();
    first.client.write_tls(&mut hello).unwrap();
    let answered = [(); 2].map(|()| {
        let mut server = rustls::ServerConnection::new(Arc::clone(&ends.server)).unwrap();
        let mut seen = Observation {
            tickets: TicketRule::Give,
            ..Observation::default()
        };
        server.read_tls(&mut hello.as_slice()).unwrap();
        seen.during(|| server.process_new_packets()).unwrap();
        server.handshake_kind()
    });
    let expected = [HandshakeKind::Resumed, HandshakeKind::Full];
    assert_eq!(answered, expected.map(Some));
}

#[test]
fn after_the_server_emptied_its_store_the_handshake_is_full() {
    let ends = Ends::hybrid();
    ends.connect();
    ends.at_server.empty();
    let pair = ends.connect();
    assert_eq!(kind(&pair), HandshakeKind::Full);
    assert_eq!(pair.server_saw().resumed_from, None);
}

#[test]
fn a_session_resumed_before_the_store_was_emptied_is_not_renewed_after_it() {
    let ends = Ends::hybrid();
    ends.connect();
    let (mut pair, attempt) = ends.open(TicketRule::Give);
    pair.client_speaks().unwrap();
    ends.at_server.empty();
    finish(&mut pair, &attempt);
    assert_eq!(kind(&pair), HandshakeKind::Resumed);
    assert_eq!((held_at_server(&ends), held_at_client(&ends)), (0, 0));
}

#[test]
fn after_the_client_emptied_its_store_the_handshake_is_full_and_late_tickets_are_dropped() {
    let ends = Ends::hybrid();
    ends.connect();
    let (mut late, attempt) = ends.open(TicketRule::Give);
    ends.at_client.empty();
    finish(&mut late, &attempt);
    assert_eq!(kind(&late), HandshakeKind::Resumed);
    assert_eq!(held_at_client(&ends), 0);
    assert_eq!(kind(&ends.connect()), HandshakeKind::Full);
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
fn a_classical_handshake_leaves_no_ticket() {
    let ends = Ends::new(&[&X25519], &[&X25519]);
    let pair = ends.connect();
    assert_eq!(group(&pair).name, "x25519");
    assert_eq!((held_at_server(&ends), held_at_client(&ends)), (1, 0));
    assert_eq!(kind(&ends.connect()), HandshakeKind::Full);
}

#[test]
fn a_handshake_with_a_hello_retry_request_leaves_no_ticket() {
    let ends = Ends::new(
        &[&X25519MLKEM768, &SECP256R1MLKEM768],
        &[&SECP256R1MLKEM768],
    );
    let retried = ends.connect();
    assert_eq!(kind(&retried), HandshakeKind::FullWithHelloRetryRequest);
    assert_eq!(held_at_client(&ends), 0);
}

#[test]
fn a_resumption_that_took_a_hello_retry_request_leaves_no_ticket() {
    let groups: [&'static Group; 2] = [&X25519MLKEM768, &SECP256R1MLKEM768];
    let mut ends = Ends::new(&groups, &[&X25519MLKEM768]);
    ends.connect();
    // The server turns to another group and keeps its sessions.
    let store = Some(Arc::clone(&ends.at_server));
    ends.server = Arc::new(ends.world.server_with(&[&SECP256R1MLKEM768], store));
    let pair = ends.connect();
    assert_eq!(kind(&pair), HandshakeKind::Resumed);
    // Hello, request, hello, answer, Finished, and the ticket that the client drops.
    assert_eq!(pair.server_flights().len(), 6);
    assert_eq!(held_at_client(&ends), 0);
}

#[test]
fn a_handshake_that_nobody_permitted_leaves_no_ticket_and_spends_none() {
    let ends = Ends::hybrid();
    let (mut pair, attempt) = ends.open(TicketRule::default());
    finish(&mut pair, &attempt);
    assert_eq!((held_at_server(&ends), held_at_client(&ends)), (0, 0));
    ends.connect();
    let (mut pair, attempt) = ends.open(TicketRule::default());
    finish(&mut pair, &attempt);
    assert_eq!(kind(&pair), HandshakeKind::Full);
    assert_eq!((held_at_server(&ends), held_at_client(&ends)), (1, 0));
}

#[test]
fn a_ticket_that_comes_before_the_client_has_judged_the_handshake_is_dropped() {
    let ends = Ends::hybrid();
    let (mut pair, _attempt) = ends.open(TicketRule::Give);
    pair.shake_hands().unwrap();
    pair.server_speaks().unwrap();
    assert_eq!((held_at_server(&ends), held_at_client(&ends)), (1, 0));
}

#[test]
fn the_first_judgement_of_a_handshake_counts() {
    let ends = Ends::hybrid();
    let (mut pair, attempt) = ends.open(TicketRule::Give);
    pair.shake_hands().unwrap();
    attempt.finished(HandshakeKind::Full, &X25519);
    attempt.finished(HandshakeKind::Full, &X25519MLKEM768);
    pair.server_speaks().unwrap();
    assert_eq!(held_at_client(&ends), 0);
}

#[test]
fn two_connections_at_once_use_different_tickets() {
    let ends = Ends::hybrid();
    let (mut one, first) = ends.open(TicketRule::Give);
    let (mut other, second) = ends.open(TicketRule::Give);
    finish(&mut one, &first);
    finish(&mut other, &second);
    assert_eq!(held_at_client(&ends), 2);
    let mut pairs = [(); 3].map(|()| ends.open(TicketRule::Give));
    let kinds = pairs.each_mut().map(|(pair, attempt)| {
        finish(pair, attempt);
        kind(pair)
    });
    use HandshakeKind::{Full, Resumed};
    assert_eq!(kinds, [Resumed, Resumed, Full]);
}

#[test]
fn a_ticket_of_another_store_gets_a_full_handshake() {
    let mut ends = Ends::hybrid();
    ends.connect();
    assert_eq!(held_at_client(&ends), 1);
    let store = Arc::new(ServerTickets::new(8, Arc::clone(&ends.server_clock) as _));
    ends.server = Arc::new(ends.world.server_with(&[&X25519MLKEM768], Some(store)));
    let (mut pair, attempt) = ends.open(TicketRule::Give);
    assert_eq!(held_at_client(&ends), 0);
    finish(&mut pair, &attempt);
    assert_eq!(kind(&pair), HandshakeKind::Full);
    assert_eq!(pair.server_saw().resumed_from, None);
}

#[test]
fn a_ticket_of_another_identity_is_not_offered() {
    let mut ends = Ends::hybrid();
    ends.connect();
    ends.client = ends.world.client(&[&X25519MLKEM768]);
    assert_eq!(kind(&ends.connect()), HandshakeKind::Full);
    // Its first ticket was thrown away unseen; the server still holds what it stands for.
    assert_eq!((held_at_server(&ends), held_at_client(&ends)), (2, 1));
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
fn sessions_too_old_to_be_resumed_are_wiped_when_the_next_is_stored() {
    let clock = Clock::new();
    let store = ServerTickets::new(8, Arc::clone(&clock) as _);
    let mut seen = seen_to_sign();
    seen.during(|| {
        assert!(store.put(vec![1], vec![1]));
        clock.set(200);
        assert!(store.put(vec![2], vec![2]));
        clock.set(300);
        assert!(store.put(vec![3], vec![3]));
    });
    assert_eq!(store.len(), 2);
}

#[test]
fn a_client_without_a_signature_gets_no_ticket() {
    let store = ServerTickets::new(8, Clock::new());
    let mut seen = seen_to_sign();
    seen.peer_scheme = None;
    seen.resumed_from = Some(at(0));
    assert!(!seen.during(|| store.put(vec![1], vec![1])));
}

#[test]
fn the_hint_avoids_the_second_hello_retry_request_also_in_the_next_configuration() {
    let mut ends = Ends::new(
        &[&X25519MLKEM768, &SECP256R1MLKEM768],
        &[&SECP256R1MLKEM768],
    );
    let first = ends.connect();
    assert_eq!(kind(&first), HandshakeKind::FullWithHelloRetryRequest);
    assert_eq!(kind(&ends.connect()), HandshakeKind::Full);
    assert_eq!(held_at_client(&ends), 1);
    ends.at_client = ends.at_client.successor();
    assert_eq!(held_at_client(&ends), 0);
    let next = ends.connect();
    assert_eq!(kind(&next), HandshakeKind::Full);
    assert_eq!(group(&next).name, "SecP256r1MLKEM768");
}

#[test]
fn a_classical_group_is_never_hinted() {
    let mut ends = Ends::new(&[&X25519MLKEM768, &X25519], &[&X25519]);
    let name = ServerName::try_from("peer.test").unwrap();
    ends.connect();
    assert_eq!(ends.at_client.attempt().kx_hint(&name), None);
    // Nor does a classical handshake make the client forget the group that worked before.
    let attempt = ends.at_client.attempt();
    attempt.set_kx_hint(name.clone(), NamedGroup::MLKEM1024);
    attempt.set_kx_hint(name.clone(), NamedGroup::X25519);
    attempt.set_kx_hint(name.clone(), NamedGroup::Unknown(0x0A0A));
    let hint = ends.at_client.successor().attempt().kx_hint(&name);
    assert_eq!(hint, Some(MLKEM1024.named_group));
    ends.at_client.empty();
    ends.at_client = ends.at_client.successor();
    assert_eq!(ends.at_client.attempt().kx_hint(&name), hint);
}

/// Makes every ticket say that the server allows early data.
#[derive(Debug)]
struct Eager(Arc<ClientAttempt>);

impl ClientSessionStore for Eager {
    fn set_kx_hint(&self, name: ServerName<'static>, group: NamedGroup) {
        self.0.set_kx_hint(name, group);
    }

    fn kx_hint(&self, name: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.kx_hint(name)
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, name: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(name, value);
    }

    fn take_tls13_ticket(&self, name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        let mut value = self.0.take_tls13_ticket(name)?;
        value._private_set_max_early_data_size(1024);
        Some(value)
    }
}

#[test]
fn early_data_is_refused() {
    let ends = Ends::hybrid();
    ends.connect();
    // Our own client has none to send, and the server's ticket allows none.
    let (mut own, attempt) = ends.open(TicketRule::Give);
    assert!(own.client.early_data().is_none());
    finish(&mut own, &attempt);
    assert_eq!(kind(&own), HandshakeKind::Resumed);

    // A client that sends some all the same is resumed, and the bytes go nowhere.
    let attempt = ends.at_client.attempt();
    let mut client = with_tickets(&ends.client, Arc::clone(&attempt));
    client.resumption = Resumption::store(Arc::new(Eager(Arc::clone(&attempt))));
    client.enable_early_data = true;
    let mut pair = Pair::open(client, Arc::clone(&ends.server), TicketRule::Give);
    let mut early = pair.client.early_data().unwrap();
    early.write_all(b"POST /mcp").unwrap();
    finish(&mut pair, &attempt);
    assert_eq!(kind(&pair), HandshakeKind::Resumed);
    assert!(!pair.client.is_early_data_accepted());
    assert!(pair.server.early_data().is_none());
    let nothing = pair.server.reader().read(&mut [0; 16]).unwrap_err();
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn no_debug_output_shows_a_session() {
    let store = ServerTickets::new(8, Clock::new());
    let mut seen = seen_to_sign();
    seen.during(|| store.put(vec![0xA5; 32], vec![0xA5; 48]));
    let shown = format!("{store:?}");
    assert_eq!(shown, "ServerTickets { capacity: 8, held: 1, .. }");
}
