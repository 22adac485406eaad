//! Prometheus metrics. Handles are taken once per listener; the path of a call only increments.

use std::sync::Arc;

use pqlane_handshake::HandshakeSummary;
use pqlane_handshake::summary::scheme_name;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::deny::DenyReason;
use crate::ratchet::{Downgrade, OnDowngrade};

/// Handshakes take 0.2 ms of CPU and a round trip or two.
const HANDSHAKE_BUCKETS: [f64; 12] = [
    0.000_5, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 1.0, 10.0,
];
/// Answers start at once or after a model has thought.
const ANSWER_BUCKETS: [f64; 12] = [
    0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0,
];

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct HandshakeLabels {
    direction: &'static str,
    group: &'static str,
    kind: &'static str,
    peer_signature: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ListenerLabels {
    listener: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabels {
    listener: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabels {
    listener: String,
    reason: &'static str,
}

/// What became of a change of configuration, identity or deny-list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReloadOutcome {
    Applied,
    Refused,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DowngradeLabels {
    cause: &'static str,
    then: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReloadLabels {
    outcome: &'static str,
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// All metrics of one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    handshakes: Histograms<HandshakeLabels>,
    handshake_bytes: Family<HandshakeLabels, Counter>,
    connections_open: Family<ListenerLabels, Gauge>,
    connections_refused: Family<ReasonLabels, Counter>,
    calls_open: Family<ListenerLabels, Gauge>,
    calls_ended: Family<OutcomeLabels, Counter>,
    calls_denied: Family<ReasonLabels, Counter>,
    answers: Histograms<ListenerLabels>,
    pub(crate) accept_failures: Counter,
    pub(crate) audit_lost: Counter,
    pub(crate) svid_expiry: Gauge,
    downgrades: Family<DowngradeLabels, Counter>,
    reloads: Family<ReloadLabels, Counter>,
    connections_cut: Family<ReasonLabels, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("pqlane"),
            handshakes: Family::new_with_constructor(|| Histogram::new(HANDSHAKE_BUCKETS)),
            handshake_bytes: Family::default(),
            connections_open: Family::default(),
            connections_refused: Family::default(),
            calls_open: Family::default(),
            calls_ended: Family::default(),
            calls_denied: Family::default(),
            answers: Family::new_with_constructor(|| Histogram::new(ANSWER_BUCKETS)),
            accept_failures: Counter::default(),
            audit_lost: Counter::default(),
            svid_expiry: Gauge::default(),
            downgrades: Family::default(),
            reloads: Family::default(),
            connections_cut: Family::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register_with_unit(
            "tls_handshake",
            "Time of finished TLS handshakes by direction, group, kind and the peer's signature scheme",
            Unit::Seconds,
            self.handshakes.clone(),
        );
        registry.register(
            "tls_handshake_bytes",
            "Bytes of all flights of finished TLS handshakes",
            self.handshake_bytes.clone(),
        );
        registry.register(
            "connections_open",
            "Connections open now",
            self.connections_open.clone(),
        );
        registry.register(
            "connections_refused",
            "Connections refused before a request was read",
            self.connections_refused.clone(),
        );
        registry.register("calls_open", "Calls open now", self.calls_open.clone());
        registry.register(
            "calls_ended",
            "Calls that were carried, by how they ended",
            self.calls_ended.clone(),
        );
        registry.register("calls_denied", "Calls refused", self.calls_denied.clone());
        registry.register_with_unit(
            "answer",
            "From a call's head to its answer's head",
            Unit::Seconds,
            self.answers.clone(),
        );
        registry.register(
            "accept_failures",
            "Failed accepts, such as for want of file descriptors",
            self.accept_failures.clone(),
        );
        registry.register(
            "audit_records_lost",
            "Audit records that could not be queued",
            self.audit_lost.clone(),
        );
        registry.register(
            "svid_expiry_timestamp",
            "When the own SVID expires, in seconds since 1970",
            self.svid_expiry.clone(),
        );
        registry.register(
            "downgrades",
            "Peers that came with classical key exchange after hybrid, by cause and by what was done",
            self.downgrades.clone(),
        );
        registry.register(
            "reloads",
            "Changes of configuration, identity or deny-list, by what became of them",
            self.reloads.clone(),
        );
        registry.register(
            "connections_cut",
            "Connections ended because their peer is no longer trusted or allowed",
            self.connections_cut.clone(),
        );
    }

    /// Counts a peer that went back to classical key exchange.
    pub(crate) fn downgrade(&self, downgrade: &Downgrade) {
        let labels = DowngradeLabels {
            cause: downgrade.cause.as_str(),
            then: match downgrade.then {
                OnDowngrade::Alarm => "alarm",
                OnDowngrade::Refuse => "refuse",
            },
        };
        self.downgrades.get_or_create(&labels).inc();
    }

    /// Counts changes.
    pub(crate) fn reloads(&self, outcome: ReloadOutcome) -> Counter {
        let outcome = match outcome {
            ReloadOutcome::Applied => "applied",
            ReloadOutcome::Refused => "refused",
        };
        self.reloads
            .get_or_create(&ReloadLabels { outcome })
            .clone()
    }

    /// The handles of one listener.
    pub(crate) fn listener(self: &Arc<Self>, name: &str) -> Arc<ListenerMetrics> {
        let labels = ListenerLabels {
            listener: name.to_owned(),
        };
        let ended = |outcome| {
            let labels = OutcomeLabels {
                listener: name.to_owned(),
                outcome,
            };
            self.calls_ended.get_or_create(&labels).clone()
        };
        Arc::new(ListenerMetrics {
            connections_open: self.connections_open.get_or_create(&labels).clone(),
            calls_open: self.calls_open.get_or_create(&labels).clone(),
            calls_cancelled: ended("cancelled"),
            calls_completed: ended("completed"),
            calls_cut: ended("cut"),
            calls_failed: ended("failed"),
            answer_seconds: self.answers.get_or_create(&labels).clone(),
            all: Arc::clone(self),
            name: name.to_owned(),
        })
    }

    /// Counts a connection of a listener or route that was cut.
    pub(crate) fn cut(&self, listener: &str, reason: DenyReason) {
        let labels = ReasonLabels {
            listener: listener.to_owned(),
            reason: reason.code(),
        };
        self.connections_cut.get_or_create(&labels).inc();
    }

    /// Counts a finished handshake.
    pub(crate) fn handshake(&self, direction: &'static str, summary: &HandshakeSummary) {
        let labels = HandshakeLabels {
            direction,
            group: summary.group.name,
            kind: summary.kind_label(),
            peer_signature: summary.peer_scheme.map(scheme_name).unwrap_or_default(),
        };
        self.handshakes
            .get_or_create(&labels)
            .observe(summary.duration.as_secs_f64());
        let bytes: u64 = summary.flight_bytes.iter().copied().map(u64::from).sum();
        self.handshake_bytes.get_or_create(&labels).inc_by(bytes);
    }

    /// The text exposition.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        match prometheus_client::encoding::text::encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(cannot_format) => {
                tracing::error!(%cannot_format, "metrics cannot be written");
                String::new()
            }
        }
    }
}

/// The metrics of one listener.
#[derive(Debug)]
pub struct ListenerMetrics {
    pub(crate) connections_open: Gauge,
    pub(crate) calls_open: Gauge,
    pub(crate) calls_cancelled: Counter,
    pub(crate) calls_completed: Counter,
    pub(crate) calls_cut: Counter,
    pub(crate) calls_failed: Counter,
    pub(crate) answer_seconds: Histogram,
    pub(crate) all: Arc<Metrics>,
    name: String,
}

impl ListenerMetrics {
    /// Counts a refused call.
    pub(crate) fn denied(&self, reason: DenyReason) {
        let labels = self.reason(reason);
        self.all.calls_denied.get_or_create(&labels).inc();
    }

    /// Counts a refused connection.
    pub(crate) fn refused(&self, reason: DenyReason) {
        let labels = self.reason(reason);
        self.all.connections_refused.get_or_create(&labels).inc();
    }

    fn reason(&self, reason: DenyReason) -> ReasonLabels {
        ReasonLabels {
            listener: self.name.clone(),
            reason: reason.code(),
        }
    }
}
