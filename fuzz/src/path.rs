//! Whether every program reads a path alike.
//!
//! Input: a path.

use pqlane::hostile::is_plain_path;

use crate::Verdict;

/// Judges the path, and reads it a second time as other programs would.
///
/// # Panics
/// When an invariant does not hold.
pub fn run(bytes: &[u8]) -> Verdict {
    let Ok(path) = std::str::from_utf8(bytes) else {
        return Verdict::Refused;
    };
    // A request's path in origin form begins so (RFC 9112 §3.2.1), and so does one in configuration.
    if !path.starts_with('/') || !is_plain_path(path) {
        return Verdict::Refused;
    }

    // Some programs decode and then split, some split and then decode, some decode twice.
    let decoded = decode(path.as_bytes());
    let segments: Vec<Vec<u8>> = path
        .split('/')
        .map(|segment| decode(segment.as_bytes()))
        .collect();
    let split_late: Vec<&[u8]> = decoded.split(|byte| *byte == b'/').collect();
    assert_eq!(segments, split_late, "{path:?}");
    assert_eq!(decode(&decoded), decoded, "{path:?}");
    // Overlong forms are read as what they are not by decoders that are lenient.
    assert!(String::from_utf8(decoded.clone()).is_ok(), "{path:?}");

    // Some merge empty segments, some resolve dots, some cut at a parameter, some take `\` for `/`.
    let last = segments.len() - 1;
    for (index, segment) in segments.iter().enumerate() {
        let ends_the_path = index == 0 || index == last;
        assert!(ends_the_path || !segment.is_empty(), "{path:?}");
        assert!(!matches!(segment.as_slice(), b"." | b".."), "{path:?}");
        assert!(!segment.contains(&b';'), "{path:?}");
        assert!(!segment.contains(&b'\\'), "{path:?}");
    }
    // RFC 3986 §6.2.2.2: what could stand for itself does. Of ASCII only the space may be encoded.
    for (at, _) in path.match_indices('%') {
        let meant = decode(path.as_bytes().get(at..at + 3).unwrap_or_default());
        assert!(matches!(*meant, [b' ' | 0x80..]), "{path:?}");
    }
    Verdict::Accepted
}

/// RFC 3986 §2.1: `%` and two hexadecimal digits are one byte. Anything else stands for itself.
fn decode(mut bytes: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut decoded = Vec::with_capacity(bytes.len());
    while let Some((first, rest)) = bytes.split_first() {
        bytes = rest;
        let encoded = match (first, rest) {
            (b'%', [high, low, ..]) => digit(*high).zip(digit(*low)),
            _ => None,
        };
        match encoded {
            None => decoded.push(*first),
            Some((high, low)) => {
                decoded.extend(u8::try_from(high << 4 | low));
                bytes = rest.get(2..).unwrap_or_default();
            }
        }
    }
    decoded
}
