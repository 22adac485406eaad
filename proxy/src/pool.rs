//! Connections to one upstream, opened when needed and used again.
//!
//! HTTP/2 connections are shared; their streams are counted, and another connection is opened before the
//! peer's limit is reached, so that no call waits behind others. HTTP/1.1 connections carry one call at a time
//! and are kept for a short while. A call is handed to a connection once: only a request that was never put
//! on the wire is given back to be handed to another.

mod connect;
pub(crate) mod settings;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use tokio::sync::Notify;

use crate::body::LaneBody;
use crate::deny::{Denial, DenyReason};
use crate::headers::UpstreamName;
use crate::limits::Limits;
use crate::transport::HttpVersion;
pub(crate) use connect::{Address, Connected, Connector};

/// One upstream and the connections to it. Never shared between identities, routes or policies.
#[derive(Debug)]
pub(crate) struct Upstream {
    name: UpstreamName,
    connector: Connector,
    limits: Limits,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    /// What the upstream is known, or at first assumed, to speak.
    speaks: HttpVersion,
    shared: Vec<Arc<SharedConnection>>,
    idle: VecDeque<IdleConnection>,
    /// Connections being opened now.
    opening: usize,
    /// Connections open or being opened.
    open: usize,
}

/// An HTTP/2 connection.
#[derive(Debug)]
struct SharedConnection {
    sender: http2::SendRequest<LaneBody>,
    streams: AtomicUsize,
    /// The lesser of the peer's limit and ours.
    max_streams: usize,
    members: Option<Arc<str>>,
}

impl SharedConnection {
    fn has_room(&self) -> bool {
        self.streams.load(Ordering::Relaxed) < self.max_streams
    }
}

/// An HTTP/1.1 connection between two calls.
#[derive(Debug)]
struct IdleConnection {
    sender: http1::SendRequest<LaneBody>,
    usable_until: Instant,
    members: Option<Arc<str>>,
}

/// What to do for a call that needs a connection.
enum Step {
    Open(Opening),
    Take(Lease),
    Wait,
}

impl Upstream {
    pub(crate) fn new(name: UpstreamName, connector: Connector, limits: &Limits) -> Arc<Self> {
        let speaks = connector.assumed_version();
        Arc::new(Self {
            name,
            connector,
            limits: limits.clone(),
            state: Mutex::new(State {
                speaks,
                shared: Vec::new(),
                idle: VecDeque::new(),
                opening: 0,
                open: 0,
            }),
            changed: Notify::new(),
        })
    }

    /// The name by which it is addressed.
    pub(crate) fn name(&self) -> &UpstreamName {
        &self.name
    }

    /// A connection for one call: one there is, or a new one.
    ///
    /// # Errors
    /// [`Denial`] when none could be had in time, with the reason of the attempt this call made.
    ///
    /// # Cancel safety
    /// Cancel safe: a connection that is being opened is then given up.
    pub(crate) async fn lease(self: &Arc<Self>) -> Result<Lease, Denial> {
        if let Step::Take(lease) = self.step() {
            return Ok(lease);
        }
        tokio::time::timeout(self.limits.upstream_connect, self.wait_or_open())
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
        if let Some(lease) = self
            .take_idle(&mut state)
            .or_else(|| self.take_shared(&mut state))
        {
            return Step::Take(lease);
        }
        // HTTP/2 has room for many: one at a time is opened. HTTP/1.1 needs one for each call.
        let may_open = state.open < self.limits.upstream_connections
            && (state.speaks == HttpVersion::H1 || state.opening == 0);
        if !may_open {
            return Step::Wait;
        }
        state.opening += 1;
        state.open += 1;
        Step::Open(Opening {
            upstream: Arc::clone(self),
            held: Some(OpenConnection(Arc::clone(self))),
        })
    }

    fn take_idle(self: &Arc<Self>, state: &mut State) -> Option<Lease> {
        let now = Instant::now();
        state
            .idle
            .retain(|idle| idle.usable_until > now && !idle.sender.is_closed());
        let ready = state.idle.iter().rposition(|idle| idle.sender.is_ready())?;
        let idle = state.idle.remove(ready)?;
        Some(Lease::Own(OwnConnection {
            upstream: Arc::clone(self),
            sender: idle.sender,
            members: idle.members,
            idle_for: self.limits.upstream_idle,
        }))
    }

    fn take_shared(self: &Arc<Self>, state: &mut State) -> Option<Lease> {
        state.shared.retain(|shared| !shared.sender.is_closed());
        let shared = state
            .shared
            .iter()
            .filter(|shared| shared.has_room())
            .min_by_key(|shared| shared.streams.load(Ordering::Relaxed))?;
        shared.streams.fetch_add(1, Ordering::Relaxed);
        Some(Lease::Shared(SharedStream {
            upstream: Arc::clone(self),
            connection: Arc::clone(shared),
        }))
    }

    /// What a call is told that got no connection in time.
    fn late(&self) -> Denial {
        let state = self.state();
        match state.open >= self.limits.upstream_connections {
            true => DenyReason::UpstreamBusy.into(),
            false => DenyReason::UpstreamTimeout.into(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection being opened; whatever comes of it, those who wait are told.
struct Opening {
    upstream: Arc<Upstream>,
    held: Option<OpenConnection>,
}

impl Opening {
    /// Opens it. An HTTP/1.1 connection is leased to this call; an HTTP/2 one is put up for all.
    async fn open(mut self) -> Result<Option<Lease>, Denial> {
        let upstream = Arc::clone(&self.upstream);
        let held = self.held.take();
        match upstream.connector.open(&upstream.limits, held).await? {
            Connected::Own { sender, members } => {
                upstream.state().speaks = HttpVersion::H1;
                Ok(Some(Lease::Own(OwnConnection {
                    idle_for: upstream.limits.upstream_idle,
                    upstream,
                    sender,
                    members,
                })))
            }
            Connected::Shared {
                sender,
                streams,
                members,
            } => {
                let ours = usize::try_from(upstream.limits.h2_streams).unwrap_or(usize::MAX);
                let mut state = upstream.state();
                state.speaks = HttpVersion::H2;
                state.shared.push(Arc::new(SharedConnection {
                    sender,
                    streams: AtomicUsize::new(0),
                    max_streams: ours.min(streams),
                    members,
                }));
                Ok(None)
            }
        }
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.upstream.state().opening -= 1;
        self.upstream.changed.notify_waiters();
    }
}

/// Counts one open connection; held by the task that drives it.
#[derive(Debug)]
pub(crate) struct OpenConnection(Arc<Upstream>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.state().open -= 1;
        self.0.changed.notify_waiters();
    }
}

/// A call's hold on a connection.
#[derive(Debug)]
pub(crate) enum Lease {
    /// A whole HTTP/1.1 connection.
    Own(OwnConnection),
    /// One stream of an HTTP/2 connection.
    Shared(SharedStream),
}

#[derive(Debug)]
pub(crate) struct OwnConnection {
    upstream: Arc<Upstream>,
    sender: http1::SendRequest<LaneBody>,
    members: Option<Arc<str>>,
    idle_for: Duration,
}

#[derive(Debug)]
pub(crate) struct SharedStream {
    upstream: Arc<Upstream>,
    connection: Arc<SharedConnection>,
}

impl Drop for SharedStream {
    fn drop(&mut self) {
        self.connection.streams.fetch_sub(1, Ordering::Relaxed);
        // Only calls that wait for room listen; with none, this is one load.
        self.upstream.changed.notify_waiters();
    }
}

/// Why a request got no answer.
pub(crate) enum SendError {
    /// It may have been sent; the answer did not come.
    Failed(hyper::Error),
    /// Nothing of it was put on the wire.
    Unsent(Box<Request<LaneBody>>),
}

impl Lease {
    /// The protocol version that a request on it must have.
    pub(crate) fn version(&self) -> Version {
        match self {
            Self::Own(_) => Version::HTTP_11,
            Self::Shared(_) => Version::HTTP_2,
        }
    }

    /// What records say of the connection.
    pub(crate) fn members(&self) -> Option<Arc<str>> {
        match self {
            Self::Own(own) => own.members.clone(),
            Self::Shared(shared) => shared.connection.members.clone(),
        }
    }

    /// Sends a request and waits for the answer's head.
    ///
    /// # Cancel safety
    /// Dropped, it cancels the request: the stream is reset, or the HTTP/1.1 connection closed.
    pub(crate) async fn send(
        &mut self,
        request: Request<LaneBody>,
    ) -> Result<Response<Incoming>, SendError> {
        let sent = match self {
            Self::Own(own) => own.sender.try_send_request(request).await,
            Self::Shared(shared) => {
                let mut sender = shared.connection.sender.clone();
                sender.try_send_request(request).await
            }
        };
        let response = sent.map_err(|mut failed| match failed.take_message() {
            Some(unsent) => SendError::Unsent(Box::new(unsent)),
            None => SendError::Failed(failed.into_error()),
        })?;
        if let Self::Own(own) = self
            && let Some(announced) = keep_alive_timeout(&response)
        {
            own.idle_for = own.idle_for.min(announced);
        }
        Ok(response)
    }

    /// Gives a connection back that carried a call to its end.
    pub(crate) fn give_back(self) {
        let Self::Own(own) = self else {
            return;
        };
        if own.sender.is_closed() || own.idle_for.is_zero() {
            return;
        }
        let mut state = own.upstream.state();
        if state.idle.len() >= own.upstream.limits.upstream_idle_connections {
            state.idle.pop_front();
        }
        state.idle.push_back(IdleConnection {
            sender: own.sender,
            usable_until: Instant::now() + own.idle_for,
            members: own.members,
        });
        drop(state);
        own.upstream.changed.notify_waiters();
    }
}

/// `Keep-Alive: timeout=N` (RFC 2068 §19.7.1.1), less a second so that we stop before the upstream does.
fn keep_alive_timeout<B>(response: &Response<B>) -> Option<Duration> {
    let value = response.headers().get("keep-alive")?.to_str().ok()?;
    let seconds = value
        .split(',')
        .find_map(|part| part.trim().strip_prefix("timeout="))?;
    let seconds: u64 = seconds.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.saturating_sub(1)))
}
