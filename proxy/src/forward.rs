//! Bytes move: a permitted call goes to its upstream and the answer comes back, frame by frame.
//!
//! Takes a request whose head is ready but for its upstream; gives the upstream's response. No body is
//! gathered, nothing is cut for being slow, and a request that may have been sent is never sent again.

use std::sync::Arc;

use http::request::Parts;
use http::{Request, Response};
use hyper::body::Incoming;

use crate::body::{LaneBody, ResponseTap};
use crate::deny::{Denial, DenyReason};
use crate::guard::PullCause;
use crate::headers::{self, UpstreamName};
use crate::pool::{Lease, SendError, Upstream};
use crate::record::OpenCall;
use crate::session::CallSlot;
use crate::tls::with_causes;

/// Connections tried for a request that none of them put on the wire.
const MAX_HANDOVERS: usize = 3;

/// A permitted call with its open record.
pub(crate) struct Forwarded<'a> {
    pub(crate) upstream: &'a Arc<Upstream>,
    /// The name the upstream sees, where it is not its own.
    pub(crate) name: Option<UpstreamName>,
    pub(crate) head: Parts,
    pub(crate) body: Incoming,
    pub(crate) slot: CallSlot,
    pub(crate) record: OpenCall,
}

/// Carries one call.
///
/// # Errors
/// The refusal with the record that is still open, when there is no answer to give.
///
/// # Cancel safety
/// Dropped, it cancels the call upstream and records it as cancelled.
pub(crate) async fn forward(call: Forwarded<'_>) -> Result<Response<LaneBody>, (Denial, OpenCall)> {
    let Forwarded {
        upstream,
        name,
        mut head,
        body,
        slot,
        mut record,
    } = call;
    let name = name.as_ref().unwrap_or(upstream.name());
    headers::strip_hop_by_hop(&mut head.headers);
    let body = LaneBody::request(body, Arc::clone(record.request()));
    let request = Request::from_parts(head, body);
    let answered = tokio::select! {
        biased;
        answered = send(upstream, name, request) => answered,
        PullCause::DrainDeadline = slot.guard().pulled() => Err(DenyReason::Draining.into()),
    };
    let (response, mut lease) = match answered {
        Ok(answered) => answered,
        Err(denial) => return Err((denial, record)),
    };
    record.answered();
    if !record.request().has_ended() {
        lease.detach();
    }
    record.carried_by(lease.members());
    let (mut head, body) = response.into_parts();
    headers::returned(&mut head, name);
    let tap = ResponseTap {
        slot,
        lease,
        status: head.status,
        record,
        bytes: 0,
    };
    Ok(Response::from_parts(head, LaneBody::response(body, tap)))
}

async fn send(
    upstream: &Arc<Upstream>,
    name: &UpstreamName,
    request: Request<LaneBody>,
) -> Result<(Response<Incoming>, Lease), Denial> {
    let (mut head, mut body) = request.into_parts();
    for _ in 0..MAX_HANDOVERS {
        let mut lease = upstream.lease().await?;
        headers::aim(&mut head, name, lease.version());
        match lease.send(Request::from_parts(head, body)).await {
            Ok(response) => return Ok((response, lease)),
            Err(SendError::Unsent(unsent)) => (head, body) = unsent.into_parts(),
            Err(SendError::Failed(error)) => {
                return Err(Denial::with_detail(
                    DenyReason::UpstreamFailed,
                    with_causes(&error),
                ));
            }
        }
    }
    Err(DenyReason::UpstreamFailed.into())
}
