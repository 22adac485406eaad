//! The roots of a trust domain, from PEM.
//!
//! Input: PEM.

use pqlane_certs::bundle::{BundleError, MAX_ROOTS, TrustBundle, TrustBundles};
use pqlane_certs::spiffe_id::{SpiffeIdError, TrustDomain};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, TrustAnchor};

use crate::Verdict;
use crate::der::Extensions;
use crate::leaf::KEY_CERT_SIGN;
use crate::message::whole_message;

/// Reads a bundle; every root of one that is accepted may sign certificates.
///
/// # Panics
/// When an invariant does not hold.
pub fn run(bytes: &[u8]) -> Verdict {
    let named: Result<TrustDomain, SpiffeIdError> = "example.org".parse();
    let Ok(trust_domain) = named else {
        return Verdict::Refused;
    };
    let read = TrustBundle::from_pem(trust_domain.clone(), bytes);
    match &read {
        Ok(bundle) => check(bundle, &trust_domain, bytes),
        Err(error) => check_refusal(error),
    }
    Verdict::of(&read)
}

fn check(bundle: &TrustBundle, trust_domain: &TrustDomain, pem: &[u8]) {
    assert_eq!(bundle.trust_domain(), trust_domain);
    assert!((1..=MAX_ROOTS).contains(&bundle.roots().len()));
    let sections = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok);
    let certificates: Vec<CertificateDer<'_>> = sections.collect();
    let left_out = bundle.warnings().len();
    assert_eq!(bundle.roots().len() + left_out, certificates.len());

    // The same certificates are the same bundle in either form.
    let from_ders = TrustBundle::from_ders(trust_domain.clone(), certificates.iter().cloned());
    let digest = from_ders.map(|bundle| bundle.digest()).ok();
    assert_eq!(digest, Some(bundle.digest()));

    let mut roots = bundle.roots().iter().peekable();
    for der in &certificates {
        // X509-SVID §3.2 and §4.3.
        let extensions = Extensions::of(der);
        assert!(extensions.is_some(), "not read by the second reader");
        let extensions = extensions.unwrap_or_default();
        assert!(extensions.is_ca);
        let signs = |usage| usage & KEY_CERT_SIGN != 0;
        assert!(extensions.key_usage.is_none_or(signs));
        // The next anchor is of this certificate, whose name and key are parts of it, unless that is one
        // of those that were left out.
        let is_of_this = |root: &&TrustAnchor<'_>| {
            [&*root.subject, &*root.subject_public_key_info]
                .into_iter()
                .all(|part| der.windows(part.len().max(1)).any(|window| window == part))
        };
        if left_out == 0 {
            assert!(roots.peek().is_some_and(is_of_this));
        }
        let _this = roots.next_if(is_of_this);
    }
    assert_eq!(roots.next(), None);

    // A trust domain has one bundle.
    let mut bundles = TrustBundles::new();
    assert!(bundles.insert(bundle.clone()).is_ok());
    assert!(bundles.insert(bundle.clone()).is_err());
    assert_eq!(bundles.trust_domains().collect::<Vec<_>>(), [trust_domain]);
}

fn check_refusal(error: &BundleError) {
    let message = whole_message(error);
    match error {
        BundleError::Malformed { position, .. }
        | BundleError::NotAnAnchor { position, .. }
        | BundleError::NotCa { position }
        | BundleError::UriNameConstraints { position, .. } => {
            assert!((1..=MAX_ROOTS).contains(position), "{message}");
        }
        BundleError::Empty { .. } | BundleError::Pem(_) | BundleError::TooManyRoots => {}
        BundleError::Crl { .. }
        | BundleError::DerTooLong { .. }
        | BundleError::NotDer { .. }
        | BundleError::TooManyCrls => assert_eq!(message, "", "only PEM was read"),
        BundleError::Twice { .. } => assert_eq!(message, "", "only one was read"),
    }
}
