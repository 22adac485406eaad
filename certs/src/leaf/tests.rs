use proptest::prelude::*;
use rcgen::KeyUsagePurpose as Usage;
use rustls_pki_types::UnixTime;

use super::*;
use crate::testing::{TestDomain, TestLeaf, now_plus};

fn reason(leaf: TestLeaf<'_>) -> &'static str {
    Leaf::parse(&leaf.issue().chain()[0]).unwrap_err().reason()
}

#[test]
fn reads_id_validity_and_thumbprint() {
    let domain = TestDomain::new("example.org");
    let svid = domain
        .leaf("/agent/planner")
        .valid(now_plus(-60), now_plus(60))
        .issue();
    let der = &svid.chain()[0];
    let leaf = Leaf::parse(der).unwrap();
    assert_eq!(
        leaf.spiffe_id().as_str(),
        "spiffe://example.org/agent/planner"
    );
    assert_eq!(leaf.not_before(), now_plus(-60));
    assert_eq!(leaf.not_after(), now_plus(60));
    assert_eq!(leaf.thumbprint(), sha256(der));
}

#[test]
fn accepts_other_kinds_of_alternative_name_beside_the_uri() {
    let domain = TestDomain::new("example.org");
    let svid = domain.leaf("/agent").dns_san("agent.example.org").issue();
    assert!(Leaf::parse(&svid.chain()[0]).is_ok());
}

#[test]
fn accepts_leaf_without_basic_constraints() {
    let domain = TestDomain::new("example.org");
    let svid = domain.leaf("/agent").without_basic_constraints().issue();
    assert!(Leaf::parse(&svid.chain()[0]).is_ok());
}

#[test]
fn rejects_svid_without_uri_san() {
    let domain = TestDomain::new("example.org");
    assert_eq!(reason(domain.leaf("/agent").uri_sans(&[])), "no-uri-san");
    let dns_only = domain.leaf("/agent").uri_sans(&[]).dns_san("example.org");
    assert_eq!(reason(dns_only), "no-uri-san");
}

#[test]
fn rejects_svid_with_two_uri_sans() {
    let domain = TestDomain::new("example.org");
    let two = domain
        .leaf("/agent")
        .uri_sans(&["spiffe://example.org/a", "https://example.org/b"]);
    let error = Leaf::parse(&two.issue().chain()[0]).unwrap_err();
    assert!(matches!(error, SvidError::ManyUriSans { count: 2 }));
    assert_eq!(error.reason(), "many-uri-sans");
}

/// A name of the URI kind whose bytes are no text must not hide a second URI.
#[test]
fn rejects_svid_with_a_second_uri_san_that_is_not_text() {
    const BYTES: [u8; 3] = [0x86, 1, 0xff];
    let domain = TestDomain::new("example.org");
    let with_san = |content: Vec<u8>| {
        domain.leaf("/agent").uri_sans(&[]).change(|params| {
            let san = rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 17], content);
            params.custom_extensions.push(san);
        })
    };
    let good = b"\x86\x16spiffe://example.org/a";
    let both = [&[0x30, 27][..], good, &BYTES].concat();
    assert_eq!(reason(with_san(both)), "many-uri-sans");
    let alone = [&[0x30, 3][..], &BYTES].concat();
    assert_eq!(reason(with_san(alone)), "not-a-spiffe-id");
    let only_good = [&[0x30, 24][..], good].concat();
    assert!(Leaf::parse(&with_san(only_good).issue().chain()[0]).is_ok());
}

#[test]
fn rejects_uri_san_that_is_not_a_spiffe_id() {
    let domain = TestDomain::new("example.org");
    for uri in [
        "https://example.org/agent",
        "spiffe://Example.org/agent",
        "spiffe://example.org/agent/",
        "spiffe://example.org:1/agent",
    ] {
        let leaf = domain.leaf("/agent").uri_sans(&[uri]);
        assert_eq!(reason(leaf), "not-a-spiffe-id", "{uri}");
    }
}

#[test]
fn rejects_svid_for_the_trust_domain_itself() {
    let domain = TestDomain::new("example.org");
    let leaf = domain.leaf("/agent").uri_sans(&["spiffe://example.org"]);
    assert_eq!(reason(leaf), "spiffe-id-without-path");
}

#[test]
fn rejects_leaf_that_is_a_ca() {
    let domain = TestDomain::new("example.org");
    assert_eq!(reason(domain.leaf("/agent").ca()), "leaf-is-ca");
}

/// An extension that cannot be read must not pass for one that says "no CA".
#[test]
fn rejects_unreadable_basic_constraints() {
    let domain = TestDomain::new("example.org");
    let leaf = domain
        .leaf("/agent")
        .without_basic_constraints()
        .change(|params| {
            let broken = rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 19], vec![4, 1, 0]);
            params.custom_extensions.push(broken);
        });
    assert_eq!(reason(leaf), "malformed-certificate");
}

#[test]
fn rejects_leaf_without_digital_signature() {
    let domain = TestDomain::new("example.org");
    assert_eq!(
        reason(domain.leaf("/agent").key_usages(&[])),
        "leaf-key-usage"
    );
    let agreement = domain.leaf("/agent").key_usages(&[Usage::KeyAgreement]);
    assert_eq!(reason(agreement), "leaf-key-usage");
}

#[test]
fn rejects_leaf_that_may_sign_certificates_or_crls() {
    let domain = TestDomain::new("example.org");
    let signs = |usage| {
        domain
            .leaf("/agent")
            .key_usages(&[Usage::DigitalSignature, usage])
    };
    assert_eq!(reason(signs(Usage::KeyCertSign)), "leaf-signs-certificates");
    assert_eq!(reason(signs(Usage::CrlSign)), "leaf-signs-crls");
    assert!(Leaf::parse(&signs(Usage::KeyEncipherment).issue().chain()[0]).is_ok());
}

#[test]
fn rejects_certificates_beyond_64_kib_unread() {
    let der = CertificateDer::from(vec![0x30; MAX_CERTIFICATE_LEN + 1]);
    let error = Leaf::parse(&der).unwrap_err();
    assert_eq!(error.reason(), "certificate-too-long");
    let der = CertificateDer::from(vec![0x30; MAX_CERTIFICATE_LEN]);
    assert_eq!(
        Leaf::parse(&der).unwrap_err().reason(),
        "malformed-certificate"
    );
}

#[test]
fn rejects_bytes_after_the_certificate() {
    let domain = TestDomain::new("example.org");
    let mut der = domain.leaf("/agent").issue().chain()[0].to_vec();
    der.extend([0, 0]);
    let error = Leaf::parse(&CertificateDer::from(der)).unwrap_err();
    assert!(matches!(error, SvidError::TrailingBytes { len: 2 }));
}

#[test]
fn dates_before_1970_read_as_1970() {
    let domain = TestDomain::new("example.org");
    let old = domain.leaf("/agent").change(|params| {
        params.not_before = rcgen::date_time_ymd(1960, 1, 1);
        params.not_after = rcgen::date_time_ymd(1961, 1, 1);
    });
    let leaf = Leaf::parse(&old.issue().chain()[0]).unwrap();
    let epoch = UnixTime::since_unix_epoch(std::time::Duration::ZERO);
    assert_eq!((leaf.not_before(), leaf.not_after()), (epoch, epoch));
}

proptest! {
    #[test]
    fn garbage_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Leaf::parse(&CertificateDer::from(bytes)).is_err());
    }

    /// Whatever is done to a good certificate, it is refused or still names one ID with a path.
    #[test]
    fn damaged_certificates_never_lose_the_rules(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut der = good_der();
        for (index, byte) in changes {
            let at = index.index(der.len());
            der[at] = byte;
        }
        let short = der[..cut.index(der.len())].to_vec();
        for der in [der, short] {
            if let Ok(leaf) = Leaf::parse(&CertificateDer::from(der)) {
                prop_assert!(leaf.spiffe_id().path().len() > 1);
            }
        }
    }
}

fn good_der() -> Vec<u8> {
    static DER: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    let make = || {
        TestDomain::new("example.org")
            .leaf("/agent")
            .issue()
            .chain()[0]
            .to_vec()
    };
    DER.get_or_init(make).clone()
}
