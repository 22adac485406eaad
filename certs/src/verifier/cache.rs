//! Chains that verified, so that the same chain is not verified again for every connection.
//!
//! Takes chains that [`super::chain::verify`] passed. Gives them back, under the very conditions
//! they passed under, while every certificate and every revocation list consulted is valid. Never
//! holds a refusal, a proof of possession or an answer of a list of ours, and never more than its
//! capacity.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls_pki_types::UnixTime;

use super::chain::{PeerIdentity, PresentedChain, Role, VerifiedChain};
use super::profile::AlgorithmProfile;
use crate::bundle::TrustBundle;
use crate::leaf::LengthPrefixed;
use crate::spiffe_id::TrustDomain;

/// The most verified chains that a [`ChainCache`] remembers unless told otherwise.
pub const MAX_CACHED_CHAINS: usize = 1_024;

/// All that a verification depends on, except for the time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ChainKey {
    /// The peer's TLS role, which decides the purpose its certificates must have.
    pub(super) role: Role,
    /// [`PresentedChain::digest`].
    pub(super) chain: [u8; 32],
    /// Whose roots were used, and which they were.
    pub(super) trust_domain: TrustDomain,
    pub(super) bundle: [u8; 32],
    pub(super) crls: [u8; 32],
    /// The algorithms that were accepted.
    pub(super) profile: AlgorithmProfile,
}

impl ChainKey {
    pub(super) fn new(
        chain: &PresentedChain<'_>,
        role: Role,
        bundle: &TrustBundle,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Self {
        Self {
            role,
            chain: chain.digest(),
            trust_domain: bundle.trust_domain().clone(),
            bundle: bundle.digest(),
            crls: bundle.crl_digest(),
            profile: AlgorithmProfile::of(algorithms),
        }
    }
}

impl PresentedChain<'_> {
    /// SHA-256 over each certificate, leaf first, each preceded by its length as eight bytes, most
    /// significant first.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut digest = LengthPrefixed::new();
        for certificate in std::iter::once(self.leaf).chain(self.intermediates) {
            digest.add(certificate);
        }
        digest.finish()
    }
}

/// A bounded memory of verified chains for all verifiers of a process.
///
/// A chain is found again only by a verifier that would judge it in the same way: same role of the
/// peer, same certificates, same roots and revocation lists of its trust domain, same signature
/// algorithms. The entry that came first makes room for the next.
pub struct ChainCache {
    capacity: usize,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    by_key: HashMap<ChainKey, VerifiedChain>,
    // The keys of `by_key`, each once, oldest first.
    order: VecDeque<ChainKey>,
}

impl ChainCache {
    /// An empty memory for at most `capacity` chains; none at all for zero.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            entries: Mutex::default(),
        }
    }

    /// How many chains are remembered, those that are no longer valid among them.
    pub fn len(&self) -> usize {
        self.lock().by_key.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets the chains of some identities. They are verified again if they come again.
    pub fn forget(&self, whose: impl Fn(&PeerIdentity) -> bool) {
        let mut entries = self.lock();
        let Entries { by_key, order } = &mut *entries;
        by_key.retain(|_, chain| !whose(&chain.identity));
        order.retain(|key| by_key.contains_key(key));
    }

    /// The identity of a remembered chain, if all of the chain is valid at `now`.
    pub(super) fn find(&self, key: &ChainKey, now: UnixTime) -> Option<PeerIdentity> {
        let entries = self.lock();
        let chain = entries.by_key.get(key)?;
        chain.validity.contains(now).then(|| chain.identity.clone())
    }

    /// Remembers a chain that has just verified.
    pub(super) fn remember(&self, key: ChainKey, chain: VerifiedChain) {
        let mut entries = self.lock();
        if entries.by_key.insert(key.clone(), chain).is_some() {
            return;
        }
        entries.order.push_back(key);
        while entries.order.len() > self.capacity {
            if let Some(oldest) = entries.order.pop_front() {
                entries.by_key.remove(&oldest);
            }
        }
    }

    // Every change above leaves the entries usable, so a poisoned lock is no reason to stop.
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for ChainCache {
    /// A memory for [`MAX_CACHED_CHAINS`].
    fn default() -> Self {
        Self::new(MAX_CACHED_CHAINS)
    }
}

impl fmt::Debug for ChainCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChainCache({} of {})", self.len(), self.capacity)
    }
}
