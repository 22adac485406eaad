use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::time::Duration;

use pqlane_certs::clock::FixedClock;
use pqlane_handshake::kx::{MLKEM1024, SECP256R1, SECP256R1MLKEM768, X25519, X25519MLKEM768};
use rustls::pki_types::UnixTime;

use super::*;

const PLANNER: &str = "spiffe://example.org/agent/planner";
const READER: &str = "spiffe://example.org/agent/reader";
const WRITER: &str = "spiffe://example.org/agent/writer";

fn id(text: &str) -> SpiffeId {
    text.parse().unwrap()
}

fn clock() -> Arc<FixedClock> {
    let start = UnixTime::since_unix_epoch(Duration::from_secs(1_795_253_400));
    Arc::new(FixedClock::new(start))
}

fn in_memory() -> Ratchet {
    Ratchet::open(None, OnDowngrade::Refuse, clock(), 100).unwrap()
}

/// A directory with a state file.
struct Place {
    _directory: tempfile::TempDir,
    path: PathBuf,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ratchet.jsonl");
        Self {
            _directory: directory,
            path,
        }
    }

    fn holding(text: impl AsRef<[u8]>) -> Self {
        let place = Self::new();
        fs::write(&place.path, text).unwrap();
        place
    }

    fn try_open(&self) -> Result<Ratchet, JournalError> {
        Ratchet::open(Some(&self.path), OnDowngrade::Refuse, clock(), 100)
    }

    fn open(&self) -> Ratchet {
        self.try_open().unwrap()
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.path).unwrap()
    }

    fn peers(&self) -> Vec<String> {
        peers(&entries_in(&self.path).unwrap())
    }
}

fn peers(entries: &[(SpiffeId, Shown)]) -> Vec<String> {
    entries.iter().map(|(peer, _)| peer.to_string()).collect()
}

fn hybrid(ratchet: &Ratchet, peer: &str) -> Turn {
    ratchet.finished(&id(peer), &X25519MLKEM768, Offered::Hybrid)
}

fn classical(ratchet: &Ratchet, peer: &str) -> Turn {
    ratchet.finished(&id(peer), &X25519, Offered::NoHybrid)
}

fn set(peer: &str) -> String {
    format!(
        "{{\"v\":1,\"set\":\"{peer}\",\"group\":\"X25519MLKEM768\",\"at\":\"2026-11-21T09:30:00Z\"}}\n"
    )
}

fn forget(peer: &str) -> String {
    format!("{{\"v\":1,\"forget\":\"{peer}\",\"at\":\"2026-11-21T09:30:00Z\"}}\n")
}

#[test]
fn a_peer_that_has_shown_hybrid_does_not_go_back_unnoticed() {
    let clock = clock();
    let ratchet = Ratchet::open(None, OnDowngrade::Refuse, clock.clone(), 100).unwrap();
    assert_eq!(classical(&ratchet, PLANNER), Turn::Classical);
    assert_eq!(hybrid(&ratchet, PLANNER), Turn::First);
    clock.advance(Duration::from_secs(60));
    assert_eq!(hybrid(&ratchet, PLANNER), Turn::Kept);
    let Turn::Downgraded(downgrade) = classical(&ratchet, PLANNER) else {
        panic!("not noticed");
    };
    assert_eq!(downgrade.then, OnDowngrade::Refuse);
    assert_eq!(
        downgrade.to_string(),
        "it showed X25519MLKEM768 on 2026-11-21T09:30:00Z and now came with x25519: it offered no hybrid group"
    );
}

#[test]
fn every_group_that_is_not_classical_is_as_good() {
    let ratchet = in_memory();
    let peer = id(PLANNER);
    let turn = |group| ratchet.finished(&peer, group, Offered::NotSeen);
    assert_eq!(turn(&MLKEM1024), Turn::First);
    assert_eq!(turn(&SECP256R1MLKEM768), Turn::Kept);
    assert!(matches!(turn(&SECP256R1), Turn::Downgraded(_)));
}

#[test]
fn the_cause_of_a_downgrade_is_what_the_hello_offered() {
    let ratchet = in_memory();
    let _ = hybrid(&ratchet, PLANNER);
    let causes =
        [Offered::NoHybrid, Offered::Hybrid, Offered::NotSeen].map(|offered| {
            match ratchet.finished(&id(PLANNER), &X25519, offered) {
                Turn::Downgraded(downgrade) => downgrade.cause.as_str(),
                turn => panic!("{turn:?}"),
            }
        });
    let expected = ["not-offered", "offered-but-not-negotiated", "unknown"];
    assert_eq!(causes, expected);
}

#[test]
fn a_strangers_classical_handshakes_change_nothing_for_anyone() {
    let place = Place::new();
    let ratchet = place.open();
    let _ = hybrid(&ratchet, PLANNER);
    let before = (ratchet.entries(), place.text());
    for _ in 0..100 {
        assert_eq!(classical(&ratchet, READER), Turn::Classical);
    }
    assert_eq!((ratchet.entries(), place.text()), before);
    assert_eq!(hybrid(&ratchet, PLANNER), Turn::Kept);
}

#[test]
fn a_refused_downgrade_leaves_no_trace_in_the_state() {
    let place = Place::new();
    let ratchet = place.open();
    let _ = hybrid(&ratchet, PLANNER);
    let before = place.text();
    for _ in 0..100 {
        assert!(matches!(classical(&ratchet, PLANNER), Turn::Downgraded(_)));
    }
    assert_eq!(place.text(), before);
    assert_eq!(hybrid(&ratchet, PLANNER), Turn::Kept);
}

#[test]
fn an_alarm_is_the_same_turn_with_another_consequence() {
    let ratchet = Ratchet::open(None, OnDowngrade::Alarm, clock(), 100).unwrap();
    let _ = hybrid(&ratchet, PLANNER);
    let Turn::Downgraded(downgrade) = classical(&ratchet, PLANNER) else {
        panic!("not noticed");
    };
    assert_eq!(downgrade.then, OnDowngrade::Alarm);
}

#[test]
fn what_was_shown_survives_a_restart_in_a_file_of_our_own() {
    let place = Place::new();
    assert_eq!(hybrid(&place.open(), PLANNER), Turn::First);
    assert_eq!(place.text(), set(PLANNER));
    let mode = fs::metadata(&place.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let ratchet = place.open();
    assert_eq!(hybrid(&ratchet, PLANNER), Turn::Kept);
    assert!(matches!(classical(&ratchet, PLANNER), Turn::Downgraded(_)));
    assert_eq!(classical(&ratchet, READER), Turn::Classical);
}

#[test]
fn wherever_a_crash_cuts_the_journal_every_earlier_entry_is_kept() {
    let peers = [PLANNER, READER, WRITER];
    let lines = peers.map(set);
    let whole = lines.concat();
    for cut in 0..=whole.len() {
        let place = Place::holding(&whole[..cut]);
        // A line counts once all of it but its line feed is there.
        let ends = lines.iter().scan(0, |end, line| {
            *end += line.len();
            Some(*end)
        });
        let mut kept: Vec<_> = peers
            .into_iter()
            .zip(ends)
            .filter(|(_, end)| end - 1 <= cut)
            .map(|(peer, _)| peer)
            .collect();
        assert_eq!(place.peers(), kept, "read, cut at {cut}");
        let ratchet = place.open();
        assert_eq!(
            self::peers(&ratchet.entries()),
            kept,
            "opened, cut at {cut}"
        );
        // What is appended behind the cut is kept as well.
        kept.push("spiffe://example.org/agent/zoe");
        assert_eq!(hybrid(&ratchet, kept[kept.len() - 1]), Turn::First);
        assert_eq!(place.peers(), kept, "appended to, cut at {cut}");
        assert_eq!(self::peers(&place.open().entries()), kept, "cut at {cut}");
    }
}

#[test]
fn blocks_that_a_power_cut_left_unwritten_are_passed_over() {
    let mut bytes = set(PLANNER).into_bytes();
    let second = set(READER).into_bytes();
    bytes.extend_from_slice(&second[..20]);
    bytes.resize(bytes.len() + second.len() - 20, 0);
    let place = Place::holding(bytes);
    let ratchet = place.open();
    let _ = hybrid(&ratchet, WRITER);
    assert_eq!(place.peers(), [PLANNER, WRITER]);
}

#[test]
fn an_unknown_version_is_not_guessed_at() {
    let later = "{\"v\":2,\"set\":\"spiffe://example.org/a\",\"epoch\":7}\n";
    let place = Place::holding(set(PLANNER) + later);
    let error = place.try_open().unwrap_err().to_string();
    assert!(error.contains("line 2: version 2"), "{error}");
    assert!(error.contains("only version 1"), "{error}");
    assert_eq!(place.text(), set(PLANNER) + later);
}

#[test]
fn files_that_are_no_journal_are_refused_and_left_alone() {
    let wrong_group = set(PLANNER).replace("X25519MLKEM768", "\\u001b[31m");
    let wrong_time = set(PLANNER).replace("T09", " 09");
    let cases = [
        ("-----BEGIN PRIVATE KEY-----\n", "not a JSON object"),
        ("{\"log\":\"x\"}\n", "not a JSON object with a version"),
        ("{\"v\":1,\"at\":\"2026-11-21T09:30:00Z\"}\n", "neither"),
        (&set(PLANNER).replace("example", "EXAMPLE"), "trust domain"),
        (
            &set(PLANNER).replace("\"v\":1", "\"v\":1,\"x\":1"),
            "unknown field",
        ),
        (&wrong_group, "not the name of a group"),
        (&wrong_time, "not a time"),
        (&"x".repeat(5_000), "longer than 4096 bytes"),
    ];
    for (text, what) in cases {
        let place = Place::holding(text);
        let error = place.try_open().unwrap_err().to_string();
        assert!(error.contains("line 1: "), "{error}");
        assert!(error.contains(what), "{error}");
        assert_eq!(place.text(), text);
    }
    let directory = tempfile::tempdir().unwrap();
    let error = entries_in(directory.path()).unwrap_err().to_string();
    assert!(error.contains("needs a regular file"), "{error}");
}

#[test]
fn an_operators_forget_is_taken_in_while_running() {
    let place = Place::new();
    let ratchet = place.open();
    let _ = hybrid(&ratchet, PLANNER);
    let _ = hybrid(&ratchet, READER);
    forget_in(&place.path, &id(PLANNER), &*clock()).unwrap();
    let reloaded = ratchet.reload().unwrap();
    assert_eq!((reloaded.forgotten, reloaded.learned), (1, 0));
    assert_eq!(classical(&ratchet, PLANNER), Turn::Classical);
    assert!(matches!(classical(&ratchet, READER), Turn::Downgraded(_)));
    assert_eq!(ratchet.reload().unwrap(), Reloaded::default());
    // Held again from its next hybrid handshake on.
    assert_eq!(hybrid(&ratchet, PLANNER), Turn::First);
    assert_eq!(ratchet.reload().unwrap(), Reloaded::default());
    assert_eq!(place.peers(), [PLANNER, READER]);
}

#[test]
fn a_line_that_somebody_is_still_writing_is_read_when_it_is_whole() {
    let place = Place::new();
    let ratchet = place.open();
    let _ = hybrid(&ratchet, PLANNER);
    let line = forget(PLANNER);
    let mut writer = fs::File::options().append(true).open(&place.path).unwrap();
    let (first, rest) = line.as_bytes().split_at(30);
    std::io::Write::write_all(&mut writer, first).unwrap();
    assert_eq!(ratchet.reload().unwrap().forgotten, 0);
    std::io::Write::write_all(&mut writer, rest).unwrap();
    assert_eq!(ratchet.reload().unwrap().forgotten, 1);
}

#[test]
fn half_a_line_of_another_process_does_not_swallow_the_next_entry() {
    let place = Place::new();
    let ratchet = place.open();
    let _ = hybrid(&ratchet, PLANNER);
    let text = place.text() + &forget(PLANNER)[..30];
    fs::write(&place.path, text).unwrap();
    let _ = hybrid(&ratchet, READER);
    assert_eq!(place.peers(), [PLANNER, READER]);
    assert_eq!(ratchet.reload().unwrap(), Reloaded::default());
}

#[test]
fn a_reload_that_fails_leaves_what_is_held() {
    let place = Place::new();
    let ratchet = place.open();
    let _ = hybrid(&ratchet, PLANNER);
    fs::write(&place.path, set(PLANNER) + &forget(PLANNER) + "{\"v\":9}\n").unwrap();
    ratchet.reload().unwrap_err();
    assert!(matches!(classical(&ratchet, PLANNER), Turn::Downgraded(_)));
}

#[test]
fn a_state_file_that_was_removed_is_made_anew_from_memory() {
    let place = Place::new();
    let ratchet = place.open();
    let _ = hybrid(&ratchet, PLANNER);
    fs::remove_file(&place.path).unwrap();
    let _ = hybrid(&ratchet, READER);
    assert_eq!(place.peers(), [PLANNER, READER]);
    fs::write(&place.path, set(WRITER)).unwrap();
    assert_eq!(ratchet.reload().unwrap().learned, 1);
    assert_eq!(place.peers(), [PLANNER, READER, WRITER]);
}

#[test]
fn a_disk_that_fails_costs_no_entry_once_it_is_back() {
    let place = Place::new();
    let ratchet = place.open();
    // A directory in the file's place: nothing can be appended.
    fs::remove_file(&place.path).unwrap();
    fs::create_dir(&place.path).unwrap();
    assert_eq!(hybrid(&ratchet, PLANNER), Turn::First);
    assert_eq!(ratchet.unsaved(), 1);
    assert!(matches!(classical(&ratchet, PLANNER), Turn::Downgraded(_)));
    ratchet.reload().unwrap_err();
    fs::remove_dir(&place.path).unwrap();
    ratchet.reload().unwrap();
    assert_eq!(ratchet.unsaved(), 0);
    assert_eq!(place.peers(), [PLANNER]);
}

#[test]
fn a_full_ratchet_holds_whom_it_holds_and_counts_the_others() {
    let place = Place::new();
    let ratchet = Ratchet::open(Some(&place.path), OnDowngrade::Refuse, clock(), 1).unwrap();
    assert_eq!(hybrid(&ratchet, PLANNER), Turn::First);
    assert_eq!(hybrid(&ratchet, READER), Turn::First);
    assert_eq!(hybrid(&ratchet, READER), Turn::First);
    assert_eq!(ratchet.unremembered(), 2);
    assert_eq!(classical(&ratchet, READER), Turn::Classical);
    assert!(matches!(classical(&ratchet, PLANNER), Turn::Downgraded(_)));
    assert_eq!(place.peers(), [PLANNER]);
}

#[test]
fn a_journal_of_mostly_dead_lines_is_compacted_when_a_lane_opens_it() {
    let dead = (set(READER) + &forget(READER)).repeat(3);
    let place = Place::holding(dead.clone() + &set(PLANNER));
    let before = fs::metadata(&place.path).unwrap().ino();
    forget_in(&place.path, &id(WRITER), &*clock()).unwrap_err();
    assert_eq!(fs::metadata(&place.path).unwrap().ino(), before);
    let ratchet = place.open();
    assert_eq!(place.text(), set(PLANNER));
    let mode = fs::metadata(&place.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let _ = hybrid(&ratchet, READER);
    assert_eq!(place.text(), set(PLANNER) + &set(READER));
    assert_eq!(ratchet.reload().unwrap(), Reloaded::default());
}

#[test]
fn what_a_crash_left_of_a_compaction_is_no_obstacle() {
    let dead = (set(READER) + &forget(READER)).repeat(3);
    let place = Place::holding(dead + &set(PLANNER));
    let mut beside = place.path.clone().into_os_string();
    beside.push(".new");
    fs::write(&beside, &set(READER)[..40]).unwrap();
    assert_eq!(peers(&place.open().entries()), [PLANNER]);
    assert_eq!(place.text(), set(PLANNER));
    assert!(!PathBuf::from(beside).exists());
}

#[test]
fn the_first_time_that_a_peer_showed_hybrid_is_the_one_that_is_kept() {
    let later = set(PLANNER).replace("2026", "2027");
    let place = Place::holding(set(PLANNER) + &later);
    let entries = place.open().entries();
    assert_eq!(entries[0].1.since, clock().now());
    assert_eq!(entries.len(), 1);
}

#[test]
fn a_clock_that_is_far_off_writes_a_journal_that_can_be_opened() {
    let place = Place::new();
    for (peer, seconds) in [(PLANNER, 0), (READER, u64::MAX), (WRITER, 951_826_523)] {
        let clock = clock();
        clock.set(UnixTime::since_unix_epoch(Duration::from_secs(seconds)));
        let ratchet = Ratchet::open(Some(&place.path), OnDowngrade::Refuse, clock, 9).unwrap();
        assert_eq!(hybrid(&ratchet, peer), Turn::First);
    }
    let times = place.open().entries().into_iter();
    let times: Vec<u64> = times.map(|(_, shown)| shown.since.as_secs()).collect();
    assert_eq!(times, [0, 253_402_300_799, 951_826_523]);
}

#[test]
fn many_peers_at_once_are_all_on_disk_when_their_handshakes_go_on() {
    let place = Place::new();
    let ratchet = place.open();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (ratchet, place) = (&ratchet, &place);
            scope.spawn(move || {
                for number in 0..5 {
                    let peer = format!("spiffe://example.org/agent/{thread}-{number}");
                    assert_eq!(hybrid(ratchet, &peer), Turn::First);
                    assert!(place.peers().contains(&peer));
                }
            });
        }
    });
    assert_eq!(place.open().entries().len(), 20);
}
