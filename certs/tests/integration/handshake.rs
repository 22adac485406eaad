//! Who is accepted and who is refused, on which side, and why.

use pqlane_certs::authority::KeyKind;
use pqlane_certs::testing::{TestDomain, TestSvid, now_plus};
use pqlane_certs::verifier::Role;
use rustls::{AlertDescription, Error, NamedGroup};

use crate::support::{End, shake_hands};

const CLIENT: &str = "spiffe://example.org/client";
const SERVER: &str = "spiffe://example.org/server";

/// A client and a server of one trust domain that allow each other.
fn pair(domain: &TestDomain) -> (End, End) {
    (
        End::new(domain.leaf("/client").issue(), &[domain], &[SERVER]),
        End::new(domain.leaf("/server").issue(), &[domain], &[CLIENT]),
    )
}

#[test]
fn good_peers_know_each_other_afterwards() {
    let domain = TestDomain::new("example.org");
    let (client, server) = pair(&domain);
    let (at_client, at_server) = shake_hands(&client, &server);
    assert_eq!(at_client.result, Ok(()));
    assert_eq!(at_server.result, Ok(()));
    assert_eq!(at_client.group, Some(NamedGroup::X25519MLKEM768));

    let peer = client
        .verifier
        .identify(&at_client.peer_chain, Role::Server)
        .unwrap();
    assert_eq!(peer.spiffe_id().as_str(), SERVER);
    let peer = server
        .verifier
        .identify(&at_server.peer_chain, Role::Client)
        .unwrap();
    assert_eq!(peer.spiffe_id().as_str(), CLIENT);
}

#[test]
fn every_kind_of_key_works_in_both_roles() {
    for kind in KeyKind::ALL {
        let domain = TestDomain::with_key("example.org", kind);
        let (client, server) = pair(&domain);
        let client = client.showing(domain.leaf("/client").key(kind).issue());
        let server = server.showing(domain.leaf("/server").key(kind).issue());
        let (at_client, at_server) = shake_hands(&client, &server);
        assert_eq!(
            (at_client.result, at_server.result),
            (Ok(()), Ok(())),
            "{kind}"
        );
    }
}

#[test]
fn ml_dsa_65_svids_verify_through_an_intermediate() {
    let domain = TestDomain::with_key("example.org", KeyKind::MlDsa65);
    let (client, server) = pair(&domain);
    let intermediate = domain.root().intermediate("issuing");
    let svid = |id| intermediate.leaf(id).key(KeyKind::MlDsa65).issue();
    let (at_client, at_server) =
        shake_hands(&client.showing(svid(CLIENT)), &server.showing(svid(SERVER)));
    assert_eq!((at_client.result, at_server.result), (Ok(()), Ok(())));
    assert_eq!(at_server.peer_chain.len(), 2);
}

#[test]
fn peers_of_federated_domains_are_judged_by_their_own_roots() {
    let (ours, theirs) = (
        TestDomain::new("example.org"),
        TestDomain::new("example.com"),
    );
    let both = [&ours, &theirs];
    let partner = "spiffe://example.com/client";
    let client = End::new(theirs.leaf("/client").issue(), &both, &[SERVER]);
    let server = End::new(ours.leaf("/server").issue(), &both, &[partner]);
    let (at_client, at_server) = shake_hands(&client, &server);
    assert_eq!((at_client.result, at_server.result), (Ok(()), Ok(())));
    let peer = server
        .verifier
        .identify(&at_server.peer_chain, Role::Client)
        .unwrap();
    assert_eq!(peer.spiffe_id().as_str(), partner);
}

/// Certificates for `id` that break one rule each, and the label of that rule.
fn hostile(ours: &TestDomain, theirs: &TestDomain, id: &str) -> Vec<(TestSvid, &'static str)> {
    let leaf = || ours.root().leaf(id);
    let garbage = theirs.root().certificate().clone();
    vec![
        (leaf().uri_sans(&[]).issue(), "no-uri-san"),
        (leaf().uri_sans(&[id, id]).issue(), "many-uri-sans"),
        (
            leaf().uri_sans(&["https://example.org/"]).issue(),
            "not-a-spiffe-id",
        ),
        (
            leaf().uri_sans(&["spiffe://example.org"]).issue(),
            "spiffe-id-without-path",
        ),
        (leaf().ca().issue(), "leaf-is-ca"),
        (leaf().key_usages(&[]).issue(), "leaf-key-usage"),
        (leaf().valid(now_plus(-9), now_plus(-1)).issue(), "expired"),
        (
            leaf().valid(now_plus(1), now_plus(9)).issue(),
            "not-yet-valid",
        ),
        (
            leaf().unknown_critical_extension().issue(),
            "unhandled-critical-extension",
        ),
        (theirs.root().leaf(id).issue(), "untrusted-issuer"),
        (theirs.leaf("/agent").issue(), "unknown-trust-domain"),
        (
            leaf().issue().with_more(&vec![garbage; 8]),
            "chain-too-long",
        ),
        (ours.leaf("/other").issue(), "peer-not-allowed"),
    ]
}

#[test]
fn hostile_servers_are_refused_by_the_client() {
    let (ours, theirs) = (
        TestDomain::new("example.org"),
        TestDomain::new("example.com"),
    );
    let (client, server) = pair(&ours);
    let mut certificates = hostile(&ours, &theirs, SERVER);
    certificates.push((
        ours.leaf("/server").client_auth_only().issue(),
        "wrong-purpose",
    ));
    for (svid, reason) in certificates {
        let (at_client, at_server) = shake_hands(&client, &server.showing(svid));
        assert_eq!(at_client.reason(), reason);
        assert_eq!(at_server.result, Err(alert()), "{reason}");
    }
}

#[test]
fn hostile_clients_are_refused_by_the_server() {
    let (ours, theirs) = (
        TestDomain::new("example.org"),
        TestDomain::new("example.com"),
    );
    let (client, server) = pair(&ours);
    let mut certificates = hostile(&ours, &theirs, CLIENT);
    certificates.push((
        ours.leaf("/client").server_auth_only().issue(),
        "wrong-purpose",
    ));
    for (svid, reason) in certificates {
        let (at_client, at_server) = shake_hands(&client.showing(svid), &server);
        assert_eq!(at_server.reason(), reason);
        assert_eq!(at_client.result, Err(alert()), "{reason}");
    }
}

/// On the wire every refusal is the same: a peer learns from it that it was refused, not why.
fn alert() -> Error {
    Error::AlertReceived(AlertDescription::CertificateUnknown)
}

#[test]
fn clients_without_a_certificate_are_refused() {
    let domain = TestDomain::new("example.org");
    let (mut client, server) = pair(&domain);
    client.svid = None;
    let (_, at_server) = shake_hands(&client, &server);
    assert_eq!(at_server.reason(), "no-certificate");
}

#[test]
fn an_empty_allow_list_refuses_everybody() {
    let domain = TestDomain::new("example.org");
    let (client, _) = pair(&domain);
    let server = End::new(domain.leaf("/server").issue(), &[&domain], &[]);
    let (_, at_server) = shake_hands(&client, &server);
    assert_eq!(at_server.reason(), "peer-not-allowed");
}
