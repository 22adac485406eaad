//! What a handshake means for its peer, in words for logs and records.

use std::borrow::Cow;
use std::fmt;

use pqlane_certs::clock::Rfc3339;
use rustls::pki_types::UnixTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is done about a downgraded peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnDowngrade {
    /// It is served, and the downgrade is logged and counted.
    Alarm,
    /// It is refused.
    #[default]
    Refuse,
}

/// What the peer's ClientHello offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offered {
    /// At least one hybrid or post-quantum group.
    Hybrid,
    /// Classical groups only.
    NoHybrid,
    /// Not known: the peer is the server, or its hello was not kept.
    NotSeen,
}

/// What a peer has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    /// The group of its first hybrid handshake, by its registry name.
    pub(crate) group: Cow<'static, str>,
    /// When that was.
    pub(crate) since: UnixTime,
}

/// What a finished handshake means for its peer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub(crate) enum Turn {
    /// Classical, from a peer that never showed hybrid.
    Classical,
    /// Classical, from a peer that had shown hybrid.
    Downgraded(Downgrade),
    /// Hybrid for the first time: from now on the peer is held to it, if there was room to remember it.
    First,
    /// Hybrid again.
    Kept,
}

/// A peer that went back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Downgrade {
    /// What it had shown.
    pub(crate) shown: Shown,
    /// The registry name of the classical group it now came with.
    pub(crate) came_with: &'static str,
    /// What is known of the reason.
    pub(crate) cause: DowngradeCause,
    /// What is to be done.
    pub(crate) then: OnDowngrade,
}

impl fmt::Display for Downgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "it showed {} on {} and now came with {}: {}",
            self.shown.group,
            Rfc3339(self.shown.since),
            self.came_with,
            self.cause
        )
    }
}

/// Why a peer went back, as far as its hello tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DowngradeCause {
    /// Its hello offered no hybrid group.
    NotOffered,
    /// Its hello offered one, and a classical one was negotiated.
    OfferedButNotNegotiated,
    /// Its hello was not seen.
    Unknown,
}

impl DowngradeCause {
    /// The stable label.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::NotOffered => "not-offered",
            Self::OfferedButNotNegotiated => "offered-but-not-negotiated",
            Self::Unknown => "unknown",
        }
    }
}

impl From<Offered> for DowngradeCause {
    fn from(offered: Offered) -> Self {
        match offered {
            Offered::Hybrid => Self::OfferedButNotNegotiated,
            Offered::NoHybrid => Self::NotOffered,
            Offered::NotSeen => Self::Unknown,
        }
    }
}

impl fmt::Display for DowngradeCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotOffered => "it offered no hybrid group",
            Self::OfferedButNotNegotiated => "it offered a hybrid group that was not negotiated",
            Self::Unknown => "what it offered was not seen",
        })
    }
}
