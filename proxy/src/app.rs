//! From configuration to a running process: build, bind, run.

mod shared;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use pqlane_certs::clock::{Clock, SystemClock};
use pqlane_certs::source::SourceError;
use pqlane_handshake::KxPolicyError;
use pqlane_handshake::provider::provider;
use tokio::sync::{Semaphore, mpsc};

use crate::accept::{Accepted, BoundAddress, Listener, Runner, accept_until};
use crate::admin::Admin;
use crate::config::{Config, ListenAddress};
use crate::crew::Crews;
use crate::drain::{self, Phase, Stop};
use crate::guard::PullCause;
use crate::inbound::Inbound;
use crate::metrics::{ListenerMetrics, Metrics};
use crate::outbound::Outbound;
use crate::record::{Flushed, RecordError, Recorder, Sink};
use crate::session::Sessions;
use crate::task;
use shared::Shared;

/// How long the last records may take to be written at the end.
const LAST_RECORDS: Duration = Duration::from_secs(5);

/// Why a process cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A listener cannot be bound.
    #[error("cannot listen on {address}")]
    Bind {
        /// Where.
        address: ListenAddress,
        /// Why.
        source: io::Error,
    },
    /// The SVID, its key or a bundle.
    #[error("no usable identity")]
    Identity(#[source] Box<SourceError>),
    /// A configured group does not work.
    #[error("key exchange")]
    Kx(#[from] KxPolicyError),
    /// Records.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A configuration that TLS cannot use.
    #[error("TLS")]
    Tls(#[from] rustls::Error),
}

impl From<SourceError> for BuildError {
    fn from(source: SourceError) -> Self {
        Self::Identity(Box::new(source))
    }
}

/// A process that is built and not yet bound.
#[derive(Debug)]
pub struct App {
    inbound: Vec<(ListenAddress, Arc<Inbound>)>,
    outbound: Vec<(ListenAddress, Arc<Outbound>)>,
    admin: Option<(ListenAddress, Arc<Admin>)>,
    shared: Shared,
    stop: Stop,
}

impl App {
    /// Loads and checks everything a configuration names; nothing is bound and nobody is called.
    ///
    /// # Errors
    /// [`BuildError`] for the first thing that does not work.
    pub fn build(config: Config) -> Result<Self, BuildError> {
        let Config {
            identity,
            kx_policy,
            audit,
            on_audit_failure,
            admin,
            limits,
            workers: _threads_of_the_runtime,
            inbound,
            outbound,
        } = config;
        kx_policy.prove_available()?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let identity = identity.load(&provider(&kx_policy), clock.as_ref())?;
        for warning in identity.warnings() {
            tracing::warn!("{warning}");
        }
        let metrics = Arc::new(Metrics::default());
        let not_after = identity.svid().leaf().not_after();
        let expiry = i64::try_from(not_after.as_secs()).unwrap_or(i64::MAX);
        metrics.svid_expiry.set(expiry);
        let queue = limits.audit_queue_records;
        let (stop, drain) = drain::channel();
        let shared = Shared {
            recorder: Recorder::start(&audit, on_audit_failure, queue, Arc::clone(&metrics))?,
            handshakes: Arc::new(Semaphore::new(limits.handshakes_in_flight)),
            sessions: Arc::new(Sessions::new(&limits)),
            identity,
            kx_policy,
            limits,
            clock,
            chain_cache: Arc::default(),
            metrics,
            drain,
        };
        Ok(Self {
            inbound: inbound
                .into_iter()
                .map(|listener| shared.inbound(listener))
                .collect::<Result<_, _>>()?,
            outbound: outbound
                .into_iter()
                .map(|listener| shared.outbound(listener))
                .collect::<Result<_, _>>()?,
            admin: admin.map(|listen| (listen, Arc::new(shared.admin()))),
            shared,
            stop,
        })
    }

    /// Checks everything that [`App::build`] does, and opens nothing for writing.
    ///
    /// # Errors
    /// [`BuildError`] for the first thing that does not work.
    pub fn dry_build(config: Config) -> Result<(), BuildError> {
        let audit = Sink::Stdout;
        Self::build(Config { audit, ..config }).map(drop)
    }

    /// Binds every listener, or none.
    ///
    /// # Errors
    /// [`BuildError::Bind`] for the first address that cannot be bound.
    pub async fn bind(self) -> Result<Bound, BuildError> {
        let mut bound = Bound {
            listeners: Vec::new(),
            addresses: Vec::new(),
            shared: self.shared,
            stop: self.stop,
        };
        for (address, inbound) in self.inbound {
            let (name, metrics) = (inbound.lane.name.clone(), Arc::clone(&inbound.metrics));
            bound
                .add(&address, name, metrics, Service::Inbound(inbound))
                .await?;
        }
        for (address, outbound) in self.outbound {
            let (name, metrics) = (outbound.name.clone(), Arc::clone(&outbound.metrics));
            bound
                .add(&address, name, metrics, Service::Outbound(outbound))
                .await?;
        }
        if let Some((address, admin)) = self.admin {
            let metrics = bound.shared.metrics.listener("admin");
            bound
                .add(&address, "admin".to_owned(), metrics, Service::Admin(admin))
                .await?;
        }
        Ok(bound)
    }
}

/// Who serves a connection.
#[derive(Debug, Clone)]
enum Service {
    Admin(Arc<Admin>),
    Inbound(Arc<Inbound>),
    Outbound(Arc<Outbound>),
}

impl Service {
    /// The last phase in which connections are accepted: health is told to the end.
    fn accepts_until(&self) -> Phase {
        match self {
            Self::Admin(_) => Phase::Draining,
            Self::Inbound(_) | Self::Outbound(_) => Phase::Running,
        }
    }

    fn runner(&self) -> Runner {
        match self {
            Self::Admin(_) | Self::Inbound(_) => Runner::Each,
            Self::Outbound(_) => Runner::Together(Crews::default()),
        }
    }

    async fn connection(self, accepted: Accepted) {
        match self {
            Self::Admin(admin) => admin.connection(accepted).await,
            Self::Inbound(inbound) => inbound.connection(accepted).await,
            Self::Outbound(outbound) => outbound.connection(accepted).await,
        }
    }
}

/// A process whose listeners are bound; connections wait in the kernel until it runs.
#[derive(Debug)]
pub struct Bound {
    listeners: Vec<(Listener, Arc<ListenerMetrics>, Service)>,
    addresses: Vec<(String, BoundAddress)>,
    shared: Shared,
    stop: Stop,
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
            listeners,
            addresses: _reported,
            shared,
            stop: phases,
        } = self;
        // Each connection but the admin's holds a sender: the channel closes when the last one has ended.
        let (alive, mut all_ended) = mpsc::channel::<()>(1);
        for (listener, metrics, service) in listeners {
            let (drain, limits) = (shared.drain.clone(), shared.limits.clone());
            let (runner, last) = (service.runner(), service.accepts_until());
            let alive = (last == Phase::Running).then(|| alive.clone());
            task::spawn(async move {
                accept_until(
                    listener,
                    runner,
                    &limits,
                    &metrics,
                    (drain, last),
                    |accepted| {
                        let (service, alive) = (service.clone(), alive.clone());
                        async move {
                            service.connection(accepted).await;
                            drop(alive);
                        }
                    },
                )
                .await;
            });
        }
        drop(alive);
        stop.await;
        tracing::info!(seconds = shared.limits.drain.as_secs(), "draining");
        phases.enter(Phase::Draining);
        let finished = tokio::select! {
            _closed = all_ended.recv() => true,
            () = tokio::time::sleep(shared.limits.drain) => false,
            () = hurry => false,
        };
        if !finished {
            shared.sessions.pull_all(PullCause::DrainDeadline);
            phases.enter(Phase::Over);
            // Cut streams say so to their callers; that is quick.
            let _ = tokio::time::timeout(Duration::from_secs(1), all_ended.recv()).await;
        }
        match (finished, shared.recorder.flush(LAST_RECORDS)) {
            (true, Flushed::Written) => Ended::Drained,
            _ => Ended::Forced,
        }
    }

    async fn add(
        &mut self,
        address: &ListenAddress,
        name: String,
        metrics: Arc<ListenerMetrics>,
        service: Service,
    ) -> Result<(), BuildError> {
        let bind = async {
            let listener = Listener::bind(address).await?;
            let bound = listener.address()?;
            Ok((listener, bound))
        };
        let (listener, bound) = bind.await.map_err(|source| BuildError::Bind {
            address: address.clone(),
            source,
        })?;
        tracing::info!(listener = name, address = %bound, "listening");
        self.addresses.push((name, bound));
        self.listeners.push((listener, metrics, service));
        Ok(())
    }
}
