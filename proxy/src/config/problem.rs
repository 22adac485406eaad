//! What can be wrong with a configuration, and where.

use std::path::PathBuf;

use pqlane_handshake::KxPolicyError;

use super::address::{ListenAddress, WorkloadAddress};

/// What is wrong with a configuration, and where.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A field that can be read but not used.
    #[error("{place}: {field}: {problem}")]
    Field {
        /// Where it stands.
        place: Place,
        /// Its name.
        field: String,
        /// What is wrong with it.
        problem: FieldProblem,
    },
    /// Not TOML, or not this configuration; the message names line, field and what is accepted.
    #[error("{}: {problem}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What the reader says.
        problem: Box<toml::de::Error>,
    },
    /// The file cannot be read.
    #[error("{}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Where a field stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// On the command line.
    CommandLine,
    /// In a file.
    File {
        /// Which.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
    },
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::CommandLine => f.write_str("command line"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
        }
    }
}

/// What is wrong with a field's value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldProblem {
    /// A limit that would stop everything.
    #[error("not usable; accepted is {accepted}")]
    Limit {
        /// What is.
        accepted: &'static str,
    },
    /// Key-exchange groups that are no policy.
    #[error(transparent)]
    KxPolicy(#[from] KxPolicyError),
    /// An empty allow-list.
    #[error("empty, so that nobody could call; name at least one SPIFFE ID or pattern")]
    NobodyAllowed,
    /// No listener at all.
    #[error("nothing to do; configure at least one [[inbound]] or [[outbound]]")]
    NoListener,
    /// An outbound listener that leads nowhere.
    #[error("leads nowhere; give `connect` and `peers`, or at least one [[outbound.route]]")]
    NoRoute,
    /// A plaintext listener that other machines could reach.
    #[error(
        "{address} is not a loopback address, and this side is plaintext; use 127.0.0.1, [::1] or unix:PATH, or {option}"
    )]
    RemoteListen {
        /// Where it would listen.
        address: ListenAddress,
        /// What permits it.
        option: String,
    },
    /// An admin listener that other machines could reach.
    #[error("{0} is not a loopback address; use 127.0.0.1, [::1] or unix:PATH")]
    RemoteAdmin(ListenAddress),
    /// A workload that would be reached in plaintext over a network.
    #[error(
        "{address} is not a loopback address, and this side is plaintext; use 127.0.0.1, [::1] or unix:PATH, or {option}"
    )]
    RemoteWorkload {
        /// Where it is.
        address: WorkloadAddress,
        /// What permits it.
        option: String,
    },
    /// `connect` without `peers`, or the other way round.
    #[error("`connect` and `peers` go together: whom to dial, and who must answer")]
    Incomplete,
    /// A route that nothing could ask for.
    #[error(
        "needs `name` (asked for as NAME.localhost) or `authority` (as clients of a proxy name it)"
    )]
    RouteWithoutName,
    /// An identity of files that lacks one of them, or mixes two sources.
    #[error(
        "give either `svid` and `key`, or `workload_api` with `spiffe_id` or `hint` where it brings several"
    )]
    IdentitySource,
    /// No identity, and no Workload API to ask.
    #[error(
        "no identity: give `svid` and `key`, or `workload_api`, or set SPIFFE_ENDPOINT_SOCKET to the SPIFFE Workload API"
    )]
    NoIdentity,
    /// SPIFFE_ENDPOINT_SOCKET does not hold an address.
    #[error("SPIFFE_ENDPOINT_SOCKET: {0}")]
    EndpointVariable(String),
    /// Bundles in files beside a Workload API that brings them.
    #[error("the Workload API brings the trust bundles; leave [trust] out")]
    TrustTwice,
    /// A listener in the name of nobody.
    #[error("no [identities.{0}] is configured")]
    UnknownIdentity(String),
    /// Callers are told apart on a TCP port, where the kernel does not say who they are.
    #[error("needs a Unix socket (unix:PATH): on a port the kernel does not say who connects")]
    NeedsUnixSocket,
    /// A program by its name only.
    #[error("{0:?} is not an absolute path")]
    NotAbsolute(PathBuf),
    /// A name that is taken, by a listener or a route.
    #[error("{0:?} is used twice; each needs its own")]
    Repeated(String),
    /// A name that is no label of a host name.
    #[error("{0:?} is no host label; accepted are letters, digits and hyphens, at most 63")]
    NotALabel(String),
    /// Several backends, and nothing that leads a session back to its own.
    #[error("several backends need `seal_sessions`: a sealed id names the backend of its session")]
    BackendUnsealed,
    /// A path that could never match.
    #[error("{0:?} must begin with / and be in its plain form")]
    NotAPath(String),
}
