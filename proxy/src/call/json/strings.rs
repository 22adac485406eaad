//! The inside of strings (RFC 8259 §7).
//!
//! Takes bytes after a quote; gives where they stop standing for themselves, and what escapes stand for.

use memchr::memchr2;

/// Strings are looked at eight bytes at a time up to here, and then by `memchr`: most end before that, and
/// calling it costs more than they do.
const NEAR: usize = 32;

/// How many bytes stand for themselves: up to a quote, a backslash, a control character or the end.
#[inline]
pub(super) fn plain_run(bytes: &[u8]) -> usize {
    // Names and most values end within the first word.
    match bytes
        .first_chunk()
        .map(|chunk| stops_in(u64::from_le_bytes(*chunk)))
    {
        None | Some(0) => longer_run(bytes),
        Some(stops) => index_of(stops),
    }
}

#[inline(never)]
fn longer_run(bytes: &[u8]) -> usize {
    let mut run = 0;
    while run < NEAR {
        let Some(chunk) = bytes.get(run..).and_then(<[u8]>::first_chunk) else {
            break;
        };
        match stops_in(u64::from_le_bytes(*chunk)) {
            0 => run += 8,
            stops => return run + index_of(stops),
        }
    }
    let rest = bytes.get(run..).unwrap_or_default();
    if rest.len() < 8 {
        return run + rest.iter().position(is_stop).unwrap_or(rest.len());
    }
    let len = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
    let plain = rest.get(..len).unwrap_or_default();
    // To the end even if the first is one, so that this is done in vectors.
    let has_control = plain
        .iter()
        .fold(false, |found, byte| found | (*byte < 0x20));
    let len = match has_control {
        true => plain.iter().position(is_stop).unwrap_or(len),
        false => len,
    };
    run + len
}

/// The byte whose bit is the lowest that is set.
#[inline]
fn index_of(stops: u64) -> usize {
    usize::try_from(stops.trailing_zeros() / 8).unwrap_or_default()
}

fn is_stop(byte: &u8) -> bool {
    matches!(byte, b'"' | b'\\' | 0..=0x1f)
}

/// The high bit of each byte that is a quote, a backslash or a control character. Bits above the lowest one may
/// be wrong, since a borrow goes upwards.
#[inline]
const fn stops_in(word: u64) -> u64 {
    const EACH: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
    let quote = word ^ u64::from_le_bytes([b'"'; 8]);
    let backslash = word ^ u64::from_le_bytes([b'\\'; 8]);
    let quotes = quote.wrapping_sub(EACH) & !quote;
    let backslashes = backslash.wrapping_sub(EACH) & !backslash;
    let controls = word.wrapping_sub(u64::from_le_bytes([0x20; 8])) & !word;
    (quotes | backslashes | controls) & HIGH
}

/// What the hexadecimal digits after `\u` stand for, and the length of all that was read: two escapes where
/// the first is the high half of a surrogate pair.
pub(super) fn code_point(bytes: &[u8]) -> Option<(char, usize)> {
    const LOW: std::ops::RangeInclusive<u32> = 0xdc00..=0xdfff;
    let first = unit(bytes)?;
    if !(0xd800..=0xdbff).contains(&first) {
        return Some((char::from_u32(first)?, 4));
    }
    let second = unit(bytes.get(4..)?.strip_prefix(b"\\u")?)?;
    if !LOW.contains(&second) {
        return None;
    }
    let both = 0x1_0000 + ((first - 0xd800) << 10) + (second - LOW.start());
    Some((char::from_u32(both)?, 10))
}

/// Four hexadecimal digits.
fn unit(bytes: &[u8]) -> Option<u32> {
    let digits: &[u8; 4] = bytes.first_chunk()?;
    digits.iter().try_fold(0, |unit, digit| {
        Some(unit << 4 | char::from(*digit).to_digit(16)?)
    })
}

/// What a string whose grammar was checked stands for.
pub(super) fn unescape(content: &str) -> String {
    let mut meant = String::with_capacity(content.len());
    let mut rest = content;
    while let Some((plain, escape)) = rest.split_once('\\') {
        let (char, after) = unescape_one(escape);
        meant.push_str(plain);
        meant.extend(char);
        rest = after;
    }
    meant.push_str(rest);
    meant
}

/// Whether that is `text`, without making it.
pub(super) fn stands_for(content: &str, mut text: &str) -> bool {
    let mut rest = content;
    while let Some((plain, escape)) = rest.split_once('\\') {
        let (char, after) = unescape_one(escape);
        let left = text.strip_prefix(plain).zip(char);
        match left.and_then(|(left, char)| left.strip_prefix(char)) {
            Some(left) => text = left,
            None => return false,
        }
        rest = after;
    }
    text == rest
}

/// What an escape without its backslash stands for, and what comes after it.
fn unescape_one(escape: &str) -> (Option<char>, &str) {
    let mut chars = escape.chars();
    let meant = match chars.next() {
        Some('b') => Some('\u{8}'),
        Some('f') => Some('\u{c}'),
        Some('n') => Some('\n'),
        Some('r') => Some('\r'),
        Some('t') => Some('\t'),
        Some('u') => {
            let digits = chars.as_str();
            let (char, len) = code_point(digits.as_bytes()).unzip();
            let after = digits.get(len.unwrap_or_default()..);
            return (char, after.unwrap_or_default());
        }
        other => other,
    };
    (meant, chars.as_str())
}
