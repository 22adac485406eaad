//! Changes while the process runs: read, check, build whole, publish; a bad one leaves everything as it was.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use pqlane_certs::revocation::DenyList;
use pqlane_certs::source::{Material, SourceError};
use pqlane_certs::svid::X509Svid;
use pqlane_handshake::provider::{SignatureProfile, provider_for};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::BuildError;
use super::changes::{Change, Changes};
use super::deny_list::load_deny_list;
use super::generation::{Generation, Ingredients};
use super::listeners::{BoundListener, Finishing, Listeners};
use super::sealing::load_keyring;
use super::shared::{Epochs, Shared};
use crate::config::{Choice, Config, ConfigError};
use crate::identity::Feed;
use crate::metrics::ReloadOutcome;
use crate::record::Line;
use crate::remediation::Remediation;
use crate::seal::Keyring;
use crate::task;
use crate::tls::with_causes;

/// How long after a change that could not take effect everything is read again: a disk that failed, a certificate
/// that was not valid yet, a file that was half written.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// How often open connections are judged although nobody changed anything: the dates of policies and of revocation
/// lists pass by themselves.
const JUDGE_EVERY: Duration = Duration::from_secs(30);

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
    #[error("no news from the source of identities that it names")]
    NoNews,
    #[error(
        "a change of [admin], [audit], ratchet, state_dir, workers, or of limits on numbers, tables and draining takes a restart"
    )]
    TakesRestart,
}

impl From<SourceError> for ChangeRefused {
    fn from(source: SourceError) -> Self {
        Self::Build(Box::new(source).into())
    }
}

/// What a change replaces.
#[derive(Default)]
struct Replaced {
    config: Option<Config>,
    denied: Option<DenyList>,
    keyring: Option<Arc<Keyring>>,
    /// Where material comes from then, if from elsewhere.
    feed: Option<Feed>,
}

/// Applies changes, one after the other.
#[derive(Debug)]
pub(super) struct Reloader {
    config: Config,
    shared: Shared,
    denied: Arc<DenyList>,
    keyring: Arc<Keyring>,
    listeners: Listeners,
    changes: Changes,
    /// The last material that came, whether or not it could be used with the configuration of its time.
    material: Option<Arc<Material>>,
    /// SVIDs in use: one that is given no more serves until it expires.
    known: Vec<(Choice, X509Svid)>,
    /// Bound, and not served before there is an identity.
    waiting: Vec<BoundListener>,
    epoch: u64,
    /// When everything is read again, after a change that could not take effect.
    again: Option<Instant>,
}

impl Reloader {
    pub(super) fn new(
        config: Config,
        shared: Shared,
        (denied, keyring): (Arc<DenyList>, Arc<Keyring>),
        listeners: Listeners,
        changes: Changes,
    ) -> Self {
        Self {
            config,
            shared,
            denied,
            keyring,
            listeners,
            changes,
            material: None,
            known: Vec::new(),
            waiting: Vec::new(),
            epoch: Epochs::FIRST,
            again: None,
        }
    }

    /// Serves, from the first usable material on, and applies changes for ever.
    pub(super) async fn run(
        &mut self,
        first: Option<(Arc<Material>, Generation)>,
        bound: Vec<BoundListener>,
    ) -> Infallible {
        match first {
            Some((material, generation)) => {
                self.material = Some(material);
                self.publish(
                    generation,
                    bound,
                    Change::Everything.as_str(),
                    Remediation::begin(),
                );
            }
            None => {
                tracing::info!("waiting for an identity");
                self.waiting = bound;
            }
        }
        let mut judge = judging();
        loop {
            let again = self.again;
            tokio::select! {
                change = self.changes.next() => match change {
                    Change::Ratchet => self.reload_ratchet(),
                    Change::Unreachable(problem) => {
                        tracing::warn!(problem, "no news of our identity; what there is stays");
                    }
                    change => self.change(change).await,
                },
                () = until(again) => self.try_again().await,
                _tick = judge.tick() => {
                    let remediation = Remediation::begin();
                    let judge = || self.listeners.judge_again(&self.shared);
                    self.shared.sessions.during(&remediation, judge);
                    record(&self.shared, "time", remediation);
                }
            }
        }
    }

    /// Accepts nothing more; what is open finishes.
    pub(super) fn finish(self) -> Finishing {
        self.listeners.finish()
    }

    fn publish(
        &mut self,
        generation: Generation,
        bound: Vec<BoundListener>,
        cause: &'static str,
        remediation: Remediation,
    ) {
        self.known = generation.known().to_vec();
        let (listeners, shared) = (&mut self.listeners, &self.shared);
        shared.sessions.during(&remediation, || {
            listeners.publish(&generation, bound, shared, &self.config.limits);
            generation.take_effect(shared);
        });
        record(shared, cause, remediation);
    }

    /// Applies one change, or says why it cannot be.
    async fn change(&mut self, change: Change) {
        let what = change.as_str();
        match self.read_and_apply(change).await {
            Ok(()) => self.applied(what),
            Err(refused) => {
                let problem = with_causes(&refused);
                tracing::error!(what, problem, "change not applied; what was before stays");
                self.shared.metrics.reloads(ReloadOutcome::Refused).inc();
                self.again = Some(Instant::now() + RETRY_AFTER);
            }
        }
    }

    /// Reads everything again; that it still cannot be used was said before.
    async fn try_again(&mut self) {
        match self.read_and_apply(Change::Everything).await {
            Ok(()) => self.applied("everything"),
            Err(refused) => {
                tracing::debug!(problem = with_causes(&refused), "still not applied");
                self.again = Some(Instant::now() + RETRY_AFTER);
            }
        }
    }

    fn applied(&mut self, what: &'static str) {
        self.again = None;
        tracing::info!(what, epoch = self.epoch, "change applied");
        self.shared.metrics.reloads(ReloadOutcome::Applied).inc();
    }

    async fn read_and_apply(&mut self, change: Change) -> Result<(), ChangeRefused> {
        let (cause, remediation) = (change.as_str(), Remediation::begin());
        let applied = match self.read(change).await {
            Ok(replaced) => self.apply(replaced, cause, remediation).await,
            Err(refused) => Err(refused),
        };
        if applied.is_err() {
            self.changes.watch_files_of(&self.config).await;
        }
        applied
    }

    async fn read(&mut self, change: Change) -> Result<Replaced, ChangeRefused> {
        match change {
            Change::Material(material) => {
                self.received((*material)?);
                Ok(Replaced::default())
            }
            Change::DenyList => {
                let denied = load_deny_list(self.config.deny_list.as_deref());
                Ok(Replaced {
                    denied: Some(denied.map_err(BuildError::from)?),
                    ..Replaced::default()
                })
            }
            Change::SealingKeys => {
                let keyring = load_keyring(&self.config, &self.shared).map_err(BuildError::from)?;
                Ok(Replaced {
                    keyring: Some(keyring),
                    ..Replaced::default()
                })
            }
            Change::Config => self.read_config().await,
            Change::Everything => {
                let replaced = self.read_config().await?;
                if replaced.feed.is_none()
                    && let Some(material) = self.changes.feed.reload()
                {
                    self.received(material?);
                }
                Ok(replaced)
            }
            Change::Ratchet | Change::Unreachable(_) => Ok(Replaced::default()),
        }
    }

    fn received(&mut self, material: Material) {
        warn_of(&material);
        self.material = Some(Arc::new(material));
    }

    /// The file as it is now, with what it names; what was given by flags stays.
    async fn read_config(&mut self) -> Result<Replaced, ChangeRefused> {
        let config = match &self.config.file {
            Some(path) => Config::read(path)?,
            None => self.config.clone(),
        };
        let same = config.admin == self.config.admin
            && config.audit == self.config.audit
            && config.on_audit_failure == self.config.on_audit_failure
            && config.ratchet == self.config.ratchet
            && config.state_dir == self.config.state_dir
            && config.workers == self.config.workers
            && config.limits.same_where_fixed(&self.config.limits);
        if !same {
            return Err(ChangeRefused::TakesRestart);
        }
        // Watched first: a change while it is read is seen afterwards.
        self.changes.watch_files_of(&config).await;
        let denied = load_deny_list(config.deny_list.as_deref()).map_err(BuildError::from)?;
        let keyring = load_keyring(&config, &self.shared).map_err(BuildError::from)?;
        let feed = match config.source == self.config.source {
            true => None,
            false => Some(self.feed_of(&config).await?),
        };
        Ok(Replaced {
            config: Some(config),
            denied: Some(denied),
            keyring: Some(keyring),
            feed,
        })
    }

    /// Where a configuration takes material from, with the first of it received.
    async fn feed_of(&mut self, config: &Config) -> Result<Feed, ChangeRefused> {
        let provider = provider_for(&[], SignatureProfile::Any);
        let clock = Arc::clone(&self.shared.clock);
        let (mut feed, material) = Feed::start(&config.source, &config.limits, provider, clock)
            .map_err(BuildError::from)?;
        let material = match material {
            Some(material) => material,
            None => tokio::time::timeout(config.limits.upstream_connect, feed.next())
                .await
                .map_err(|_elapsed| ChangeRefused::NoNews)??,
        };
        self.received(material);
        Ok(feed)
    }

    async fn apply(
        &mut self,
        replaced: Replaced,
        cause: &'static str,
        remediation: Remediation,
    ) -> Result<(), ChangeRefused> {
        let Replaced {
            config,
            denied,
            keyring,
            feed,
        } = replaced;
        let config = config.unwrap_or_else(|| self.config.clone());
        let denied = denied.map_or_else(|| Arc::clone(&self.denied), Arc::new);
        let keyring = keyring.unwrap_or_else(|| Arc::clone(&self.keyring));
        let epoch = self.shared.epochs.next();
        let built = match &self.material {
            None => None,
            Some(material) => {
                let ingredients = Ingredients {
                    config: config.clone(),
                    material: Arc::clone(material),
                    denied: Arc::clone(&denied),
                    keyring: Arc::clone(&keyring),
                    known: self.known.clone(),
                };
                Some(Generation::build(&self.shared, &ingredients, epoch)?)
            }
        };
        let mut bound = self.listeners.bind_new(&config, &self.waiting).await?;
        // Nothing can fail from here on.
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        bound.extend(waiting.filter(|listener| listener.is_wanted_by(&config)));
        (self.config, self.denied, self.epoch) = (config, denied, epoch);
        self.keyring = keyring;
        if let Some(feed) = feed {
            self.changes.feed = feed;
        }
        match built {
            Some(generation) => self.publish(generation, bound, cause, remediation),
            None => self.waiting = bound,
        }
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

/// Records what a change has cut, if anything, once that has ended.
fn record(shared: &Shared, cause: &'static str, remediation: Remediation) {
    let recorder = shared.recorder.clone();
    task::spawn(async move {
        let remedied = remediation.ended().await;
        if remedied.connections > 0 {
            let line = Line::new("remediation").text("cause", cause);
            recorder.append(remedied.write(line));
        }
    });
}

fn judging() -> Interval {
    let mut judge = interval(JUDGE_EVERY);
    judge.set_missed_tick_behavior(MissedTickBehavior::Delay);
    judge
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
