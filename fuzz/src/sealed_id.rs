//! Ids that come back sealed.
//!
//! Input: what a peer sends as such an id. The same bytes are also sealed, as an id that a backend gave.

use std::sync::LazyLock;
use std::time::Duration;

use pqlane::seal::{
    Age, Contents, Holder, Keyring, MAX_SEALED_LEN, NotOpened, Opened, Purpose, Scope, Sealer,
    Subject,
};
use pqlane_certs::spiffe_id::SpiffeId;
use rustls_pki_types::UnixTime;

use crate::Verdict;

/// Two keys: one that seals, one from before the last rotation.
const KEYS: &[u8] = b"202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f\n\
                      000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";

/// A day after the ids of the corpus were sealed, to the second.
const NOW: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(1_795_253_400 + DAY));
const DAY: u64 = 24 * 3_600;

/// What an id is sealed in and for; `None` if the fixture itself is wrong.
struct Fixture {
    sealer: Sealer,
    planner: SpiffeId,
    stranger: SpiffeId,
}

static FIXTURE: LazyLock<Option<Fixture>> = LazyLock::new(|| {
    let own: SpiffeId = "spiffe://example.org/mcp/weather".parse().ok()?;
    let scope = Scope {
        purpose: Purpose::McpSession,
        own: &own,
        route: "inbound",
    };
    Some(Fixture {
        sealer: Keyring::parse(KEYS).ok()?.sealer(&scope).ok()?,
        planner: "spiffe://example.org/agent/planner".parse().ok()?,
        stranger: "spiffe://example.org/agent/stranger".parse().ok()?,
    })
});

/// Opens the bytes. What opens is one of the ids that were sealed, and opens for its holder only.
///
/// # Panics
/// When an invariant does not hold.
pub fn run(bytes: &[u8]) -> Verdict {
    let fixture = FIXTURE.as_ref();
    assert!(fixture.is_some());
    let Some(fixture) = fixture else {
        return Verdict::Refused;
    };
    let opened = fixture.open(&fixture.planner, Subject::None, bytes);
    match &opened {
        Ok(opened) => check(fixture, opened, bytes),
        // Whatever was wrong, the caller hears the same.
        Err(refusal) => assert_eq!(refusal.to_string(), "not a valid id"),
    }
    check_sealing(fixture, bytes);
    Verdict::of(&opened)
}

impl Fixture {
    fn open(
        &self,
        peer: &SpiffeId,
        subject: Subject<'_>,
        sealed: &[u8],
    ) -> Result<Opened, NotOpened> {
        let age = Age {
            now: NOW,
            at_most: Duration::from_secs(DAY),
        };
        self.sealer.open(&Holder { peer, subject }, sealed, &age)
    }
}

fn check(fixture: &Fixture, opened: &Opened, bytes: &[u8]) {
    assert_eq!(opened.backend, "default");
    assert_eq!(opened.original, b"1868a90c-7a2f-4f1e-9d53-0d1c2b3a4e5f");
    assert_eq!(NOW.as_secs() - opened.sealed_at.as_secs(), DAY);
    assert!(is_canonical(bytes));
    let named = Subject::Named("");
    assert!(
        fixture
            .open(&fixture.stranger, Subject::None, bytes)
            .is_err()
    );
    assert!(fixture.open(&fixture.planner, named, bytes).is_err());
}

/// The form once more: visible ASCII, and the one way in which base64url writes these bytes (RFC 4648 §3.5, §5).
fn is_canonical(sealed: &[u8]) -> bool {
    let Some(encoded) = sealed.strip_prefix(b"pq1.") else {
        return false;
    };
    let value = |letter: &u8| match letter {
        b'A'..=b'Z' => Some(letter - b'A'),
        b'a'..=b'z' => Some(letter - b'a' + 26),
        b'0'..=b'9' => Some(letter - b'0' + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    };
    let unused = match encoded.len() % 4 {
        0 => 0b0000,
        2 => 0b1111,
        3 => 0b0011,
        _ => return false,
    };
    let last = encoded.last().and_then(value).unwrap_or_default();
    sealed.len() <= MAX_SEALED_LEN
        && encoded.iter().all(|letter| value(letter).is_some())
        && last & unused == 0
}

/// Any id that a backend may give is sealed if it fits, and comes back as it was.
fn check_sealing(fixture: &Fixture, original: &[u8]) {
    let holder = Holder {
        peer: &fixture.planner,
        subject: Subject::None,
    };
    let contents = Contents {
        backend: "default",
        original,
        at: NOW,
    };
    let sealed = fixture.sealer.seal(&holder, &contents);
    // 8 of key id, 12 of nonce, 10 and 7 before the id, 16 of tag: 381 bytes are 508 characters.
    assert_eq!(sealed.is_ok(), original.len() <= 381 - 53);
    let Ok(sealed) = sealed else {
        return;
    };
    assert!(is_canonical(sealed.as_bytes()));
    let opened = fixture.open(&fixture.planner, Subject::None, sealed.as_bytes());
    let expected = Opened {
        backend: "default".to_owned(),
        original: original.to_vec(),
        sealed_at: NOW,
    };
    assert_eq!(opened, Ok(expected));
}
