//! Workload → peer: the life of a local connection, and of a call on it.

use std::sync::Arc;

use futures_util::future::Either;
use http::Request;
use hyper::body::Incoming;
use pqlane_certs::spiffe_id::SpiffeId;

use crate::accept::Accepted;
use crate::call::Call;
use crate::deny::{Denial, DenyReason};
use crate::drain::Drain;
use crate::forward::{Permitted, forward, refuse};
use crate::headers;
use crate::lane::Direction;
use crate::limits::Limits;
use crate::metrics::ListenerMetrics;
use crate::pool::Upstream;
use crate::record::{CallOrigin, Line, OpenCall, Recorder};
use crate::routes::OutboundRoutes;
use crate::serve::{Answer, answer, serve};
use crate::session::{CallSlot, Session, Sessions};
use crate::transport::sniff;

/// One outbound listener.
#[derive(Debug)]
pub(crate) struct Outbound {
    pub(crate) name: String,
    /// SPIFFE ID in whose name calls leave.
    pub(crate) local: SpiffeId,
    pub(crate) routes: OutboundRoutes,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) recorder: Recorder,
    pub(crate) metrics: Arc<ListenerMetrics>,
    pub(crate) limits: Limits,
    pub(crate) drain: Drain,
}

impl Outbound {
    /// One connection of the local workload: what it speaks, then its calls.
    pub(crate) async fn connection(self: Arc<Self>, accepted: Accepted) {
        let first_byte = tokio::time::timeout(self.limits.connection_idle, sniff(accepted.socket));
        let Ok(Ok((version, stream))) = first_byte.await else {
            return;
        };
        let session = self.session(&accepted.from);
        let (lane, of) = (Arc::clone(&self), Arc::clone(&session));
        let call = move |request| lane.call(&of, request);
        let drain = self.drain.clone();
        Box::pin(serve(
            version,
            stream,
            &session,
            &self.limits,
            &self.metrics,
            drain,
            call,
        ))
        .await;
        drop(accepted.place);
    }

    /// One call: read, on record, permitted, stripped of claims, forwarded over a lane.
    fn call(&self, session: &Session, request: Request<Incoming>) -> Answer {
        let (mut head, body) = request.into_parts();
        let call = Call::read_head(&head);
        let binding = call.binding;
        let record = match self.open_record(session, &call) {
            Ok(record) => record,
            Err(reason) => return answer(Denial::from(reason).response(binding)),
        };
        let (slot, upstream) = match self.admit(session, &head, &call) {
            Ok(admitted) => admitted,
            Err(denial) => return answer(refuse(&denial, record, binding)),
        };
        headers::strip_hop_by_hop(&mut head.headers);
        headers::strip_identity(&mut head.headers);
        Either::Left(forward(Permitted {
            name: upstream.name().clone(),
            upstream,
            head,
            body,
            binding,
            slot,
            record,
        }))
    }

    fn session(&self, from: &str) -> Arc<Session> {
        let members = Line::fixed()
            .text("direction", Direction::Outbound.as_str())
            .text("listener", &self.name)
            .text("local", self.local.as_str())
            .text("from", from)
            .into_members();
        self.sessions.open_local(self.sessions.next_id(), members)
    }

    fn open_record(&self, session: &Session, call: &Call<'_>) -> Result<OpenCall, DenyReason> {
        let origin = CallOrigin {
            connection: session.id(),
            sequence: session.next_call(),
            fixed: session.members(),
            metrics: &self.metrics,
        };
        self.recorder.open_call(&origin, call)
    }

    fn admit(
        &self,
        session: &Session,
        head: &http::request::Parts,
        call: &Call<'_>,
    ) -> Result<(CallSlot, Arc<Upstream>), Denial> {
        let slot = session.register()?;
        let authority = headers::authority_of(head)?;
        let upstream = self.routes.permit(head, call, &authority)?;
        Ok((slot, Arc::clone(upstream)))
    }
}
