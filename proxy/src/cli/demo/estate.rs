//! What the demo has on disk: one directory of its own, with the authority and the socket of its Workload API, the
//! configuration and the records.

use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use pqlane_certs::authority::serve::{ServedSvid, Serving, ServingControl};
use pqlane_certs::authority::{Authority, IssueOptions, KeyKind, Serial};
use pqlane_certs::clock::SystemClock;
use pqlane_certs::source::Endpoint;

use super::party::{Party, TRUST_DOMAIN};
use crate::cli::authority::serve::report;
use crate::task;

/// How long the CA lasts.
const CA_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3_600);
/// How long an SVID lasts, which is renewed at half of that.
const SVID_LIFETIME: Duration = Duration::from_secs(3_600);
/// Directories tried before giving up.
const MAX_ATTEMPTS: u32 = 100;

/// What becomes of the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Afterwards {
    Keep,
    Remove,
}

/// The directory, and the authority that serves the Workload API from it for as long as the runtime lives.
#[derive(Debug)]
pub(super) struct Estate {
    directory: Directory,
    endpoint: Endpoint,
    authority: ServingControl,
}

/// A directory that is removed when dropped, unless it is to be kept.
#[derive(Debug)]
struct Directory {
    path: PathBuf,
    afterwards: Afterwards,
}

impl Estate {
    /// Makes the directory and the authority, and serves an SVID for each party.
    pub(super) async fn create(afterwards: Afterwards) -> anyhow::Result<Self> {
        let directory = Directory {
            path: make_directory(&std::env::temp_dir())?,
            afterwards,
        };
        let authority = Authority::create(TRUST_DOMAIN.parse()?, CA_LIFETIME, &SystemClock)?;
        authority.save(&directory.path.join("ca"))?;
        let svids = Party::ALL.into_iter().map(served);
        let svids = svids.collect::<anyhow::Result<_>>()?;
        let socket = std::path::absolute(directory.path.join("workload-api.sock"))?;
        let serving = Serving::bind(authority, svids, &socket, Arc::new(SystemClock)).await?;
        let (endpoint, authority) = (serving.endpoint(), serving.control());
        task::spawn(serving.run(std::future::pending(), report));
        Ok(Self {
            directory,
            endpoint,
            authority,
        })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory.path
    }

    /// The Workload API from which every party has its SVID and the bundle.
    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Renews every SVID now.
    pub(super) fn rotate(&self) -> anyhow::Result<()> {
        self.authority.rotate().context("no new SVIDs")
    }

    /// The serial number of the SVID that a party has from the Workload API at the moment.
    pub(super) fn serial(&self, party: Party) -> anyhow::Result<Serial> {
        let serials = self.authority.serials();
        let found = serials
            .into_iter()
            .find(|(id, _)| id.as_str() == party.id());
        let (_, serial) = found.with_context(|| format!("{} has no SVID", party.name()))?;
        Ok(serial)
    }

    pub(super) fn config_path(&self, party: Party) -> PathBuf {
        self.directory().join(format!("{}.toml", party.name()))
    }

    pub(super) fn audit_path(&self, party: Party) -> PathBuf {
        self.directory()
            .join(format!("{}.audit.jsonl", party.name()))
    }

    /// Writes a party's configuration.
    pub(super) fn write_config(&self, party: Party, text: &str) -> anyhow::Result<()> {
        let path = self.config_path(party);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// What the authority serves to a party; its name is the hint.
fn served(party: Party) -> anyhow::Result<ServedSvid> {
    Ok(ServedSvid {
        id: party.id().parse()?,
        hint: Some(party.name().to_owned()),
        options: IssueOptions {
            ttl: SVID_LIFETIME,
            key: KeyKind::EcdsaP256,
        },
    })
}

impl Drop for Directory {
    fn drop(&mut self) {
        if self.afterwards == Afterwards::Remove {
            // It is a temporary directory: what cannot be removed now, the system removes later.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// Makes a directory that was not there before, for its owner alone.
fn make_directory(parent: &Path) -> anyhow::Result<PathBuf> {
    for attempt in 1..=MAX_ATTEMPTS {
        let name = format!("pqlane-demo-{}-{attempt}", std::process::id());
        let path = parent.join(name);
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(path),
            Err(taken) if taken.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot make {}", path.display()));
            }
        }
    }
    bail!(
        "{} is full of directories of earlier demos; remove pqlane-demo-* there",
        parent.display()
    )
}
