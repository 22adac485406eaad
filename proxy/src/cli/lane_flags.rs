//! Flags that `inbound` and `outbound` share.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use pqlane_certs::spiffe_id::{SpiffeId, TrustDomain};
use toml::Spanned;

use crate::config::ListenAddress;
use crate::config::file::{
    AuditTarget, FileAdmin, FileAudit, FileConfig, FileIdentity, FileInbound, FileKxPolicy,
    FileOutbound, FileRevocation, FileSealing, FileTls, WrittenEndpoint,
};
use crate::limits::Limits;

#[derive(Debug, Args)]
pub(super) struct LaneFlags {
    /// PEM chain of the own SVID, leaf first [default: what the SPIFFE Workload API brings]
    #[arg(long, value_name = "FILE", requires_all = ["key", "bundle"])]
    svid: Option<PathBuf>,
    /// PEM key of the own SVID
    #[arg(long, value_name = "FILE", requires = "svid")]
    key: Option<PathBuf>,
    /// Trust bundle of a domain; repeat for each domain
    #[arg(long, value_name = "DOMAIN=FILE", requires = "svid")]
    bundle: Vec<BundleFlag>,
    /// SPIFFE Workload API: unix:PATH or tcp://IP:PORT [default: $SPIFFE_ENDPOINT_SOCKET]
    #[arg(long, value_name = "ENDPOINT", conflicts_with = "svid")]
    workload_api: Option<WrittenEndpoint>,
    /// Which of the SVIDs that it brings
    #[arg(long, value_name = "ID", conflicts_with = "svid")]
    spiffe_id: Option<SpiffeId>,
    /// What key exchange is asked for: require-hybrid, prefer-hybrid, allow-classical-until=DATE or cnsa
    #[arg(long, value_name = "POLICY", default_value = "require-hybrid")]
    kx_policy: FileKxPolicy,
    /// Who is turned away although allowed: SPIFFE IDs, trust domains and serials, one a line
    #[arg(long, value_name = "FILE")]
    deny_list: Option<PathBuf>,
    /// Directory for what must outlive the process
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Post-quantum key-exchange group, most preferred first; repeatable [default: X25519MLKEM768]
    #[arg(long, value_name = "GROUP")]
    kx_group: Vec<String>,
    /// Where audit records go: a file, or - for standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    audit: String,
    /// Loopback address or unix:PATH for /livez, /readyz and /metrics
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<ListenAddress>,
    /// Threads [default: one for each processor]
    #[arg(long, value_name = "N")]
    workers: Option<NonZeroUsize>,
}

#[derive(Debug, Clone)]
struct BundleFlag(TrustDomain, PathBuf);

impl FromStr for BundleFlag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (domain, path) = text
            .split_once('=')
            .ok_or("accepted is DOMAIN=FILE, such as example.org=bundle.pem")?;
        let domain = domain
            .parse()
            .map_err(|error: pqlane_certs::spiffe_id::SpiffeIdError| error.to_string())?;
        Ok(Self(domain, path.into()))
    }
}

impl LaneFlags {
    /// The flags as a file with these listeners would say it.
    pub(super) fn into_file(
        self,
        inbound: Vec<FileInbound>,
        outbound: Vec<FileOutbound>,
    ) -> FileConfig {
        FileConfig {
            identity: FileIdentity {
                svid: self.svid.map(flag),
                key: self.key,
                workload_api: self.workload_api.map(flag),
                spiffe_id: self.spiffe_id.map(flag),
                hint: None,
            },
            identities: BTreeMap::new(),
            trust: self
                .bundle
                .into_iter()
                .map(|BundleFlag(domain, path)| (domain, path))
                .collect(),
            tls: FileTls {
                kx_policy: self.kx_policy,
                kx_groups: match self.kx_group.is_empty() {
                    true => None,
                    false => Some(flag(self.kx_group)),
                },
                ..FileTls::default()
            },
            revocation: FileRevocation {
                deny_list: self.deny_list,
            },
            sealing: FileSealing::default(),
            state_dir: self.state_dir,
            audit: FileAudit {
                to: AuditTarget::from(self.audit),
                ..FileAudit::default()
            },
            admin: self.admin.map(|listen| FileAdmin {
                listen: flag(listen),
                token_file: None,
            }),
            workers: self.workers,
            limits: flag(Limits::default()),
            inbound,
            outbound,
        }
    }
}

/// A value from the command line, which has no place in a file.
pub(super) fn flag<T>(value: T) -> Spanned<T> {
    Spanned::new(0..0, value)
}
