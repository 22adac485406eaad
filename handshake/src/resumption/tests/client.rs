//! What a client keeps, and what it offers.

use rustls::NamedGroup;
use rustls::client::ClientSessionStore;
use rustls::pki_types::ServerName;

use super::*;
use crate::kx::{MLKEM1024, SECP256R1MLKEM768, X25519};

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
fn a_ticket_of_another_identity_is_not_offered() {
    let mut ends = Ends::hybrid();
    ends.connect();
    ends.client = ends.world.client(&[&X25519MLKEM768]);
    assert_eq!(kind(&ends.connect()), HandshakeKind::Full);
    // Its first ticket was thrown away unseen; the server still holds what it stands for.
    assert_eq!((held_at_server(&ends), held_at_client(&ends)), (2, 1));
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

#[test]
fn one_attempt_offers_one_ticket() {
    let ends = Ends::hybrid();
    let mut pairs = [(); 2].map(|()| ends.open(TicketRule::Give));
    for (pair, attempt) in &mut pairs {
        finish(pair, attempt);
    }
    let (_pair, attempt) = ends.open(TicketRule::Give);
    let name = ServerName::try_from("peer.test").unwrap();
    assert!(attempt.take_tls13_ticket(&name).is_none());
    assert_eq!(held_at_client(&ends), 1);
}
