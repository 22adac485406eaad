//! The verifier inside real TLS 1.3 handshakes, in memory, and the Workload API over real sockets.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod handshake;
mod possession;
mod remembered;
mod revoked;
mod support;
mod upstream;
mod workload_api;
