use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use pqlane_certs::clock::FixedClock;
use pqlane_certs::testing::{NOW, TestDomain, allow, bundles, verifier_config};
use pqlane_certs::verifier::{PeerVerifier, Role};

use super::*;

const AGENT: &str = "spiffe://example.org/agent";

/// A directory with a journal.
struct Place {
    _directory: tempfile::TempDir,
    path: PathBuf,
    clock: Arc<FixedClock>,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("revocations.jsonl");
        Self {
            _directory: directory,
            path,
            clock: Arc::new(FixedClock::new(NOW)),
        }
    }

    fn try_open(&self) -> Result<Revocations, JournalError> {
        Revocations::open(Some(&self.path), self.clock.clone(), 3)
    }

    fn open(&self) -> Revocations {
        self.try_open().unwrap()
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.path).unwrap()
    }
}

fn asked(entry: &str, seconds: Option<u64>) -> Asked {
    Asked {
        entry: entry.parse().unwrap(),
        reason: "lost \"laptop\"".into(),
        duration: seconds.map(Duration::from_secs),
    }
}

/// Adds and saves, as a call does.
fn revoke(revocations: &Revocations, entry: &str, seconds: Option<u64>) -> Arc<Revocation> {
    let revocation = revocations.add(asked(entry, seconds)).unwrap();
    revocations.save(&revocation).unwrap();
    revocation
}

fn entries(revocations: &Revocations) -> Vec<String> {
    let entries = revocations.entries();
    entries.iter().map(|it| it.entry.to_string()).collect()
}

/// `spiffe://example.org/agent` with the serial number 0A1B.
fn peer() -> PeerIdentity {
    let domain = TestDomain::new("example.org");
    let leaf = domain.leaf("/agent").serial(&[0x0a, 0x1b]).issue();
    let allowed = allow(&["spiffe://example.org/**"]);
    let clock = Arc::new(FixedClock::new(NOW));
    let verifier = PeerVerifier::new(verifier_config(bundles(&[&domain]), allowed, clock));
    verifier.identify(leaf.chain(), Role::Client).unwrap()
}

#[test]
fn whoever_is_named_is_denied_until_the_entry_is_lifted() {
    let place = Place::new();
    let revocations = place.open();
    let peer = peer();
    assert_eq!(revocations.of(&peer), None);
    for entry in [
        AGENT,
        "serial:0A1B",
        "serial:0A1B spiffe://example.org",
        "spiffe://example.org",
    ] {
        let revocation = revoke(&revocations, entry, None);
        assert_eq!(revocations.of(&peer).unwrap().id, revocation.id, "{entry}");
        assert_eq!(revocations.lift(&revocation.id).unwrap(), revocation);
        assert_eq!(revocations.of(&peer), None, "{entry}");
    }
    revoke(&revocations, "spiffe://example.org/other", None);
    assert_eq!(revocations.of(&peer), None);
}

#[test]
fn the_file_and_the_calls_deny_together() {
    let place = Place::new();
    let revoked = Arc::new(place.open());
    let listed = |text: &[u8]| Arc::new(DenyList::parse(text).unwrap());
    let denied = |listed| Denied {
        listed,
        revoked: Arc::clone(&revoked),
    };
    let peer = peer();
    assert_eq!(denied(listed(b"")).denies(&peer), None);
    assert!(denied(listed(AGENT.as_bytes())).denies(&peer).is_some());
    revoke(&revoked, AGENT, None);
    assert!(denied(listed(b"")).denies(&peer).is_some());
}

#[test]
fn an_entry_is_over_when_its_time_is() {
    let place = Place::new();
    let revocations = place.open();
    let peer = peer();
    revoke(&revocations, AGENT, Some(60));
    place.clock.advance(Duration::from_secs(59));
    assert!(revocations.of(&peer).is_some());
    assert_eq!(entries(&place.open()), [AGENT]);
    place.clock.advance(Duration::from_secs(1));
    assert_eq!(revocations.of(&peer), None);
    assert!(entries(&revocations).is_empty());
    assert!(entries(&place.open()).is_empty());
}

#[test]
fn of_two_entries_for_one_the_longer_counts() {
    let place = Place::new();
    let revocations = place.open();
    let peer = peer();
    revoke(&revocations, AGENT, Some(10));
    let longer = revoke(&revocations, AGENT, Some(100));
    revoke(&revocations, "spiffe://example.org", Some(20));
    place.clock.advance(Duration::from_secs(50));
    assert_eq!(revocations.of(&peer).unwrap().id, longer.id);
    let forever = revoke(&revocations, AGENT, None);
    assert_eq!(revocations.of(&peer).unwrap().id, forever.id);
    revocations.lift(&forever.id).unwrap();
    assert_eq!(revocations.of(&peer).unwrap().id, longer.id);
}

#[test]
fn a_restart_finds_every_entry_and_none_that_was_lifted() {
    let place = Place::new();
    let revocations = place.open();
    let first = revoke(&revocations, AGENT, Some(60));
    let second = revoke(&revocations, "spiffe://example.org", None);
    let lifted = revoke(&revocations, "serial:0A1B spiffe://example.org", None);
    revocations.lift(&lifted.id).unwrap();
    let mode = fs::metadata(&place.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = place.open();
    for revocation in [first, second] {
        assert!(again.entries().contains(&revocation), "{revocation:?}");
    }
    assert_eq!(again.entries().len(), 2);
    assert!(matches!(again.lift(&lifted.id), Err(NotLifted::Unknown)));
}

#[test]
fn wherever_a_crash_cuts_the_journal_every_earlier_entry_is_kept() {
    let place = Place::new();
    let revocations = place.open();
    let all = [AGENT, "spiffe://example.org/b", "spiffe://example.org/c"];
    let mut ends = Vec::new();
    for entry in all {
        revoke(&revocations, entry, None);
        ends.push(place.text().len());
    }
    let whole = place.text();
    for cut in 0..=whole.len() {
        let place = Place::new();
        fs::write(&place.path, &whole[..cut]).unwrap();
        // A line counts once all of it but its line feed is there.
        let mut kept: Vec<&str> = all
            .into_iter()
            .zip(&ends)
            .filter(|(_, end)| **end - 1 <= cut)
            .map(|(entry, _)| entry)
            .collect();
        let revocations = place.open();
        let sorted = |mut entries: Vec<String>| {
            entries.sort();
            entries
        };
        assert_eq!(sorted(entries(&revocations)), kept, "cut at {cut}");
        if kept.len() < 3 {
            // What is added behind the cut is kept as well.
            revoke(&revocations, "spiffe://example.org/z", None);
            kept.push("spiffe://example.org/z");
            assert_eq!(
                sorted(entries(&place.open())),
                kept,
                "added to, cut at {cut}"
            );
        }
    }
}

#[test]
fn a_lift_holds_wherever_it_stands_in_the_journal() {
    let place = Place::new();
    let revocation = revoke(&place.open(), AGENT, None);
    let revoked = place.text();
    let lifted = line::lift_line(&revocation.id, NOW);
    for text in [format!("{revoked}{lifted}"), format!("{lifted}{revoked}")] {
        fs::write(&place.path, text).unwrap();
        assert!(place.open().entries().is_empty());
    }
}

#[test]
fn a_journal_that_was_removed_is_made_anew_with_all_that_is_in_force() {
    let place = Place::new();
    let revocations = place.open();
    revoke(&revocations, AGENT, None);
    fs::remove_file(&place.path).unwrap();
    revoke(&revocations, "spiffe://example.org", None);
    assert_eq!(place.open().entries().len(), 2);
}

#[test]
fn what_stands_in_a_journal_that_was_replaced_is_kept() {
    let place = Place::new();
    let revocations = place.open();
    revoke(&revocations, "spiffe://example.org/a", None);
    fs::remove_file(&place.path).unwrap();
    revoke(&place.open(), AGENT, None);
    revoke(&revocations, "spiffe://example.org/b", None);
    assert!(revocations.of(&peer()).is_some());
    assert_eq!(place.open().entries().len(), 3);
}

#[test]
fn what_the_disk_refused_is_in_force_and_written_with_the_next() {
    let place = Place::new();
    let revocations = place.open();
    let away = place.path.with_extension("away");
    fs::rename(&place.path, &away).unwrap();
    fs::create_dir(&place.path).unwrap();
    let unsaved = revocations.add(asked(AGENT, None)).unwrap();
    assert!(revocations.save(&unsaved).is_err());
    assert!(revocations.of(&peer()).is_some());
    assert!(matches!(
        revocations.lift(&unsaved.id),
        Err(NotLifted::Journal(_))
    ));
    fs::remove_dir(&place.path).unwrap();
    revoke(&revocations, "spiffe://example.org/other", None);
    assert_eq!(place.open().entries().len(), 2);
}

#[test]
fn nothing_is_taken_beyond_the_capacity_or_without_a_place_to_keep_it() {
    let place = Place::new();
    let revocations = place.open();
    for entry in ["spiffe://example.org/a", "spiffe://example.org/b"] {
        revoke(&revocations, entry, None);
    }
    revoke(&revocations, "spiffe://example.org/c", Some(5));
    let (text, one_more) = (place.text(), || revocations.add(asked(AGENT, None)));
    assert_eq!(one_more().unwrap_err(), NotAdded::Full(3));
    assert_eq!(place.text(), text);
    // One that is over makes room.
    place.clock.advance(Duration::from_secs(5));
    assert!(one_more().is_ok());
    let nowhere = Revocations::open(None, place.clock.clone(), 3).unwrap();
    let refused = nowhere.add(asked(AGENT, None)).unwrap_err();
    assert_eq!(refused, NotAdded::NoStateDir);
    assert_eq!(nowhere.of(&peer()), None);
}

#[test]
fn files_that_are_no_journal_are_refused_and_left_alone() {
    let place = Place::new();
    revoke(&place.open(), AGENT, Some(60));
    let good = place.text();
    for (from, to, what) in [
        ("\"v\":1", "\"v\":2", "version 2"),
        (AGENT, "spiffe://example.org/*", "\"entry\" is not"),
        (
            "2026-06-01T00:01",
            "2026-06-01 00:01",
            "\"until\" is not a time",
        ),
        ("\"reason\"", "\"because\"", "unknown field"),
        ("\"revoke\":\"", "\"revoke\":\"x", "16 hexadecimal digits"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good);
        fs::write(&place.path, &bad).unwrap();
        let error = place.try_open().unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
        assert_eq!(place.text(), bad);
    }
}
