//! Certificates one after another, as the Workload API gives them.

use rustls_pki_types::CertificateDer;

use super::{BundleError, MAX_BUNDLE_LEN, MAX_ROOTS};
use crate::leaf::element::{self, SEQUENCE};

/// Splits concatenated DER certificates, with nothing between them.
///
/// Only the outermost SEQUENCE of each is looked at: whoever uses the certificates reads them.
/// Gives an empty list for no bytes. Spec: SPIFFE Workload API, `X509SVID.x509_svid` and `bundle`.
///
/// # Errors
/// [`BundleError::DerTooLong`] beyond 4 MiB, [`BundleError::TooManyRoots`] beyond 64 certificates,
/// and [`BundleError::NotDer`] where no certificate begins or the last one is cut short.
pub fn split_der_certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'_>>, BundleError> {
    let len = bytes.len();
    if len > MAX_BUNDLE_LEN {
        return Err(BundleError::DerTooLong { len });
    }
    let mut certificates = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        if certificates.len() == MAX_ROOTS {
            return Err(BundleError::TooManyRoots);
        }
        let at = len.saturating_sub(rest.len());
        let certificate = element::expect(SEQUENCE, rest).ok_or(BundleError::NotDer { at })?;
        certificates.push(CertificateDer::from(certificate.whole));
        rest = certificate.rest;
    }
    Ok(certificates)
}
