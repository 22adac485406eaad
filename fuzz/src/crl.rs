//! The revocation lists of a trust domain.
//!
//! Input: one list, DER. It is read, and then asked about the leaf of a root that signed three lists itself.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::digest::{SHA256, digest};
use pqlane_certs::bundle::{BundleError, BundleWarning, TrustBundle, TrustBundles};
use pqlane_certs::clock::FixedClock;
use pqlane_certs::revocation::MAX_CRL_LEN;
use pqlane_certs::spiffe_id::{SpiffeIdError, TrustDomain};
use pqlane_certs::testing::{NOW, allow, verifier_config};
use pqlane_certs::verifier::{PeerVerifier, Role};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};

use crate::Verdict;
use crate::message::whole_message;

/// The root and its leaf. Test material, like that of `peer_chain`; the keys were thrown away.
const ROOT: &[u8] = include_bytes!("../fixtures/crl_root.der");
const LEAF: &[u8] = include_bytes!("../fixtures/crl_leaf.der");

/// The lists that the root signed, and what they do to the leaf. Two are up to date until 2099.
const GENUINE: [(&[u8], &str); 3] = [
    (include_bytes!("../fixtures/crl_empty.der"), "accepted"),
    (include_bytes!("../fixtures/crl_expired.der"), "crl-expired"),
    (include_bytes!("../fixtures/crl_listed.der"), "revoked"),
];

static ROOTS: LazyLock<Option<TrustBundle>> = LazyLock::new(|| {
    let named: Result<TrustDomain, SpiffeIdError> = "example.org".parse();
    TrustBundle::from_ders(named.ok()?, [CertificateDer::from(ROOT)]).ok()
});

/// Reads a list; one that the root did not sign revokes nobody, and hides nobody who is revoked.
///
/// # Panics
/// When an invariant does not hold.
pub fn run(bytes: &[u8]) -> Verdict {
    assert_eq!(reason_under(&[]), "accepted");
    let read = with_crls(&[bytes]);
    match &read {
        Ok(bundle) => check(bundle, bytes),
        Err(error) => check_refusal(error, bytes),
    }
    Verdict::of(&read)
}

fn check(bundle: &TrustBundle, bytes: &[u8]) {
    assert!(bytes.len() <= MAX_CRL_LEN);
    let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes();
    let expected = digest(&SHA256, &[&len, bytes].concat());
    assert_eq!(bundle.crl_digest(), expected.as_ref());
    let names_root = bundle.warnings() != [BundleWarning::CrlOfNoRoot { position: 1 }];
    assert!(names_root == bundle.warnings().is_empty());

    let reason = reason_under(&[bytes]);
    let genuine = GENUINE.iter().find(|(list, _)| *list == bytes);
    match genuine {
        Some((_, expected)) => assert_eq!(reason, *expected),
        // Not the root's. Either it says that it is another's, or nobody knows.
        None if names_root => assert!(["accepted", "crl-unusable"].contains(&reason), "{reason}"),
        None => assert_eq!(reason, "accepted"),
    }
    // Beside the list on which the leaf is, only a newer one of the root's own lets the leaf in.
    let [_, _, (listed, _)] = GENUINE;
    for lists in [[bytes, listed], [listed, bytes]] {
        let reason = reason_under(&lists);
        assert!(reason != "accepted" || genuine.is_some());
        assert!(
            ["accepted", "revoked", "crl-expired", "crl-unusable"].contains(&reason),
            "{reason}"
        );
    }
}

fn with_crls(lists: &[&[u8]]) -> Result<TrustBundle, BundleError> {
    let roots = ROOTS.clone();
    assert!(roots.is_some(), "the fixture is not a root");
    let lists = lists
        .iter()
        .map(|list| CertificateRevocationListDer::from(*list));
    roots.map_or_else(
        || Err(BundleError::TooManyRoots),
        |roots| roots.with_crls(lists),
    )
}

/// What becomes of the leaf.
fn reason_under(lists: &[&[u8]]) -> &'static str {
    let mut bundles = TrustBundles::new();
    let inserted = with_crls(lists).and_then(|bundle| bundles.insert(bundle));
    assert!(inserted.is_ok());
    let allowed = allow(&["spiffe://example.org/agent"]);
    let clock = Arc::new(FixedClock::new(NOW));
    let config = verifier_config(Arc::new(bundles), allowed, clock);
    let verifier = PeerVerifier::new(config);
    match verifier.identify(&[CertificateDer::from(LEAF)], Role::Client) {
        Ok(_) => "accepted",
        Err(error) => {
            assert_eq!(error.proved_id(), None);
            error.reason()
        }
    }
}

fn check_refusal(error: &BundleError, bytes: &[u8]) {
    let message = whole_message(error);
    assert!(
        matches!(error, BundleError::Crl { position: 1, .. }),
        "{message}"
    );
    assert!(GENUINE.iter().all(|(list, _)| *list != bytes), "{message}");
}
