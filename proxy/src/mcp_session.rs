//! MCP sessions of an inbound listener (Streamable HTTP, revisions 2025-03-26 to 2025-11-25).
//!
//! Takes the head of a permitted call and gives the backend that holds its session, with the session id opened;
//! takes the head of the answer and seals the id in it. It stores no session, and an id that the backend gave
//! never leaves as it is.
//!
//! The principal of a session is the peer's SPIFFE ID, not its certificate or connection: SVIDs rotate under a
//! session, and one session comes over many connections (2025-11-25, Security Best Practices, "Session
//! Hijacking"). Revision 2026-07-28 knows no sessions, and its servers ignore the field. There it is taken away
//! in both directions, so that no server that speaks older revisions too can be shown an id that was not opened.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use pqlane_certs::clock::Clock;
use pqlane_certs::spiffe_id::SpiffeId;

use crate::call::Call;
use crate::deny::{Denial, DenyReason};
use crate::pool::Upstream;
use crate::seal::{Age, Contents, Holder, Sealer, Subject};

/// Name of the backend that is the listener's `workload`.
pub(crate) const DEFAULT_BACKEND: &str = "default";

const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// The revision without sessions.
const WITHOUT_SESSIONS: &str = "2026-07-28";
/// Spellings that a framework could read as the same name.
const OTHER_SPELLINGS: [HeaderName; 3] = [
    HeaderName::from_static("mcp_session_id"),
    HeaderName::from_static("mcp-session_id"),
    HeaderName::from_static("mcp_session-id"),
];

/// The sessions of one listener: keys for their ids, and the backends that hold them.
pub(crate) struct McpSessions {
    sealer: Sealer,
    /// The first is the listener's `workload`.
    backends: Vec<Backend>,
    /// Counts new sessions.
    next: AtomicUsize,
    clock: Arc<dyn Clock>,
    max_age: Duration,
}

/// A workload that holds sessions.
struct Backend {
    name: String,
    upstream: Arc<Upstream>,
}

impl fmt::Debug for McpSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.backends.iter().map(|backend| &backend.name);
        f.debug_list().entries(names).finish()
    }
}

/// What a call begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begins {
    /// No session.
    Nothing,
    /// A session.
    Session,
}

impl Begins {
    /// `initialize` begins one (2025-11-25, "Session Management").
    pub(crate) fn of(call: &Call<'_>) -> Self {
        match call.operation.as_deref() {
            Some("initialize") => Self::Session,
            _ => Self::Nothing,
        }
    }
}

/// What a call's session asks of its answer.
#[derive(Debug)]
pub(crate) enum CallSession {
    /// There are no sessions in this call: a session id in its answer is taken away.
    None,
    /// Session ids in its answer are sealed.
    Sealed(SealedSession),
    /// Session ids are none of our business.
    Untouched,
}

/// Whom, by which backend, a session id in an answer would be given.
#[derive(Debug)]
pub(crate) struct SealedSession {
    sessions: Arc<McpSessions>,
    peer: SpiffeId,
    /// Its place in the list.
    backend: usize,
    carried: Option<Box<Carried>>,
}

/// The session id that a request carried.
#[derive(Debug)]
struct Carried {
    sealed: HeaderValue,
    original: HeaderValue,
}

impl McpSessions {
    pub(crate) fn new(
        sealer: Sealer,
        workload: Arc<Upstream>,
        further: Vec<(String, Arc<Upstream>)>,
        clock: Arc<dyn Clock>,
        max_age: Duration,
    ) -> Self {
        let default = (DEFAULT_BACKEND.to_owned(), workload);
        Self {
            sealer,
            backends: std::iter::once(default)
                .chain(further)
                .map(|(name, upstream)| Backend { name, upstream })
                .collect(),
            next: AtomicUsize::new(0),
            clock,
            max_age,
        }
    }

    /// Gives the backend that a call of `peer` goes to: the one that holds its session, the next in turn for a call that
    /// begins one, and else the listener's workload. The session id is put in as that backend gave it.
    ///
    /// # Errors
    /// [`DenyReason::SessionUnknown`] for any session id that is not this peer's to use.
    pub(crate) fn enter(
        self: &Arc<Self>,
        peer: &SpiffeId,
        permitted: Arc<Upstream>,
        begins: Begins,
        headers: &mut HeaderMap,
    ) -> Result<(Arc<Upstream>, CallSession), Denial> {
        for name in OTHER_SPELLINGS {
            headers.remove(name);
        }
        if has_no_sessions(headers) {
            headers.remove(SESSION_ID);
            return Ok((permitted, CallSession::None));
        }
        let Some(sealed) = only_value(headers).map_err(|Several| {
            Denial::with_detail(DenyReason::SessionUnknown, "several session ids")
        })?
        else {
            let (backend, upstream) = self.in_turn(permitted, begins);
            let session = match backend {
                None => CallSession::None,
                Some(backend) => self.session(peer, backend, None),
            };
            return Ok((upstream, session));
        };
        if !self.holds_sessions(&permitted) {
            // A call for another server must not come to this one, which would be shown a body nobody has read.
            let cause = "a session of the workload, beside a call that is not for it";
            return Err(Denial::with_detail(DenyReason::SessionUnknown, cause));
        }
        let (backend, upstream, original) = self.open(peer, &sealed)?;
        headers.insert(SESSION_ID, original.clone());
        let carried = Carried { sealed, original };
        Ok((
            upstream,
            self.session(peer, backend, Some(Box::new(carried))),
        ))
    }

    fn session(
        self: &Arc<Self>,
        peer: &SpiffeId,
        backend: usize,
        carried: Option<Box<Carried>>,
    ) -> CallSession {
        CallSession::Sealed(SealedSession {
            sessions: Arc::clone(self),
            peer: peer.clone(),
            backend,
            carried,
        })
    }

    /// gRPC holds no sessions.
    fn holds_sessions(&self, permitted: &Arc<Upstream>) -> bool {
        let workload = self.backends.first();
        workload.is_some_and(|backend| Arc::ptr_eq(&backend.upstream, permitted))
    }

    /// The next backend for a new session; the listener's workload, or whatever else was permitted, for other calls.
    fn in_turn(&self, permitted: Arc<Upstream>, begins: Begins) -> (Option<usize>, Arc<Upstream>) {
        if !self.holds_sessions(&permitted) {
            return (None, permitted);
        }
        if self.backends.len() == 1 || begins == Begins::Nothing {
            return (Some(0), permitted);
        }
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.backends.len();
        match self.backends.get(turn) {
            Some(backend) => (Some(turn), Arc::clone(&backend.upstream)),
            None => (Some(0), permitted),
        }
    }

    /// Backend and id of a session. The cause of a refusal is for our record only.
    fn open(
        &self,
        peer: &SpiffeId,
        sealed: &HeaderValue,
    ) -> Result<(usize, Arc<Upstream>, HeaderValue), Denial> {
        let unknown = |cause: &str| Denial::with_detail(DenyReason::SessionUnknown, cause);
        let age = Age {
            now: self.clock.now(),
            at_most: self.max_age,
        };
        let opened = self
            .sealer
            .open(&holder(peer), sealed.as_bytes(), &age)
            .map_err(|refused| unknown(refused.cause()))?;
        let mut backends = self.backends.iter().enumerate();
        let (place, backend) = backends
            .find(|(_, backend)| backend.name == opened.backend)
            .ok_or_else(|| {
                unknown(&format!(
                    "its backend {:?} is not configured",
                    opened.backend
                ))
            })?;
        let original = HeaderValue::from_bytes(&opened.original)
            .map_err(|_invalid| unknown("no header can hold what was sealed"))?;
        Ok((place, Arc::clone(&backend.upstream), original))
    }
}

impl CallSession {
    /// Seals a new session id in the head of an answer. One that the request carried goes back as it came.
    ///
    /// # Errors
    /// [`DenyReason::SessionUnusable`] when the backend gave one that cannot be sealed.
    pub(crate) fn seal_new(&self, headers: &mut HeaderMap) -> Result<(), Denial> {
        if let Self::None | Self::Sealed(_) = self {
            for name in OTHER_SPELLINGS {
                headers.remove(name);
            }
        }
        match self {
            Self::None => {
                headers.remove(SESSION_ID);
                Ok(())
            }
            Self::Sealed(session) => session.seal_new(headers),
            Self::Untouched => Ok(()),
        }
    }
}

impl SealedSession {
    fn seal_new(&self, headers: &mut HeaderMap) -> Result<(), Denial> {
        let unusable = |cause: String| Denial::with_detail(DenyReason::SessionUnusable, cause);
        let given = only_value(headers)
            .map_err(|Several| unusable("the workload gave several session ids".to_owned()))?;
        let Some(given) = given else {
            return Ok(());
        };
        let sealed = match &self.carried {
            Some(carried) if carried.original == given => carried.sealed.clone(),
            _ => {
                let sealed = self.seal(&given).map_err(unusable)?;
                HeaderValue::from_str(&sealed).map_err(|invalid| unusable(invalid.to_string()))?
            }
        };
        headers.insert(SESSION_ID, sealed);
        Ok(())
    }

    fn seal(&self, given: &HeaderValue) -> Result<String, String> {
        let sessions = &self.sessions;
        let Some(backend) = sessions.backends.get(self.backend) else {
            return Err("no backend".to_owned());
        };
        let contents = Contents {
            backend: &backend.name,
            original: given.as_bytes(),
            at: sessions.clock.now(),
        };
        sessions
            .sealer
            .seal(&holder(&self.peer), &contents)
            .map_err(|refused| refused.to_string())
    }
}

/// No call carries a subject of its own yet: its holder is the peer itself.
fn holder(peer: &SpiffeId) -> Holder<'_> {
    Holder {
        peer,
        subject: Subject::None,
    }
}

fn has_no_sessions(headers: &HeaderMap) -> bool {
    let mut versions = headers.get_all(PROTOCOL_VERSION).iter();
    versions.any(|version| version.as_bytes() == WITHOUT_SESSIONS.as_bytes())
}

/// More than one session id in one head.
struct Several;

fn only_value(headers: &HeaderMap) -> Result<Option<HeaderValue>, Several> {
    let mut values = headers.get_all(SESSION_ID).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(only), None) => Ok(Some(only.clone())),
        (Some(_), Some(_)) => Err(Several),
    }
}

#[cfg(test)]
mod tests;
