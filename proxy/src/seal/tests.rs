mod keys;
mod vectors;

use std::time::Duration;

use rustls::pki_types::UnixTime;

use super::*;

const PLANNER: &str = "spiffe://example.org/agent/planner";
const WEATHER: &str = "spiffe://example.org/mcp/weather";
const ORIGINAL: &[u8] = b"1868a90c-7a2f-4f1e-9d53-0d1c2b3a4e5f";
const DAY: Duration = Duration::from_secs(24 * 3_600);
/// 2026-11-21T09:30:00Z
const SEALED_AT: u64 = 1_795_253_400;

/// The bytes 0 to 31, and another key.
const FIRST: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const SECOND: &str = "8bPZ0zHCmXK1yX7kJ8aC3mM6iG5pQ0xk6Yc2h1b0T_8";

fn id(text: &str) -> SpiffeId {
    text.parse().unwrap()
}

fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

fn age(now: u64) -> Age {
    Age {
        now: at(now),
        at_most: DAY,
    }
}

fn keyring(keys: &[&str]) -> Keyring {
    Keyring::parse(keys.join("\n").as_bytes()).unwrap()
}

fn sealer_of(keyring: &Keyring, purpose: Purpose, own: &str, route: &str) -> Sealer {
    let own = id(own);
    keyring
        .sealer(&Scope {
            purpose,
            own: &own,
            route,
        })
        .unwrap()
}

fn sealer(keys: &[&str]) -> Sealer {
    sealer_of(&keyring(keys), Purpose::McpSession, WEATHER, "inbound")
}

fn seal_for(sealer: &Sealer, peer: &str, subject: Subject<'_>) -> String {
    let holder = Holder {
        peer: &id(peer),
        subject,
    };
    let contents = Contents {
        backend: "default",
        original: ORIGINAL,
        at: at(SEALED_AT),
    };
    sealer.seal(&holder, &contents).unwrap()
}

fn open_for(
    sealer: &Sealer,
    peer: &str,
    subject: Subject<'_>,
    sealed: &[u8],
) -> Result<Opened, NotOpened> {
    let holder = Holder {
        peer: &id(peer),
        subject,
    };
    sealer.open(&holder, sealed, &age(SEALED_AT + 1))
}

fn open(sealer: &Sealer, sealed: &str) -> Result<Opened, NotOpened> {
    open_for(sealer, PLANNER, Subject::None, sealed.as_bytes())
}

fn seal(sealer: &Sealer) -> String {
    seal_for(sealer, PLANNER, Subject::None)
}

fn what_was_sealed() -> Opened {
    Opened {
        backend: "default".to_owned(),
        original: ORIGINAL.to_vec(),
        sealed_at: at(SEALED_AT),
    }
}

#[test]
fn an_id_opens_to_what_was_sealed_at_every_replica_with_the_key() {
    let here = sealer(&[FIRST]);
    let there = sealer(&[FIRST]);
    let sealed = seal(&here);
    assert!(sealed.bytes().all(|byte| byte.is_ascii_graphic()));
    assert_eq!(open(&there, &sealed).unwrap(), what_was_sealed());
    assert_ne!(
        seal(&here),
        sealed,
        "two ids of one session can be told to be of one session"
    );
    assert!(!sealed.contains("1868a90c"));
}

/// Whatever is wrong, what the caller hears is the same.
fn refused(sealer: &Sealer, peer: &str, subject: Subject<'_>, sealed: &str, what: &str) {
    let refusal = open_for(sealer, peer, subject, sealed.as_bytes()).expect_err(what);
    assert_eq!(refusal.to_string(), "not a valid id", "{what}");
}

#[test]
fn an_id_of_anybody_else_does_not_open() {
    let (nobody, alice) = (Subject::None, Subject::Named("alice"));
    let ours = sealer(&[FIRST]);
    let sealed = seal(&ours);
    let (longer, elsewhere) = (
        "spiffe://example.org/agent/planner2",
        "spiffe://example.net/agent/planner",
    );
    refused(&ours, longer, nobody, &sealed, "another peer");
    refused(&ours, elsewhere, nobody, &sealed, "another trust domain");
    refused(&ours, PLANNER, alice, &sealed, "a subject for none");
    let empty = Subject::Named("");
    refused(&ours, PLANNER, empty, &sealed, "an empty subject for none");
    let hers = seal_for(&ours, PLANNER, alice);
    refused(&ours, PLANNER, nobody, &hers, "none for a subject");
    let other = Subject::Named("alicE");
    refused(&ours, PLANNER, other, &hers, "another subject");
    refused(&ours, WEATHER, alice, &hers, "the subject of another peer");
}

#[test]
fn an_id_of_anything_else_does_not_open() {
    let sealed = seal(&sealer(&[FIRST]));
    let elsewhere = |sealer: &Sealer, what| refused(sealer, PLANNER, Subject::None, &sealed, what);
    elsewhere(&sealer(&[SECOND]), "another key");
    let keyring = keyring(&[FIRST]);
    for purpose in Purpose::ALL {
        let other = sealer_of(&keyring, purpose, WEATHER, "inbound");
        match purpose {
            Purpose::McpSession => assert!(open(&other, &sealed).is_ok()),
            _ => elsewhere(&other, purpose.as_str()),
        }
    }
    let session = |own, route| sealer_of(&keyring, Purpose::McpSession, own, route);
    elsewhere(&session(WEATHER, "inbound2"), "another route");
    elsewhere(&session(PLANNER, "inbound"), "another SPIFFE ID of our own");
    // The parts of what a key is derived for do not run into each other.
    let one = seal(&session("spiffe://example.org/a", "b"));
    let other = session("spiffe://example.org/ab", "");
    refused(&other, PLANNER, Subject::None, &one, "a boundary moved");
}

#[test]
fn no_bit_of_a_sealed_id_can_be_changed_and_no_part_left_out() {
    let ours = sealer(&[FIRST, SECOND]);
    let sealed = seal(&ours);
    for place in 0..sealed.len() {
        for bit in 0..8 {
            let mut forged = sealed.clone().into_bytes();
            forged[place] ^= 1 << bit;
            let opened = open_for(&ours, PLANNER, Subject::None, &forged);
            assert!(opened.is_err(), "bit {bit} of character {place}");
        }
        assert!(open(&ours, &sealed[..place]).is_err(), "cut at {place}");
        assert!(
            open(&ours, &sealed[place + 1..]).is_err(),
            "begun at {place}"
        );
    }
    for other in [
        format!("{sealed}="),
        format!("{sealed}A"),
        format!("{sealed} "),
        format!(" {sealed}"),
        format!("{sealed}\n"),
        sealed.to_uppercase(),
        sealed.replacen("pq1.", "pq2.", 1),
        sealed.replacen("pq1.", "", 1),
        sealed.replacen("pq1.", "pq1.pq1.", 1),
        String::new(),
        "pq1.".to_owned(),
        "x".repeat(MAX_SEALED_LEN + 1),
        String::from_utf8(ORIGINAL.to_vec()).unwrap(),
    ] {
        assert!(open(&ours, &other).is_err(), "{other}");
    }
}

/// The last character of base64 carries bits that mean nothing. There must be one way to write them.
#[test]
fn no_two_texts_are_the_same_id() {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let ours = sealer(&[FIRST]);
    for len in 0..3 {
        let contents = Contents {
            backend: "default",
            original: &ORIGINAL[len..],
            at: at(SEALED_AT),
        };
        let holder = Holder {
            peer: &id(PLANNER),
            subject: Subject::None,
        };
        let sealed = ours.seal(&holder, &contents).unwrap();
        let (rest, _) = sealed.split_at(sealed.len() - 1);
        let opening = ALPHABET
            .chars()
            .map(|last| format!("{rest}{last}"))
            .filter(|text| open(&ours, text).is_ok());
        assert_eq!(opening.collect::<Vec<_>>(), std::slice::from_ref(&sealed));
    }
}

#[test]
fn an_id_opens_from_when_it_was_sealed_until_it_is_too_old() {
    let ours = sealer(&[FIRST]);
    let sealed = seal(&ours);
    let holder = Holder {
        peer: &id(PLANNER),
        subject: Subject::None,
    };
    let opens_at = |now| ours.open(&holder, sealed.as_bytes(), &age(now)).is_ok();
    // The clock of the replica that sealed it may be a minute ahead of ours.
    assert!(!opens_at(0));
    assert!(!opens_at(SEALED_AT - 61));
    assert!(opens_at(SEALED_AT - 60));
    assert!(opens_at(SEALED_AT));
    assert!(opens_at(SEALED_AT + DAY.as_secs()));
    assert!(!opens_at(SEALED_AT + DAY.as_secs() + 1));
    assert!(!opens_at(u64::MAX));
}

#[test]
fn ids_outlive_the_rotation_of_a_key_for_as_long_as_it_is_listed() {
    let before = sealer(&[FIRST]);
    let announced = sealer(&[FIRST, SECOND]);
    let rotated = sealer(&[SECOND, FIRST]);
    let after = sealer(&[SECOND]);
    let old = seal(&before);
    let new = seal(&rotated);
    for replica in [&announced, &rotated] {
        assert!(open(replica, &old).is_ok());
        assert!(open(replica, &new).is_ok());
    }
    assert!(open(&before, &new).is_err());
    assert!(open(&after, &old).is_err());
    assert!(open(&after, &new).is_ok());
}

#[test]
fn what_does_not_fit_is_not_sealed() {
    let ours = sealer(&[FIRST]);
    let holder = Holder {
        peer: &id(PLANNER),
        subject: Subject::None,
    };
    let seal = |backend: &str, original: &[u8]| {
        let contents = Contents {
            backend,
            original,
            at: at(SEALED_AT),
        };
        ours.seal(&holder, &contents)
    };
    let original = [b'x'; 400];
    let longest = (0..original.len())
        .take_while(|len| seal("default", &original[..*len]).is_ok())
        .last()
        .unwrap();
    assert_eq!(longest, 328);
    let sealed = seal("default", &original[..longest]).unwrap();
    assert_eq!(sealed.len(), MAX_SEALED_LEN);
    assert_eq!(open(&ours, &sealed).unwrap().original, &original[..longest]);
    assert_eq!(
        seal("default", &original[..=longest]),
        Err(SealError::TooLong {
            original: 329,
            backend: 7
        })
    );
    let name = "b".repeat(255);
    assert_eq!(
        open(&ours, &seal(&name, b"").unwrap()).unwrap().backend,
        name
    );
    assert!(seal(&"b".repeat(256), b"").is_err());
}
