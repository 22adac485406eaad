//! A revocation takes effect: in force, cut, purged, on disk and on record, in one call.
//!
//! Takes what an operator asks for; gives what came of it. It builds no TLS configuration and touches no listener:
//! the verifiers in use ask [`Revocations`] at every handshake and resumption, so an entry holds from the moment it
//! is added. Connections that are open then are found by their peer and cut; one whose handshake ends meanwhile
//! registers first and is judged second, and so is found by the one or the other.

use std::sync::Arc;

use pqlane_certs::verifier::ChainCache;

use super::shared::{Epochs, Pools, Shared};
use crate::deny::{Denial, DenyReason};
use crate::guard::PullCause;
use crate::journal::JournalError;
use crate::record::{Line, Recorder};
use crate::remediation::{Cut, Remediation, Remedied};
use crate::revocations::asked::Asked;
use crate::revocations::{NotAdded, NotLifted, Revocation, Revocations};
use crate::session::Sessions;
use crate::task;
use crate::tls::{Tickets, with_causes};

/// Puts revocations into effect, and lifts them.
#[derive(Debug)]
pub(crate) struct Revoker {
    revocations: Arc<Revocations>,
    epochs: Arc<Epochs>,
    sessions: Arc<Sessions>,
    pools: Arc<Pools>,
    chains: Arc<ChainCache>,
    tickets: Arc<Tickets>,
    recorder: Recorder,
}

/// What came of a revocation.
#[derive(Debug)]
pub(crate) struct Revoked {
    /// The entry.
    pub(crate) revocation: Arc<Revocation>,
    /// The epoch with which it took effect.
    pub(crate) epoch: u64,
    /// What it cut.
    pub(crate) remedied: Remedied,
}

/// Why a revocation is not what was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotRevoked {
    /// It was not added.
    #[error(transparent)]
    NotAdded(#[from] NotAdded),
    /// It is in force and not on disk.
    #[error(
        "revocation {id} is in force, and would be forgotten at a restart: it cannot be written"
    )]
    NotSaved {
        /// The entry.
        id: Arc<str>,
        /// Why.
        source: JournalError,
    },
    /// The process is stopping.
    #[error("the process is stopping")]
    Stopping,
}

/// Why a revocation is not lifted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StillRevoked {
    /// It was not lifted.
    #[error(transparent)]
    NotLifted(#[from] NotLifted),
    /// The process is stopping.
    #[error("the process is stopping")]
    Stopping,
}

impl Revoker {
    pub(super) fn new(shared: &Shared) -> Self {
        Self {
            revocations: Arc::clone(&shared.revocations),
            epochs: Arc::clone(&shared.epochs),
            sessions: Arc::clone(&shared.sessions),
            pools: Arc::clone(&shared.pools),
            chains: Arc::clone(&shared.chains),
            tickets: Arc::clone(&shared.tickets),
            recorder: shared.recorder.clone(),
        }
    }

    /// The entries in force, the oldest first.
    pub(crate) fn entries(&self) -> Vec<Arc<Revocation>> {
        self.revocations.entries()
    }

    /// Revokes: the entry is in force, and whom it names is being cut, before anything is waited for; then the disk
    /// and the last stream are waited for together.
    ///
    /// # Errors
    /// [`NotRevoked`]; an entry that only could not be written is in force all the same.
    ///
    /// # Cancel safety
    /// Once polled it goes on to its end, record included, whether or not anybody waits.
    pub(crate) async fn revoke(
        self: Arc<Self>,
        asked: Asked,
        remediation: Remediation,
    ) -> Result<Revoked, NotRevoked> {
        let revocation = self.revocations.add(asked)?;
        let epoch = self.epochs.next();
        self.cut_off(&revocation, remediation.cut());
        let going_on = task::spawn(async move {
            let (store, to_save) = (Arc::clone(&self.revocations), Arc::clone(&revocation));
            let save = tokio::task::spawn_blocking(move || store.save(&to_save));
            let (remedied, saved) = tokio::join!(remediation.ended(), save);
            self.record(&revocation, epoch, &remedied);
            match saved {
                Ok(Ok(())) => Ok(Revoked {
                    revocation,
                    epoch,
                    remedied,
                }),
                Ok(Err(source)) => {
                    tracing::error!(
                        revocation = &*revocation.id,
                        problem = with_causes(&source),
                        "a revocation is in force and not on disk"
                    );
                    let id = Arc::clone(&revocation.id);
                    Err(NotRevoked::NotSaved { id, source })
                }
                Err(_stopping) => Err(NotRevoked::Stopping),
            }
        });
        going_on.await.unwrap_or(Err(NotRevoked::Stopping))
    }

    /// Lifts an entry: whom it named may come again once that is on disk.
    ///
    /// # Errors
    /// [`StillRevoked`]; nothing has changed then.
    pub(crate) async fn lift(self: Arc<Self>, id: String) -> Result<(), StillRevoked> {
        let revoker = Arc::clone(&self);
        let lifting = tokio::task::spawn_blocking(move || revoker.lift_now(&id));
        lifting.await.unwrap_or(Err(StillRevoked::Stopping))
    }

    fn lift_now(&self, id: &str) -> Result<(), StillRevoked> {
        let lifted = self.revocations.lift(id)?;
        let line = Line::new("revocation.lifted")
            .text("revocation", &lifted.id)
            .text("entry", &lifted.entry.to_string())
            .number("epoch", self.epochs.next());
        self.recorder.append(line);
        tracing::warn!(revocation = &*lifted.id, entry = %lifted.entry, "revocation lifted");
        Ok(())
    }

    /// Cuts whom an entry names, in both directions, and forgets what was kept of them.
    fn cut_off(&self, revocation: &Revocation, cut: &Cut) {
        let entry = &revocation.entry;
        let mut named = self.sessions.named_by(entry);
        named.retain(|session| session.cut(PullCause::NoLongerAllowed, cut));
        self.pools.cut_off(entry, cut);
        // Said once all are cut: a thousand lines take their time.
        for peer in named.iter().filter_map(|session| session.peer()) {
            let detail = format!("{} is revoked: {entry}", peer.lane.spiffe_id());
            let denial = Denial::with_detail(DenyReason::PeerDenied, detail);
            peer.log.cut(&peer.lane, &denial);
        }
        self.chains.forget(|identity| entry.names(identity));
        // Whose a ticket is cannot be told, so all go: everybody's next handshake is a full one, as after any change.
        self.tickets.empty();
    }

    fn record(&self, revocation: &Revocation, epoch: u64, remedied: &Remedied) {
        let line = Line::new("remediation")
            .text("cause", "revocation")
            .text("revocation", &revocation.id)
            .text("entry", &revocation.entry.to_string())
            .text("reason", &revocation.reason)
            .number("epoch", epoch);
        self.recorder.append(remedied.write(line));
        tracing::warn!(
            revocation = &*revocation.id,
            entry = %revocation.entry,
            reason = &*revocation.reason,
            connections = remedied.connections,
            streams = remedied.streams,
            delay_us = remedied.delay_us(),
            "revoked"
        );
    }
}
