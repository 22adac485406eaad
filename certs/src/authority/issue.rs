//! Issuing an SVID.

use std::time::Duration;

use rcgen::{
    CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::crypto::CryptoProvider;
use rustls_pki_types::CertificateDer;
use zeroize::Zeroizing;

use super::{Authority, AuthorityError, KeyKind, pem_text, uri_san};
use crate::clock::Clock;
use crate::leaf::Validity;
use crate::secret::SecretPem;
use crate::spiffe_id::SpiffeId;
use crate::svid::{SvidError, X509Svid};

/// How an SVID is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssueOptions {
    /// How long it is valid from now; cut short at the end of the CA's own certificate.
    pub ttl: Duration,
    /// The kind of its key.
    pub key: KeyKind,
}

impl Default for IssueOptions {
    /// An ECDSA P-256 key for one hour.
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(3_600),
            key: KeyKind::default(),
        }
    }
}

/// An SVID fresh from the authority. The key is in no other place.
#[derive(Clone, Debug)]
pub struct IssuedSvid {
    /// The chain: the leaf and, if there is one, the intermediate that signed it.
    pub chain_pem: String,
    /// The private key, PKCS#8.
    pub key_pem: SecretPem,
}

/// A fresh SVID before it is written as PEM.
pub(super) struct Issued {
    /// Leaf first.
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: Zeroizing<KeyPair>,
    pub(super) validity: Validity,
}

impl IssuedSvid {
    /// The SVID ready for use.
    ///
    /// # Errors
    /// [`SvidError`] when `provider` cannot use this kind of key.
    pub fn to_svid(&self, provider: &CryptoProvider) -> Result<X509Svid, SvidError> {
        X509Svid::from_pem(self.chain_pem.as_bytes(), self.key_pem.as_bytes(), provider)
    }
}

impl Authority {
    /// Issues an SVID with a fresh key.
    ///
    /// The leaf has exactly one URI SAN, `id`; a critical keyUsage of digitalSignature;
    /// extendedKeyUsage serverAuth and clientAuth; basicConstraints with cA false. It is valid
    /// from 30 s ago, and never outside the CA's own period.
    /// Spec: X509-SVID §2, §3.1, §4.1, §4.3, §4.4.
    ///
    /// # Errors
    /// [`AuthorityError::ForeignId`], [`AuthorityError::NoPath`], [`AuthorityError::Ttl`] for what
    /// was asked; [`AuthorityError::Expired`] or [`AuthorityError::NotYetValid`] when the CA cannot
    /// issue now; [`AuthorityError::Generate`] when key or certificate cannot be made.
    pub fn issue(
        &self,
        id: &SpiffeId,
        options: &IssueOptions,
        clock: &dyn Clock,
    ) -> Result<IssuedSvid, AuthorityError> {
        let issued = self.issue_der(id, options, clock)?;
        Ok(IssuedSvid {
            chain_pem: issued.chain.iter().map(pem_text::certificate).collect(),
            key_pem: SecretPem::new(issued.key.serialize_pem()),
        })
    }

    pub(super) fn issue_der(
        &self,
        id: &SpiffeId,
        options: &IssueOptions,
        clock: &dyn Clock,
    ) -> Result<Issued, AuthorityError> {
        self.check_may_issue(id)?;
        let now = clock.now();
        self.check_valid_at(now)?;
        let validity = Validity::starting(now, options.ttl)?.intersect(self.validity());

        let key = options.key.generate()?;
        let mut params = CertificateParams::default();
        (params.not_before, params.not_after) = validity
            .dates()
            .ok_or(AuthorityError::Ttl { ttl: options.ttl })?;
        // No subject: the identity is the URI SAN, which is critical for that reason.
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![uri_san(id)?];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        let leaf = params
            .signed_by(&*key, &self.issuing().issuer()?)
            .map_err(AuthorityError::Generate)?;
        let intermediate = self.intermediate.as_ref().map(|ca| &ca.certificate);
        let chain = [Some(leaf.der()), intermediate].into_iter().flatten();
        Ok(Issued {
            chain: chain.cloned().collect(),
            key,
            validity,
        })
    }

    fn check_may_issue(&self, id: &SpiffeId) -> Result<(), AuthorityError> {
        if *id.trust_domain() != self.trust_domain {
            return Err(AuthorityError::ForeignId {
                id: id.clone(),
                trust_domain: self.trust_domain.clone(),
            });
        }
        if id.path().is_empty() {
            return Err(AuthorityError::NoPath { id: id.clone() });
        }
        Ok(())
    }
}
