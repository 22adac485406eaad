//! Verified chains are used again, and not for longer than they are valid.

use pqlane_certs::testing::{TestDomain, now_plus};
use pqlane_certs::verifier::Role;

use crate::support::{End, shake_hands};

const EVERYBODY: &str = "spiffe://example.org/**";

#[test]
fn a_remembered_peer_keeps_its_identity_until_its_svid_expires() {
    let domain = TestDomain::new("example.org");
    let short = domain.leaf("/client").valid(now_plus(-5), now_plus(60));
    let client = End::new(short.issue(), &[&domain], &[EVERYBODY]);
    let server = End::new(domain.leaf("/server").issue(), &[&domain], &[EVERYBODY]);

    let (_, first) = shake_hands(&client, &server);
    assert_eq!(first.result, Ok(()));
    let before = server
        .verifier
        .identify(&first.peer_chain, Role::Client)
        .unwrap();

    server.clock.set(now_plus(60));
    let (_, again) = shake_hands(&client, &server);
    assert_eq!(again.result, Ok(()));
    assert_eq!(
        server
            .verifier
            .identify(&again.peer_chain, Role::Client)
            .unwrap(),
        before
    );

    server.clock.set(now_plus(61));
    let (_, late) = shake_hands(&client, &server);
    assert_eq!(late.reason(), "expired");
    // What a resumed session has to ask before it goes on.
    let error = server
        .verifier
        .identify(&first.peer_chain, Role::Client)
        .unwrap_err();
    assert_eq!(error.reason(), "expired");
}

#[test]
fn a_new_verifier_remembers_nothing_of_the_old_roots() {
    let (old, new) = (
        TestDomain::new("example.org"),
        TestDomain::new("example.org"),
    );
    let client = End::new(old.leaf("/client").issue(), &[&old], &[EVERYBODY]);
    let server = End::new(old.leaf("/server").issue(), &[&old], &[EVERYBODY]);
    let (_, at_server) = shake_hands(&client, &server);
    assert_eq!(at_server.result, Ok(()));

    let rotated = End::new(old.leaf("/server").issue(), &[&new], &[EVERYBODY]);
    let (_, at_server) = shake_hands(&client, &rotated);
    assert_eq!(at_server.reason(), "untrusted-issuer");
}
