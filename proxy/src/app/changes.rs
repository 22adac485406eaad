//! What a running process watches: its configuration file, its identity, its deny-list, its
//! ratchet, its sealing keys, and SIGHUP.

use std::path::PathBuf;

use pqlane_certs::source::{Material, SourceError, WorkloadApiError};
use tokio::sync::watch;

use crate::config::Config;
use crate::identity::Feed;
use crate::tls::with_causes;
use crate::watch::FileWatch;

/// Something that may change what listeners do.
#[derive(Debug)]
pub(super) enum Change {
    /// The configuration file changed.
    Config,
    /// The deny-list changed.
    DenyList,
    /// Everything is to be read again: SIGHUP.
    Everything,
    /// Material came, or came and cannot be used.
    Material(Box<Result<Material, SourceError>>),
    /// Nothing can be learned of the identity now, and why.
    Unreachable(String),
    /// Another process changed who is remembered to have shown hybrid key exchange.
    Ratchet,
    /// The file of sealing keys changed.
    SealingKeys,
}

impl Change {
    /// What changed, in words for the log.
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::Config => "configuration",
            Self::DenyList => "deny-list",
            Self::Everything => "everything",
            Self::Material(_) | Self::Unreachable(_) => "identity",
            Self::Ratchet => "ratchet",
            Self::SealingKeys => "sealing keys",
        }
    }
}

/// Watches all of it.
#[derive(Debug)]
pub(super) struct Changes {
    pub(super) feed: Feed,
    config: FileWatch,
    deny_list: FileWatch,
    ratchet: FileWatch,
    /// One that is configured; one in the state directory is made once.
    sealing_keys: FileWatch,
    pub(super) hangups: watch::Receiver<u64>,
}

impl Changes {
    /// Everything but SIGHUP, which nobody counts yet.
    pub(super) fn of(config: &Config, feed: Feed) -> Self {
        let every = config.limits.file_watch;
        let state = config
            .state_dir
            .as_ref()
            .map(|dir| dir.join(super::RATCHET_FILE));
        Self {
            feed,
            config: FileWatch::new(config.file.clone().into_iter().collect(), every),
            deny_list: FileWatch::new(deny_list(config), every),
            ratchet: FileWatch::new(state.into_iter().collect(), every),
            sealing_keys: FileWatch::new(sealing_keys(config), every),
            hangups: watch::channel(0).1,
        }
    }

    /// Watches the deny-list and the sealing keys that a configuration names.
    pub(super) async fn watch_files_of(&mut self, config: &Config) {
        self.deny_list.set_paths(deny_list(config)).await;
        self.sealing_keys.set_paths(sealing_keys(config)).await;
    }

    /// The next change.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn next(&mut self) -> Change {
        tokio::select! {
            () = self.config.changed() => Change::Config,
            () = self.deny_list.changed() => Change::DenyList,
            () = self.ratchet.changed() => Change::Ratchet,
            () = self.sealing_keys.changed() => Change::SealingKeys,
            () = hangup(&mut self.hangups) => Change::Everything,
            material = self.feed.next() => match material {
                Err(problem) if is_unreachable(&problem) => Change::Unreachable(with_causes(&problem)),
                material => Change::Material(Box::new(material)),
            },
        }
    }
}

/// Whether a Workload API gave nothing at all, as opposed to something that cannot be used.
fn is_unreachable(problem: &SourceError) -> bool {
    match problem {
        SourceError::WorkloadApi { source, .. } => !matches!(
            **source,
            WorkloadApiError::Material(_) | WorkloadApiError::TooLong
        ),
        _ => false,
    }
}

async fn hangup(hangups: &mut watch::Receiver<u64>) {
    if hangups.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn deny_list(config: &Config) -> Vec<PathBuf> {
    config.deny_list.clone().into_iter().collect()
}

fn sealing_keys(config: &Config) -> Vec<PathBuf> {
    config.sealing_keys.clone().into_iter().collect()
}
