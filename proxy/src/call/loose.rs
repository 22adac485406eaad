//! Every way in which some program could read a path.
//!
//! Takes a path that is not in its plain form; says whether A2A could be meant. Never says what is meant: this
//! is for refusing, so it errs towards A2A.

#![warn(clippy::indexing_slicing)]

/// Times a path is decoded: a proxy, a framework and an application may each do it once.
const MAX_DECODINGS: usize = 3;

/// What a path says, decoded not at all and up to three times: in lower case, with `\` as `/`, and without tabs and
/// ends of lines, which URL parsers drop wherever they are (WHATWG URL §4.4).
pub(super) fn readings(path: &str) -> impl Iterator<Item = String> {
    let first = Some(path.as_bytes().to_vec());
    let decodings = std::iter::successors(first, |before| {
        let decoded = decode(before);
        (decoded != *before).then_some(decoded)
    });
    decodings.take(1 + MAX_DECODINGS).map(|bytes| {
        let text = String::from_utf8_lossy(&bytes);
        let kept = text.replace(['\t', '\n', '\r'], "");
        kept.to_ascii_lowercase().replace('\\', "/")
    })
}

/// Whether a path in some reading has the words of an A2A path.
///
/// Empty segments, dot segments and parameters may go or stay, since the words are looked for wherever they are.
pub(super) fn mentions_a2a(path: &str) -> bool {
    readings(path).any(|reading| {
        let has = |word: &str| reading.split('/').any(|segment| bare(segment) == word);
        has("tasks")
            || has("extendedagentcard")
            || has("message:send")
            || has("message:stream")
            || has("message") && (has("send") || has("stream"))
            || has("agent-card") && has("extended")
            || has("v1") && has("card")
    })
}

/// A segment without what a program may cut off: parameters, a query or fragment that was encoded, a NUL and
/// what follows, spaces and dots at the end. (To a regular expression in Python, `$` is before a last line feed.)
fn bare(segment: &str) -> &str {
    let end = segment.find([';', '?', '#', '\0']);
    let kept = end.and_then(|end| segment.get(..end)).unwrap_or(segment);
    kept.trim_start()
        .trim_end_matches(|end: char| end == '.' || end.is_whitespace() || end.is_control())
}

/// Takes percent-encoding off once; what is no encoding stands for itself (RFC 3986 §2.1). A two-octet form of
/// an ASCII character, which is not UTF-8, becomes that character, as lenient decoders have it.
fn decode(mut bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(bytes.len());
    loop {
        bytes = match *bytes {
            [b'%', high, low, ref rest @ ..] if octet(high, low).is_some() => {
                decoded.extend(octet(high, low));
                rest
            }
            [first, ref rest @ ..] => {
                decoded.push(first);
                rest
            }
            [] => return shortened(&decoded),
        };
    }
}

/// The octet of two hexadecimal digits.
fn octet(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let value = digit(high)? << 4 | digit(low)?;
    u8::try_from(value).ok()
}

/// RFC 3629 §3: C0 and C1 begin nothing but longer forms of ASCII.
fn shortened(mut bytes: &[u8]) -> Vec<u8> {
    let mut short = Vec::with_capacity(bytes.len());
    loop {
        bytes = match *bytes {
            [lead @ (0xc0 | 0xc1), next @ 0x80..=0xbf, ref rest @ ..] => {
                short.push((lead & 1) << 6 | next & 0x3f);
                rest
            }
            [first, ref rest @ ..] => {
                short.push(first);
                rest
            }
            [] => return short,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_words_under_every_disguise() {
        for path in [
            "/%74asks/1",
            "/%2574asks/1",
            "/%252574asks/1",
            "/TASKS%2f1",
            "\\tasks\\1",
            "/x/..;/tasks;v=1/1",
            "/tasks//1",
            "/tasks%00/1",
            "/tasks%3Fa=b",
            "/tasks%20./1",
            "/tasks%0A",
            "/ta%0dsks/1",
            "/message:send%0a",
            "/message:stream%0b%c2%a0",
            "/x%c0%aftasks%c0%af1",
            "/message%3Asend",
            "/message%2Fstream",
            "/v1/./card",
            "/agent-card//extended",
        ] {
            assert!(mentions_a2a(path), "{path}");
        }
    }

    #[test]
    fn finds_nothing_where_only_a_part_of_a_word_is() {
        for path in [
            "/mcp//x",
            "/tasksets%2F1",
            "/message%2F1",
            "/card//x",
            "/%zz",
        ] {
            assert!(!mentions_a2a(path), "{path}");
        }
    }

    #[test]
    fn ends_after_three_decodings() {
        assert_eq!(readings("/a").count(), 1);
        assert_eq!(readings("/%25252525252561").count(), 4);
        assert_eq!(readings("/%252561").last().as_deref(), Some("/a"));
    }
}
