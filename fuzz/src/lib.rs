//! Fuzz targets: one for each place where pqlane reads bytes that somebody else chose.
//!
//! A target takes any bytes, hands them to one reader, and asserts what has to hold of the answer; that the
//! reader does not panic is the least of it. Where a rule is checked, it is checked a second time here by code
//! that shares nothing with the reader.
//!
//! Each target has a corpus in `corpus/<target>/`. `cargo test` replays all of them; `fuzz/run.sh` starts from
//! them. The name of a corpus file states its verdict: `accepted-…` or `refused-…`.

pub mod bundle_pem;
pub mod client_hello;
pub mod config;
pub mod crl;
pub mod deny_list;
pub mod event_stream;
pub mod grpc_call;
pub mod h2_settings;
pub mod head;
pub mod leaf;
pub mod mcp_headers;
pub mod path;
pub mod peer_chain;
pub mod rest_path;
pub mod revocation;
pub mod rpc;
pub mod sealed_id;
pub mod spiffe_id;
pub mod svid_pem;
pub mod workload_api;

mod der;
mod json;
mod message;

/// What a reader made of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// They mean something.
    Accepted,
    /// They do not.
    Refused,
}

impl Verdict {
    fn of<T, E>(result: &Result<T, E>) -> Self {
        match result {
            Ok(_) => Self::Accepted,
            Err(_) => Self::Refused,
        }
    }
}

/// A target by name, for whoever runs all of them.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// As in `targets/<name>.rs` and `corpus/<name>/`.
    pub name: &'static str,
    /// Reads the bytes and panics when an invariant does not hold.
    pub run: fn(&[u8]) -> Verdict,
}

/// Every target.
pub const TARGETS: [Target; 20] = [
    target("bundle_pem", bundle_pem::run),
    target("client_hello", client_hello::run),
    target("config", config::run),
    target("crl", crl::run),
    target("deny_list", deny_list::run),
    target("event_stream", event_stream::run),
    target("grpc_call", grpc_call::run),
    target("h2_settings", h2_settings::run),
    target("head", head::run),
    target("leaf", leaf::run),
    target("mcp_headers", mcp_headers::run),
    target("path", path::run),
    target("peer_chain", peer_chain::run),
    target("rest_path", rest_path::run),
    target("revocation", revocation::run),
    target("rpc", rpc::run),
    target("sealed_id", sealed_id::run),
    target("spiffe_id", spiffe_id::run),
    target("svid_pem", svid_pem::run),
    target("workload_api", workload_api::run),
];

const fn target(name: &'static str, run: fn(&[u8]) -> Verdict) -> Target {
    Target { name, run }
}

#[cfg(test)]
mod tests;
