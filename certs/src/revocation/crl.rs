//! Certificate revocation lists, by the issuer that signed them.
//!
//! Takes DER. Gives a `Crl`, whose signature is checked when it is used, with the key of the issuer
//! of the certificate in question. Never takes the name of an issuer for its key: a CA that renews
//! its key keeps its name, and the list of one key says nothing about the certificates of the other.
//!
//! webpki would choose a list by name alone and refuse every chain when the first of that name has
//! the signature of another key. So the choice is made here; what a list says is read by webpki.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls_pki_types::{SubjectPublicKeyInfoDer, UnixTime};
use webpki::{CertRevocationList, OwnedCertRevocationList, RawPublicKeyEntity};
use x509_parser::certificate::X509Certificate;
use x509_parser::error::X509Error;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::time::ASN1Time;

use crate::leaf;
use crate::leaf::element::{self, BIT_STRING, SEQUENCE};
use crate::svid::SvidError;
use crate::verifier::AlgorithmProfile;

/// The most lists for one trust domain.
pub const MAX_CRLS: usize = 256;

/// The longest list that is read, in bytes.
pub const MAX_CRL_LEN: usize = 1024 * 1024;

/// A revocation list that was read; whose it is, only a signature says.
pub(crate) struct Crl {
    list: CertRevocationList<'static>,
    signed: Signed,
    this_update: i64,
    number: Vec<u8>,
    next_update: UnixTime,
    authority_key_id: Option<Box<[u8]>>,
    // The first key that verified the signature, and the algorithms that were accepted then.
    proved: OnceLock<(Box<[u8]>, AlgorithmProfile)>,
}

/// The parts of `CertificateList`. Spec: RFC 5280 §5.1.1.
struct Signed {
    /// `tbsCertList`, DER.
    list: Box<[u8]>,
    /// The contents of `signatureAlgorithm`.
    algorithm: Box<[u8]>,
    signature: Box<[u8]>,
}

/// Who issued a certificate, as far as a revocation list can tell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CrlIssuer<'a> {
    /// SubjectPublicKeyInfo, DER.
    pub(crate) spki: &'a [u8],
    /// The contents of subjectKeyIdentifier, if there is one. Spec: RFC 5280 §4.2.1.2.
    pub(crate) key_id: Option<&'a [u8]>,
    /// keyUsage has cRLSign, or there is no keyUsage. Spec: RFC 5280 §6.3.3 (f).
    pub(crate) signs_crls: SignsCrls,
}

impl<'a> CrlIssuer<'a> {
    /// What a CA certificate says about itself.
    pub(crate) fn of(certificate: &'a X509Certificate<'_>) -> Result<Self, SvidError> {
        let usage = leaf::key_usage(certificate)?;
        let key_id = certificate.extensions().iter().find_map(|extension| {
            match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
                _ => None,
            }
        });
        Ok(Self {
            spki: certificate.public_key().raw,
            key_id,
            signs_crls: match usage.is_none_or(|usage| usage.crl_sign()) {
                true => SignsCrls::Yes,
                false => SignsCrls::No,
            },
        })
    }
}

/// Whether an issuer may sign revocation lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignsCrls {
    No,
    Yes,
}

/// What the lists of its issuer say against a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Revocation {
    /// The list of the issuer is out of date.
    Expired { next_update: UnixTime },
    /// The certificate is on the list.
    Revoked,
    /// A list of the issuer cannot be used.
    Unusable(webpki::Error),
}

impl Crl {
    /// Reads one list.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, CrlError> {
        let len = der.len();
        if len > MAX_CRL_LEN {
            return Err(CrlError::TooLong { len });
        }
        let list = OwnedCertRevocationList::from_der(der)
            .map(CertRevocationList::from)
            .map_err(|source| match source {
                webpki::Error::UnsupportedDeltaCrl => CrlError::Delta,
                source => CrlError::Malformed(source),
            })?;
        // RFC 5280 §5.2.5. With such a list webpki takes a certificate that names another
        // distribution point for one whose status nobody knows, and lets it pass.
        if list.issuing_distribution_point().is_some() {
            return Err(CrlError::Partial);
        }
        let signed = Signed::split(der).ok_or(CrlError::NotDer)?;
        let (rest, parsed) = CertificateRevocationList::from_der(der)
            .map_err(X509Error::from)
            .map_err(CrlError::Unreadable)?;
        let next_update = parsed.next_update().map(unix);
        let (true, Some(next_update)) = (rest.is_empty(), next_update) else {
            return Err(CrlError::NotDer);
        };
        Ok(Self {
            list,
            signed,
            this_update: parsed.last_update().timestamp(),
            number: parsed
                .crl_number()
                .map(|number| number.to_bytes_be())
                .unwrap_or_default(),
            next_update,
            authority_key_id: authority_key_id(&parsed),
            proved: OnceLock::new(),
        })
    }

    /// The contents of the issuer's name, as webpki has that of a certificate.
    pub(crate) fn issuer(&self) -> &[u8] {
        self.list.issuer()
    }

    /// How two lists of one issuer are told apart by age; the greater is the newer.
    fn age(&self) -> (i64, usize, &[u8]) {
        (self.this_update, self.number.len(), &self.number)
    }

    /// Whether this key signed the list, in an algorithm that is accepted. A key that did is
    /// remembered: a long list is hashed once.
    fn is_signed_by(&self, spki: &[u8], algorithms: &WebPkiSupportedAlgorithms) -> bool {
        let profile = AlgorithmProfile::of(algorithms);
        let proved = self.proved.get();
        if proved.is_some_and(|(key, accepted)| **key == *spki && *accepted == profile) {
            return true;
        }
        let Signed {
            list,
            algorithm,
            signature,
        } = &self.signed;
        let key = SubjectPublicKeyInfoDer::from(spki);
        let Ok(key) = RawPublicKeyEntity::try_from(&key) else {
            return false;
        };
        let verified = algorithms
            .all
            .iter()
            .filter(|accepted| *accepted.signature_alg_id() == **algorithm)
            .any(|accepted| key.verify_signature(*accepted, list, signature).is_ok());
        if verified {
            // Whoever came first stays; it is no less true.
            let _full = self.proved.set((spki.into(), profile));
        }
        verified
    }

    /// What the authority key identifier says about an issuer that did not verify the signature.
    fn names(&self, issuer: &CrlIssuer<'_>) -> Named {
        match (self.authority_key_id.as_deref(), issuer.key_id) {
            (Some(named), Some(key_id)) if named == key_id => Named::This,
            (Some(_), Some(_)) => Named::Another,
            (None, _) | (_, None) => Named::Nobody,
        }
    }

    /// What the list says about a certificate of the issuer who signed it.
    fn judge(
        &self,
        serial: &[u8],
        issuer: &CrlIssuer<'_>,
        now: UnixTime,
    ) -> Result<(), Revocation> {
        // RFC 5280 §6.3.3 (f).
        if issuer.signs_crls == SignsCrls::No {
            return Err(Revocation::Unusable(webpki::Error::IssuerNotCrlSigner));
        }
        // What is revoked stays revoked however old the news is.
        let found = self
            .list
            .find_serial(serial)
            .map_err(Revocation::Unusable)?;
        if found.is_some() {
            return Err(Revocation::Revoked);
        }
        if now >= self.next_update {
            return Err(Revocation::Expired {
                next_update: self.next_update,
            });
        }
        Ok(())
    }
}

/// Whose key an authority key identifier names. Spec: RFC 5280 §5.2.1.
enum Named {
    Another,
    Nobody,
    This,
}

/// The order in which [`next_update_of`] takes lists.
pub(crate) fn newest_first(crls: &mut [Arc<Crl>]) {
    crls.sort_by(|one, other| Reverse(one.age()).cmp(&Reverse(other.age())));
}

/// Looks a certificate up in the newest list that its issuer signed, and in all of the same age.
/// Gives the time from which the first of them is out of date, or none when the issuer has no list.
///
/// `crls` are in the order of [`newest_first`]. A list that carries the issuer's name and not its
/// signature is another issuer's only if it names another key; otherwise nobody knows what the
/// issuer had to say, and the certificate is refused.
pub(crate) fn next_update_of(
    certificate: &webpki::Cert<'_>,
    issuer: &CrlIssuer<'_>,
    crls: &[Arc<Crl>],
    algorithms: &WebPkiSupportedAlgorithms,
    now: UnixTime,
) -> Result<Option<UnixTime>, Revocation> {
    let forged = || Revocation::Unusable(webpki::Error::InvalidCrlSignatureForPublicKey);
    let mut newest: Option<&Crl> = None;
    let mut next_update = None;
    let mut signer = Named::Another;
    for crl in crls
        .iter()
        .filter(|crl| crl.issuer() == certificate.issuer())
    {
        if newest.is_some_and(|newest| newest.age() != crl.age()) {
            break;
        }
        if crl.is_signed_by(issuer.spki, algorithms) {
            crl.judge(certificate.serial(), issuer, now)?;
            newest = Some(crl);
            let until = next_update.unwrap_or(crl.next_update);
            next_update = Some(crl.next_update.min(until));
            continue;
        }
        match crl.names(issuer) {
            Named::Another => {}
            Named::Nobody => signer = Named::Nobody,
            Named::This => return Err(forged()),
        }
    }
    match (signer, next_update) {
        (Named::Nobody, None) => Err(forged()),
        (_, next_update) => Ok(next_update),
    }
}

impl Signed {
    fn split(der: &[u8]) -> Option<Self> {
        let outer = element::expect(SEQUENCE, der).filter(|outer| outer.rest.is_empty())?;
        let list = element::expect(SEQUENCE, outer.contents)?;
        let algorithm = element::expect(SEQUENCE, list.rest)?;
        let signature = element::expect(BIT_STRING, algorithm.rest)?;
        let [0, octets @ ..] = signature.contents else {
            return None;
        };
        signature.rest.is_empty().then(|| Self {
            list: list.whole.into(),
            algorithm: algorithm.contents.into(),
            signature: octets.into(),
        })
    }
}

fn authority_key_id(parsed: &CertificateRevocationList<'_>) -> Option<Box<[u8]>> {
    parsed.extensions().iter().find_map(|extension| {
        let ParsedExtension::AuthorityKeyIdentifier(authority) = extension.parsed_extension()
        else {
            return None;
        };
        authority.key_identifier.as_ref().map(|id| id.0.into())
    })
}

/// Times before 1970 read as 1970.
fn unix(time: ASN1Time) -> UnixTime {
    let secs = u64::try_from(time.timestamp()).unwrap_or_default();
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(secs))
}

impl fmt::Debug for Crl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let until = crate::clock::Rfc3339(self.next_update);
        write!(f, "Crl(until {until})")
    }
}

/// Why bytes are not a revocation list that can be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CrlError {
    /// It lists changes only. Spec: RFC 5280 §5.2.4.
    #[error("it is a delta CRL: a complete CRL is accepted")]
    Delta,
    /// webpki cannot read it.
    #[error("it cannot be read: a DER CRL of version 2 with nextUpdate is accepted")]
    Malformed(#[source] webpki::Error),
    /// Its encoding is not DER.
    #[error("it is not one CRL encoded as DER requires")]
    NotDer,
    /// It covers only part of what its issuer issued. Spec: RFC 5280 §5.2.5.
    #[error(
        "it has an issuingDistributionPoint and so covers only some certificates: a CRL without that extension is accepted"
    )]
    Partial,
    /// It is longer than [`MAX_CRL_LEN`].
    #[error("it is {len} bytes long: at most {MAX_CRL_LEN} are read")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// The second reader cannot read it.
    #[error("it cannot be read: a DER CRL of version 2 with nextUpdate is accepted")]
    Unreadable(#[source] X509Error),
}
