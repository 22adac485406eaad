//! Why a peer was refused, for the record, for the caller and for the wire.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use rustls::{CertificateError, OtherError};
use rustls_pki_types::UnixTime;

use super::{MAX_PEER_CHAIN, Role};
use crate::clock::Rfc3339;
use crate::revocation::{DenyEntry, Revocation};
use crate::spiffe_id::SpiffeId;
use crate::svid::SvidError;

/// Why a peer was refused.
///
/// An ID called `claimed` was read from a certificate whose holder has proved nothing: it must not
/// be recorded as the one that was refused. Only [`PeerError::Denied`] and [`PeerError::NotAllowed`]
/// name a proved ID, see [`PeerError::proved_id`].
#[derive(Clone, Debug, thiserror::Error)]
pub enum PeerError {
    /// The chain has more than [`MAX_PEER_CHAIN`] certificates.
    #[error("the peer sent {count} certificates: at most {MAX_PEER_CHAIN} are accepted")]
    ChainTooLong {
        /// How many it has.
        count: usize,
    },
    /// The revocation list of an issuer is out of date, so that nobody knows who is on it now.
    /// Spec: RFC 5280 §5.1.2.5.
    #[error(
        "the CRL of an issuer of a peer that claims {claimed} is out of date since {}: a newer one is needed",
        Rfc3339(*next_update)
    )]
    CrlExpired {
        /// Whose chain it says it is.
        claimed: SpiffeId,
        /// Its nextUpdate: the first second at which it is out of date.
        next_update: UnixTime,
    },
    /// The revocation list of an issuer cannot be used, so that nobody knows who is on it.
    #[error("the CRL of an issuer of a peer that claims {claimed} cannot be used")]
    CrlUnusable {
        /// Whose chain it says it is.
        claimed: SpiffeId,
        /// Why.
        #[source]
        source: webpki::Error,
    },
    /// The peer proved who it is, and has been struck off.
    #[error("{id} is on the deny-list: {entry}")]
    Denied {
        /// Who it proved to be.
        id: SpiffeId,
        /// The entry of the deny-list.
        entry: DenyEntry,
    },
    /// The leaf is no longer valid.
    #[error("the SVID of a peer that claims {claimed} expired at {}", Rfc3339(*not_after))]
    Expired {
        /// Whose SVID it says it is.
        claimed: SpiffeId,
        /// The last second at which it was valid.
        not_after: UnixTime,
    },
    /// Path validation failed in another way than the other variants name.
    #[error("the certificate chain of a peer that claims {claimed} breaks a rule of RFC 5280 §6")]
    InvalidPath {
        /// Whose chain it says it is.
        claimed: SpiffeId,
        /// Which rule.
        #[source]
        source: webpki::Error,
    },
    /// An intermediate or the root is no longer valid.
    #[error("an issuer of a peer that claims {claimed} expired at {}", Rfc3339(*not_after))]
    IssuerExpired {
        /// Whose chain it says it is.
        claimed: SpiffeId,
        /// The last second at which the issuer was valid.
        not_after: UnixTime,
    },
    /// An intermediate may not sign certificates. Spec: X509-SVID §4.3.
    #[error(
        "an intermediate certificate of a peer that claims {claimed} may not sign certificates: its keyUsage must set keyCertSign"
    )]
    IssuerKeyUsage {
        /// Whose chain it says it is.
        claimed: SpiffeId,
    },
    /// An intermediate or the root is not valid yet.
    #[error("an issuer of a peer that claims {claimed} is not valid before {}", Rfc3339(*not_before))]
    IssuerNotYetValid {
        /// Whose chain it says it is.
        claimed: SpiffeId,
        /// The first second at which the issuer will be valid.
        not_before: UnixTime,
    },
    /// The leaf breaks a rule of X509-SVID.
    #[error("the peer's certificate is not an X.509-SVID")]
    Leaf(#[from] SvidError),
    /// A certificate cannot be read in path validation.
    #[error("a certificate of a peer that claims {claimed} is malformed")]
    MalformedCertificate {
        /// Whose chain it says it is.
        claimed: SpiffeId,
        /// Why.
        #[source]
        source: webpki::Error,
    },
    /// An intermediate certificate cannot be read.
    #[error("an intermediate certificate of a peer that claims {claimed} is malformed")]
    MalformedIssuer {
        /// Whose chain it says it is.
        claimed: SpiffeId,
        /// Why.
        #[source]
        source: SvidError,
    },
    /// The peer presented no certificate.
    #[error("the peer presented no certificate: an X.509-SVID is needed")]
    NoCertificate,
    /// The peer proved who it is, and that is nobody we speak with.
    #[error("{id} is not allowed here; allowed: {}", or_nobody(allowed))]
    NotAllowed {
        /// Who it proved to be.
        id: SpiffeId,
        /// The allow-list, joined with `, `; empty when nobody is allowed.
        allowed: String,
    },
    /// The leaf is not valid yet.
    #[error("the SVID of a peer that claims {claimed} is not valid before {}", Rfc3339(*not_before))]
    NotYetValid {
        /// Whose SVID it says it is.
        claimed: SpiffeId,
        /// The first second at which it will be valid.
        not_before: UnixTime,
    },
    /// The issuer of a certificate in the chain has revoked it. Spec: RFC 5280 §6.3.
    #[error("a certificate of a peer that claims {claimed} has been revoked by its issuer")]
    Revoked {
        /// Whose chain it says it is.
        claimed: SpiffeId,
    },
    /// The handshake signature is not the leaf's. Spec: RFC 9846, CertificateVerify.
    #[error("the peer did not prove that it holds the key of its certificate")]
    Signature(#[source] rustls::Error),
    /// TLS 1.2 was negotiated.
    #[error("the handshake is TLS 1.2: only TLS 1.3 is accepted")]
    Tls12,
    /// A critical extension is not understood. Spec: RFC 5280 §4.2.
    #[error(
        "a certificate of a peer that claims {claimed} has a critical extension that is not understood here"
    )]
    UnhandledExtension {
        /// Whose chain it says it is.
        claimed: SpiffeId,
    },
    /// There is no bundle for the leaf's trust domain.
    #[error(
        "no trust bundle for the trust domain of a peer that claims {claimed}; there is one for: {}",
        or_nobody(known)
    )]
    UnknownTrustDomain {
        /// Whose SVID it says it is.
        claimed: SpiffeId,
        /// The trust domains with a bundle, joined with `, `.
        known: String,
    },
    /// The chain does not lead to a root of the leaf's trust domain.
    #[error(
        "the certificate chain of a peer that claims {claimed} does not end in a root of its trust domain"
    )]
    Untrusted {
        /// Whose chain it says it is.
        claimed: SpiffeId,
        /// What path building found.
        #[source]
        source: webpki::Error,
    },
    /// An intermediate constrains URIs, which path validation here cannot judge.
    /// Spec: RFC 5280 §4.2.1.10.
    #[error(
        "an intermediate certificate of a peer that claims {claimed} has name constraints on URIs: webpki, which verifies chains here, refuses every SVID below such a certificate; its CA must leave URI subtrees out of nameConstraints"
    )]
    UriNameConstraints {
        /// Whose chain it says it is.
        claimed: SpiffeId,
    },
    /// The extended key usage does not name the role. Spec: X509-SVID §4.4.
    #[error(
        "the certificate of a peer that claims {claimed} is not for TLS {role}s: extendedKeyUsage must name serverAuth and clientAuth"
    )]
    WrongPurpose {
        /// Whose chain it says it is.
        claimed: SpiffeId,
        /// The role that it acts in.
        role: Role,
    },
}

impl PeerError {
    /// A stable label for the rule that was broken, in kebab-case, one for each rule.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::ChainTooLong { .. } => "chain-too-long",
            Self::CrlExpired { .. } => "crl-expired",
            Self::CrlUnusable { .. } => "crl-unusable",
            Self::Denied { .. } => "peer-denied",
            Self::Expired { .. } => "expired",
            Self::InvalidPath { .. } => "invalid-path",
            Self::IssuerExpired { .. } => "issuer-expired",
            Self::IssuerKeyUsage { .. } => "issuer-key-usage",
            Self::IssuerNotYetValid { .. } => "issuer-not-yet-valid",
            Self::Leaf(source) => source.reason(),
            Self::MalformedCertificate { .. } | Self::MalformedIssuer { .. } => {
                "malformed-certificate"
            }
            Self::NoCertificate => "no-certificate",
            Self::NotAllowed { .. } => "peer-not-allowed",
            Self::NotYetValid { .. } => "not-yet-valid",
            Self::Revoked { .. } => "revoked",
            Self::Signature(_) => "bad-signature",
            Self::Tls12 => "tls12",
            Self::UnhandledExtension { .. } => "unhandled-critical-extension",
            Self::UnknownTrustDomain { .. } => "unknown-trust-domain",
            Self::Untrusted { .. } => "untrusted-issuer",
            Self::UriNameConstraints { .. } => "uri-name-constraints",
            Self::WrongPurpose { .. } => "wrong-purpose",
        }
    }

    /// Whether it is revocation lists that say so.
    pub(crate) fn is_about_revocation(&self) -> bool {
        matches!(
            self,
            Self::CrlExpired { .. } | Self::CrlUnusable { .. } | Self::Revoked { .. }
        )
    }

    /// The ID of a peer that proved who it is and was refused for that.
    pub fn proved_id(&self) -> Option<&SpiffeId> {
        match self {
            Self::Denied { id, .. } | Self::NotAllowed { id, .. } => Some(id),
            _unproved => None,
        }
    }

    /// The ID that an unproved certificate names. For diagnosis only; see [`PeerError`].
    pub fn claimed_id(&self) -> Option<&SpiffeId> {
        match self {
            Self::CrlExpired { claimed, .. }
            | Self::CrlUnusable { claimed, .. }
            | Self::Expired { claimed, .. }
            | Self::InvalidPath { claimed, .. }
            | Self::IssuerExpired { claimed, .. }
            | Self::IssuerKeyUsage { claimed }
            | Self::IssuerNotYetValid { claimed, .. }
            | Self::MalformedCertificate { claimed, .. }
            | Self::MalformedIssuer { claimed, .. }
            | Self::NotYetValid { claimed, .. }
            | Self::Revoked { claimed }
            | Self::UnhandledExtension { claimed }
            | Self::UnknownTrustDomain { claimed, .. }
            | Self::Untrusted { claimed, .. }
            | Self::UriNameConstraints { claimed }
            | Self::WrongPurpose { claimed, .. } => Some(claimed),
            Self::ChainTooLong { .. }
            | Self::Denied { .. }
            | Self::Leaf(_)
            | Self::NoCertificate
            | Self::NotAllowed { .. }
            | Self::Signature(_)
            | Self::Tls12 => None,
        }
    }

    /// The refusal inside an error of a handshake, if a [`super::PeerVerifier`] caused it.
    ///
    /// A client that answers a certificate request with no certificate is found by rustls itself
    /// and reads as [`PeerError::NoCertificate`].
    pub fn from_rustls(error: &rustls::Error) -> Option<&Self> {
        static NO_CERTIFICATE: PeerError = PeerError::NoCertificate;
        match error {
            rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(source))) => {
                source.downcast_ref()
            }
            rustls::Error::NoCertificatesPresented => Some(&NO_CERTIFICATE),
            _ => None,
        }
    }

    /// The rustls error whose TLS alert says best what was wrong.
    ///
    /// rustls itself sends `certificate_unknown` for the errors of this verifier; whoever wraps it
    /// can return this instead, so that the peer is told more. Spec: RFC 9846, Error Alerts.
    pub fn alert_error(&self) -> rustls::Error {
        let certificate_error = match self {
            Self::NoCertificate => return rustls::Error::NoCertificatesPresented,
            Self::ChainTooLong { .. }
            | Self::Leaf(_)
            | Self::MalformedCertificate { .. }
            | Self::MalformedIssuer { .. } => CertificateError::BadEncoding,
            Self::CrlExpired { .. } => CertificateError::ExpiredRevocationList,
            Self::CrlUnusable { .. } => CertificateError::UnknownRevocationStatus,
            Self::Expired { .. } | Self::IssuerExpired { .. } => CertificateError::Expired,
            Self::InvalidPath { .. }
            | Self::IssuerKeyUsage { .. }
            | Self::UnknownTrustDomain { .. }
            | Self::Untrusted { .. }
            | Self::UriNameConstraints { .. } => CertificateError::UnknownIssuer,
            Self::Denied { .. } | Self::NotAllowed { .. } | Self::Tls12 => {
                CertificateError::ApplicationVerificationFailure
            }
            Self::IssuerNotYetValid { .. } | Self::NotYetValid { .. } => {
                CertificateError::NotValidYet
            }
            Self::Revoked { .. } => CertificateError::Revoked,
            Self::Signature(_) => CertificateError::BadSignature,
            Self::UnhandledExtension { .. } => CertificateError::UnhandledCriticalExtension,
            Self::WrongPurpose { .. } => CertificateError::InvalidPurpose,
        };
        certificate_error.into()
    }

    pub(super) fn of_revocation(claimed: SpiffeId, revocation: Revocation) -> Self {
        match revocation {
            Revocation::Expired { next_update } => Self::CrlExpired {
                claimed,
                next_update,
            },
            Revocation::Revoked => Self::Revoked { claimed },
            Revocation::Unusable(source) => Self::CrlUnusable { claimed, source },
        }
    }

    /// Sorts an error of path building into the rules that a reader wants told apart.
    pub(super) fn of_path(claimed: &SpiffeId, role: Role, source: webpki::Error) -> Self {
        use webpki::Error as Path;
        let claimed = claimed.clone();
        match source {
            Path::UnknownIssuer
            | Path::InvalidSignatureForPublicKey
            | Path::UnsupportedSignatureAlgorithmContext(_)
            | Path::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
                Self::Untrusted { claimed, source }
            }
            Path::BadDer
            | Path::BadDerTime
            | Path::ExtensionValueInvalid
            | Path::InvalidSerialNumber
            | Path::MalformedExtensions
            | Path::SignatureAlgorithmMismatch
            | Path::TrailingData(_)
            | Path::UnsupportedCertVersion => Self::MalformedCertificate { claimed, source },
            // The leaf's own dates were judged before path building.
            Path::CertExpired { not_after, .. } => Self::IssuerExpired { claimed, not_after },
            Path::CertNotValidYet { not_before, .. } => Self::IssuerNotYetValid {
                claimed,
                not_before,
            },
            Path::RequiredEkuNotFoundContext(_) | Path::EmptyEkuExtension => {
                Self::WrongPurpose { claimed, role }
            }
            Path::UnsupportedCriticalExtension => Self::UnhandledExtension { claimed },
            source => Self::InvalidPath { claimed, source },
        }
    }
}

impl From<PeerError> for rustls::Error {
    /// In the form that [`PeerError::from_rustls`] finds again.
    fn from(error: PeerError) -> Self {
        CertificateError::Other(OtherError(Arc::new(error))).into()
    }
}

fn or_nobody(list: &str) -> &str {
    if list.is_empty() { "nobody" } else { list }
}
