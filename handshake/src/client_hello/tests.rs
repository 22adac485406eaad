use std::sync::Arc;

use rustls::ClientConnection;
use rustls::pki_types::ServerName;

use super::*;
use crate::kx::{Group, MLKEM1024, SECP384R1MLKEM1024, X25519, X25519MLKEM768};
use crate::testing::World;

/// What a rustls client with these groups sends first.
fn rustls_hello(groups: &[&'static Group]) -> Vec<u8> {
    let name = ServerName::try_from("peer.test").unwrap();
    let mut client = ClientConnection::new(Arc::new(World::new().client(groups)), name).unwrap();
    let mut wire = Vec::new();
    client.write_tls(&mut wire).unwrap();
    wire
}

fn u16_vector(inside: &[u8]) -> Vec<u8> {
    let len = u16::try_from(inside.len()).unwrap();
    [&len.to_be_bytes(), inside].concat()
}

/// A handshake message with that body.
fn message(body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[CLIENT_HELLO], &len[1..], body].concat()
}

fn in_records(message: &[u8], of: usize) -> Vec<u8> {
    let record = |fragment| [&[22, 3, 1][..], &u16_vector(fragment)].concat();
    message.chunks(of).flat_map(record).collect()
}

const CLIENT_HELLO: u8 = 1;
/// Version, random, no session id, one suite, no compression.
fn fixed_part() -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 0x02, 1, 0]);
    body
}

/// A body with these extensions.
fn body_with(extensions: &[(u16, &[u8])]) -> Vec<u8> {
    let one = |(extension, data): &(u16, &[u8])| {
        [&extension.to_be_bytes()[..], &u16_vector(data)].concat()
    };
    let all: Vec<u8> = extensions.iter().flat_map(one).collect();
    [fixed_part(), u16_vector(&all)].concat()
}

fn read_body(body: &[u8]) -> Result<ClientHello, ClientHelloError> {
    read(&in_records(&message(body), MAX_RECORD_LEN))
}

const MAX_RECORD_LEN: usize = 16_384;

fn read_extension(extension: u16, data: &[u8]) -> Result<ClientHello, ClientHelloError> {
    read_body(&body_with(&[(extension, data)]))
}

#[test]
fn reads_what_a_rustls_client_offers() {
    let wire = rustls_hello(&[&X25519MLKEM768, &X25519, &MLKEM1024]);
    let hello = read(&wire).unwrap();
    assert_eq!(hello.wire_bytes, wire.len());
    assert_eq!(version_name(hello.legacy_version), "TLS 1.2");
    assert_eq!(hello.versions, [0x0304]);
    let groups = [&X25519MLKEM768, &X25519, &MLKEM1024].map(|group| group.named_group);
    assert_eq!(hello.groups, groups);
    // The share of X25519 is the part of the hybrid one, sent a second time.
    let shares = [(groups[0], 1216), (groups[1], 32)];
    assert_eq!(hello.shares, shares);
    assert!(
        hello
            .suites
            .contains(&CipherSuite::TLS13_AES_256_GCM_SHA384)
    );
    for scheme in [SignatureScheme::ED25519, SignatureScheme::ML_DSA_65] {
        assert!(hello.signature_schemes.contains(&scheme), "{scheme:?}");
    }
    assert_eq!(hello.signature_schemes_cert, []);
    assert_eq!(hello.alpn, [b"h2".to_vec()]);
    assert_eq!(hello.server_name.as_deref(), Some("peer.test"));
    assert_eq!(hello.psk, Psk::NotOffered);
    assert_eq!(hello.early_data, EarlyData::NotOffered);
    assert_eq!(hello.not_kept, 0);
}

#[test]
fn reads_the_same_however_it_is_cut_into_records() {
    let wire = rustls_hello(&[&SECP384R1MLKEM1024]);
    let whole = read(&wire).unwrap();
    let message = &wire[5..];
    for of in [1, 2, 3, 4, 5, 7, 64, 1000, message.len() - 1, message.len()] {
        let wire = in_records(message, of);
        let hello = read(&wire).unwrap();
        assert_eq!(hello.wire_bytes, wire.len());
        let wire_bytes = whole.wire_bytes;
        assert_eq!(
            ClientHello {
                wire_bytes,
                ..hello
            },
            whole,
            "{of}"
        );
    }
}

#[test]
fn needs_every_byte_and_no_more() {
    let wire = rustls_hello(&[&X25519]);
    let whole = read(&wire).unwrap();
    for wire in [&wire, &in_records(&wire[5..], 3)] {
        for len in 0..wire.len() {
            assert_eq!(read(&wire[..len]), Err(ClientHelloError::Incomplete));
        }
    }
    // Whatever comes next, be it no TLS at all.
    let more = [wire.as_slice(), b"GET / HTTP/1.1"].concat();
    assert_eq!(read(&more), Ok(whole));
}

#[test]
fn what_is_no_client_hello_is_refused_at_its_first_byte() {
    assert_eq!(
        read(b"GET / HTTP/1.1"),
        Err(ClientHelloError::NotHandshake { content_type: b'G' })
    );
    assert_eq!(read(&[22, 3, 1, 0, 0]), Err(ClientHelloError::EmptyRecord));
    assert_eq!(
        read(&[22, 3, 1, 0x40, 1]),
        Err(ClientHelloError::RecordTooLong { bytes: 16_385 })
    );
    assert_eq!(
        read(&[22, 3, 1, 0x40, 0, 2]),
        Err(ClientHelloError::NotClientHello { message_type: 2 })
    );
    assert_eq!(
        read(&[22, 3, 1, 0, 4, 1, 1, 0, 1]),
        Err(ClientHelloError::TooLong { bytes: 65_537 })
    );
    // Alerts and the like do not come between the records of one message.
    let mut wire = in_records(&message(&fixed_part()), 20);
    wire[25] = 21;
    assert_eq!(
        read(&wire),
        Err(ClientHelloError::NotHandshake { content_type: 21 })
    );
}

#[test]
fn a_message_ends_its_record() {
    let mut two = message(&fixed_part());
    two.extend(message(&fixed_part()));
    let wire = in_records(&two, MAX_RECORD_LEN);
    let bytes = fixed_part().len() + 4;
    assert_eq!(read(&wire), Err(ClientHelloError::NotAlone { bytes }));
    // It is known as soon as the message's length is.
    assert_eq!(read(&wire[..9]), Err(ClientHelloError::NotAlone { bytes }));
}

#[test]
fn the_longest_message_is_read_and_a_longer_one_is_not() {
    // Padding (RFC 7685) of what the rest leaves free, in one extension.
    let padding = vec![0; 0xFFFF - fixed_part().len() - 2 - 4];
    let body = body_with(&[(21, &padding)]);
    assert_eq!(body.len(), 0xFFFF);
    assert!(read_body(&body).is_ok());
    let longest = [body.as_slice(), &[0]].concat();
    // Read to its end, where it has one byte too many.
    let field = "ClientHello";
    assert_eq!(
        read_body(&longest),
        Err(ClientHelloError::Trailing { field, bytes: 1 })
    );
    assert!(in_records(&message(&longest), 1).len() <= MAX_WIRE_BYTES);
    let longer = [longest.as_slice(), &[0]].concat();
    assert_eq!(
        read_body(&longer),
        Err(ClientHelloError::TooLong { bytes: 65_537 })
    );
}

#[test]
fn an_old_client_without_extensions_is_read() {
    let mut body = fixed_part();
    body[..2].copy_from_slice(&[3, 1]);
    let hello = read_body(&body).unwrap();
    assert_eq!(version_name(hello.legacy_version), "TLS 1.0");
    assert_eq!(hello.suites, [CipherSuite::TLS13_AES_256_GCM_SHA384]);
    assert!(hello.versions.is_empty() && hello.groups.is_empty() && hello.shares.is_empty());
}

#[test]
fn early_data_and_tickets_are_reported() {
    let identity = [&u16_vector(b"ticket")[..], &[0, 0, 0, 1]].concat();
    let identities = u16_vector(&[identity.as_slice(), &identity].concat());
    let binder = [&[32_u8][..], &[9; 32]].concat();
    let psk = [
        identities.clone(),
        u16_vector(&[binder.as_slice(), &binder].concat()),
    ]
    .concat();
    let hello = read_body(&body_with(&[(42, &[]), (41, &psk)])).unwrap();
    assert_eq!(hello.early_data, EarlyData::Offered);
    assert_eq!(hello.psk, Psk::Offered { identities: 2 });

    assert_eq!(
        read_body(&body_with(&[(41, &psk), (42, &[])])),
        Err(ClientHelloError::PskNotLast)
    );
    let one_binder = [identities, u16_vector(&binder)].concat();
    assert_eq!(
        read_extension(41, &one_binder),
        Err(ClientHelloError::Binders {
            identities: 2,
            binders: 1
        })
    );
    let field = "early_data";
    assert_eq!(
        read_extension(42, &[0]),
        Err(ClientHelloError::Trailing { field, bytes: 1 })
    );
}

#[test]
fn an_extension_comes_once() {
    let twice: [(u16, &[u8]); 3] = [(0xFE0D, b"a"), (35, b""), (0xFE0D, b"b")];
    assert_eq!(
        read_body(&body_with(&twice)),
        Err(ClientHelloError::RepeatedExtension { extension: 0xFE0D })
    );
}

#[test]
fn malformed_vectors_are_refused_by_name() {
    let truncated = |field| ClientHelloError::Truncated { field };
    let trailing = |field| ClientHelloError::Trailing { field, bytes: 1 };
    let length = |field, bytes, least, most| ClientHelloError::Length {
        field,
        bytes,
        least,
        most,
    };
    let table: [(u16, &[u8], ClientHelloError); 22] = [
        (0, &[], truncated("server_name")),
        (0, &[0, 0], length("server_name_list", 0, 4, 0xFFFF)),
        (0, &[0, 4, 1, 0, 1, b'a'], ClientHelloError::ServerName),
        (0, &[0, 4, 0, 0, 1, b' '], ClientHelloError::ServerName),
        (0, &[0, 4, 0, 0, 1, 0xC3], ClientHelloError::ServerName),
        (0, &[0, 4, 0, 0, 2, b'a'], truncated("host_name")),
        (
            0,
            &[0, 5, 0, 0, 1, b'a', b'b'],
            trailing("server_name_list"),
        ),
        (0, &[0, 4, 0, 0, 1, b'a', 0], trailing("server_name")),
        (10, &[0, 0], length("named_group_list", 0, 2, 0xFFFF)),
        (10, &[0, 3, 0, 29, 0], truncated("named_group_list")),
        (10, &[0, 4, 0, 29], truncated("named_group_list")),
        (10, &[0, 2, 0, 29, 0], trailing("supported_groups")),
        (13, &[0, 0], length("signature_algorithms", 0, 2, 0xFFFE)),
        (
            50,
            &[0, 1, 4],
            length("signature_algorithms_cert", 1, 2, 0xFFFE),
        ),
        (16, &[0, 2, 0, 0], length("ProtocolName", 0, 1, 0xFF)),
        (16, &[0, 3, 3, b'h', b'2'], truncated("ProtocolName")),
        (43, &[1, 3], length("versions", 1, 2, 254)),
        (43, &[3, 3, 4, 3], truncated("versions")),
        (
            51,
            &[0, 4, 0, 29, 0, 0],
            length("key_exchange", 0, 1, 0xFFFF),
        ),
        (51, &[0, 3, 0, 29, 0], truncated("client_shares")),
        (51, &[0, 5, 0, 29, 0, 2, 1], truncated("key_exchange")),
        (41, &[0, 6], length("identities", 6, 7, 0xFFFF)),
    ];
    for (extension, data, expected) in table {
        assert_eq!(read_extension(extension, data), Err(expected), "{data:?}");
    }
    // An empty list of shares asks for a HelloRetryRequest.
    assert_eq!(read_extension(51, &[0, 0]).unwrap().shares, []);
}

#[test]
fn the_fixed_part_is_refused_when_it_is_short_or_odd() {
    let body = fixed_part();
    let truncated = |field| Err(ClientHelloError::Truncated { field });
    for len in 0..body.len() {
        let refused = read_body(&body[..len]);
        assert!(
            matches!(refused, Err(ClientHelloError::Truncated { .. })),
            "{len}"
        );
    }
    assert_eq!(read_body(&body[..33]), truncated("ClientHello"));
    let with = |at: usize, byte: u8| {
        let mut body = fixed_part();
        body[at] = byte;
        read_body(&body)
    };
    assert_eq!(with(36, 40), truncated("cipher_suites"));
    assert_eq!(
        with(34, 33),
        Err(ClientHelloError::Length {
            field: "legacy_session_id",
            bytes: 33,
            least: 0,
            most: 32
        })
    );
    assert!(with(36, 1).is_err());
    assert!(with(39, 0).is_err());
    let mut longer = body_with(&[]);
    longer.push(0);
    let field = "ClientHello";
    assert_eq!(
        read_body(&longer),
        Err(ClientHelloError::Trailing { field, bytes: 1 })
    );
}

#[test]
fn long_lists_are_cut_and_the_rest_is_counted() {
    let groups: Vec<u8> = (0..100_u16).flat_map(u16::to_be_bytes).collect();
    let protocols: Vec<u8> = (0..70).flat_map(|n| [1, n]).collect();
    let hello = read_body(&body_with(&[
        (10, &u16_vector(&groups)),
        (16, &u16_vector(&protocols)),
    ]))
    .unwrap();
    assert_eq!(hello.groups.len(), 64);
    assert_eq!(hello.groups[63], NamedGroup::from(63));
    assert_eq!(hello.alpn.len(), 64);
    assert_eq!(hello.not_kept, 36 + 6);
}

#[test]
fn grease_is_kept_and_told_apart() {
    let hello = read_extension(10, &[0, 4, 0x3A, 0x3A, 0x11, 0xEC]).unwrap();
    let grease: Vec<bool> = hello
        .groups
        .iter()
        .map(|group| is_grease(u16::from(*group)))
        .collect();
    assert_eq!(grease, [true, false]);
    let all: Vec<u16> = (0..=u16::MAX).filter(|number| is_grease(*number)).collect();
    assert_eq!(all.len(), 16);
    assert_eq!((all[0], all[1], all[15]), (0x0A0A, 0x1A1A, 0xFAFA));
}

#[test]
fn versions_have_names() {
    let names = [0x0300, 0x0301, 0x0302, 0x0303, 0x0304, 0x7F1C].map(version_name);
    assert_eq!(
        names,
        [
            "SSL 3.0", "TLS 1.0", "TLS 1.1", "TLS 1.2", "TLS 1.3", "0x7f1c"
        ]
    );
}
