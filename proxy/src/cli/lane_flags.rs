//! Flags that `inbound` and `outbound` share.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use pqlane_certs::spiffe_id::TrustDomain;
use toml::Spanned;

use crate::config::ListenAddress;
use crate::config::file::{
    AuditTarget, FileAdmin, FileAudit, FileConfig, FileIdentity, FileInbound, FileOutbound, FileTls,
};
use crate::limits::Limits;

#[derive(Debug, Args)]
pub(super) struct LaneFlags {
    /// PEM chain of the own SVID, leaf first
    #[arg(long, value_name = "FILE")]
    svid: PathBuf,
    /// PEM key of the own SVID
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Trust bundle of a domain; repeat for each domain
    #[arg(long, value_name = "DOMAIN=FILE", required = true)]
    bundle: Vec<BundleFlag>,
    /// Hybrid key-exchange group, most preferred first; repeatable [default: X25519MLKEM768]
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
                svid: self.svid,
                key: self.key,
            },
            trust: self
                .bundle
                .into_iter()
                .map(|BundleFlag(domain, path)| (domain, path))
                .collect(),
            tls: FileTls {
                kx_groups: match self.kx_group.is_empty() {
                    true => None,
                    false => Some(flag(self.kx_group)),
                },
            },
            audit: FileAudit {
                to: AuditTarget::from(self.audit),
                ..FileAudit::default()
            },
            admin: self.admin.map(|listen| FileAdmin {
                listen: flag(listen),
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
