//! Changes while the process runs: read, check, build whole, publish; a bad one leaves everything as it was.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pqlane_certs::revocation;
use pqlane_certs::revocation::{DenyList, MAX_DENY_LIST_LEN};
use pqlane_certs::source::{Material, SourceError};
use pqlane_handshake::provider::{SignatureProfile, provider_for};

use super::BuildError;
use super::changes::{Change, Changes};
use super::generation::{Generation, Ingredients};
use super::listeners::{BoundListener, Finishing, Listeners};
use super::shared::Shared;
use crate::config::{Config, ConfigError};
use crate::identity::Feed;
use crate::metrics::ReloadOutcome;
use crate::tls::with_causes;

/// The first epoch of rules; every change takes effect with the next.
pub(super) const FIRST_EPOCH: u64 = 1;

/// Why a deny-list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DenyListError {
    /// An entry that means nothing.
    #[error("{}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Which line, and what is accepted.
        source: revocation::DenyListError,
    },
    /// The file cannot be read.
    #[error("{}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Reads the deny-list; without a file nobody is denied.
pub(super) fn load_deny_list(path: Option<&Path>) -> Result<DenyList, DenyListError> {
    let Some(path) = path else {
        return Ok(DenyList::default());
    };
    let text = read_deny_list(path).map_err(|source| DenyListError::Read {
        path: path.to_path_buf(),
        source,
    })?;
    DenyList::parse(&text).map_err(|source| DenyListError::Parse {
        path: path.to_path_buf(),
        source,
    })
}

/// Reads no further than one byte beyond the longest list, which is then refused.
fn read_deny_list(path: &Path) -> io::Result<Vec<u8>> {
    let most = MAX_DENY_LIST_LEN.saturating_add(1);
    let mut text = Vec::new();
    File::open(path)?
        .take(u64::try_from(most).unwrap_or(u64::MAX))
        .read_to_end(&mut text)?;
    Ok(text)
}

/// Tells the operator what the material itself says.
pub(super) fn warn_of(material: &Material) {
    for warning in material.warnings() {
        tracing::warn!("{warning}");
    }
}

/// Why a change did not take effect.
#[derive(Debug, thiserror::Error)]
enum ChangeRefused {
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("a change of [admin], [audit], ratchet, state_dir or workers takes a restart")]
    TakesRestart,
}

impl From<SourceError> for ChangeRefused {
    fn from(source: SourceError) -> Self {
        Self::Build(Box::new(source).into())
    }
}

/// What would take effect.
struct Candidate {
    ingredients: Ingredients,
    /// Where material comes from then, if from elsewhere.
    feed: Option<Feed>,
}

/// Applies changes, one after the other.
#[derive(Debug)]
pub(super) struct Reloader {
    config: Config,
    shared: Shared,
    denied: Arc<DenyList>,
    listeners: Listeners,
    changes: Changes,
    material: Option<Arc<Material>>,
    epoch: u64,
}

impl Reloader {
    pub(super) fn new(
        config: Config,
        shared: Shared,
        denied: Arc<DenyList>,
        listeners: Listeners,
        changes: Changes,
    ) -> Self {
        Self {
            config,
            shared,
            denied,
            listeners,
            changes,
            material: None,
            epoch: FIRST_EPOCH,
        }
    }

    /// Serves, from the first material on, and applies changes for ever.
    pub(super) async fn run(
        &mut self,
        first: Option<(Arc<Material>, Generation)>,
        bound: Vec<BoundListener>,
    ) -> Infallible {
        let (material, generation) = match first {
            Some(first) => first,
            None => self.wait_for_identity().await,
        };
        self.material = Some(material);
        self.publish(generation, bound);
        loop {
            match self.changes.next().await {
                Change::Ratchet => self.reload_ratchet(),
                Change::Unreachable(problem) => {
                    tracing::warn!(problem, "no news of our identity; what there is stays");
                }
                change => self.change(change).await,
            }
        }
    }

    /// Accepts nothing more; what is open finishes.
    pub(super) fn finish(self) -> Finishing {
        self.listeners.finish()
    }

    /// The first material that every listener can work with.
    async fn wait_for_identity(&mut self) -> (Arc<Material>, Generation) {
        tracing::info!("waiting for an identity");
        loop {
            let material = match self.changes.feed.next().await {
                Ok(material) => Arc::new(material),
                Err(problem) => {
                    tracing::warn!(problem = with_causes(&problem), "no identity yet");
                    continue;
                }
            };
            warn_of(&material);
            let ingredients = Ingredients {
                config: self.config.clone(),
                material: Arc::clone(&material),
                denied: Arc::clone(&self.denied),
            };
            match Generation::build(&self.shared, &ingredients, self.epoch) {
                Ok(generation) => return (material, generation),
                Err(problem) => {
                    tracing::warn!(problem = with_causes(&problem), "no usable identity yet");
                }
            }
        }
    }

    fn publish(&mut self, generation: Generation, bound: Vec<BoundListener>) {
        self.listeners
            .publish(&generation, bound, &self.shared, &self.config.limits);
        generation.take_effect(&self.shared);
    }

    /// Applies one change, or says why it cannot be.
    async fn change(&mut self, change: Change) {
        let what = match &change {
            Change::Config => "configuration",
            Change::DenyList => "deny-list",
            Change::Everything => "everything",
            Change::Material(_) => "identity",
            Change::Ratchet | Change::Unreachable(_) => return,
        };
        let applied = match self.candidate(change).await {
            Ok(candidate) => self.apply(candidate).await,
            Err(refused) => Err(refused),
        };
        match applied {
            Ok(()) => {
                tracing::info!(what, epoch = self.epoch, "change applied");
                self.shared.metrics.reloads(ReloadOutcome::Applied).inc();
            }
            Err(refused) => {
                let problem = with_causes(&refused);
                tracing::error!(what, problem, "change not applied; what was before stays");
                self.shared.metrics.reloads(ReloadOutcome::Refused).inc();
            }
        }
    }

    async fn candidate(&mut self, change: Change) -> Result<Candidate, ChangeRefused> {
        match change {
            Change::Material(material) => self.with(None, Some((*material)?), None),
            Change::DenyList => {
                let denied = load_deny_list(self.config.deny_list.as_deref());
                self.with(None, None, Some(denied.map_err(BuildError::from)?))
            }
            Change::Config => {
                let config = self.read_config()?;
                let feed = self.feed_of(&config).await?;
                self.with_config(config, feed)
            }
            Change::Everything => {
                let config = self.read_config()?;
                let feed = match self.feed_of(&config).await? {
                    Some(feed) => Some(feed),
                    None => self.changes.feed.reload().transpose()?.map(|m| (None, m)),
                };
                self.with_config(config, feed)
            }
            Change::Ratchet | Change::Unreachable(_) => self.with(None, None, None),
        }
    }

    /// The file as it is now; what was given by flags stays.
    fn read_config(&self) -> Result<Config, ChangeRefused> {
        let Some(path) = &self.config.file else {
            return Ok(self.config.clone());
        };
        let config = Config::read(path)?;
        let same = config.admin == self.config.admin
            && config.audit == self.config.audit
            && config.on_audit_failure == self.config.on_audit_failure
            && config.ratchet == self.config.ratchet
            && config.state_dir == self.config.state_dir
            && config.workers == self.config.workers;
        match same {
            true => Ok(config),
            false => Err(ChangeRefused::TakesRestart),
        }
    }

    /// Where a configuration takes material from, with the first of it, if from elsewhere than now.
    async fn feed_of(
        &mut self,
        config: &Config,
    ) -> Result<Option<(Option<Feed>, Material)>, ChangeRefused> {
        if config.source == self.config.source {
            return Ok(None);
        }
        let provider = provider_for(&[], SignatureProfile::Any);
        let clock = Arc::clone(&self.shared.clock);
        let (mut feed, material) = Feed::start(&config.source, &config.limits, provider, clock)
            .map_err(BuildError::from)?;
        let material = match material {
            Some(material) => material,
            None => tokio::time::timeout(config.limits.upstream_connect, feed.next())
                .await
                .unwrap_or(Err(SourceError::NoSvid))?,
        };
        Ok(Some((Some(feed), material)))
    }

    fn with_config(
        &self,
        config: Config,
        feed: Option<(Option<Feed>, Material)>,
    ) -> Result<Candidate, ChangeRefused> {
        let denied = load_deny_list(config.deny_list.as_deref()).map_err(BuildError::from)?;
        let (feed, material) = feed.unzip();
        let candidate = self.with(Some(config), material, Some(denied))?;
        Ok(Candidate {
            feed: feed.flatten(),
            ..candidate
        })
    }

    /// What there is, with parts of it replaced.
    fn with(
        &self,
        config: Option<Config>,
        material: Option<Material>,
        denied: Option<DenyList>,
    ) -> Result<Candidate, ChangeRefused> {
        let material = match (material, &self.material) {
            (Some(material), _) => {
                warn_of(&material);
                Arc::new(material)
            }
            (None, Some(material)) => Arc::clone(material),
            (None, None) => return Err(ChangeRefused::TakesRestart),
        };
        Ok(Candidate {
            ingredients: Ingredients {
                config: config.unwrap_or_else(|| self.config.clone()),
                material,
                denied: denied.map_or_else(|| Arc::clone(&self.denied), Arc::new),
            },
            feed: None,
        })
    }

    async fn apply(&mut self, candidate: Candidate) -> Result<(), ChangeRefused> {
        let Candidate { ingredients, feed } = candidate;
        let epoch = self.epoch + 1;
        let generation = Generation::build(&self.shared, &ingredients, epoch)?;
        let bound = self.listeners.bind_new(&ingredients.config).await?;
        // Nothing can fail from here on.
        let Ingredients {
            config,
            material,
            denied,
        } = ingredients;
        self.changes.follow(&config, feed).await;
        (self.config, self.material, self.denied, self.epoch) =
            (config, Some(material), denied, epoch);
        self.publish(generation, bound);
        Ok(())
    }

    fn reload_ratchet(&self) {
        match self.shared.ratchet.reload() {
            Ok(reloaded) if reloaded.forgotten > 0 => {
                let forgotten = reloaded.forgotten;
                tracing::info!(forgotten, "peers are no longer held to hybrid key exchange");
            }
            Ok(_) => {}
            Err(problem) => {
                tracing::error!(
                    problem = with_causes(&problem),
                    "the ratchet's state cannot be read"
                );
            }
        }
    }
}
