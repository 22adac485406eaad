//! The deny-list and the allow-list, asked after the chain and again later.

use super::*;
use crate::revocation::DenyList;

#[test]
fn the_deny_list_outweighs_the_allow_list_and_names_the_proved_id() {
    let domain = TestDomain::new("example.org");
    let clock = Arc::new(FixedClock::new(NOW));
    let allowed = allow(&["spiffe://example.org/agent"]);
    let mut config = verifier_config(bundles(&[&domain]), allowed, clock);
    let denied = b"spiffe://example.org/agent\nspiffe://example.org/other";
    config.denied = Arc::new(DenyList::parse(denied).unwrap());
    let verifier = PeerVerifier::new(config);
    let refusal = |svid: &TestSvid| verifier.identify(svid.chain(), Role::Client).unwrap_err();

    let error = refusal(&domain.leaf("/agent").issue());
    assert_eq!(error.reason(), "peer-denied");
    assert_eq!(
        error.to_string(),
        "spiffe://example.org/agent is on the deny-list: spiffe://example.org/agent"
    );
    let id = error.proved_id().map(SpiffeId::as_str);
    assert_eq!(id, Some("spiffe://example.org/agent"));
    assert_eq!(error.claimed_id(), None);
    // Neither allowed nor tolerated: the deny-list comes first.
    let other = domain.leaf("/other").issue();
    assert_eq!(refusal(&other).reason(), "peer-denied");
}

/// What is asked when rules change under a connection whose peer was identified long ago.
#[test]
fn the_peer_of_an_open_connection_is_judged_by_both_lists_also_after_its_leaf_expired() {
    let domain = TestDomain::new("example.org");
    let clock = Arc::new(FixedClock::new(NOW));
    let allowed = allow(&["spiffe://example.org/agent"]);
    let config = verifier_config(bundles(&[&domain]), allowed, clock.clone());
    let leaf = domain.leaf("/agent").serial(&[0x80]);
    let svid = leaf.valid(now_plus(-10), now_plus(10)).issue();
    let verifier = PeerVerifier::new(config.clone());
    let peer = verifier.identify(svid.chain(), Role::Client).unwrap();
    assert_eq!(peer.serial(), [0x80]);

    let reason = |verifier: &PeerVerifier| match verifier.judge_open(svid.chain(), Role::Client) {
        Ok(()) => "accepted",
        Err(error) => error.reason(),
    };
    assert_eq!(reason(&verifier), "accepted");
    for (at, expected) in [(10, "accepted"), (11, "accepted"), (-11, "not-yet-valid")] {
        clock.set(now_plus(at));
        assert_eq!(reason(&verifier), expected, "{at}");
    }
    clock.set(now_plus(11));
    let denying = PeerVerifierConfig {
        denied: Arc::new(DenyList::parse(b"serial:80").unwrap()),
        ..config.clone()
    };
    assert_eq!(reason(&PeerVerifier::new(denying)), "peer-denied");
    let edited = PeerVerifierConfig {
        allowed: allow(&["spiffe://example.org/other"]),
        ..config
    };
    assert_eq!(reason(&PeerVerifier::new(edited)), "peer-not-allowed");
}
