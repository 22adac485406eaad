//! Keyrings and their files.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn keys_are_read_in_both_forms_and_anything_else_is_refused_with_its_line() {
    let text = format!(
        "# rotated in March\n\n  {SECOND}\r\n{}\n",
        FIRST.to_uppercase()
    );
    let ids = Keyring::parse(text.as_bytes()).unwrap().key_ids();
    let (first, second) = (keyring(&[FIRST]).key_ids(), keyring(&[SECOND]).key_ids());
    assert_eq!(ids, [second[0], first[0]]);

    let refused = |text: &str| Keyring::parse(text.as_bytes()).unwrap_err();
    assert_eq!(refused(""), KeyringError::Empty);
    assert_eq!(refused("# none\n"), KeyringError::Empty);
    let repeated = refused(&format!("{FIRST}\n{FIRST}\n"));
    assert_eq!(repeated, KeyringError::Repeated { line: 2 });
    for not_a_key in [
        "password",
        &FIRST[1..],
        &FIRST.replace('0', "g"),
        &format!("{SECOND}="),
        &SECOND[1..],
        // The last character has unused bits.
        &SECOND.replace("_8", "_9"),
        &format!("{FIRST} {FIRST}"),
    ] {
        let refusal = refused(&format!("{SECOND}\n{not_a_key}"));
        assert_eq!(refusal, KeyringError::NotAKey { line: 2 }, "{not_a_key}");
        assert!(!refusal.to_string().contains(not_a_key));
    }
    let many: Vec<String> = (0..=MAX_KEYS).map(|key| format!("{key:064x}")).collect();
    assert_eq!(
        refused(&many.join("\n")),
        KeyringError::TooManyKeys { line: MAX_KEYS + 1 }
    );
    let len = MAX_KEY_FILE_LEN + 1;
    assert_eq!(refused(&"#".repeat(len)), KeyringError::TooLong { len });
}

#[test]
fn nothing_of_a_key_is_in_its_debug_form() {
    let keyring = keyring(&[FIRST, SECOND]);
    assert_eq!(
        format!("{keyring:?}"),
        format!("Keyring({:?})", keyring.key_ids())
    );
    let sealer = format!("{:?}", sealer(&[FIRST]));
    assert!(
        !sealer.contains("01, 2, 3") && !sealer.contains("0x01"),
        "{sealer}"
    );
}

#[test]
fn a_key_file_that_everybody_can_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sealing.keys");
    fs::write(&path, FIRST).unwrap();
    for (mode, refused) in [
        (0o644, true),
        (0o604, true),
        (0o602, true),
        (0o640, false),
        (0o600, false),
        (0o400, false),
    ] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        match Keyring::read(&path) {
            Ok(_) => assert!(!refused, "{mode:o}"),
            Err(error) => {
                assert!(refused, "{mode:o}");
                assert!(error.to_string().contains(&format!("{mode:04o}")));
            }
        }
    }
    assert!(matches!(
        Keyring::read(directory.path()),
        Err(KeyFileError::Read { .. })
    ));
}

#[test]
fn a_key_is_made_once_and_survives_restarts() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sealing.keys");
    let made = Keyring::read_or_make(&path).unwrap().key_ids();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(Keyring::read_or_make(&path).unwrap().key_ids(), made);
    assert_eq!(Keyring::read(&path).unwrap().key_ids(), made);
    assert_ne!(Keyring::random().unwrap().key_ids(), made);
    // What is there is never replaced, even if it cannot be used.
    fs::write(&path, "").unwrap();
    assert!(Keyring::read_or_make(&path).is_err());
    assert_eq!(fs::read(&path).unwrap(), b"");
    assert!(Keyring::read_or_make(&directory.path().join("none/sealing.keys")).is_err());
}

#[test]
fn processes_that_make_a_key_at_once_agree_on_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sealing.keys");
    let start = std::sync::Barrier::new(8);
    let made: Vec<_> = std::thread::scope(|scope| {
        let one = || {
            start.wait();
            Keyring::read_or_make(&path).unwrap().key_ids()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(made.iter().all(|ids| *ids == made[0]), "{made:?}");
    let left: Vec<_> = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["sealing.keys"]);
}
