//! Every bound that is enforced, in one place: a unit, a default, and a name that configuration can use.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

/// Bounds on time, size and number. Configured in the table `[limits]`; what is not named keeps its default.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// From the first byte of a TLS exchange to its end, on either side.
    #[serde(with = "seconds", rename = "tls_handshake_seconds")]
    #[schemars(with = "u32", range(min = 1))]
    pub tls_handshake: Duration,
    /// TLS handshakes under way at once, over all listeners.
    #[schemars(range(min = 1))]
    pub handshakes_in_flight: usize,
    /// From the first byte of a request's head to its last.
    #[serde(with = "seconds", rename = "request_head_seconds")]
    #[schemars(with = "u32", range(min = 1))]
    pub request_head: Duration,
    /// Size of a request's or response's head, and of an HTTP/2 header list. An HTTP/1 head also has at most
    /// 100 fields.
    #[schemars(range(min = 8192))]
    pub head_bytes: u32,
    /// How long a connection without any request on it may stay.
    #[serde(with = "seconds", rename = "connection_idle_seconds")]
    #[schemars(with = "u32", range(min = 1))]
    pub connection_idle: Duration,
    /// Connections accepted at once by one listener; more wait in the kernel's queue.
    #[schemars(range(min = 1))]
    pub connections_per_listener: usize,
    /// Connections one SPIFFE ID may hold.
    #[schemars(range(min = 1))]
    pub connections_per_peer: usize,
    /// Calls one SPIFFE ID may have open over all its connections.
    #[schemars(range(min = 1))]
    pub calls_per_peer: usize,
    /// HTTP/2 streams open at once on one connection, towards us and from us.
    #[schemars(range(min = 1))]
    pub h2_streams: u32,
    /// HTTP/2 flow-control window of one stream. A connection's window is this times `h2_streams`, so that
    /// streams nobody reads cannot hold up the others.
    #[schemars(range(min = 65535))]
    pub h2_stream_window_bytes: u32,
    /// Bytes buffered per HTTP/2 stream while the peer's window is closed.
    #[schemars(range(min = 1))]
    pub h2_send_buffer_bytes: usize,
    /// HTTP/2 streams a peer may reset before they were served, before its connection is closed.
    #[schemars(range(min = 1))]
    pub h2_pending_resets: usize,
    /// Interval of HTTP/2 PINGs that find dead peers.
    #[serde(with = "seconds", rename = "h2_ping_seconds")]
    #[schemars(with = "u32", range(min = 1))]
    pub h2_ping: Duration,
    /// How long a PING may stay unanswered.
    #[serde(with = "seconds", rename = "h2_ping_timeout_seconds")]
    #[schemars(with = "u32", range(min = 1))]
    pub h2_ping_timeout: Duration,
    /// From asking for an upstream connection to having one, TLS included.
    #[serde(with = "seconds", rename = "upstream_connect_seconds")]
    #[schemars(with = "u32", range(min = 1))]
    pub upstream_connect: Duration,
    /// Connections to one upstream.
    #[schemars(range(min = 1))]
    pub upstream_connections: usize,
    /// HTTP/1.1 connections to one upstream that are kept without a request on them.
    pub upstream_idle_connections: usize,
    /// How long such a connection is used again, unless the upstream's `Keep-Alive` says less.
    #[serde(with = "seconds", rename = "upstream_idle_seconds")]
    #[schemars(with = "u32")]
    pub upstream_idle: Duration,
    /// Length of a call's body, which is read before the call is judged.
    #[schemars(range(min = 1))]
    pub call_bytes: usize,
    /// Depth to which objects and arrays of a call's body may nest.
    #[schemars(range(min = 8))]
    pub call_depth: usize,
    /// How long the rest of a call's body may take once it makes the lane wait.
    #[serde(with = "seconds", rename = "call_body_seconds")]
    #[schemars(with = "u32", range(min = 1))]
    pub call_body: Duration,
    /// What the bodies of all calls together may hold in memory.
    #[schemars(range(min = 1))]
    pub calls_bytes: usize,
    /// Audit records waiting to be written, before new calls are denied.
    #[schemars(range(min = 1))]
    pub audit_queue_records: usize,
    /// From the signal to stop until what still runs is cut.
    #[serde(with = "seconds", rename = "drain_seconds")]
    #[schemars(with = "u32")]
    pub drain: Duration,
    /// How long a stream may last whose connection has outlived an SVID under it. It lasts no longer than both ends
    /// hold a valid one.
    #[serde(with = "seconds", rename = "stream_max_age_seconds")]
    #[schemars(with = "u32")]
    pub stream_max_age: Duration,
    /// How long an id that left sealed may be used. Nobody's session ends: its client is asked to begin a new one.
    #[serde(with = "seconds", rename = "sealed_id_max_age_seconds")]
    #[schemars(with = "u32", range(min = 1))]
    pub sealed_id_max_age: Duration,
    /// Time between two looks at files that are watched.
    #[serde(with = "milliseconds", rename = "file_watch_milliseconds")]
    #[schemars(with = "u32", range(min = 20))]
    pub file_watch: Duration,
    /// Verified certificate chains that are remembered.
    pub verified_chains: usize,
    /// TLS sessions that an inbound listener remembers for resumption, in each class of key exchange.
    pub tls_sessions: usize,
    /// SPIFFE IDs that are remembered to have shown hybrid key exchange.
    pub ratchet_ids: usize,
    /// Revocations by admin calls that are in force at once.
    #[schemars(range(min = 1, max = 50000))]
    pub revocations: usize,
    /// Source addresses whose refusals are counted apart.
    pub refusal_sources: usize,
    /// Shortest and longest pause after a failed accept (out of file descriptors).
    #[serde(with = "milliseconds", rename = "accept_backoff_milliseconds")]
    #[schemars(with = "u32", range(min = 1))]
    pub accept_backoff: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tls_handshake: Duration::from_secs(10),
            handshakes_in_flight: 512,
            request_head: Duration::from_secs(10),
            head_bytes: 32 * 1024,
            connection_idle: Duration::from_secs(300),
            connections_per_listener: 10_000,
            connections_per_peer: 1_000,
            calls_per_peer: 10_000,
            h2_streams: 100,
            h2_stream_window_bytes: 256 * 1024,
            h2_send_buffer_bytes: 256 * 1024,
            h2_pending_resets: 100,
            h2_ping: Duration::from_secs(30),
            h2_ping_timeout: Duration::from_secs(20),
            upstream_connect: Duration::from_secs(10),
            upstream_connections: 1_000,
            upstream_idle_connections: 128,
            upstream_idle: Duration::from_secs(4),
            call_bytes: 4 * 1024 * 1024,
            call_depth: 64,
            call_body: Duration::from_secs(60),
            calls_bytes: 256 * 1024 * 1024,
            audit_queue_records: 8_192,
            drain: Duration::from_secs(20),
            stream_max_age: Duration::from_secs(24 * 3_600),
            sealed_id_max_age: Duration::from_secs(24 * 3_600),
            file_watch: Duration::from_millis(250),
            verified_chains: 4_096,
            tls_sessions: 2_048,
            ratchet_ids: 100_000,
            revocations: 10_000,
            refusal_sources: 1_024,
            accept_backoff: Duration::from_millis(500),
        }
    }
}

impl Limits {
    /// Flow-control window of an HTTP/2 connection: room for every stream's window at once.
    pub fn h2_connection_window_bytes(&self) -> u32 {
        self.h2_stream_window_bytes
            .saturating_mul(self.h2_streams)
            .min(i32::MAX.unsigned_abs())
    }

    /// Whether what is fixed when the process starts is the same in both.
    pub(crate) fn same_where_fixed(&self, other: &Self) -> bool {
        let fixed = |limits: &Self| {
            (
                limits.handshakes_in_flight,
                limits.connections_per_listener,
                limits.connections_per_peer,
                limits.calls_per_peer,
                limits.audit_queue_records,
                limits.drain,
                limits.accept_backoff,
                limits.file_watch,
                (
                    limits.verified_chains,
                    limits.ratchet_ids,
                    limits.revocations,
                    limits.refusal_sources,
                    limits.calls_bytes,
                ),
            )
        };
        fixed(self) == fixed(other)
    }

    /// The first field whose value cannot work, with what would.
    pub fn first_unusable(&self) -> Option<(&'static str, &'static str)> {
        let rules = [
            positive(self.tls_handshake.is_zero(), "tls_handshake_seconds"),
            positive(self.handshakes_in_flight == 0, "handshakes_in_flight"),
            positive(self.request_head.is_zero(), "request_head_seconds"),
            (self.head_bytes < 8192, "head_bytes", "8192 or more"),
            positive(self.connection_idle.is_zero(), "connection_idle_seconds"),
            positive(
                self.connections_per_listener == 0,
                "connections_per_listener",
            ),
            positive(self.connections_per_peer == 0, "connections_per_peer"),
            positive(self.calls_per_peer == 0, "calls_per_peer"),
            positive(self.h2_streams == 0, "h2_streams"),
            // RFC 9113 §6.9.2: the window every stream starts with.
            (
                self.h2_stream_window_bytes < 65_535,
                "h2_stream_window_bytes",
                "65535 or more",
            ),
            positive(self.h2_send_buffer_bytes == 0, "h2_send_buffer_bytes"),
            positive(self.h2_pending_resets == 0, "h2_pending_resets"),
            positive(self.h2_ping.is_zero(), "h2_ping_seconds"),
            positive(self.h2_ping_timeout.is_zero(), "h2_ping_timeout_seconds"),
            positive(self.upstream_connect.is_zero(), "upstream_connect_seconds"),
            positive(self.upstream_connections == 0, "upstream_connections"),
            positive(self.call_bytes == 0, "call_bytes"),
            (self.call_depth < 8, "call_depth", "8 or more"),
            positive(self.call_body.is_zero(), "call_body_seconds"),
            positive(self.calls_bytes == 0, "calls_bytes"),
            positive(self.audit_queue_records == 0, "audit_queue_records"),
            positive(
                self.sealed_id_max_age.is_zero(),
                "sealed_id_max_age_seconds",
            ),
            (
                self.file_watch < Duration::from_millis(20),
                "file_watch_milliseconds",
                "20 or more",
            ),
            (
                !(1..=50_000).contains(&self.revocations),
                "revocations",
                "1 to 50000",
            ),
            positive(self.accept_backoff.is_zero(), "accept_backoff_milliseconds"),
        ];
        rules
            .into_iter()
            .find_map(|(unusable, field, accepted)| unusable.then_some((field, accepted)))
    }
}

/// The rule of a field that must not be zero.
fn positive(is_zero: bool, field: &'static str) -> (bool, &'static str, &'static str) {
    (is_zero, field, "a number above 0")
}

mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u32::deserialize(from).map(|seconds| Duration::from_secs(seconds.into()))
    }

    // For the default values in the schema of the file.
    pub(super) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        time.as_secs().serialize(to)
    }
}

mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u32::deserialize(from).map(|millis| Duration::from_millis(millis.into()))
    }

    // For the default values in the schema of the file.
    pub(super) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        time.as_millis().serialize(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_usable_and_leave_room_for_every_stream() {
        let limits = Limits::default();
        assert_eq!(limits.first_unusable(), None);
        let streams = limits.h2_connection_window_bytes() / limits.h2_stream_window_bytes;
        assert_eq!(streams, limits.h2_streams);
    }

    #[test]
    fn a_connection_window_never_leaves_the_protocols_range() {
        let limits = Limits {
            h2_stream_window_bytes: u32::MAX,
            ..Limits::default()
        };
        assert_eq!(limits.h2_connection_window_bytes(), (1 << 31) - 1);
    }

    #[test]
    fn names_the_field_that_cannot_work() {
        let limits = Limits {
            h2_streams: 0,
            ..Limits::default()
        };
        assert_eq!(
            limits.first_unusable(),
            Some(("h2_streams", "a number above 0"))
        );
    }
}
