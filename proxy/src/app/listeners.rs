//! Listening sockets, and what serves their connections.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::mpsc;

use super::BuildError;
use super::generation::Generation;
use super::shared::Shared;
use crate::accept::{Accepted, BoundAddress, Listener, OpenTo, Runner, accept_until};
use crate::admin::Admin;
use crate::config::{Callers, Config, ListenAddress};
use crate::crew::Crews;
use crate::drain::{self, Drain, Phase, Stop};
use crate::inbound::Inbound;
use crate::limits::Limits;
use crate::live::Live;
use crate::outbound::Outbound;
use crate::task;

/// Which side of the lane a listener is on, and its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Name {
    Inbound(String),
    Outbound(String),
}

impl Name {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Inbound(name) | Self::Outbound(name) => name,
        }
    }
}

/// A listener of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) name: Name,
    listen: ListenAddress,
    open_to: OpenTo,
}

impl Wanted {
    /// The listeners of a configuration, in its order.
    pub(super) fn of(config: &Config) -> Vec<Self> {
        let inbound = config.inbound.iter().map(|listener| Self {
            name: Name::Inbound(listener.name.clone()),
            listen: listener.listen.clone(),
            open_to: OpenTo::Owner,
        });
        let outbound = config.outbound.iter().map(|listener| Self {
            name: Name::Outbound(listener.name.clone()),
            listen: listener.listen.clone(),
            open_to: match listener.callers {
                Callers::Port(_) | Callers::Socket(_, None) => OpenTo::Owner,
                Callers::Processes(_) | Callers::Socket(_, Some(_)) => OpenTo::Everybody,
            },
        });
        inbound.chain(outbound).collect()
    }

    pub(super) async fn bind(&self) -> Result<BoundListener, BuildError> {
        let (listener, address) = bind(&self.listen, self.open_to).await?;
        let name = self.name.as_str();
        tracing::info!(listener = name, address = %address, "listening");
        Ok(BoundListener {
            wanted: self.clone(),
            listener: Arc::new(listener),
            address,
        })
    }
}

/// A listener whose connections wait in the kernel.
#[derive(Debug)]
pub(super) struct BoundListener {
    pub(super) wanted: Wanted,
    listener: Arc<Listener>,
    pub(super) address: BoundAddress,
}

pub(super) async fn bind(
    address: &ListenAddress,
    open_to: OpenTo,
) -> Result<(Listener, BoundAddress), BuildError> {
    let bound = async {
        let listener = Listener::bind(address, open_to).await?;
        let bound = listener.address()?;
        Ok((listener, bound))
    };
    bound.await.map_err(|source| BuildError::Bind {
        address: address.clone(),
        source,
    })
}

/// What serves a listener's connections, replaced under them.
#[derive(Debug, Clone)]
enum Service {
    Inbound(Arc<Live<Inbound>>),
    Outbound(Arc<Live<Outbound>>),
}

impl BoundListener {
    /// Whether a configuration has this very listener.
    pub(super) fn is_wanted_by(&self, config: &Config) -> bool {
        Wanted::of(config).contains(&self.wanted)
    }
}

impl Service {
    fn of(name: &Name, generation: &Generation) -> Option<Self> {
        match name {
            Name::Inbound(name) => generation
                .inbound
                .get(name)
                .map(|lane| Self::Inbound(Arc::new(Live::new(Arc::clone(lane))))),
            Name::Outbound(name) => generation
                .outbound
                .get(name)
                .map(|lane| Self::Outbound(Arc::new(Live::new(Arc::clone(lane))))),
        }
    }

    fn runner(&self) -> Runner {
        match self {
            Self::Inbound(_) => Runner::Each,
            Self::Outbound(_) => Runner::Together(Crews::default()),
        }
    }

    async fn connection(self, drain: Drain, accepted: Accepted) {
        match self {
            Self::Inbound(live) => Inbound::connection(live, drain, accepted).await,
            Self::Outbound(live) => Outbound::connection(live, drain, accepted).await,
        }
    }
}

/// A listener that is served.
#[derive(Debug)]
struct Running {
    wanted: Wanted,
    listener: Arc<Listener>,
    service: Service,
    stop: Stop,
}

/// All listeners that are served.
#[derive(Debug)]
pub(super) struct Listeners {
    running: HashMap<Name, Running>,
    /// Stopped for good, and still finishing what was open.
    finishing: Vec<Arc<Stop>>,
    /// Each connection holds a sender: the channel closes when the last one has ended.
    alive: mpsc::Sender<()>,
}

impl Listeners {
    /// None yet; the receiver is closed when the last connection has ended after [`Listeners::finish`].
    pub(super) fn new() -> (Self, mpsc::Receiver<()>) {
        let (alive, ended) = mpsc::channel(1);
        let listeners = Self {
            running: HashMap::new(),
            finishing: Vec::new(),
            alive,
        };
        (listeners, ended)
    }

    /// Binds what a configuration adds, and touches nothing else. A listener with another name or side at an
    /// address that is bound takes its socket over.
    pub(super) async fn bind_new(
        &self,
        config: &Config,
        waiting: &[BoundListener],
    ) -> Result<Vec<BoundListener>, BuildError> {
        let all = Wanted::of(config);
        let mut bound = Vec::new();
        for wanted in &all {
            let stays = |running: &&Running| all.contains(&running.wanted);
            if waiting.iter().any(|bound| bound.wanted == *wanted) {
                continue;
            }
            if self.running.get(&wanted.name).filter(stays).is_none() {
                let mut given_up = self.running.values().filter(|running| !stays(running));
                let there = given_up.find(|running| running.wanted.listen == wanted.listen);
                bound.push(match there {
                    Some(running) => take_over(wanted, &running.listener)?,
                    None => wanted.bind().await?,
                });
            }
        }
        Ok(bound)
    }

    /// Serves by a generation from now on: listeners that stay go on with their connections, new ones start, and
    /// those that are gone finish what is open.
    pub(super) fn publish(
        &mut self,
        generation: &Generation,
        new: Vec<BoundListener>,
        shared: &Shared,
        limits: &Limits,
    ) {
        let gone: Vec<Name> = self
            .running
            .values()
            .filter(|running| {
                let replaced = new
                    .iter()
                    .any(|bound| bound.wanted.name == running.wanted.name);
                replaced || !publish(&running.service, &running.wanted.name, generation)
            })
            .map(|running| running.wanted.name.clone())
            .collect();
        for name in gone {
            if let Some(running) = self.running.remove(&name) {
                tracing::info!(listener = name.as_str(), "no longer listening");
                let stop = Arc::new(running.stop);
                stop.enter(Phase::Draining);
                task::spawn(cut_later(Arc::downgrade(&stop), limits.drain));
                self.finishing.push(stop);
            }
        }
        self.finishing.retain(|stop| stop.is_awaited());
        for bound in new {
            self.start(bound, generation, shared, limits);
        }
    }

    /// Judges every open connection by the rules of now.
    pub(super) fn judge_again(&self, shared: &Shared) {
        for session in shared.sessions.all() {
            let name = session
                .peer()
                .map(|peer| Name::Inbound(peer.listener.to_string()));
            if let Some(running) = name.and_then(|name| self.running.get(&name))
                && let Service::Inbound(live) = &running.service
            {
                // A peer that fails is cut; there is nothing else to do with the verdict.
                let _ = live.now().judge(&session);
            }
        }
        shared.pools.judge_again();
    }

    fn start(
        &mut self,
        bound: BoundListener,
        generation: &Generation,
        shared: &Shared,
        limits: &Limits,
    ) {
        let BoundListener {
            wanted, listener, ..
        } = bound;
        let Some(service) = Service::of(&wanted.name, generation) else {
            return;
        };
        // One that was taken over may have been open to others.
        if let Err(problem) = listener.open_to(wanted.open_to) {
            let name = wanted.name.as_str();
            tracing::error!(listener = name, %problem, "cannot set the mode of the socket");
        }
        let (stop, drain) = drain::channel();
        let metrics = shared.metrics.listener(wanted.name.as_str());
        let (limits, alive, runner) = (limits.clone(), self.alive.clone(), service.runner());
        let (served, accepting) = (service.clone(), Arc::clone(&listener));
        task::spawn(async move {
            let connection = |accepted| {
                let (served, drain, alive) = (served.clone(), drain.clone(), alive.clone());
                async move {
                    served.connection(drain, accepted).await;
                    drop(alive);
                }
            };
            let until = (drain.clone(), Phase::Running);
            accept_until(&accepting, runner, &limits, &metrics, until, connection).await;
        });
        let running = Running {
            wanted: wanted.clone(),
            listener,
            service,
            stop,
        };
        self.running.insert(wanted.name, running);
    }

    /// Accepts nothing more; what is open finishes. Gives what can cut it.
    pub(super) fn finish(self) -> Finishing {
        let stops: Vec<Arc<Stop>> = self
            .running
            .into_values()
            .map(|running| Arc::new(running.stop))
            .chain(self.finishing)
            .collect();
        for stop in &stops {
            stop.enter(Phase::Draining);
        }
        Finishing(stops)
    }
}

/// Listeners that are stopped for good.
#[derive(Debug)]
pub(super) struct Finishing(Vec<Arc<Stop>>);

impl Finishing {
    /// Cuts what is still open.
    pub(super) fn cut(&self) {
        for stop in &self.0 {
            stop.enter(Phase::Over);
        }
    }
}

/// A bound socket under another name, or open to others than before.
fn take_over(wanted: &Wanted, listener: &Arc<Listener>) -> Result<BoundListener, BuildError> {
    let failed = |source| BuildError::Bind {
        address: wanted.listen.clone(),
        source,
    };
    Ok(BoundListener {
        wanted: wanted.clone(),
        address: listener.address().map_err(failed)?,
        listener: Arc::clone(listener),
    })
}

/// Cuts what a listener that is gone still carries after the time that a drain may take.
async fn cut_later(stop: Weak<Stop>, after: Duration) {
    tokio::time::sleep(after).await;
    if let Some(stop) = stop.upgrade() {
        stop.enter(Phase::Over);
    }
}

/// Replaces what serves a listener, if the generation has one for it.
fn publish(service: &Service, name: &Name, generation: &Generation) -> bool {
    match (service, name) {
        (Service::Inbound(live), Name::Inbound(name)) => match generation.inbound.get(name) {
            Some(lane) => live.publish(Arc::clone(lane)),
            None => return false,
        },
        (Service::Outbound(live), Name::Outbound(name)) => match generation.outbound.get(name) {
            Some(lane) => live.publish(Arc::clone(lane)),
            None => return false,
        },
        _ => return false,
    }
    true
}

/// Serves the admin listener until everything is over: health is told to the end.
pub(super) fn serve_admin(listener: Listener, admin: Admin, drain: Drain) {
    let metrics = admin.metrics.listener("admin");
    let (limits, admin) = (admin.limits.clone(), Arc::new(admin));
    task::spawn(async move {
        let until = (drain, Phase::Draining);
        accept_until(
            &listener,
            Runner::Each,
            &limits,
            &metrics,
            until,
            |accepted| Arc::clone(&admin).connection(accepted),
        )
        .await;
    });
}
