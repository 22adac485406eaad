//! JSON as serde_json reads it, with nothing lost: members stay in order, and stay when they occur twice.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Tree {
    Array(Vec<Tree>),
    Boolean(bool),
    Fraction(f64),
    /// A number without fraction and exponent that an `i64` holds.
    Integer(i64),
    /// A larger one.
    Large(u64),
    Null,
    Object(Vec<(String, Tree)>),
    String(String),
}

impl Tree {
    /// Reads a whole body.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    /// Whether serde_json finds a number that is too large or nearly so. It rounds on the way, so that next to the
    /// largest double its verdict is not the exact one.
    pub(crate) fn is_out_of_range(body: &[u8]) -> bool {
        let read: Result<Self, serde_json::Error> = serde_json::from_slice(body);
        match read {
            Ok(tree) => tree.is_nearly_infinite(),
            Err(error) => error.to_string().starts_with("number out of range"),
        }
    }

    fn is_nearly_infinite(&self) -> bool {
        match self {
            Self::Array(elements) => elements.iter().any(Self::is_nearly_infinite),
            Self::Fraction(number) => number.abs() >= 1.7e308,
            Self::Object(members) => members.iter().any(|(_, value)| value.is_nearly_infinite()),
            Self::Boolean(_) | Self::Integer(_) | Self::Large(_) | Self::Null | Self::String(_) => {
                false
            }
        }
    }

    /// Objects and arrays within each other.
    pub(crate) fn depth(&self) -> usize {
        match self {
            Self::Array(elements) => 1 + elements.iter().map(Self::depth).max().unwrap_or(0),
            Self::Object(members) => {
                let depths = members.iter().map(|(_, value)| value.depth());
                1 + depths.max().unwrap_or(0)
            }
            _ => 0,
        }
    }

    /// The members of an object.
    pub(crate) fn members(&self) -> Option<&[(String, Tree)]> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The first member with one of these names that is not null.
    pub(crate) fn member(&self, names: &[&str]) -> Option<&Tree> {
        let mut members = self.members()?.iter();
        let found = members.find(|(name, _)| names.contains(&name.as_str()));
        found
            .map(|(_, value)| value)
            .filter(|value| **value != Self::Null)
    }

    /// What a string stands for.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Planter)
    }
}

struct Planter;

impl<'de> Visitor<'de> for Planter {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(i64::try_from(value).map_or(Tree::Large(value), Tree::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Fraction(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::String(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element()? {
            elements.push(element);
        }
        Ok(Tree::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Tree::Object(members))
    }
}
