//! Configuration exactly as written.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use http::uri::Authority;
use pqlane_certs::spiffe_id::{IdPattern, TrustDomain};
use serde::{Deserialize, Deserializer, de};
use toml::Spanned;

use super::address::{ListenAddress, PeerAddress, WorkloadAddress};
use crate::limits::Limits;
use crate::record::OnFailure;

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileConfig {
    /// Who we are.
    pub identity: FileIdentity,
    /// Bundle file of each trust domain.
    pub trust: BTreeMap<TrustDomain, PathBuf>,
    /// Key exchange.
    #[serde(default)]
    pub tls: FileTls,
    /// Records.
    #[serde(default)]
    pub audit: FileAudit,
    /// Health and metrics.
    pub admin: Option<FileAdmin>,
    /// Threads; by default one for each processor.
    pub workers: Option<NonZeroUsize>,
    /// Bounds.
    #[serde(default = "default_limits")]
    pub limits: Spanned<Limits>,
    /// Listeners for peers.
    #[serde(default)]
    pub inbound: Vec<FileInbound>,
    /// Listeners for the local workload.
    #[serde(default)]
    pub outbound: Vec<FileOutbound>,
}

/// The table `[identity]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileIdentity {
    /// PEM chain of the SVID, leaf first.
    pub svid: PathBuf,
    /// PEM key of the leaf.
    pub key: PathBuf,
}

/// The table `[tls]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FileTls {
    /// Hybrid groups, most preferred first.
    pub kx_groups: Option<Spanned<Vec<String>>>,
}

/// The table `[audit]`.
#[derive(Debug, Clone, Default, Deserialize)]
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
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileAdmin {
    /// Loopback address or Unix socket.
    pub listen: Spanned<ListenAddress>,
}

/// One `[[inbound]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileInbound {
    /// Label in records and metrics.
    pub name: Option<Spanned<String>>,
    /// Where peers connect to.
    pub listen: Spanned<ListenAddress>,
    /// Where calls go.
    pub workload: Spanned<WorkloadAddress>,
    /// Where gRPC calls go, if elsewhere.
    pub grpc_workload: Option<Spanned<WorkloadAddress>>,
    /// Permits a workload on another machine, in plaintext.
    #[serde(default)]
    pub insecure_remote_workload: bool,
    /// Peers that may use the listener.
    pub allow: Spanned<Vec<IdPattern>>,
    /// Whether the workload sees the `Host` that the caller asked for.
    #[serde(default)]
    pub preserve_host: bool,
    /// Narrower rules for some paths.
    #[serde(default)]
    pub route: Vec<FilePathRoute>,
}

/// One `[[inbound.route]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilePathRoute {
    /// The path, and all below it.
    pub path: Spanned<String>,
    /// Peers that may call it.
    pub allow: Spanned<Vec<IdPattern>>,
}

/// One `[[outbound]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileOutbound {
    /// Label in records and metrics.
    pub name: Option<Spanned<String>>,
    /// Where the local workload connects to.
    pub listen: Spanned<ListenAddress>,
    /// Permits a listener that other machines reach, in plaintext.
    #[serde(default)]
    pub insecure_remote_listen: bool,
    /// Peer of the default route.
    pub connect: Option<Spanned<PeerAddress>>,
    /// SPIFFE IDs that may answer there.
    pub peers: Option<Spanned<Vec<IdPattern>>>,
    /// Authority that the peer sees; by default `connect`.
    #[serde(default, deserialize_with = "optional_authority")]
    pub authority: Option<Authority>,
    /// Further routes.
    #[serde(default)]
    pub route: Vec<FilePeer>,
}

/// One `[[outbound.route]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilePeer {
    /// Asked for as `NAME.localhost`.
    pub name: Option<Spanned<String>>,
    /// Asked for as clients of a proxy do, and seen by the peer.
    pub authority: Option<WrittenAuthority>,
    /// The peer.
    pub connect: Spanned<PeerAddress>,
    /// SPIFFE IDs that may answer there.
    pub peers: Spanned<Vec<IdPattern>>,
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

fn default_limits() -> Spanned<Limits> {
    Spanned::new(0..0, Limits::default())
}
