//! A development trust domain: a CA that issues X.509-SVIDs, and serves them.
//!
//! Takes a trust domain and SPIFFE IDs in it. Gives a CA, its trust bundle, SVIDs with their
//! keys, and a Workload API that hands them out ([`serve`]). Never meant for production, where SPIRE or another identity provider attests a workload
//! before it issues: this one asks nothing and gives an SVID to whoever can read the CA's key.

mod ca_key;
mod files;
mod issue;
mod key_kind;
mod pem_text;
mod revoked;
pub mod serve;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyUsagePurpose, PublicKeyData,
    SanType,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, UnixTime};
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use zeroize::Zeroize;

use crate::clock::{Clock, Rfc3339};
use crate::leaf::{self, Validity};
use crate::pem_problem::PemProblem;
use crate::secret::SecretPem;
use crate::spiffe_id::{SpiffeId, TrustDomain};
use crate::svid::SvidError;

use ca_key::CaKey;

pub use files::{
    AuthorityFileError, BUNDLE_FILE, CERTIFICATE_FILE, INTERMEDIATE_FILE, INTERMEDIATE_KEY_FILE,
    KEY_FILE,
};
pub use issue::{IssueOptions, IssuedSvid};
pub use key_kind::{KeyKind, KeyKindError};
pub(crate) use pem_text::certificate as certificate_pem;
pub use revoked::{MAX_REVOKED, REVOKED_FILE, RevokedFileError, Serial, SerialError};

/// How long before its issuance a certificate becomes valid, against clocks that run late.
pub const BACKDATE: Duration = Duration::from_secs(30);

/// The CA of a development trust domain, with its key.
///
/// `Debug` shows the trust domain and the expiry, never the key.
pub struct Authority {
    trust_domain: TrustDomain,
    root: Ca,
    // What signs the leaves, if it is not the root itself.
    intermediate: Option<Ca>,
}

/// One certificate that signs others, with its key.
struct Ca {
    certificate: CertificateDer<'static>,
    validity: Validity,
    key: CaKey,
}

/// How a CA is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateOptions {
    /// How long it is valid from now.
    pub ttl: Duration,
    /// The kind of the root's key.
    pub key: KeyKind,
    /// The kind of the key of an intermediate CA, which then signs the leaves; none by default.
    pub intermediate: Option<KeyKind>,
}

impl Default for CreateOptions {
    /// An ECDSA P-256 key for a year, and no intermediate.
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(365 * 86_400),
            key: KeyKind::default(),
            intermediate: None,
        }
    }
}

/// The CA certificates and their keys as PEM text.
#[derive(Clone, Debug)]
pub struct AuthorityPem {
    /// The root's certificate.
    pub certificate_pem: String,
    /// The root's private key, PKCS#8.
    pub key_pem: SecretPem,
    /// The intermediate's certificate and private key, if there is one.
    pub intermediate: Option<(String, SecretPem)>,
}

impl Authority {
    /// Makes a CA with a fresh ECDSA P-256 key and no intermediate.
    ///
    /// # Errors
    /// As [`Self::create_with`].
    pub fn create(
        trust_domain: TrustDomain,
        ttl: Duration,
        clock: &dyn Clock,
    ) -> Result<Self, AuthorityError> {
        let options = CreateOptions {
            ttl,
            ..CreateOptions::default()
        };
        Self::create_with(trust_domain, &options, clock)
    }

    /// Makes a CA with fresh keys.
    ///
    /// Its certificate is self-signed, carries the ID of the trust domain as its URI SAN, may sign
    /// CRLs and leaves or else one level of intermediates, and is valid from 30 s ago until `ttl` from now.
    /// So does an intermediate's, which the root signs.
    /// Spec: X509-SVID §3.2, §4.1, §4.3.
    ///
    /// # Errors
    /// [`AuthorityError::Ttl`] for less than a second or a date that X.509 cannot write, and
    /// [`AuthorityError::Generate`] when a key or certificate cannot be made.
    pub fn create_with(
        trust_domain: TrustDomain,
        options: &CreateOptions,
        clock: &dyn Clock,
    ) -> Result<Self, AuthorityError> {
        let validity = Validity::starting(clock.now(), options.ttl)?;
        let dates = validity
            .dates()
            .ok_or(AuthorityError::Ttl { ttl: options.ttl })?;
        let levels_below = u8::from(options.intermediate.is_some());
        let params = ca_params(&trust_domain, "authority", dates, levels_below)?;
        let key = CaKey::generate(options.key)?;
        let certificate = params.self_signed(&key).map_err(AuthorityError::Generate)?;
        let root = Ca {
            certificate: certificate.der().clone(),
            validity,
            key,
        };
        let intermediate = match options.intermediate {
            Some(kind) => {
                let key = CaKey::generate(kind)?;
                let mut params = ca_params(&trust_domain, "intermediate authority", dates, 0)?;
                params.use_authority_key_identifier_extension = true;
                let certificate = params
                    .signed_by(&key, &root.issuer()?)
                    .map_err(AuthorityError::Generate)?;
                Some(Ca {
                    certificate: certificate.der().clone(),
                    validity,
                    key,
                })
            }
            None => None,
        };
        Ok(Self {
            trust_domain,
            root,
            intermediate,
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

    /// The same CA with an intermediate, which issues from now on.
    ///
    /// # Errors
    /// [`AuthorityError`] when one of them does not decode, the certificate is not that of a CA for
    /// the same trust domain below the root, or the key is not the certificate's.
    pub fn with_intermediate_pem(
        mut self,
        certificate_pem: &[u8],
        key_pem: &[u8],
    ) -> Result<Self, AuthorityError> {
        let (trust_domain, intermediate) = Ca::decode(certificate_pem, key_pem)?;
        if trust_domain != self.trust_domain {
            return Err(AuthorityError::OtherTrustDomain {
                found: trust_domain,
                expected: self.trust_domain,
            });
        }
        let root =
            leaf::parse_certificate(&self.root.certificate).map_err(AuthorityError::Certificate)?;
        let below = leaf::parse_certificate(&intermediate.certificate)
            .map_err(AuthorityError::Certificate)?;
        // Every root of a domain has the same name, so the name alone says nothing.
        if subject_key(&root).is_none() || issuer_key(&below) != subject_key(&root) {
            return Err(AuthorityError::OtherRoot);
        }
        self.intermediate = Some(intermediate);
        Ok(self)
    }

    /// The CA certificates and their keys.
    pub fn to_pem(&self) -> AuthorityPem {
        let (certificate_pem, key_pem) = self.root.to_pem();
        AuthorityPem {
            certificate_pem,
            key_pem,
            intermediate: self.intermediate.as_ref().map(Ca::to_pem),
        }
    }

    /// The trust bundle of the domain: the root's certificate.
    pub fn bundle_pem(&self) -> String {
        pem_text::certificate(&self.root.certificate)
    }

    /// The trust domain for which this CA issues.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The last second at which the CA can issue; no SVID outlives it.
    pub fn not_after(&self) -> UnixTime {
        self.validity().not_after
    }

    /// Takes up a CA for the trust domain that its certificate names.
    fn decode(certificate_pem: &[u8], key_pem: &[u8]) -> Result<Self, AuthorityError> {
        let (trust_domain, root) = Ca::decode(certificate_pem, key_pem)?;
        Ok(Self {
            trust_domain,
            root,
            intermediate: None,
        })
    }

    /// What signs the leaves.
    fn issuing(&self) -> &Ca {
        self.intermediate.as_ref().unwrap_or(&self.root)
    }

    /// The time while every certificate above a leaf is valid.
    fn validity(&self) -> Validity {
        self.root.validity.intersect(self.issuing().validity)
    }

    fn check_valid_at(&self, now: UnixTime) -> Result<(), AuthorityError> {
        let Validity {
            not_before,
            not_after,
        } = self.validity();
        if now > not_after {
            return Err(AuthorityError::Expired { not_after });
        }
        if now < not_before {
            return Err(AuthorityError::NotYetValid { not_before });
        }
        Ok(())
    }
}

impl Ca {
    fn decode(
        certificate_pem: &[u8],
        key_pem: &[u8],
    ) -> Result<(TrustDomain, Self), AuthorityError> {
        let certificate = CertificateDer::from_pem_slice(certificate_pem)
            .map_err(|error| AuthorityError::Pem(error.into()))?;
        let parsed = leaf::parse_certificate(&certificate).map_err(AuthorityError::Certificate)?;
        check_is_ca(&parsed)?;
        let trust_domain = read_trust_domain(&parsed)?;
        let validity = Validity::of(&parsed);

        let mut pkcs8 = PrivatePkcs8KeyDer::from_pem_slice(key_pem)
            .map_err(|error| AuthorityError::KeyPem(error.into()))?;
        let key = CaKey::from_pkcs8(pkcs8.secret_pkcs8_der());
        pkcs8.zeroize();
        let key = key?;
        if key.subject_public_key_info() != parsed.public_key().raw {
            return Err(AuthorityError::KeyMismatch);
        }
        let ca = Self {
            certificate: certificate.clone().into_owned(),
            validity,
            key,
        };
        Ok((trust_domain, ca))
    }

    fn to_pem(&self) -> (String, SecretPem) {
        (pem_text::certificate(&self.certificate), self.key.to_pem())
    }

    fn issuer(&self) -> Result<Issuer<'static, &CaKey>, AuthorityError> {
        Issuer::from_ca_cert_der(&self.certificate, &self.key).map_err(AuthorityError::Generate)
    }
}

/// A CA certificate with so many levels of CAs below it.
fn ca_params(
    trust_domain: &TrustDomain,
    name: &str,
    (not_before, not_after): (OffsetDateTime, OffsetDateTime),
    levels_below: u8,
) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    (params.not_before, params.not_after) = (not_before, not_after);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(
        DnType::OrganizationName,
        format!("pqlane development {name}"),
    );
    params
        .distinguished_name
        .push(DnType::CommonName, trust_domain.as_str());
    params.subject_alt_names = vec![uri_san(&trust_domain.id())?];
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(levels_below));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expiry = Rfc3339(self.not_after());
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
        Some((date(self.not_before)?, date(self.not_after)?))
    }
}

fn date(time: UnixTime) -> Option<OffsetDateTime> {
    let secs = i64::try_from(time.as_secs()).ok()?;
    OffsetDateTime::from_unix_timestamp(secs).ok()
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

/// RFC 5280 §4.2.1.2.
fn subject_key<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a [u8]> {
    let mut extensions = certificate.extensions().iter();
    extensions.find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(key) => Some(key.0),
        _ => None,
    })
}

/// RFC 5280 §4.2.1.1.
fn issuer_key<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a [u8]> {
    let mut extensions = certificate.extensions().iter();
    extensions.find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(key) => Some(key.key_identifier.as_ref()?.0),
        _ => None,
    })
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
    /// The intermediate is below another root.
    #[error("the intermediate CA certificate was not issued by the root")]
    OtherRoot,
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
