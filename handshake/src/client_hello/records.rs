//! The one handshake message that the records of a client begin with.
//!
//! Takes the bytes of a connection from its first; gives the body of the ClientHello, however it was cut into
//! records. Copies only bytes that are there.

use super::{ClientHelloError, MAX_HELLO_BYTES};

/// `ContentType.handshake` (RFC 8446 §5.1).
const HANDSHAKE: u8 = 22;
/// `HandshakeType.client_hello` (RFC 8446 §4).
const CLIENT_HELLO: u8 = 1;
/// `TLSPlaintext.type`, `legacy_record_version`, `length` (RFC 8446 §5.1).
const RECORD_HEADER_LEN: usize = 5;
/// Most bytes of one plaintext record (RFC 8446 §5.1).
const MAX_RECORD_LEN: usize = 1 << 14;
/// `msg_type` and `length` (RFC 8446 §4).
const MESSAGE_HEADER_LEN: usize = 4;

/// The body of a ClientHello, and how many bytes of the connection its records are.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) body: Vec<u8>,
    pub(super) wire_bytes: usize,
}

/// Joins records until the first message is whole. What follows its last record is not looked at.
pub(super) fn first_message(bytes: &[u8]) -> Result<Message, ClientHelloError> {
    let mut message = Vec::new();
    let mut unread = bytes;
    loop {
        let (length, rest) = record_header(unread)?;
        // Of a record that is still arriving, what is there may already be refused.
        let fragment = rest.get(..length).unwrap_or(rest);
        message.extend_from_slice(fragment);
        let end = message_end(&message)?;
        let still_to_come = length - fragment.len();
        match end {
            // RFC 8446 §5.1: keys change after a ClientHello, so it ends its record.
            Some(end) if message.len() + still_to_come > end => {
                return Err(ClientHelloError::NotAlone {
                    bytes: message.len() + still_to_come - end,
                });
            }
            Some(end) if message.len() == end => {
                let unread = rest.len() - fragment.len();
                message.drain(..MESSAGE_HEADER_LEN);
                return Ok(Message {
                    body: message,
                    wire_bytes: bytes.len() - unread,
                });
            }
            Some(_) | None => {}
        }
        unread = rest.get(length..).ok_or(ClientHelloError::Incomplete)?;
    }
}

/// The length of the next record's fragment, and what follows its header.
fn record_header(bytes: &[u8]) -> Result<(usize, &[u8]), ClientHelloError> {
    match bytes.first() {
        None => return Err(ClientHelloError::Incomplete),
        Some(&HANDSHAKE) => {}
        Some(&content_type) => return Err(ClientHelloError::NotHandshake { content_type }),
    }
    // The version of a record is to be ignored (RFC 8446 §5.1).
    let Some((&[_, _, _, high, low], rest)) = bytes.split_first_chunk::<RECORD_HEADER_LEN>() else {
        return Err(ClientHelloError::Incomplete);
    };
    match usize::from(u16::from_be_bytes([high, low])) {
        0 => Err(ClientHelloError::EmptyRecord),
        bytes @ 1..=MAX_RECORD_LEN => Ok((bytes, rest)),
        bytes => Err(ClientHelloError::RecordTooLong { bytes }),
    }
}

/// Where the message that begins here ends, once its header is there.
fn message_end(message: &[u8]) -> Result<Option<usize>, ClientHelloError> {
    match message.first() {
        None | Some(&CLIENT_HELLO) => {}
        Some(&message_type) => return Err(ClientHelloError::NotClientHello { message_type }),
    }
    let Some(&[_, high, middle, low]) = message.first_chunk::<MESSAGE_HEADER_LEN>() else {
        return Ok(None);
    };
    let bytes = u32::from_be_bytes([0, high, middle, low]) as usize;
    if bytes > MAX_HELLO_BYTES {
        return Err(ClientHelloError::TooLong { bytes });
    }
    Ok(Some(MESSAGE_HEADER_LEN + bytes))
}
