mod lists;
mod uri_constraints;

use rcgen::{BasicConstraints, IsCa, KeyUsagePurpose};

use super::*;
use crate::authority::KeyKind;
use crate::bundle::TrustBundle;
use crate::clock::FixedClock;
use crate::spiffe_id::SpiffeId;
use crate::testing::{NOW, TestDomain, TestSvid, allow, bundles, now_plus, verifier_config};

struct Fixture {
    verifier: PeerVerifier,
}

/// A verifier that trusts these domains and allows every SVID of example.org.
fn trusting(bundles: Arc<TrustBundles>) -> Fixture {
    let clock = Arc::new(FixedClock::new(NOW));
    let allowed = allow(&["spiffe://example.org/**"]);
    Fixture {
        verifier: PeerVerifier::new(verifier_config(bundles, allowed, clock)),
    }
}

impl Fixture {
    fn reason(&self, svid: &TestSvid) -> &'static str {
        self.refusal(svid).reason()
    }

    fn refusal(&self, svid: &TestSvid) -> PeerError {
        self.verifier
            .identify(svid.chain(), Role::Client)
            .unwrap_err()
    }

    fn reason_as(&self, svid: &TestSvid, role: Role) -> Option<&'static str> {
        let chain = PresentedChain::split(svid.chain()).unwrap();
        let verified = self
            .verifier
            .verify_chain(&chain, role, self.verifier.config.clock.now());
        verified.err().map(|error| error.reason())
    }
}

#[test]
fn identifies_a_good_peer() {
    let domain = TestDomain::new("example.org");
    let svid = domain
        .leaf("/agent")
        .valid(now_plus(-10), now_plus(10))
        .issue();
    let fixture = trusting(bundles(&[&domain]));
    let peer = fixture
        .verifier
        .identify(svid.chain(), Role::Client)
        .unwrap();
    assert_eq!(peer.spiffe_id().as_str(), "spiffe://example.org/agent");
    assert_eq!(peer.not_before(), now_plus(-10));
    assert_eq!(peer.not_after(), now_plus(10));
    assert_eq!(
        *peer.leaf_thumbprint(),
        crate::leaf::sha256(&svid.chain()[0])
    );
}

#[test]
fn identifies_peers_with_every_kind_of_key_under_every_kind_of_root() {
    for root in KeyKind::ALL {
        let domain = TestDomain::with_key("example.org", root);
        let fixture = trusting(bundles(&[&domain]));
        for leaf in KeyKind::ALL {
            let svid = domain.leaf("/agent").key(leaf).issue();
            assert!(
                fixture
                    .verifier
                    .identify(svid.chain(), Role::Client)
                    .is_ok(),
                "{leaf} under {root}"
            );
        }
    }
}

#[test]
fn follows_intermediates_in_any_order() {
    let domain = TestDomain::new("example.org");
    let outer = domain.root().intermediate("outer");
    let inner = outer.intermediate("inner");
    let svid = inner.leaf("spiffe://example.org/agent").issue();
    assert_eq!(svid.chain().len(), 3);
    let fixture = trusting(bundles(&[&domain]));
    assert!(
        fixture
            .verifier
            .identify(svid.chain(), Role::Client)
            .is_ok()
    );

    let mut swapped = svid.chain().to_vec();
    swapped.swap(1, 2);
    assert!(fixture.verifier.identify(&swapped, Role::Client).is_ok());
    let without = &svid.chain()[..2];
    let error = fixture
        .verifier
        .identify(without, Role::Client)
        .unwrap_err();
    assert_eq!(error.reason(), "untrusted-issuer");
}

#[test]
fn refuses_nothing_at_all() {
    let fixture = trusting(bundles(&[]));
    let error = fixture.verifier.identify(&[], Role::Client).unwrap_err();
    assert_eq!(error.reason(), "no-certificate");
}

#[test]
fn refuses_nine_certificates_before_parsing_them() {
    let domain = TestDomain::new("example.org");
    let good = domain.leaf("/agent").issue();
    let garbage = CertificateDer::from(vec![0; 4]);
    let fixture = trusting(bundles(&[&domain]));
    let nine = good.with_more(&vec![garbage.clone(); 8]);
    assert!(matches!(
        fixture.refusal(&nine),
        PeerError::ChainTooLong { count: 9 }
    ));
    let eight = good.with_more(&vec![garbage; 7]);
    assert!(
        fixture
            .verifier
            .identify(eight.chain(), Role::Client)
            .is_ok()
    );
}

#[test]
fn refuses_leaves_that_break_an_svid_rule() {
    let domain = TestDomain::new("example.org");
    let fixture = trusting(bundles(&[&domain]));
    let two = ["spiffe://example.org/a", "spiffe://example.org/b"];
    let hostile = [
        (domain.leaf("/agent").uri_sans(&[]), "no-uri-san"),
        (domain.leaf("/agent").uri_sans(&two), "many-uri-sans"),
        (domain.leaf("/agent").ca(), "leaf-is-ca"),
        (domain.leaf("/agent").key_usages(&[]), "leaf-key-usage"),
    ];
    for (leaf, reason) in hostile {
        assert_eq!(fixture.reason(&leaf.issue()), reason);
    }
}

#[test]
fn refuses_trust_domains_without_a_bundle() {
    let (ours, theirs) = (
        TestDomain::new("example.org"),
        TestDomain::new("example.com"),
    );
    let fixture = trusting(bundles(&[&ours]));
    let error = fixture.refusal(&theirs.leaf("/agent").issue());
    assert_eq!(error.reason(), "unknown-trust-domain");
    assert!(error.to_string().contains("example.org"), "{error}");
}

/// The roots of a federated domain must not vouch for our own IDs.
#[test]
fn refuses_our_id_under_the_root_of_another_domain() {
    let (ours, theirs) = (
        TestDomain::new("example.org"),
        TestDomain::new("example.com"),
    );
    let fixture = trusting(bundles(&[&ours, &theirs]));
    let forged = theirs.root().leaf("spiffe://example.org/agent").issue();
    assert_eq!(fixture.reason(&forged), "untrusted-issuer");

    let intermediate = theirs.root().intermediate("issuing");
    let forged = intermediate.leaf("spiffe://example.org/agent").issue();
    assert_eq!(fixture.reason(&forged), "untrusted-issuer");
}

#[test]
fn refuses_a_root_of_the_same_name_with_another_key() {
    let (ours, impostor) = (
        TestDomain::new("example.org"),
        TestDomain::new("example.org"),
    );
    let fixture = trusting(bundles(&[&ours]));
    let error = fixture.refusal(&impostor.leaf("/agent").issue());
    assert_eq!(error.reason(), "untrusted-issuer");
    assert_eq!(error.proved_id(), None);
    assert_eq!(
        error.claimed_id().map(SpiffeId::as_str),
        Some("spiffe://example.org/agent")
    );
}

#[test]
fn refuses_expired_and_not_yet_valid_leaves() {
    let domain = TestDomain::new("example.org");
    let fixture = trusting(bundles(&[&domain]));
    let past = domain.leaf("/agent").valid(now_plus(-60), now_plus(-1));
    assert_eq!(fixture.reason(&past.issue()), "expired");
    let future = domain.leaf("/agent").valid(now_plus(1), now_plus(60));
    assert_eq!(fixture.reason(&future.issue()), "not-yet-valid");
    let this_second = domain.leaf("/agent").valid(NOW, NOW).issue();
    assert!(
        fixture
            .verifier
            .identify(this_second.chain(), Role::Client)
            .is_ok()
    );
}

#[test]
fn refuses_expired_and_not_yet_valid_intermediates() {
    let domain = TestDomain::new("example.org");
    let fixture = trusting(bundles(&[&domain]));
    let reason = |from: i64, until: i64| {
        let date = |secs| {
            let secs = i64::try_from(now_plus(secs).as_secs()).unwrap();
            time::OffsetDateTime::from_unix_timestamp(secs).unwrap()
        };
        let intermediate = domain.root().intermediate_with("issuing", |params| {
            params.not_before = date(from);
            params.not_after = date(until);
        });
        fixture.reason(&intermediate.leaf("spiffe://example.org/agent").issue())
    };
    assert_eq!(reason(-60, -1), "issuer-expired");
    assert_eq!(reason(1, 60), "issuer-not-yet-valid");
}

/// Trust anchors have no dates in RFC 5280 §6; an expired root is refused here all the same.
#[test]
fn refuses_expired_roots_unless_a_renewed_one_is_there() {
    let domain = TestDomain::new("example.org");
    let svid = domain.leaf("/agent").issue();
    let root = |from, until| domain.root().renewed(now_plus(from), now_plus(until));
    let (old, current, next) = (root(-60, -1), root(-30, 30), root(1, 60));
    let with_roots = |roots: &[&crate::testing::TestIssuer]| {
        let pem: String = roots.iter().map(|root| root.certificate_pem()).collect();
        let bundle = TrustBundle::from_pem(domain.trust_domain().clone(), pem.as_bytes()).unwrap();
        let mut bundles = TrustBundles::new();
        bundles.insert(bundle).unwrap();
        trusting(Arc::new(bundles))
    };
    assert_eq!(with_roots(&[&old]).reason(&svid), "issuer-expired");
    assert_eq!(with_roots(&[&next]).reason(&svid), "issuer-not-yet-valid");
    let renewed = with_roots(&[&old, &next, &current]);
    assert!(
        renewed
            .verifier
            .identify(svid.chain(), Role::Client)
            .is_ok()
    );
}

#[test]
fn refuses_intermediates_that_may_not_sign_certificates() {
    let domain = TestDomain::new("example.org");
    let fixture = trusting(bundles(&[&domain]));
    for usages in [vec![KeyUsagePurpose::CrlSign], vec![]] {
        let intermediate = domain.root().intermediate_with("issuing", |params| {
            params.key_usages = usages;
        });
        let svid = intermediate.leaf("spiffe://example.org/agent").issue();
        assert_eq!(fixture.reason(&svid), "issuer-key-usage");
    }
}

#[test]
fn refuses_leaves_that_act_as_issuers() {
    let domain = TestDomain::new("example.org");
    let fixture = trusting(bundles(&[&domain]));
    let leaf = domain.root().intermediate_with("leaf", |params| {
        params.is_ca = IsCa::ExplicitNoCa;
    });
    let svid = leaf.leaf("spiffe://example.org/agent").issue();
    assert_eq!(fixture.reason(&svid), "invalid-path");
}

#[test]
fn refuses_more_intermediates_than_a_path_length_permits() {
    let domain = TestDomain::new("example.org");
    let fixture = trusting(bundles(&[&domain]));
    let last = domain.root().intermediate_with("last", |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    });
    let good = last.leaf("spiffe://example.org/agent").issue();
    assert!(
        fixture
            .verifier
            .identify(good.chain(), Role::Client)
            .is_ok()
    );
    let beyond = last.intermediate("beyond");
    let svid = beyond.leaf("spiffe://example.org/agent").issue();
    assert_eq!(fixture.reason(&svid), "invalid-path");
}

#[test]
fn refuses_unknown_critical_extensions() {
    let domain = TestDomain::new("example.org");
    let fixture = trusting(bundles(&[&domain]));
    let leaf = domain.leaf("/agent").unknown_critical_extension();
    assert_eq!(
        fixture.reason(&leaf.issue()),
        "unhandled-critical-extension"
    );
}

#[test]
fn refuses_leaves_for_the_other_role_only() {
    let domain = TestDomain::new("example.org");
    let fixture = trusting(bundles(&[&domain]));
    let server = domain.leaf("/agent").server_auth_only().issue();
    let client = domain.leaf("/agent").client_auth_only().issue();
    let unsaid = domain.leaf("/agent").extended_key_usages(&[]).issue();
    for (role, good, bad) in [
        (Role::Client, &client, &server),
        (Role::Server, &server, &client),
    ] {
        assert_eq!(fixture.reason_as(good, role), None);
        assert_eq!(fixture.reason_as(&unsaid, role), None);
        assert_eq!(fixture.reason_as(bad, role), Some("wrong-purpose"));
    }
}

#[test]
fn refuses_peers_that_are_not_allowed_and_says_who_is() {
    let (ours, theirs) = (
        TestDomain::new("example.org"),
        TestDomain::new("example.com"),
    );
    let fixture = trusting(bundles(&[&ours, &theirs]));
    let error = fixture.refusal(&theirs.leaf("/agent").issue());
    assert_eq!(error.reason(), "peer-not-allowed");
    assert_eq!(
        error.to_string(),
        "spiffe://example.com/agent is not allowed here; allowed: spiffe://example.org/**"
    );
    assert_eq!(error.claimed_id(), None);
    assert_eq!(
        error.proved_id().map(SpiffeId::as_str),
        Some("spiffe://example.com/agent")
    );
}

#[test]
fn an_empty_allow_list_refuses_everybody() {
    let domain = TestDomain::new("example.org");
    let clock = Arc::new(FixedClock::new(NOW));
    let nobody = AllowList::default();
    let verifier = PeerVerifier::new(verifier_config(bundles(&[&domain]), nobody, clock));
    let svid = domain.leaf("/agent").issue();
    let error = verifier.identify(svid.chain(), Role::Client).unwrap_err();
    assert_eq!(error.reason(), "peer-not-allowed");
    assert!(error.to_string().ends_with("allowed: nobody"), "{error}");
}
