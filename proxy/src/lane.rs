//! What is recorded and counted of lane connections, in both directions.

use std::sync::Arc;
use std::time::Instant;

use pqlane_certs::spiffe_id::SpiffeId;
use pqlane_handshake::client_hello::{ClientHello, version_name};
use pqlane_handshake::kx::group_name;
use pqlane_handshake::summary::{scheme_name, suite_name};

use crate::deny::{Denial, DenyReason};
use crate::metrics::Metrics;
use crate::record::{Line, Recorder};
use crate::revocations::Revocations;
use crate::session::Sessions;
use crate::tls::{Established, LanePeer, TlsRefusal, hex};
use crate::transport::HttpVersion;

/// Which way a lane connection goes, seen from the local workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Inbound,
    Outbound,
}

impl Direction {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// Records and counts the lane connections of one listener or of one route.
#[derive(Debug, Clone)]
pub(crate) struct LaneLog {
    pub(crate) direction: Direction,
    /// Name of the listener, or of the listener and route, in configuration.
    pub(crate) name: Arc<str>,
    /// Own SPIFFE ID.
    pub(crate) local: SpiffeId,
    /// SHA-256 of our leaf.
    pub(crate) leaf: [u8; 32],
    /// Number of the rules by which its connections are judged when they open.
    pub(crate) epoch: u64,
    pub(crate) recorder: Recorder,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) sessions: Arc<Sessions>,
    /// Names the revocation for which a connection is cut.
    pub(crate) revocations: Arc<Revocations>,
}

impl LaneLog {
    /// Records a connection that is established. Gives the members by which a call's record names it, and the
    /// value that records its end when dropped.
    pub(crate) fn opened<S>(&self, established: &Established<S>) -> (Arc<str>, Closing) {
        let id = self.sessions.next_id();
        let line = self.opening_line(id, established);
        self.recorder.append(line);
        self.alarm(established, None);
        self.metrics
            .handshake(self.direction.as_str(), &established.summary);
        let members = Line::fixed()
            .text("upstream", &format!("{id:016x}"))
            .text("peer", established.peer.identity.spiffe_id().as_str())
            .text("group", established.summary.group.name)
            .into_members();
        (members.into(), self.closing(id))
    }

    /// Records a connection by a peer that is established, under an id of the caller's.
    pub(crate) fn accepted<S>(&self, id: u64, established: &Established<S>, from: &str) -> Closing {
        let line = self.opening_line(id, established).text("from", from);
        self.recorder.append(line);
        self.alarm(established, Some(from));
        self.metrics
            .handshake(self.direction.as_str(), &established.summary);
        self.closing(id)
    }

    /// The members that all calls on an inbound connection share.
    pub(crate) fn call_members<S>(&self, established: &Established<S>) -> String {
        Line::fixed()
            .text("direction", self.direction.as_str())
            .text("listener", &self.name)
            .text("local", self.local.as_str())
            .text("peer", established.peer.identity.spiffe_id().as_str())
            .text("group", established.summary.group.name)
            .into_members()
    }

    /// Counts and logs a downgrade that was let pass.
    fn alarm<S>(&self, established: &Established<S>, from: Option<&str>) {
        if let Some(downgrade) = &established.alarm {
            self.metrics.downgrade(downgrade);
            tracing::error!(
                lane = &*self.name,
                peer = established.peer.identity.spiffe_id().as_str(),
                from,
                %downgrade,
                "peer has fallen back to classical key exchange"
            );
        }
    }

    fn count_downgrade(&self, refusal: &TlsRefusal) {
        if let Some(downgrade) = &refusal.downgrade {
            self.metrics.downgrade(downgrade);
        }
    }

    /// Records and counts a connection that the rules of now cut.
    pub(crate) fn cut(&self, peer: &LanePeer, denial: &Denial) {
        let revocation = match denial.reason {
            DenyReason::PeerDenied => self.revocations.of(&peer.identity),
            _ => None,
        };
        let id = peer.identity.spiffe_id().as_str();
        let line = Line::new("connection.cut")
            .text("direction", self.direction.as_str())
            .text("listener", &self.name)
            .text("local", self.local.as_str())
            .text("peer", id)
            .text("reason", denial.reason.code())
            .optional("revocation", revocation.as_ref().map(|it| &*it.id))
            .optional("detail", denial.detail.as_deref());
        self.recorder.append(line);
        self.metrics.cut(&self.name, denial.reason);
        tracing::warn!(
            lane = &*self.name,
            peer = id,
            reason = denial.reason.code(),
            detail = denial.detail.as_deref().unwrap_or_default(),
            "connection cut"
        );
    }

    /// Records a handshake that failed towards an upstream; gives what the call is told.
    pub(crate) fn refused(&self, refusal: &TlsRefusal) -> Denial {
        self.count_downgrade(refusal);
        self.recorder.append(self.refusal_line(refusal));
        let detail = refusal.denial.detail.as_deref().unwrap_or_default();
        let code = refusal.denial.reason.code();
        tracing::warn!(
            lane = &*self.name,
            reason = code,
            detail,
            "no lane to the peer"
        );
        match refusal.denial.reason {
            DenyReason::HandshakeTimeout => DenyReason::UpstreamTimeout.into(),
            DenyReason::IdentityUnavailable => refusal.denial.clone(),
            _ => Denial::with_detail(DenyReason::UpstreamTls, format!("{code}: {detail}")),
        }
    }

    /// Records a handshake that failed with a peer that called.
    pub(crate) fn turned_away(&self, refusal: &TlsRefusal, from: &str) {
        self.count_downgrade(refusal);
        let line = self.refusal_line(refusal).text("from", from);
        self.recorder.append(line);
        tracing::warn!(
            lane = &*self.name,
            from,
            reason = refusal.denial.reason.code(),
            offered = refusal
                .hello
                .as_deref()
                .map_or_else(Vec::new, offered_groups)
                .join(","),
            detail = refusal.denial.detail.as_deref().unwrap_or_default(),
            "connection refused"
        );
    }

    fn opening_line<S>(&self, id: u64, established: &Established<S>) -> Line {
        let (summary, downgrade) = (&established.summary, established.alarm.as_ref());
        let micros = u64::try_from(summary.duration.as_micros()).unwrap_or(u64::MAX);
        Line::new("connection.open")
            .connection(id)
            .text("channel", &established.channel.to_string())
            .number("epoch", self.epoch)
            .text("direction", self.direction.as_str())
            .text("listener", &self.name)
            .text("local", self.local.as_str())
            .text("peer", established.peer.identity.spiffe_id().as_str())
            .text("local_leaf", &hex(&self.leaf))
            .text(
                "peer_leaf",
                &hex(established.peer.identity.leaf_thumbprint()),
            )
            .number(
                "peer_svid_expires",
                established.peer.identity.not_after().as_secs(),
            )
            .text("group", summary.group.name)
            .text("handshake", summary.kind_label())
            .text("suite", &suite_name(summary.suite))
            .optional(
                "local_signature",
                summary.local_scheme.map(scheme_name).as_deref(),
            )
            .optional(
                "peer_signature",
                summary.peer_scheme.map(scheme_name).as_deref(),
            )
            .numbers("flight_bytes", &summary.flight_bytes)
            .number("duration_us", micros)
            .text(
                "http",
                match established.version {
                    HttpVersion::H1 => "1.1",
                    HttpVersion::H2 => "2",
                },
            )
            .optional("downgrade", downgrade.map(|it| it.cause.as_str()))
            .offer(established.hello.as_deref())
    }

    fn refusal_line(&self, refusal: &TlsRefusal) -> Line {
        Line::new("connection.refused")
            .text("direction", self.direction.as_str())
            .text("listener", &self.name)
            .text("local", self.local.as_str())
            .text("reason", refusal.denial.reason.code())
            .optional("detail", refusal.denial.detail.as_deref())
            .optional("peer", refusal.peer.as_ref().map(SpiffeId::as_str))
            .optional(
                "downgrade",
                refusal.downgrade.as_ref().map(|it| it.cause.as_str()),
            )
            .offer(refusal.hello.as_deref())
    }

    fn closing(&self, id: u64) -> Closing {
        Closing {
            recorder: self.recorder.clone(),
            id,
            opened: Instant::now(),
        }
    }
}

/// What a client offered, as records say it.
trait Offer {
    fn offer(self, hello: Option<&ClientHello>) -> Self;
}

impl Offer for Line {
    fn offer(self, hello: Option<&ClientHello>) -> Self {
        let Some(hello) = hello else {
            return self;
        };
        let versions: Vec<String> = hello
            .versions
            .iter()
            .map(|version| version_name(*version).into_owned())
            .collect();
        let shares: Vec<String> = hello
            .shares
            .iter()
            .map(|(group, _)| group_name(*group).into_owned())
            .collect();
        let schemes: Vec<String> = hello
            .signature_schemes
            .iter()
            .copied()
            .map(scheme_name)
            .collect();
        self.texts("offered_versions", &versions)
            .texts("offered_groups", &offered_groups(hello))
            .texts("offered_shares", &shares)
            .texts("offered_signatures", &schemes)
    }
}

/// Names of the groups that a client offered, in its order.
pub(crate) fn offered_groups(hello: &ClientHello) -> Vec<String> {
    hello
        .groups
        .iter()
        .map(|group| group_name(*group).into_owned())
        .collect()
}

/// Records a connection's end when dropped.
#[derive(Debug)]
pub(crate) struct Closing {
    recorder: Recorder,
    id: u64,
    opened: Instant,
}

impl Drop for Closing {
    fn drop(&mut self) {
        let millis = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        let line = Line::new("connection.close")
            .connection(self.id)
            .number("duration_ms", millis);
        self.recorder.append(line);
    }
}
