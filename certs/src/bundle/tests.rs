use rcgen::{DnType, GeneralSubtree, NameConstraints, PKCS_ECDSA_P256_SHA256};

use super::*;
use crate::testing::{TestDomain, key_pair, now_plus, uri_name_constraints};

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

/// basicConstraints, keyUsage and cA with a tag of another class: the parser takes them for what they are
/// not, and other readers do not.
#[test]
fn rejects_a_root_whose_rights_are_not_in_der() {
    let basic_constraints = &[
        0x06, 3, 0x55, 0x1d, 19, 0x01, 1, 0xff, 0x04, 5, 0x30, 3, 1, 1, 0xff,
    ];
    let key_usage = &[
        0x06, 3, 0x55, 0x1d, 15, 0x01, 1, 0xff, 0x04, 4, 0x03, 2, 1, 6,
    ];
    let root = TestDomain::new("example.org").root().certificate().to_vec();
    let damaged = |extension: &[u8], octet: usize, tag: u8| {
        let start = root
            .windows(extension.len())
            .position(|window| window == extension);
        let mut der = root.clone();
        der[start.unwrap() + octet] = tag;
        TrustBundle::from_ders(example(), [CertificateDer::from(der)])
    };
    for damaged in [
        damaged(basic_constraints, 10, 0xb0),
        damaged(basic_constraints, 12, 0x81),
        damaged(basic_constraints, 14, 0x01),
        damaged(key_usage, 10, 0x83),
    ] {
        let refused = damaged.map(|bundle| bundle.digest());
        assert!(
            matches!(refused, Err(BundleError::Malformed { position: 1, .. })),
            "{refused:?}"
        );
    }
    assert!(damaged(basic_constraints, 14, 0xff).is_ok());
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

/// A trust domain whose root constrains URIs.
fn constrained() -> TestDomain {
    TestDomain::with_root("example.org", key_pair(&PKCS_ECDSA_P256_SHA256), |params| {
        params.custom_extensions = vec![uri_name_constraints()];
        params.distinguished_name.push(DnType::CommonName, "strict");
    })
}

#[test]
fn leaves_out_roots_that_constrain_uris_and_says_so() {
    let (good, constrained) = (TestDomain::new("example.org"), constrained());
    let pem = good.bundle_pem() + &constrained.bundle_pem() + &good.bundle_pem();
    let bundle = TrustBundle::from_pem(example(), pem.as_bytes()).unwrap();
    assert_eq!(bundle.roots().len(), 2);
    let [warning] = bundle.warnings() else {
        panic!("{:?}", bundle.warnings());
    };
    let said = warning.to_string();
    assert!(
        said.starts_with("certificate 2 of the bundle, CN=strict,"),
        "{said}"
    );
    assert!(said.contains("webpki, which verifies chains here, refuses"));
    assert!(said.contains("without URI subtrees in nameConstraints"));

    let error = error(&constrained.bundle_pem().repeat(2));
    let BundleError::UriNameConstraints { position, subject } = &error else {
        panic!("{error}");
    };
    assert_eq!((*position, subject.as_str()), (1, "CN=strict"));
    assert!(error.to_string().contains("refuses every SVID below it"));
}

#[test]
fn keeps_roots_that_constrain_names_of_other_kinds() {
    let key = key_pair(&PKCS_ECDSA_P256_SHA256);
    let domain = TestDomain::with_root("example.org", key, |params| {
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("example.org".to_owned())],
            excluded_subtrees: vec![GeneralSubtree::Rfc822Name("example.org".to_owned())],
        });
    });
    assert!(domain.bundle().warnings().is_empty());
}

#[test]
fn der_certificates_make_the_same_bundle_as_pem() {
    let roots = [(); 3].map(|()| TestDomain::new("example.org"));
    let ders: Vec<_> = roots.iter().map(|root| root.root().certificate()).collect();
    let concatenated: Vec<u8> = ders.iter().flat_map(|der| der.to_vec()).collect();
    let split = split_der_certificates(&concatenated).unwrap();
    assert_eq!(split.iter().collect::<Vec<_>>(), ders);

    let from_ders = TrustBundle::from_ders(example(), split).unwrap();
    let pem: String = roots.iter().map(TestDomain::bundle_pem).collect();
    let from_pem = TrustBundle::from_pem(example(), pem.as_bytes()).unwrap();
    assert_eq!(from_ders.roots(), from_pem.roots());
    assert_eq!(from_ders.digest(), from_pem.digest());
    let none = TrustBundle::from_ders(example(), []);
    assert!(matches!(none, Err(BundleError::Empty { .. })));
}

#[test]
fn concatenated_certificates_end_where_the_bytes_do() {
    let root = TestDomain::new("example.org").root().certificate().to_vec();
    assert_eq!(split_der_certificates(&[]).unwrap(), []);
    let at = |bytes: Vec<u8>| match split_der_certificates(&bytes).unwrap_err() {
        BundleError::NotDer { at } => at,
        error => panic!("{error}"),
    };
    assert_eq!(at(vec![5, 0]), 0);
    assert_eq!(at([&root[..], &[0]].concat()), root.len());
    let twice_cut = [&root[..], &root[..root.len() - 1]].concat();
    assert_eq!(at(twice_cut), root.len());
    assert!(matches!(
        split_der_certificates(&root.repeat(65)),
        Err(BundleError::TooManyRoots)
    ));
    assert!(matches!(
        split_der_certificates(&vec![0; MAX_BUNDLE_LEN + 1]),
        Err(BundleError::DerTooLong { .. })
    ));
}

#[test]
fn digests_change_with_every_root_their_order_and_the_trust_domain() {
    let (a, b) = (
        TestDomain::new("example.org"),
        TestDomain::new("example.org"),
    );
    let bundle = |roots: &[&TestDomain], name: &str| {
        let pem: String = roots.iter().map(|root| root.bundle_pem()).collect();
        TrustBundle::from_pem(name.parse().unwrap(), pem.as_bytes()).unwrap()
    };
    let bundles = |all: Vec<TrustBundle>| {
        let mut bundles = TrustBundles::new();
        for bundle in all {
            bundles.insert(bundle).unwrap();
        }
        bundles.digest()
    };
    let org = "example.org";
    let digests = [
        TrustBundles::new().digest(),
        bundles(vec![bundle(&[&a], org)]),
        bundles(vec![bundle(&[&b], org)]),
        bundles(vec![bundle(&[&a, &b], org)]),
        bundles(vec![bundle(&[&b, &a], org)]),
        bundles(vec![bundle(&[&a], "example.com")]),
        bundles(vec![bundle(&[&a], org), bundle(&[&b], "example.com")]),
        bundles(vec![bundle(&[&b], org), bundle(&[&a], "example.com")]),
    ];
    let different: std::collections::HashSet<_> = digests.iter().collect();
    assert_eq!(different.len(), digests.len());
    assert_eq!(digests[3], bundles(vec![bundle(&[&a, &b], org)]));
}

#[test]
fn revocation_lists_change_their_own_digest_only() {
    let domain = TestDomain::new("example.org");
    let crl = |serial: u8| domain.root().crl(&[&[serial]], now_plus(-5), now_plus(5));
    let digests = |crls: Vec<_>| {
        let mut bundles = TrustBundles::new();
        bundles.insert(domain.bundle_with(crls)).unwrap();
        (bundles.digest(), bundles.crl_digest())
    };
    let (one, other) = (crl(1), crl(2));
    let (roots, none) = digests(vec![]);
    let (roots_with_one, with_one) = digests(vec![one.clone()]);
    let (roots_with_both, with_both) = digests(vec![one, other]);
    assert_eq!((roots, roots), (roots_with_one, roots_with_both));
    assert!(none != with_one && with_one != with_both && none != with_both);
}
