//! Patterns over SPIFFE IDs, with whole segments as the only wildcards.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::{SCHEME, SpiffeId, SpiffeIdError, TrustDomain, check_segment, split_uri};

/// A set of SPIFFE IDs within one trust domain.
///
/// Shape: a SPIFFE ID with a path, in which `*` stands for exactly one whole segment and a final
/// `**` for one segment or more. `spiffe://example.org/agent/*` matches `/agent/a` and not
/// `/agent` or `/agent/a/b`; `spiffe://example.org/agent/**` matches both `/agent/a` and
/// `/agent/a/b`. The trust domain is always literal and a wildcard never stands for part of a
/// segment, so what a pattern allows can be read off it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdPattern {
    text: Arc<str>,
    trust_domain: TrustDomain,
    segments: Vec<Segment>,
    tail: Tail,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Segment {
    AnyOne,
    Literal(Box<str>),
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Tail {
    AnyOneOrMore,
    Nothing,
}

impl IdPattern {
    /// Whether the ID belongs to this pattern's trust domain and its path fits.
    pub fn matches(&self, id: &SpiffeId) -> bool {
        if *id.trust_domain() != self.trust_domain {
            return false;
        }
        let mut rest = id.segments();
        for expected in &self.segments {
            match (expected, rest.next()) {
                (Segment::AnyOne, Some(_)) => {}
                (Segment::Literal(literal), Some(found)) if **literal == *found => {}
                (Segment::AnyOne | Segment::Literal(_), _) => return false,
            }
        }
        match self.tail {
            Tail::AnyOneOrMore => rest.next().is_some(),
            Tail::Nothing => rest.next().is_none(),
        }
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The one trust domain whose IDs this pattern can match.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }
}

impl FromStr for IdPattern {
    type Err = IdPatternError;

    fn from_str(text: &str) -> Result<Self, IdPatternError> {
        let (name, path) = split_uri(text)?;
        if name.contains('*') {
            return Err(IdPatternError::TrustDomainWildcard);
        }
        super::check_trust_domain(name, SCHEME.len())?;
        // X509-SVID §3.1: a leaf's ID has a path, so a pattern without one would match nobody.
        if path.is_empty() {
            return Err(IdPatternError::NoPath);
        }

        let mut segments = Vec::new();
        let mut tail = Tail::Nothing;
        let mut at = SCHEME.len() + name.len();
        for segment in path.split('/').skip(1) {
            at += 1;
            match (segment, tail) {
                (_, Tail::AnyOneOrMore) => return Err(IdPatternError::DoubleStarNotLast),
                ("*", Tail::Nothing) => segments.push(Segment::AnyOne),
                ("**", Tail::Nothing) => tail = Tail::AnyOneOrMore,
                (partial, Tail::Nothing) if partial.contains('*') => {
                    return Err(IdPatternError::PartialWildcard { at });
                }
                (literal, Tail::Nothing) => {
                    check_segment(literal, at)?;
                    segments.push(Segment::Literal(literal.into()));
                }
            }
            at += segment.len();
        }
        Ok(Self {
            text: text.into(),
            trust_domain: TrustDomain(name.into()),
            segments,
            tail,
        })
    }
}

impl fmt::Display for IdPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for IdPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdPattern({self})")
    }
}

impl<'de> Deserialize<'de> for IdPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// Why a text is not a pattern over SPIFFE IDs. Positions are byte offsets from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdPatternError {
    /// Something follows `**`.
    #[error(
        "** is accepted only as the last segment of a pattern, as in spiffe://example.org/a/**"
    )]
    DoubleStarNotLast,
    /// The pattern names a trust domain and no path.
    #[error(
        "the pattern has no path: write spiffe://example.org/** to allow every SVID of the trust domain"
    )]
    NoPath,
    /// A star inside a segment.
    #[error(
        "the segment at byte {at} mixes * with other characters: * stands for one whole segment, as in spiffe://example.org/agent/*"
    )]
    PartialWildcard {
        /// Where the segment starts.
        at: usize,
    },
    /// What remains after the wildcards is not a SPIFFE ID.
    #[error(transparent)]
    SpiffeId(#[from] SpiffeIdError),
    /// A star in the trust domain.
    #[error(
        "a wildcard in the trust domain is not accepted: write one pattern for each trust domain"
    )]
    TrustDomainWildcard,
}
