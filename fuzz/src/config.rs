//! A configuration file.
//!
//! Input: its text.

use pqlane::config::{ConfigError, Place};
use pqlane::hostile::read_config;

use crate::Verdict;
use crate::message::whole_message;

/// The name under which the text is read.
const FILE: &str = "fuzz.toml";

/// Reads the text twice, with the same outcome; every refusal says where.
///
/// # Panics
/// When an invariant does not hold.
pub fn run(bytes: &[u8]) -> Verdict {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Verdict::Refused;
    };
    let read = read_config(text);
    let again = read_config(text);
    match (&read, again) {
        (Ok(config), Ok(again)) => {
            let described = config.describe();
            assert_eq!(described, again.describe());
            check_groups(&described);
            // Without a listener there is no configuration.
            assert!(described.contains("bound "), "{described}");
        }
        (Err(error), Err(again)) => {
            assert_eq!(whole_message(error), whole_message(&again));
            check_error(error, text);
        }
        (Ok(_), Err(_)) | (Err(_), Ok(_)) => assert!(read.is_err() && read.is_ok(), "{text}"),
    }
    Verdict::of(&read)
}

/// Whatever is configured, groups are post-quantum; classical ones stand behind them, and only where the policy is to
/// take old peers.
fn check_groups(described: &str) {
    let policies = described.lines().filter_map(|line| {
        let policy = line.strip_prefix("  key exchange")?;
        policy.rsplit_once(": ")
    });
    let mut met = 0;
    for (policy, groups) in policies {
        met += 1;
        let (hybrid, classical) = groups.split_once("; else ").unwrap_or((groups, ""));
        for group in hybrid.split(", ") {
            assert!(group.contains("MLKEM"), "{described}");
        }
        assert!(!classical.contains("MLKEM"), "{described}");
        let takes_old_peers =
            policy.ends_with(": prefer-hybrid") || policy.contains(": allow-classical-until ");
        assert_eq!(takes_old_peers, !classical.is_empty(), "{described}");
    }
    assert!(met > 0, "{described}");
}

fn check_error(error: &ConfigError, text: &str) {
    let message = error.to_string();
    let (place, said) = message.split_once(": ").unwrap_or_default();
    assert!(place.starts_with(FILE), "{message}");
    assert!(!said.trim().is_empty(), "{message}");
    match error {
        ConfigError::Field {
            place: Place::File { line, .. },
            field,
            problem: _,
        } => {
            let lines = 1 + text.matches('\n').count();
            assert!((1..=lines).contains(line), "{message}");
            assert_eq!(place, format!("{FILE}:{line}"));
            assert!(said.starts_with(&format!("{field}: ")), "{message}");
        }
        ConfigError::Parse { .. } => assert_eq!(place, FILE),
        // From memory there is no command line and nothing to open.
        ConfigError::Field { .. } | ConfigError::Read { .. } => assert_eq!(message, ""),
    }
}
