//! Where our own identity and the trust bundles come from.
//!
//! Takes the place of the material. Gives a [`Material`] that is valid now and that our own
//! verifier accepts, or an error that names the place. Never publishes material that was not
//! checked whole: a caller that reloads keeps the last good one until the next one passes.

mod backoff;
mod files;
mod material;
#[cfg(test)]
mod tests;
pub mod workload_api;

use std::fmt;
use std::future::Future;
use std::path::PathBuf;

use rustls_pki_types::UnixTime;

use crate::bundle::{BundleError, BundleWarning};
use crate::clock::Rfc3339;
use crate::spiffe_id::{SpiffeId, TrustDomain};
use crate::svid::SvidError;
use crate::verifier::PeerError;

pub use files::{FileSource, MAX_FILE_LEN, SvidFiles};
pub use material::{MAX_BUNDLES, MAX_SVIDS, Material, MaterialError, NamedSvid};
pub use workload_api::{Endpoint, EndpointError, WorkloadApiError, WorkloadApiSource};

/// A place from which material comes, again and again.
pub trait Source: Send {
    /// The first material as soon as there is any, and afterwards each change of it.
    ///
    /// An error is a problem to report, never the end: the caller keeps what it has and asks again. How long
    /// to wait before a further attempt is decided in here, so the caller asks again at once.
    ///
    /// # Errors
    /// [`SourceError`]: the place cannot be reached, gives nothing, or gives what our own verifier refuses.
    ///
    /// # Cancel safety
    /// Material is lost only with the whole source: if the future is dropped, the next call gives what this
    /// one would have given.
    fn next(&mut self) -> impl Future<Output = Result<Material, SourceError>> + Send;
}

/// Something about the place of the material that an operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceWarning {
    /// Something about a bundle that is in use.
    Bundle {
        /// Whose bundle.
        trust_domain: TrustDomain,
        /// What about it.
        warning: BundleWarning,
    },
    /// The bundle of a foreign trust domain was left out: its members are refused, all else goes on.
    FederatedBundle {
        /// Whose bundle, as the source names it, cut to 256 characters.
        trust_domain: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The file mode lets others than the owner read the private key.
    KeyReadableByOthers {
        /// The key file.
        path: PathBuf,
        /// Its permission bits, such as `0o644`.
        mode: u32,
    },
    /// Revocation lists that are in use say something against an SVID of ours: peers refuse it.
    OwnRevocation {
        /// Whose SVID.
        id: SpiffeId,
        /// What they say.
        problem: String,
    },
}

impl fmt::Display for SourceWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bundle {
                trust_domain,
                warning,
            } => write!(f, "the bundle of {trust_domain}: {warning}"),
            Self::FederatedBundle {
                trust_domain,
                problem,
            } => write!(
                f,
                "the bundle of {trust_domain:?} is left out, and its members are refused: {problem}"
            ),
            Self::KeyReadableByOthers { path, mode } => write!(
                f,
                "{}: the private key has mode {mode:04o} and can be read by group or others; 0600 is expected",
                path.display()
            ),
            Self::OwnRevocation { id, problem } => write!(
                f,
                "our own SVID of {id} is used, and peers with the same revocation lists refuse it: {problem}"
            ),
        }
    }
}

/// Why there is no new material. Every variant names the file or the endpoint.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A bundle file does not hold a trust bundle.
    #[error("{}: not the trust bundle of {trust_domain}", path.display())]
    Bundle {
        /// The bundle file.
        path: PathBuf,
        /// Whose bundle it should be.
        trust_domain: TrustDomain,
        /// Why.
        #[source]
        source: BundleError,
    },
    /// Our own SVID is no longer valid.
    #[error("{}: the SVID of {id} expired at {}", path.display(), Rfc3339(*not_after))]
    Expired {
        /// The SVID file.
        path: PathBuf,
        /// Our ID.
        id: SpiffeId,
        /// The last second at which it was valid.
        not_after: UnixTime,
    },
    /// The key file does not hold the key of the SVID.
    #[error("{}: not the private key of the SVID in {}", path.display(), svid_path.display())]
    Key {
        /// The key file.
        path: PathBuf,
        /// The SVID file.
        svid_path: PathBuf,
        /// Why.
        #[source]
        source: SvidError,
    },
    /// No SVID is named at all.
    #[error("no SVID is named: at least one is needed")]
    NoSvid,
    /// The path leads to a directory, a pipe or a device.
    #[error("{}: not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Our own SVID is not valid yet.
    #[error("{}: the SVID of {id} is not valid before {}", path.display(), Rfc3339(*not_before))]
    NotYetValid {
        /// The SVID file.
        path: PathBuf,
        /// Our ID.
        id: SpiffeId,
        /// The first second at which it will be valid.
        not_before: UnixTime,
    },
    /// A file cannot be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Our own verifier would refuse the SVID under the bundle of its own trust domain.
    #[error(
        "{}: a peer with the bundle in {} would refuse this SVID",
        path.display(),
        bundle_path.display()
    )]
    Refused {
        /// The SVID file.
        path: PathBuf,
        /// The bundle file of our own trust domain.
        bundle_path: PathBuf,
        /// Why it would be refused.
        #[source]
        source: Box<PeerError>,
    },
    /// The SVID file does not hold an X.509-SVID.
    #[error("{}: not an X.509-SVID chain", path.display())]
    Svid {
        /// The SVID file.
        path: PathBuf,
        /// Why.
        #[source]
        source: SvidError,
    },
    /// A file is longer than [`MAX_FILE_LEN`].
    #[error("{}: longer than {MAX_FILE_LEN} bytes, the most that is read", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// A Workload API gives no material, or material that cannot be used.
    #[error("Workload API at {endpoint}")]
    WorkloadApi {
        /// Where it is.
        endpoint: Endpoint,
        /// Why.
        #[source]
        source: Box<WorkloadApiError>,
    },
}
