//! One JSON line, written member by member.

use std::fmt::Write;

use crate::clock::write_timestamp;

/// The longest text a record takes from a peer, in bytes; what is longer is cut and marked with `…`.
const MAX_TEXT_BYTES: usize = 1024;

/// A JSON object under construction: `{"time":…,"event":…,…}`.
#[derive(Debug)]
pub(crate) struct Line(String);

impl Line {
    /// Starts a line with the time now.
    pub(crate) fn new(event: &'static str) -> Self {
        let mut text = String::with_capacity(512);
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
        let mut end = value.len().min(MAX_TEXT_BYTES);
        while !value.is_char_boundary(end) {
            end -= 1;
        }
        let (kept, rest) = value.split_at(end);
        self.0.push('"');
        escape_into(&mut self.0, kept);
        self.0.push_str(if rest.is_empty() { "\"" } else { "…\"" });
        self
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
        let _ = write!(self.0, "{value}");
        self
    }

    /// Adds a list of whole numbers.
    pub(crate) fn numbers(mut self, name: &'static str, values: &[u32]) -> Self {
        self.name(name);
        let _ = write!(self.0, "{values:?}");
        self
    }

    /// Adds a list of strings.
    pub(crate) fn texts<T: AsRef<str>>(mut self, name: &'static str, values: &[T]) -> Self {
        self.name(name);
        self.0.push('[');
        for (index, value) in values.iter().enumerate() {
            self.0.push_str(if index == 0 { "\"" } else { ",\"" });
            escape_into(&mut self.0, value.as_ref());
            self.0.push('"');
        }
        self.0.push(']');
        self
    }

    /// Names a call: its connection and its number on it.
    pub(crate) fn call(mut self, connection: u64, sequence: u64) -> Self {
        self.name("call");
        let _ = write!(self.0, r#""{connection:016x}-{sequence}""#);
        self
    }

    /// Names a connection.
    pub(crate) fn connection(mut self, connection: u64) -> Self {
        self.name("connection");
        let _ = write!(self.0, r#""{connection:016x}""#);
        self
    }

    /// The finished line, with its line feed.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.0.push_str("}\n");
        self.0.into_bytes()
    }

    fn name(&mut self, name: &'static str) {
        self.0.push_str(",\"");
        self.0.push_str(name);
        self.0.push_str("\":");
    }
}

/// Escapes as RFC 8259 §7 requires.
fn escape_into(line: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c < ' ' || c == '"' || c == '\\') {
        let (plain, tail) = rest.split_at(at);
        line.push_str(plain);
        let mut tail = tail.chars();
        match tail.next() {
            Some(quoted @ ('"' | '\\')) => {
                line.push('\\');
                line.push(quoted);
            }
            Some(control) => {
                let _ = write!(line, "\\u{:04x}", u32::from(control));
            }
            None => {}
        }
        rest = tail.as_str();
    }
    line.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn parsed(line: Line) -> Value {
        serde_json::from_slice(&line.finish()).unwrap()
    }

    #[test]
    fn hostile_text_stays_inside_its_member() {
        let hostile = "a\"},{\"event\":\"forged\n\u{1}\\ é";
        let value = parsed(Line::new("call.open").text("path", hostile));
        assert_eq!(value["path"], hostile);
        assert_eq!(value["event"], "call.open");
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
