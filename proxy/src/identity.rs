//! Our own identities, as they come and change.
//!
//! Takes the configured source; gives material that our own verifier accepted, first when there is any and then at
//! each change. Files are looked at again when they change, whatever changes them.

use std::path::PathBuf;
use std::sync::Arc;

use pqlane_certs::clock::Clock;
use pqlane_certs::source::{FileSource, Material, Source, SourceError, WorkloadApiSource};
use pqlane_certs::svid::X509Svid;
use rustls::crypto::CryptoProvider;

use crate::config::{Choice, SourceConfig};
use crate::limits::Limits;
use crate::watch::FileWatch;

/// Where material comes from while the process runs.
#[derive(Debug)]
pub(crate) enum Feed {
    /// PEM files.
    Files {
        source: FileSource,
        watch: FileWatch,
        provider: Arc<CryptoProvider>,
        clock: Arc<dyn Clock>,
    },
    /// A SPIFFE Workload API.
    WorkloadApi(Box<WorkloadApiSource>),
}

impl Feed {
    /// A feed, and the material there is at once: files are there or they are not, an API is asked later.
    ///
    /// # Errors
    /// [`SourceError`] when files do not hold usable material.
    pub(crate) fn start(
        source: &SourceConfig,
        limits: &Limits,
        provider: Arc<CryptoProvider>,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Option<Material>), Box<SourceError>> {
        match source {
            SourceConfig::Files(files) => {
                // Watched first: a change while they are read is seen afterwards.
                let watch = FileWatch::new(paths(files), limits.file_watch);
                let material = files.load(&provider, clock.as_ref())?;
                let feed = Self::Files {
                    source: files.clone(),
                    watch,
                    provider,
                    clock,
                };
                Ok((feed, Some(material)))
            }
            SourceConfig::WorkloadApi(endpoint) => {
                let source = WorkloadApiSource::new(endpoint.clone(), provider, clock);
                Ok((Self::WorkloadApi(Box::new(source)), None))
            }
        }
    }

    /// The next material.
    ///
    /// # Errors
    /// [`SourceError`] about what came and cannot be used; what there is stays, and this can be called again.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Material, SourceError> {
        match self {
            Self::Files {
                source,
                watch,
                provider,
                clock,
            } => {
                watch.changed().await;
                source.load(provider, clock.as_ref())
            }
            Self::WorkloadApi(source) => source.next().await,
        }
    }

    /// Material now, where it need not be waited for.
    ///
    /// # Errors
    /// [`SourceError`] as [`Feed::next`].
    pub(crate) fn reload(&self) -> Option<Result<Material, SourceError>> {
        match self {
            Self::Files {
                source,
                provider,
                clock,
                ..
            } => Some(source.load(provider, clock.as_ref())),
            Self::WorkloadApi(_) => None,
        }
    }
}

fn paths(files: &FileSource) -> Vec<PathBuf> {
    let svids = files
        .svids
        .iter()
        .flat_map(|svid| [svid.svid_path.clone(), svid.key_path.clone()]);
    let bundles = files.bundles.iter().map(|(_, path)| path.clone());
    svids.chain(bundles).collect()
}

/// The SVID that is meant, if the material has it.
pub(crate) fn chosen<'a>(material: &'a Material, choice: &Choice) -> Option<&'a X509Svid> {
    match choice {
        Choice::Default => Some(material.default_svid()),
        Choice::Hint(hint) => material.by_hint(hint),
        Choice::Id(id) => material.by_id(id),
    }
}
