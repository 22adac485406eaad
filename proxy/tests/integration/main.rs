//! The product from outside: HTTP on both ends, TLS between, records beside.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod support;

mod access;
mod admin;
mod agents;
mod audit;
mod calls;
mod carried;
mod chains;
mod cnsa;
mod demo;
mod drain;
mod federation;
mod headers;
mod hostile;
mod kx;
mod local;
mod mcp_sessions;
mod offered;
mod pem_files;
mod pool;
mod process;
mod ratchet;
mod reasons;
mod reload;
mod resumption;
mod revocation;
mod revoke;
mod rotation;
mod schema;
mod streaming;
mod upstream_trust;
mod withdrawal;
mod workload_api;
