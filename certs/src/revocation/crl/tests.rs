use std::sync::Arc;

use rcgen::{
    CertificateParams, CrlDistributionPoint, CrlIssuingDistributionPoint, KeyIdMethod,
    KeyUsagePurpose,
};
use rustls_pki_types::CertificateRevocationListDer;

use super::*;
use crate::bundle::{BundleError, BundleWarning, TrustBundle, TrustBundles};
use crate::clock::FixedClock;
use crate::testing::{
    NOW, TestDomain, TestIssuer, TestSvid, allow, key_pair, now_plus, provider, verifier_config,
};
use crate::verifier::{PeerError, PeerIdentity, PeerVerifier, Role};

const SERIAL: [u8; 3] = [0x0a, 0x1b, 0x2c];
const AGENT: &str = "spiffe://example.org/agent";

type CrlDer = CertificateRevocationListDer<'static>;

fn agent(issuer: &TestIssuer) -> TestSvid {
    issuer.leaf(AGENT).serial(&SERIAL).issue()
}

/// A list that is up to date for an hour around now.
fn crl(issuer: &TestIssuer, serials: &[&[u8]]) -> CrlDer {
    issuer.crl(serials, now_plus(-1800), now_plus(1800))
}

fn verifier(bundle: TrustBundle, clock: &Arc<FixedClock>) -> PeerVerifier {
    let mut bundles = TrustBundles::new();
    bundles.insert(bundle).unwrap();
    let allowed = allow(&["spiffe://example.org/**"]);
    PeerVerifier::new(verifier_config(Arc::new(bundles), allowed, clock.clone()))
}

fn identify(bundle: TrustBundle, svid: &TestSvid) -> Result<PeerIdentity, PeerError> {
    let clock = Arc::new(FixedClock::new(NOW));
    verifier(bundle, &clock).identify(svid.chain(), Role::Client)
}

fn reason(bundle: TrustBundle, svid: &TestSvid) -> &'static str {
    match identify(bundle, svid) {
        Ok(_) => "accepted",
        Err(error) => error.reason(),
    }
}

#[test]
fn refuses_a_leaf_on_the_list_of_its_root_and_no_other() {
    let domain = TestDomain::new("example.org");
    let svid = agent(domain.root());
    let bundle = || domain.bundle_with([crl(domain.root(), &[&[7], &SERIAL])]);
    let error = identify(bundle(), &svid).unwrap_err();
    assert_eq!(error.reason(), "revoked");
    assert_eq!(error.proved_id(), None);
    assert_eq!(
        error.to_string(),
        "a certificate of a peer that claims spiffe://example.org/agent has been revoked by its issuer"
    );
    let other = domain.leaf("/other").serial(&[0x0a, 0x1b]).issue();
    assert_eq!(reason(bundle(), &other), "accepted");
}

#[test]
fn refuses_a_leaf_below_an_intermediate_that_is_on_the_list() {
    let domain = TestDomain::new("example.org");
    let issuing = domain.root().intermediate_with("issuing", |params| {
        params.serial_number = Some(rcgen::SerialNumber::from_slice(&SERIAL));
    });
    let svid = issuing.leaf(AGENT).issue();
    let listed = domain.bundle_with([crl(domain.root(), &[&SERIAL])]);
    assert_eq!(reason(listed, &svid), "revoked");
    let unlisted = domain.bundle_with([crl(domain.root(), &[])]);
    assert_eq!(reason(unlisted, &svid), "accepted");
}

#[test]
fn an_intermediate_revokes_what_it_issued_and_the_bundle_warns_of_its_list() {
    let domain = TestDomain::new("example.org");
    let issuing = domain.root().intermediate("issuing");
    let svid = agent(&issuing);
    let bundle = domain.bundle_with([crl(domain.root(), &[]), crl(&issuing, &[&SERIAL])]);
    assert_eq!(
        bundle.warnings(),
        [BundleWarning::CrlOfNoRoot { position: 2 }]
    );
    assert_eq!(reason(bundle.clone(), &svid), "revoked");
    // The same number from another issuer is another certificate.
    assert_eq!(reason(bundle, &agent(domain.root())), "accepted");
}

#[test]
fn an_issuer_without_a_list_is_trusted() {
    let domain = TestDomain::new("example.org");
    let stranger = TestDomain::new("example.com");
    let bundle = domain.bundle_with([crl(stranger.root(), &[&SERIAL])]);
    assert_eq!(reason(bundle, &agent(domain.root())), "accepted");
}

#[test]
fn a_list_out_of_date_refuses_the_peers_of_its_issuer() {
    let domain = TestDomain::new("example.org");
    let svid = agent(domain.root());
    let list = domain.root().crl(&[], now_plus(-100), now_plus(10));
    let clock = Arc::new(FixedClock::new(NOW));
    let verifier = verifier(domain.bundle_with([list]), &clock);
    let identify = || verifier.identify(svid.chain(), Role::Client);
    assert!(identify().is_ok());
    // The chain is remembered, and no longer than the list is good for.
    clock.set(now_plus(9));
    assert!(identify().is_ok());
    clock.set(now_plus(10));
    let error = identify().unwrap_err();
    assert_eq!(error.reason(), "crl-expired");
    assert!(
        error.to_string().contains("2026-06-01T00:00:10Z"),
        "{error}"
    );
}

#[test]
fn what_is_revoked_stays_revoked_when_the_list_is_out_of_date() {
    let domain = TestDomain::new("example.org");
    let list = domain.root().crl(&[&SERIAL], now_plus(-100), now_plus(-10));
    let bundle = domain.bundle_with([list]);
    assert_eq!(reason(bundle, &agent(domain.root())), "revoked");
}

#[test]
fn the_newest_list_of_an_issuer_decides_in_whatever_order_they_come() {
    let domain = TestDomain::new("example.org");
    let svid = agent(domain.root());
    let old = domain.root().crl(&[], now_plus(-100), now_plus(-10));
    let new = domain.root().crl(&[&SERIAL], now_plus(-50), now_plus(50));
    for lists in [[old.clone(), new.clone()], [new, old]] {
        assert_eq!(reason(domain.bundle_with(lists), &svid), "revoked");
    }
    let old = domain.root().crl(&[&SERIAL], now_plus(-100), now_plus(100));
    let new = domain.root().crl(&[], now_plus(-50), now_plus(50));
    for lists in [[old.clone(), new.clone()], [new, old]] {
        assert_eq!(reason(domain.bundle_with(lists), &svid), "accepted");
    }
}

/// An issuer gives a new list a new number; where it did not, nobody knows which one it meant.
#[test]
fn of_two_lists_of_one_age_both_decide() {
    let domain = TestDomain::new("example.org");
    let svid = agent(domain.root());
    let (empty, listed) = (crl(domain.root(), &[]), crl(domain.root(), &[&SERIAL]));
    for lists in [[empty.clone(), listed.clone()], [listed, empty]] {
        assert_eq!(reason(domain.bundle_with(lists), &svid), "revoked");
    }
}

/// Why lists are chosen here: webpki looks at the name of the first alone.
#[test]
fn webpki_refuses_everybody_when_the_first_list_of_a_name_has_another_key() {
    let (old, new) = (
        TestDomain::new("example.org"),
        TestDomain::new("example.org"),
    );
    let svid = agent(new.root());
    let leaf = webpki::EndEntityCert::try_from(&svid.chain()[0]).unwrap();
    let anchors = [webpki::anchor_from_trusted_cert(new.root().certificate()).unwrap()];
    let algorithms = provider().signature_verification_algorithms;
    let lists = [&old, &new].map(|domain| {
        let list = crl(domain.root(), &[]);
        CertRevocationList::from(OwnedCertRevocationList::from_der(&list).unwrap())
    });
    let [of_old, of_new] = &lists;
    let verify = |lists: &[&CertRevocationList<'_>]| {
        let revocation = webpki::RevocationOptionsBuilder::new(lists)
            .unwrap()
            .with_status_policy(webpki::UnknownStatusPolicy::Allow)
            .build();
        let usage = webpki::KeyUsage::client_auth();
        leaf.verify_for_usage(
            algorithms.all,
            &anchors,
            &[],
            NOW,
            usage,
            Some(revocation),
            None,
        )
        .map(drop)
    };
    assert_eq!(verify(&[of_new, of_old]), Ok(()));
    let refusal = webpki::Error::InvalidCrlSignatureForPublicKey;
    assert_eq!(verify(&[of_old, of_new]), Err(refusal));
}

/// A CA that renews its key keeps its name.
#[test]
fn roots_of_one_name_have_lists_of_their_own() {
    let (old, new) = (
        TestDomain::new("example.org"),
        TestDomain::new("example.org"),
    );
    let both = |lists: Vec<CrlDer>| {
        let pem = old.bundle_pem() + &new.bundle_pem();
        TrustBundle::from_pem(old.trust_domain().clone(), pem.as_bytes())
            .and_then(|bundle| bundle.with_crls(lists))
            .unwrap()
    };
    let (of_old, of_new) = (crl(old.root(), &[&SERIAL]), crl(new.root(), &[]));
    for lists in [
        vec![of_old.clone()],
        vec![of_old.clone(), of_new.clone()],
        vec![of_new, of_old],
    ] {
        assert_eq!(reason(both(lists.clone()), &agent(old.root())), "revoked");
        assert_eq!(reason(both(lists), &agent(new.root())), "accepted");
    }
}

#[test]
fn a_list_with_a_broken_signature_refuses_the_peers_of_its_issuer() {
    let domain = TestDomain::new("example.org");
    let svid = agent(domain.root());
    let mut broken = crl(domain.root(), &[]).to_vec();
    *broken.last_mut().unwrap() ^= 1;
    let good = domain.root().crl(&[], now_plus(-3600), now_plus(3600));
    for lists in [vec![broken.clone().into()], vec![good, broken.into()]] {
        let error = identify(domain.bundle_with(lists), &svid).unwrap_err();
        assert_eq!(error.reason(), "crl-unusable");
    }
}

/// Without a key identifier nobody can tell whose key it was that did not sign.
#[test]
fn a_list_that_anybody_signed_refuses_the_peers_of_the_issuer_it_names() {
    let unnamed = |params: &mut CertificateParams| {
        params.key_identifier_method = KeyIdMethod::PreSpecified(vec![1]);
    };
    let key = || key_pair(&rcgen::PKCS_ECDSA_P256_SHA256);
    let domain = TestDomain::with_root("example.org", key(), unnamed);
    let impostor = TestDomain::with_root("example.org", key(), unnamed);
    let bundle = domain.bundle_with([crl(impostor.root(), &[])]);
    assert_eq!(reason(bundle, &agent(domain.root())), "crl-unusable");
}

#[test]
fn an_issuer_that_may_not_sign_lists_has_none_that_can_be_used() {
    let domain = TestDomain::new("example.org");
    let issuing = domain.root().intermediate("issuing");
    let list = crl(&issuing, &[]);
    // The same CA in a certificate that takes the right to sign lists away.
    let sign_only = |params: &mut CertificateParams| {
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    };
    let restricted = issuing.reissued_by(domain.root(), sign_only);
    let bundle = domain.bundle_with([list]);
    assert_eq!(reason(bundle.clone(), &agent(&issuing)), "accepted");
    assert_eq!(reason(bundle, &agent(&restricted)), "crl-unusable");
}

#[test]
fn lists_are_verified_with_every_kind_of_key() {
    for kind in crate::authority::KeyKind::ALL {
        let domain = TestDomain::with_key("example.org", kind);
        let svid = agent(domain.root());
        let bundle = domain.bundle_with([crl(domain.root(), &[&SERIAL])]);
        assert_eq!(reason(bundle, &svid), "revoked", "{kind}");
        let bundle = domain.bundle_with([crl(domain.root(), &[])]);
        assert_eq!(reason(bundle, &svid), "accepted", "{kind}");
    }
}

fn load_error(domain: &TestDomain, lists: Vec<CrlDer>) -> BundleError {
    domain.bundle().with_crls(lists).unwrap_err()
}

#[test]
fn refuses_lists_that_cover_only_a_part() {
    let domain = TestDomain::new("example.org");
    let partial = domain
        .root()
        .crl_with(&[], now_plus(-10), now_plus(10), |params| {
            params.issuing_distribution_point = Some(CrlIssuingDistributionPoint {
                distribution_point: CrlDistributionPoint {
                    uris: vec!["http://example.org/crl".to_owned()],
                },
                scope: None,
            });
        });
    let error = load_error(&domain, vec![crl(domain.root(), &[]), partial]);
    let BundleError::Crl { position, source } = error else {
        panic!("{error}");
    };
    assert_eq!(position, 2);
    assert!(matches!(source, CrlError::Partial));
}

/// A delta CRL says only what has changed; on its own it would un-revoke everybody.
#[test]
fn refuses_delta_lists() {
    let domain = TestDomain::new("example.org");
    let list = crl(domain.root(), &[]);
    // id-ce 20, cRLNumber, becomes id-ce 27, deltaCRLIndicator: both are a number.
    let number = [0x06, 0x03, 0x55, 0x1d, 20];
    let at = list.windows(5).position(|bytes| bytes == number).unwrap();
    let mut delta = list.to_vec();
    delta[at + 4] = 27;
    let error = load_error(&domain, vec![delta.into()]);
    assert!(
        matches!(
            error,
            BundleError::Crl {
                position: 1,
                source: CrlError::Delta,
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn refuses_bytes_that_are_no_list() {
    let domain = TestDomain::new("example.org");
    let list = crl(domain.root(), &[]);
    let longer = [&*list, &[0]].concat();
    let cut = list[..list.len() - 1].to_vec();
    for bytes in [vec![], longer, cut, domain.root().certificate().to_vec()] {
        let error = load_error(&domain, vec![bytes.into()]);
        assert!(matches!(error, BundleError::Crl { position: 1, .. }));
    }
    let huge = vec![0; MAX_CRL_LEN + 1];
    assert!(matches!(
        load_error(&domain, vec![huge.into()]),
        BundleError::Crl {
            source: CrlError::TooLong { .. },
            ..
        }
    ));
}

#[test]
fn refuses_more_lists_than_a_bundle_may_have() {
    let domain = TestDomain::new("example.org");
    let list = crl(domain.root(), &[]);
    assert!(
        domain
            .bundle()
            .with_crls(vec![list.clone(); MAX_CRLS])
            .is_ok()
    );
    assert!(matches!(
        load_error(&domain, vec![list; MAX_CRLS + 1]),
        BundleError::TooManyCrls
    ));
}

#[test]
fn other_lists_replace_those_that_were_there() {
    let domain = TestDomain::new("example.org");
    let svid = agent(domain.root());
    let none = domain.bundle().crl_digest();
    let revoking = domain.bundle_with([crl(domain.root(), &[&SERIAL])]);
    let digest = revoking.crl_digest();
    let cleared = revoking.clone().with_crls([]).unwrap();
    assert_eq!(reason(revoking, &svid), "revoked");
    assert_ne!(digest, none);
    assert_eq!(cleared.crl_digest(), none);
    assert_eq!(reason(cleared, &svid), "accepted");
}
