//! Files with master keys: read with their mode checked, or made once.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::error::Unspecified;
use zeroize::Zeroizing;

use super::keyring::{KEY_LEN, MAX_KEY_FILE_LEN, random_key};
use super::{Keyring, KeyringError};

/// Permission bits of a file's mode.
const PERMISSIONS: u32 = 0o7777;

/// What lets everybody read or write, or the group put another key in place.
const OTHERS: u32 = 0o027;

/// What lets the group read or write.
const GROUP: u32 = 0o070;

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It does not hold keys.
    #[error("{}: not a file of sealing keys", path.display())]
    Keys {
        /// The file.
        path: PathBuf,
        /// Why.
        source: KeyringError,
    },
    /// It cannot be made.
    #[error("{}: cannot be made", path.display())]
    Make {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Everybody can read or change it.
    #[error(
        "{}: has mode {mode:04o} and is open to everybody; accepted are 0600 and what is narrower, and 0640",
        path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It cannot be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Keyring {
    /// Reads a key file. One that everybody can read is refused; one that its group can read is used, and the log
    /// says so: that is how Kubernetes mounts a secret for a process that is not root.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let failed = |source| KeyFileError::Read {
            path: path.to_path_buf(),
            source,
        };
        let (text, mode) = read_secret(path).map_err(failed)?;
        if mode & OTHERS != 0 {
            let path = path.to_path_buf();
            return Err(KeyFileError::Open { path, mode });
        }
        if mode & GROUP != 0 {
            let path = path.display();
            tracing::warn!("{path}: the sealing keys have mode {mode:04o}; 0600 is expected");
        }
        Self::parse(&text).map_err(|source| KeyFileError::Keys {
            path: path.to_path_buf(),
            source,
        })
    }

    /// Reads a key file, and first makes it, with one new key and mode 0600, if there is none. Of several
    /// processes that make it at once one wins, and all read what it wrote.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn read_or_make(path: &Path) -> Result<Self, KeyFileError> {
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make(path).map_err(|source| KeyFileError::Make {
                    path: path.to_path_buf(),
                    source,
                })?;
            }
            _ => {}
        }
        Self::read(path)
    }
}

/// A file's bytes and permission bits. Both are of the file that was opened, whatever the path leads to by then.
fn read_secret(path: &Path) -> io::Result<(Zeroizing<Vec<u8>>, u32)> {
    // Before opening: opening a pipe would wait for its writer.
    if !fs::metadata(path)?.is_file() {
        let not_a_file = "not a regular file";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, not_a_file));
    }
    let file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode() & PERMISSIONS;
    // The whole capacity at once: a buffer that grows leaves copies of the keys behind.
    let mut text = Zeroizing::new(Vec::with_capacity(MAX_KEY_FILE_LEN + 1));
    let beyond = (MAX_KEY_FILE_LEN + 1) as u64;
    file.take(beyond).read_to_end(&mut text)?;
    Ok((text, mode))
}

/// Writes a new file beside `path`, and gives it that name unless another has it by then.
fn make(path: &Path) -> io::Result<()> {
    let text = new_key_line().map_err(io::Error::other)?;
    // A name of its own each time: what a crash left behind must not stand in the way.
    let mut random = [0; 8];
    aws_lc_rs::rand::fill(&mut random).map_err(io::Error::other)?;
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{:016x}.new", u64::from_be_bytes(random)));
    let temporary = PathBuf::from(name);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(&text)?;
            file.sync_all()
        });
    // A second name for the same file, unlike a rename, never takes the place of another.
    let linked = match written.and_then(|()| fs::hard_link(&temporary, path)) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    };
    // If it stays, it is a file of mode 0600 that nobody reads; the error that matters is the other one.
    let _ = fs::remove_file(&temporary);
    linked?;
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    File::open(directory)?.sync_all()
}

fn new_key_line() -> Result<Zeroizing<Vec<u8>>, Unspecified> {
    let key = random_key()?;
    let mut line = Zeroizing::new(Vec::with_capacity(2 * KEY_LEN + 1));
    for octet in key.iter() {
        for digit in [octet >> 4, octet & 15] {
            line.push(match digit {
                0..=9 => b'0' + digit,
                _ => b'a' + (digit - 10),
            });
        }
    }
    line.push(b'\n');
    Ok(line)
}
