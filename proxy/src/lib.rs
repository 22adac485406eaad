//! A post-quantum lane for AI agents.
//!
//! The modules stand in the order in which a call meets them: a connection is accepted, TLS establishes who
//! the peer is, a session holds its calls; each call is gathered and read, permitted by a route, recorded, and
//! forwarded. `inbound.rs` and `outbound.rs` tell the two stories from beginning to end.
//!
//! After `routes` lies the seam for what verifies delegation and decides by policy: each will take the value of
//! the stage before it and give one that the next needs.

mod accept;
mod caller;
mod transport;

mod peer_policy;
pub mod ratchet;
mod refusals;
mod tls;

mod lifetime;
mod session;

mod gather;

mod call;

mod mcp_session;
mod routes;

mod body;
mod forward;
mod headers;
mod pool;
mod prompt;

mod guard;
mod lane;
mod record;
mod remediation;
mod revocations;

pub mod seal;

mod crew;
mod head_clock;
mod inbound;
mod multiplex;
mod outbound;
mod serve;

pub mod config;
pub mod limits;

pub mod app;
pub mod deny;
mod drain;
mod identity;
pub mod journal;
mod live;
mod read_file;
mod readiness;
mod watch;

pub mod admin;
pub mod metrics;
pub mod telemetry;

mod clock;
mod task;

pub mod cli;
pub mod hostile;
