//! The roots of each trust domain, kept apart.
//!
//! Takes PEM or DER certificates, and revocation lists. Gives trust anchors by trust domain. Never
//! merges two domains into one store: with a merged store any federated CA could issue our own IDs.

mod der_list;
mod error;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, TrustAnchor};
use webpki::anchor_from_trusted_cert;

use crate::leaf::{self, LengthPrefixed, MAX_CERTIFICATE_LEN, Validity};
use crate::revocation::{Crl, CrlIssuer, MAX_CRLS, SignsCrls, newest_first};
use crate::spiffe_id::TrustDomain;

pub use der_list::split_der_certificates;
pub use error::{BundleError, BundleWarning};

/// The most roots in one bundle.
pub const MAX_ROOTS: usize = 64;

/// The most bytes of concatenated certificates that are read: every root at its longest.
pub const MAX_BUNDLE_LEN: usize = MAX_ROOTS * MAX_CERTIFICATE_LEN;

/// The signing certificates that are authoritative for one trust domain, and their revocation lists.
///
/// Spec: SPIFFE Trust Domain and Bundle §4; X509-SVID §3.2 for the certificates.
#[derive(Clone)]
pub struct TrustBundle {
    trust_domain: TrustDomain,
    anchors: Vec<TrustAnchor<'static>>,
    // One for each anchor, in the same order.
    facts: Vec<RootFacts>,
    // Newest first.
    crls: Vec<Arc<Crl>>,
    warnings: Vec<BundleWarning>,
    digest: [u8; 32],
    crl_digest: [u8; 32],
}

/// What a `TrustAnchor` does not say about its certificate.
#[derive(Clone, Debug)]
pub(crate) struct RootFacts {
    pub(crate) validity: Validity,
    spki: Box<[u8]>,
    key_id: Option<Box<[u8]>>,
    signs_crls: SignsCrls,
}

impl RootFacts {
    /// The root as the issuer of revocation lists.
    pub(crate) fn crl_issuer(&self) -> CrlIssuer<'_> {
        CrlIssuer {
            spki: &self.spki,
            key_id: self.key_id.as_deref(),
            signs_crls: self.signs_crls,
        }
    }
}

impl TrustBundle {
    /// Reads the roots of `trust_domain` from PEM text.
    ///
    /// Shape: 1 to 64 `CERTIFICATE` sections, each a CA: cA is set, and keyCertSign if there is a
    /// keyUsage. Other sections are passed over. An expired root is kept here and refused when a
    /// chain ends in it. A root with name constraints on URIs is left out, see [`Self::warnings`].
    ///
    /// # Errors
    /// [`BundleError`] for PEM that does not decode, no or too many certificates, a certificate
    /// that is malformed or not a CA, and roots that all constrain URIs.
    pub fn from_pem(trust_domain: TrustDomain, pem: &[u8]) -> Result<Self, BundleError> {
        let mut roots = Roots::default();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            roots.add(&certificate.map_err(|error| BundleError::Pem(error.into()))?)?;
        }
        roots.finish(trust_domain)
    }

    /// Takes the roots of `trust_domain` as DER certificates, 1 to 64, as [`Self::from_pem`] does.
    ///
    /// # Errors
    /// [`BundleError`] for no or too many certificates, a certificate that is malformed or not a
    /// CA, and roots that all constrain URIs.
    pub fn from_ders<'a>(
        trust_domain: TrustDomain,
        ders: impl IntoIterator<Item = CertificateDer<'a>>,
    ) -> Result<Self, BundleError> {
        let mut roots = Roots::default();
        for certificate in ders {
            roots.add(&certificate)?;
        }
        roots.finish(trust_domain)
    }

    /// The same roots with these revocation lists, at most 256 of 1 MiB each, instead of those that
    /// were there.
    ///
    /// A list is used for every certificate below the root whose issuer signed it, if it is the
    /// newest that this issuer signed; the signature is checked then. Spec: RFC 5280 §5, §6.3.
    ///
    /// # Errors
    /// [`BundleError::TooManyCrls`]; [`BundleError::Crl`] for a list that cannot be read, lists
    /// changes only, or covers only some of the certificates of its issuer.
    pub fn with_crls<'a>(
        mut self,
        ders: impl IntoIterator<Item = CertificateRevocationListDer<'a>>,
    ) -> Result<Self, BundleError> {
        self.crls.clear();
        self.warnings
            .retain(|warning| !matches!(warning, BundleWarning::CrlOfNoRoot { .. }));
        let mut digest = LengthPrefixed::new();
        for (index, der) in ders.into_iter().enumerate() {
            let position = index.saturating_add(1);
            if position > MAX_CRLS {
                return Err(BundleError::TooManyCrls);
            }
            digest.add(&der);
            let crl =
                Crl::from_der(&der).map_err(|source| BundleError::Crl { position, source })?;
            if !self
                .anchors
                .iter()
                .any(|root| *root.subject == *crl.issuer())
            {
                self.warnings.push(BundleWarning::CrlOfNoRoot { position });
            }
            self.crls.push(Arc::new(crl));
        }
        newest_first(&mut self.crls);
        self.crl_digest = digest.finish();
        Ok(self)
    }

    /// The trust domain for which these roots are authoritative.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The roots; at least one.
    pub fn roots(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }

    /// What an operator should be told about this bundle.
    pub fn warnings(&self) -> &[BundleWarning] {
        &self.warnings
    }

    /// SHA-256 over each root in use, in order.
    /// Shape: `length (8 B, big-endian) || DER` for each.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// SHA-256 over each revocation list in the order in which they were given, in the same shape
    /// as [`Self::digest`].
    pub fn crl_digest(&self) -> [u8; 32] {
        self.crl_digest
    }

    /// The revocation lists, newest first.
    pub(crate) fn crls(&self) -> &[Arc<Crl>] {
        &self.crls
    }

    /// More about a root, which must be one of [`Self::roots`] itself.
    pub(crate) fn facts_of(&self, root: &TrustAnchor<'_>) -> Option<&RootFacts> {
        self.anchors
            .iter()
            .zip(&self.facts)
            .find_map(|(anchor, facts)| std::ptr::eq(anchor, root).then_some(facts))
    }
}

/// A bundle to be, one certificate after another.
#[derive(Default)]
struct Roots {
    anchors: Vec<TrustAnchor<'static>>,
    facts: Vec<RootFacts>,
    warnings: Vec<BundleWarning>,
    digest: LengthPrefixed,
    // Certificates so far, those that were left out among them.
    count: usize,
}

impl Roots {
    fn add(&mut self, der: &CertificateDer<'_>) -> Result<(), BundleError> {
        if self.count == MAX_ROOTS {
            return Err(BundleError::TooManyRoots);
        }
        self.count += 1;
        let position = self.count;
        let malformed = |source| BundleError::Malformed { position, source };
        let certificate = leaf::parse_certificate(der).map_err(malformed)?;
        // X509-SVID §3.2: a signing certificate has cA; §4.3: and keyCertSign.
        let is_ca = leaf::is_ca(&certificate).map_err(malformed)?;
        let usage = leaf::key_usage(&certificate).map_err(malformed)?;
        if !is_ca || !usage.is_none_or(|usage| usage.key_cert_sign()) {
            return Err(BundleError::NotCa { position });
        }
        let anchor = anchor_from_trusted_cert(der)
            .map_err(|source| BundleError::NotAnAnchor { position, source })?;
        if leaf::constrains_uris(&certificate) {
            let subject = certificate.subject().to_string();
            self.warnings
                .push(BundleWarning::UriNameConstraints { position, subject });
            return Ok(());
        }
        let issuer = CrlIssuer::of(&certificate).map_err(malformed)?;
        self.facts.push(RootFacts {
            validity: Validity::of(&certificate),
            spki: issuer.spki.into(),
            key_id: issuer.key_id.map(Into::into),
            signs_crls: issuer.signs_crls,
        });
        self.anchors.push(anchor.to_owned());
        self.digest.add(der);
        Ok(())
    }

    fn finish(self, trust_domain: TrustDomain) -> Result<TrustBundle, BundleError> {
        if self.anchors.is_empty() {
            return Err(match self.warnings.into_iter().next() {
                Some(BundleWarning::UriNameConstraints { position, subject }) => {
                    BundleError::UriNameConstraints { position, subject }
                }
                Some(BundleWarning::CrlOfNoRoot { .. }) | None => {
                    BundleError::Empty { trust_domain }
                }
            });
        }
        Ok(TrustBundle {
            trust_domain,
            anchors: self.anchors,
            facts: self.facts,
            crls: Vec::new(),
            warnings: self.warnings,
            digest: self.digest.finish(),
            crl_digest: LengthPrefixed::new().finish(),
        })
    }
}

impl fmt::Debug for TrustBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "TrustBundle({}, {} roots, {} CRLs)",
            self.trust_domain,
            self.anchors.len(),
            self.crls.len()
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

    /// The same roots without revocation lists.
    pub(crate) fn without_crls(&self) -> Self {
        let mut bundles = self.0.clone();
        for bundle in bundles.values_mut() {
            bundle.crls.clear();
            bundle.crl_digest = LengthPrefixed::new().finish();
        }
        Self(bundles)
    }

    /// SHA-256 over the bundles in order of name: it changes when a root, its place or a trust
    /// domain does.
    /// Shape: `length (8 B) || name || length (8 B) || digest (32 B)` for each.
    pub fn digest(&self) -> [u8; 32] {
        self.digest_of(TrustBundle::digest)
    }

    /// The same over the revocation lists of each bundle.
    pub fn crl_digest(&self) -> [u8; 32] {
        self.digest_of(TrustBundle::crl_digest)
    }

    fn digest_of(&self, part: impl Fn(&TrustBundle) -> [u8; 32]) -> [u8; 32] {
        let mut digest = LengthPrefixed::new();
        for (trust_domain, bundle) in &self.0 {
            digest.add(trust_domain.as_str().as_bytes());
            digest.add(&part(bundle));
        }
        digest.finish()
    }

    /// All bundles, in order of the name of their trust domain.
    pub fn iter(&self) -> impl Iterator<Item = &TrustBundle> {
        self.0.values()
    }

    /// The trust domains that have a bundle, in order of name.
    pub fn trust_domains(&self) -> impl Iterator<Item = &TrustDomain> {
        self.0.keys()
    }
}
