//! SPIFFE identities for the lane: who we are, and who the peer has proved to be.
//!
//! Takes PEM and DER bytes from files, from the SPIFFE Workload API and from peers. Gives parsed
//! values that cannot be had unchecked: a [`spiffe_id::SpiffeId`], an [`svid::X509Svid`], a
//! [`verifier::PeerIdentity`]. Opens no socket but that of the Workload API, never reads the
//! environment, never merges the roots of two trust domains.

#![warn(clippy::indexing_slicing)]

pub mod clock;
pub mod spiffe_id;

pub mod leaf;
pub mod svid;

pub mod bundle;
pub mod revocation;
pub mod verifier;

pub mod source;
mod workload_api;

pub mod authority;
pub mod pem_problem;
pub mod secret;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
