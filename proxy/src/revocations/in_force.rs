//! The entries in force, in the form in which they are asked: by hash lookups, whatever their number.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use pqlane_certs::revocation::{DenyEntry, DenyList};
use pqlane_certs::verifier::PeerIdentity;
use rustls::pki_types::UnixTime;

use super::Revocation;

/// The entries in the form that is asked.
#[derive(Debug, Default)]
pub(super) struct InForce {
    list: DenyList,
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
        let list = DenyList::of(by_entry.keys().cloned()).unwrap_or_else(|error| {
            // The capacity is far below the bound of a list.
            tracing::error!(%error, "too many revocations");
            DenyList::default()
        });
        Self {
            list,
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
        self.by_entry.get(&self.list.denies(peer)?)
    }
}

fn outlasts(one: &Revocation, other: &Revocation) -> bool {
    match (one.until, other.until) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(one), Some(other)) => one > other,
    }
}
