//! Why a text is no deny-list, or no part of one.

use super::{MAX_DENY_ENTRIES, MAX_DENY_LIST_LEN, MAX_SERIAL_LEN};
use crate::spiffe_id::SpiffeIdError;

/// Why a text is not a deny-list. Lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DenyListError {
    /// A line is not UTF-8.
    #[error("line {line} of the deny-list is not UTF-8 text")]
    NotText {
        /// Which line.
        line: usize,
        /// Where in it.
        #[source]
        source: std::str::Utf8Error,
    },
    /// What follows `serial:` is not a serial number.
    #[error(
        "line {line} of the deny-list has no serial number: hexadecimal of at most {MAX_SERIAL_LEN} octets is accepted, serial:0A1B2C or serial:0A:1B:2C, and after a space a trust domain such as spiffe://example.org"
    )]
    Serial {
        /// Which line.
        line: usize,
    },
    /// A serial number is bound to an ID.
    #[error(
        "line {line} of the deny-list binds a serial number to an ID: a trust domain such as spiffe://example.org is accepted there"
    )]
    SerialOfId {
        /// Which line.
        line: usize,
    },
    /// An ID or trust domain is malformed.
    #[error("line {line} of the deny-list is not a SPIFFE ID or trust domain")]
    SpiffeId {
        /// Which line.
        line: usize,
        /// Why.
        #[source]
        source: SpiffeIdError,
    },
    /// The text is longer than [`MAX_DENY_LIST_LEN`].
    #[error("the deny-list is {len} bytes long: at most {MAX_DENY_LIST_LEN} are read")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// There are more than [`MAX_DENY_ENTRIES`] entries.
    #[error(
        "line {line} of the deny-list is one entry too many: at most {MAX_DENY_ENTRIES} are accepted"
    )]
    TooManyEntries {
        /// The line of the first entry beyond them.
        line: usize,
    },
    /// A line is no entry.
    #[error(
        "line {line} of the deny-list is no entry: spiffe://example.org/agent/x, spiffe://example.org or serial:0A1B2C is accepted"
    )]
    UnknownEntry {
        /// Which line.
        line: usize,
    },
}

/// Why a text is no serial number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a serial number: hexadecimal of at most {MAX_SERIAL_LEN} octets is accepted, 0A1B2C or 0A:1B:2C"
)]
pub struct SerialError;
