//! What the demo has on disk: one directory of its own, with the authority, the SVIDs, the configuration and
//! the records.

use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use pqlane_certs::authority::{Authority, BUNDLE_FILE, IssueOptions, KeyKind};
use pqlane_certs::clock::SystemClock;
use pqlane_certs::source::{FileSource, SvidFiles};

use super::party::{Party, TRUST_DOMAIN};

/// How long CA and SVIDs last.
const LIFETIME: Duration = Duration::from_secs(24 * 3_600);
/// Directories tried before giving up.
const MAX_ATTEMPTS: u32 = 100;

/// What becomes of the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Afterwards {
    Keep,
    Remove,
}

/// The directory; removed when dropped, unless it is to be kept.
#[derive(Debug)]
pub(super) struct Estate {
    directory: PathBuf,
    afterwards: Afterwards,
}

impl Estate {
    /// Makes the directory, the authority, and an SVID for each party.
    pub(super) fn create(afterwards: Afterwards) -> anyhow::Result<Self> {
        let estate = Self {
            directory: make_directory(&std::env::temp_dir())?,
            afterwards,
        };
        let authority = Authority::create(TRUST_DOMAIN.parse()?, LIFETIME, &SystemClock)?;
        authority.save(&estate.directory.join("ca"))?;
        let options = IssueOptions {
            ttl: LIFETIME,
            key: KeyKind::EcdsaP256,
        };
        for party in Party::ALL {
            let svid = authority.issue(&party.id().parse()?, &options, &SystemClock)?;
            svid.save(&estate.directory.join(party.name()))?;
        }
        Ok(estate)
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn config_path(&self, party: Party) -> PathBuf {
        self.directory.join(format!("{}.toml", party.name()))
    }

    pub(super) fn audit_path(&self, party: Party) -> PathBuf {
        self.directory.join(format!("{}.audit.jsonl", party.name()))
    }

    /// Writes a party's configuration, and says where.
    pub(super) fn write_config(&self, party: Party, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.config_path(party);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// The material that a party's sidecar loads.
    pub(super) fn identity(&self, party: Party) -> anyhow::Result<FileSource> {
        let file = |suffix| self.directory.join(format!("{}{suffix}", party.name()));
        Ok(FileSource {
            svids: vec![SvidFiles {
                name: None,
                svid_path: file(".svid.pem"),
                key_path: file(".key.pem"),
            }],
            bundles: vec![(
                TRUST_DOMAIN.parse()?,
                self.directory.join("ca").join(BUNDLE_FILE),
            )],
        })
    }
}

impl Drop for Estate {
    fn drop(&mut self) {
        if self.afterwards == Afterwards::Remove {
            // It is a temporary directory: what cannot be removed now, the system removes later.
            let _ = std::fs::remove_dir_all(&self.directory);
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
