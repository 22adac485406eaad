//! A call's hold on a connection.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Waker};
use std::time::Duration;

use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};

use super::connect::Driver;
use super::{Lane, SharedConnection, Upstream};
use crate::body::LaneBody;
use crate::deny::{Denial, DenyReason};
use crate::guard::PullCause;
use crate::prompt::Awaiting;
use crate::task;
use crate::tls::{peer_alert, with_causes};

/// A call's hold on a connection; dropped early, it cancels the call.
#[derive(Debug)]
pub(crate) enum Lease {
    /// A whole HTTP/1.1 connection.
    Own(Box<OwnConnection>),
    /// One stream of an HTTP/2 connection.
    Shared(SharedStream),
}

/// An HTTP/1.1 connection. No task of its own moves its bytes: whoever reads the answer does, so that a
/// request is written by the task that made it, at once and in order.
pub(crate) struct OwnConnection {
    upstream: Arc<Upstream>,
    sender: http1::SendRequest<LaneBody>,
    /// None once the connection has ended or is driven by a task.
    driver: Option<Driver>,
    awaiting: Awaiting,
    lane: Option<Arc<Lane>>,
    generation: u64,
    idle_for: Duration,
}

impl std::fmt::Debug for OwnConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnConnection").finish_non_exhaustive()
    }
}

impl OwnConnection {
    pub(super) fn new(
        upstream: Arc<Upstream>,
        generation: u64,
        sender: http1::SendRequest<LaneBody>,
        driver: Driver,
        awaiting: Awaiting,
        lane: Option<Arc<Lane>>,
    ) -> Self {
        Self {
            idle_for: upstream.limits.now().upstream_idle,
            upstream,
            sender,
            driver: Some(driver),
            awaiting,
            lane,
            generation,
        }
    }

    /// The pool's count of changes when the connection was made.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// The lane connection, if it is one.
    pub(super) fn lane(&self) -> Option<&Arc<Lane>> {
        self.lane.as_ref()
    }

    /// How long it may wait for the next call.
    pub(super) fn idle_for(&self) -> Duration {
        self.idle_for
    }

    /// Whether it can take a request now. Looks at the socket, and so notices an upstream that closed.
    pub(super) fn is_ready(&mut self) -> bool {
        if self.lane.as_ref().is_some_and(|lane| !lane.takes_calls()) {
            return false;
        }
        self.awaiting.end();
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.driver.is_some() && self.sender.is_ready()
    }

    fn drive(&mut self, context: &mut Context<'_>) {
        if let Some(driver) = &mut self.driver
            && driver.as_mut().poll(context).is_ready()
        {
            self.driver = None;
        }
    }
}

/// One stream of a shared connection.
#[derive(Debug)]
pub(crate) struct SharedStream {
    upstream: Arc<Upstream>,
    connection: Arc<SharedConnection>,
}

impl SharedStream {
    /// The stream has been counted.
    pub(super) fn new(upstream: Arc<Upstream>, connection: Arc<SharedConnection>) -> Self {
        Self {
            upstream,
            connection,
        }
    }
}

impl Drop for SharedStream {
    fn drop(&mut self) {
        self.connection.streams.fetch_sub(1, Ordering::Relaxed);
        self.upstream.changed.notify_waiters();
    }
}

/// A request on its way: ready with the answer's head.
pub(crate) type Sent = Pin<Box<dyn Future<Output = Result<Response<Incoming>, SendError>> + Send>>;

/// Why a request got no answer.
pub(crate) type SendError = TrySendError<Request<LaneBody>>;

/// What can be done about it.
pub(crate) trait Unsent {
    /// The request, if nothing of it was put on the wire.
    ///
    /// # Errors
    /// [`Denial`] if it may have been sent: it must not be sent again.
    fn unsent(self) -> Result<Request<LaneBody>, Denial>;
}

impl Unsent for SendError {
    fn unsent(mut self) -> Result<Request<LaneBody>, Denial> {
        self.take_message().ok_or_else(|| {
            let alert = std::error::Error::source(self.error())
                .and_then(|cause| cause.downcast_ref())
                .and_then(peer_alert);
            match alert {
                Some(alert) => Denial::with_detail(DenyReason::UpstreamTls, alert),
                None => Denial::with_detail(DenyReason::UpstreamFailed, with_causes(self.error())),
            }
        })
    }
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
        self.lane().map(|lane| Arc::clone(lane.members()))
    }

    /// Why the connection was cut from our side, if it was.
    pub(crate) fn cut(&self) -> Option<PullCause> {
        self.lane().and_then(|lane| lane.cut())
    }

    fn lane(&self) -> Option<&Arc<Lane>> {
        match self {
            Self::Own(own) => own.lane.as_ref(),
            Self::Shared(shared) => shared.connection.lane.as_ref(),
        }
    }

    /// Hands a request to the connection. The connection has to be driven until the answer is there; dropping
    /// lease and answer cancels the request.
    pub(crate) fn start(&mut self, request: Request<LaneBody>) -> Sent {
        match self {
            Self::Own(own) => {
                own.awaiting.begin();
                Box::pin(own.sender.try_send_request(request))
            }
            Self::Shared(shared) => {
                let mut sender = shared.connection.sender.clone();
                Box::pin(sender.try_send_request(request))
            }
        }
    }

    /// Notes how long the upstream says that it keeps the connection.
    pub(crate) fn heed(&mut self, response: &Response<Incoming>) {
        if let Self::Own(own) = self
            && let Some(announced) = keep_alive_timeout(response)
        {
            own.idle_for = own.idle_for.min(announced);
        }
    }

    /// Moves the connection's bytes, if nobody else does.
    pub(crate) fn drive(&mut self, context: &mut Context<'_>) -> Driven {
        match self {
            Self::Own(own) if own.driver.is_some() => {
                own.drive(context);
                Driven::Here
            }
            Self::Own(_) | Self::Shared(_) => Driven::Elsewhere,
        }
    }

    /// Lets a task move the bytes from now on, for a request that is still being sent while its answer is
    /// read: a caller that does not read must not keep its own request from being sent.
    pub(crate) fn detach(&mut self) {
        if let Self::Own(own) = self
            && let Some(driver) = own.driver.take()
        {
            task::spawn(driver);
        }
    }

    /// Gives a connection back that carried a call to its end.
    pub(crate) fn give_back(self) {
        // Whether it is ready is seen when it is taken.
        if let Self::Own(own) = self
            && own.driver.is_some()
            && !own.idle_for.is_zero()
        {
            let upstream = Arc::clone(&own.upstream);
            upstream.keep(*own);
        }
    }
}

/// Who moves a connection's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Driven {
    /// A task of the connection's own.
    Elsewhere,
    /// This call did, just now.
    Here,
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
