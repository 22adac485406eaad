//! The name of a connection that both of its ends know.
//!
//! Takes a finished handshake; gives what only its two ends can compute, and nobody can choose: a name under which
//! the records of both can be put together.

use std::fmt::{self, Write};

use rustls::Error;
use tokio_rustls::TlsStream;

/// The label under which the name is exported (RFC 9846 §7.5).
const LABEL: &[u8] = b"EXPORTER-pqlane-channel";

/// A connection's name: 32 B exported from its keys. It goes on record; what proves anything about a connection has to
/// be exported under another label.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Channel([u8; 32]);

impl Channel {
    /// Of a connection whose handshake is over.
    ///
    /// # Errors
    /// [`Error`] before the handshake is over.
    pub(super) fn of<S>(stream: &TlsStream<S>) -> Result<Self, Error> {
        let name = [0; 32];
        match stream {
            TlsStream::Client(stream) => {
                let (_, connection) = stream.get_ref();
                connection.export_keying_material(name, LABEL, None)
            }
            TlsStream::Server(stream) => {
                let (_, connection) = stream.get_ref();
                connection.export_keying_material(name, LABEL, None)
            }
        }
        .map(Self)
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0).fmt(f)
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Octets as lower-case hexadecimal.
pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().fold(
        String::with_capacity(octets.len() * 2),
        |mut text, octet| {
            // Writing to a string does not fail.
            let _ = write!(text, "{octet:02x}");
            text
        },
    )
}
