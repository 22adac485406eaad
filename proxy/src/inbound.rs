//! Peer → workload: the life of a connection, and of a call on it.

use std::sync::{Arc, Mutex};

use futures_util::future::Either;
use http::request::Parts;
use http::uri::Authority;
use hyper::body::Incoming;

use crate::accept::{Accepted, Source};
use crate::call::Call;
use crate::deny::{Denial, DenyReason};
use crate::drain::Drain;
use crate::forward::{Permitted, forward, refuse};
use crate::gather::{self, CallBody, Hold, Plan, Room};
use crate::guard::PullCause;
use crate::headers::{self, UpstreamName};
use crate::lane::{Closing, LaneLog};
use crate::lifetime::Retires;
use crate::limits::Limits;
use crate::live::Live;
use crate::mcp_session::{Begins, CallSession, McpSessions};
use crate::metrics::ListenerMetrics;
use crate::pool::Upstream;
use crate::record::{CallOrigin, OpenCall};
use crate::refusals::Refusals;
use crate::routes::InboundRoutes;
use crate::serve::{Answer, Calls, answer, serve};
use crate::session::{BeingRead, CallSlot, PeerSide, Session};
use crate::tls::{Established, TlsRefusal, TlsServer};
use crate::transport::Socket;

/// Whether the workload sees the authority that the caller asked for, or its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostSeen {
    Callers,
    Workloads,
}

/// The calls of one peer's connection.
struct InboundCalls {
    live: Arc<Live<Inbound>>,
    session: Arc<Session>,
}

impl Calls for InboundCalls {
    fn plan(&self, head: &Parts, body: Incoming) -> Plan {
        let lane = self.live.now();
        let grpc = lane.routes.grpc_to;
        let hold = Hold::none(&lane.room, self.session.room());
        gather::plan(head, body, grpc, hold, &lane.limits)
    }

    fn reads(&self) -> BeingRead {
        self.session.reads()
    }

    fn call(&self, head: Parts, body: Result<CallBody, DenyReason>) -> Answer {
        self.live.now().call(&self.session, head, body)
    }
}

/// One inbound listener, as configuration, identity and deny-list have it at one time.
#[derive(Debug)]
pub(crate) struct Inbound {
    /// Counts the changes of any of them.
    pub(crate) epoch: u64,
    pub(crate) tls: TlsServer,
    pub(crate) routes: InboundRoutes,
    /// None where session ids pass unsealed.
    pub(crate) mcp_sessions: Option<Arc<McpSessions>>,
    pub(crate) host_seen: HostSeen,
    pub(crate) lane: Arc<LaneLog>,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) metrics: Arc<ListenerMetrics>,
    pub(crate) limits: Limits,
    pub(crate) room: Room,
}

impl Inbound {
    /// One connection: tls, identity, session, then its calls, each by the rules of its time.
    pub(crate) async fn connection(live: Arc<Live<Self>>, drain: Drain, accepted: Accepted) {
        let (lane, source) = (live.keep(), accepted.source);
        // Boxed, so that a connection is not the size of its handshake for as long as it lives.
        let established = match Box::pin(lane.tls.accept(accepted.socket)).await {
            Ok(established) => established,
            Err(refusal) => return lane.turn_away(&refusal, &source),
        };
        let (session, closing) = match lane.session(&established, &source) {
            Ok(opened) => opened,
            Err(denial) => {
                let refusal = TlsRefusal::of_proved(denial, established.peer.spiffe_id());
                return lane.turn_away(&refusal, &source);
            }
        };
        let (version, stream) = (established.version, established.stream);
        let (limits, metrics) = (lane.limits.clone(), Arc::clone(&lane.metrics));
        // Keys, tickets and rules of the handshake are not kept for as long as the connection lives.
        drop(lane);
        let calls = InboundCalls {
            live,
            session: Arc::clone(&session),
        };
        Box::pin(serve(
            version, stream, &session, &limits, &metrics, drain, calls,
        ))
        .await;
        drop((closing, accepted.place));
    }

    /// One call: read, on record, permitted, introduced to the workload, forwarded.
    fn call(
        &self,
        session: &Session,
        mut head: Parts,
        body: Result<CallBody, DenyReason>,
    ) -> Answer {
        let call = Call::read(&head, &body, &self.limits);
        let (reply, begins) = (call.reply_to(), Begins::of(&call));
        let record = match self.open_record(session, &call) {
            Ok(record) => record,
            Err(reason) => return answer(Denial::from(reason).response(&reply)),
        };
        let admitted = self.admit(session, &head, &call);
        let ((slot, upstream, asked_for), body) = match (admitted, body) {
            (Ok(admitted), Ok(body)) => (admitted, body),
            (Err(denial), _) => return answer(refuse(&denial, record, &reply)),
            (Ok(_), Err(reason)) => return answer(refuse(&reason.into(), record, &reply)),
        };
        let (upstream, mcp_session) = match self.enter_session(session, upstream, begins, &mut head)
        {
            Ok(entered) => entered,
            Err(denial) => return answer(refuse(&denial, record, &reply)),
        };
        // First what the caller nominates, then what we set: it cannot take that away.
        headers::strip_hop_by_hop(&mut head.headers);
        headers::strip_identity(&mut head.headers);
        if let Some(xfcc) = session.peer().and_then(|peer| peer.xfcc.as_ref()) {
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
            reply,
            mcp_session,
            slot,
            record,
        }))
    }

    /// Judges a connection's peer by the rules of this epoch, once; one that fails is cut.
    ///
    /// # Errors
    /// The [`Denial`] that a new handshake of it would meet.
    pub(crate) fn still_welcome(&self, session: &Session) -> Result<(), Denial> {
        if session.is_cut() {
            // What it sends until it has closed is for nobody, even if it may come again by now.
            self.judge(session)?;
            return Err(DenyReason::PeerNotAllowed.into());
        }
        match session.judged() >= self.epoch {
            true => Ok(()),
            false => self.judge(session),
        }
    }

    /// Judges a connection's peer by the rules of this epoch and by the time; one that fails is cut.
    ///
    /// # Errors
    /// The [`Denial`] that a new handshake of it would meet.
    pub(crate) fn judge(&self, session: &Session) -> Result<(), Denial> {
        let Some(peer) = session.peer() else {
            return Ok(());
        };
        match self.tls.side().judge_again(&peer.lane) {
            Ok(()) => {
                session.passed(self.epoch, self.tls.side());
                Ok(())
            }
            Err(denial) => {
                if session.pull(PullCause::NoLongerAllowed) {
                    self.lane.cut(&peer.lane, &denial);
                }
                Err(denial)
            }
        }
    }

    fn session(
        &self,
        established: &Established<Socket>,
        source: &Source,
    ) -> Result<(Arc<Session>, Closing), Denial> {
        self.lane.recorder.admit()?;
        let sessions = &self.lane.sessions;
        let peer = &established.peer;
        let side = PeerSide {
            xfcc: headers::xfcc(
                self.lane.local.as_str(),
                peer.identity.spiffe_id().as_str(),
                peer.identity.leaf_thumbprint(),
            ),
            listener: Arc::clone(&self.lane.name),
            side: Mutex::new(Arc::clone(self.tls.side())),
            log: Arc::clone(&self.lane),
            lifetime: self.tls.side().lifetime(peer, Retires::Second),
            epoch: self.epoch,
            lane: peer.clone(),
        };
        let id = sessions.next_id();
        let members = self.lane.call_members(established);
        let session = sessions.open_peer(id, side, members)?;
        // Registered first, judged second: a revocation that came since the handshake finds it, or is found here.
        self.tls.side().not_denied(peer)?;
        let closing = self.lane.accepted(id, established, source.as_str());
        Ok((session, closing))
    }

    fn open_record(&self, session: &Session, call: &Call<'_>) -> Result<OpenCall, DenyReason> {
        let origin = CallOrigin {
            connection: session.id(),
            sequence: session.next_call(),
            fixed: session.members(),
            caller: "",
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
        self.still_welcome(session)?;
        let asked_for = headers::authority_of(head)?;
        let peer = session.peer().map(|peer| peer.lane.identity.spiffe_id());
        let upstream = self.routes.permit(peer, call, &asked_for)?;
        call.is_clear()?;
        Ok((slot, Arc::clone(upstream), asked_for))
    }

    /// The backend that holds the call's MCP session, where there is one.
    fn enter_session(
        &self,
        session: &Session,
        permitted: Arc<Upstream>,
        begins: Begins,
        head: &mut Parts,
    ) -> Result<(Arc<Upstream>, CallSession), Denial> {
        match (&self.mcp_sessions, session.peer()) {
            (Some(sessions), Some(peer)) => {
                let peer = peer.lane.identity.spiffe_id();
                sessions.enter(peer, permitted, begins, &mut head.headers)
            }
            _ => Ok((permitted, CallSession::Untouched)),
        }
    }

    /// Records and counts a refusal: of somebody who proved who it is by that, of others by listener and address.
    fn turn_away(&self, refusal: &TlsRefusal, source: &Source) {
        let reason = refusal.denial.reason;
        self.metrics.refused(reason);
        if refusal.peer.is_none()
            && let Some(address) = source.address()
        {
            let offered = refusal.hello.as_deref().map(crate::lane::offered_groups);
            self.refusals.note(
                &self.lane.name,
                address,
                reason,
                &offered.unwrap_or_default(),
            );
        }
        self.lane.turned_away(refusal, source.as_str());
    }
}
