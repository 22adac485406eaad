//! What a client offered, read from the bytes it sent.
//!
//! Takes the bytes of a connection from its first; gives the parts of its ClientHello that tell what the client
//! can do, for the record. It decides nothing: the handshake is rustls's, which does not tell which key shares
//! came, nor anything about a hello it refuses. Numbers of sections are those of RFC 8446, which RFC 9846 takes
//! over; the message itself is in RFC 9846 §4.2.2.

use std::borrow::Cow;

use rustls::{CipherSuite, NamedGroup, SignatureScheme};

mod extensions;
mod reader;
mod records;

use reader::Reader;

/// Most bytes of a ClientHello, its header of 4 B not counted; rustls reads no longer ones either.
pub const MAX_HELLO_BYTES: usize = 64 * 1024;
/// Most bytes that can be needed before [`read`] has an answer: a record header for each byte of the message.
pub const MAX_WIRE_BYTES: usize = (4 + MAX_HELLO_BYTES) * 6;
/// Most entries that are kept of a list.
pub const MAX_ENTRIES: usize = 64;

/// `Random` (§4.1.2).
const RANDOM_LEN: usize = 32;

/// The ClientHello of one connection. Lists are in the client's order, its most preferred first, with what it
/// put there only to be ignored ([`is_grease`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientHello {
    /// `legacy_version`; 0x0303 from every client of TLS 1.3 (§4.1.2).
    pub legacy_version: u16,
    /// `supported_versions` (§4.2.1); empty from a client older than TLS 1.3.
    pub versions: Vec<u16>,
    /// `cipher_suites` (§4.1.2).
    pub suites: Vec<CipherSuite>,
    /// `supported_groups` (§4.2.7).
    pub groups: Vec<NamedGroup>,
    /// `key_share` (§4.2.8): the group of each share and its length in bytes.
    pub shares: Vec<(NamedGroup, usize)>,
    /// `signature_algorithms` (§4.2.3).
    pub signature_schemes: Vec<SignatureScheme>,
    /// `signature_algorithms_cert` (§4.2.3); empty where the former hold for certificates too.
    pub signature_schemes_cert: Vec<SignatureScheme>,
    /// `application_layer_protocol_negotiation` (RFC 7301 §3.1).
    pub alpn: Vec<Vec<u8>>,
    /// `server_name` (RFC 6066 §3): printable ASCII of at most 255 B.
    pub server_name: Option<String>,
    /// `pre_shared_key` (§4.2.11).
    pub psk: Psk,
    /// `early_data` (§4.2.10).
    pub early_data: EarlyData,
    /// How many entries, of all lists together, came after the first [`MAX_ENTRIES`] of theirs.
    pub not_kept: usize,
    /// Bytes of the records that the message came in, with their headers.
    pub wire_bytes: usize,
}

/// Whether a client wants to resume a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Psk {
    /// It does not.
    NotOffered,
    /// With one of so many tickets.
    Offered {
        /// Identities, each with its binder.
        identities: usize,
    },
}

/// Whether a client sends application bytes before the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EarlyData {
    /// It does not.
    NotOffered,
    /// It does, if it is let.
    Offered,
}

/// Reads the ClientHello at the beginning of a connection, in however many records it came.
///
/// What follows the records of the message is not looked at, and no byte of it changes the answer. Reading takes
/// time in proportion to `bytes`: read once rustls has its answer rather than after each byte that arrives.
///
/// # Errors
/// [`ClientHelloError::Incomplete`] while more bytes are needed, which are never more than [`MAX_WIRE_BYTES`] in
/// all; every other error stays, whatever follows.
pub fn read(bytes: &[u8]) -> Result<ClientHello, ClientHelloError> {
    let message = records::first_message(bytes)?;
    let mut body = Reader::new("ClientHello", &message.body);
    let mut hello = ClientHello {
        legacy_version: body.u16()?,
        versions: Vec::new(),
        suites: Vec::new(),
        groups: Vec::new(),
        shares: Vec::new(),
        signature_schemes: Vec::new(),
        signature_schemes_cert: Vec::new(),
        alpn: Vec::new(),
        server_name: None,
        psk: Psk::NotOffered,
        early_data: EarlyData::NotOffered,
        not_kept: 0,
        wire_bytes: message.wire_bytes,
    };
    body.bytes(RANDOM_LEN)?;
    body.vector8("legacy_session_id", 0..=32)?;
    let suites = body.vector16("cipher_suites", 2..=0xFFFE)?;
    hello.suites = u16_list(suites, CipherSuite::from, &mut hello.not_kept)?;
    body.vector8("legacy_compression_methods", 1..=0xFF)?;
    // RFC 5246 §7.4.1.2: older clients may end here.
    if !body.is_empty() {
        extensions::read(body.vector16("extensions", 0..=0xFFFF)?, &mut hello)?;
    }
    body.end()?;
    Ok(hello)
}

/// Numbers of two bytes: the first [`MAX_ENTRIES`] of them, with the rest counted.
fn u16_list<T>(
    mut list: Reader<'_>,
    number: impl Fn(u16) -> T,
    not_kept: &mut usize,
) -> Result<Vec<T>, ClientHelloError> {
    let mut entries = Vec::new();
    while !list.is_empty() {
        let entry = number(list.u16()?);
        if kept(&entries, not_kept) {
            entries.push(entry);
        }
    }
    Ok(entries)
}

/// Whether one more entry is kept; it is counted if not.
fn kept<T>(entries: &[T], not_kept: &mut usize) -> bool {
    let kept = entries.len() < MAX_ENTRIES;
    *not_kept += usize::from(!kept);
    kept
}

/// Whether a number is one that clients offer so that servers learn to ignore the unknown (RFC 8701 §2):
/// 0x0A0A, 0x1A1A and so on to 0xFAFA.
pub fn is_grease(number: u16) -> bool {
    let [high, low] = number.to_be_bytes();
    high == low && low & 0x0F == 0x0A
}

/// The name of a protocol version, or `0x….`.
pub fn version_name(version: u16) -> Cow<'static, str> {
    Cow::Borrowed(match version {
        0x0300 => "SSL 3.0",
        0x0301 => "TLS 1.0",
        0x0302 => "TLS 1.1",
        0x0303 => "TLS 1.2",
        0x0304 => "TLS 1.3",
        other => return Cow::Owned(format!("{other:#06x}")),
    })
}

/// Why bytes are no ClientHello, or not yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientHelloError {
    /// A pre-shared key without its binder, or the reverse.
    #[error(
        "pre_shared_key has {identities} identities and {binders} binders; it needs one for each"
    )]
    Binders {
        /// Identities.
        identities: usize,
        /// Binders.
        binders: usize,
    },
    /// A handshake record with nothing in it (RFC 8446 §5.1).
    #[error("a handshake record is empty; one of 1 to 16384 B is accepted")]
    EmptyRecord,
    /// More bytes are needed.
    #[error("the ClientHello is not complete")]
    Incomplete,
    /// A vector of a length that it cannot have.
    #[error("{field} is {bytes} B long; {least} to {most} B are accepted")]
    Length {
        /// Name of the vector in its specification.
        field: &'static str,
        /// Its length.
        bytes: usize,
        /// The least it may have.
        least: usize,
        /// The most it may have.
        most: usize,
    },
    /// Something follows in the record in which the message ends (RFC 8446 §5.1).
    #[error("{bytes} B follow the ClientHello in its last record; it must end there")]
    NotAlone {
        /// How much.
        bytes: usize,
    },
    /// The first message is another one.
    #[error(
        "the first handshake message has type {message_type}; a client begins with client_hello (1)"
    )]
    NotClientHello {
        /// `HandshakeType`.
        message_type: u8,
    },
    /// Not TLS, or a record of another kind before the message is whole.
    #[error("a record has type {content_type}; a client begins with handshake (22)")]
    NotHandshake {
        /// `ContentType`.
        content_type: u8,
    },
    /// `pre_shared_key` is not the last extension (RFC 8446 §4.2.11).
    #[error("pre_shared_key is not the last extension; it must be")]
    PskNotLast,
    /// A record longer than a plaintext may be (RFC 8446 §5.1).
    #[error("a record is {bytes} B long; at most 16384 B are accepted")]
    RecordTooLong {
        /// Its length.
        bytes: usize,
    },
    /// An extension for the second time (RFC 8446 §4.2).
    #[error("extension {extension} comes twice; one of each type is accepted")]
    RepeatedExtension {
        /// `ExtensionType`.
        extension: u16,
    },
    /// No name that can be looked up, or logged.
    #[error("server_name is not one host name in printable ASCII of at most 255 B")]
    ServerName,
    /// A message of a length that no client needs.
    #[error("the ClientHello is {bytes} B long; at most {MAX_HELLO_BYTES} B are accepted")]
    TooLong {
        /// The length it states.
        bytes: usize,
    },
    /// Bytes where nothing may follow.
    #[error("{bytes} B follow after the end of {field}; nothing may")]
    Trailing {
        /// Name of the field in its specification.
        field: &'static str,
        /// How many.
        bytes: usize,
    },
    /// A field that ends before it should.
    #[error("{field} ends early; what it states to hold is not there")]
    Truncated {
        /// Name of the field in its specification.
        field: &'static str,
    },
}

#[cfg(test)]
mod tests;
