//! Bytes move: a permitted call goes to its upstream and the answer comes back, frame by frame.
//!
//! Takes a request whose head is ready but for its upstream; gives the upstream's response. No body is
//! gathered, nothing is cut for being slow, and a request that may have been sent is never sent again.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{Request, Response};
use hyper::body::Incoming;

use crate::body::{Ending, LaneBody, ResponseTap};
use crate::deny::{Denial, DenyReason, ReplyTo};
use crate::gather::CallBody;
use crate::guard::PullCause;
use crate::headers::{self, UpstreamName};
use crate::mcp_session::CallSession;
use crate::pool::{Lease, SendError, Sent, Unsent, Upstream};
use crate::record::OpenCall;
use crate::session::CallSlot;

/// Connections tried for a request that none of them put on the wire.
const MAX_HANDOVERS: usize = 3;

/// A permitted call with its open record; its head is stripped and set.
pub(crate) struct Permitted {
    pub(crate) upstream: Arc<Upstream>,
    /// The name the upstream sees: its own, or the one the caller asked for.
    pub(crate) name: UpstreamName,
    pub(crate) head: Parts,
    pub(crate) body: CallBody,
    pub(crate) reply: ReplyTo,
    pub(crate) mcp_session: CallSession,
    pub(crate) slot: CallSlot,
    pub(crate) record: OpenCall,
}

/// Carries one call. With a connection at hand the request is on its way when this returns.
pub(crate) fn forward(call: Permitted) -> Forwarding {
    let Permitted {
        upstream,
        name,
        mut head,
        body,
        reply,
        mcp_session,
        slot,
        record,
    } = call;
    if let CallBody::Whole(_) = &body {
        // Said anew, once and in plain digits, from what was read.
        head.headers.remove(CONTENT_LENGTH);
    }
    let body = LaneBody::request(body, Arc::clone(record.request()));
    let request = Request::from_parts(head, body);
    let attempt = match upstream.lease_now() {
        Some(lease) => Attempt::start(lease, &name, request),
        None => Attempt::later(Arc::clone(&upstream), name.clone(), request),
    };
    Forwarding {
        attempt,
        upstream,
        name,
        reply,
        mcp_session,
        call: Some((slot, record)),
    }
}

/// A call on its way. Dropped, it cancels the call upstream and records it as cancelled.
pub(crate) struct Forwarding {
    attempt: Attempt,
    upstream: Arc<Upstream>,
    name: UpstreamName,
    reply: ReplyTo,
    mcp_session: CallSession,
    /// Taken when the call is answered.
    call: Option<(CallSlot, OpenCall)>,
}

/// How far a request has come.
enum Attempt {
    /// It waits for a connection first.
    Later(Pin<Box<dyn Future<Output = Answered> + Send>>),
    /// It was handed to a connection; the lease is taken with the answer.
    Started(Option<Lease>, Sent),
}

type Answered = Result<(Response<Incoming>, Lease), Denial>;

impl Future for Forwarding {
    type Output = Result<Response<LaneBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let pulled = match &this.call {
            Some((slot, _)) => slot.guard().poll_pulled(context),
            None => Poll::Pending,
        };
        let answered = match pulled {
            Poll::Ready(cause) => Err(cut_before_its_answer(cause).into()),
            Poll::Pending => ready!(this.poll_attempt(context)),
        };
        let Some((slot, record)) = this.call.take() else {
            // Ready once already; hyper does not poll again.
            return Poll::Pending;
        };
        let answered = answered.and_then(|(mut response, lease)| {
            this.mcp_session.seal_new(response.headers_mut())?;
            Ok((response, lease))
        });
        Poll::Ready(Ok(match answered {
            Ok((response, lease)) => {
                returned(response, lease, &this.name, &this.reply, slot, record)
            }
            Err(denial) => refuse(&denial, record, &this.reply),
        }))
    }
}

impl Forwarding {
    fn poll_attempt(&mut self, context: &mut Context<'_>) -> Poll<Answered> {
        loop {
            let (lease, sent) = match &mut self.attempt {
                Attempt::Later(later) => return later.as_mut().poll(context),
                Attempt::Started(lease, sent) => (lease, sent),
            };
            if let Some(lease) = lease {
                lease.drive(context);
            }
            match (ready!(sent.as_mut().poll(context)), lease.take()) {
                (Ok(response), Some(lease)) => return Poll::Ready(Ok((response, lease))),
                (Ok(_), None) => return Poll::Pending,
                (Err(failed), lease) => {
                    let unsent = unsent(failed, lease.as_ref())?;
                    let upstream = Arc::clone(&self.upstream);
                    self.attempt = Attempt::later(upstream, self.name.clone(), unsent);
                }
            }
        }
    }
}

impl Attempt {
    fn start(mut lease: Lease, name: &UpstreamName, request: Request<LaneBody>) -> Self {
        let sent = hand_over(&mut lease, name, request);
        Self::Started(Some(lease), sent)
    }

    fn later(upstream: Arc<Upstream>, name: UpstreamName, request: Request<LaneBody>) -> Self {
        Self::Later(Box::pin(send_later(upstream, name, request)))
    }
}

fn hand_over(lease: &mut Lease, name: &UpstreamName, request: Request<LaneBody>) -> Sent {
    let (mut head, body) = request.into_parts();
    headers::aim(&mut head, name, lease.version());
    lease.start(Request::from_parts(head, body))
}

/// Waits for a connection and sends on it; on another, if that one turns out to have closed before.
async fn send_later(
    upstream: Arc<Upstream>,
    name: UpstreamName,
    mut request: Request<LaneBody>,
) -> Answered {
    for _ in 0..MAX_HANDOVERS {
        let mut lease = upstream.lease().await?;
        let mut sent = hand_over(&mut lease, &name, request);
        let answered = poll_fn(|context| {
            lease.drive(context);
            sent.as_mut().poll(context)
        });
        match answered.await {
            Ok(response) => return Ok((response, lease)),
            Err(failed) => request = unsent(failed, Some(&lease))?,
        }
    }
    Err(DenyReason::UpstreamFailed.into())
}

/// The request, if nothing of it was put on the wire; else what its caller is told.
fn unsent(failed: SendError, lease: Option<&Lease>) -> Result<Request<LaneBody>, Denial> {
    failed
        .unsent()
        .map_err(|denial| match lease.and_then(Lease::cut) {
            Some(cause) => Denial::with_detail(DenyReason::UpstreamTls, cause.code()),
            None => denial,
        })
}

/// The answer on its way back, its body holding all that has to last as long as it flows.
fn returned(
    response: Response<Incoming>,
    mut lease: Lease,
    name: &UpstreamName,
    reply: &ReplyTo,
    slot: CallSlot,
    mut record: OpenCall,
) -> Response<LaneBody> {
    record.answered();
    record.carried_by(lease.members());
    lease.heed(&response);
    if !record.request().has_ended() {
        lease.detach();
    }
    let (mut head, body) = response.into_parts();
    headers::returned(&mut head, name);
    let tap = ResponseTap {
        slot,
        lease,
        status: head.status,
        ending: Ending::of(&head, reply.id.clone()),
        record,
        bytes: 0,
    };
    Response::from_parts(head, LaneBody::response(body, tap))
}

/// What a call is told that is cut before it is answered.
fn cut_before_its_answer(cause: PullCause) -> DenyReason {
    match cause {
        PullCause::DrainDeadline => DenyReason::Draining,
        PullCause::NoLongerAllowed => DenyReason::PeerNotAllowed,
        PullCause::SvidExpired => DenyReason::SvidExpired,
    }
}

/// Closes a refused call's record and says so to the caller.
pub(crate) fn refuse(denial: &Denial, record: OpenCall, reply: &ReplyTo) -> Response<LaneBody> {
    record.deny(denial);
    denial.response(reply)
}
