//! How many streams an HTTP/2 server takes, read from its first frame.
//!
//! hyper obeys the limit by holding calls back, which is what must not happen; so that calls go to another
//! connection instead, the limit has to be known before the second call. A server's first frame is its SETTINGS
//! (RFC 9113 §3.4), and this reads that frame and nothing after it. Bytes pass unchanged.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::Notify;

use crate::tls::peer_alert;
use crate::transport::write_through;

/// Length of a frame's header (RFC 9113 §4.1).
const HEADER_LEN: usize = 9;
/// Length of one setting: identifier (2 B) and value (4 B) (RFC 9113 §6.5.1).
const SETTING_LEN: usize = 6;
/// The largest payload a peer may send before it was told of more (RFC 9113 §4.2).
const MAX_PAYLOAD_LEN: usize = 16_384;
const TYPE_SETTINGS: u8 = 0x04;
const MAX_CONCURRENT_STREAMS: u16 = 0x03;

/// What a server's first frame says of `SETTINGS_MAX_CONCURRENT_STREAMS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstFrame {
    /// More bytes are needed.
    Incomplete,
    /// The limit; `u32::MAX` where the server names none (RFC 9113 §6.5.2).
    MaxConcurrentStreams(u32),
    /// Not a SETTINGS frame; the connection is about to fail.
    NotSettings,
}

/// Reads the first bytes that a server sent.
pub fn read_first_frame(bytes: &[u8]) -> FirstFrame {
    let Some((header, rest)) = bytes.split_at_checked(HEADER_LEN) else {
        return FirstFrame::Incomplete;
    };
    let &[high, middle, low, kind, flags, ..] = header else {
        return FirstFrame::Incomplete;
    };
    let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
    let is_settings = kind == TYPE_SETTINGS && flags == 0;
    if !is_settings || length > MAX_PAYLOAD_LEN || length % SETTING_LEN != 0 {
        return FirstFrame::NotSettings;
    }
    let Some(payload) = rest.get(..length) else {
        return FirstFrame::Incomplete;
    };
    // The last value of a setting holds (RFC 9113 §6.5.3).
    let limit = payload
        .chunks_exact(SETTING_LEN)
        .filter_map(|setting| match *setting {
            [i0, i1, v0, v1, v2, v3] => Some((
                u16::from_be_bytes([i0, i1]),
                u32::from_be_bytes([v0, v1, v2, v3]),
            )),
            _ => None,
        })
        .rfind(|(identifier, _)| *identifier == MAX_CONCURRENT_STREAMS);
    FirstFrame::MaxConcurrentStreams(limit.map_or(u32::MAX, |(_, value)| value))
}

/// Told by a [`SettingsTap`].
#[derive(Debug, Clone, Default)]
pub(crate) struct PeerSettings(Arc<Told>);

#[derive(Debug, Default)]
struct Told {
    /// The limit plus one; 0 while it is unknown.
    limit: AtomicU64,
    known: Notify,
    /// How the peer ended the connection before it said a word of HTTP.
    refusal: OnceLock<String>,
}

impl PeerSettings {
    /// Waits for the limit.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn max_concurrent_streams(&self) -> usize {
        loop {
            let mut known = std::pin::pin!(self.0.known.notified());
            known.as_mut().enable();
            match self.0.limit.load(Ordering::Acquire) {
                0 => known.await,
                limit => return usize::try_from(limit - 1).unwrap_or(usize::MAX),
            }
        }
    }

    /// The alert with which the peer refused us, if it did: a server verifies its client's certificate when
    /// that client has already finished the handshake (RFC 9846 §2).
    pub(crate) fn refusal(&self) -> Option<&str> {
        self.0.refusal.get().map(String::as_str)
    }

    fn note_failure(&self, error: &io::Error) {
        if let Some(alert) = peer_alert(error) {
            let _first_stays = self.0.refusal.set(alert);
        }
    }

    fn tell(&self, limit: u32) {
        self.0.limit.store(u64::from(limit) + 1, Ordering::Release);
        self.0.known.notify_waiters();
    }
}

/// A client's stream, whose first frame is read on its way.
#[derive(Debug)]
pub(crate) struct SettingsTap<S> {
    stream: S,
    /// The first bytes, until they are understood.
    first: Option<(Vec<u8>, PeerSettings)>,
}

impl<S> SettingsTap<S> {
    pub(crate) fn new(stream: S, settings: PeerSettings) -> Self {
        Self {
            stream,
            first: Some((Vec::new(), settings)),
        }
    }

    fn look(&mut self, bytes: &[u8]) {
        let Some((first, settings)) = &mut self.first else {
            return;
        };
        let missing = (HEADER_LEN + MAX_PAYLOAD_LEN).saturating_sub(first.len());
        first.extend_from_slice(bytes.get(..missing).unwrap_or(bytes));
        match read_first_frame(first) {
            FirstFrame::Incomplete => return,
            FirstFrame::MaxConcurrentStreams(limit) => settings.tell(limit),
            FirstFrame::NotSettings => {}
        }
        self.first = None;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for SettingsTap<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut this.stream).poll_read(context, buffer));
        if let (Err(error), Some((_, settings))) = (&read, &this.first) {
            settings.note_failure(error);
        }
        read?;
        if this.first.is_some() {
            this.look(buffer.filled().get(before..).unwrap_or_default());
        }
        Poll::Ready(Ok(()))
    }
}

write_through!(SettingsTap<S> => stream);

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 0], payload].concat()
    }

    #[test]
    fn reads_the_limit_wherever_the_frame_is_cut() {
        let settings = frame(4, 0, &[0, 4, 0, 1, 0, 0, 0, 3, 0, 0, 0, 7]);
        for cut in 0..settings.len() {
            assert_eq!(read_first_frame(&settings[..cut]), FirstFrame::Incomplete);
        }
        let limit = FirstFrame::MaxConcurrentStreams(7);
        assert_eq!(read_first_frame(&settings), limit);
        assert_eq!(read_first_frame(&[&settings[..], b"more"].concat()), limit);
    }

    #[test]
    fn no_limit_is_unlimited_and_the_last_one_holds() {
        let unlimited = FirstFrame::MaxConcurrentStreams(u32::MAX);
        assert_eq!(read_first_frame(&frame(4, 0, &[])), unlimited);
        let twice = frame(4, 0, &[0, 3, 0, 0, 0, 7, 0, 3, 0, 0, 0, 9]);
        assert_eq!(
            read_first_frame(&twice),
            FirstFrame::MaxConcurrentStreams(9)
        );
    }

    #[test]
    fn anything_else_is_not_settings() {
        for other in [
            frame(0, 0, b""),
            frame(4, 1, b""),
            frame(4, 0, &[0; 5]),
            b"HTTP/1.1 400 Bad Request\r\n".to_vec(),
        ] {
            assert_eq!(read_first_frame(&other), FirstFrame::NotSettings);
        }
    }
}
