//! Hybrid post-quantum TLS 1.3 handshakes, without sockets.
//!
//! Takes a [`KxPolicy`], an identity and a certificate verifier; gives rustls configurations that can
//! negotiate nothing weaker than the policy, and a [`HandshakeSummary`] of what was negotiated.
//! It never reads a process-wide default provider, never relies on the order of a peer's offer, and
//! never knows what an identity means: that is `pqlane-certs`.

#![warn(clippy::indexing_slicing)]

pub mod kx;
pub mod kx_class;
pub mod kx_policy;
pub mod provider;

pub mod client_config;
pub mod resumption;
pub mod server_config;

pub mod client_hello;
pub mod flight_meter;
pub mod observation;
pub mod summary;

pub use kx::{Group, Strength};
pub use kx_class::{KxClass, KxClasses};
pub use kx_policy::{KxPolicy, KxPolicyError, Negotiated, PolicyBreach, Requirement};
pub use provider::SignatureProfile;
pub use summary::{HandshakeSummary, NegotiationError, Side};

#[cfg(test)]
mod testing;
