//! Certificates that stand one after another in DER.

use rustls_pki_types::CertificateDer;

use crate::authority::certificate_pem;
use crate::secret::SecretPem;

/// Identifier of a SEQUENCE, with which a certificate begins. Spec: X.690 §8.9, RFC 5280 §4.1.
const SEQUENCE: u8 = 0x30;

/// Splits `bytes` into at most `most` SEQUENCEs that fill it. What is in them is not looked at.
///
/// None for a length that is indefinite, of more than four bytes or past the end, for another type, and for
/// too many.
pub(super) fn split(bytes: &[u8], most: usize) -> Option<Vec<CertificateDer<'_>>> {
    let mut all = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (first, after) = rest.split_at_checked(sequence_len(rest)?)?;
        if all.len() == most {
            return None;
        }
        all.push(CertificateDer::from(first));
        rest = after;
    }
    Some(all)
}

/// The length in bytes of the SEQUENCE with which `bytes` begin, identifier and length included.
/// Spec: X.690 §8.1.3, §10.1.
fn sequence_len(bytes: &[u8]) -> Option<usize> {
    let (&[identifier, first], rest) = bytes.split_first_chunk::<2>()?;
    if identifier != SEQUENCE {
        return None;
    }
    if first < 0x80 {
        return Some(2 + usize::from(first));
    }
    let count = usize::from(first & 0x7f);
    if !(1..=4).contains(&count) {
        return None;
    }
    let len = rest
        .get(..count)?
        .iter()
        .fold(0_usize, |len, byte| len << 8 | usize::from(*byte));
    len.checked_add(2 + count)
}

/// Certificates as PEM text.
pub(super) fn to_pem(certificates: &[CertificateDer<'_>]) -> String {
    certificates.iter().map(certificate_pem).collect()
}

/// A PKCS#8 key as PEM text.
pub(super) fn key_to_pem(key: &[u8]) -> SecretPem {
    SecretPem::new(pem::encode(&pem::Pem::new("PRIVATE KEY", key)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn splits_short_and_long_sequences() {
        let short = [SEQUENCE, 1, 7].to_vec();
        let long = [&[SEQUENCE, 0x82, 1, 0][..], &[9; 256]].concat();
        let both = [short.clone(), long.clone()].concat();
        let found = split(&both, 2).unwrap();
        assert_eq!(found, [short.into(), long.into()]);
        assert_eq!(split(&both, 1), None);
        assert_eq!(split(&[], 0), Some(vec![]));
    }

    #[test]
    fn refuses_what_is_not_whole_sequences() {
        for bytes in [
            &[SEQUENCE][..],
            &[SEQUENCE, 1],
            &[0x31, 0],
            &[SEQUENCE, 0x80, 0, 0],
            &[SEQUENCE, 0x85, 0, 0, 0, 0, 0],
            &[SEQUENCE, 0x84, 0xff, 0xff, 0xff, 0xff],
            &[SEQUENCE, 0, 0],
        ] {
            assert_eq!(split(bytes, 8), None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_split_is_the_whole(bytes: Vec<u8>, most in 0..8_usize) {
            if let Some(all) = split(&bytes, most) {
                prop_assert!(all.len() <= most);
                let whole: Vec<u8> = all.iter().flat_map(|one| one.to_vec()).collect();
                prop_assert_eq!(whole, bytes);
            }
        }
    }
}
