//! SPIFFE IDs, trust domains, and the patterns by which peers are allowed.
//!
//! Takes text from configuration files and from certificates. Gives values that are always in the
//! one canonical spelling, so that equality of bytes is equality of identity. Never lowercases,
//! decodes or otherwise repairs what it reads: two spellings of one ID would be two peers.

mod allow_list;
mod pattern;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

pub use allow_list::AllowList;
pub use pattern::{IdPattern, IdPatternError};

/// SPIFFE-ID §2.3: the longest URI that implementations support, in bytes.
const MAX_ID_LEN: usize = 2048;

/// SPIFFE-ID §2.3: the longest trust domain name, in bytes.
const MAX_TRUST_DOMAIN_LEN: usize = 255;

/// SPIFFE-ID §2: the scheme. It is matched in lower case only.
const SCHEME: &str = "spiffe://";

/// A trust domain name, such as `example.org`.
///
/// Shape: 1 to 255 characters of `[a-z0-9.-_]`, without `spiffe://`.
/// Spec: SPIFFE-ID §2.1. Upper case is refused rather than folded. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustDomain(Arc<str>);

impl TrustDomain {
    /// The name, without `spiffe://`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The ID of the trust domain itself, `spiffe://example.org`, which its signing certificates
    /// carry. Its [`SpiffeId::path`] is empty.
    /// Spec: X509-SVID §3.2.
    pub fn id(&self) -> SpiffeId {
        SpiffeId {
            uri: format!("{SCHEME}{self}").into(),
            trust_domain: self.clone(),
        }
    }
}

impl FromStr for TrustDomain {
    type Err = SpiffeIdError;

    fn from_str(name: &str) -> Result<Self, SpiffeIdError> {
        check_trust_domain(name, 0)?;
        Ok(Self(name.into()))
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrustDomain({self})")
    }
}

impl<'de> Deserialize<'de> for TrustDomain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// A SPIFFE ID, such as `spiffe://example.org/agent/planner`.
///
/// Shape: `spiffe://` trust-domain *( `/` segment ), at most 2048 bytes; a segment is one or more
/// of `[a-zA-Z0-9.-_]` and neither `.` nor `..`. No port, user, query, fragment, percent-encoding
/// or trailing slash.
/// Spec: SPIFFE-ID §2. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpiffeId {
    uri: Arc<str>,
    trust_domain: TrustDomain,
}

impl SpiffeId {
    /// The whole URI.
    pub fn as_str(&self) -> &str {
        &self.uri
    }

    /// The trust domain in which the ID was issued.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The path with its leading slash, or `""` for the ID of the trust domain itself.
    pub fn path(&self) -> &str {
        let path_start = SCHEME.len() + self.trust_domain.as_str().len();
        self.uri.get(path_start..).unwrap_or_default()
    }

    /// The segments of the path, in order; none for the ID of the trust domain itself.
    fn segments(&self) -> impl Iterator<Item = &str> {
        self.path().split('/').skip(1)
    }
}

impl FromStr for SpiffeId {
    type Err = SpiffeIdError;

    fn from_str(uri: &str) -> Result<Self, SpiffeIdError> {
        let (name, path) = split_uri(uri)?;
        check_trust_domain(name, SCHEME.len())?;
        let mut at = SCHEME.len() + name.len();
        for segment in path.split('/').skip(1) {
            at += 1;
            check_segment(segment, at)?;
            at += segment.len();
        }
        Ok(Self {
            uri: uri.into(),
            trust_domain: TrustDomain(name.into()),
        })
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.uri)
    }
}

impl fmt::Debug for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpiffeId({self})")
    }
}

impl<'de> Deserialize<'de> for SpiffeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// Why a text is not a SPIFFE ID or not a trust domain name. Positions are byte offsets from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpiffeIdError {
    /// A path segment is `.` or `..`.
    #[error(
        "path segment \"{segment}\" at byte {at} is not accepted in a SPIFFE ID: relative segments must be resolved before they are written"
    )]
    DotSegment {
        /// The segment.
        segment: &'static str,
        /// Where it starts.
        at: usize,
    },
    /// A path segment is empty: `//`, or a slash at the end.
    #[error(
        "empty path segment at byte {at} of the SPIFFE ID: write one name between slashes and no slash at the end"
    )]
    EmptySegment {
        /// Where the segment would start.
        at: usize,
    },
    /// There is no trust domain.
    #[error("the trust domain is empty: write a name such as example.org")]
    NoTrustDomain,
    /// A character that a path segment may not have.
    #[error(
        "{found:?} at byte {at} of the SPIFFE ID: a path segment may have a-z, A-Z, 0-9, '.', '-' and '_' only (no query, fragment or percent-encoding)"
    )]
    PathCharacter {
        /// The character.
        found: char,
        /// Where it stands.
        at: usize,
    },
    /// The text does not start with `spiffe://`.
    #[error(
        "not a SPIFFE ID: it must start with spiffe:// in lower case, as in spiffe://example.org/agent"
    )]
    Scheme,
    /// The URI is longer than 2048 bytes.
    #[error("the SPIFFE ID is {len} bytes long: at most {MAX_ID_LEN} are accepted")]
    TooLong {
        /// The length in bytes.
        len: usize,
    },
    /// A character that a trust domain may not have.
    #[error(
        "{found:?} at byte {at} of the trust domain: it may have a-z, 0-9, '.', '-' and '_' only (no upper case, port or user)"
    )]
    TrustDomainCharacter {
        /// The character.
        found: char,
        /// Where it stands in the text that was read.
        at: usize,
    },
    /// The trust domain is longer than 255 bytes.
    #[error("the trust domain is {len} bytes long: at most {MAX_TRUST_DOMAIN_LEN} are accepted")]
    TrustDomainTooLong {
        /// The length in bytes.
        len: usize,
    },
}

/// Splits a URI into the trust domain name and the path, which starts with its slash or is empty.
fn split_uri(uri: &str) -> Result<(&str, &str), SpiffeIdError> {
    // SPIFFE-ID §2.3.
    if uri.len() > MAX_ID_LEN {
        return Err(SpiffeIdError::TooLong { len: uri.len() });
    }
    let rest = uri.strip_prefix(SCHEME).ok_or(SpiffeIdError::Scheme)?;
    let path_start = rest.find('/').unwrap_or(rest.len());
    Ok(rest.split_at(path_start))
}

/// Checks a trust domain name that starts at byte `at` of what the user wrote.
fn check_trust_domain(name: &str, at: usize) -> Result<(), SpiffeIdError> {
    if name.is_empty() {
        return Err(SpiffeIdError::NoTrustDomain);
    }
    // SPIFFE-ID §2.3.
    if name.len() > MAX_TRUST_DOMAIN_LEN {
        return Err(SpiffeIdError::TrustDomainTooLong { len: name.len() });
    }
    // SPIFFE-ID §2.1.
    let allowed = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '.' | '-' | '_');
    match name.char_indices().find(|(_, c)| !allowed(*c)) {
        Some((offset, found)) => Err(SpiffeIdError::TrustDomainCharacter {
            found,
            at: at + offset,
        }),
        None => Ok(()),
    }
}

/// Checks one path segment that starts at byte `at` of what the user wrote.
fn check_segment(segment: &str, at: usize) -> Result<(), SpiffeIdError> {
    // SPIFFE-ID §2.2.
    match segment {
        "" => return Err(SpiffeIdError::EmptySegment { at }),
        "." => return Err(SpiffeIdError::DotSegment { segment: ".", at }),
        ".." => return Err(SpiffeIdError::DotSegment { segment: "..", at }),
        _ => {}
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    match segment.char_indices().find(|(_, c)| !allowed(*c)) {
        Some((offset, found)) => Err(SpiffeIdError::PathCharacter {
            found,
            at: at + offset,
        }),
        None => Ok(()),
    }
}
