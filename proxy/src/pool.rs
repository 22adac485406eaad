//! Connections to one upstream, opened when needed and used again.
//!
//! HTTP/2 connections are shared; their streams are counted, and another connection is opened before the
//! peer's limit is reached, so that no call waits behind others. HTTP/1.1 connections carry one call at a time
//! and are kept for a short while. A call is handed to a connection once: only a request that was never put
//! on the wire is given back to be handed to another.

mod connect;
mod judged;
mod lane;
mod lease;
mod opening;
pub(crate) mod settings;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use hyper::client::conn::http2;
use tokio::sync::Notify;

use crate::body::LaneBody;
use crate::deny::{Denial, DenyReason};
use crate::headers::UpstreamName;
use crate::limits::Limits;
use crate::live::Live;
use crate::task;
use crate::transport::HttpVersion;
pub(crate) use connect::{Address, Connected, Connector, LaneConnector};
use lane::Lane;
pub(crate) use lane::LaneKey;
pub(crate) use lease::{Driven, Lease, SendError, Sent, Unsent};
use lease::{OwnConnection, SharedStream};
pub(crate) use opening::OpenConnection;
use opening::Opening;

/// One upstream and the connections to it. Never shared between routes; a connection is used only under the
/// identity, peers, policy and trust with which it was made (see [`LaneKey`]).
#[derive(Debug)]
pub(crate) struct Upstream {
    name: UpstreamName,
    connector: Live<Connector>,
    limits: Live<Limits>,
    /// Connections open or being opened.
    open: AtomicUsize,
    state: Mutex<State>,
    /// Lane connections that are open, old ones too.
    lanes: Mutex<Vec<Weak<Lane>>>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    /// What the upstream is known, or at first assumed, to speak.
    speaks: HttpVersion,
    shared: Vec<Arc<SharedConnection>>,
    /// HTTP/1.1 connections between two calls, the one used last at the back.
    idle: VecDeque<IdleConnection>,
    /// Connections being opened now.
    opening: usize,
    /// Whether a task looks after idle connections.
    swept: bool,
    /// Counts the changes after which earlier connections are used no more.
    generation: u64,
    /// Whether the route is gone.
    closed: bool,
}

/// An HTTP/2 connection.
#[derive(Debug)]
struct SharedConnection {
    sender: http2::SendRequest<LaneBody>,
    streams: Arc<AtomicUsize>,
    /// The lesser of the peer's limit and ours.
    max_streams: usize,
    /// None towards the workload.
    lane: Option<Arc<Lane>>,
}

impl SharedConnection {
    fn has_not_retired(&self) -> bool {
        self.lane.as_ref().is_none_or(|lane| lane.takes_calls())
    }

    fn has_room(&self) -> bool {
        self.has_not_retired() && self.streams.load(Ordering::Relaxed) < self.max_streams
    }
}

#[derive(Debug)]
struct IdleConnection {
    connection: OwnConnection,
    usable_until: Instant,
}

/// What to do for a call that needs a connection.
enum Step {
    Give(Denial),
    Open(Opening),
    Take(Lease),
    Wait,
}

impl Upstream {
    pub(crate) fn new(name: UpstreamName, connector: Connector, limits: &Limits) -> Arc<Self> {
        let speaks = connector.assumed_version();
        Arc::new(Self {
            name,
            connector: Live::new(Arc::new(connector)),
            limits: Live::new(Arc::new(limits.clone())),
            open: AtomicUsize::new(0),
            state: Mutex::new(State {
                speaks,
                shared: Vec::new(),
                idle: VecDeque::new(),
                opening: 0,
                swept: false,
                generation: 0,
                closed: false,
            }),
            lanes: Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// Makes connections in another way from now on. Those there are carry new calls only if they could have
    /// been made in the new way; streams on the others go on, as long as their peer still passes.
    pub(crate) fn renew(self: &Arc<Self>, mut connector: Connector, limits: &Limits) {
        self.limits.publish(Arc::new(limits.clone()));
        let before = self.connector.keep();
        let same = connector.key() == before.key();
        if let (Connector::Lane(new), Connector::Lane(old)) = (&mut connector, &*before) {
            new.tls.succeed(&old.tls);
        }
        self.connector.publish(Arc::new(connector));
        if !same {
            self.retire();
        }
        self.judge_again();
    }

    /// Makes no connection from now on: the route is gone.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.retire();
    }

    /// Uses no connection again that there is now; each ends with its last call.
    fn retire(&self) {
        let mut state = self.state();
        state.generation += 1;
        let retired = (
            std::mem::take(&mut state.shared),
            std::mem::take(&mut state.idle),
        );
        drop(state);
        drop(retired);
        self.changed.notify_waiters();
    }

    /// Opens another connection in the place of a lane that takes no further call, if that still carries some.
    ///
    /// Called while a connection is driven, and so perhaps under our own lock: it does nothing here and now.
    fn succeed(self: &Arc<Self>, lane: &Arc<Lane>) {
        let (upstream, lane) = (Arc::clone(self), Arc::clone(lane));
        task::spawn(async move {
            let fresh = {
                let mut state = upstream.state();
                state.shared.retain(|shared| shared.has_not_retired());
                !state.shared.is_empty() || state.opening > 0
            };
            if fresh || !lane.is_in_use() {
                return;
            }
            if let Err(denial) = upstream.lease().await {
                let detail = denial.detail.unwrap_or_default();
                tracing::warn!(
                    reason = denial.reason.code(),
                    detail,
                    "no successor for a connection whose SVID expires"
                );
            }
        });
    }

    fn lanes(&self) -> MutexGuard<'_, Vec<Weak<Lane>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name by which it is addressed.
    pub(crate) fn name(&self) -> &UpstreamName {
        &self.name
    }

    /// A connection for one call, if there is one with room.
    pub(crate) fn lease_now(self: &Arc<Self>) -> Option<Lease> {
        let mut state = self.state();
        take_idle(&mut state).or_else(|| self.take_shared(&mut state))
    }

    /// A connection for one call: one there is, or a new one.
    ///
    /// # Errors
    /// [`Denial`] when none could be had in time, with the reason of the attempt this call made.
    ///
    /// # Cancel safety
    /// Cancel safe: a connection that is being opened is then given up.
    pub(crate) async fn lease(self: &Arc<Self>) -> Result<Lease, Denial> {
        let in_time = self.limits.now().upstream_connect;
        tokio::time::timeout(in_time, self.wait_or_open())
            .await
            .unwrap_or_else(|_elapsed| Err(self.late()))
    }

    async fn wait_or_open(self: &Arc<Self>) -> Result<Lease, Denial> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Listen first, look second: a change in between is not missed.
            changed.as_mut().enable();
            match self.step() {
                Step::Take(lease) => return Ok(lease),
                Step::Give(denial) => return Err(denial),
                Step::Open(opening) => {
                    if let Some(lease) = opening.open().await? {
                        return Ok(lease);
                    }
                }
                Step::Wait => changed.await,
            }
        }
    }

    fn step(self: &Arc<Self>) -> Step {
        let mut state = self.state();
        if let Some(lease) = take_idle(&mut state).or_else(|| self.take_shared(&mut state)) {
            return Step::Take(lease);
        }
        if state.closed {
            return Step::Give(DenyReason::RouteUnknown.into());
        }
        // HTTP/2 has room for many: one at a time is opened. HTTP/1.1 needs one for each call.
        let may_open = self.open.load(Ordering::Relaxed) < self.limits.now().upstream_connections
            && (state.speaks == HttpVersion::H1 || state.opening == 0);
        if !may_open {
            return Step::Wait;
        }
        state.opening += 1;
        self.open.fetch_add(1, Ordering::Relaxed);
        Step::Open(Opening::begin(self, state.generation))
    }

    fn take_shared(self: &Arc<Self>, state: &mut State) -> Option<Lease> {
        state.shared.retain(|shared| !shared.sender.is_closed());
        let shared = state
            .shared
            .iter()
            .filter(|shared| shared.has_room())
            .min_by_key(|shared| shared.streams.load(Ordering::Relaxed))?;
        shared.streams.fetch_add(1, Ordering::Relaxed);
        let stream = SharedStream::new(Arc::clone(self), Arc::clone(shared));
        Some(Lease::Shared(stream))
    }

    /// Keeps a connection for the next call.
    fn keep(self: &Arc<Self>, connection: OwnConnection) {
        let usable_until = Instant::now() + connection.idle_for();
        let mut state = self.state();
        if connection.generation() != state.generation {
            return;
        }
        if state.idle.len() >= self.limits.now().upstream_idle_connections {
            state.idle.pop_front();
        }
        if let Some(lane) = connection.lane() {
            lane.carries(0);
        }
        state.idle.push_back(IdleConnection {
            connection,
            usable_until,
        });
        if !std::mem::replace(&mut state.swept, true) {
            task::spawn(sweep(Arc::downgrade(self), self.limits.now().upstream_idle));
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// What a call is told that got no connection in time.
    fn late(&self) -> Denial {
        match self.open.load(Ordering::Relaxed) >= self.limits.now().upstream_connections {
            true => DenyReason::UpstreamBusy.into(),
            false => DenyReason::UpstreamTimeout.into(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection that was used last, if it still works.
fn take_idle(state: &mut State) -> Option<Lease> {
    let now = Instant::now();
    while let Some(mut idle) = state.idle.pop_back() {
        if idle.usable_until > now && idle.connection.is_ready() {
            if let Some(lane) = idle.connection.lane() {
                lane.carries(1);
            }
            return Some(Lease::Own(Box::new(idle.connection)));
        }
    }
    None
}

/// Closes idle connections whose time is over, until none are left. Nobody else would: an idle connection is
/// not polled.
async fn sweep(upstream: std::sync::Weak<Upstream>, every: std::time::Duration) {
    loop {
        tokio::time::sleep(every).await;
        let Some(upstream) = upstream.upgrade() else {
            return;
        };
        let now = Instant::now();
        let mut state = upstream.state();
        state.idle.retain(|idle| idle.usable_until > now);
        if state.idle.is_empty() {
            state.swept = false;
            return;
        }
    }
}
