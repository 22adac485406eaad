//! Who was trusted and is no longer: refused in the handshake, and when asked again after it.

use std::sync::Arc;

use pqlane_certs::bundle::TrustBundles;
use pqlane_certs::revocation::DenyList;
use pqlane_certs::spiffe_id::SpiffeId;
use pqlane_certs::testing::{NOW, TestDomain, allow, bundles, now_plus, verifier_config};
use pqlane_certs::verifier::{PeerVerifier, PeerVerifierConfig, Role};
use pqlane_certs::{clock::FixedClock, testing::TestSvid};

use crate::support::{End, shake_hands};

const SERIAL: [u8; 2] = [0x0a, 0x1b];

fn config(domain: &TestDomain) -> PeerVerifierConfig {
    let clock = Arc::new(FixedClock::new(NOW));
    verifier_config(
        bundles(&[domain]),
        allow(&["spiffe://example.org/**"]),
        clock,
    )
}

fn revoking(domain: &TestDomain) -> Arc<TrustBundles> {
    let crl = domain.root().crl(&[&SERIAL], now_plus(-5), now_plus(5));
    let mut bundles = TrustBundles::new();
    bundles.insert(domain.bundle_with([crl])).unwrap();
    Arc::new(bundles)
}

fn denying() -> Arc<DenyList> {
    Arc::new(DenyList::parse(b"spiffe://example.org/client").unwrap())
}

struct World {
    domain: TestDomain,
    client: End,
    server: End,
}

fn world() -> World {
    let domain = TestDomain::new("example.org");
    let svid = |path| -> TestSvid { domain.leaf(path).serial(&SERIAL).issue() };
    let everybody = ["spiffe://example.org/**"];
    let client = End::new(svid("/client"), &[&domain], &everybody);
    let server = End::new(domain.leaf("/server").issue(), &[&domain], &everybody);
    World {
        client,
        server,
        domain,
    }
}

impl World {
    fn server_with(&self, config: PeerVerifierConfig) -> End {
        End {
            verifier: Arc::new(PeerVerifier::new(config)),
            ..self.server.clone()
        }
    }
}

#[test]
fn a_revoked_peer_is_refused_before_it_has_proved_anything() {
    let world = world();
    let server = world.server_with(PeerVerifierConfig {
        bundles: revoking(&world.domain),
        ..config(&world.domain)
    });
    let (at_client, at_server) = shake_hands(&world.client, &server);
    let refusal = at_server.refusal();
    assert_eq!(refusal.reason(), "revoked");
    assert_eq!(refusal.proved_id(), None);
    assert!(at_client.result.is_err());
}

#[test]
fn a_denied_peer_is_named_once_it_has_proved_who_it_is() {
    let world = world();
    let server = world.server_with(PeerVerifierConfig {
        denied: denying(),
        ..config(&world.domain)
    });
    let (_, at_server) = shake_hands(&world.client, &server);
    let refusal = at_server.refusal();
    assert_eq!(refusal.reason(), "peer-denied");
    let proved = refusal.proved_id().map(SpiffeId::as_str);
    assert_eq!(proved, Some("spiffe://example.org/client"));

    // Whoever only shows its certificates proves nothing, and is nobody.
    let attacker = world.domain.leaf("/attacker").issue();
    let victim = world.client.svid.clone().unwrap();
    let forged = world.client.showing(victim.with_key_of(&attacker));
    let (_, at_server) = shake_hands(&forged, &server);
    let refusal = at_server.refusal();
    assert_eq!(refusal.reason(), "bad-signature");
    assert_eq!((refusal.proved_id(), refusal.claimed_id()), (None, None));
}

/// A session that is resumed, or a connection that stays open, is judged by what is known now.
#[test]
fn a_peer_that_was_accepted_is_refused_when_asked_again_after_each_change() {
    let world = world();
    let before = config(&world.domain);
    let server = world.server_with(before.clone());
    let (_, at_server) = shake_hands(&world.client, &server);
    assert_eq!(at_server.result, Ok(()));
    let chain = at_server.peer_chain;
    let peer = server.verifier.identify(&chain, Role::Client).unwrap();

    let renewed = TestDomain::new("example.org");
    let changes: [(PeerVerifierConfig, &str); 5] = [
        (
            PeerVerifierConfig {
                bundles: revoking(&world.domain),
                ..before.clone()
            },
            "revoked",
        ),
        (
            PeerVerifierConfig {
                bundles: bundles(&[&renewed]),
                ..before.clone()
            },
            "untrusted-issuer",
        ),
        (
            PeerVerifierConfig {
                bundles: bundles(&[]),
                ..before.clone()
            },
            "unknown-trust-domain",
        ),
        (
            PeerVerifierConfig {
                denied: denying(),
                ..before.clone()
            },
            "peer-denied",
        ),
        (
            PeerVerifierConfig {
                allowed: allow(&["spiffe://example.org/other"]),
                ..before.clone()
            },
            "peer-not-allowed",
        ),
    ];
    for (changed, reason) in changes {
        let verifier = PeerVerifier::new(changed);
        let error = verifier.identify(&chain, Role::Client).unwrap_err();
        assert_eq!(error.reason(), reason);
    }
    assert_eq!(
        server.verifier.identify(&chain, Role::Client).unwrap(),
        peer
    );
}

#[test]
fn a_peer_that_outlives_its_leaf_is_still_revoked_and_denied() {
    let domain = TestDomain::new("example.org");
    let leaf = domain.leaf("/client").serial(&SERIAL);
    let chain = leaf.valid(now_plus(-60), now_plus(-1)).issue();
    let chain = chain.chain();
    let now = config(&domain);
    let expired = PeerVerifier::new(now.clone());
    let error = expired.identify(chain, Role::Client).unwrap_err();
    assert_eq!(error.reason(), "expired");
    expired.judge_open(chain, Role::Client).unwrap();
    let changes = [
        (
            PeerVerifierConfig {
                bundles: revoking(&domain),
                ..now.clone()
            },
            "revoked",
        ),
        (
            PeerVerifierConfig {
                denied: denying(),
                ..now.clone()
            },
            "peer-denied",
        ),
    ];
    for (changed, reason) in changes {
        let verifier = PeerVerifier::new(changed);
        let error = verifier.judge_open(chain, Role::Client).unwrap_err();
        assert_eq!(error.reason(), reason);
    }
}
