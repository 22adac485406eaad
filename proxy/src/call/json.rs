//! JSON, read strictly and once (RFC 8259).
//!
//! Takes a body; gives the values in it as slices of that body. What it skips it has checked as well, so that
//! whatever it accepts every strict reader takes for the same values. It never builds a tree, never recurses,
//! and allocates only for names with escapes and for objects with many members.
//!
//! A fault of grammar ends the reading at once. A fault of meaning, such as a member that occurs twice, is
//! noted and the reading goes on: whether it matters may show only at the end.

mod limits;
mod names;
mod strings;
mod token;

use std::borrow::Cow;

pub use limits::JsonLimits;
pub(crate) use names::{Known, known, plain, spells_alike};
pub use token::{Kind, Token};

use names::{Names, Spelling};
use strings::{plain_run, unescape};

use super::fault::CallFault;

/// Levels that `u128` has bits for.
const MAX_DEPTH: usize = 128;
/// From this length on a number without an exponent may be too large for a double.
const LONG_NUMBER_LEN: usize = 300;

/// A place in a body.
#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// Levels that may still be opened.
    room: usize,
    max_members: usize,
    noted: Option<CallFault>,
}

impl<'a> Scanner<'a> {
    /// Stands before the first byte that is not white space.
    pub(crate) fn open(body: &'a [u8], limits: &JsonLimits) -> Result<Self, CallFault> {
        let mut scanner = Self {
            text: std::str::from_utf8(body).or(Err(CallFault::NotUtf8))?,
            at: 0,
            room: limits.depth.min(MAX_DEPTH),
            max_members: limits.members,
            noted: None,
        };
        scanner.space();
        Ok(scanner)
    }

    /// Stands before a value that was read already, and was within the limits then.
    pub(crate) fn again(token: Token<'a>) -> Self {
        Self {
            text: token.as_str(),
            at: 0,
            room: MAX_DEPTH,
            max_members: usize::MAX,
            noted: None,
        }
    }

    /// The next byte, which is that of a value where one is due.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Nothing but white space may follow.
    pub(crate) fn end(&mut self) -> Result<(), CallFault> {
        self.space();
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.not_json()),
        }
    }

    /// Keeps a fault of meaning; the first one stays.
    pub(crate) fn note(&mut self, fault: CallFault) {
        self.noted.get_or_insert(fault);
    }

    /// What was noted since this was asked last.
    pub(crate) fn noted(&mut self) -> Option<CallFault> {
        self.noted.take()
    }

    /// Reads an object, whose `{` is next: `member` gets each name and must read the value.
    ///
    /// A name that is known in several spellings is given in its first. Notes members that occur twice, in
    /// whatever spelling, and names that are known ones but for their case.
    pub(crate) fn object<F>(&mut self, known: &[Known], mut member: F) -> Result<(), CallFault>
    where
        F: FnMut(&mut Self, &str) -> Result<(), CallFault>,
    {
        self.enter(b'{')?;
        let mut names = Names::default();
        if self.take_if(b'}') {
            self.leave();
            return Ok(());
        }
        loop {
            self.space();
            let mut name = self.string()?;
            self.colon()?;
            match names::spelling(&name, known) {
                Spelling::Known(first) => name = Cow::Borrowed(first),
                Spelling::OtherCase => self.note(CallFault::CaseVariant),
                Spelling::Unknown => {}
            }
            member(self, &name)?;
            if names.len() >= self.max_members {
                self.note(CallFault::TooManyMembers);
            } else if !names.insert(name) {
                self.note(CallFault::Duplicate);
            }
            self.space();
            match self.next() {
                Some(b',') => {}
                Some(b'}') => break,
                _ => return Err(self.not_json_before()),
            }
        }
        self.leave();
        Ok(())
    }

    /// Reads an array, whose `[` is next: `element` must read each value.
    pub(crate) fn array<F>(&mut self, mut element: F) -> Result<(), CallFault>
    where
        F: FnMut(&mut Self) -> Result<(), CallFault>,
    {
        self.enter(b'[')?;
        if self.take_if(b']') {
            self.leave();
            return Ok(());
        }
        loop {
            self.space();
            element(self)?;
            self.space();
            match self.next() {
                Some(b',') => {}
                Some(b']') => break,
                _ => return Err(self.not_json_before()),
            }
        }
        self.leave();
        Ok(())
    }

    /// Reads any value.
    pub(crate) fn value(&mut self) -> Result<Token<'a>, CallFault> {
        self.leaves(|_| ())
    }

    /// Reads any value, and gives `leaf` every string, number, boolean and null in it.
    pub(crate) fn leaves<F>(&mut self, mut leaf: F) -> Result<Token<'a>, CallFault>
    where
        F: FnMut(Token<'a>),
    {
        self.space();
        let start = self.at;
        let room = self.room;
        // One bit for each level that is open, the innermost last: 1 is an object.
        let mut levels: u128 = 0;
        loop {
            self.space();
            match self.peek() {
                Some(b'{') => {
                    self.enter(b'{')?;
                    if !self.take_if(b'}') {
                        levels = levels << 1 | 1;
                        self.name()?;
                        continue;
                    }
                    self.leave();
                }
                Some(b'[') => {
                    self.enter(b'[')?;
                    if !self.take_if(b']') {
                        levels <<= 1;
                        continue;
                    }
                    self.leave();
                }
                _ => leaf(self.leaf()?),
            }
            // A value has ended, and with it perhaps what it stands in.
            loop {
                if self.room == room {
                    return Ok(self.since(start));
                }
                self.space();
                match (self.next(), levels & 1) {
                    (Some(b','), 0) => break,
                    (Some(b','), _) => {
                        self.name()?;
                        break;
                    }
                    (Some(b']'), 0) | (Some(b'}'), 1) => {
                        levels >>= 1;
                        self.leave();
                    }
                    _ => return Err(self.not_json_before()),
                }
            }
        }
    }

    fn leaf(&mut self) -> Result<Token<'a>, CallFault> {
        let start = self.at;
        match self.peek() {
            Some(b'"') => {
                self.quoted()?;
            }
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.literal("true")?,
            Some(b'f') => self.literal("false")?,
            Some(b'n') => self.literal("null")?,
            _ => return Err(self.not_json()),
        }
        Ok(self.since(start))
    }

    /// This place, to ask [`since`](Self::since) later.
    pub(crate) fn mark(&self) -> usize {
        self.at
    }

    /// The value that began at a place where one was due and ends here.
    pub(crate) fn since(&self, start: usize) -> Token<'a> {
        Token::new(self.text.get(start..self.at).unwrap_or_default())
    }

    /// Opens a level and goes to what is in it.
    fn enter(&mut self, bracket: u8) -> Result<(), CallFault> {
        if !self.take_if(bracket) {
            return Err(self.not_json());
        }
        self.room = self.room.checked_sub(1).ok_or(CallFault::TooDeep)?;
        self.space();
        Ok(())
    }

    fn leave(&mut self) {
        self.room += 1;
    }

    /// A member's name that is skipped, and its colon.
    fn name(&mut self) -> Result<(), CallFault> {
        self.space();
        self.quoted()?;
        self.colon()
    }

    fn colon(&mut self) -> Result<(), CallFault> {
        self.space();
        if !self.take_if(b':') {
            return Err(self.not_json());
        }
        self.space();
        Ok(())
    }

    /// RFC 8259 §7.
    fn string(&mut self) -> Result<Cow<'a, str>, CallFault> {
        let (content, is_plain) = self.quoted()?;
        Ok(match is_plain {
            true => Cow::Borrowed(content),
            false => Cow::Owned(unescape(content)),
        })
    }

    /// A string: what is between the quotes, and whether it has no escapes.
    fn quoted(&mut self) -> Result<(&'a str, bool), CallFault> {
        if !self.take_if(b'"') {
            return Err(self.not_json());
        }
        let start = self.at;
        let mut is_plain = true;
        loop {
            self.at += plain_run(self.rest());
            match self.next() {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                _ => return Err(self.not_json_before()),
            }
            is_plain = false;
        }
        let content = self.text.get(start..self.at - 1).unwrap_or_default();
        Ok((content, is_plain))
    }

    /// What follows a backslash. Half of a surrogate pair is refused: readers make different things of it.
    fn escape(&mut self) -> Result<(), CallFault> {
        match self.next() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(()),
            Some(b'u') => match strings::code_point(self.rest()) {
                Some((_, len)) => {
                    self.at += len;
                    Ok(())
                }
                None => Err(self.not_json()),
            },
            _ => Err(self.not_json_before()),
        }
    }

    /// RFC 8259 §6. A number too large for a double is refused: some readers fail, some take it for infinity.
    fn number(&mut self) -> Result<(), CallFault> {
        let start = self.at;
        self.take_if(b'-');
        if !self.take_if(b'0') {
            self.digits()?;
        }
        if self.take_if(b'.') {
            self.digits()?;
        }
        let has_exponent = self.take_if(b'e') || self.take_if(b'E');
        if has_exponent {
            let _sign = self.take_if(b'+') || self.take_if(b'-');
            self.digits()?;
        }
        if has_exponent || self.at - start > LONG_NUMBER_LEN {
            let number = self.text.get(start..self.at).unwrap_or_default().parse();
            if !number.is_ok_and(f64::is_finite) {
                return Err(CallFault::NotJson { at: start });
            }
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), CallFault> {
        let rest = self.rest();
        let others = rest.iter().position(|byte| !byte.is_ascii_digit());
        match others.unwrap_or(rest.len()) {
            0 => Err(self.not_json()),
            len => {
                self.at += len;
                Ok(())
            }
        }
    }

    fn literal(&mut self, word: &str) -> Result<(), CallFault> {
        if !self.rest().starts_with(word.as_bytes()) {
            return Err(self.not_json());
        }
        self.at += word.len();
        Ok(())
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Steps over the next byte; past the end as well, so that the byte before is where it failed.
    fn next(&mut self) -> Option<u8> {
        let byte = self.peek();
        self.at += 1;
        byte
    }

    fn take_if(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn not_json(&self) -> CallFault {
        CallFault::NotJson { at: self.at }
    }

    fn not_json_before(&self) -> CallFault {
        CallFault::NotJson { at: self.at - 1 }
    }
}

#[cfg(test)]
mod tests;
