//! A development trust domain: one CA that issues X.509-SVIDs.
//!
//! Takes a trust domain and SPIFFE IDs in it. Gives a CA, its trust bundle, and SVIDs with their
//! keys. Never meant for production, where SPIRE or another identity provider attests a workload
//! before it issues: this one asks nothing and gives an SVID to whoever can read the CA's key.

mod files;
mod issue;
mod key_kind;
mod pem_text;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose, PublicKeyData,
    SanType,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, UnixTime};
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use zeroize::{Zeroize, Zeroizing};

use crate::clock::{Clock, Rfc3339};
use crate::leaf::{self, Validity};
use crate::pem_problem::PemProblem;
use crate::secret::SecretPem;
use crate::spiffe_id::{SpiffeId, TrustDomain};
use crate::svid::SvidError;

pub use files::{AuthorityFileError, BUNDLE_FILE, CERTIFICATE_FILE, KEY_FILE};
pub use issue::{IssueOptions, IssuedSvid};
pub use key_kind::{KeyKind, KeyKindError};
pub(crate) use pem_text::certificate as certificate_pem;

/// How long before its issuance a certificate becomes valid, against clocks that run late.
pub const BACKDATE: Duration = Duration::from_secs(30);

/// The CA of a development trust domain, with its key.
///
/// `Debug` shows the trust domain and the expiry, never the key.
pub struct Authority {
    trust_domain: TrustDomain,
    certificate: CertificateDer<'static>,
    validity: Validity,
    key: Zeroizing<KeyPair>,
}

/// The CA certificate and its key as PEM text.
#[derive(Clone, Debug)]
pub struct AuthorityPem {
    /// The certificate.
    pub certificate_pem: String,
    /// The private key, PKCS#8.
    pub key_pem: SecretPem,
}

impl Authority {
    /// Makes a CA with a fresh ECDSA P-256 key.
    ///
    /// Its certificate is self-signed, carries the ID of the trust domain as its URI SAN, may sign
    /// leaves and CRLs and no further CAs, and is valid from 30 s ago until `ttl` from now.
    /// Spec: X509-SVID §3.2, §4.1, §4.3.
    ///
    /// # Errors
    /// [`AuthorityError::Ttl`] for less than a second or a date that X.509 cannot write, and
    /// [`AuthorityError::Generate`] when key or certificate cannot be made.
    pub fn create(
        trust_domain: TrustDomain,
        ttl: Duration,
        clock: &dyn Clock,
    ) -> Result<Self, AuthorityError> {
        let validity = Validity::starting(clock.now(), ttl)?;
        let key = KeyKind::EcdsaP256.generate()?;
        let mut params = CertificateParams::default();
        (params.not_before, params.not_after) =
            validity.dates().ok_or(AuthorityError::Ttl { ttl })?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::OrganizationName, "pqlane development authority");
        params
            .distinguished_name
            .push(DnType::CommonName, trust_domain.as_str());
        params.subject_alt_names = vec![uri_san(&trust_domain.id())?];
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params
            .self_signed(&*key)
            .map_err(AuthorityError::Generate)?;
        Ok(Self {
            trust_domain,
            certificate: certificate.der().clone(),
            validity,
            key,
        })
    }

    /// Takes up a CA from its certificate and PKCS#8 key.
    ///
    /// # Errors
    /// [`AuthorityError`] when one of them does not decode, the certificate is not that of a CA
    /// for `trust_domain`, or the key is not the certificate's.
    pub fn from_pem(
        certificate_pem: &[u8],
        key_pem: &[u8],
        trust_domain: TrustDomain,
    ) -> Result<Self, AuthorityError> {
        let authority = Self::decode(certificate_pem, key_pem)?;
        if authority.trust_domain != trust_domain {
            return Err(AuthorityError::OtherTrustDomain {
                found: authority.trust_domain,
                expected: trust_domain,
            });
        }
        Ok(authority)
    }

    /// The CA certificate and its key.
    pub fn to_pem(&self) -> AuthorityPem {
        AuthorityPem {
            certificate_pem: pem_text::certificate(&self.certificate),
            key_pem: SecretPem::new(self.key.serialize_pem()),
        }
    }

    /// The trust bundle of the domain: the one CA certificate.
    pub fn bundle_pem(&self) -> String {
        pem_text::certificate(&self.certificate)
    }

    /// The trust domain for which this CA issues.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The last second at which the CA certificate is valid; no SVID outlives it.
    pub fn not_after(&self) -> UnixTime {
        self.validity.not_after
    }

    /// Takes up a CA for the trust domain that its certificate names.
    fn decode(certificate_pem: &[u8], key_pem: &[u8]) -> Result<Self, AuthorityError> {
        let certificate = CertificateDer::from_pem_slice(certificate_pem)
            .map_err(|error| AuthorityError::Pem(error.into()))?;
        let parsed = leaf::parse_certificate(&certificate).map_err(AuthorityError::Certificate)?;
        check_is_ca(&parsed)?;
        let trust_domain = read_trust_domain(&parsed)?;
        let validity = Validity::of(&parsed);

        let mut pkcs8 = PrivatePkcs8KeyDer::from_pem_slice(key_pem)
            .map_err(|error| AuthorityError::KeyPem(error.into()))?;
        let key = KeyPair::try_from(pkcs8.secret_pkcs8_der()).map(Zeroizing::new);
        pkcs8.zeroize();
        let key = key.map_err(AuthorityError::Key)?;
        if key.subject_public_key_info() != parsed.public_key().raw {
            return Err(AuthorityError::KeyMismatch);
        }
        Ok(Self {
            trust_domain,
            certificate: certificate.clone().into_owned(),
            validity,
            key,
        })
    }

    fn check_valid_at(&self, now: UnixTime) -> Result<(), AuthorityError> {
        if now > self.validity.not_after {
            let not_after = self.validity.not_after;
            return Err(AuthorityError::Expired { not_after });
        }
        if now < self.validity.not_before {
            let not_before = self.validity.not_before;
            return Err(AuthorityError::NotYetValid { not_before });
        }
        Ok(())
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expiry = Rfc3339(self.validity.not_after);
        write!(f, "Authority({}, until {expiry})", self.trust_domain)
    }
}

impl Validity {
    /// From [`BACKDATE`] before `now` until `ttl` after it.
    fn starting(now: UnixTime, ttl: Duration) -> Result<Self, AuthorityError> {
        let out_of_range = AuthorityError::Ttl { ttl };
        if ttl.as_secs() == 0 {
            return Err(out_of_range);
        }
        let at = |secs| UnixTime::since_unix_epoch(Duration::from_secs(secs));
        let now = now.as_secs();
        let not_after = now.checked_add(ttl.as_secs()).ok_or(out_of_range)?;
        Ok(Self {
            not_before: at(now.saturating_sub(BACKDATE.as_secs())),
            not_after: at(not_after),
        })
    }

    /// Both ends, if X.509 can write them: up to the year 9999. Spec: RFC 5280 §4.1.2.5.
    fn dates(self) -> Option<(OffsetDateTime, OffsetDateTime)> {
        let date = |time: UnixTime| {
            let secs = i64::try_from(time.as_secs()).ok()?;
            OffsetDateTime::from_unix_timestamp(secs).ok()
        };
        Some((date(self.not_before)?, date(self.not_after)?))
    }
}

fn uri_san(id: &SpiffeId) -> Result<SanType, AuthorityError> {
    let uri = id.as_str().try_into().map_err(AuthorityError::Generate)?;
    Ok(SanType::URI(uri))
}

/// X509-SVID §3.2, §4.3.
fn check_is_ca(certificate: &X509Certificate<'_>) -> Result<(), AuthorityError> {
    let is_ca = leaf::is_ca(certificate).map_err(AuthorityError::Certificate)?;
    let usage = certificate
        .key_usage()
        .map_err(SvidError::Malformed)
        .map_err(AuthorityError::Certificate)?;
    if !is_ca || !usage.is_some_and(|usage| usage.value.key_cert_sign()) {
        return Err(AuthorityError::NotCa);
    }
    Ok(())
}

/// X509-SVID §3.2: the SPIFFE ID of a signing certificate has no path.
fn read_trust_domain(certificate: &X509Certificate<'_>) -> Result<TrustDomain, AuthorityError> {
    let names = certificate
        .subject_alternative_name()
        .map_err(SvidError::Malformed)
        .map_err(AuthorityError::Certificate)?;
    let uris: Vec<&GeneralName<'_>> = names
        .iter()
        .flat_map(|names| &names.value.general_names)
        .filter(|name| matches!(name, GeneralName::URI(_)))
        .collect();
    let [GeneralName::URI(uri)] = *uris.as_slice() else {
        return Err(AuthorityError::NoTrustDomain);
    };
    match uri.parse::<SpiffeId>() {
        Ok(id) if id.path().is_empty() => Ok(id.trust_domain().clone()),
        Ok(_) | Err(_) => Err(AuthorityError::NoTrustDomain),
    }
}

/// Why a CA cannot be made, taken up, or issue an SVID.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The CA certificate cannot be read.
    #[error("the CA certificate cannot be read")]
    Certificate(#[source] SvidError),
    /// The CA certificate is no longer valid.
    #[error("the CA certificate expired at {}: create a new authority", Rfc3339(*not_after))]
    Expired {
        /// The last second at which it was valid.
        not_after: UnixTime,
    },
    /// The ID belongs to another trust domain.
    #[error("{id} is not in the trust domain {trust_domain}, for which this authority issues")]
    ForeignId {
        /// The ID.
        id: SpiffeId,
        /// The authority's trust domain.
        trust_domain: TrustDomain,
    },
    /// A key or certificate cannot be made.
    #[error("a key or certificate cannot be made")]
    Generate(#[source] rcgen::Error),
    /// The CA key cannot be used.
    #[error("the CA key cannot be used: a PKCS#8 key is accepted")]
    Key(#[source] rcgen::Error),
    /// The CA key is not the certificate's.
    #[error("the CA key does not belong to the CA certificate")]
    KeyMismatch,
    /// The CA key is not PEM.
    #[error("the CA key is not a PEM section PRIVATE KEY (PKCS#8)")]
    KeyPem(#[source] PemProblem),
    /// The ID has no path. Spec: X509-SVID §3.1.
    #[error("{id} has no path: an SVID is issued for an ID such as {id}/agent")]
    NoPath {
        /// The ID.
        id: SpiffeId,
    },
    /// The CA certificate names no trust domain.
    #[error(
        "the CA certificate names no trust domain: one URI SAN such as spiffe://example.org is needed"
    )]
    NoTrustDomain,
    /// The certificate is not a CA's.
    #[error("the certificate is not a CA: basicConstraints cA and keyUsage keyCertSign are needed")]
    NotCa,
    /// The CA certificate is not valid yet.
    #[error("the CA certificate is not valid before {}", Rfc3339(*not_before))]
    NotYetValid {
        /// The first second at which it will be valid.
        not_before: UnixTime,
    },
    /// The CA is another trust domain's.
    #[error("the CA certificate is that of {found}, not of {expected}")]
    OtherTrustDomain {
        /// Whose it is.
        found: TrustDomain,
        /// Whose it should be.
        expected: TrustDomain,
    },
    /// The CA certificate is not PEM.
    #[error("the CA certificate is not a PEM section CERTIFICATE")]
    Pem(#[source] PemProblem),
    /// The lifetime cannot be written into a certificate.
    #[error("a lifetime of {} s is not accepted: give at least 1 s, ending before the year 10000", ttl.as_secs())]
    Ttl {
        /// The lifetime.
        ttl: Duration,
    },
}
