//! One value, as it stands in a body.

use std::borrow::Cow;
use std::ops::Range;

use super::strings::{stands_for, unescape};
use crate::call::fault::CallFault;

/// The text of one JSON value, without white space around it: a slice of the body it was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a>(&'a str);

/// The kinds of JSON values (RFC 8259 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `[…]`.
    Array,
    /// `true` or `false`.
    Boolean,
    /// `null`.
    Null,
    /// A number.
    Number,
    /// `{…}`.
    Object,
    /// `"…"`.
    String,
}

impl<'a> Token<'a> {
    /// Of a value's text, which the scanner has checked.
    pub(super) fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// As it was written.
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// What kind of value it is.
    pub fn kind(self) -> Kind {
        match self.0.as_bytes().first() {
            Some(b'[') => Kind::Array,
            Some(b't' | b'f') => Kind::Boolean,
            Some(b'{') => Kind::Object,
            Some(b'"') => Kind::String,
            Some(b'n') | None => Kind::Null,
            Some(_) => Kind::Number,
        }
    }

    /// What a string stands for; borrowed if it is written without escapes.
    ///
    /// # Errors
    /// [`CallFault::WrongType`] when it is not a string.
    pub fn string(self) -> Result<Cow<'a, str>, CallFault> {
        let content = self.content().ok_or(CallFault::WrongType)?;
        Ok(match memchr::memchr(b'\\', content.as_bytes()) {
            None => Cow::Borrowed(content),
            Some(_) => Cow::Owned(unescape(content)),
        })
    }

    /// Whether it is a string that stands for `text`. Allocates nothing.
    pub fn is(self, text: &str) -> bool {
        let content = self.content();
        content.is_some_and(|content| stands_for(content, text))
    }

    /// What is between the quotes of a string.
    fn content(self) -> Option<&'a str> {
        self.0.strip_prefix('"')?.strip_suffix('"')
    }

    /// Where it stands in the body it was read from.
    pub fn range_in(self, body: &[u8]) -> Option<Range<usize>> {
        let start = self.0.as_ptr().addr().checked_sub(body.as_ptr().addr())?;
        let range = start..start.checked_add(self.0.len())?;
        (body.get(range.clone())? == self.0.as_bytes()).then_some(range)
    }
}
