//! A development trust domain: a CA that issues X.509-SVIDs, and serves them.
//!
//! Takes a trust domain and SPIFFE IDs in it. Gives a CA, its trust bundle, SVIDs with their
//! keys, and a Workload API that hands them out ([`serve`]). Never meant for production, where SPIRE
//! or another identity provider attests a workload before it issues: this one asks nothing and gives
//! an SVID to whoever can read the CA's key.

mod ca;
mod ca_key;
mod error;
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

use rcgen::SanType;
use rustls_pki_types::UnixTime;
use time::OffsetDateTime;

use crate::clock::{Clock, Rfc3339};
use crate::leaf::Validity;
use crate::secret::SecretPem;
use crate::spiffe_id::{SpiffeId, TrustDomain};

use ca::{Ca, ca_params};
use ca_key::CaKey;

pub use error::AuthorityError;
pub use files::{
    AuthorityFileError, BUNDLE_FILE, CERTIFICATE_FILE, INTERMEDIATE_FILE, INTERMEDIATE_KEY_FILE,
    KEY_FILE,
};
pub use issue::{IssueOptions, IssuedSvid};
pub use key_kind::{KeyKind, KeyKindError};
#[cfg(any(test, feature = "testing"))]
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
        if !intermediate.is_below(&self.root)? {
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
