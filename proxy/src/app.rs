//! From configuration to a running process: build, bind, run, and change while it runs.

mod changes;
mod deny_list;
mod generation;
mod listeners;
mod reload;
mod revoke;
mod sealing;
mod shared;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use pqlane_certs::clock::{Clock, SystemClock};
use pqlane_certs::revocation::DenyList;
use pqlane_certs::source::{Material, SourceError};
use pqlane_certs::spiffe_id::SpiffeId;
use pqlane_handshake::KxPolicyError;
use pqlane_handshake::provider::{SignatureProfile, provider_for};
use tokio::sync::watch;

use crate::accept::{BoundAddress, Listener, OpenTo};
use crate::admin::TokenError;
use crate::config::{Config, ListenAddress};
use crate::drain::{self, Phase};
use crate::guard::PullCause;
use crate::identity::Feed;
use crate::journal::JournalError;
use crate::record::{Flushed, RecordError, Sink};
use crate::seal::{KeyFileError, Keyring, KeyringError};
use changes::Changes;
use deny_list::{DenyListError, load_deny_list};
use generation::{Generation, Ingredients};
use listeners::{BoundListener, Listeners, Wanted, bind, serve_admin};
use reload::Reloader;
pub(crate) use revoke::{NotRevoked, Revoked, Revoker, StillRevoked};
pub(crate) use sealing::SEALING_KEYS_FILE;
use sealing::load_keyring;
pub(crate) use shared::RATCHET_FILE;
use shared::{Epochs, Shared};

/// How long the last records may take to be written at the end.
const LAST_RECORDS: Duration = Duration::from_secs(5);

/// Why a process cannot start, or a change cannot take effect.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The token of the admin listener.
    #[error("no usable [admin] token_file")]
    AdminToken(#[from] TokenError),
    /// A listener cannot be bound.
    #[error("cannot listen on {address}")]
    Bind {
        /// Where.
        address: ListenAddress,
        /// Why.
        source: io::Error,
    },
    /// The deny-list.
    #[error("no usable deny-list")]
    DenyList(#[from] DenyListError),
    /// The SVID, its key or a bundle.
    #[error("no usable identity")]
    Identity(#[source] Box<SourceError>),
    /// A configured group does not work.
    #[error("key exchange")]
    Kx(#[from] KxPolicyError),
    /// The source of identities has none of this description.
    #[error("{0} is configured, and the source of identities does not have it")]
    NoSuchIdentity(String),
    /// An SVID that CNSA 2.0 does not permit.
    #[error("the SVID of {0} has no ML-DSA-87 key, which kx_policy = \"cnsa\" asks for")]
    NotCnsa(SpiffeId),
    /// What is remembered in the state directory.
    #[error("no usable state")]
    State(#[from] JournalError),
    /// Records.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The keys for ids that leave sealed.
    #[error("no usable sealing keys")]
    Sealing(#[from] KeyFileError),
    /// They cannot be put to use.
    #[error("sealing keys")]
    SealingKeys(#[from] KeyringError),
    /// A configuration that TLS cannot use.
    #[error("TLS")]
    Tls(#[from] rustls::Error),
}

impl From<Box<SourceError>> for BuildError {
    fn from(source: Box<SourceError>) -> Self {
        Self::Identity(source)
    }
}

/// A process that is built and not yet bound.
#[derive(Debug)]
pub struct App {
    config: Config,
    shared: Shared,
    changes: Changes,
    denied: Arc<DenyList>,
    keyring: Arc<Keyring>,
    /// What there is at once; an API is asked later.
    first: Option<(Arc<Material>, Generation)>,
}

impl App {
    /// Loads and checks everything a configuration names; nothing is bound and nobody is called.
    ///
    /// # Errors
    /// [`BuildError`] for the first thing that does not work.
    pub fn build(config: Config) -> Result<Self, BuildError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let shared = Shared::start(&config, Arc::clone(&clock))?;
        let provider = provider_for(&[], SignatureProfile::Any);
        let (feed, material) = Feed::start(&config.source, &config.limits, provider, clock)?;
        // Watched first: a change while it is read is seen afterwards.
        let changes = Changes::of(&config, feed);
        let denied = Arc::new(load_deny_list(config.deny_list.as_deref())?);
        let keyring = load_keyring(&config, &shared)?;
        let first = match material {
            None => None,
            Some(material) => {
                reload::warn_of(&material);
                let material = Arc::new(material);
                let ingredients = Ingredients {
                    config: config.clone(),
                    material: Arc::clone(&material),
                    denied: Arc::clone(&denied),
                    keyring: Arc::clone(&keyring),
                    known: Vec::new(),
                };
                let generation = Generation::build(&shared, &ingredients, Epochs::FIRST)?;
                Some((material, generation))
            }
        };
        Ok(Self {
            config,
            shared,
            changes,
            denied,
            keyring,
            first,
        })
    }

    /// Checks everything that [`App::build`] does, and opens nothing for writing.
    ///
    /// # Errors
    /// [`BuildError`] for the first thing that does not work.
    pub fn dry_build(config: Config) -> Result<(), BuildError> {
        let config = Config {
            audit: Sink::Stdout,
            state_dir: None,
            ..config
        };
        Self::build(config).map(drop)
    }

    /// Binds every listener, or none.
    ///
    /// # Errors
    /// [`BuildError::Bind`] for the first address that cannot be bound.
    pub async fn bind(self) -> Result<Bound, BuildError> {
        sealing::warn_of(&self.config);
        let mut listeners = Vec::new();
        let mut addresses = Vec::new();
        for wanted in Wanted::of(&self.config) {
            let bound = wanted.bind().await?;
            addresses.push((wanted.name.as_str().to_owned(), bound.address.clone()));
            listeners.push(bound);
        }
        let admin = match &self.config.admin {
            None => None,
            Some(admin) => {
                let (listener, bound) = bind(&admin.listen, OpenTo::Owner).await?;
                tracing::info!(listener = "admin", address = %bound, "listening");
                addresses.push(("admin".to_owned(), bound));
                Some(listener)
            }
        };
        let (_nobody, hangups) = watch::channel(0);
        Ok(Bound {
            app: self,
            listeners,
            admin,
            addresses,
            hangups,
        })
    }
}

/// A process whose listeners are bound; connections wait in the kernel until it runs.
#[derive(Debug)]
pub struct Bound {
    app: App,
    listeners: Vec<BoundListener>,
    admin: Option<Listener>,
    addresses: Vec<(String, BoundAddress)>,
    hangups: watch::Receiver<u64>,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Everything that was open finished within the drain deadline.
    Drained,
    /// Something was cut at the deadline, or a last record is missing.
    Forced,
}

impl Bound {
    /// Names of the listeners and where they are.
    pub fn addresses(&self) -> &[(String, BoundAddress)] {
        &self.addresses
    }

    /// Reads configuration, files and deny-list again whenever this changes, as on SIGHUP.
    #[must_use]
    pub fn reload_on(self, hangups: watch::Receiver<u64>) -> Self {
        Self { hangups, ..self }
    }

    /// Serves until `stop` is done, then drains: readiness first, a deadline last.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Ended {
        self.run_until(stop, std::future::pending()).await
    }

    /// As [`Bound::run`]; `hurry` ends the drain before its deadline.
    pub async fn run_until(
        self,
        stop: impl Future<Output = ()>,
        hurry: impl Future<Output = ()>,
    ) -> Ended {
        let Self {
            app,
            listeners: bound,
            admin,
            addresses: _reported,
            hangups,
        } = self;
        let App {
            config,
            shared,
            mut changes,
            denied,
            keyring,
            first,
        } = app;
        let limits = config.limits.clone();
        let (stop_admin, drain) = drain::channel();
        if let Some(listener) = admin {
            let admin = shared.admin(&limits, drain.clone());
            serve_admin(listener, admin, drain);
        }
        let (listeners, mut all_ended) = Listeners::new();
        changes.hangups = hangups;
        let rules = (denied, keyring);
        let mut reloader = Reloader::new(config, shared.clone(), rules, listeners, changes);
        tokio::select! {
            () = stop => {}
            never = reloader.run(first, bound) => match never {},
        }
        tracing::info!(seconds = limits.drain.as_secs(), "draining");
        stop_admin.enter(Phase::Draining);
        let finishing = reloader.finish();
        let finished = tokio::select! {
            _closed = all_ended.recv() => true,
            () = tokio::time::sleep(limits.drain) => false,
            () = hurry => false,
        };
        if !finished {
            shared.sessions.pull_all(PullCause::DrainDeadline);
            finishing.cut();
            // Cut streams say so to their callers; that is quick.
            let _ = tokio::time::timeout(Duration::from_secs(1), all_ended.recv()).await;
        }
        stop_admin.enter(Phase::Over);
        match (finished, shared.recorder.flush(LAST_RECORDS)) {
            (true, Flushed::Written) => Ended::Drained,
            _ => Ended::Forced,
        }
    }
}
