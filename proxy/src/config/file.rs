//! Configuration exactly as written. Its doc comments are what `pqlane check --schema` says of each field.

mod kx_policy;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use http::uri::Authority;
use pqlane_certs::source::{Endpoint, EndpointError};
use pqlane_certs::spiffe_id::{IdPattern, SpiffeId, TrustDomain};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};
use toml::Spanned;

use super::address::{ListenAddress, PeerAddress, WorkloadAddress};
use super::schema::{IdPatternText, KxGroupText, SpiffeIdText, TrustDomainText};
use crate::limits::Limits;
use crate::ratchet::OnDowngrade;
use crate::record::OnFailure;
pub use kx_policy::{Date, FileKxPolicy};

/// The whole file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileConfig {
    /// Who we are; without it, what the SPIFFE Workload API at `SPIFFE_ENDPOINT_SOCKET` says.
    #[serde(default)]
    pub identity: FileIdentity,
    /// Further identities, by the name that listeners choose them by.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, FileIdentity>")]
    pub identities: BTreeMap<String, Spanned<FileIdentity>>,
    /// Bundle file of each trust domain, with the CRLs of its issuers if it has any. Not with the Workload API,
    /// which brings them.
    #[serde(default)]
    #[schemars(with = "BTreeMap<TrustDomainText, PathBuf>")]
    pub trust: BTreeMap<TrustDomain, PathBuf>,
    /// Key exchange.
    #[serde(default)]
    pub tls: FileTls,
    /// Who is turned away although an allow-list names them.
    #[serde(default)]
    pub revocation: FileRevocation,
    /// Ids that leave sealed.
    #[serde(default)]
    pub sealing: FileSealing,
    /// Directory for what must outlive the process, such as which peers have shown hybrid key exchange.
    pub state_dir: Option<PathBuf>,
    /// Records.
    #[serde(default)]
    pub audit: FileAudit,
    /// Health and metrics.
    pub admin: Option<FileAdmin>,
    /// Threads; by default one for each processor.
    pub workers: Option<NonZeroUsize>,
    /// Bounds.
    #[serde(default = "default_limits")]
    #[schemars(with = "Limits")]
    pub limits: Spanned<Limits>,
    /// Listeners for peers.
    #[serde(default)]
    pub inbound: Vec<FileInbound>,
    /// Listeners for the local workload.
    #[serde(default)]
    pub outbound: Vec<FileOutbound>,
}

/// The table `[identity]`, and each of `[identities.NAME]`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FileIdentity {
    /// PEM chain of the SVID, leaf first.
    #[schemars(with = "Option<PathBuf>")]
    pub svid: Option<Spanned<PathBuf>>,
    /// PEM key of the leaf.
    pub key: Option<PathBuf>,
    /// SPIFFE Workload API that brings SVIDs and bundles; only in `[identity]`.
    #[schemars(with = "Option<WrittenEndpoint>")]
    pub workload_api: Option<Spanned<WrittenEndpoint>>,
    /// Which of the SVIDs that the Workload API brings, by its ID.
    #[schemars(with = "Option<SpiffeIdText>")]
    pub spiffe_id: Option<Spanned<SpiffeId>>,
    /// Which of them, by its hint.
    pub hint: Option<String>,
}

/// Address of a SPIFFE Workload API.
#[derive(Debug, Clone)]
pub struct WrittenEndpoint(pub Endpoint);

impl std::str::FromStr for WrittenEndpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        text.parse().map(Self)
    }
}

impl<'de> Deserialize<'de> for WrittenEndpoint {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// The table `[tls]`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FileTls {
    /// What key exchange is asked for, where neither listener nor peer says otherwise.
    pub kx_policy: FileKxPolicy,
    /// Post-quantum groups, most preferred first.
    #[schemars(with = "Option<Vec<KxGroupText>>")]
    pub kx_groups: Option<Spanned<Vec<String>>>,
    /// What happens to a peer that has shown hybrid key exchange and comes back with classical.
    pub ratchet: OnDowngrade,
    /// Whether sessions are resumed, within five minutes of their full handshake.
    pub resumption: bool,
}

impl Default for FileTls {
    fn default() -> Self {
        Self {
            kx_policy: FileKxPolicy::default(),
            kx_groups: None,
            ratchet: OnDowngrade::default(),
            resumption: true,
        }
    }
}

/// A rule for some peers, `[[inbound.peer]]` or `[[outbound.peer]]`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilePeerRule {
    /// Whom it is about; the first rule that matches holds.
    #[schemars(with = "IdPatternText")]
    pub id: IdPattern,
    /// What key exchange is asked of them.
    pub kx_policy: FileKxPolicy,
}

/// The table `[revocation]`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FileRevocation {
    /// SPIFFE IDs, trust domains and serials, one a line.
    pub deny_list: Option<PathBuf>,
}

/// The table `[sealing]`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FileSealing {
    /// Master keys, one a line as 64 hexadecimal digits or 43 characters of base64url: the first seals, all open.
    /// Replicas share them, and have SPIFFE ID, listener names and backend names in common. Without it one key is
    /// made in `state_dir`, or for as long as the process runs.
    pub keys: Option<PathBuf>,
}

/// The table `[audit]`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FileAudit {
    /// `"stdout"` or a file.
    pub to: AuditTarget,
    /// What happens to calls while records cannot be written.
    pub on_failure: OnFailure,
}

/// Where records go: `stdout` or `-`, or a path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AuditTarget {
    /// A file.
    File(PathBuf),
    /// Standard output.
    #[default]
    Stdout,
}

impl From<String> for AuditTarget {
    fn from(text: String) -> Self {
        match text.as_str() {
            "stdout" | "-" => Self::Stdout,
            _ => Self::File(text.into()),
        }
    }
}

impl<'de> Deserialize<'de> for AuditTarget {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(Self::from)
    }
}

/// The table `[admin]`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileAdmin {
    /// Loopback address or Unix socket.
    #[schemars(with = "ListenAddress")]
    pub listen: Spanned<ListenAddress>,
    /// File with the token that calls over TCP must bear if they change something: 32 bytes or more, mode 0600.
    /// Without it such calls are taken on a Unix socket only.
    pub token_file: Option<PathBuf>,
}

/// One `[[inbound]]`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileInbound {
    /// Label in records and metrics.
    #[schemars(with = "Option<String>")]
    pub name: Option<Spanned<String>>,
    /// Where peers connect to.
    #[schemars(with = "ListenAddress")]
    pub listen: Spanned<ListenAddress>,
    /// Where calls go.
    #[schemars(with = "WorkloadAddress")]
    pub workload: Spanned<WorkloadAddress>,
    /// Where gRPC calls go, if elsewhere.
    #[schemars(with = "Option<WorkloadAddress>")]
    pub grpc_workload: Option<Spanned<WorkloadAddress>>,
    /// Whether MCP session ids leave sealed, so that only the peer that a session belongs to can use it.
    #[serde(default = "sealed")]
    pub seal_sessions: bool,
    /// Further workloads that hold MCP sessions, beside `workload`, whose name is `default`. A call without a session
    /// id goes to each in turn, one with such an id to where its session is.
    #[serde(default)]
    pub backend: Vec<FileBackend>,
    /// Permits a workload on another machine, in plaintext.
    #[serde(default)]
    pub insecure_remote_workload: bool,
    /// Peers that may use the listener.
    #[schemars(with = "Vec<IdPatternText>", length(min = 1))]
    pub allow: Spanned<Vec<IdPattern>>,
    /// In whose name the listener answers: one of `[identities]`.
    #[schemars(with = "Option<String>")]
    pub identity: Option<Spanned<String>>,
    /// What key exchange is asked for, if not that of `[tls]`.
    pub kx_policy: Option<FileKxPolicy>,
    /// Rules for some peers.
    #[serde(default)]
    pub peer: Vec<FilePeerRule>,
    /// Authorities that may be asked for: `HOST`, with any port, or `HOST:PORT`; any by default.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub authorities: Vec<WrittenAuthority>,
    /// Whether the workload sees the `Host` that the caller asked for.
    #[serde(default)]
    pub preserve_host: bool,
    /// Narrower rules for some paths.
    #[serde(default)]
    pub route: Vec<FilePathRoute>,
}

/// One `[[inbound.backend]]`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileBackend {
    /// The name by which sealed session ids lead back to it; the same at every replica.
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// Where its calls go.
    #[schemars(with = "WorkloadAddress")]
    pub workload: Spanned<WorkloadAddress>,
}

/// One `[[inbound.route]]`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilePathRoute {
    /// The path, and all below it.
    #[schemars(with = "String")]
    pub path: Spanned<String>,
    /// Peers that may call it.
    #[schemars(with = "Vec<IdPatternText>", length(min = 1))]
    pub allow: Spanned<Vec<IdPattern>>,
}

/// One `[[outbound]]`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileOutbound {
    /// Label in records and metrics.
    #[schemars(with = "Option<String>")]
    pub name: Option<Spanned<String>>,
    /// Where the local workload connects to.
    #[schemars(with = "ListenAddress")]
    pub listen: Spanned<ListenAddress>,
    /// Permits a listener that other machines reach, in plaintext.
    #[serde(default)]
    pub insecure_remote_listen: bool,
    /// In whose name calls leave: one of `[identities]`.
    #[schemars(with = "Option<String>")]
    pub identity: Option<Spanned<String>>,
    /// The user that may connect to a Unix socket; by default the one we run as.
    #[schemars(with = "Option<u32>")]
    pub uid: Option<Spanned<u32>>,
    /// Programs that may connect to a Unix socket, and in whose name each calls; nobody else then.
    #[serde(default)]
    pub process: Vec<FileProcess>,
    /// What key exchange is asked for, if not that of `[tls]`.
    pub kx_policy: Option<FileKxPolicy>,
    /// Rules for some peers.
    #[serde(default)]
    pub peer: Vec<FilePeerRule>,
    /// Peer of the default route.
    #[schemars(with = "Option<PeerAddress>")]
    pub connect: Option<Spanned<PeerAddress>>,
    /// SPIFFE IDs that may answer there.
    #[schemars(with = "Option<Vec<IdPatternText>>", length(min = 1))]
    pub peers: Option<Spanned<Vec<IdPattern>>>,
    /// Authority that the peer sees; by default `connect`.
    #[serde(default, deserialize_with = "optional_authority")]
    #[schemars(with = "Option<WrittenAuthority>")]
    pub authority: Option<Authority>,
    /// Further routes.
    #[serde(default)]
    pub route: Vec<FilePeer>,
}

/// One `[[outbound.process]]`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileProcess {
    /// The program's file.
    #[schemars(with = "PathBuf")]
    pub executable: Spanned<PathBuf>,
    /// The user it runs as, if that matters.
    pub uid: Option<u32>,
    /// In whose name it calls: one of `[identities]`.
    #[schemars(with = "String")]
    pub identity: Spanned<String>,
}

/// One `[[outbound.route]]`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilePeer {
    /// Asked for as `NAME.localhost`.
    #[schemars(with = "Option<String>")]
    pub name: Option<Spanned<String>>,
    /// Asked for as clients of a proxy do, and seen by the peer.
    pub authority: Option<WrittenAuthority>,
    /// The peer.
    #[schemars(with = "PeerAddress")]
    pub connect: Spanned<PeerAddress>,
    /// SPIFFE IDs that may answer there.
    #[schemars(with = "Vec<IdPatternText>", length(min = 1))]
    pub peers: Spanned<Vec<IdPattern>>,
    /// What key exchange is asked for, if not that of the listener.
    pub kx_policy: Option<FileKxPolicy>,
}

/// An authority, `HOST` or `HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenAuthority(pub Authority);

impl WrittenAuthority {
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl<'de> Deserialize<'de> for WrittenAuthority {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?
            .parse()
            .map(Self)
            .map_err(|_invalid| {
                de::Error::custom("not an authority; accepted are HOST and HOST:PORT")
            })
    }
}

fn optional_authority<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Authority>, D::Error> {
    Ok(Option::<WrittenAuthority>::deserialize(from)?.map(|written| written.0))
}

/// The default of `seal_sessions`.
pub(crate) const fn sealed() -> bool {
    true
}

fn default_limits() -> Spanned<Limits> {
    Spanned::new(0..0, Limits::default())
}
