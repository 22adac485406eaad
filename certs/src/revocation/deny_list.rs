//! Peers that an operator has struck off, whatever their certificates say.
//!
//! Takes text, one entry a line. Gives a [`DenyList`], which answers by hash lookups. Never scans:
//! a list of 100,000 entries costs a request no more than a short one.

mod error;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::str::FromStr;

use crate::leaf::significant;
use crate::spiffe_id::{SpiffeId, TrustDomain};
use crate::verifier::PeerIdentity;

pub use error::{DenyListError, SerialError};

/// The most entries in one list.
pub const MAX_DENY_ENTRIES: usize = 100_000;

/// The most bytes of a list: room for the most entries, of 160 bytes each.
pub const MAX_DENY_LIST_LEN: usize = 160 * MAX_DENY_ENTRIES;

/// The longest serial number in an entry, in octets. RFC 5280 §4.1.2.2 has issuers stop at 20; some
/// do not.
pub const MAX_SERIAL_LEN: usize = 64;

/// What a line with a serial number begins with.
const SERIAL: &str = "serial:";

/// Whoever can say at any moment whether a peer is denied.
///
/// Asked at every handshake, resumption and judgement of an open connection, so it has to answer at once.
pub trait Denials: fmt::Debug + Send + Sync {
    /// The entry that denies this peer now. Only the peer's own certificate is looked at, not those of its
    /// issuers.
    fn denies(&self, peer: &PeerIdentity) -> Option<DenyEntry>;
}

impl Denials for DenyList {
    fn denies(&self, peer: &PeerIdentity) -> Option<DenyEntry> {
        Self::denies(self, peer)
    }
}

/// The SPIFFE IDs, trust domains and certificates that are refused although they verify.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DenyList {
    ids: HashSet<SpiffeId>,
    trust_domains: HashSet<TrustDomain>,
    serials: HashSet<Serial>,
    bound_serials: HashMap<TrustDomain, HashSet<Serial>>,
    len: usize,
}

impl DenyList {
    /// Reads a list.
    ///
    /// Shape: UTF-8 text, at most 16 MB, one entry a line; `#` starts a comment. An entry is
    /// - a SPIFFE ID with a path, `spiffe://example.org/agent/x`: that one ID;
    /// - a trust domain, `spiffe://example.org`: everybody in it;
    /// - `serial:0A1B2C`, hexadecimal, `0A:1B:2C` too: leaves with that serial number of any
    ///   issuer; `serial:0A1B2C spiffe://example.org` only those of that trust domain.
    ///
    /// # Errors
    /// [`DenyListError`], which names the line and what is accepted. A list with one bad line is
    /// refused whole: an entry that was passed over would let somebody in.
    pub fn parse(text: &[u8]) -> Result<Self, DenyListError> {
        let len = text.len();
        if len > MAX_DENY_LIST_LEN {
            return Err(DenyListError::TooLong { len });
        }
        let mut list = Self::default();
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let number = index.saturating_add(1);
            let line = std::str::from_utf8(line).map_err(|source| DenyListError::NotText {
                line: number,
                source,
            })?;
            let entry = line.split('#').next().unwrap_or_default().trim();
            if !entry.is_empty() {
                list.insert(parse_entry(entry, number)?, number)?;
            }
        }
        Ok(list)
    }

    /// A list of these entries.
    ///
    /// # Errors
    /// [`DenyListError::TooManyEntries`], with the number of the first entry beyond [`MAX_DENY_ENTRIES`].
    pub fn of(entries: impl IntoIterator<Item = DenyEntry>) -> Result<Self, DenyListError> {
        let mut list = Self::default();
        for (index, entry) in entries.into_iter().enumerate() {
            list.insert(entry, index.saturating_add(1))?;
        }
        Ok(list)
    }

    /// The entry that denies this peer. Only the peer's own certificate is looked at, not those of
    /// its issuers.
    pub fn denies(&self, peer: &PeerIdentity) -> Option<DenyEntry> {
        if self.is_empty() {
            return None;
        }
        let id = peer.spiffe_id();
        let trust_domain = id.trust_domain();
        if self.trust_domains.contains(trust_domain) {
            return Some(DenyEntry::TrustDomain(trust_domain.clone()));
        }
        if self.ids.contains(id) {
            return Some(DenyEntry::Id(id.clone()));
        }
        let serial = peer.serial();
        if let Some(serial) = self.serials.get(serial) {
            return Some(DenyEntry::Serial {
                serial: serial.clone(),
                trust_domain: None,
            });
        }
        let serial = self.bound_serials.get(trust_domain)?.get(serial)?;
        Some(DenyEntry::Serial {
            serial: serial.clone(),
            trust_domain: Some(trust_domain.clone()),
        })
    }

    /// How many different entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nobody is denied.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn insert(&mut self, entry: DenyEntry, line: usize) -> Result<(), DenyListError> {
        let new = match entry {
            DenyEntry::Id(id) => self.ids.insert(id),
            DenyEntry::Serial {
                serial,
                trust_domain: None,
            } => self.serials.insert(serial),
            DenyEntry::Serial {
                serial,
                trust_domain: Some(trust_domain),
            } => self
                .bound_serials
                .entry(trust_domain)
                .or_default()
                .insert(serial),
            DenyEntry::TrustDomain(trust_domain) => self.trust_domains.insert(trust_domain),
        };
        self.len = self.len.saturating_add(usize::from(new));
        if self.len > MAX_DENY_ENTRIES {
            return Err(DenyListError::TooManyEntries { line });
        }
        Ok(())
    }
}

fn parse_entry(entry: &str, line: usize) -> Result<DenyEntry, DenyListError> {
    let Some(rest) = entry.strip_prefix(SERIAL) else {
        if !entry.starts_with("spiffe://") {
            return Err(DenyListError::UnknownEntry { line });
        }
        let id: SpiffeId = entry
            .parse()
            .map_err(|source| DenyListError::SpiffeId { line, source })?;
        return Ok(match id.path().is_empty() {
            true => DenyEntry::TrustDomain(id.trust_domain().clone()),
            false => DenyEntry::Id(id),
        });
    };
    let mut words = rest.split_whitespace();
    let (serial, bound, more) = (words.next(), words.next(), words.next());
    // `serial: 0A` would be a serial number in one word, and no longer part of the first.
    let joined = !rest.starts_with(char::is_whitespace) && more.is_none();
    let serial = serial
        .filter(|_| joined)
        .and_then(Serial::from_hex)
        .ok_or(DenyListError::Serial { line })?;
    let trust_domain = bound.map(|bound| parse_bound(bound, line)).transpose()?;
    Ok(DenyEntry::Serial {
        serial,
        trust_domain,
    })
}

/// The trust domain that a serial number is bound to.
fn parse_bound(bound: &str, line: usize) -> Result<TrustDomain, DenyListError> {
    let id: SpiffeId = bound
        .parse()
        .map_err(|source| DenyListError::SpiffeId { line, source })?;
    if !id.path().is_empty() {
        return Err(DenyListError::SerialOfId { line });
    }
    Ok(id.trust_domain().clone())
}

/// The serial number of a certificate, in octets without leading zeros. Spec: RFC 5280 §4.1.2.2.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Serial(Box<[u8]>);

impl Serial {
    /// The octets, as [`PeerIdentity::serial`] has them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Hexadecimal in either case; colons only between whole octets.
    fn from_hex(text: &str) -> Option<Self> {
        let mut digits = match text.contains(':') {
            true => octets_between_colons(text)?,
            false => nibbles(text)?,
        };
        if digits.len() % 2 == 1 {
            digits.insert(0, 0);
        }
        let octets: Vec<u8> = digits
            .chunks_exact(2)
            .map(|pair| pair.iter().fold(0, |octet, nibble| octet << 4 | nibble))
            .collect();
        let octets = significant(&octets);
        let sized = (1..=MAX_SERIAL_LEN).contains(&octets.len());
        sized.then(|| Self(octets.into()))
    }
}

/// Without this bound a line of one megabyte would be read as a number first.
const MAX_HEX_DIGITS: usize = 4 * MAX_SERIAL_LEN;

fn nibbles(text: &str) -> Option<Vec<u8>> {
    if text.len() > MAX_HEX_DIGITS {
        return None;
    }
    text.chars()
        .map(|digit| {
            digit
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        })
        .collect()
}

fn octets_between_colons(text: &str) -> Option<Vec<u8>> {
    let all_octets = text.split(':').all(|octet| octet.len() == 2);
    let text = all_octets.then(|| text.replace(':', ""))?;
    nibbles(&text)
}

impl std::borrow::Borrow<[u8]> for Serial {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Serial {
    /// Hexadecimal in upper case, two digits for each octet.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02X}"))
    }
}

/// One entry of a [`DenyList`]. `Display` writes it as the list has it, and `FromStr` reads that.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DenyEntry {
    /// One SPIFFE ID.
    Id(SpiffeId),
    /// The leaves with one serial number.
    Serial {
        /// The number.
        serial: Serial,
        /// The trust domain to which it is bound; none binds it to no issuer.
        trust_domain: Option<TrustDomain>,
    },
    /// Everybody in one trust domain.
    TrustDomain(TrustDomain),
}

impl DenyEntry {
    /// Whether it names this peer.
    pub fn names(&self, peer: &PeerIdentity) -> bool {
        let id = peer.spiffe_id();
        match self {
            Self::Id(denied) => denied == id,
            Self::Serial {
                serial,
                trust_domain,
            } => {
                let bound = trust_domain.as_ref();
                serial.as_bytes() == peer.serial()
                    && bound.is_none_or(|domain| domain == id.trust_domain())
            }
            Self::TrustDomain(domain) => domain == id.trust_domain(),
        }
    }
}

impl FromStr for DenyEntry {
    type Err = DenyListError;

    /// Reads one entry, without a comment. Errors speak of line 1.
    fn from_str(entry: &str) -> Result<Self, DenyListError> {
        parse_entry(entry, 1)
    }
}

impl FromStr for Serial {
    type Err = SerialError;

    /// Reads `0A1B2C` or `0A:1B:2C`, in either case.
    fn from_str(text: &str) -> Result<Self, SerialError> {
        Self::from_hex(text).ok_or(SerialError)
    }
}

impl fmt::Display for DenyEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Serial {
                serial,
                trust_domain: None,
            } => write!(f, "{SERIAL}{serial}"),
            Self::Serial {
                serial,
                trust_domain: Some(trust_domain),
            } => write!(f, "{SERIAL}{serial} {}", trust_domain.id()),
            Self::TrustDomain(trust_domain) => write!(f, "{}", trust_domain.id()),
        }
    }
}
