//! Who was revoked by an operator's call, until it is lifted or over.
//!
//! Takes what was asked for; answers at every handshake, resumption and judgement whether a peer is named. Every entry
//! is in a journal before the call is answered, and is read back before a listener opens. It cuts nobody: whoever adds
//! an entry goes on to cut whom it names. Whoever is added first and cut second has no gap between.

pub(crate) mod asked;
mod in_force;
mod line;
#[cfg(test)]
mod tests;

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, Hasher};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pqlane_certs::clock::{Clock, Rfc3339};
use pqlane_certs::revocation::{Denials, DenyEntry, DenyList};
use pqlane_certs::verifier::PeerIdentity;
use rustls::pki_types::UnixTime;
use serde::Serialize;

use crate::journal::{Journal, JournalError, News};
use crate::live::Live;
use crate::tls::with_causes;
use asked::{Asked, AskedError};
use in_force::InForce;
use line::Entry;

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Revocation {
    /// Its name: 16 hexadecimal digits, never used again.
    pub(crate) id: Arc<str>,
    /// Whom it names.
    pub(crate) entry: DenyEntry,
    /// Why, in the operator's words.
    pub(crate) reason: Box<str>,
    /// Since when.
    pub(crate) at: UnixTime,
    /// The first second at which it is over; it lasts until it is lifted, if there is none.
    pub(crate) until: Option<UnixTime>,
}

impl Revocation {
    fn is_over(&self, now: UnixTime) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// All entries, in memory and on disk.
#[derive(Debug)]
pub(crate) struct Revocations {
    clock: Arc<dyn Clock>,
    capacity: usize,
    all: Mutex<BTreeMap<Arc<str>, Arc<Revocation>>>,
    /// What is looked at when somebody asks; made anew from `all` under its lock.
    in_force: Live<InForce>,
    /// Locked before `all`, never after it: `all` is not held while the disk works.
    store: Option<Mutex<Store>>,
}

#[derive(Debug)]
struct Store {
    journal: Journal<Entry>,
    /// Whether all that is in memory is in the journal.
    complete: bool,
}

/// Why an entry could not be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAdded {
    /// There are as many as there may be.
    #[error(
        "there are {0} revocations, as many as limits.revocations allows; lift some, or use the deny-list"
    )]
    Full(usize),
    /// There is no place to write it to.
    #[error(
        "no state_dir is configured, and a revocation that is not on disk would be forgotten at a restart; set state_dir, or use [revocation] deny_list"
    )]
    NoStateDir,
}

impl Revocations {
    /// Reads the journal, or makes it with mode 0600; without a path nothing can be added.
    ///
    /// `capacity` is how many entries there may be; what the file holds already is kept whatever it is.
    ///
    /// # Errors
    /// [`JournalError`] when the file cannot be used, is no journal, or is of an unknown version.
    pub(crate) fn open(
        path: Option<&Path>,
        clock: Arc<dyn Clock>,
        capacity: usize,
    ) -> Result<Self, JournalError> {
        let mut all = BTreeMap::new();
        let mut store = None;
        if let Some(path) = path {
            let (mut journal, contents) = Journal::open(path)?;
            all = live(&contents.entries, clock.now());
            if contents.is_worth_compacting(all.len())
                && let Err(error) = journal.compact(&lines(&all))
            {
                // It is only longer than it need be.
                tracing::warn!(error = with_causes(&error), "the old journal stays in use");
            }
            store = Some(Mutex::new(Store {
                journal,
                complete: true,
            }));
        }
        Ok(Self {
            clock,
            capacity,
            in_force: Live::new(Arc::new(InForce::of(&all))),
            all: Mutex::new(all),
            store,
        })
    }

    /// Adds an entry, which is in force when this returns, and not on disk before [`Revocations::save`].
    ///
    /// # Errors
    /// [`NotAdded`]; nothing has changed then.
    pub(crate) fn add(&self, asked: Asked) -> Result<Arc<Revocation>, NotAdded> {
        if self.store.is_none() {
            return Err(NotAdded::NoStateDir);
        }
        let Asked {
            entry,
            reason,
            duration,
        } = asked;
        let at = self.clock.now();
        let until = duration.map(|lasts| later(at, lasts));
        let mut all = self.all();
        forget_over(&mut all, at);
        if all.len() >= self.capacity {
            return Err(NotAdded::Full(all.len()));
        }
        let mut id = new_id();
        while all.contains_key(&id) {
            id = new_id();
        }
        let revocation = Arc::new(Revocation {
            id: Arc::clone(&id),
            entry,
            reason,
            at,
            until,
        });
        all.insert(id, Arc::clone(&revocation));
        self.in_force.publish(Arc::new(InForce::of(&all)));
        Ok(revocation)
    }

    /// Waits until an entry is on disk. Writes files.
    ///
    /// # Errors
    /// [`JournalError`] when it may not be; it is in force all the same, and is written with the next.
    pub(crate) fn save(&self, revocation: &Revocation) -> Result<(), JournalError> {
        self.write(&line::revoke_line(revocation))
    }

    /// Lifts an entry. It is in force until that is on disk. Writes files.
    ///
    /// # Errors
    /// [`NotLifted`]; nothing has changed then.
    pub(crate) fn lift(&self, id: &str) -> Result<Arc<Revocation>, NotLifted> {
        if !self.all().contains_key(id) {
            return Err(NotLifted::Unknown);
        }
        self.write(&line::lift_line(id, self.clock.now()))?;
        let mut all = self.all();
        let lifted = all.remove(id).ok_or(NotLifted::Unknown)?;
        self.in_force.publish(Arc::new(InForce::of(&all)));
        Ok(lifted)
    }

    /// The entry in force that names a peer.
    pub(crate) fn of(&self, peer: &PeerIdentity) -> Option<Arc<Revocation>> {
        // The clock is read only where there is something that may be over.
        let first_over = self.in_force.now().first_over();
        if first_over.is_some_and(|over| over <= self.clock.now()) {
            self.drop_over();
        }
        self.in_force.now().naming(peer).cloned()
    }

    /// Every entry in force, the oldest first.
    pub(crate) fn entries(&self) -> Vec<Arc<Revocation>> {
        self.drop_over();
        let mut entries: Vec<_> = self.all().values().cloned().collect();
        entries.sort_by_key(|revocation| revocation.at);
        entries
    }

    fn drop_over(&self) {
        let mut all = self.all();
        forget_over(&mut all, self.clock.now());
        self.in_force.publish(Arc::new(InForce::of(&all)));
    }

    /// Appends a line; or writes all of memory anew, where the file was removed, replaced or lacks something.
    fn write(&self, line: &str) -> Result<(), JournalError> {
        let Some(store) = &self.store else {
            return Ok(());
        };
        let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
        if store.journal.is_replaced() {
            store.complete = false;
            if let News::Replaced(entries) = store.journal.news()? {
                self.take_over(&entries);
            }
        }
        if !store.complete {
            let all = lines(&self.all());
            store.journal.compact(&all)?;
            store.complete = true;
        }
        let written = store.journal.append(&[line.to_owned()]);
        store.complete = written.is_ok();
        written
    }

    /// What stands in a file that has taken the place of ours holds too: it is about to be written anew.
    fn take_over(&self, entries: &[Entry]) {
        let mut all = self.all();
        for (id, revocation) in live(entries, self.clock.now()) {
            all.entry(id).or_insert(revocation);
        }
        self.in_force.publish(Arc::new(InForce::of(&all)));
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Arc<Revocation>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why an entry could not be lifted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotLifted {
    /// It could not be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// No entry in force has this id.
    #[error("no revocation in force has this id")]
    Unknown,
}

/// The deny-list's file and the revocations together.
#[derive(Debug)]
pub(crate) struct Denied {
    /// The file.
    pub(crate) listed: Arc<DenyList>,
    /// What calls have added.
    pub(crate) revoked: Arc<Revocations>,
}

impl Denials for Denied {
    fn denies(&self, peer: &PeerIdentity) -> Option<DenyEntry> {
        let revoked = || Some(self.revoked.of(peer)?.entry.clone());
        self.listed.denies(peer).or_else(revoked)
    }
}

/// What is in force when all lines are applied, in whatever order: an id that was lifted stays lifted.
fn live(entries: &[Entry], now: UnixTime) -> BTreeMap<Arc<str>, Arc<Revocation>> {
    let lifted: HashSet<&str> = entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Lift(id) => Some(&**id),
            Entry::Revoke(_) => None,
        })
        .collect();
    entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Revoke(revocation) => Some(revocation),
            Entry::Lift(_) => None,
        })
        .filter(|revocation| !lifted.contains(&*revocation.id) && !revocation.is_over(now))
        .map(|revocation| (Arc::clone(&revocation.id), Arc::new(revocation.clone())))
        .collect()
}

fn forget_over(all: &mut BTreeMap<Arc<str>, Arc<Revocation>>, now: UnixTime) {
    all.retain(|_, revocation| !revocation.is_over(now));
}

fn lines(all: &BTreeMap<Arc<str>, Arc<Revocation>>) -> Vec<String> {
    all.values()
        .map(|revocation| line::revoke_line(revocation))
        .collect()
}

fn new_id() -> Arc<str> {
    // Keys of `RandomState` come from the system's random source: unique enough for names.
    let random = RandomState::new().build_hasher().finish();
    format!("{random:016x}").into()
}

/// An entry as `/v1/revocations` tells it.
#[derive(Debug, Serialize)]
pub(crate) struct Told {
    id: String,
    entry: String,
    reason: String,
    since: String,
    until: Option<String>,
}

impl From<&Revocation> for Told {
    fn from(revocation: &Revocation) -> Self {
        Self {
            id: revocation.id.to_string(),
            entry: revocation.entry.to_string(),
            reason: revocation.reason.to_string(),
            since: Rfc3339(revocation.at).to_string(),
            until: revocation.until.map(|until| Rfc3339(until).to_string()),
        }
    }
}

/// What was asked for as its line of the journal, and that line read and written again; for whoever checks the
/// readers.
///
/// # Errors
/// [`AskedError`] when the body asks for nothing; the line is read back in any case.
pub(crate) fn read_and_write(body: &[u8]) -> Result<(String, Result<String, String>), AskedError> {
    let Asked {
        entry,
        reason,
        duration,
    } = Asked::read(body)?;
    let at = UnixTime::since_unix_epoch(Duration::from_secs(1_795_253_400));
    let until = duration.map(|lasts| later(at, lasts));
    let line = line::revoke_line(&Revocation {
        id: "0000000000000000".into(),
        entry,
        reason,
        at,
        until,
    });
    let again = <Entry as crate::journal::Entry>::read(line.trim_end_matches('\n').as_bytes());
    let again = again.map(|entry| match entry {
        Entry::Lift(id) => line::lift_line(&id, at),
        Entry::Revoke(revocation) => line::revoke_line(&revocation),
    });
    Ok((line, again))
}

fn later(at: UnixTime, lasts: Duration) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(at.as_secs()) + lasts)
}
