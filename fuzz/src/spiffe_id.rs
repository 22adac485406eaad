//! SPIFFE IDs, trust domains and patterns, from text.
//!
//! Input: a text, or a pattern and an ID on two lines.

use pqlane_certs::spiffe_id::{IdPattern, SpiffeId, TrustDomain};

use crate::Verdict;

/// Reads the first line as everything it could be, and holds it against the ID on the second.
///
/// # Panics
/// When an invariant does not hold.
pub fn run(bytes: &[u8]) -> Verdict {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Verdict::Refused;
    };
    let (first, second) = text.split_once('\n').unwrap_or((text, ""));
    check_trust_domain(first);
    let id = check_id(first);
    let other = check_id(second);
    let pattern = check_pattern(first);
    if let (Some(pattern), Some(other)) = (&pattern, &other) {
        check_match(pattern, other);
    }
    match (id, pattern) {
        (None, None) => Verdict::Refused,
        (Some(_), _) | (_, Some(_)) => Verdict::Accepted,
    }
}

fn check_trust_domain(text: &str) {
    let parsed = text.parse::<TrustDomain>();
    assert_eq!(parsed.is_ok(), is_trust_domain(text), "{text:?}");
    let Ok(trust_domain) = parsed else {
        return;
    };
    assert_eq!(trust_domain.to_string(), text);
    let id = trust_domain.id();
    assert_eq!(id.to_string(), format!("spiffe://{text}"));
    assert_eq!(*id.trust_domain(), trust_domain);
    assert_eq!(id.path(), "");
}

fn check_id(text: &str) -> Option<SpiffeId> {
    let parsed = text.parse::<SpiffeId>();
    assert_eq!(parsed.is_ok(), is_id(text), "{text:?}");
    let id = parsed.ok()?;
    assert_eq!(id.as_str(), text);
    assert_eq!(id.to_string(), text);
    assert_eq!(text.parse(), Ok(id.clone()));
    let parts = format!("spiffe://{}{}", id.trust_domain(), id.path());
    assert_eq!(parts, text);

    // An ID with a path is a pattern that matches itself, here and in no other trust domain.
    let pattern = text.parse::<IdPattern>();
    assert_eq!(pattern.is_ok(), !id.path().is_empty(), "{text:?}");
    if let Ok(pattern) = pattern {
        assert!(pattern.matches(&id), "{pattern} and itself");
        check_elsewhere(&pattern, &id);
    }
    Some(id)
}

fn check_pattern(text: &str) -> Option<IdPattern> {
    let pattern = text.parse::<IdPattern>().ok()?;
    assert_eq!(pattern.as_str(), text);
    assert_eq!(pattern.to_string(), text);
    assert_eq!(text.parse(), Ok(pattern.clone()));
    let trust_domain = pattern.trust_domain().as_str();
    assert!(is_trust_domain(trust_domain), "{text:?}");
    // Each `*` replaced by a name, and `**` by two, gives an ID that the pattern matches, unless it is too long.
    let path = text
        .strip_prefix("spiffe://")
        .and_then(|rest| rest.strip_prefix(trust_domain))
        .unwrap_or_default();
    let filled = path.replace("**", "a/b").replace('*', "c");
    if let Ok(id) = format!("spiffe://{trust_domain}{filled}").parse() {
        assert!(pattern.matches(&id), "{pattern} and {id}");
        check_elsewhere(&pattern, &id);
    }
    Some(pattern)
}

fn check_match(pattern: &IdPattern, id: &SpiffeId) {
    let matches = pattern.matches(id);
    let same_domain = pattern.trust_domain() == id.trust_domain();
    let of_pattern: Vec<&str> = pattern.as_str().split('/').skip(3).collect();
    let of_id: Vec<&str> = id.as_str().split('/').skip(3).collect();
    let expected = same_domain && segments_match(&of_pattern, &of_id);
    assert_eq!(matches, expected, "{pattern} and {id}");
}

/// Asserts that `pattern` does not match the path of `id` in trust domains that look like its own.
fn check_elsewhere(pattern: &IdPattern, id: &SpiffeId) {
    let name = id.trust_domain().as_str();
    for other in [format!("{name}.x"), format!("x.{name}"), format!("{name}_")] {
        if let Ok(id) = format!("spiffe://{other}{}", id.path()).parse() {
            assert!(!pattern.matches(&id), "{pattern} and {id}");
        }
    }
}

/// `*` is one segment; a final `**` is one or more.
fn segments_match(pattern: &[&str], id: &[&str]) -> bool {
    match (pattern, id) {
        ([], []) => true,
        (["**"], [_, ..]) => true,
        ([expected, pattern @ ..], [found, id @ ..]) => {
            (*expected == "*" || expected == found) && segments_match(pattern, id)
        }
        _ => false,
    }
}

/// SPIFFE-ID §2, said once more.
fn is_id(text: &str) -> bool {
    let mut parts = text.split('/');
    let scheme_and_slashes = parts.next() == Some("spiffe:") && parts.next() == Some("");
    scheme_and_slashes
        && text.len() <= 2048
        && parts.next().is_some_and(is_trust_domain)
        && parts.all(is_segment)
}

/// SPIFFE-ID §2.1 and §2.3.
fn is_trust_domain(name: &str) -> bool {
    const ALLOWED: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789.-_";
    (1..=255).contains(&name.len()) && name.bytes().all(|byte| ALLOWED.contains(&byte))
}

/// SPIFFE-ID §2.2.
fn is_segment(segment: &str) -> bool {
    const ALLOWED: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    !["", ".", ".."].contains(&segment) && segment.bytes().all(|byte| ALLOWED.contains(&byte))
}
