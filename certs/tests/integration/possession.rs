//! Whoever shows the certificates of another must not be taken, or recorded, for that other.

use pqlane_certs::spiffe_id::SpiffeId;
use pqlane_certs::testing::TestDomain;

use crate::support::{End, shake_hands};

const EVERYBODY: &str = "spiffe://example.org/**";
const NOBODY_HERE: &str = "spiffe://example.org/somebody/else";

struct Victim {
    domain: TestDomain,
    /// The victim's chain with a key that the victim does not have.
    forged: pqlane_certs::testing::TestSvid,
}

fn victim() -> Victim {
    let domain = TestDomain::new("example.org");
    let (victim, attacker) = (domain.leaf("/victim"), domain.leaf("/attacker"));
    let forged = victim.issue().with_key_of(&attacker.issue());
    Victim { domain, forged }
}

#[test]
fn a_replayed_client_chain_is_a_bad_signature_whether_or_not_the_victim_is_allowed() {
    for allowed in [EVERYBODY, NOBODY_HERE] {
        let Victim { domain, forged } = victim();
        let client = End::new(forged, &[&domain], &[EVERYBODY]);
        let server = End::new(domain.leaf("/server").issue(), &[&domain], &[allowed]);
        let (at_client, at_server) = shake_hands(&client, &server);
        let refusal = at_server.refusal();
        assert_eq!(refusal.reason(), "bad-signature", "{allowed}");
        assert_eq!((refusal.proved_id(), refusal.claimed_id()), (None, None));
        assert!(!refusal.to_string().contains("victim"), "{refusal}");
        assert!(at_client.result.is_err());
    }
}

#[test]
fn a_replayed_server_chain_is_a_bad_signature_whether_or_not_the_victim_is_allowed() {
    for allowed in [EVERYBODY, NOBODY_HERE] {
        let Victim { domain, forged } = victim();
        let client = End::new(domain.leaf("/client").issue(), &[&domain], &[allowed]);
        let server = End::new(forged, &[&domain], &[EVERYBODY]);
        let (at_client, at_server) = shake_hands(&client, &server);
        let refusal = at_client.refusal();
        assert_eq!(refusal.reason(), "bad-signature", "{allowed}");
        assert_eq!((refusal.proved_id(), refusal.claimed_id()), (None, None));
        assert!(at_server.result.is_err());
    }
}

#[test]
fn a_peer_that_proves_who_it_is_and_is_not_allowed_is_named() {
    let domain = TestDomain::new("example.org");
    let client = End::new(domain.leaf("/client").issue(), &[&domain], &[EVERYBODY]);
    let server = End::new(domain.leaf("/server").issue(), &[&domain], &[NOBODY_HERE]);
    let (_, at_server) = shake_hands(&client, &server);
    let refusal = at_server.refusal();
    assert_eq!(refusal.reason(), "peer-not-allowed");
    let proved = refusal.proved_id().map(SpiffeId::as_str);
    assert_eq!(proved, Some("spiffe://example.org/client"));

    // The other way round.
    let client = End::new(domain.leaf("/client").issue(), &[&domain], &[NOBODY_HERE]);
    let (at_client, _) = shake_hands(&client, &server);
    let refusal = at_client.refusal();
    assert_eq!(refusal.reason(), "peer-not-allowed");
    let proved = refusal.proved_id().map(SpiffeId::as_str);
    assert_eq!(proved, Some("spiffe://example.org/server"));
}

/// Remembering the victim's chain must not save the attacker the proof.
#[test]
fn a_replayed_chain_that_is_remembered_is_a_bad_signature() {
    let domain = TestDomain::new("example.org");
    let victim = domain.leaf("/victim").issue();
    let attacker = domain.leaf("/attacker").issue();
    let client = End::new(victim.clone(), &[&domain], &[EVERYBODY]);
    let server = End::new(domain.leaf("/server").issue(), &[&domain], &[EVERYBODY]);
    let (_, at_server) = shake_hands(&client, &server);
    assert_eq!(at_server.result, Ok(()));

    let forged = client.showing(victim.with_key_of(&attacker));
    let (_, at_server) = shake_hands(&forged, &server);
    assert_eq!(at_server.reason(), "bad-signature");
}

/// An unproved certificate that is refused earlier carries a claim, never a proved ID.
#[test]
fn refusals_before_the_proof_carry_a_claim_only() {
    let (ours, impostor) = (
        TestDomain::new("example.org"),
        TestDomain::new("example.org"),
    );
    let client = End::new(impostor.leaf("/victim").issue(), &[&ours], &[EVERYBODY]);
    let server = End::new(ours.leaf("/server").issue(), &[&ours], &[EVERYBODY]);
    let (_, at_server) = shake_hands(&client, &server);
    let refusal = at_server.refusal();
    assert_eq!(refusal.reason(), "untrusted-issuer");
    assert_eq!(refusal.proved_id(), None);
    let claimed = refusal.claimed_id().map(SpiffeId::as_str);
    assert_eq!(claimed, Some("spiffe://example.org/victim"));
}
