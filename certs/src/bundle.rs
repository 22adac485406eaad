//! The roots of each trust domain, kept apart.
//!
//! Takes PEM certificates. Gives trust anchors by trust domain. Never merges two domains into one
//! store: with a merged store any federated CA could issue our own IDs.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, TrustAnchor};
use webpki::anchor_from_trusted_cert;

use crate::leaf::{self, Validity};
use crate::pem_problem::PemProblem;
use crate::spiffe_id::TrustDomain;
use crate::svid::SvidError;

/// The most roots in one bundle.
pub const MAX_ROOTS: usize = 64;

/// The signing certificates that are authoritative for one trust domain.
///
/// Spec: SPIFFE Trust Domain and Bundle §4; X509-SVID §3.2 for the certificates.
#[derive(Clone)]
pub struct TrustBundle {
    trust_domain: TrustDomain,
    anchors: Vec<TrustAnchor<'static>>,
    // One for each anchor, in the same order: a `TrustAnchor` has no dates of its own.
    validities: Vec<Validity>,
}

impl TrustBundle {
    /// Reads the roots of `trust_domain` from PEM text.
    ///
    /// Shape: 1 to 64 `CERTIFICATE` sections, each a CA: cA is set, and keyCertSign if there is a
    /// keyUsage. Other sections are passed over. An expired root is kept here and refused when a
    /// chain ends in it.
    ///
    /// # Errors
    /// [`BundleError`] for PEM that does not decode, no or too many certificates, and a
    /// certificate that is malformed or not a CA.
    pub fn from_pem(trust_domain: TrustDomain, pem: &[u8]) -> Result<Self, BundleError> {
        let mut bundle = Self {
            trust_domain,
            anchors: Vec::new(),
            validities: Vec::new(),
        };
        for certificate in CertificateDer::pem_slice_iter(pem) {
            bundle.add(&certificate.map_err(|error| BundleError::Pem(error.into()))?)?;
        }
        if bundle.anchors.is_empty() {
            return Err(BundleError::Empty {
                trust_domain: bundle.trust_domain,
            });
        }
        Ok(bundle)
    }

    /// The trust domain for which these roots are authoritative.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The roots; at least one.
    pub fn roots(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }

    /// The validity period of a root, which must be one of [`Self::roots`] itself.
    pub(crate) fn validity_of(&self, root: &TrustAnchor<'_>) -> Option<Validity> {
        self.anchors
            .iter()
            .zip(&self.validities)
            .find_map(|(anchor, validity)| std::ptr::eq(anchor, root).then_some(*validity))
    }

    fn add(&mut self, der: &CertificateDer<'_>) -> Result<(), BundleError> {
        if self.anchors.len() == MAX_ROOTS {
            return Err(BundleError::TooManyRoots);
        }
        let position = self.anchors.len() + 1;
        let malformed = |source| BundleError::Malformed { position, source };
        let certificate = leaf::parse_certificate(der).map_err(malformed)?;
        // X509-SVID §3.2: a signing certificate has cA; §4.3: and keyCertSign.
        let is_ca = leaf::is_ca(&certificate).map_err(malformed)?;
        let usage = certificate
            .key_usage()
            .map_err(SvidError::Malformed)
            .map_err(malformed)?;
        if !is_ca || !usage.is_none_or(|usage| usage.value.key_cert_sign()) {
            return Err(BundleError::NotCa { position });
        }
        let anchor = anchor_from_trusted_cert(der)
            .map_err(|source| BundleError::NotAnAnchor { position, source })?;
        self.validities.push(Validity::of(&certificate));
        self.anchors.push(anchor.to_owned());
        Ok(())
    }
}

impl fmt::Debug for TrustBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "TrustBundle({}, {} roots)",
            self.trust_domain,
            self.anchors.len()
        )
    }
}

/// One bundle for each trust domain: our own and those we federate with.
#[derive(Clone, Debug, Default)]
pub struct TrustBundles(BTreeMap<TrustDomain, TrustBundle>);

impl TrustBundles {
    /// No bundles: nobody is trusted.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the bundle of one more trust domain.
    ///
    /// # Errors
    /// [`BundleError::Twice`] when that domain has a bundle already; the first one stays.
    pub fn insert(&mut self, bundle: TrustBundle) -> Result<(), BundleError> {
        if self.0.contains_key(&bundle.trust_domain) {
            return Err(BundleError::Twice {
                trust_domain: bundle.trust_domain,
            });
        }
        self.0.insert(bundle.trust_domain.clone(), bundle);
        Ok(())
    }

    /// The roots of one trust domain; none when it is not known.
    pub fn roots(&self, trust_domain: &TrustDomain) -> Option<&[TrustAnchor<'static>]> {
        self.bundle(trust_domain).map(TrustBundle::roots)
    }

    /// The bundle of one trust domain; none when it is not known.
    pub fn bundle(&self, trust_domain: &TrustDomain) -> Option<&TrustBundle> {
        self.0.get(trust_domain)
    }

    /// The trust domains that have a bundle, in order of name.
    pub fn trust_domains(&self) -> impl Iterator<Item = &TrustDomain> {
        self.0.keys()
    }
}

/// Why certificates are not the bundle of a trust domain. Positions count certificates from 1.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
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
    /// The text is not PEM.
    #[error("the bundle is not valid PEM")]
    Pem(#[source] PemProblem),
    /// There are more than [`MAX_ROOTS`] certificates.
    #[error("the bundle has more than {MAX_ROOTS} certificates")]
    TooManyRoots,
    /// The trust domain has a bundle already.
    #[error("{trust_domain} has two bundles: give one bundle for each trust domain")]
    Twice {
        /// Whose.
        trust_domain: TrustDomain,
    },
}
