//! HTTP/2 frame by frame, for what no well-behaved library does.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::within;

pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;

/// `ACK` of SETTINGS and PING, `END_STREAM` of HEADERS.
pub(crate) const FIRST_FLAG: u8 = 1;
/// `END_STREAM` and `END_HEADERS`.
pub(crate) const WHOLE: u8 = 5;

/// What a client sends first (RFC 9113 §3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// `:method: GET`, `:scheme: https`, `:path: /`, `:authority: localhost`.
pub(crate) const GET: &[u8] = b"\x82\x87\x84\x01\x09localhost";
/// `:status: 200`.
pub(crate) const OK: &[u8] = b"\x88";

/// One frame.
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// Reads the next one.
    pub(crate) async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        let mut head = [0; 9];
        from.read_exact(&mut head).await?;
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; len as usize];
        from.read_exact(&mut payload).await?;
        Ok(Self {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
            payload,
        })
    }

    /// Whether it asks for an acknowledgement of this kind.
    pub(crate) fn wants_ack_of(&self, kind: u8) -> bool {
        self.kind == kind && self.flags & FIRST_FLAG == 0
    }
}

/// A frame's bytes.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![len[1], len[2], len[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// Begins a client's connection.
pub(crate) async fn greet(to: &mut (impl AsyncWrite + Unpin)) {
    to.write_all(PREFACE).await.unwrap();
    to.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    to.write_all(&frame(SETTINGS, FIRST_FLAG, 0, &[]))
        .await
        .unwrap();
}

/// Reads frames until one of this kind on this stream; gives its payload.
pub(crate) async fn until_frame(
    from: &mut (impl AsyncRead + Unpin),
    kind: u8,
    stream: u32,
) -> Vec<u8> {
    within("frame", async {
        loop {
            let frame = Frame::read(from).await.unwrap();
            if frame.kind == kind && frame.stream == stream {
                return frame.payload;
            }
        }
    })
    .await
}
