//! JSON, read strictly and once (RFC 8259).
//!
//! Takes a body; gives the values in it as slices of that body. What it skips it has checked as well, so that
//! whatever it accepts every strict reader takes for the same values. It never builds a tree, never recurses,
//! and allocates only for names with escapes and for objects with many members.
//!
//! A fault of grammar ends the reading at once. A fault of meaning, such as a member that occurs twice, is
//! noted and the reading goes on: whether it matters may show only at the end.

mod leaf;
mod limits;
mod names;
mod strings;
mod token;

use std::borrow::Cow;

pub use limits::JsonLimits;
pub(crate) use names::{Known, known, plain, spells_alike};
pub use token::{Kind, Token};

use names::{Names, Spelling};
use strings::unescape;

use super::fault::CallFault;

/// Levels that `u128` has bits for.
const MAX_DEPTH: usize = 128;

/// Why reading cannot go on, at the place where the scanner stands. Small, since every step may give one.
#[derive(Debug, Clone, Copy)]
enum Stop {
    NotJson,
    TooDeep,
}

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
            Some(_) => Err(self.fault(Stop::NotJson)),
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
        self.enter(b'{').map_err(|stop| self.fault(stop))?;
        let mut names = Names::default();
        if self.take_if(b'}') {
            self.leave();
            return Ok(());
        }
        loop {
            self.space();
            let mut name = self.string_and_colon().map_err(|stop| self.fault(stop))?;
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
                _ => return Err(self.fault_before()),
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
        self.enter(b'[').map_err(|stop| self.fault(stop))?;
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
                _ => return Err(self.fault_before()),
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
        match self.walk(&mut leaf) {
            Ok(()) => Ok(self.since(start)),
            Err(stop) => Err(self.fault(stop)),
        }
    }

    fn walk<F>(&mut self, leaf: &mut F) -> Result<(), Stop>
    where
        F: FnMut(Token<'a>),
    {
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
                _ => {
                    let start = self.at;
                    self.leaf()?;
                    leaf(self.since(start));
                }
            }
            // A value has ended, and with it perhaps what it stands in.
            loop {
                if self.room == room {
                    return Ok(());
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
                    _ => return Err(self.stop_before()),
                }
            }
        }
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
    fn enter(&mut self, bracket: u8) -> Result<(), Stop> {
        if !self.take_if(bracket) {
            return Err(Stop::NotJson);
        }
        self.room = self.room.checked_sub(1).ok_or(Stop::TooDeep)?;
        self.space();
        Ok(())
    }

    fn leave(&mut self) {
        self.room += 1;
    }

    /// A member's name that is skipped, and its colon.
    fn name(&mut self) -> Result<(), Stop> {
        self.space();
        self.quoted()?;
        self.colon()
    }

    fn colon(&mut self) -> Result<(), Stop> {
        self.space();
        if !self.take_if(b':') {
            return Err(Stop::NotJson);
        }
        self.space();
        Ok(())
    }

    /// A member's name, and its colon.
    fn string_and_colon(&mut self) -> Result<Cow<'a, str>, Stop> {
        let start = self.at + 1;
        let is_plain = self.quoted()?;
        let content = self.text.get(start..self.at - 1).unwrap_or_default();
        self.colon()?;
        Ok(match is_plain {
            true => Cow::Borrowed(content),
            false => Cow::Owned(unescape(content)),
        })
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

    fn fault(&self, stop: Stop) -> CallFault {
        match stop {
            Stop::NotJson => CallFault::NotJson { at: self.at },
            Stop::TooDeep => CallFault::TooDeep,
        }
    }

    /// The byte that was stepped over is not what was due.
    fn stop_before(&mut self) -> Stop {
        self.at -= 1;
        Stop::NotJson
    }

    fn fault_before(&mut self) -> CallFault {
        let stop = self.stop_before();
        self.fault(stop)
    }
}

#[cfg(test)]
mod tests;
