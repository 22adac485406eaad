//! The deny-list's file.

use std::io;
use std::path::{Path, PathBuf};

use pqlane_certs::revocation::{self, DenyList, MAX_DENY_LIST_LEN};

use crate::read_file::read_file;

/// Why a deny-list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DenyListError {
    /// An entry that means nothing.
    #[error("{}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Which line, and what is accepted.
        source: revocation::DenyListError,
    },
    /// The file cannot be read.
    #[error("{}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Reads the deny-list; without a file nobody is denied.
pub(super) fn load_deny_list(path: Option<&Path>) -> Result<DenyList, DenyListError> {
    let Some(path) = path else {
        return Ok(DenyList::default());
    };
    let text = read_file(path, MAX_DENY_LIST_LEN).map_err(|source| DenyListError::Read {
        path: path.to_path_buf(),
        source,
    })?;
    DenyList::parse(&text).map_err(|source| DenyListError::Parse {
        path: path.to_path_buf(),
        source,
    })
}
