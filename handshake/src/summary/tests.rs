use rustls::{Error, HandshakeKind, PeerIncompatible, SignatureScheme};

use super::*;
use crate::kx::{MLKEM1024, SECP256R1, SECP256R1MLKEM768, X25519, X25519MLKEM768};
use crate::kx_policy::KxPolicy;
use crate::testing::{Pair, World};

#[test]
fn both_sides_report_the_same_hybrid_handshake() {
    let world = World::new();
    let policy = KxPolicy::require_hybrid();
    let pair = Pair::run(world.client(policy.groups()), world.server(policy.groups())).unwrap();
    let client = pair.summary(Side::Client, policy.groups()).unwrap();
    let server = pair.summary(Side::Server, policy.groups()).unwrap();
    for summary in [&client, &server] {
        assert_eq!(summary.group.name, "X25519MLKEM768");
        assert_eq!(summary.kind, HandshakeKind::Full);
        assert_eq!(summary.hello_retry_request(), HelloRetry::NotNeeded);
        assert_eq!(suite_name(summary.suite), "TLS_AES_256_GCM_SHA384");
        let scheme = Some(SignatureScheme::ECDSA_NISTP256_SHA256);
        assert_eq!(
            (summary.local_scheme, summary.peer_scheme),
            (scheme, scheme)
        );
        assert_eq!(summary.flight_bytes.len(), 3);
    }
    assert_eq!(client.flight_bytes, server.flight_bytes);
    // The hello carries the 1216-byte share, the answer the 1120-byte one.
    assert!(client.flight_bytes[0] > 1216 && client.flight_bytes[1] > 1120);
}

#[test]
fn a_hello_retry_request_is_reported_and_adds_two_flights() {
    let world = World::new();
    let client = world.client(&[&X25519MLKEM768, &SECP256R1MLKEM768]);
    let pair = Pair::run(client, world.server(&[&SECP256R1MLKEM768])).unwrap();
    let policy = KxPolicy::from_names(&["SecP256r1MLKEM768"]).unwrap();
    let summary = pair.summary(Side::Server, policy.groups()).unwrap();
    assert_eq!(summary.hello_retry_request(), HelloRetry::Requested);
    assert_eq!(summary.kind_label(), "full-hrr");
    assert_eq!(summary.flight_bytes.len(), 5);
}

#[test]
fn a_classical_client_meets_no_common_group() {
    let world = World::new();
    let policy = KxPolicy::require_hybrid();
    let refused = Pair::run(
        world.client(&[&X25519, &SECP256R1]),
        world.server(policy.groups()),
    );
    let (side, error) = refused.err().unwrap();
    assert_eq!(side, Side::Server);
    assert_eq!(
        error,
        Error::PeerIncompatible(PeerIncompatible::NoKxGroupsInCommon)
    );
}

#[test]
fn a_group_outside_the_policy_is_refused_after_the_handshake_too() {
    let world = World::new();
    let policy = KxPolicy::require_hybrid();
    for group in [&X25519, &MLKEM1024] {
        let pair = Pair::run(world.client(&[group]), world.server(&[group])).unwrap();
        for side in [Side::Client, Side::Server] {
            assert_eq!(
                pair.summary(side, policy.groups()).err(),
                Some(NegotiationError::Group {
                    negotiated: group.name.to_owned()
                })
            );
        }
    }
}

#[test]
fn an_untrusted_peer_leaves_its_refusal_in_the_observation() {
    let ours = World::new();
    let theirs = World::new();
    let client = ours.client(&[&X25519MLKEM768]);
    let server = theirs.server(&[&X25519MLKEM768]);
    let (side, error) = Pair::run(client, server).err().unwrap();
    assert_eq!(side, Side::Client);
    assert!(matches!(error, Error::InvalidCertificate(_)));
}
