use std::sync::Arc;

use super::super::chain::verify;
use super::super::{PeerVerifier, PeerVerifierConfig};
use super::*;
use crate::bundle::TrustBundles;
use crate::clock::FixedClock;
use crate::revocation::DenyList;
use crate::testing::{
    NOW, TestDomain, TestSvid, allow, bundles, now_plus, provider, verifier_config,
};
use rustls_pki_types::CertificateDer;

struct Fixture {
    domain: TestDomain,
    bundles: Arc<TrustBundles>,
    config: PeerVerifierConfig,
    verifier: PeerVerifier,
    clock: Arc<FixedClock>,
}

fn fixture() -> Fixture {
    let domain = TestDomain::new("example.org");
    let bundles = bundles(&[&domain]);
    let clock = Arc::new(FixedClock::new(NOW));
    let allowed = allow(&["spiffe://example.org/**"]);
    let config = verifier_config(bundles.clone(), allowed, clock.clone());
    Fixture {
        domain,
        bundles,
        verifier: PeerVerifier::new(config.clone()),
        config,
        clock,
    }
}

impl Fixture {
    fn cached(&self) -> usize {
        self.config.cache.len()
    }

    fn identify(&self, svid: &TestSvid) -> PeerIdentity {
        self.verifier.identify(svid.chain(), Role::Client).unwrap()
    }

    fn reason(&self, svid: &TestSvid) -> &'static str {
        let refused = self.verifier.identify(svid.chain(), Role::Client);
        refused.unwrap_err().reason()
    }

    fn reason_as(&self, svid: &TestSvid, role: Role) -> Option<&'static str> {
        let chain = PresentedChain::split(svid.chain()).unwrap();
        let verified = self
            .verifier
            .verify_chain(&chain, role, self.verifier.config.clock.now());
        verified.err().map(|error| error.reason())
    }

    /// The key of this chain, for a client.
    fn key(&self, svid: &TestSvid) -> ChainKey {
        let chain = PresentedChain::split(svid.chain()).unwrap();
        let bundle = self.bundles.bundle(self.domain.trust_domain()).unwrap();
        ChainKey::new(&chain, Role::Client, bundle, &self.config.algorithms)
    }
}

#[test]
fn remembers_verified_chains_for_their_role_and_no_refusals() {
    let fixture = fixture();
    let domain = &fixture.domain;
    let server = domain.leaf("/agent").server_auth_only().issue();
    assert_eq!(fixture.reason_as(&server, Role::Server), None);
    assert_eq!(fixture.cached(), 1);
    // What verified for a server is not accepted from a client.
    assert_eq!(
        fixture.reason_as(&server, Role::Client),
        Some("wrong-purpose")
    );
    fixture.reason(&domain.leaf("/agent").ca().issue());
    assert_eq!(fixture.cached(), 1);
}

#[test]
fn remembered_chains_end_with_the_first_certificate_to_expire() {
    let fixture = fixture();
    let domain = &fixture.domain;
    let until = |secs: u64| {
        let secs = i64::try_from(NOW.as_secs() + secs).unwrap();
        time::OffsetDateTime::from_unix_timestamp(secs).unwrap()
    };
    let short = domain
        .root()
        .intermediate_with("short", |params| params.not_after = until(50));
    let svid = short
        .leaf("spiffe://example.org/agent")
        .valid(now_plus(-10), now_plus(100))
        .issue();
    let first = fixture.identify(&svid);
    fixture.clock.set(now_plus(50));
    assert_eq!(fixture.identify(&svid), first);
    fixture.clock.set(now_plus(51));
    assert_eq!(fixture.reason(&svid), "issuer-expired");
    fixture.clock.set(now_plus(101));
    assert_eq!(fixture.reason(&svid), "expired");
    fixture.clock.set(now_plus(-11));
    assert_eq!(fixture.reason(&svid), "not-yet-valid");
    fixture.clock.set(NOW);
    assert_eq!(fixture.identify(&svid), first);
}

#[test]
fn remembered_chains_are_found_by_every_byte_and_boundary() {
    let der = |bytes: &[u8]| CertificateDer::from(bytes.to_vec());
    let digest = |chain: &[CertificateDer<'_>]| PresentedChain::split(chain).unwrap().digest();
    let chains = [
        vec![der(b"ab")],
        vec![der(b"a"), der(b"b")],
        vec![der(b"b"), der(b"a")],
        vec![der(b"ab"), der(b"")],
        vec![der(b"ac")],
    ];
    for (index, chain) in chains.iter().enumerate() {
        assert_eq!(digest(chain), digest(&chain.clone()));
        for other in &chains[index + 1..] {
            assert_ne!(digest(chain), digest(other), "{chain:?} {other:?}");
        }
    }
}

#[test]
fn a_full_memory_forgets_its_oldest_chain() {
    let fixture = fixture();
    let domain = &fixture.domain;
    let algorithms = &provider().signature_verification_algorithms;
    let role = Role::Client;
    let chain = || {
        let svid = domain.leaf("/agent").issue();
        let chain = PresentedChain::split(svid.chain()).unwrap();
        let verified = verify(&chain, role, &fixture.bundles, algorithms, NOW).unwrap();
        (fixture.key(&svid), verified)
    };
    let cache = ChainCache::new(2);
    let [a, b, c] = [chain(), chain(), chain()];
    for (key, verified) in [&a, &b, &a, &c] {
        cache.remember(key.clone(), verified.clone());
    }
    assert_eq!(cache.len(), 2);
    assert_eq!(cache.find(&a.0, NOW), None);
    assert_eq!(cache.find(&b.0, NOW), Some(b.1.identity));
    assert_eq!(cache.find(&c.0, NOW), Some(c.1.identity));
}

/// An entry that must not be there is found under its own key and under no other.
#[test]
fn every_part_of_the_key_keeps_an_entry_from_those_it_was_not_made_for() {
    let fixture = fixture();
    let svid = fixture.domain.leaf("/agent").issue();
    let chain = PresentedChain::split(svid.chain()).unwrap();
    let algorithms = fixture.config.algorithms;
    let poison = verify(&chain, Role::Client, &fixture.bundles, &algorithms, NOW).unwrap();
    let key = fixture.key(&svid);
    let cache = ChainCache::new(8);
    cache.remember(key.clone(), poison);
    assert!(cache.find(&key, NOW).is_some());

    let others = [
        ChainKey {
            role: Role::Server,
            ..key.clone()
        },
        ChainKey {
            chain: [1; 32],
            ..key.clone()
        },
        ChainKey {
            trust_domain: "example.com".parse().unwrap(),
            ..key.clone()
        },
        ChainKey {
            bundle: [1; 32],
            ..key.clone()
        },
        ChainKey {
            crls: [1; 32],
            ..key.clone()
        },
        ChainKey {
            profile: AlgorithmProfile::of(&ML_DSA_ONLY),
            ..key
        },
    ];
    for other in others {
        assert_eq!(cache.find(&other, NOW), None, "{other:?}");
    }
}

/// A profile that accepts less: nothing signed with ECDSA.
static ML_DSA_ONLY: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[webpki::aws_lc_rs::ML_DSA_87],
    mapping: &[],
};

/// Verifiers that share a memory and judge differently: what one accepted, the other must not.
#[test]
fn a_shared_memory_is_no_way_around_another_verifiers_rules() {
    let Fixture { domain, config, .. } = fixture();
    let server = domain.leaf("/agent").server_auth_only().issue();
    let serial = [7];
    let svid = domain.leaf("/agent").serial(&serial).issue();
    let reason = |config: PeerVerifierConfig, svid: &TestSvid, role| {
        let identified = PeerVerifier::new(config).identify(svid.chain(), role);
        identified.map_or_else(|error| error.reason(), |_peer| "accepted")
    };
    for (svid, role) in [(&server, Role::Server), (&svid, Role::Client)] {
        assert_eq!(reason(config.clone(), svid, role), "accepted");
    }
    assert_eq!(config.cache.len(), 2);

    assert_eq!(
        reason(config.clone(), &server, Role::Client),
        "wrong-purpose"
    );
    let refused = |change: &dyn Fn(&mut PeerVerifierConfig)| {
        let mut changed = config.clone();
        change(&mut changed);
        reason(changed, &svid, Role::Client)
    };
    let one_bundle = |bundle| {
        let mut bundles = TrustBundles::new();
        bundles.insert(bundle).unwrap();
        Arc::new(bundles)
    };
    // The trust domain has other roots now, or none.
    let renewed = TestDomain::new("example.org");
    let reason = refused(&|config| config.bundles = bundles(&[&renewed]));
    assert_eq!(reason, "untrusted-issuer");
    let reason = refused(&|config| config.bundles = bundles(&[]));
    assert_eq!(reason, "unknown-trust-domain");
    // Its root has revoked the leaf since.
    let crl = domain.root().crl(&[&serial], now_plus(-5), now_plus(5));
    let revoking = domain.bundle_with([crl]);
    let reason = refused(&|config| config.bundles = one_bundle(revoking.clone()));
    assert_eq!(reason, "revoked");
    // A profile without ECDSA.
    let reason = refused(&|config| config.algorithms = ML_DSA_ONLY);
    assert_eq!(reason, "untrusted-issuer");
    // The lists are asked each time.
    let reason = refused(&|config| config.allowed = allow(&["spiffe://example.org/other"]));
    assert_eq!(reason, "peer-not-allowed");
    let denied = DenyList::parse(b"serial:07").unwrap();
    let reason = refused(&|config| config.denied = Arc::new(denied.clone()));
    assert_eq!(reason, "peer-denied");

    assert_eq!(config.cache.len(), 2);
    assert_eq!(refused(&|_unchanged| ()), "accepted");
}

#[test]
fn a_memory_of_no_capacity_remembers_nothing() {
    let Fixture { domain, config, .. } = fixture();
    let config = PeerVerifierConfig {
        cache: Arc::new(ChainCache::new(0)),
        ..config
    };
    let svid = domain.leaf("/agent").issue();
    let verifier = PeerVerifier::new(config.clone());
    assert!(verifier.identify(svid.chain(), Role::Client).is_ok());
    assert!(config.cache.is_empty());
}

#[test]
fn chains_of_some_can_be_forgotten_and_those_of_others_stay() {
    let fixture = fixture();
    let struck_off = fixture.domain.leaf("/struck-off").issue();
    let other = fixture.domain.leaf("/other").issue();
    let gone = fixture.identify(&struck_off);
    fixture.identify(&other);
    assert_eq!(fixture.cached(), 2);
    fixture.config.cache.forget(|identity| *identity == gone);
    assert_eq!(fixture.cached(), 1);
    fixture.identify(&other);
    assert_eq!(fixture.cached(), 1);
    fixture.identify(&struck_off);
    assert_eq!(fixture.cached(), 2);
}
