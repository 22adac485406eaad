//! Why a journal cannot be used, said of the very file.

use std::io;
use std::path::{Path, PathBuf};

use super::Entry;

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The system refused.
    #[error("cannot {doing} the {owner} file {}", path.display())]
    Io {
        /// A verb.
        doing: &'static str,
        /// Whose file it is.
        owner: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line that no version of this program wrote, whole or torn.
    #[error(
        "{}, line {line}: {what}; the {owner} file holds one JSON object a line, with \"v\":1 and {members}",
        path.display()
    )]
    NotAnEntry {
        /// Whose file it is.
        owner: &'static str,
        /// What its lines have.
        members: &'static str,
        /// The file.
        path: PathBuf,
        /// Counted from 1, from the place where reading began.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The path leads to a directory, a device or a pipe.
    #[error("{} is not a file: the {owner} needs a regular file", path.display())]
    NotAFile {
        /// Whose file it is.
        owner: &'static str,
        /// What was named.
        path: PathBuf,
    },
    /// Written by a later version of this program.
    #[error(
        "{}, line {line}: version {version} of the {owner} is not known here, only version 1: run the version of \
         pqlane that wrote it, or a later one",
        path.display()
    )]
    UnknownVersion {
        /// Whose file it is.
        owner: &'static str,
        /// The file.
        path: PathBuf,
        /// Counted from 1, from the place where reading began.
        line: u64,
        /// The version.
        version: u64,
    },
}

pub(super) fn not_a_file<E: Entry>(path: &Path) -> JournalError {
    JournalError::NotAFile {
        owner: E::OWNER,
        path: path.to_owned(),
    }
}

pub(super) fn not_an_entry<E: Entry>(path: &Path, line: u64, what: String) -> JournalError {
    JournalError::NotAnEntry {
        owner: E::OWNER,
        members: E::MEMBERS,
        path: path.to_owned(),
        line,
        what,
    }
}

pub(super) fn io_error<'a, E: Entry>(
    doing: &'static str,
    path: &'a Path,
) -> impl Fn(io::Error) -> JournalError + use<'a, E> {
    move |source| JournalError::Io {
        doing,
        owner: E::OWNER,
        path: path.to_owned(),
        source,
    }
}
