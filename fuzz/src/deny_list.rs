//! Peers that an operator has struck off.
//!
//! Input: the text of a deny-list.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use pqlane_certs::clock::FixedClock;
use pqlane_certs::revocation::{DenyList, DenyListError, MAX_DENY_ENTRIES};
use pqlane_certs::testing::{NOW, allow, verifier_config};
use pqlane_certs::verifier::{PeerIdentity, PeerVerifier, Role};

use crate::Verdict;
use crate::message::whole_message;
use crate::peer_chain::fixtures::{bundles, fixture};

/// The leaves of `fixtures` that verify on their own, for a client.
const LEAVES: [u8; 3] = [2, 4, 6];

static PEERS: LazyLock<Vec<PeerIdentity>> = LazyLock::new(|| {
    let allowed = allow(&["spiffe://example.org/**"]);
    let clock = Arc::new(FixedClock::new(NOW));
    let verifier = PeerVerifier::new(verifier_config(bundles(), allowed, clock));
    LEAVES
        .iter()
        .filter_map(|leaf| verifier.identify(&[fixture(*leaf)], Role::Client).ok())
        .collect()
});

/// Reads a list; one that is accepted denies just whom its lines name.
///
/// # Panics
/// When an invariant does not hold.
pub fn run(bytes: &[u8]) -> Verdict {
    assert_eq!(PEERS.len(), LEAVES.len());
    let read = DenyList::parse(bytes);
    match &read {
        Ok(list) => check(list, bytes),
        Err(error) => check_refusal(error, bytes),
    }
    Verdict::of(&read)
}

fn check(list: &DenyList, bytes: &[u8]) {
    assert!(list.len() <= MAX_DENY_ENTRIES);
    let text = String::from_utf8_lossy(bytes);
    let entries: BTreeSet<String> = text.split('\n').filter_map(canonical).collect();
    assert_eq!(list.len(), entries.len());
    assert_eq!(list.is_empty(), entries.is_empty());

    for peer in PEERS.iter() {
        let id = peer.spiffe_id();
        let trust_domain = id.trust_domain().id();
        let serial = peer.serial().iter().map(|octet| format!("{octet:02X}"));
        let serial = format!("serial:{}", serial.collect::<String>());
        // In the order in which the list is asked.
        let naming = [
            trust_domain.to_string(),
            id.to_string(),
            serial.clone(),
            format!("{serial} {trust_domain}"),
        ];
        let named = naming.iter().find(|entry| entries.contains(*entry));
        let denied = list.denies(peer).map(|entry| entry.to_string());
        assert_eq!(denied.as_ref(), named);
        if let Some(entry) = denied {
            let alone = DenyList::parse(entry.as_bytes()).ok();
            let again = alone.and_then(|list| list.denies(peer));
            assert_eq!(again.map(|entry| entry.to_string()), Some(entry));
        }
    }
}

/// A line of a list that was accepted, as `DenyEntry` writes it; none when it says nothing.
fn canonical(line: &str) -> Option<String> {
    let line = line
        .find('#')
        .map_or(line, |comment| &line[..comment])
        .trim();
    if line.is_empty() {
        return None;
    }
    let Some(serial) = line.strip_prefix("serial:") else {
        return Some(line.to_owned());
    };
    let end = serial.find(char::is_whitespace).unwrap_or(serial.len());
    let (digits, bound) = serial.split_at(end);
    let digits = digits.replace(':', "").to_ascii_uppercase();
    let digits = digits.trim_start_matches('0');
    let zeros = match digits.len() {
        0 => "00",
        odd if odd % 2 == 1 => "0",
        _ => "",
    };
    let space = if bound.trim().is_empty() { "" } else { " " };
    Some(format!("serial:{zeros}{digits}{space}{}", bound.trim()))
}

fn check_refusal(error: &DenyListError, bytes: &[u8]) {
    let message = whole_message(error);
    let lines = bytes.split(|byte| *byte == b'\n').count();
    match error {
        DenyListError::NotText { line, .. }
        | DenyListError::Serial { line }
        | DenyListError::SerialOfId { line }
        | DenyListError::SpiffeId { line, .. }
        | DenyListError::TooManyEntries { line }
        | DenyListError::UnknownEntry { line } => {
            assert!((1..=lines).contains(line), "{message}");
            // What stands before the line is a list.
            let before: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').take(line - 1).collect();
            assert!(DenyList::parse(&before.join(&b'\n')).is_ok(), "{message}");
        }
        DenyListError::TooLong { len } => assert_eq!(*len, bytes.len()),
    }
}
