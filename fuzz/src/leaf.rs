//! A leaf certificate by the rules of X509-SVID.
//!
//! Input: DER.

use aws_lc_rs::digest::{SHA256, digest};
use pqlane_certs::leaf::{Leaf, MAX_CERTIFICATE_LEN};
use pqlane_certs::svid::SvidError;
use rustls_pki_types::CertificateDer;
use webpki::EndEntityCert;

use crate::Verdict;
use crate::der::Extensions;
use crate::message::whole_message;

/// keyUsage bits 0, 5 and 6 in its first octet (RFC 5280 §4.2.1.3).
pub(crate) const DIGITAL_SIGNATURE: u8 = 0x80;
pub(crate) const KEY_CERT_SIGN: u8 = 0x04;
const CRL_SIGN: u8 = 0x02;

/// Reads a certificate; of one that is accepted, every rule is checked again.
///
/// # Panics
/// When an invariant does not hold.
pub fn run(bytes: &[u8]) -> Verdict {
    let der = CertificateDer::from(bytes);
    let parsed = Leaf::parse(&der);
    match &parsed {
        Ok(leaf) => check(leaf, &der),
        Err(error) => check_refusal(error),
    }
    Verdict::of(&parsed)
}

/// Asserts that a leaf says what its certificate says, and that this follows the rules.
pub(crate) fn check(leaf: &Leaf, der: &CertificateDer<'_>) {
    let id = leaf.spiffe_id();
    assert!(der.len() <= MAX_CERTIFICATE_LEN);
    assert_eq!(leaf.thumbprint(), digest(&SHA256, der).as_ref());

    assert!(id.path().starts_with('/'), "{id}");
    assert_eq!(id.as_str().parse().as_ref(), Ok(id));

    // x509-parser reads some BER. That is no harm as long as webpki, which judges the chain, does not; but what
    // webpki reads has to follow the rules as it and the second reader here see them, too.
    let Ok(certificate) = EndEntityCert::try_from(der) else {
        return;
    };
    let extensions = Extensions::of(der);
    assert!(extensions.is_some(), "{id}: not read by the second reader");
    let Extensions {
        uris,
        is_ca,
        key_usage,
    } = extensions.unwrap_or_default();
    // X509-SVID §2: exactly one URI, the SPIFFE ID.
    assert_eq!(uris.unwrap_or_default(), [id.as_str().as_bytes()]);
    let names: Vec<&str> = certificate.valid_uri_names().collect();
    assert_eq!(names, [id.as_str()]);
    // X509-SVID §4.1 and §4.3.
    assert!(!is_ca, "{id}");
    let usage = key_usage.map(|usage| usage & (DIGITAL_SIGNATURE | KEY_CERT_SIGN | CRL_SIGN));
    assert_eq!(usage, Some(DIGITAL_SIGNATURE), "{id}");
}

/// Asserts that a refusal has words and a label, and blames no key.
fn check_refusal(error: &SvidError) {
    let message = whole_message(error);
    assert!(!error.reason().is_empty(), "{message}");
    assert!(!error.is_about_the_key(), "{message}");
}
