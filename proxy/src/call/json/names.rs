//! The names of an object's members: which are known, in which spellings, and which were there before.

use std::borrow::Cow;
use std::collections::HashSet;

/// A member that is looked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    name: &'static str,
    also: &'static [&'static str],
}

/// A member with one spelling.
pub(crate) const fn plain(name: &'static str) -> Known {
    Known { name, also: &[] }
}

/// A member that is the same in other spellings: ProtoJSON reads `taskId` and `task_id` alike.
pub(crate) const fn known(name: &'static str, also: &'static [&'static str]) -> Known {
    Known { name, also }
}

/// What a name is among those that are known.
pub(super) enum Spelling {
    /// A known one, whose first spelling is this.
    Known(&'static str),
    /// A known one in letters of another case.
    OtherCase,
    /// Another.
    Unknown,
}

/// Looks a name up.
pub(super) fn spelling(name: &str, known: &[Known]) -> Spelling {
    if let Some(known) = known
        .iter()
        .find(|known| known.name == name || known.also.contains(&name))
    {
        return Spelling::Known(known.name);
    }
    let is_alike = |known: &Known| {
        let also = known.also.iter().any(|also| spells_alike(name, also));
        also || spells_alike(name, known.name)
    };
    match known.iter().any(is_alike) {
        true => Spelling::OtherCase,
        false => Spelling::Unknown,
    }
}

/// Whether a reader that ignores case, or what follows a NUL, takes `name` for `known`, which is ASCII.
///
/// Protobuf's C library looks members up by C strings, so that to Python `taskId\0` is the task.
/// Go's encoding/json folds U+017F to `s` and U+212A to `k`; Java's `equalsIgnoreCase` folds U+0130 and U+0131
/// to `i`.
pub(crate) fn spells_alike(name: &str, known: &str) -> bool {
    let name = name.split_once('\0').map_or(name, |(before, _)| before);
    if name.is_ascii() {
        return name.eq_ignore_ascii_case(known);
    }
    let folded = name.chars().map(|char| match char {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        '\u{130}' | '\u{131}' => 'i',
        other => other.to_ascii_lowercase(),
    });
    folded.eq(known.chars().map(|char| char.to_ascii_lowercase()))
}

/// Names that are compared one by one before a set is made.
const FEW: usize = 16;

/// The names that an object has had so far.
#[derive(Debug)]
pub(super) struct Names<'a> {
    few: [Cow<'a, str>; FEW],
    len: usize,
    many: HashSet<Cow<'a, str>>,
}

impl Default for Names<'_> {
    fn default() -> Self {
        Self {
            few: [const { Cow::Borrowed("") }; FEW],
            len: 0,
            many: HashSet::new(),
        }
    }
}

impl<'a> Names<'a> {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds one; tells whether it is new.
    pub(super) fn insert(&mut self, name: Cow<'a, str>) -> bool {
        let is_new = match self.few.get(..self.len) {
            Some(few) => !few.contains(&name),
            None => !self.many.contains(&name),
        };
        if !is_new {
            return false;
        }
        match self.few.get_mut(self.len) {
            Some(slot) => *slot = name,
            None => {
                if self.many.is_empty() {
                    self.many.extend(self.few.iter().cloned());
                }
                self.many.insert(name);
            }
        }
        self.len += 1;
        true
    }
}
