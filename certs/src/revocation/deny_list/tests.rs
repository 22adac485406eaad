use std::error::Error;
use std::sync::Arc;

use super::*;
use crate::clock::FixedClock;
use crate::testing::{NOW, TestDomain, TestLeaf, allow, bundles, verifier_config};
use crate::verifier::{PeerVerifier, Role};

fn list(text: &str) -> DenyList {
    DenyList::parse(text.as_bytes()).unwrap()
}

/// The entry that denies a peer with this leaf, as it is written.
fn denies(list: &DenyList, domain: &TestDomain, leaf: TestLeaf<'_>) -> Option<String> {
    let allowed = allow(&["spiffe://example.org/**"]);
    let clock = Arc::new(FixedClock::new(NOW));
    let verifier = PeerVerifier::new(verifier_config(bundles(&[domain]), allowed, clock));
    let peer = verifier
        .identify(leaf.issue().chain(), Role::Client)
        .unwrap();
    list.denies(&peer).map(|entry| entry.to_string())
}

#[test]
fn denies_whom_an_entry_names_and_nobody_else() {
    let domain = TestDomain::new("example.org");
    let cases = [
        ("", None),
        ("# spiffe://example.org/agent", None),
        (
            "spiffe://example.org/agent",
            Some("spiffe://example.org/agent"),
        ),
        ("spiffe://example.org/agent/x", None),
        ("spiffe://example.org/Agent", None),
        ("spiffe://example.org", Some("spiffe://example.org")),
        ("spiffe://example.com", None),
        ("serial:0A1B2C", Some("serial:0A1B2C")),
        ("serial:a1b2c", Some("serial:0A1B2C")),
        ("serial:00:0a:1B:2c # lost laptop", Some("serial:0A1B2C")),
        (
            "serial:0A1B2C spiffe://example.org",
            Some("serial:0A1B2C spiffe://example.org"),
        ),
        ("serial:0A1B2C spiffe://example.com", None),
        ("serial:0A1B2C00", None),
    ];
    for (text, entry) in cases {
        let leaf = domain.leaf("/agent").serial(&[0x0a, 0x1b, 0x2c]);
        let found = denies(&list(text), &domain, leaf);
        assert_eq!(found.as_deref(), entry, "{text}");
    }
}

/// A serial number whose first bit is set has a zero before it in DER.
#[test]
fn serial_numbers_are_compared_as_numbers() {
    let domain = TestDomain::new("example.org");
    let high = || domain.leaf("/agent").serial(&[0x00, 0xff, 0x01]);
    assert!(denies(&list("serial:ff01"), &domain, high()).is_some());
    assert!(denies(&list("serial:00FF01"), &domain, high()).is_some());
    assert!(denies(&list("serial:01"), &domain, high()).is_none());
}

#[test]
fn reads_comments_blank_lines_and_windows_line_ends() {
    let text =
        "# who\r\n\r\n  spiffe://example.org/a  # left\r\nspiffe://example.org/a\r\n\tserial:01\n";
    assert_eq!(list(text).len(), 2);
    assert!(!list(text).is_empty());
    assert_eq!(list(text), list("serial:1\nspiffe://example.org/a"));
    assert!(DenyList::default().is_empty());
    assert_eq!(list("# nobody"), DenyList::default());
}

#[test]
fn refuses_a_list_with_one_bad_line_and_names_it() {
    let too_long = format!("serial:{}", "11".repeat(65));
    let cases = [
        (
            "example.org",
            "spiffe://example.org/agent/x, spiffe://example.org or serial:0A1B2C",
        ),
        ("SPIFFE://example.org/a", "is no entry"),
        ("spiffe://Example.org/a", "no upper case"),
        ("spiffe://example.org/", "no slash at the end"),
        ("spiffe://example.org/*", "may have a-z"),
        (
            "spiffe://example.org/a spiffe://example.org/b",
            "may have a-z",
        ),
        ("serial:", "serial:0A1B2C or serial:0A:1B:2C"),
        ("serial: 0A", "hexadecimal of at most 64 octets"),
        ("serial:0x0A", "hexadecimal"),
        ("serial:0A:1", "hexadecimal"),
        ("serial::0A", "hexadecimal"),
        ("serial:-1", "hexadecimal"),
        (too_long.as_str(), "hexadecimal"),
        ("serial:0A spiffe://example.org more", "hexadecimal"),
        ("serial:0A example.org", "must start with spiffe://"),
        (
            "serial:0A spiffe://example.org/a",
            "binds a serial number to an ID",
        ),
    ];
    for (line, accepted) in cases {
        let text = format!("# first\nspiffe://example.org/good\n{line}\n");
        let error = DenyList::parse(text.as_bytes()).unwrap_err();
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        let message = format!("{error}: {cause}");
        assert!(message.starts_with("line 3 of the deny-list"), "{message}");
        assert!(message.contains(accepted), "{line}: {message}");
    }
    let error = DenyList::parse(b"\nspiffe://example.org/\xff\n").unwrap_err();
    assert!(matches!(error, DenyListError::NotText { line: 2, .. }));
}

#[test]
fn refuses_more_than_100_000_entries_and_more_bytes_than_those_take() {
    // Twice as long as most are.
    let entry = |n: usize| format!("spiffe://example.org/{}/{n}", "team".repeat(25));
    let most: Vec<String> = (0..MAX_DENY_ENTRIES).map(entry).collect();
    let text = most.join("\n");
    assert_eq!(list(&text).len(), MAX_DENY_ENTRIES);
    assert_eq!(
        list(&format!("{text}\n{}", entry(0))).len(),
        MAX_DENY_ENTRIES
    );
    let error = DenyList::parse(format!("{text}\n{}", entry(MAX_DENY_ENTRIES)).as_bytes());
    let line = MAX_DENY_ENTRIES + 1;
    assert_eq!(error, Err(DenyListError::TooManyEntries { line }));

    let long = vec![b'#'; MAX_DENY_LIST_LEN];
    assert!(DenyList::parse(&long).is_ok());
    let longer = [&long[..], b"#"].concat();
    let len = MAX_DENY_LIST_LEN + 1;
    assert_eq!(
        DenyList::parse(&longer),
        Err(DenyListError::TooLong { len })
    );
}

/// An entry by itself says of a peer what a list of it says.
#[test]
fn an_entry_names_whom_a_list_of_it_denies() {
    let domain = TestDomain::new("example.org");
    let leaf = domain.leaf("/agent").serial(&[0x0a, 0x1b]).issue();
    let allowed = allow(&["spiffe://example.org/**"]);
    let clock = Arc::new(FixedClock::new(NOW));
    let verifier = PeerVerifier::new(verifier_config(bundles(&[&domain]), allowed, clock));
    let peer = verifier.identify(leaf.chain(), Role::Client).unwrap();
    for (text, named) in [
        ("spiffe://example.org/agent", true),
        ("spiffe://example.org/agent/x", false),
        ("spiffe://example.org", true),
        ("spiffe://example.com", false),
        ("serial:0A1B", true),
        ("serial:0A1C", false),
        ("serial:0A1B spiffe://example.org", true),
        ("serial:0A1B spiffe://example.com", false),
    ] {
        let entry: DenyEntry = text.parse().unwrap();
        assert_eq!(entry.to_string(), text);
        assert_eq!(entry.names(&peer), named, "{text}");
        let list = DenyList::of([entry.clone()]).unwrap();
        assert_eq!(list.denies(&peer), named.then_some(entry), "{text}");
    }
    assert!("example.org".parse::<DenyEntry>().is_err());
}
