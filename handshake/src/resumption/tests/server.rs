//! What a server keeps, and what it gives out.

use super::*;

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
fn no_debug_output_shows_a_session() {
    let store = ServerTickets::new(8, Clock::new());
    let mut seen = seen_to_sign();
    seen.during(|| store.put(vec![0xA5; 32], vec![0xA5; 48]));
    let shown = format!("{store:?}");
    assert_eq!(shown, "ServerTickets { capacity: 8, held: 1, .. }");
}

#[test]
fn a_session_that_comes_of_age_during_its_renewal_is_not_renewed() {
    let ends = Ends::hybrid();
    ends.connect();
    ends.set_clocks(299);
    let (mut pair, attempt) = ends.open(TicketRule::Give);
    pair.client_speaks().unwrap();
    ends.set_clocks(300);
    finish(&mut pair, &attempt);
    assert_eq!(kind(&pair), HandshakeKind::Resumed);
    assert_eq!((held_at_server(&ends), held_at_client(&ends)), (0, 0));
}

#[test]
fn a_ticket_that_was_offered_but_not_used_leaves_no_trace() {
    let mut ends = Ends::hybrid();
    ends.connect();
    // The name in the hello is not the one of the session, so rustls takes the session and drops it.
    ends.client.enable_sni = false;
    ends.set_clocks(60);
    let full = ends.connect();
    assert_eq!(kind(&full), HandshakeKind::Full);
    assert_eq!(full.server_saw().resumed_from, None);
    assert_eq!(held_at_server(&ends), 1);
    ends.set_clocks(90);
    let resumed = ends.connect();
    assert_eq!(resumed.server_saw().resumed_from, Some(at(60)));
}
