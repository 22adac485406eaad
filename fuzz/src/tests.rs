use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;

/// The largest corpus file, in bytes.
const MAX_SEED_LEN: usize = 4 * 1024;
/// All corpora together, in bytes.
const MAX_CORPORA_LEN: usize = 200 * 1024;

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn names_in(directory: &Path) -> BTreeSet<String> {
    let entries =
        fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn every_target_has_a_libfuzzer_entry_and_a_corpus_and_nothing_else_does() {
    let targets: BTreeSet<_> = TARGETS.map(|target| target.name.to_owned()).into();
    assert_eq!(names_in(&here("corpus")), targets);
    let sources = targets.iter().map(|name| format!("{name}.rs")).collect();
    assert_eq!(names_in(&here("targets")), sources);
}

/// Runs every corpus file through its target, which must come to the verdict in the file's name.
#[test]
fn replays_every_corpus() {
    let mut total = 0;
    for target in TARGETS {
        let directory = here("corpus").join(target.name);
        let mut met = Vec::new();
        for name in names_in(&directory) {
            println!("{}/{name}", target.name);
            let seed = fs::read(directory.join(&name)).unwrap();
            assert!(seed.len() <= MAX_SEED_LEN, "{} bytes", seed.len());
            total += seed.len();
            let verdict = match name.split_once('-') {
                Some(("accepted", _)) => Verdict::Accepted,
                Some(("refused", _)) => Verdict::Refused,
                _ => panic!("{name} must begin with accepted- or refused-"),
            };
            assert_eq!((target.run)(&seed), verdict);
            met.push(verdict);
        }
        for verdict in [Verdict::Accepted, Verdict::Refused] {
            assert!(met.contains(&verdict), "{}: none {verdict:?}", target.name);
        }
    }
    assert!(total <= MAX_CORPORA_LEN, "{total} bytes");
}

/// What a fuzzer tries first, without a fuzzer: every seed cut short, and with bits flipped.
#[test]
fn invariants_hold_around_every_seed() {
    for target in TARGETS {
        let directory = here("corpus").join(target.name);
        for name in names_in(&directory) {
            let seed = fs::read(directory.join(&name)).unwrap();
            let step = 1 + seed.len() / 64;
            for at in (0..seed.len()).step_by(step) {
                println!("{}/{name} at byte {at}", target.name);
                (target.run)(&seed[..at]);
                let mut flipped = seed.clone();
                flipped[at] ^= 1 << (at % 8);
                (target.run)(&flipped);
            }
        }
    }
}
