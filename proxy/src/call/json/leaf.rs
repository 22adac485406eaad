//! Values that hold no others.
//!
//! Takes a scanner before one; leaves it behind, or where the bytes stop being JSON.

use super::strings::{code_point, plain_run};
use super::{Scanner, Stop};

/// From this length on a number without an exponent may be too large for a double.
const LONG_NUMBER_LEN: usize = 300;

impl Scanner<'_> {
    /// Reads a string, number, boolean or null.
    pub(super) fn leaf(&mut self) -> Result<(), Stop> {
        match self.peek() {
            Some(b'"') => self.quoted().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            _ => Err(Stop::NotJson),
        }
    }

    /// A string (RFC 8259 §7); tells whether it has no escapes. Half of a surrogate pair is refused: readers make
    /// different things of it.
    pub(super) fn quoted(&mut self) -> Result<bool, Stop> {
        if !self.take_if(b'"') {
            return Err(Stop::NotJson);
        }
        let end = self.text.len();
        let mut rest = self.rest();
        let mut is_plain = true;
        loop {
            rest = match rest {
                [b'"', after @ ..] => {
                    self.at = end - after.len();
                    return Ok(is_plain);
                }
                [b'\\', escape @ ..] => {
                    is_plain = false;
                    after_escape(escape).ok_or_else(|| self.stop_before_last(escape))?
                }
                [] | [0..=0x1f, ..] => return Err(self.stop_before_last(rest)),
                plain => plain.get(plain_run(plain)..).unwrap_or_default(),
            };
        }
    }

    /// What follows is not what was due.
    fn stop_before_last(&mut self, last: &[u8]) -> Stop {
        self.at = self.text.len() - last.len();
        Stop::NotJson
    }

    /// RFC 8259 §6. A number too large for a double is refused: some readers fail, some take it for infinity.
    fn number(&mut self) -> Result<(), Stop> {
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
                self.at = start;
                return Err(Stop::NotJson);
            }
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Stop> {
        let rest = self.rest();
        let others = rest.iter().position(|byte| !byte.is_ascii_digit());
        match others.unwrap_or(rest.len()) {
            0 => Err(Stop::NotJson),
            len => {
                self.at += len;
                Ok(())
            }
        }
    }

    fn literal(&mut self, word: &str) -> Result<(), Stop> {
        if !self.rest().starts_with(word.as_bytes()) {
            return Err(Stop::NotJson);
        }
        self.at += word.len();
        Ok(())
    }
}

/// What follows an escape, of which the backslash was read.
fn after_escape(escape: &[u8]) -> Option<&[u8]> {
    match escape {
        [
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't',
            after @ ..,
        ] => Some(after),
        [b'u', digits @ ..] => code_point(digits).and_then(|(_, len)| digits.get(len..)),
        _ => None,
    }
}
