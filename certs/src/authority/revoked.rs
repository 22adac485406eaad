//! Which certificates are revoked: serial numbers, the file that holds them, and the lists that say so.
//!
//! The file has one serial number a line, in hexadecimal; what follows `#` is a remark.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, RevocationReason, RevokedCertParams, SerialNumber,
};
use rustls_pki_types::{CertificateRevocationListDer, UnixTime};

use super::{Authority, AuthorityError, Ca};
use crate::leaf::Validity;

/// The serial numbers of revoked certificates within an authority's directory.
pub const REVOKED_FILE: &str = "revoked.txt";

/// The most serial numbers that an authority revokes.
pub const MAX_REVOKED: usize = 10_000;

/// The most bytes in a serial number. Spec: RFC 5280 §4.1.2.2.
const MAX_SERIAL_LEN: usize = 20;

/// The most bytes that are read from the file.
const MAX_FILE_LEN: u64 = 1024 * 1024;

/// The serial number of a certificate: 1 to 20 bytes, most significant first, none of them a leading zero.
///
/// Reads hexadecimal, with or without colons.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(Vec<u8>);

impl Serial {
    /// The number in these bytes, most significant first.
    ///
    /// # Errors
    /// [`SerialError`] for none, only zeros, or more than 20 of them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SerialError> {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let significant = bytes.get(zeros..).unwrap_or_default();
        if !(1..=MAX_SERIAL_LEN).contains(&significant.len()) {
            return Err(SerialError);
        }
        Ok(Self(significant.to_vec()))
    }
}

impl FromStr for Serial {
    type Err = SerialError;

    fn from_str(text: &str) -> Result<Self, SerialError> {
        let digits: Option<Vec<u8>> = text
            .chars()
            .filter(|character| *character != ':')
            .map(|digit| u8::try_from(digit.to_digit(16)?).ok())
            .collect();
        let mut digits = digits.ok_or(SerialError)?;
        if digits.len() % 2 == 1 {
            digits.insert(0, 0);
        }
        let bytes: Vec<u8> = digits
            .chunks_exact(2)
            .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
            .collect();
        Self::from_bytes(&bytes)
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({self})")
    }
}

/// A text or bytes that are not a [`Serial`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a serial number: 1 to 20 bytes in hexadecimal, above 0, are accepted")]
pub struct SerialError;

/// Adds a serial number to the file of the authority in `dir`. A process that serves that authority takes it up.
///
/// # Errors
/// [`RevokedFileError::Write`] names the file.
pub(super) fn append(dir: &Path, serial: &Serial) -> Result<(), RevokedFileError> {
    let path = dir.join(REVOKED_FILE);
    // One write to a file that is open for appending is not torn by another.
    let written = OpenOptions::new()
        .append(true)
        .create(true)
        .open(&path)
        .and_then(|mut file| file.write_all(format!("{serial}\n").as_bytes()));
    written.map_err(|source| RevokedFileError::Write { path, source })
}

/// All serial numbers in the file of the authority in `dir`; none if there is no file.
pub(super) fn read(dir: &Path) -> Result<Vec<Serial>, RevokedFileError> {
    let path = dir.join(REVOKED_FILE);
    let mut text = String::new();
    let file = match OpenOptions::new().read(true).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(RevokedFileError::Read { path, source }),
    };
    let mut bounded = file.take(MAX_FILE_LEN);
    match bounded.read_to_string(&mut text) {
        Ok(_) if bounded.limit() > 0 => {}
        Ok(_) => return Err(RevokedFileError::TooLong { path }),
        Err(source) => return Err(RevokedFileError::Read { path, source }),
    }
    let mut serials = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = line.split('#').next().unwrap_or_default().trim();
        if number.is_empty() {
            continue;
        }
        serials.push(number.parse().map_err(|source| RevokedFileError::Line {
            path: path.clone(),
            line: index + 1,
            source,
        })?);
    }
    if serials.len() > MAX_REVOKED {
        return Err(RevokedFileError::TooLong { path });
    }
    Ok(serials)
}

impl Authority {
    /// Adds a serial number to the file of revoked ones in an authority's directory. A process that serves that
    /// authority takes it up.
    ///
    /// # Errors
    /// [`RevokedFileError::Write`] names the file.
    pub fn revoke_in(dir: &Path, serial: &Serial) -> Result<(), RevokedFileError> {
        append(dir, serial)
    }

    /// The serial numbers in an authority's directory that are revoked; none if there is no such file.
    ///
    /// # Errors
    /// [`RevokedFileError`] names the file and the line.
    pub fn revoked_in(dir: &Path) -> Result<Vec<Serial>, RevokedFileError> {
        read(dir)
    }

    /// One CRL of each CA, valid from now for `ttl` but no longer than the CA. Each lists all of `revoked`.
    /// Spec: RFC 5280 §5.
    pub(super) fn sign_crls(
        &self,
        revoked: &BTreeMap<Serial, UnixTime>,
        number: u64,
        now: UnixTime,
        ttl: Duration,
    ) -> Result<Vec<CertificateRevocationListDer<'static>>, AuthorityError> {
        let validity = Validity::starting(now, ttl)?.intersect(self.validity());
        let all = [Some(&self.root), self.intermediate.as_ref()];
        all.into_iter()
            .flatten()
            .map(|ca| sign_crl(ca, revoked, number, validity))
            .collect()
    }
}

fn sign_crl(
    ca: &Ca,
    revoked: &BTreeMap<Serial, UnixTime>,
    number: u64,
    validity: Validity,
) -> Result<CertificateRevocationListDer<'static>, AuthorityError> {
    let ttl = || AuthorityError::Ttl {
        ttl: Duration::ZERO,
    };
    let (this_update, next_update) = validity.dates().ok_or_else(ttl)?;
    let revoked_certs: Option<Vec<RevokedCertParams>> = revoked
        .iter()
        .map(|(serial, at)| {
            Some(RevokedCertParams {
                serial_number: SerialNumber::from_slice(&serial.0),
                revocation_time: super::date(*at)?,
                reason_code: Some(RevocationReason::CessationOfOperation),
                invalidity_date: None,
            })
        })
        .collect();
    let params = CertificateRevocationListParams {
        this_update,
        next_update,
        crl_number: SerialNumber::from(number),
        issuing_distribution_point: None,
        revoked_certs: revoked_certs.ok_or_else(ttl)?,
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let signed = params.signed_by(&ca.issuer()?);
    signed.map(Into::into).map_err(AuthorityError::Generate)
}

/// Why the file of revoked serial numbers cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RevokedFileError {
    /// A line is not a serial number.
    #[error("{}: line {line}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is accepted.
        #[source]
        source: SerialError,
    },
    /// The file cannot be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file has more than 1 MiB or more than [`MAX_REVOKED`] serial numbers.
    #[error("{}: longer than 1 MiB or {MAX_REVOKED} serial numbers, the most that are read", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be written.
    #[error("{}: cannot be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_serial_numbers_as_other_tools_write_them() {
        for text in ["0a1b", "0A:1B", "a1b", "00:00:0a:1b"] {
            let serial: Serial = text.parse().unwrap();
            assert_eq!(serial.to_string(), "0a1b");
        }
        for text in ["", "00", "xyz", "0x12", &"ff".repeat(21)] {
            assert_eq!(text.parse::<Serial>(), Err(SerialError), "{text}");
        }
    }

    #[test]
    fn what_is_revoked_in_a_directory_is_found_there() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Authority::revoked_in(dir.path()).unwrap(), []);
        for text in ["0a1b", "ff"] {
            Authority::revoke_in(dir.path(), &text.parse().unwrap()).unwrap();
        }
        let file = dir.path().join(REVOKED_FILE);
        let remark = std::fs::read_to_string(&file).unwrap() + "# a remark\n\n 01 # lost laptop\n";
        std::fs::write(&file, remark).unwrap();
        let found: Vec<String> = Authority::revoked_in(dir.path())
            .unwrap()
            .iter()
            .map(Serial::to_string)
            .collect();
        assert_eq!(found, ["0a1b", "ff", "01"]);

        std::fs::write(&file, "0a\nzz\n").unwrap();
        let error = Authority::revoked_in(dir.path()).unwrap_err();
        assert!(
            error.to_string().ends_with("revoked.txt: line 2"),
            "{error}"
        );
    }
}
