//! An authority and its SVIDs on disk.
//!
//! A directory holds `ca.pem`, `ca.key` (mode 0600) and `bundle.pem`, and with an intermediate CA also
//! `intermediate.pem` and `intermediate.key` (mode 0600). An SVID with the prefix
//! `run/planner` is `run/planner.svid.pem` and `run/planner.key.pem` (mode 0600).

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use zeroize::Zeroizing;

use super::{Authority, AuthorityError, IssuedSvid};
use crate::clock::Clock;

/// The CA certificate within an authority's directory.
pub const CERTIFICATE_FILE: &str = "ca.pem";

/// The CA key within an authority's directory.
pub const KEY_FILE: &str = "ca.key";

/// The intermediate CA's certificate within an authority's directory, if there is one.
pub const INTERMEDIATE_FILE: &str = "intermediate.pem";

/// The intermediate CA's key within an authority's directory, if there is one.
pub const INTERMEDIATE_KEY_FILE: &str = "intermediate.key";

/// The trust bundle within an authority's directory; the one file to hand out.
pub const BUNDLE_FILE: &str = "bundle.pem";

/// The most bytes that are read from one file.
const MAX_FILE_LEN: u64 = 64 * 1024;

/// Owner may read and write.
const SECRET: u32 = 0o600;

/// Owner may read and write, others read.
const PUBLIC: u32 = 0o644;

impl Authority {
    /// Writes the CA into `dir`, which is made if needed. Overwrites nothing: either all
    /// files are new or none is left behind.
    ///
    /// # Errors
    /// [`AuthorityFileError::AlreadyExists`] names the file that is there;
    /// [`AuthorityFileError::Write`] what could not be written.
    pub fn save(&self, dir: &Path) -> Result<(), AuthorityFileError> {
        fs::create_dir_all(dir).map_err(|source| AuthorityFileError::Write {
            path: dir.to_owned(),
            source,
        })?;
        let pem = self.to_pem();
        let bundle = self.bundle_pem();
        let mut files = vec![
            (KEY_FILE, pem.key_pem.as_bytes(), SECRET),
            (CERTIFICATE_FILE, pem.certificate_pem.as_bytes(), PUBLIC),
            (BUNDLE_FILE, bundle.as_bytes(), PUBLIC),
        ];
        if let Some((certificate, key)) = &pem.intermediate {
            files.push((INTERMEDIATE_KEY_FILE, key.as_bytes(), SECRET));
            files.push((INTERMEDIATE_FILE, certificate.as_bytes(), PUBLIC));
        }
        let mut written: Vec<PathBuf> = Vec::new();
        for (name, bytes, mode) in files {
            let path = dir.join(name);
            if let Err(error) = write_new(&path, bytes, mode) {
                for path in &written {
                    // What matters to the user is the error that stopped us.
                    let _ = fs::remove_file(path);
                }
                return Err(error);
            }
            written.push(path);
        }
        Ok(())
    }

    /// Takes up the CA in `dir`, for the trust domain that its certificate names.
    ///
    /// # Errors
    /// [`AuthorityFileError::Read`] for a file that cannot be read, and
    /// [`AuthorityFileError::Authority`] for files that are not those of a CA that is valid now.
    pub fn open(dir: &Path, clock: &dyn Clock) -> Result<Self, AuthorityFileError> {
        let certificate = read(&dir.join(CERTIFICATE_FILE))?;
        let key = read(&dir.join(KEY_FILE))?;
        let path = dir.join(INTERMEDIATE_FILE);
        let intermediate = match path.exists() {
            true => Some((read(&path)?, read(&dir.join(INTERMEDIATE_KEY_FILE))?)),
            false => None,
        };
        Self::decode(&certificate, &key)
            .and_then(|root| match &intermediate {
                Some((certificate, key)) => root.with_intermediate_pem(certificate, key),
                None => Ok(root),
            })
            .and_then(|authority| {
                authority.check_valid_at(clock.now())?;
                Ok(authority)
            })
            .map_err(|source| AuthorityFileError::Authority {
                path: dir.to_owned(),
                source,
            })
    }
}

impl IssuedSvid {
    /// Writes `PREFIX.svid.pem` and `PREFIX.key.pem` (mode 0600), replacing older ones.
    ///
    /// Each file is replaced whole by a rename, the key first. A reader between the two sees a
    /// key that does not belong to the leaf, refuses the pair and finds it whole the next time.
    /// Gives the paths of the SVID and of its key.
    ///
    /// # Errors
    /// [`AuthorityFileError::Write`] names the file that could not be written.
    pub fn save(&self, prefix: &Path) -> Result<(PathBuf, PathBuf), AuthorityFileError> {
        let svid_path = with_suffix(prefix, ".svid.pem");
        let key_path = with_suffix(prefix, ".key.pem");
        replace(&key_path, self.key_pem.as_bytes(), SECRET)?;
        replace(&svid_path, self.chain_pem.as_bytes(), PUBLIC)?;
        Ok((svid_path, key_path))
    }
}

/// `path` with `suffix` after its last component.
fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), AuthorityFileError> {
    let failed = |source: std::io::Error| match source.kind() {
        ErrorKind::AlreadyExists => AuthorityFileError::AlreadyExists {
            path: path.to_owned(),
        },
        _ => AuthorityFileError::Write {
            path: path.to_owned(),
            source,
        },
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(failed)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.map_err(|error| {
        // Half a key is of no use, and the error above says what happened.
        let _ = fs::remove_file(path);
        failed(error)
    })
}

/// Writes a new file beside `path` and renames it there.
fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), AuthorityFileError> {
    let failed = |source| AuthorityFileError::Write {
        path: path.to_owned(),
        source,
    };
    // A name of its own each time: what a crash left behind must not stand in the way.
    let mut random = [0; 8];
    rand::fill(&mut random).map_err(|unspecified| failed(std::io::Error::other(unspecified)))?;
    let temporary = with_suffix(path, &format!(".{:016x}.new", u64::from_be_bytes(random)));
    write_new(&temporary, bytes, mode)?;
    fs::rename(&temporary, path).map_err(|source| {
        // What matters to the user is that the rename failed.
        let _ = fs::remove_file(&temporary);
        failed(source)
    })
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, AuthorityFileError> {
    let failed = |source| AuthorityFileError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len();
    if len > MAX_FILE_LEN {
        return Err(AuthorityFileError::TooLong {
            path: path.to_owned(),
        });
    }
    let capacity = usize::try_from(len + 1).unwrap_or_default();
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    file.take(MAX_FILE_LEN)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(bytes)
}

/// Why an authority or an SVID could not be read from disk or written to it.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityFileError {
    /// A file is there already.
    #[error("{}: exists already and is not overwritten; choose another directory", path.display())]
    AlreadyExists {
        /// The file.
        path: PathBuf,
    },
    /// The files are not those of an authority that can be used.
    #[error("{}: not a usable authority", path.display())]
    Authority {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: AuthorityError,
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
    /// A file is too long for a certificate or key.
    #[error("{}: longer than {MAX_FILE_LEN} bytes, the most that is read", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be written.
    #[error("{}: cannot be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}
