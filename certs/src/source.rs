//! Where our own identity and the trust bundles come from.
//!
//! Takes the place of the material. Gives an [`Identity`] that is valid now and that our own
//! verifier accepts, or an error that names the place. Never publishes material that was not
//! checked whole: a caller that reloads keeps the last good identity until the next one passes.

mod files;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls_pki_types::UnixTime;

use crate::bundle::{BundleError, TrustBundles};
use crate::clock::Rfc3339;
use crate::spiffe_id::{SpiffeId, TrustDomain};
use crate::svid::{SvidError, X509Svid};
use crate::verifier::PeerError;

pub use files::{FileSource, MAX_FILE_LEN};

/// Our own SVID and the bundles by which peers are judged, loaded and checked together.
#[derive(Clone, Debug)]
pub struct Identity {
    svid: X509Svid,
    bundles: Arc<TrustBundles>,
    warnings: Vec<SourceWarning>,
}

impl Identity {
    /// Our own SVID.
    pub fn svid(&self) -> &X509Svid {
        &self.svid
    }

    /// One bundle for each trust domain.
    pub fn bundles(&self) -> &Arc<TrustBundles> {
        &self.bundles
    }

    /// What the caller should tell the operator about; nothing here stops the identity from use.
    pub fn warnings(&self) -> &[SourceWarning] {
        &self.warnings
    }
}

/// Something about the place of the material that an operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceWarning {
    /// The file mode lets others than the owner read the private key.
    KeyReadableByOthers {
        /// The key file.
        path: PathBuf,
        /// Its permission bits, such as `0o644`.
        mode: u32,
    },
}

impl fmt::Display for SourceWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyReadableByOthers { path, mode } => write!(
                f,
                "{}: the private key has mode {mode:04o} and can be read by group or others; 0600 is expected",
                path.display()
            ),
        }
    }
}

/// Why an identity could not be loaded. Every variant names the file.
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
}
