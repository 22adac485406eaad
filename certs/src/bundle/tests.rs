use super::*;
use crate::testing::TestDomain;

fn example() -> TrustDomain {
    "example.org".parse().unwrap()
}

fn error(pem: &str) -> BundleError {
    TrustBundle::from_pem(example(), pem.as_bytes()).unwrap_err()
}

#[test]
fn keeps_each_root_with_its_own_dates() {
    let (old, new) = (
        TestDomain::new("example.org"),
        TestDomain::new("example.org"),
    );
    let pem = old.bundle_pem() + &new.bundle_pem();
    let bundle = TrustBundle::from_pem(example(), pem.as_bytes()).unwrap();
    assert_eq!(bundle.roots().len(), 2);
    assert!(bundle.facts_of(&bundle.roots()[1]).is_some());
    // An equal anchor from elsewhere is not one of this bundle's.
    assert!(bundle.facts_of(&bundle.roots()[1].clone()).is_none());
}

#[test]
fn rejects_bundle_without_certificates() {
    assert!(matches!(error(""), BundleError::Empty { .. }));
    let (_, key) = TestDomain::new("example.org").svid_pem("/agent");
    assert!(matches!(error(key.as_str()), BundleError::Empty { .. }));
}

#[test]
fn rejects_more_than_64_roots() {
    let root = TestDomain::new("example.org").bundle_pem();
    assert!(matches!(error(&root.repeat(65)), BundleError::TooManyRoots));
    let bundle = TrustBundle::from_pem(example(), root.repeat(64).as_bytes()).unwrap();
    assert_eq!(bundle.roots().len(), 64);
}

#[test]
fn rejects_a_leaf_among_the_roots_and_says_which() {
    let domain = TestDomain::new("example.org");
    let pem = domain.bundle_pem() + &domain.leaf("/agent").issue().chain_pem();
    assert!(matches!(error(&pem), BundleError::NotCa { position: 2 }));
}

#[test]
fn rejects_a_root_that_may_not_sign_certificates() {
    let domain = TestDomain::new("example.org");
    let crl_only = domain.root().intermediate_with("crl", |params| {
        params.key_usages = vec![rcgen::KeyUsagePurpose::CrlSign];
    });
    let error = error(&crl_only.certificate_pem());
    assert!(matches!(error, BundleError::NotCa { position: 1 }));
}

#[test]
fn rejects_damaged_certificates() {
    let root = TestDomain::new("example.org").bundle_pem();
    let cut = &root[..root.len() / 2];
    assert!(matches!(error(cut), BundleError::Pem(_)));
    let empty = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    assert!(matches!(
        error(empty),
        BundleError::Malformed { position: 1, .. }
    ));
}

#[test]
fn refuses_a_second_bundle_for_one_domain_and_keeps_the_first() {
    let (first, second) = (
        TestDomain::new("example.org"),
        TestDomain::new("example.org"),
    );
    let other = TestDomain::new("example.com");
    let mut bundles = TrustBundles::new();
    bundles.insert(first.bundle()).unwrap();
    bundles.insert(other.bundle()).unwrap();
    let error = bundles.insert(second.bundle()).unwrap_err();
    assert!(matches!(error, BundleError::Twice { .. }));

    let kept = bundles.roots(&example()).unwrap();
    assert_eq!(kept, first.bundle().roots());
    assert_ne!(kept, second.bundle().roots());
    let names: Vec<_> = bundles.trust_domains().map(TrustDomain::as_str).collect();
    assert_eq!(names, ["example.com", "example.org"]);
    assert!(bundles.roots(&"example.net".parse().unwrap()).is_none());
}
