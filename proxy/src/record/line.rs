//! One JSON line, written member by member.

use std::cell::Cell;
use std::fmt::Write;

use crate::clock::write_timestamp;

/// The longest text a record takes from a peer, in bytes; what is longer is cut and marked with `…`.
const MAX_TEXT_BYTES: usize = 1024;

/// The largest line whose memory is kept.
const MAX_SPARE_BYTES: usize = 16 * 1024;

thread_local! {
    /// Memory of the line that was finished last on this thread.
    static SPARE: Cell<String> = const { Cell::new(String::new()) };
}

/// A JSON object under construction: `{"time":…,"event":…,…}`.
#[derive(Debug)]
pub(crate) struct Line(String);

impl Line {
    /// Starts a line with the time now.
    pub(crate) fn new(event: &'static str) -> Self {
        let mut text = SPARE.take();
        text.push_str("{\"time\":\"");
        write_timestamp(&mut text);
        text.push_str("\",\"event\":\"");
        text.push_str(event);
        text.push('"');
        Self(text)
    }

    /// Starts a list of members to be given to [`Line::raw`] later, many times.
    pub(crate) fn fixed() -> Self {
        Self(String::new())
    }

    /// The members alone, without braces: `,"a":…,"b":…`.
    pub(crate) fn into_members(self) -> String {
        self.0
    }

    /// Adds members made by [`Line::into_members`].
    pub(crate) fn raw(mut self, members: &str) -> Self {
        self.0.push_str(members);
        self
    }

    /// Adds a string, escaped; cut if a peer made it very long.
    pub(crate) fn text(mut self, name: &'static str, value: &str) -> Self {
        self.name(name);
        self.push_text(value);
        self
    }

    fn push_text(&mut self, value: &str) {
        let mut end = value.len().min(MAX_TEXT_BYTES);
        while !value.is_char_boundary(end) {
            end -= 1;
        }
        let (kept, rest) = value.split_at(end);
        self.0.push('"');
        escape_into(&mut self.0, kept);
        self.0.push_str(if rest.is_empty() { "\"" } else { "…\"" });
    }

    /// Adds a string if there is one.
    pub(crate) fn optional(self, name: &'static str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.text(name, value),
            None => self,
        }
    }

    /// Adds a whole number.
    pub(crate) fn number(mut self, name: &'static str, value: u64) -> Self {
        self.name(name);
        push_decimal(&mut self.0, value);
        self
    }

    /// Adds a list of whole numbers.
    pub(crate) fn numbers(mut self, name: &'static str, values: &[u32]) -> Self {
        self.name(name);
        let _ = write!(self.0, "{values:?}");
        self
    }

    /// Adds a list of strings, each cut as [`Self::text`] cuts it.
    pub(crate) fn texts<T: AsRef<str>>(mut self, name: &'static str, values: &[T]) -> Self {
        self.name(name);
        self.0.push('[');
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                self.0.push(',');
            }
            self.push_text(value.as_ref());
        }
        self.0.push(']');
        self
    }

    /// Names a call: its connection and its number on it.
    pub(crate) fn call(mut self, connection: u64, sequence: u64) -> Self {
        self.name("call");
        self.0.push('"');
        push_hex(&mut self.0, connection);
        self.0.push('-');
        push_decimal(&mut self.0, sequence);
        self.0.push('"');
        self
    }

    /// Names a connection.
    pub(crate) fn connection(mut self, connection: u64) -> Self {
        self.name("connection");
        self.0.push('"');
        push_hex(&mut self.0, connection);
        self.0.push('"');
        self
    }

    /// Hands over the finished line, with its line feed, and keeps its memory for the next.
    pub(crate) fn finish(mut self, take: impl FnOnce(&[u8])) {
        self.0.push_str("}\n");
        take(self.0.as_bytes());
        self.0.clear();
        if self.0.capacity() <= MAX_SPARE_BYTES {
            SPARE.set(self.0);
        }
    }

    fn name(&mut self, name: &'static str) {
        self.0.push_str(",\"");
        self.0.push_str(name);
        self.0.push_str("\":");
    }
}

/// Escapes as RFC 8259 §7 requires.
fn escape_into(line: &mut String, text: &str) {
    let is_special = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    // Nearly every text is plain, and looking at bytes is quick.
    if !text.bytes().any(is_special) {
        line.push_str(text);
        return;
    }
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                line.push('\\');
                line.push(character);
            }
            control if control < ' ' => {
                let _ = write!(line, "\\u{:04x}", u32::from(control));
            }
            plain => line.push(plain),
        }
    }
}

/// Appends a number, as `Display` would at several times the cost.
fn push_decimal(line: &mut String, mut number: u64) {
    let mut digits = [0; 20];
    let mut first = digits.len();
    for (index, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        first = index;
        if number == 0 {
            break;
        }
    }
    push_ascii(line, digits.get(first..));
}

/// Appends a number as 16 hexadecimal digits.
fn push_hex(line: &mut String, number: u64) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [0; 16];
    for (index, digit) in digits.iter_mut().rev().enumerate() {
        let nibble = (number >> (4 * index)) & 0xF;
        *digit = HEX.get(nibble as usize).copied().unwrap_or(b'0');
    }
    push_ascii(line, Some(&digits));
}

fn push_ascii(line: &mut String, digits: Option<&[u8]>) {
    let digits = digits.and_then(|digits| str::from_utf8(digits).ok());
    line.push_str(digits.unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn parsed(line: Line) -> Value {
        let mut value = Value::Null;
        line.finish(|bytes| value = serde_json::from_slice(bytes).unwrap());
        value
    }

    #[test]
    fn hostile_text_stays_inside_its_member() {
        let hostile = "a\"},{\"event\":\"forged\n\u{1}\\ é";
        let value = parsed(Line::new("call.open").text("path", hostile));
        assert_eq!(value["path"], hostile);
        assert_eq!(value["event"], "call.open");
    }

    #[test]
    fn numbers_are_written_as_display_writes_them() {
        for number in [0, 7, 10, 1_234_567_890, u64::MAX] {
            let mut text = String::new();
            push_decimal(&mut text, number);
            push_hex(&mut text, number);
            assert_eq!(text, format!("{number}{number:016x}"));
        }
    }

    #[test]
    fn long_text_is_cut_at_a_character() {
        let value = parsed(Line::new("x").text("path", &"é".repeat(2000)));
        let text = value["path"].as_str().unwrap();
        assert!(text.ends_with("é…") && text.len() <= MAX_TEXT_BYTES + 3);
    }

    #[test]
    fn members_of_every_kind_are_json() {
        let fixed = Line::fixed().text("peer", "spiffe://a/b").into_members();
        let value = parsed(
            Line::new("x")
                .call(7, 9)
                .connection(7)
                .raw(&fixed)
                .number("status", 200)
                .numbers("flights", &[1, 2])
                .texts("offered", &["x25519", "secp256r1"])
                .optional("none", None),
        );
        assert_eq!(value["call"], "0000000000000007-9");
        assert_eq!(value["peer"], "spiffe://a/b");
        assert_eq!(value["flights"], serde_json::json!([1, 2]));
        assert_eq!(value["offered"], serde_json::json!(["x25519", "secp256r1"]));
        assert!(value.get("none").is_none());
    }
}
