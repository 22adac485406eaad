//! The entries in force, in the form in which they are asked: by hash lookups, whatever their number.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use pqlane_certs::revocation::{DenyEntry, DenyList, MAX_DENY_ENTRIES};
use pqlane_certs::verifier::PeerIdentity;
use rustls::pki_types::UnixTime;

use super::Revocation;

/// The entries in the form that is asked.
#[derive(Debug, Default)]
pub(super) struct InForce {
    /// Each as long as a list may be.
    lists: Vec<DenyList>,
    by_entry: HashMap<DenyEntry, Arc<Revocation>>,
    /// When the first of them is over.
    first_over: Option<UnixTime>,
}

impl InForce {
    pub(super) fn of(all: &BTreeMap<Arc<str>, Arc<Revocation>>) -> Self {
        let mut by_entry: HashMap<DenyEntry, Arc<Revocation>> = HashMap::new();
        for revocation in all.values() {
            let held = by_entry.entry(revocation.entry.clone());
            let held = held.or_insert_with(|| Arc::clone(revocation));
            if outlasts(revocation, held) {
                *held = Arc::clone(revocation);
            }
        }
        let first_over = all.values().filter_map(|revocation| revocation.until).min();
        let entries: Vec<DenyEntry> = by_entry.keys().cloned().collect();
        let lists = entries
            .chunks(MAX_DENY_ENTRIES)
            // No chunk is longer than a list may be, which is all that can be wrong with it.
            .filter_map(|chunk| DenyList::of(chunk.iter().cloned()).ok())
            .collect();
        Self {
            lists,
            by_entry,
            first_over,
        }
    }

    /// When the first of them is over.
    pub(super) fn first_over(&self) -> Option<UnixTime> {
        self.first_over
    }

    /// The entry that names a peer.
    pub(super) fn naming(&self, peer: &PeerIdentity) -> Option<&Arc<Revocation>> {
        let mut lists = self.lists.iter();
        self.by_entry
            .get(&lists.find_map(|list| list.denies(peer))?)
    }
}

fn outlasts(one: &Revocation, other: &Revocation) -> bool {
    match (one.until, other.until) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(one), Some(other)) => one > other,
    }
}
