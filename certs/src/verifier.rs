//! Who the peer is: certificate chains and the proof that the peer holds the key.
//!
//! Takes the certificates and signatures of a TLS 1.3 handshake, as rustls hands them over. Gives
//! a [`PeerIdentity`], which exists only for a chain that verified. Never reads a server name: the
//! peer's identity is its SPIFFE ID (X509-SVID §2), so the name that was dialled proves nothing.
//!
//! The steps come in this order, and the first that fails decides the refusal:
//! 1. the chain has 1 to 8 certificates and its leaf follows the X509-SVID rules;
//! 2. the roots are those of the leaf's own trust domain and of no other;
//! 3. the chain leads to one of them, now, for this role (RFC 5280 §6);
//! 4. the CertificateVerify signature is the leaf's (RFC 9846, CertificateVerify): possession is proved;
//! 5. the SPIFFE ID is on the allow-list.
//!
//! Step 5 waits for step 4 because certificates are public: whoever replays the chain of a victim
//! must not be recorded as that victim. Up to step 4 an error carries a *claimed* ID at most.

mod cache;
mod chain;
mod client;
mod error;
mod server;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::{DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::bundle::TrustBundles;
use crate::clock::Clock;
use crate::leaf::Leaf;
use crate::spiffe_id::{AllowList, SpiffeId};

use cache::{ChainCache, ChainDigest, ChainKey};

pub use chain::PeerIdentity;
pub(crate) use chain::{PresentedChain, Role, verify};
pub use error::PeerError;

/// The most certificates in a peer's chain, leaf included; counted before any is parsed.
pub const MAX_PEER_CHAIN: usize = 8;

/// The most verified chains that one verifier remembers. The oldest entry makes room.
pub const MAX_CACHED_CHAINS: usize = 1_024;

/// Verifies peers for both TLS roles by their X.509-SVID.
///
/// Chains that verified are remembered by the SHA-256 of all their certificates and the role, and
/// used again until the first certificate in them expires. The proof of possession and the
/// allow-list are never remembered. New bundles or a new allow-list take a new verifier, whose
/// memory starts empty.
#[derive(Debug)]
pub struct PeerVerifier {
    bundles: Arc<TrustBundles>,
    allowed: AllowList,
    algorithms: WebPkiSupportedAlgorithms,
    clock: Arc<dyn Clock>,
    cache: ChainCache,
}

impl PeerVerifier {
    /// A verifier for the peers in `allowed`, whose chains end in `bundles`.
    ///
    /// Signatures are accepted in the algorithms of `provider`; the time comes from `clock`, not
    /// from the rustls configuration.
    pub fn new(
        bundles: Arc<TrustBundles>,
        allowed: AllowList,
        provider: &CryptoProvider,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            bundles,
            allowed,
            algorithms: provider.signature_verification_algorithms,
            clock,
            cache: ChainCache::new(MAX_CACHED_CHAINS),
        }
    }

    /// The peer of a finished handshake, from the chain that it presented.
    ///
    /// Judges the chain at this moment and then the allow-list. After a full handshake the chain
    /// is remembered and this costs one hash; after a resumed one this is the only check there is.
    /// It proves nothing by itself: call it only for a chain whose possession a handshake proved.
    /// A chain that no handshake of this verifier verified is judged for either role.
    ///
    /// # Errors
    /// [`PeerError`], one variant for each rule.
    pub fn identify(&self, chain: &[CertificateDer<'_>]) -> Result<PeerIdentity, PeerError> {
        let chain = PresentedChain::split(chain)?;
        let digest = ChainDigest::of(&chain);
        let now = self.clock.now();
        let remembered = [Role::Client, Role::Server]
            .into_iter()
            .find_map(|role| self.cache.find(&ChainKey { digest, role }, now));
        let identity = match remembered {
            Some(identity) => identity,
            None => match self.verify_anew(&chain, digest, Role::Client, now) {
                // The purposes of a leaf may name one role only. Spec: RFC 5280 §4.2.1.12.
                Err(PeerError::WrongPurpose { .. }) => {
                    self.verify_anew(&chain, digest, Role::Server, now)?
                }
                verified => verified?,
            },
        };
        self.check_allowed(identity.spiffe_id())?;
        Ok(identity)
    }

    /// Steps 1 to 3.
    fn verify_chain(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        role: Role,
    ) -> Result<PeerIdentity, PeerError> {
        let chain = PresentedChain::new(leaf, intermediates)?;
        let digest = ChainDigest::of(&chain);
        let now = self.clock.now();
        match self.cache.find(&ChainKey { digest, role }, now) {
            Some(identity) => Ok(identity),
            None => self.verify_anew(&chain, digest, role, now),
        }
    }

    fn verify_anew(
        &self,
        chain: &PresentedChain<'_>,
        digest: ChainDigest,
        role: Role,
        now: UnixTime,
    ) -> Result<PeerIdentity, PeerError> {
        let verified = verify(chain, role, &self.bundles, &self.algorithms, now)?;
        let identity = verified.identity.clone();
        self.cache.remember(ChainKey { digest, role }, verified);
        Ok(identity)
    }

    /// Steps 4 and 5. rustls calls this for a chain that passed steps 1 to 3 in this handshake.
    fn verify_possession(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, PeerError> {
        let valid = verify_tls13_signature(message, leaf, signature, &self.algorithms)
            .map_err(PeerError::Signature)?;
        self.check_allowed(Leaf::parse(leaf)?.spiffe_id())?;
        Ok(valid)
    }

    fn check_allowed(&self, id: &SpiffeId) -> Result<(), PeerError> {
        if self.allowed.allows(id) {
            return Ok(());
        }
        Err(PeerError::NotAllowed {
            id: id.clone(),
            allowed: self.allowed.to_string(),
        })
    }

    fn supported_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
