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
//! 5. the deny-list does not name the peer;
//! 6. the SPIFFE ID is on the allow-list.
//!
//! Steps 5 and 6 wait for step 4 because certificates are public: whoever replays the chain of a
//! victim must not be recorded as that victim. Up to step 4 an error carries a *claimed* ID at most.

mod cache;
mod chain;
mod client;
mod error;
mod profile;
mod server;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::{DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::bundle::TrustBundles;
use crate::clock::Clock;
use crate::leaf::Leaf;
use crate::revocation::{Denials, DenyEntry};
use crate::spiffe_id::AllowList;

use cache::ChainKey;
use chain::{Verification, choose_bundle};

pub use cache::{ChainCache, MAX_CACHED_CHAINS};
pub use chain::{PeerIdentity, Role};
pub(crate) use chain::{PresentedChain, verify_own};
pub use error::PeerError;
pub(crate) use profile::AlgorithmProfile;

/// The most certificates in a peer's chain, leaf included; counted before any is parsed.
pub const MAX_PEER_CHAIN: usize = 8;

/// All that peers are judged by.
#[derive(Clone, Debug)]
pub struct PeerVerifierConfig {
    /// The roots and revocation lists of each trust domain.
    pub bundles: Arc<TrustBundles>,
    /// Whom we speak with.
    pub allowed: AllowList,
    /// Whom we do not speak with although `allowed` names them.
    pub denied: Arc<dyn Denials>,
    /// The signature algorithms that are accepted, in certificates, revocation lists and handshakes.
    pub algorithms: WebPkiSupportedAlgorithms,
    /// The time; that of the rustls configuration is not used.
    pub clock: Arc<dyn Clock>,
    /// Chains that verified; to be shared by all verifiers of a process.
    pub cache: Arc<ChainCache>,
}

/// Verifies peers for both TLS roles by their X.509-SVID.
///
/// Chains that verified are remembered in a [`ChainCache`] and used again until the first certificate
/// in them expires or a revocation list about them is out of date. The proof of possession, the
/// deny-list and the allow-list are never remembered. Changed bundles or lists take a new verifier,
/// which can share the memory: it finds there only what was verified against the same bundle.
#[derive(Debug)]
pub struct PeerVerifier {
    config: PeerVerifierConfig,
}

impl PeerVerifier {
    /// A verifier that judges by `config`.
    pub fn new(config: PeerVerifierConfig) -> Self {
        Self { config }
    }

    /// The same verifier with other bundles and another deny-list.
    pub fn under(&self, bundles: Arc<TrustBundles>, denied: Arc<dyn Denials>) -> Self {
        Self::new(PeerVerifierConfig {
            bundles,
            denied,
            ..self.config.clone()
        })
    }

    /// The peer of a finished handshake, from the chain that it presented in the TLS role `role`.
    ///
    /// Judges the chain at this moment, then the deny-list and the allow-list: all steps but the
    /// proof of possession. While the chain is remembered this costs a parse of the leaf and a hash.
    /// It proves nothing by itself: call it only for a chain whose possession a handshake proved, at
    /// the end of that handshake and at each resumption.
    ///
    /// # Errors
    /// [`PeerError`], one variant for each rule.
    pub fn identify(
        &self,
        chain: &[CertificateDer<'_>],
        role: Role,
    ) -> Result<PeerIdentity, PeerError> {
        let now = self.config.clock.now();
        let peer = self.verify_chain(&PresentedChain::split(chain)?, role, now)?;
        self.check_lists(&peer)?;
        Ok(peer)
    }

    /// Whether the peer of an open connection may go on under these bundles, revocation lists, deny-list and
    /// allow-list.
    ///
    /// As [`Self::identify`], but a leaf that has expired since the handshake is judged as of its last valid
    /// second: how long a connection may outlive its leaf is decided by whoever holds the connection.
    ///
    /// # Errors
    /// [`PeerError`], one variant for each rule.
    pub fn judge_open(&self, chain: &[CertificateDer<'_>], role: Role) -> Result<(), PeerError> {
        let chain = PresentedChain::split(chain)?;
        let valid_until = Leaf::parse(chain.leaf)?.not_after();
        let then = self.config.clock.now().min(valid_until);
        self.check_lists(&self.verify_chain(&chain, role, then)?)
    }

    /// The entry of the deny-list that names a peer now.
    pub fn denies(&self, peer: &PeerIdentity) -> Option<DenyEntry> {
        self.config.denied.denies(peer)
    }

    /// Steps 1 to 3.
    fn verify_chain(
        &self,
        chain: &PresentedChain<'_>,
        role: Role,
        now: UnixTime,
    ) -> Result<PeerIdentity, PeerError> {
        let PeerVerifierConfig {
            bundles,
            algorithms,
            clock: _the_caller_read_it,
            cache,
            allowed: _,
            denied: _,
        } = &self.config;
        let leaf = Leaf::parse(chain.leaf)?;
        let bundle = choose_bundle(&leaf, bundles)?;
        let key = ChainKey::new(chain, role, bundle, algorithms);
        if let Some(identity) = cache.find(&key, now) {
            return Ok(identity);
        }
        let verification = Verification {
            chain,
            leaf: &leaf,
            role,
            bundle,
            algorithms,
            now,
        };
        let verified = verification.run()?;
        let identity = verified.identity.clone();
        cache.remember(key, verified);
        Ok(identity)
    }

    /// Steps 4 to 6. rustls calls this for a chain that passed steps 1 to 3 in this handshake.
    fn verify_possession(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, PeerError> {
        let valid = verify_tls13_signature(message, leaf, signature, &self.config.algorithms)
            .map_err(PeerError::Signature)?;
        self.check_lists(&PeerIdentity::of_verified(Leaf::parse(leaf)?))?;
        Ok(valid)
    }

    /// Steps 5 and 6.
    fn check_lists(&self, peer: &PeerIdentity) -> Result<(), PeerError> {
        let PeerVerifierConfig {
            allowed, denied, ..
        } = &self.config;
        let id = || peer.spiffe_id().clone();
        if let Some(entry) = denied.denies(peer) {
            return Err(PeerError::Denied { id: id(), entry });
        }
        if !allowed.allows(peer.spiffe_id()) {
            return Err(PeerError::NotAllowed {
                id: id(),
                allowed: allowed.to_string(),
            });
        }
        Ok(())
    }

    fn supported_schemes(&self) -> Vec<SignatureScheme> {
        self.config.algorithms.supported_schemes()
    }
}
