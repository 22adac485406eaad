//! What is wrong with the roots and revocation lists of a trust domain.

use std::fmt;

use super::{MAX_BUNDLE_LEN, MAX_ROOTS};
use crate::pem_problem::PemProblem;
use crate::revocation::{CrlError, MAX_CRLS};
use crate::spiffe_id::TrustDomain;
use crate::svid::SvidError;

/// Why certificates are not the bundle of a trust domain. Positions count certificates from 1.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A revocation list cannot be used.
    #[error("CRL {position} of the bundle cannot be used")]
    Crl {
        /// Which one, counted from 1.
        position: usize,
        /// Why.
        #[source]
        source: CrlError,
    },
    /// Concatenated certificates are longer than [`MAX_BUNDLE_LEN`].
    #[error("the certificates are {len} bytes long: at most {MAX_BUNDLE_LEN} are read")]
    DerTooLong {
        /// Their length in bytes.
        len: usize,
    },
    /// There is no certificate.
    #[error("the bundle of {trust_domain} has no certificate: at least one root is needed")]
    Empty {
        /// Whose bundle.
        trust_domain: TrustDomain,
    },
    /// A certificate cannot be read.
    #[error("certificate {position} of the bundle cannot be read")]
    Malformed {
        /// Which one.
        position: usize,
        /// Why.
        #[source]
        source: SvidError,
    },
    /// A certificate cannot serve as a trust anchor.
    #[error("certificate {position} of the bundle cannot be used as a root")]
    NotAnAnchor {
        /// Which one.
        position: usize,
        /// Why.
        #[source]
        source: webpki::Error,
    },
    /// A certificate may not sign others.
    #[error(
        "certificate {position} of the bundle is not a CA: basicConstraints must set cA, and keyUsage keyCertSign"
    )]
    NotCa {
        /// Which one.
        position: usize,
    },
    /// What follows the last certificate is not one.
    #[error(
        "no DER certificate begins at byte {at}: certificates one after another, with nothing between them, are accepted"
    )]
    NotDer {
        /// Where, counted from 0.
        at: usize,
    },
    /// The text is not PEM.
    #[error("the bundle is not valid PEM")]
    Pem(#[source] PemProblem),
    /// There are more than [`MAX_CRLS`] revocation lists.
    #[error("the bundle has more than {MAX_CRLS} CRLs")]
    TooManyCrls,
    /// There are more than [`MAX_ROOTS`] certificates.
    #[error("the bundle has more than {MAX_ROOTS} certificates")]
    TooManyRoots,
    /// The trust domain has a bundle already.
    #[error("{trust_domain} has two bundles: give one bundle for each trust domain")]
    Twice {
        /// Whose.
        trust_domain: TrustDomain,
    },
    /// No root is left: every one constrains URIs.
    #[error(
        "certificate {position} of the bundle, {subject}, has name constraints on URIs and no other root is left: {}",
        UriConstraintsAdvice
    )]
    UriNameConstraints {
        /// The first of them.
        position: usize,
        /// Its subject, as RFC 4514 writes names.
        subject: String,
    },
}

/// What is said about a root that constrains URIs, as an error and as a warning.
struct UriConstraintsAdvice;

impl fmt::Display for UriConstraintsAdvice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "webpki, which verifies chains here, refuses every SVID below it; have its CA issue a root without URI subtrees in nameConstraints",
        )
    }
}

/// Something about a bundle that an operator should know. The bundle is used all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BundleWarning {
    /// A revocation list names none of the roots as its issuer. It is used for what an intermediate
    /// of that name issued, and otherwise for nothing.
    CrlOfNoRoot {
        /// Which list, counted from 1.
        position: usize,
    },
    /// A root constrains URIs and was left out.
    UriNameConstraints {
        /// Which certificate, counted from 1.
        position: usize,
        /// Its subject, as RFC 4514 writes names.
        subject: String,
    },
}

impl fmt::Display for BundleWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CrlOfNoRoot { position } => write!(
                f,
                "CRL {position} of the bundle names none of its roots as the issuer: it revokes nothing unless peers send an intermediate certificate of that name"
            ),
            Self::UriNameConstraints { position, subject } => write!(
                f,
                "certificate {position} of the bundle, {subject}, has name constraints on URIs and is left out: {UriConstraintsAdvice}"
            ),
        }
    }
}
