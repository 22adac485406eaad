//! Name constraints on URIs.

use super::*;
use crate::testing::{provider, uri_name_constraints};

/// The premise of all that is said about such certificates.
#[test]
fn webpki_refuses_every_svid_below_a_root_that_constrains_uris() {
    let key = crate::testing::key_pair(&rcgen::PKCS_ECDSA_P256_SHA256);
    let constrained = TestDomain::with_root("example.org", key, |params| {
        params.custom_extensions = vec![uri_name_constraints()];
    });
    let verify = |domain: &TestDomain| {
        let svid = domain.leaf("/agent").issue();
        let anchor = [webpki::anchor_from_trusted_cert(domain.root().certificate()).unwrap()];
        let leaf = webpki::EndEntityCert::try_from(&svid.chain()[0]).unwrap();
        let verified = leaf.verify_for_usage(
            provider().signature_verification_algorithms.all,
            &anchor,
            &[],
            NOW,
            webpki::KeyUsage::client_auth(),
            None,
            None,
        );
        verified.map(drop)
    };
    assert_eq!(verify(&TestDomain::new("example.org")), Ok(()));
    // Although the ID is within the permitted subtree.
    let refusal = Err(webpki::Error::NameConstraintViolation);
    assert_eq!(verify(&constrained), refusal);
}

#[test]
fn says_what_is_wrong_with_an_intermediate_that_constrains_uris() {
    let domain = TestDomain::new("example.org");
    let fixture = trusting(bundles(&[&domain]));
    let intermediate = domain.root().intermediate_with("issuing", |params| {
        params.custom_extensions = vec![uri_name_constraints()];
    });
    let svid = intermediate.leaf("spiffe://example.org/agent").issue();
    let error = fixture.refusal(&svid);
    assert_eq!(error.reason(), "uri-name-constraints");
    assert!(
        error.to_string().contains("leave URI subtrees out"),
        "{error}"
    );
    // One that the path does not need does no harm.
    let good = domain.leaf("/agent").issue();
    let more = good.with_more(&[intermediate.certificate().clone()]);
    assert!(
        fixture
            .verifier
            .identify(more.chain(), Role::Client)
            .is_ok()
    );
}
