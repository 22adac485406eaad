//! Peer → workload: the life of a connection, and of a call on it.

use std::sync::Arc;

use futures_util::future::Either;
use http::Request;
use http::request::Parts;
use http::uri::Authority;
use hyper::body::Incoming;

use crate::accept::Accepted;
use crate::call::Call;
use crate::deny::{Denial, DenyReason};
use crate::drain::Drain;
use crate::forward::{Permitted, forward, refuse};
use crate::headers::{self, UpstreamName};
use crate::lane::{Closing, LaneLog};
use crate::limits::Limits;
use crate::metrics::ListenerMetrics;
use crate::pool::Upstream;
use crate::record::{CallOrigin, OpenCall};
use crate::routes::InboundRoutes;
use crate::serve::{Answer, answer, serve};
use crate::session::{CallSlot, Session};
use crate::tls::{Established, TlsRefusal, TlsServer};
use crate::transport::Socket;

/// Whether the workload sees the authority that the caller asked for, or its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostSeen {
    Callers,
    Workloads,
}

/// One inbound listener.
#[derive(Debug)]
pub(crate) struct Inbound {
    pub(crate) tls: TlsServer,
    pub(crate) routes: InboundRoutes,
    pub(crate) host_seen: HostSeen,
    pub(crate) lane: LaneLog,
    pub(crate) metrics: Arc<ListenerMetrics>,
    pub(crate) limits: Limits,
    pub(crate) drain: Drain,
}

impl Inbound {
    /// One connection: tls, identity, session, then its calls.
    pub(crate) async fn connection(self: Arc<Self>, accepted: Accepted) {
        let from = accepted.from;
        // Boxed, so that a connection is not the size of its handshake for as long as it lives.
        let established = match Box::pin(self.tls.accept(accepted.socket)).await {
            Ok(established) => established,
            Err(refusal) => return self.turn_away(&refusal, &from),
        };
        let (session, closing) = match self.session(&established, &from) {
            Ok(opened) => opened,
            Err(reason) => return self.turn_away(&reason.into(), &from),
        };
        let (version, stream) = (established.version, established.stream);
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
        drop((closing, accepted.place));
    }

    /// One call: read, on record, permitted, introduced to the workload, forwarded.
    fn call(&self, session: &Session, request: Request<Incoming>) -> Answer {
        let (mut head, body) = request.into_parts();
        let call = Call::read_head(&head);
        let binding = call.binding;
        let record = match self.open_record(session, &call) {
            Ok(record) => record,
            Err(reason) => return answer(Denial::from(reason).response(binding)),
        };
        let (slot, upstream, asked_for) = match self.admit(session, &head, &call) {
            Ok(admitted) => admitted,
            Err(denial) => return answer(refuse(&denial, record, binding)),
        };
        // First what the caller nominates, then what we set: it cannot take that away.
        headers::strip_hop_by_hop(&mut head.headers);
        headers::strip_identity(&mut head.headers);
        if let Some(xfcc) = session.xfcc() {
            headers::introduce(&mut head.headers, xfcc, &asked_for);
        }
        let name = match self.host_seen {
            HostSeen::Callers => UpstreamName::new(http::uri::Scheme::HTTP, asked_for),
            HostSeen::Workloads => upstream.name().clone(),
        };
        Either::Left(forward(Permitted {
            upstream,
            name,
            head,
            body,
            binding,
            slot,
            record,
        }))
    }

    fn session(
        &self,
        established: &Established<Socket>,
        from: &str,
    ) -> Result<(Arc<Session>, Closing), DenyReason> {
        self.lane.recorder.admit()?;
        let sessions = &self.lane.sessions;
        let peer = &established.peer;
        let xfcc = headers::xfcc(
            self.lane.local.as_str(),
            peer.spiffe_id().as_str(),
            peer.leaf_thumbprint(),
        );
        let id = sessions.next_id();
        let members = self.lane.call_members(established);
        let session = sessions.open_peer(id, peer, xfcc, members)?;
        Ok((session, self.lane.accepted(id, established, from)))
    }

    fn open_record(&self, session: &Session, call: &Call<'_>) -> Result<OpenCall, DenyReason> {
        let origin = CallOrigin {
            connection: session.id(),
            sequence: session.next_call(),
            fixed: session.members(),
            metrics: &self.metrics,
        };
        self.lane.recorder.open_call(&origin, call)
    }

    fn admit(
        &self,
        session: &Session,
        head: &Parts,
        call: &Call<'_>,
    ) -> Result<(CallSlot, Arc<Upstream>, Authority), Denial> {
        let slot = session.register()?;
        let asked_for = headers::authority_of(head)?;
        let upstream = self.routes.permit(session.peer(), call)?;
        Ok((slot, Arc::clone(upstream), asked_for))
    }

    fn turn_away(&self, refusal: &TlsRefusal, from: &str) {
        self.metrics.refused(refusal.denial.reason);
        self.lane.turned_away(refusal, from);
    }
}
