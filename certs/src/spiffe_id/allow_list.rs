//! The peers that a lane will speak with.

use std::fmt;

use super::{IdPattern, SpiffeId};

/// The SPIFFE IDs that are allowed, as patterns of which one must match.
///
/// An empty list allows nobody; there is no pattern that allows everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList(Vec<IdPattern>);

impl AllowList {
    /// Whether some pattern matches `id`.
    pub fn allows(&self, id: &SpiffeId) -> bool {
        self.0.iter().any(|pattern| pattern.matches(id))
    }

    /// Whether the list allows nobody.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The patterns, in the order in which they were given.
    pub fn patterns(&self) -> &[IdPattern] {
        &self.0
    }
}

impl From<Vec<IdPattern>> for AllowList {
    fn from(patterns: Vec<IdPattern>) -> Self {
        Self(patterns)
    }
}

impl fmt::Display for AllowList {
    /// The patterns joined with `, `; nothing for an empty list.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, pattern) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{pattern}")?;
        }
        Ok(())
    }
}
