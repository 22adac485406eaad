//! Byte streams: the sockets there are, and two thin wrappers around any of them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pqlane_handshake::flight_meter::FlightMeter;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// How often a silent TCP connection is probed for a peer that is gone.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// Writes that go to an inner stream unchanged: `write_through!(Wrapper<S> => stream)`, or
/// `write_through!(Wrapper => stream)` where the wrapper has no parameter.
macro_rules! write_through {
    ($wrapper:ident<S> => $inner:ident) => {
        impl<S: tokio::io::AsyncWrite + Unpin> tokio::io::AsyncWrite for $wrapper<S> {
            $crate::transport::write_through!(@methods $inner);
        }
    };
    ($wrapper:ident => $inner:ident) => {
        impl tokio::io::AsyncWrite for $wrapper {
            $crate::transport::write_through!(@methods $inner);
        }
    };
    (@methods $inner:ident) => {
        fn poll_write(
            self: std::pin::Pin<&mut Self>,
            context: &mut std::task::Context<'_>,
            bytes: &[u8],
        ) -> std::task::Poll<std::io::Result<usize>> {
            std::pin::Pin::new(&mut self.get_mut().$inner).poll_write(context, bytes)
        }

        fn poll_write_vectored(
            self: std::pin::Pin<&mut Self>,
            context: &mut std::task::Context<'_>,
            slices: &[std::io::IoSlice<'_>],
        ) -> std::task::Poll<std::io::Result<usize>> {
            std::pin::Pin::new(&mut self.get_mut().$inner).poll_write_vectored(context, slices)
        }

        fn is_write_vectored(&self) -> bool {
            self.$inner.is_write_vectored()
        }

        fn poll_flush(
            self: std::pin::Pin<&mut Self>,
            context: &mut std::task::Context<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            std::pin::Pin::new(&mut self.get_mut().$inner).poll_flush(context)
        }

        fn poll_shutdown(
            self: std::pin::Pin<&mut Self>,
            context: &mut std::task::Context<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            std::pin::Pin::new(&mut self.get_mut().$inner).poll_shutdown(context)
        }
    };
}
pub(crate) use write_through;

/// A connected socket.
#[derive(Debug)]
pub(crate) enum Socket {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix stream socket.
    Unix(UnixStream),
}

impl Socket {
    /// A TCP socket, set up for small messages and for finding dead peers.
    pub(crate) fn tcp(stream: TcpStream) -> Self {
        // A socket without these options still works; there is nothing to do about a failure.
        let _ = stream.set_nodelay(true);
        let keepalive = TcpKeepalive::new()
            .with_time(TCP_KEEPALIVE)
            .with_interval(TCP_KEEPALIVE);
        let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
        Self::Tcp(stream)
    }

    /// Has the kernel acknowledge what has been read, instead of waiting for something to send with it.
    pub(crate) fn acknowledge(&self) {
        #[cfg(target_os = "linux")]
        if let Self::Tcp(stream) = self {
            // Only latency depends on it.
            let _ = SockRef::from(stream).set_tcp_quickack(true);
        }
    }
}

macro_rules! on_socket {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Self::Tcp(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            Self::Unix(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        on_socket!(self, stream => stream.poll_read(context, buffer))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        on_socket!(self, stream => stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_socket!(self, stream => stream.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_socket!(self, stream => stream.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_socket!(self, stream => stream.poll_shutdown(context))
    }
}

/// A stream whose bytes are counted until [`Metered::finish`].
#[derive(Debug)]
pub(crate) struct Metered<S> {
    stream: S,
    meter: Option<FlightMeter>,
    capture: Option<Capture>,
}

/// The first bytes that were received.
#[derive(Debug)]
struct Capture {
    bytes: Vec<u8>,
    at_most: usize,
}

impl Capture {
    fn take(&mut self, received: &[u8]) {
        let room = self.at_most.saturating_sub(self.bytes.len());
        self.bytes.extend(received.iter().take(room));
    }
}

impl<S> Metered<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            meter: Some(FlightMeter::default()),
            capture: None,
        }
    }

    /// One that also keeps the first bytes it receives, until they are taken.
    pub(crate) fn capturing(stream: S, at_most: usize) -> Self {
        Self {
            capture: Some(Capture {
                bytes: Vec::new(),
                at_most,
            }),
            ..Self::new(stream)
        }
    }

    /// Takes what was kept, and keeps no more.
    pub(crate) fn captured(&mut self) -> Vec<u8> {
        self.capture
            .take()
            .map_or_else(Vec::new, |capture| capture.bytes)
    }

    /// Stops counting and gives what was counted.
    pub(crate) fn finish(&mut self) -> FlightMeter {
        self.meter.take().unwrap_or_default()
    }

    pub(crate) fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        if let Some(meter) = &mut this.meter {
            meter.received(buffer.filled().len().saturating_sub(before));
        }
        if let Some(capture) = &mut this.capture {
            capture.take(buffer.filled().get(before..).unwrap_or_default());
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.stream).poll_write(context, bytes))?;
        if let Some(meter) = &mut this.meter {
            meter.sent(written);
        }
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.stream).poll_write_vectored(context, slices))?;
        if let Some(meter) = &mut this.meter {
            meter.sent(written);
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

/// A stream with some bytes already read from it.
#[derive(Debug)]
pub(crate) struct Rewound<S> {
    stream: S,
    first: Vec<u8>,
    given: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let rest = this.first.get(this.given..).unwrap_or_default();
        if rest.is_empty() {
            return Pin::new(&mut this.stream).poll_read(context, buffer);
        }
        let count = rest.len().min(buffer.remaining());
        buffer.put_slice(rest.get(..count).unwrap_or_default());
        this.given += count;
        if this.given == this.first.len() {
            this.first = Vec::new();
            this.given = 0;
        }
        Poll::Ready(Ok(()))
    }
}

write_through!(Rewound<S> => stream);

/// An HTTP version, as far as a connection has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HttpVersion {
    /// HTTP/1.1 (and 1.0).
    H1,
    /// HTTP/2.
    H2,
}

/// The client's connection preface, which no HTTP/1 request can begin with (RFC 9113 §3.4).
const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Tells from a plaintext connection's first bytes which HTTP it speaks ("prior knowledge", RFC 9113 §3.3).
///
/// # Errors
/// [`io::Error`] when it ends or fails before its first byte.
pub(crate) async fn sniff<S: AsyncRead + Unpin>(
    mut stream: S,
) -> io::Result<(HttpVersion, Rewound<S>)> {
    let mut first = Vec::with_capacity(H2_PREFACE.len());
    let version = loop {
        if !H2_PREFACE.starts_with(&first) {
            break HttpVersion::H1;
        }
        let missing = H2_PREFACE.len() - first.len();
        if missing == 0 {
            break HttpVersion::H2;
        }
        let more = (&mut stream)
            .take(u64::try_from(missing).unwrap_or(u64::MAX))
            .read_buf(&mut first)
            .await?;
        if more == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let rewound = Rewound {
        stream,
        first,
        given: 0,
    };
    Ok((version, rewound))
}

/// The most that is read from a refused peer before its connection is dropped.
const LINGER_BYTES: u64 = 64 * 1024;
/// How long that may take.
const LINGER: Duration = Duration::from_secs(1);

/// Ends a refused connection so that what was last sent on it, an alert, arrives: a close with bytes
/// unread would reset it and take the alert back.
pub(crate) async fn linger<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let read_out = async {
        stream.shutdown().await?;
        let mut rest = (&mut stream).take(LINGER_BYTES);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    // Whatever comes of it, the connection ends here.
    let _ = tokio::time::timeout(LINGER, read_out).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sniffed(sent: &[u8]) -> (HttpVersion, Vec<u8>) {
        let (mut peer, stream) = tokio::io::duplex(7);
        let sent = sent.to_vec();
        crate::task::spawn(async move { peer.write_all(&sent).await });
        let (version, mut rewound) = sniff(stream).await.unwrap();
        let mut all = Vec::new();
        rewound.read_to_end(&mut all).await.unwrap();
        (version, all)
    }

    #[tokio::test]
    async fn tells_http2_by_its_preface_and_loses_no_byte() {
        let h2 = [H2_PREFACE, b"\0\0\0\x04\0\0\0\0\0"].concat();
        assert_eq!(sniffed(&h2).await, (HttpVersion::H2, h2));
        let h1 = b"POST /mcp HTTP/1.1\r\n\r\n".to_vec();
        assert_eq!(sniffed(&h1).await, (HttpVersion::H1, h1));
        let almost = b"PRI * HTTP/1.1\r\n\r\n".to_vec();
        assert_eq!(sniffed(&almost).await, (HttpVersion::H1, almost));
    }

    #[tokio::test]
    async fn a_connection_without_a_byte_is_an_error() {
        let (peer, stream) = tokio::io::duplex(7);
        drop(peer);
        let ended = sniff(stream).await.unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::UnexpectedEof);
    }
}
