//! Why a certificate, a chain or a key is not an X.509-SVID.

use rustls_pki_types::{UnixTime, pem};
use x509_parser::error::X509Error;

use super::MAX_OWN_CHAIN;
use crate::clock::Rfc3339;
use crate::leaf::MAX_CERTIFICATE_LEN;
use crate::pem_problem::PemProblem;
use crate::spiffe_id::{SpiffeId, SpiffeIdError};

/// Why a certificate is not the leaf of an X.509-SVID, or a chain and key are not ours to use.
///
/// The variants for the key are told apart by [`SvidError::is_about_the_key`].
#[derive(Clone, Debug, thiserror::Error)]
pub enum SvidError {
    /// A certificate is longer than [`MAX_CERTIFICATE_LEN`].
    #[error("the certificate is {len} bytes long: at most {MAX_CERTIFICATE_LEN} are read")]
    CertificateTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// There are more than [`MAX_OWN_CHAIN`] certificates.
    #[error("more than {MAX_OWN_CHAIN} certificates: give the leaf and its intermediates only")]
    ChainTooLong,
    /// The leaf is no longer valid.
    #[error("the SVID expired at {}", Rfc3339(*not_after))]
    Expired {
        /// The last second at which it was valid.
        not_after: UnixTime,
    },
    /// The key is in an encoding that is not read here.
    #[error(
        "the private key is in an unknown encoding: PKCS#8 (PRIVATE KEY), SEC1 (EC PRIVATE KEY) or PKCS#1 (RSA PRIVATE KEY) is accepted"
    )]
    KeyFormat,
    /// The key is not the leaf's.
    #[error("the private key does not belong to the leaf certificate, the first one in the chain")]
    KeyMismatch(#[source] rustls::Error),
    /// The key file is not PEM.
    #[error("the private key is not valid PEM")]
    KeyPem(#[source] PemProblem),
    /// The TLS provider cannot use the key.
    #[error(
        "the private key cannot be used: an unencrypted ECDSA, Ed25519, RSA or ML-DSA key is accepted"
    )]
    KeyUnusable(#[source] rustls::Error),
    /// basicConstraints sets cA. Spec: X509-SVID §4.1, §5.2.
    #[error("the leaf certificate is a CA: basicConstraints cA must be false in an X.509-SVID")]
    LeafIsCa,
    /// keyUsage sets keyCertSign. Spec: X509-SVID §4.3, §5.2.
    #[error("the leaf certificate may sign certificates: keyUsage must not set keyCertSign")]
    LeafSignsCertificates,
    /// keyUsage sets cRLSign. Spec: X509-SVID §4.3, §5.2.
    #[error("the leaf certificate may sign CRLs: keyUsage must not set cRLSign")]
    LeafSignsCrls,
    /// Two readers find different things in it: its encoding is not DER.
    #[error("the certificate is not encoded as DER requires")]
    NotDer,
    /// The certificate is not DER that can be read.
    #[error("the certificate is malformed")]
    Malformed(#[source] X509Error),
    /// There are several private keys.
    #[error("several private keys: give exactly the one that belongs to the leaf certificate")]
    ManyKeys,
    /// There are several URIs among the alternative names. Spec: X509-SVID §2.
    #[error("the leaf certificate has {count} URI SANs: an X.509-SVID has exactly one")]
    ManyUriSans {
        /// How many.
        count: usize,
    },
    /// There is no certificate.
    #[error("no certificate: a PEM section CERTIFICATE with the leaf is needed")]
    NoCertificate,
    /// keyUsage lacks digitalSignature. Spec: X509-SVID §4.3.
    #[error("the leaf certificate cannot sign a handshake: keyUsage must set digitalSignature")]
    NoDigitalSignature,
    /// There is no private key.
    #[error(
        "no private key: a PEM section PRIVATE KEY (PKCS#8), EC PRIVATE KEY (SEC1) or RSA PRIVATE KEY (PKCS#1), not encrypted, is needed"
    )]
    NoKey,
    /// There is no keyUsage. Spec: X509-SVID §4.3.
    #[error("the leaf certificate has no keyUsage: an X.509-SVID has one with digitalSignature")]
    NoKeyUsage,
    /// The SPIFFE ID has no path. Spec: X509-SVID §3.1, §5.2.
    #[error("{id} in the leaf certificate has no path: only a signing certificate may carry it")]
    NoPath {
        /// The ID, which is that of a trust domain.
        id: SpiffeId,
    },
    /// There is no URI among the alternative names. Spec: X509-SVID §2.
    #[error("the leaf certificate has no URI SAN: an X.509-SVID has exactly one, its SPIFFE ID")]
    NoUriSan,
    /// The URI is not a SPIFFE ID. Spec: X509-SVID §5.2.
    #[error("the URI SAN of the leaf certificate is not a SPIFFE ID")]
    NotSpiffeId(#[source] SpiffeIdError),
    /// The leaf is not valid yet.
    #[error("the SVID is not valid before {}", Rfc3339(*not_before))]
    NotYetValid {
        /// The first second at which it will be valid.
        not_before: UnixTime,
    },
    /// The chain is not PEM.
    #[error("the certificate chain is not valid PEM")]
    Pem(#[source] PemProblem),
    /// Bytes follow the certificate.
    #[error("{len} bytes follow the certificate: exactly one DER certificate is accepted")]
    TrailingBytes {
        /// How many.
        len: usize,
    },
    /// The URI is not text.
    #[error("the URI SAN of the leaf certificate is not text: a SPIFFE ID is accepted")]
    UriNotText,
}

impl SvidError {
    /// A stable label for the rule that was broken, in kebab-case, one for each rule.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::CertificateTooLong { .. } => "certificate-too-long",
            Self::ChainTooLong => "chain-too-long",
            Self::Expired { .. } => "expired",
            Self::KeyFormat => "key-format",
            Self::KeyMismatch(_) => "key-mismatch",
            Self::KeyPem(_) => "malformed-key",
            Self::KeyUnusable(_) => "key-unusable",
            Self::LeafIsCa => "leaf-is-ca",
            Self::LeafSignsCertificates => "leaf-signs-certificates",
            Self::LeafSignsCrls => "leaf-signs-crls",
            Self::Malformed(_) | Self::Pem(_) | Self::TrailingBytes { .. } | Self::NotDer => {
                "malformed-certificate"
            }
            Self::ManyKeys => "many-keys",
            Self::ManyUriSans { .. } => "many-uri-sans",
            Self::NoCertificate => "no-certificate",
            // One rule: keyUsage sets digitalSignature.
            Self::NoDigitalSignature | Self::NoKeyUsage => "leaf-key-usage",
            Self::NoKey => "no-key",
            Self::NoPath { .. } => "spiffe-id-without-path",
            Self::NoUriSan => "no-uri-san",
            Self::NotSpiffeId(_) | Self::UriNotText => "not-a-spiffe-id",
            Self::NotYetValid { .. } => "not-yet-valid",
        }
    }

    /// Whether the private key is at fault rather than the certificates.
    pub fn is_about_the_key(&self) -> bool {
        match self {
            Self::KeyFormat
            | Self::KeyMismatch(_)
            | Self::KeyPem(_)
            | Self::KeyUnusable(_)
            | Self::ManyKeys
            | Self::NoKey => true,
            Self::CertificateTooLong { .. }
            | Self::ChainTooLong
            | Self::Expired { .. }
            | Self::LeafIsCa
            | Self::LeafSignsCertificates
            | Self::LeafSignsCrls
            | Self::Malformed(_)
            | Self::ManyUriSans { .. }
            | Self::NoCertificate
            | Self::NoDigitalSignature
            | Self::NoKeyUsage
            | Self::NoPath { .. }
            | Self::NoUriSan
            | Self::NotSpiffeId(_)
            | Self::NotYetValid { .. }
            | Self::Pem(_)
            | Self::TrailingBytes { .. }
            | Self::NotDer
            | Self::UriNotText => false,
        }
    }

    pub(super) fn pem(source: pem::Error) -> Self {
        Self::Pem(source.into())
    }

    pub(super) fn key_pem(source: pem::Error) -> Self {
        Self::KeyPem(source.into())
    }
}
