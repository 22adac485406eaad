//! Our own X.509-SVID: a certificate chain with its private key.
//!
//! Takes PEM or DER. Gives an [`X509Svid`] whose leaf follows the X509-SVID rules and whose key belongs
//! to that leaf. Never judges whether others will trust it: [`crate::source`] does, before it
//! publishes one.

mod error;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};

use crate::clock::Rfc3339;
use crate::leaf::Leaf;
use crate::spiffe_id::SpiffeId;

pub use error::SvidError;

/// The most certificates in our own chain, leaf included.
pub const MAX_OWN_CHAIN: usize = 10;

/// Our own identity: a chain, leaf first, and the private key of the leaf.
///
/// Cloning is cheap. `Debug` shows the ID and the expiry, never the key.
#[derive(Clone)]
pub struct X509Svid {
    leaf: Leaf,
    certified_key: Arc<CertifiedKey>,
}

impl X509Svid {
    /// Reads a chain and its key from PEM text.
    ///
    /// Shape: `chain_pem` has 1 to 10 `CERTIFICATE` sections, leaf first, without the root;
    /// `key_pem` has one `PRIVATE KEY` (PKCS#8), `EC PRIVATE KEY` (SEC1) or `RSA PRIVATE KEY`
    /// (PKCS#1). Other sections are passed over.
    ///
    /// # Errors
    /// [`SvidError`] for PEM that does not decode, an empty or too long chain, none or several
    /// keys, a leaf that breaks an X509-SVID rule, a key that `provider` cannot use, and a key
    /// that does not belong to the leaf.
    pub fn from_pem(
        chain_pem: &[u8],
        key_pem: &[u8],
        provider: &CryptoProvider,
    ) -> Result<Self, SvidError> {
        let chain = read_chain(chain_pem)?;
        let leaf = parse_leaf(&chain)?;
        Self::assemble(leaf, chain, read_key(key_pem)?, provider)
    }

    /// Takes a chain, 1 to 10 certificates with the leaf first, and its key, PKCS#8.
    ///
    /// # Errors
    /// [`SvidError`] for what [`Self::from_pem`] refuses too, PEM apart.
    pub fn from_der<'a>(
        chain: impl IntoIterator<Item = CertificateDer<'a>>,
        key_pkcs8: &[u8],
        provider: &CryptoProvider,
    ) -> Result<Self, SvidError> {
        let chain: Vec<_> = chain
            .into_iter()
            .take(MAX_OWN_CHAIN + 1)
            .map(CertificateDer::into_owned)
            .collect();
        if chain.len() > MAX_OWN_CHAIN {
            return Err(SvidError::ChainTooLong);
        }
        let leaf = parse_leaf(&chain)?;
        let key = PrivatePkcs8KeyDer::from(key_pkcs8.to_vec());
        Self::assemble(leaf, chain, key.into(), provider)
    }

    fn assemble(
        leaf: Leaf,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        provider: &CryptoProvider,
    ) -> Result<Self, SvidError> {
        let key = provider
            .key_provider
            .load_private_key(key)
            .map_err(SvidError::KeyUnusable)?;
        let certified_key = CertifiedKey::new(chain, key);
        certified_key.keys_match().map_err(SvidError::KeyMismatch)?;
        Ok(Self {
            leaf,
            certified_key: Arc::new(certified_key),
        })
    }

    /// Our SPIFFE ID.
    pub fn id(&self) -> &SpiffeId {
        self.leaf.spiffe_id()
    }

    /// The leaf certificate.
    pub fn leaf(&self) -> &Leaf {
        &self.leaf
    }

    /// The chain and key in the form in which rustls resolvers take them.
    pub fn certified_key(&self) -> &Arc<CertifiedKey> {
        &self.certified_key
    }

    /// Checks that the leaf is valid at `now`; both ends of its period count as valid.
    ///
    /// # Errors
    /// [`SvidError::Expired`] or [`SvidError::NotYetValid`].
    pub fn check_valid_at(&self, now: UnixTime) -> Result<(), SvidError> {
        let (not_before, not_after) = (self.leaf.not_before(), self.leaf.not_after());
        if now < not_before {
            return Err(SvidError::NotYetValid { not_before });
        }
        if now > not_after {
            return Err(SvidError::Expired { not_after });
        }
        Ok(())
    }
}

impl fmt::Debug for X509Svid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expiry = Rfc3339(self.leaf.not_after());
        write!(f, "X509Svid({}, until {expiry})", self.id())
    }
}

fn parse_leaf(chain: &[CertificateDer<'_>]) -> Result<Leaf, SvidError> {
    Leaf::parse(chain.first().ok_or(SvidError::NoCertificate)?)
}

fn read_chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, SvidError> {
    let mut chain = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        chain.push(certificate.map_err(SvidError::pem)?);
        if chain.len() > MAX_OWN_CHAIN {
            return Err(SvidError::ChainTooLong);
        }
    }
    Ok(chain)
}

fn read_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, SvidError> {
    let mut keys = PrivateKeyDer::pem_slice_iter(pem);
    let key = keys
        .next()
        .ok_or(SvidError::NoKey)?
        .map_err(SvidError::key_pem)?;
    if keys.next().is_some() {
        return Err(SvidError::ManyKeys);
    }
    match key {
        PrivateKeyDer::Pkcs1(_) | PrivateKeyDer::Pkcs8(_) | PrivateKeyDer::Sec1(_) => Ok(key),
        _ => Err(SvidError::KeyFormat),
    }
}
