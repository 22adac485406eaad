//! Workload → peer: the life of a local connection, and of a call on it.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::Either;
use http::request::Parts;
use hyper::body::Incoming;
use pqlane_certs::spiffe_id::SpiffeId;

use crate::accept::Accepted;
use crate::call::Call;
use crate::caller::{Assurance, Caller, ProcessRule};
use crate::deny::{Denial, DenyReason};
use crate::drain::Drain;
use crate::forward::{Permitted, forward, refuse};
use crate::gather::{self, CallBody, GrpcTo, Hold, Plan, Room};
use crate::headers;
use crate::lane::Direction;
use crate::limits::Limits;
use crate::live::Live;
use crate::mcp_session::CallSession;
use crate::metrics::ListenerMetrics;
use crate::pool::Upstream;
use crate::record::{CallOrigin, Line, OpenCall, Recorder};
use crate::routes::OutboundRoutes;
use crate::serve::{Answer, Calls, answer, serve};
use crate::session::{BeingRead, CallSlot, Session, Sessions};
use crate::transport::{Socket, sniff};

/// The calls of one local connection.
struct OutboundCalls {
    live: Arc<Live<Outbound>>,
    session: Arc<Session>,
    known: Known,
}

impl Calls for OutboundCalls {
    fn plan(&self, head: &Parts, body: Incoming) -> Plan {
        let lane = self.live.now();
        // What the peer's workload takes a body for is for the peer's sidecar to rule out.
        let hold = Hold::none(&lane.room, self.session.room());
        gather::plan(head, body, GrpcTo::ItsOwn, hold, &lane.limits)
    }

    fn reads(&self) -> BeingRead {
        self.session.reads()
    }

    fn call(&self, head: Parts, body: Result<CallBody, DenyReason>) -> Answer {
        self.live.now().call(&self.session, &self.known, head, body)
    }
}

/// One outbound listener, as configuration and identity have it at one time.
#[derive(Debug)]
pub(crate) struct Outbound {
    /// Counts the changes of either.
    pub(crate) epoch: u64,
    pub(crate) name: String,
    /// In whose names calls leave; the first that admits a caller is its own.
    pub(crate) agents: Vec<Agent>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) recorder: Recorder,
    pub(crate) metrics: Arc<ListenerMetrics>,
    pub(crate) limits: Limits,
    pub(crate) room: Room,
}

/// One logical agent behind an egress.
#[derive(Debug)]
pub(crate) struct Agent {
    /// Which callers it is.
    pub(crate) callers: AgentCallers,
    pub(crate) routes: OutboundRoutes,
    /// What records of its calls say of it.
    members: String,
}

impl Agent {
    /// An agent whose calls leave in the name of `local`.
    pub(crate) fn new(local: &SpiffeId, callers: AgentCallers, routes: OutboundRoutes) -> Self {
        let members = Line::fixed()
            .text("local", local.as_str())
            .text("assurance", callers.assurance().as_str())
            .into_members();
        Self {
            callers,
            routes,
            members,
        }
    }
}

/// Which callers an agent is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AgentCallers {
    /// Whoever reaches the port.
    Anybody,
    /// A program.
    Process(ProcessRule),
    /// A user, on the agent's own Unix socket.
    User(u32),
}

impl AgentCallers {
    fn admit(&self, caller: Option<&Caller>) -> bool {
        match (self, caller) {
            (Self::Anybody, _) => true,
            (Self::Process(_) | Self::User(_), None) => false,
            (Self::Process(rule), Some(caller)) => rule.matches(caller),
            (Self::User(uid), Some(caller)) => caller.uid() == *uid,
        }
    }

    /// How sure it is that the caller is the agent.
    fn assurance(&self) -> Assurance {
        match self {
            Self::Anybody => Assurance::Asserted,
            Self::Process(_) => Assurance::AttestedProcess,
            Self::User(_) => Assurance::Listener,
        }
    }
}

/// Who made a local connection, and which agent that is.
#[derive(Debug)]
struct Known {
    /// What the kernel says; nothing on a port.
    caller: Option<Caller>,
    /// Which agent that is in an epoch.
    agent: Mutex<Option<Found>>,
}

/// An agent's place in the list of an epoch, and why the caller is this one: programs are looked at once, when they
/// have connected, and again only if the rules for them change.
#[derive(Debug, Clone)]
struct Found {
    epoch: u64,
    place: Option<usize>,
    by: Option<AgentCallers>,
}

impl Known {
    fn of(socket: &Socket) -> Self {
        let caller = match socket {
            Socket::Tcp(_) => None,
            Socket::Unix(stream) => Caller::of(stream).ok(),
        };
        Self {
            caller,
            agent: Mutex::new(None),
        }
    }

    fn refusal(&self) -> Denial {
        let caller = self.caller.as_ref().map(ToString::to_string);
        Denial::with_detail(DenyReason::CallerNotAllowed, caller.unwrap_or_default())
    }
}

impl Outbound {
    /// One connection of the local workload: who it is and what it speaks, then its calls.
    pub(crate) async fn connection(live: Arc<Live<Self>>, drain: Drain, accepted: Accepted) {
        let lane = live.keep();
        let known = Known::of(&accepted.socket);
        let first_byte = tokio::time::timeout(lane.limits.connection_idle, sniff(accepted.socket));
        let Ok(Ok((version, stream))) = first_byte.await else {
            return;
        };
        let session = lane.session(accepted.source.as_str());
        let (limits, metrics) = (lane.limits.clone(), Arc::clone(&lane.metrics));
        drop(lane);
        let calls = OutboundCalls {
            live,
            session: Arc::clone(&session),
            known,
        };
        Box::pin(serve(
            version, stream, &session, &limits, &metrics, drain, calls,
        ))
        .await;
        drop(accepted.place);
    }

    /// One call: read, on record, permitted, stripped of claims, forwarded over a lane.
    fn call(
        &self,
        session: &Session,
        known: &Known,
        mut head: Parts,
        body: Result<CallBody, DenyReason>,
    ) -> Answer {
        let call = Call::read(&head, &body, &self.limits);
        let reply = call.reply_to();
        let agent = self.agent(known);
        let record = match self.open_record(session, agent, &call) {
            Ok(record) => record,
            Err(reason) => return answer(Denial::from(reason).response(&reply)),
        };
        let slot_and_upstream = match agent {
            Some(agent) => admit(session, agent, &head, &call),
            None => Err(known.refusal()),
        };
        let ((slot, upstream), body) = match (slot_and_upstream, body) {
            (Ok(admitted), Ok(body)) => (admitted, body),
            (Err(denial), _) => return answer(refuse(&denial, record, &reply)),
            (Ok(_), Err(reason)) => return answer(refuse(&reason.into(), record, &reply)),
        };
        headers::strip_hop_by_hop(&mut head.headers);
        headers::strip_identity(&mut head.headers);
        Either::Left(forward(Permitted {
            name: upstream.name().clone(),
            upstream,
            head,
            body,
            reply,
            mcp_session: CallSession::Untouched,
            slot,
            record,
        }))
    }

    /// The agent that a caller is.
    fn agent(&self, known: &Known) -> Option<&Agent> {
        let mut found = known.agent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = &*found
            && found.epoch == self.epoch
        {
            return self.agents.get(found.place?);
        }
        let before = found.take().and_then(|found| found.by);
        let same = |agent: &Agent| before.as_ref() == Some(&agent.callers);
        let admits = |agent: &Agent| agent.callers.admit(known.caller.as_ref());
        let mut agents = self.agents.iter();
        let place = agents.position(|agent| same(agent) || admits(agent));
        let agent = self.agents.get(place.unwrap_or(usize::MAX));
        *found = Some(Found {
            epoch: self.epoch,
            place,
            by: agent.map(|agent| agent.callers.clone()),
        });
        agent
    }

    fn session(&self, from: &str) -> Arc<Session> {
        let members = Line::fixed()
            .text("direction", Direction::Outbound.as_str())
            .text("listener", &self.name)
            .text("from", from)
            .into_members();
        self.sessions.open_local(self.sessions.next_id(), members)
    }

    fn open_record(
        &self,
        session: &Session,
        agent: Option<&Agent>,
        call: &Call<'_>,
    ) -> Result<OpenCall, DenyReason> {
        let origin = CallOrigin {
            connection: session.id(),
            sequence: session.next_call(),
            fixed: session.members(),
            caller: agent.map_or("", |agent| &agent.members),
            metrics: &self.metrics,
        };
        self.recorder.open_call(&origin, call)
    }
}

fn admit(
    session: &Session,
    agent: &Agent,
    head: &Parts,
    call: &Call<'_>,
) -> Result<(CallSlot, Arc<Upstream>), Denial> {
    let slot = session.register()?;
    let authority = headers::authority_of(head)?;
    let upstream = agent.routes.permit(head, call, &authority)?;
    call.is_clear()?;
    Ok((slot, Arc::clone(upstream)))
}
