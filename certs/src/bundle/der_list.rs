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

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_split_is_the_whole(bytes: Vec<u8>) {
            if let Ok(all) = split_der_certificates(&bytes) {
                let whole: Vec<u8> = all.iter().flat_map(|one| one.to_vec()).collect();
                prop_assert_eq!(whole, bytes);
            }
        }

        #[test]
        fn sequences_of_any_length_are_told_apart(
            all in vec(vec(any::<u8>(), 0..=255), 0..2 * MAX_ROOTS),
        ) {
            let ders: Vec<Vec<u8>> = all.iter().map(|contents| sequence(contents)).collect();
            let whole = ders.concat();
            match split_der_certificates(&whole) {
                Ok(found) => {
                    let found: Vec<&[u8]> = found.iter().map(|one| &**one).collect();
                    prop_assert_eq!(found, ders);
                }
                Err(error) => {
                    prop_assert!(matches!(error, BundleError::TooManyRoots));
                    prop_assert!(ders.len() > MAX_ROOTS);
                }
            }
        }
    }

    fn sequence(contents: &[u8]) -> Vec<u8> {
        let len = u8::try_from(contents.len()).unwrap();
        let head = match len {
            0..0x80 => vec![SEQUENCE, len],
            0x80.. => vec![SEQUENCE, 0x81, len],
        };
        [&head, contents].concat()
    }
}
