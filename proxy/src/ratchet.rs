//! The ratchet: who has shown hybrid key exchange does not go back.
//!
//! Takes the outcome of finished, authenticated handshakes. Gives a `Turn` for each: a SPIFFE ID that completed
//! a hybrid handshake and now authenticates over a classical one has been downgraded, by an attacker between, by
//! a broken middlebox, or by its operator. What was shown is kept in a journal that survives restarts and crashes.
//!
//! It has no entrance for anything else: a handshake that was refused or never finished proves no identity, so
//! it can neither set the ratchet for an ID nor trip it. Under `require-hybrid` it never trips.

mod line;
#[cfg(test)]
mod tests;
mod turn;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pqlane_certs::clock::Clock;
use pqlane_certs::spiffe_id::SpiffeId;
use pqlane_handshake::kx::{Group, Strength};

use crate::journal::line::written_time;
use crate::journal::{self, Journal, JournalError, News};
use crate::tls::with_causes;
use line::Entry;

pub(crate) use turn::{Downgrade, DowngradeCause, Offered, OnDowngrade, Shown, Turn};

/// What a [`Ratchet::reload`] changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Reloaded {
    /// IDs that are no longer held to anything.
    pub(crate) forgotten: usize,
    /// IDs that another process had seen.
    pub(crate) learned: usize,
}

/// The IDs that have shown hybrid key exchange. Shared by all listeners of a process.
#[derive(Debug)]
pub(crate) struct Ratchet {
    on_downgrade: OnDowngrade,
    clock: Arc<dyn Clock>,
    capacity: usize,
    state: Mutex<State>,
    /// Locked before `state`, never after it: `state` is not held while the disk works.
    journal: Option<Mutex<Journal<Entry>>>,
    unremembered: AtomicU64,
    said_full: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    shown: BTreeMap<SpiffeId, Shown>,
    /// Those of them that the journal does not hold yet.
    unsaved: BTreeSet<SpiffeId>,
}

impl Ratchet {
    /// Opens the state file, or makes it with mode 0600; without a path the state ends with the process. A
    /// journal with more than twice as many lines as live entries is compacted. Reads and writes files.
    ///
    /// `capacity` is how many IDs are remembered at most; what the file holds already is kept whatever it is.
    ///
    /// # Errors
    /// [`JournalError`] when the file cannot be used, is no journal, or is of an unknown version.
    pub(crate) fn open(
        path: Option<&Path>,
        on_downgrade: OnDowngrade,
        clock: Arc<dyn Clock>,
        capacity: usize,
    ) -> Result<Self, JournalError> {
        let mut shown = BTreeMap::new();
        let mut journal = None;
        if let Some(path) = path {
            let (mut opened, contents) = Journal::open(path)?;
            shown = live(&contents.entries);
            if contents.is_worth_compacting(shown.len())
                && let Err(error) = opened.compact(&set_lines(&shown))
            {
                // It is only longer than it need be.
                tracing::warn!(error = with_causes(&error), "the old journal stays in use");
            }
            journal = Some(Mutex::new(opened));
        }
        Ok(Self {
            on_downgrade,
            clock,
            capacity,
            state: Mutex::new(State {
                shown,
                unsaved: BTreeSet::new(),
            }),
            journal,
            unremembered: AtomicU64::new(0),
            said_full: AtomicBool::new(false),
        })
    }

    /// Judges a handshake that finished and in which `peer` was authenticated; resumed ones count by the group
    /// of their own key exchange.
    ///
    /// A peer's first hybrid handshake waits for the disk; no other does. If the disk fails, the peer is
    /// remembered in memory and written with the next one.
    pub(crate) fn finished(
        &self,
        peer: &SpiffeId,
        group: &'static Group,
        offered: Offered,
    ) -> Turn {
        let is_classical = match group.strength {
            Strength::Classical => true,
            Strength::Hybrid | Strength::PostQuantum => false,
        };
        let mut state = self.state();
        match state.shown.get(peer) {
            Some(shown) if is_classical => {
                return Turn::Downgraded(Downgrade {
                    shown: shown.clone(),
                    came_with: group.name,
                    cause: DowngradeCause::from(offered),
                    then: self.on_downgrade,
                });
            }
            Some(_) => return Turn::Kept,
            None if is_classical => return Turn::Classical,
            None if state.shown.len() >= self.capacity => {
                drop(state);
                self.is_full();
            }
            None => {
                let shown = Shown {
                    group: Cow::Borrowed(group.name),
                    since: self.clock.now(),
                };
                state.shown.insert(peer.clone(), shown);
                if self.journal.is_some() {
                    state.unsaved.insert(peer.clone());
                }
                drop(state);
                self.save();
            }
        }
        Turn::First
    }

    /// Takes in what other processes appended to the journal, and writes what could not be written before. Call
    /// it when the state file has changed. Reads and writes files.
    ///
    /// If the file was removed or replaced, it is made anew or completed from memory: only an explicit `forget`
    /// takes an ID back.
    ///
    /// # Errors
    /// [`JournalError`]; the state in memory then stays as it was.
    pub(crate) fn reload(&self) -> Result<Reloaded, JournalError> {
        let Some(journal) = &self.journal else {
            return Ok(Reloaded::default());
        };
        let mut journal = journal.lock().unwrap_or_else(PoisonError::into_inner);
        let reloaded = self.take_news(&mut journal)?;
        self.write_unsaved(&mut journal)?;
        Ok(reloaded)
    }

    /// Every ID that is held to what it showed, in order.
    pub(crate) fn entries(&self) -> Vec<(SpiffeId, Shown)> {
        let state = self.state();
        state
            .shown
            .iter()
            .map(|(peer, shown)| (peer.clone(), shown.clone()))
            .collect()
    }

    /// How often an ID showed hybrid and was not remembered, because the capacity was reached.
    pub(crate) fn unremembered(&self) -> u64 {
        self.unremembered.load(Ordering::Relaxed)
    }

    /// How many IDs are remembered in memory only, because the disk failed.
    pub(crate) fn unsaved(&self) -> usize {
        self.state().unsaved.len()
    }

    fn is_full(&self) {
        self.unremembered.fetch_add(1, Ordering::Relaxed);
        if !self.said_full.swap(true, Ordering::Relaxed) {
            tracing::error!(
                capacity = self.capacity,
                "the ratchet is full: peers that show hybrid now are not held to it; forget some, or raise the \
                 capacity"
            );
        }
    }

    /// Writes what the journal does not hold yet; whoever waited for the lock finds it done by another.
    fn save(&self) {
        let Some(journal) = &self.journal else {
            return;
        };
        let mut journal = journal.lock().unwrap_or_else(PoisonError::into_inner);
        let saved = match journal.is_replaced() {
            true => self.take_news(&mut journal).map(drop),
            false => Ok(()),
        };
        if let Err(error) = saved.and_then(|()| self.write_unsaved(&mut journal)) {
            tracing::error!(
                error = with_causes(&error),
                "what peers have shown is remembered in memory only, and written with the next"
            );
        }
    }

    fn write_unsaved(&self, journal: &mut Journal<Entry>) -> Result<(), JournalError> {
        let unsaved = {
            let state = self.state();
            let unsaved = |(peer, _): &(&SpiffeId, &Shown)| state.unsaved.contains(*peer);
            let shown = state.shown.iter().filter(unsaved);
            shown
                .map(|(peer, shown)| (peer.clone(), line::set_line(peer, shown)))
                .collect::<Vec<_>>()
        };
        if unsaved.is_empty() {
            return Ok(());
        }
        let (peers, lines): (Vec<_>, Vec<_>) = unsaved.into_iter().unzip();
        journal.append(&lines)?;
        let mut state = self.state();
        for peer in &peers {
            state.unsaved.remove(peer);
        }
        Ok(())
    }

    fn take_news(&self, journal: &mut Journal<Entry>) -> Result<Reloaded, JournalError> {
        let news = journal.news()?;
        let mut state = self.state();
        Ok(match news {
            News::Appended(entries) => state.apply(&entries),
            News::Replaced(entries) => {
                let reloaded = state.apply(&entries);
                let held = live(&entries);
                state.unsaved = state
                    .shown
                    .keys()
                    .filter(|peer| !held.contains_key(*peer))
                    .cloned()
                    .collect();
                reloaded
            }
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn apply(&mut self, entries: &[Entry]) -> Reloaded {
        let before: BTreeSet<SpiffeId> = self.shown.keys().cloned().collect();
        for entry in entries {
            let (Entry::Forget(peer) | Entry::Set(peer, _)) = entry;
            self.unsaved.remove(peer);
            apply(&mut self.shown, entry);
        }
        let gone = |peer: &&SpiffeId| !self.shown.contains_key(*peer);
        let new = |peer: &&SpiffeId| !before.contains(*peer);
        Reloaded {
            forgotten: before.iter().filter(gone).count(),
            learned: self.shown.keys().filter(new).count(),
        }
    }
}

/// What is left when all entries are applied in order. The first time an ID showed hybrid is the one that stays.
fn live(entries: &[Entry]) -> BTreeMap<SpiffeId, Shown> {
    let mut shown = BTreeMap::new();
    for entry in entries {
        apply(&mut shown, entry);
    }
    shown
}

fn apply(shown: &mut BTreeMap<SpiffeId, Shown>, entry: &Entry) {
    match entry {
        Entry::Forget(peer) => {
            shown.remove(peer);
        }
        Entry::Set(peer, first) => {
            shown.entry(peer.clone()).or_insert_with(|| first.clone());
        }
    }
}

fn set_lines(shown: &BTreeMap<SpiffeId, Shown>) -> Vec<String> {
    shown
        .iter()
        .map(|(peer, shown)| line::set_line(peer, shown))
        .collect()
}

/// Reads a state file without changing it: every ID that is held to what it showed, in order.
///
/// # Errors
/// [`JournalError`] when there is no such file, or it cannot be read or understood.
pub(crate) fn entries_in(path: &Path) -> Result<Vec<(SpiffeId, Shown)>, JournalError> {
    Ok(live(&journal::read(path)?).into_iter().collect())
}

/// Why an ID could not be forgotten.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForgetError {
    /// The state file cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The ID is not in the state file.
    #[error("{peer} is not among the {held} IDs in the state file: see `pqlane ratchet list`")]
    NotHeld {
        /// The ID.
        peer: SpiffeId,
        /// How many there are.
        held: usize,
    },
}

/// Takes an ID back, in the state file; a process that runs with the file learns it by [`Ratchet::reload`].
///
/// # Errors
/// [`ForgetError`] when the file does not hold the ID, or cannot be read, understood and appended to.
pub(crate) fn forget_in(
    path: &Path,
    peer: &SpiffeId,
    clock: &dyn Clock,
) -> Result<(), ForgetError> {
    let held = live(&journal::read(path)?);
    if !held.contains_key(peer) {
        return Err(ForgetError::NotHeld {
            peer: peer.clone(),
            held: held.len(),
        });
    }
    let at = written_time(clock.now());
    let (mut journal, _) = Journal::<Entry>::open(path)?;
    Ok(journal.append(&[line::forget_line(peer, &at)])?)
}
