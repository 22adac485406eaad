use std::sync::Arc;

use proptest::prelude::*;
use rustls_pki_types::CertificateDer;

use super::*;
use crate::clock::FixedClock;
use crate::testing::{NOW, TestDomain, TestSvid, allow, now_plus, provider, verifier_config};
use crate::verifier::{PeerError, PeerVerifier, Role};

fn read(response: &X509SvidResponse) -> Result<Material, MaterialError> {
    read_response(
        &response.encode_to_vec(),
        &provider(),
        &FixedClock::new(NOW),
    )
}

fn key_der(svid: &TestSvid) -> Vec<u8> {
    pem::parse(svid.key_pem().as_str()).unwrap().into_contents()
}

fn message(svid: &TestSvid, domain: &TestDomain, hint: &str) -> SvidMessage {
    SvidMessage {
        spiffe_id: svid.svid().id().to_string(),
        x509_svid: svid.chain().iter().flat_map(|one| one.to_vec()).collect(),
        x509_svid_key: key_der(svid),
        bundle: domain.root().certificate().to_vec(),
        hint: hint.to_owned(),
    }
}

fn response(svids: Vec<SvidMessage>) -> X509SvidResponse {
    X509SvidResponse {
        svids,
        ..X509SvidResponse::default()
    }
}

#[test]
fn reads_svids_bundles_and_federated_bundles() {
    let (ours, theirs) = (
        TestDomain::new("example.org"),
        TestDomain::new("example.com"),
    );
    let intermediate = ours.root().intermediate("second floor");
    let below = intermediate.leaf("spiffe://example.org/b").issue();
    let mut response = response(vec![
        message(&ours.leaf("/a").issue(), &ours, ""),
        message(&below, &ours, "internal"),
    ]);
    for name in ["spiffe://example.com", "spiffe://example.org"] {
        let domain = [&theirs, &ours][usize::from(name.ends_with("org"))];
        let root = domain.root().certificate().to_vec();
        response.federated_bundles.insert(name.to_owned(), root);
    }
    let material = read(&response).unwrap();
    assert_eq!(
        material.default_svid().id().as_str(),
        "spiffe://example.org/a"
    );
    let by_hint = material.by_hint("internal").unwrap();
    assert_eq!(by_hint.id().as_str(), "spiffe://example.org/b");
    assert_eq!(by_hint.certified_key().cert.len(), 2);
    assert!(material.by_id(by_hint.id()).is_some());
    assert!(material.by_hint("").is_none());
    for domain in [&ours, &theirs] {
        let roots = material.bundles().roots(domain.trust_domain()).unwrap();
        assert_eq!(roots, domain.bundle().roots());
    }
    assert_eq!(material.warnings(), []);
}

/// What a verifier over the bundles of `material` says to a client.
fn judged(material: &Material, chain: &[CertificateDer<'_>]) -> &'static str {
    let allowed = allow(&["spiffe://example.org/**", "spiffe://example.com/**"]);
    let clock = Arc::new(FixedClock::new(NOW));
    let verifier = PeerVerifier::new(verifier_config(
        Arc::clone(material.bundles()),
        allowed,
        clock,
    ));
    match verifier.identify(chain, Role::Client) {
        Ok(_) => "accepted",
        Err(error) => error.reason(),
    }
}

#[test]
fn lists_revoke_whom_their_issuer_issued_in_each_trust_domain() {
    let (ours, theirs) = (
        TestDomain::new("example.org"),
        TestDomain::new("example.com"),
    );
    let leaf = |domain: &TestDomain, serial| domain.leaf("/peer").serial(&[serial]).issue();
    let mut response = response(vec![message(&ours.leaf("/a").issue(), &ours, "")]);
    let root = theirs.root().certificate().to_vec();
    let name = "spiffe://example.com".to_owned();
    response.federated_bundles.insert(name, root);
    for (domain, serial) in [(&ours, 3_u8), (&theirs, 4)] {
        let crl = domain.root().crl(&[&[serial]], NOW, now_plus(60));
        response.crl.push(crl.to_vec());
    }
    let material = read(&response).unwrap();
    assert_eq!(material.warnings(), []);
    for (domain, serial, expected) in [
        (&ours, 3, "revoked"),
        (&ours, 4, "accepted"),
        (&theirs, 3, "accepted"),
        (&theirs, 4, "revoked"),
    ] {
        let peer = leaf(domain, serial);
        assert_eq!(
            judged(&material, peer.chain()),
            expected,
            "{domain:?} {serial}"
        );
    }
}

#[test]
fn a_list_that_revokes_our_own_svid_still_revokes_others() {
    let domain = TestDomain::new("example.org");
    let own = domain.leaf("/a").serial(&[5]).issue();
    let mut response = response(vec![message(&own, &domain, "")]);
    let crl = domain.root().crl(&[&[5], &[6]], NOW, now_plus(60));
    response.crl.push(crl.to_vec());
    let material = read(&response).unwrap();
    let [SourceWarning::OwnRevocation { id, problem }] = material.warnings() else {
        panic!("{:?}", material.warnings());
    };
    assert_eq!(id.as_str(), "spiffe://example.org/a");
    assert!(problem.contains("revoked"), "{problem}");
    let other = domain.leaf("/b").serial(&[6]).issue();
    assert_eq!(judged(&material, other.chain()), "revoked");
}

#[test]
fn refuses_a_list_that_cannot_be_read() {
    let domain = TestDomain::new("example.org");
    let mut response = response(vec![message(&domain.leaf("/a").issue(), &domain, "")]);
    response.crl.push(vec![1, 2, 3]);
    let MaterialError::Bundle { source, .. } = read(&response).unwrap_err() else {
        panic!("a list that nobody can read revokes nobody");
    };
    assert!(
        matches!(source, BundleError::Crl { position: 1, .. }),
        "{source:?}"
    );
}

#[test]
fn refuses_an_svid_that_a_peer_would_refuse() {
    let (ours, other) = (
        TestDomain::new("example.org"),
        TestDomain::new("example.org"),
    );
    let good = ours.leaf("/a").issue();
    let error = read(&response(vec![message(&good, &other, "")])).unwrap_err();
    assert!(matches!(error, MaterialError::Refused { .. }), "{error:?}");

    let expired = ours.leaf("/a").valid(now_plus(-60), now_plus(-1)).issue();
    let error = read(&response(vec![message(&expired, &ours, "")])).unwrap_err();
    let MaterialError::Refused { source, .. } = error else {
        panic!("{error:?}");
    };
    assert!(matches!(*source, PeerError::Expired { .. }), "{source:?}");
}

#[test]
fn one_bad_svid_spoils_the_whole_message() {
    let domain = TestDomain::new("example.org");
    let (good, bad) = (domain.leaf("/a").issue(), domain.leaf("/b").issue());
    let all = |change: fn(&mut SvidMessage)| {
        let mut second = message(&bad, &domain, "");
        change(&mut second);
        read(&response(vec![message(&good, &domain, ""), second])).unwrap_err()
    };
    let error = all(|bad| bad.x509_svid_key.clear());
    assert!(
        matches!(error, MaterialError::Svid { position: 2, .. }),
        "{error:?}"
    );
    let error = all(|bad| bad.spiffe_id = "spiffe://example.org/a".to_owned());
    assert!(
        matches!(error, MaterialError::IdDiffers { position: 2, .. }),
        "{error:?}"
    );
    let error = all(|bad| bad.spiffe_id.clear());
    assert!(
        matches!(error, MaterialError::Id { position: 2, .. }),
        "{error:?}"
    );
    let error = all(|bad| bad.x509_svid.push(0));
    assert!(
        matches!(error, MaterialError::Certificates { position: 2, .. }),
        "{error:?}"
    );
    let error = all(|bad| bad.bundle.clear());
    assert!(
        matches!(error, MaterialError::BundlesDiffer { .. }),
        "{error:?}"
    );
}

#[test]
fn refuses_a_key_that_is_not_the_leafs() {
    let domain = TestDomain::new("example.org");
    let (one, other) = (domain.leaf("/a").issue(), domain.leaf("/a").issue());
    let mut svid = message(&one, &domain, "");
    svid.x509_svid_key = key_der(&other);
    let error = read(&response(vec![svid])).unwrap_err();
    let MaterialError::Svid { source, .. } = error else {
        panic!("{error:?}");
    };
    assert!(source.is_about_the_key(), "{source:?}");
}

#[test]
fn refuses_two_svids_with_one_hint_and_no_svid_at_all() {
    let domain = TestDomain::new("example.org");
    let svid = message(&domain.leaf("/a").issue(), &domain, "x");
    let error = read(&response(vec![svid.clone(), svid.clone()])).unwrap_err();
    assert!(
        matches!(error, MaterialError::HintTwice { .. }),
        "{error:?}"
    );
    let error = read(&response(vec![])).unwrap_err();
    assert!(matches!(error, MaterialError::NoSvid), "{error:?}");
}

#[test]
fn refuses_an_own_trust_domain_without_a_bundle() {
    let domain = TestDomain::new("example.org");
    let mut svid = message(&domain.leaf("/a").issue(), &domain, "");
    svid.bundle.clear();
    let error = read(&response(vec![svid])).unwrap_err();
    assert!(matches!(error, MaterialError::Bundle { .. }), "{error:?}");
}

#[test]
fn leaves_out_a_foreign_bundle_that_is_not_one_and_says_so() {
    let (ours, theirs) = (
        TestDomain::new("example.org"),
        TestDomain::new("example.com"),
    );
    let mut response = response(vec![message(&ours.leaf("/a").issue(), &ours, "")]);
    let root = theirs.root().certificate().to_vec();
    for (name, bundle) in [
        ("spiffe://example.com", root.clone()),
        ("spiffe://example.net", vec![7]),
        ("spiffe://example.edu", vec![]),
        ("spiffe://example.info/path", root.clone()),
        ("not a name", root.clone()),
        // Nobody else speaks for our own trust domain.
        ("spiffe://example.org", root),
    ] {
        response.federated_bundles.insert(name.to_owned(), bundle);
    }
    let material = read(&response).unwrap();
    assert_eq!(material.warnings().len(), 5, "{:?}", material.warnings());
    let known: Vec<_> = material.bundles().trust_domains().collect();
    assert_eq!(known, [theirs.trust_domain(), ours.trust_domain()]);
    let roots = material.bundles().roots(ours.trust_domain()).unwrap();
    assert_eq!(roots, ours.bundle().roots());
}

#[test]
fn counts_before_it_reads() {
    // Empty fields 1, 2 and 3: two bytes each.
    for (tag, most) in [(0x0a, MAX_SVIDS), (0x12, MAX_CRLS), (0x1a, MAX_BUNDLES)] {
        let message = [tag, 0].repeat(most + 1);
        let error = read_response(&message, &provider(), &FixedClock::new(NOW)).unwrap_err();
        assert!(
            matches!(
                error,
                MaterialError::TooManySvids
                    | MaterialError::TooManyCrls
                    | MaterialError::TooManyBundles
            ),
            "{error:?}"
        );
    }
}

#[test]
fn refuses_a_federated_bundle_of_another_wire_type() {
    let domain = TestDomain::new("example.org");
    let response = response(vec![message(&domain.leaf("/a").issue(), &domain, "")]);
    // Field 3, empty: first as the entry of a map, then as the number 0.
    for (tag, is_read) in [(0x1a, true), (0x18, false)] {
        let message = [response.encode_to_vec(), vec![tag, 0]].concat();
        let read = read_response(&message, &provider(), &FixedClock::new(NOW));
        assert_eq!(read.is_ok(), is_read, "{read:?}");
    }
}

#[test]
fn refuses_what_is_not_protobuf() {
    let error = read_response(&[0xff; 3], &provider(), &FixedClock::new(NOW)).unwrap_err();
    assert!(matches!(error, MaterialError::Undecodable(_)), "{error:?}");
}

#[test]
fn debug_of_a_message_does_not_show_the_key() {
    let domain = TestDomain::new("example.org");
    let response = response(vec![message(&domain.leaf("/a").issue(), &domain, "")]);
    assert_eq!(
        format!("{response:?}"),
        r#"X509SvidResponse([SvidMessage("spiffe://example.org/a")], 0 federated bundles)"#
    );
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_never_material(bytes: Vec<u8>) {
        prop_assert!(read_response(&bytes, &provider(), &FixedClock::new(NOW)).is_err());
    }
}
