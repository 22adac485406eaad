//! A request's head: which fields go on to the other side.
//!
//! Input: the target on the first line, then a field a line, `name:value`.

use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, TE};
use pqlane::hostile::{claims_identity, read_head};

use crate::Verdict;

/// Fields that only ever concern one connection (RFC 9110 §7.6.1). `te` is one, too, and is kept in part.
const HOP_BY_HOP: [&str; 5] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
];
/// Some beginnings of names by which others would take the caller for somebody.
const IDENTITY: [&str; 6] = [
    "pqlane-",
    "ssl-client-",
    "txn-token",
    "x-envoy-",
    "x-forwarded-",
    "x-spiffe-",
];

/// Reads the head and compares what is left with what has to be.
///
/// # Panics
/// When an invariant does not hold.
pub fn run(bytes: &[u8]) -> Verdict {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let target = lines.next().map(std::str::from_utf8);
    let Some(Ok(target)) = target else {
        return Verdict::Refused;
    };
    let fields: Vec<(&[u8], &[u8])> = lines.filter_map(field).collect();
    let Some(left) = read_head(target, &fields) else {
        return Verdict::Refused;
    };

    let arrived: Vec<(HeaderName, HeaderValue)> = fields
        .iter()
        .filter_map(|(name, value)| {
            let name = HeaderName::from_bytes(name).ok()?;
            Some((name, HeaderValue::from_bytes(value).ok()?))
        })
        .collect();
    check_nothing_is_left_that_must_go(&left);
    assert_eq!(left, expected(&arrived));
    for (name, _) in &arrived {
        check_spellings(name.as_str());
    }
    Verdict::Accepted
}

fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at(colon);
    Some((name, value.trim_ascii_start().get(1..)?.trim_ascii()))
}

fn check_nothing_is_left_that_must_go(left: &HeaderMap) {
    for name in left.keys().map(HeaderName::as_str) {
        assert!(!HOP_BY_HOP.contains(&name), "{name}");
        assert!(!claims_identity(name), "{name}");
        let read_loosely = name.replace('_', "-");
        let claim = IDENTITY
            .iter()
            .find(|claim| read_loosely.starts_with(**claim));
        assert_eq!(claim, None, "{name}");
    }
}

/// The fields that have to be left: all of the others, untouched and in order.
fn expected(arrived: &[(HeaderName, HeaderValue)]) -> HeaderMap {
    let tokens = |of: HeaderName| {
        let values = arrived.iter().filter(move |(name, _)| *name == of);
        values
            .flat_map(|(_, value)| value.as_bytes().split(|byte| *byte == b','))
            .map(|token| token.trim_ascii().to_ascii_lowercase())
    };
    let nominated: Vec<Vec<u8>> = tokens(CONNECTION).collect();
    let mut left = HeaderMap::new();
    for (name, value) in arrived {
        let is_nominated = nominated
            .iter()
            .any(|token| token == name.as_str().as_bytes());
        let goes = *name == TE
            || is_nominated
            || HOP_BY_HOP.contains(&name.as_str())
            || claims_identity(name.as_str())
            || misleads(name.as_str());
        if !goes {
            left.append(name, value.clone());
        }
    }
    // RFC 9110 §10.1.4: `trailers` is the one member of TE that a gateway may repeat.
    if tokens(TE).any(|coding| coding == b"trailers") {
        left.insert(TE, HeaderValue::from_static("trailers"));
    }
    left
}

/// Fields by which some servers take another method, and those that repeat the body, in another spelling.
fn misleads(name: &str) -> bool {
    let read_loosely = name.replace('_', "-");
    let is_override = [
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
    ]
    .contains(&&*read_loosely);
    let repeats_the_body = ["mcp-", "a2a-"]
        .iter()
        .any(|prefix| read_loosely.starts_with(prefix));
    is_override || (repeats_the_body && read_loosely != name)
}

/// Whoever reads `_` for `-` reads the same name, so that both claim the same.
fn check_spellings(name: &str) {
    let claims = claims_identity(name);
    for other in [
        name.replace('-', "_"),
        name.replace('_', "-"),
        name.replacen('-', "_", 1),
    ] {
        assert_eq!(claims_identity(&other), claims, "{name} and {other}");
    }
}
