//! What a client offered.
//!
//! Input: the bytes of a connection from its first.

use pqlane_handshake::client_hello::{ClientHello, ClientHelloError, MAX_ENTRIES, read};
use rustls::server::Acceptor;

use crate::Verdict;

/// How many cut inputs are read again.
const CUTS: usize = 48;
/// `ContentType.handshake` and `HandshakeType.client_hello` (RFC 8446 §5.1, §4).
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;

/// Reads the bytes whole and in part, and again in other records, and has rustls read them too.
///
/// # Panics
/// When an invariant does not hold.
pub fn run(bytes: &[u8]) -> Verdict {
    let answer = read(bytes);
    check_cuts(bytes, &answer);
    if answer != Err(ClientHelloError::Incomplete) {
        let more = [bytes, &[HANDSHAKE, 0, 0, 0, 0]].concat();
        assert_eq!(read(&more), answer, "more bytes change it");
    }
    if let Ok(hello) = &answer {
        let message = joined(bytes, hello.wire_bytes);
        check_other_records(&message, hello);
        check_all_was_there(&message, hello);
    }
    check_against_rustls(bytes, &answer);
    Verdict::of(&answer)
}

/// A part of the input has the answer of the whole, or none yet.
fn check_cuts(bytes: &[u8], answer: &Result<ClientHello, ClientHelloError>) {
    let step = 1 + bytes.len() / CUTS;
    let mut answered = false;
    for cut in bytes
        .len()
        .checked_sub(1)
        .into_iter()
        .chain((0..bytes.len()).step_by(step))
    {
        let part = bytes.get(..cut).unwrap_or(bytes);
        let of_part = read(part);
        let has_answer = of_part != Err(ClientHelloError::Incomplete);
        assert!(!has_answer || of_part == *answer, "{cut} B: {of_part:?}");
        answered |= has_answer;
        if let Ok(hello) = answer {
            assert_eq!(has_answer, cut >= hello.wire_bytes);
        }
    }
    let incomplete = *answer == Err(ClientHelloError::Incomplete);
    assert!(!(answered && incomplete), "an answer was taken back");
}

/// The message of records that are taken to be right.
fn joined(bytes: &[u8], wire_bytes: usize) -> Vec<u8> {
    let mut message = Vec::new();
    let mut unread = bytes.get(..wire_bytes).unwrap_or_default();
    while let [kind, _, _, high, low, rest @ ..] = unread {
        assert_eq!(*kind, HANDSHAKE);
        let (fragment, after) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        assert!(!fragment.is_empty());
        message.extend_from_slice(fragment);
        unread = after;
    }
    assert!(unread.is_empty(), "wire_bytes is no end of a record");
    let (header, body) = message.split_at(4);
    let [_, a, b, c] = u32::try_from(body.len()).unwrap_or(0).to_be_bytes();
    assert_eq!(header, [CLIENT_HELLO, a, b, c]);
    message
}

/// The same message means the same in records of every other size.
fn check_other_records(message: &[u8], hello: &ClientHello) {
    for of in [1, 3, 251, 16_384] {
        let mut wire = Vec::new();
        for fragment in message.chunks(of) {
            let [high, low] = u16::try_from(fragment.len()).unwrap_or(0).to_be_bytes();
            wire.extend_from_slice(&[HANDSHAKE, 3, 3, high, low]);
            wire.extend_from_slice(fragment);
        }
        let again = read(&wire);
        let expected = ClientHello {
            wire_bytes: wire.len(),
            ..hello.clone()
        };
        assert_eq!(again, Ok(expected), "in records of {of} B");
    }
}

/// Nothing is reported that the client did not write, one entry after the other.
fn check_all_was_there(message: &[u8], hello: &ClientHello) {
    let numbers = |list: Vec<u16>| {
        assert!(list.len() <= MAX_ENTRIES);
        let bytes: Vec<u8> = list.into_iter().flat_map(u16::to_be_bytes).collect();
        assert!(contains(message, &bytes));
    };
    numbers(hello.suites.iter().copied().map(u16::from).collect());
    numbers(hello.versions.clone());
    numbers(hello.groups.iter().copied().map(u16::from).collect());
    let schemes = &hello.signature_schemes;
    numbers(schemes.iter().copied().map(u16::from).collect());
    let schemes = &hello.signature_schemes_cert;
    numbers(schemes.iter().copied().map(u16::from).collect());

    assert!(hello.shares.len() <= MAX_ENTRIES && hello.alpn.len() <= MAX_ENTRIES);
    let mut bytes = 0;
    for (group, len) in &hello.shares {
        let len = u16::try_from(*len).unwrap_or(0);
        let entry = [u16::from(*group), len].map(u16::to_be_bytes).concat();
        assert!(len > 0 && contains(message, &entry));
        bytes += 4 + usize::from(len);
    }
    for protocol in &hello.alpn {
        let len = u8::try_from(protocol.len()).unwrap_or(0);
        assert!(len > 0 && contains(message, &[&[len][..], protocol].concat()));
        bytes += 1 + usize::from(len);
    }
    if let Some(name) = &hello.server_name {
        assert!(!name.contains(|c: char| c.is_ascii_control() || c == ' ' || !c.is_ascii()));
        assert!(contains(message, name.as_bytes()));
        bytes += name.len();
    }
    assert!(bytes <= message.len());
}

fn contains(message: &[u8], part: &[u8]) -> bool {
    part.is_empty() || message.windows(part.len()).any(|window| window == part)
}

/// Where rustls takes a hello for one, both read the same in it.
fn check_against_rustls(bytes: &[u8], answer: &Result<ClientHello, ClientHelloError>) {
    let mut acceptor = Acceptor::default();
    let mut unread = bytes;
    let accepted = loop {
        match acceptor.read_tls(&mut unread) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        match acceptor.accept() {
            Ok(None) => {}
            Ok(Some(accepted)) => break accepted,
            Err(_) => return,
        }
    };
    let theirs = accepted.client_hello();
    let ours = match answer {
        Ok(hello) => hello,
        Err(error) => {
            assert!(rustls_may_not_see(error), "rustls reads it: {error}");
            return;
        }
    };
    assert_eq!(first(theirs.cipher_suites()), ours.suites);
    assert_eq!(first(theirs.signature_schemes()), ours.signature_schemes);
    let groups = theirs.named_groups().unwrap_or_default();
    assert_eq!(first(groups), ours.groups);
    let alpn: Vec<Vec<u8>> = theirs
        .alpn()
        .into_iter()
        .flatten()
        .take(MAX_ENTRIES)
        .map(<[u8]>::to_vec)
        .collect();
    assert_eq!(alpn, ours.alpn);
    if let Some(name) = theirs.server_name() {
        let ours = ours.server_name.as_deref().map(str::to_ascii_lowercase);
        assert_eq!(Some(name), ours.as_deref());
    }
}

/// rustls lets a name of an unknown type, which could be anything, follow the host name, has no use for
/// `signature_algorithms_cert`, and judges binders only once it has a configuration.
fn rustls_may_not_see(error: &ClientHelloError) -> bool {
    match error {
        ClientHelloError::Binders { .. } | ClientHelloError::ServerName => true,
        ClientHelloError::Length { field, .. }
        | ClientHelloError::Trailing { field, .. }
        | ClientHelloError::Truncated { field } => {
            matches!(
                *field,
                "PskBinderEntry" | "binders" | "server_name_list" | "signature_algorithms_cert"
            )
        }
        _ => false,
    }
}

fn first<T: Clone>(list: &[T]) -> Vec<T> {
    list.iter().take(MAX_ENTRIES).cloned().collect()
}
