//! The token that a call must bear to change something over TCP.
//!
//! Takes a file that only its owner can read; tells whether a request bears what is in it (RFC 6750 §2.1). The token
//! is never logged, shown or sent.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use pqlane_certs::secret::SecretToken;

/// The fewest and most bytes of a token.
const MIN_LEN: usize = 32;
const MAX_LEN: usize = 4096;

/// The mode bits that let group or others use a file.
const OTHERS: u32 = 0o077;

/// The token of the admin listener.
#[derive(Debug)]
pub(crate) struct AdminToken(SecretToken);

/// Why a token cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Characters that cannot stand in an `Authorization` field.
    #[error(
        "{}: a token has letters, digits and - . _ ~ + / alone, and perhaps = at its end; `openssl rand -hex 32` makes one",
        path.display()
    )]
    Characters {
        /// The file.
        path: PathBuf,
    },
    /// Others than its owner may use it.
    #[error("{}: mode {mode:04o} lets others than its owner in; 0600 is accepted", path.display())]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file cannot be read.
    #[error("{}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Too short to be secret, or too long to be sent.
    #[error("{}: {len} bytes; {MIN_LEN} to {MAX_LEN} are accepted", path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// How many there are, as far as was read.
        len: usize,
    },
}

impl AdminToken {
    /// Reads a token from a file: its bytes, but a line feed at the end.
    ///
    /// # Errors
    /// [`TokenError`], which says what is accepted.
    pub(crate) fn read(path: &Path) -> Result<Self, TokenError> {
        let failed = |source| TokenError::Read {
            path: path.to_path_buf(),
            source,
        };
        // Before opening: opening a pipe would wait for its writer.
        if !std::fs::metadata(path).map_err(failed)?.is_file() {
            let not_a_file = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
            return Err(failed(not_a_file));
        }
        let mut file = File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
        if mode & OTHERS != 0 {
            let path = path.to_path_buf();
            return Err(TokenError::Mode { path, mode });
        }
        // Room for all of it, so that no copy is left behind where it grows.
        let mut bytes = Vec::with_capacity(MAX_LEN + 2);
        let mut bounded = (&mut file).take(MAX_LEN as u64 + 2);
        bounded.read_to_end(&mut bytes).map_err(failed)?;
        let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let len = line.strip_suffix(b"\r").unwrap_or(line).len();
        bytes.truncate(len);
        if !(MIN_LEN..=MAX_LEN).contains(&len) {
            let path = path.to_path_buf();
            return Err(TokenError::Size { path, len });
        }
        if !is_token68(&bytes) {
            let path = path.to_path_buf();
            return Err(TokenError::Characters { path });
        }
        Ok(Self(SecretToken::new(bytes)))
    }

    /// Whether a request bears it, in the one `Authorization` field that it has.
    pub(super) fn is_borne_by(&self, fields: &HeaderMap) -> bool {
        let mut all = fields.get_all(AUTHORIZATION).iter();
        let (Some(only), None) = (all.next(), all.next()) else {
            return false;
        };
        let (scheme, rest) = only
            .as_bytes()
            .split_at_checked("Bearer ".len())
            .unwrap_or_default();
        scheme.eq_ignore_ascii_case(b"Bearer ") && self.0.matches(rest.trim_ascii())
    }
}

/// RFC 9110 §11.2.
fn is_token68(bytes: &[u8]) -> bool {
    let end = bytes.iter().rposition(|byte| *byte != b'=');
    let end = end.map_or(0, |last| last + 1);
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte);
    end > 0
        && bytes
            .get(..end)
            .is_some_and(|plain| plain.iter().all(is_plain))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    fn read(text: &str, mode: u32) -> Result<AdminToken, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        AdminToken::read(&path).map_err(|error| error.to_string())
    }

    fn bears(values: &[&str]) -> bool {
        let token = read(&format!("{TOKEN}\n"), 0o600).unwrap();
        let mut fields = HeaderMap::new();
        for value in values {
            fields.append(AUTHORIZATION, value.parse().unwrap());
        }
        token.is_borne_by(&fields)
    }

    #[test]
    fn a_file_that_others_can_use_or_that_holds_too_little_is_refused() {
        for mode in [0o640, 0o604, 0o620, 0o610] {
            let error = read(TOKEN, mode).unwrap_err();
            assert!(error.contains("0600 is accepted"), "{error}");
        }
        for text in ["", "\n", &TOKEN[1..], &"a".repeat(MAX_LEN + 1)] {
            let error = read(text, 0o600).unwrap_err();
            assert!(error.contains("32 to 4096"), "{error}");
        }
        for text in [
            format!("{TOKEN} two"),
            "=".repeat(32),
            format!("{TOKEN}\u{e9}"),
        ] {
            let error = read(&text, 0o600).unwrap_err();
            assert!(error.contains("letters, digits"), "{error}");
        }
        assert!(read(TOKEN, 0o400).is_ok());
        assert!(AdminToken::read(Path::new("/dev/null")).is_err());
    }

    #[test]
    fn a_request_bears_the_token_once_and_whole() {
        assert!(bears(&[&format!("Bearer {TOKEN}")]));
        assert!(bears(&[&format!("bearer  {TOKEN}")]));
        let right = format!("Bearer {TOKEN}");
        for wrong in [
            vec![],
            vec![TOKEN],
            vec!["Bearer"],
            vec!["Bearer "],
            vec!["Basic 0123456789abcdef0123456789abcdef"],
            vec!["Bearer 0123456789abcdef0123456789abcdeF"],
            vec!["Bearer 0123456789abcdef0123456789abcde"],
            vec!["Bearer 0123456789abcdef0123456789abcdef0"],
            vec![&right, &right],
        ] {
            assert!(!bears(&wrong), "{wrong:?}");
        }
    }
}
