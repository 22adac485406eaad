//! Chains that verified, so that the same chain is not verified again for every connection.
//!
//! Takes chains that [`super::chain::verify`] passed. Gives them back while every certificate in
//! them is valid. Never holds a refusal, and never more than its capacity.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};
use rustls_pki_types::UnixTime;

use super::chain::{PeerIdentity, PresentedChain, Role, VerifiedChain};

/// What a verified chain is remembered by: its certificates and the role for which it verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ChainKey {
    pub(super) digest: ChainDigest,
    pub(super) role: Role,
}

/// SHA-256 over each certificate, leaf first, each preceded by its length as eight bytes, most
/// significant first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ChainDigest([u8; 32]);

impl ChainDigest {
    pub(super) fn of(chain: &PresentedChain<'_>) -> Self {
        let mut context = Context::new(&SHA256);
        for certificate in std::iter::once(chain.leaf).chain(chain.intermediates) {
            let len = u64::try_from(certificate.len()).unwrap_or(u64::MAX);
            context.update(&len.to_be_bytes());
            context.update(certificate);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        Self(digest)
    }
}

/// A bounded memory of verified chains. The entry that came first makes room for the next.
pub(super) struct ChainCache {
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
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            entries: Mutex::default(),
        }
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
        if entries.by_key.insert(key, chain).is_some() {
            return;
        }
        entries.order.push_back(key);
        while entries.order.len() > self.capacity {
            if let Some(oldest) = entries.order.pop_front() {
                entries.by_key.remove(&oldest);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.lock().by_key.len()
    }

    // Every change above leaves the entries usable, so a poisoned lock is no reason to stop.
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ChainCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChainCache({} of {})", self.len(), self.capacity)
    }
}
