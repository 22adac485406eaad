//! Plain HTTP at both ends: a caller, a workload, and bodies that a test holds in its hand.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::within;

pub(crate) type Body = UnsyncBoxBody<Bytes, BrokenOff>;

/// A body's end by the test's hand.
#[derive(Debug)]
pub(crate) struct BrokenOff;

impl std::fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broken off by the test")
    }
}

impl std::error::Error for BrokenOff {}

/// A connection of any kind.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Io for T {}

pub(crate) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A body that gives what is sent to it, when it is sent.
pub(crate) fn held() -> (Hand, Body) {
    let (hand, frames) = mpsc::channel(1);
    (Hand(hand), HeldBody(frames).boxed_unsync())
}

/// The sending end of a [`held`] body; dropped, the body ends.
#[derive(Clone)]
pub(crate) struct Hand(mpsc::Sender<Result<Frame<Bytes>, BrokenOff>>);

impl Hand {
    pub(crate) async fn send(&self, bytes: impl Into<Bytes>) {
        let frame = Frame::data(bytes.into());
        within("room in the body", self.0.send(Ok(frame)))
            .await
            .unwrap_or_else(|_| panic!("nobody reads the body"));
    }

    /// Sends when there is room, however long that takes.
    pub(crate) async fn send_at_leisure(&self, bytes: Bytes) {
        let _ = self.0.send(Ok(Frame::data(bytes))).await;
    }

    pub(crate) async fn trailers(&self, trailers: HeaderMap) {
        let frame = Frame::trailers(trailers);
        within("room in the body", self.0.send(Ok(frame)))
            .await
            .unwrap_or_else(|_| panic!("nobody reads the body"));
    }

    /// Breaks the body off.
    pub(crate) async fn abort(self) {
        let _ = self.0.send(Err(BrokenOff)).await;
    }

    /// Waits until the body is dropped by who reads it.
    pub(crate) async fn closed(&self) {
        within("end of who reads the body", self.0.closed()).await;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

struct HeldBody(mpsc::Receiver<Result<Frame<Bytes>, BrokenOff>>);

impl http_body::Body for HeldBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        self.0.poll_recv(cx)
    }
}

/// One caller's connection.
#[derive(Clone)]
pub(crate) struct Client {
    sending: Sending,
    authority: String,
}

enum Sending {
    One(http1::SendRequest<Body>),
    Two(http2::SendRequest<Body>),
}

impl Clone for Sending {
    fn clone(&self) -> Self {
        match self {
            Self::One(_) => panic!("HTTP/1.1 has one call at a time"),
            Self::Two(sending) => Self::Two(sending.clone()),
        }
    }
}

impl Client {
    pub(crate) async fn http1(address: SocketAddr) -> Self {
        let stream = within("connection", TcpStream::connect(address)).await;
        Self::http1_over(stream.unwrap(), &address.to_string()).await
    }

    pub(crate) async fn http2(address: SocketAddr) -> Self {
        let stream = within("connection", TcpStream::connect(address)).await;
        Self::http2_over(stream.unwrap(), &address.to_string()).await
    }

    pub(crate) async fn http1_over(io: impl Io, authority: &str) -> Self {
        let (sending, connection) = http1::handshake(TokioIo::new(io)).await.unwrap();
        tokio::spawn(connection);
        Self {
            sending: Sending::One(sending),
            authority: authority.to_owned(),
        }
    }

    pub(crate) async fn http2_over(io: impl Io, authority: &str) -> Self {
        let (sending, connection) = http2::Builder::new(TokioExecutor::new())
            .handshake(TokioIo::new(io))
            .await
            .unwrap();
        tokio::spawn(connection);
        Self {
            sending: Sending::Two(sending),
            authority: authority.to_owned(),
        }
    }

    /// The same connection, asking for another authority.
    pub(crate) fn asking_for(mut self, authority: &str) -> Self {
        authority.clone_into(&mut self.authority);
        self
    }

    /// A request's head with this connection's authority, as its protocol wants it.
    pub(crate) fn request(&self, method: &str, path: &str) -> http::request::Builder {
        let request = Request::builder().method(method);
        match self.sending {
            Sending::One(_) => request.uri(path).header(HOST, &self.authority),
            Sending::Two(_) => request.uri(format!("http://{}{path}", self.authority)),
        }
    }

    /// The answer's head; its body comes as it comes.
    pub(crate) async fn try_send(
        &mut self,
        request: Request<Body>,
    ) -> hyper::Result<Response<Incoming>> {
        within("answer", async {
            match &mut self.sending {
                Sending::One(sending) => {
                    sending.ready().await?;
                    sending.send_request(request).await
                }
                Sending::Two(sending) => {
                    sending.ready().await?;
                    sending.send_request(request).await
                }
            }
        })
        .await
    }

    pub(crate) async fn send(&mut self, request: Request<Body>) -> Response<Incoming> {
        self.try_send(request).await.unwrap()
    }

    /// A whole call.
    pub(crate) async fn call(&mut self, request: Request<Body>) -> Answer {
        let response = self.send(request).await;
        Answer::read(response).await
    }

    /// A call without a body.
    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        let request = self.request("GET", path).body(empty()).unwrap();
        self.call(request).await
    }

    /// A call with a body.
    pub(crate) async fn post(&mut self, path: &str, body: &'static str) -> Answer {
        let request = self.request("POST", path).body(full(body)).unwrap();
        self.call(request).await
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: HeaderMap,
}

impl Answer {
    pub(crate) async fn read(response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let collected = within("end of the answer", body.collect()).await.unwrap();
        let trailers = collected.trailers().cloned().unwrap_or_default();
        Self {
            status: head.status,
            headers: head.headers,
            body: collected.to_bytes(),
            trailers,
        }
    }

    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// The next bytes of a body: none at its end, an error where it breaks off.
pub(crate) async fn next_bytes(body: &mut Incoming) -> Option<hyper::Result<Bytes>> {
    within("next bytes of a body", async {
        loop {
            match body.frame().await? {
                Ok(frame) => {
                    // An empty frame may carry HTTP/2's mark of the end.
                    if let Ok(bytes) = frame.into_data()
                        && !bytes.is_empty()
                    {
                        return Some(Ok(bytes));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    })
    .await
}

/// The next bytes of a body, which must come and be these.
pub(crate) async fn expect_bytes(body: &mut Incoming, expected: &str) {
    let mut seen = Vec::new();
    while seen.len() < expected.len() {
        let bytes = next_bytes(body).await;
        let bytes = bytes.unwrap_or_else(|| panic!("the body ended before {expected:?}"));
        seen.extend_from_slice(&bytes.unwrap());
    }
    assert_eq!(String::from_utf8_lossy(&seen), expected);
}

/// The clean end of a body, which must come next.
pub(crate) async fn expect_end(body: &mut Incoming) {
    let next = next_bytes(body).await;
    assert!(next.is_none(), "no clean end but {next:?}");
}

/// What a workload speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Http1,
    Http2,
}

/// Serves one connection until it ends.
pub(crate) async fn serve<H, F>(io: impl Io, version: Version, handler: H)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let service = service_fn(move |request| {
        let answer = handler(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let io = TokioIo::new(io);
    let _ = match version {
        Version::Http1 => {
            hyper::server::conn::http1::Builder::new()
                .serve_connection(io, service)
                .await
        }
        Version::Http2 => {
            hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .max_concurrent_streams(1000)
                .serve_connection(io, service)
                .await
        }
    };
}

/// A workload: an HTTP server without TLS on this machine.
pub(crate) struct Workload {
    pub(crate) address: SocketAddr,
    /// Requests that reached it.
    pub(crate) calls: Arc<AtomicUsize>,
}

impl Workload {
    pub(crate) async fn start<H, F>(version: Version, handler: H) -> Self
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let handler = move |request| {
            counted.fetch_add(1, Ordering::Relaxed);
            handler(request)
        };
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, version, handler.clone()));
            }
        });
        Self { address, calls }
    }

    /// Answers every call with `200` and `ok`.
    pub(crate) async fn ok() -> Self {
        Self::start(Version::Http1, |_request| async {
            Response::new(full("ok"))
        })
        .await
    }

    /// Answers like [`Workload::ok`], and gives what reached it.
    pub(crate) async fn recording(version: Version) -> (Self, mpsc::UnboundedReceiver<Seen>) {
        let (seen, calls) = mpsc::unbounded_channel();
        let workload = Self::start(version, move |request| {
            let seen = seen.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.unwrap();
                let trailers = body.trailers().cloned().unwrap_or_default();
                let body = body.to_bytes();
                let _ = seen.send(Seen {
                    head,
                    body,
                    trailers,
                });
                Response::new(full("ok"))
            }
        })
        .await;
        (workload, calls)
    }

    pub(crate) fn count(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

/// A request as it reached its end.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) head: http::request::Parts,
    pub(crate) body: Bytes,
    pub(crate) trailers: HeaderMap,
}

impl Seen {
    /// All values of a header, as text.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let values = self.head.headers.get_all(name);
        values.iter().map(|value| value.to_str().unwrap()).collect()
    }
}

/// The next request that reaches a workload.
pub(crate) async fn next_seen(calls: &mut mpsc::UnboundedReceiver<Seen>) -> Seen {
    within("call at the workload", calls.recv()).await.unwrap()
}

/// Sends bytes as they are and gives everything that comes back until the other side closes.
pub(crate) async fn raw_call(io: &mut (impl Io + ?Sized), request: &str) -> String {
    io.write_all(request.as_bytes()).await.unwrap();
    read_to_end(io).await
}

/// Everything until the other side closes, in whatever way it does.
pub(crate) async fn read_to_end(io: &mut (impl Io + ?Sized)) -> String {
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match within("end of the connection", io.read(&mut buffer)).await {
            Ok(0) | Err(_) => return String::from_utf8_lossy(&answer).into_owned(),
            Ok(len) => answer.extend_from_slice(&buffer[..len]),
        }
    }
}

/// Reads until a text has been seen; gives everything read.
pub(crate) async fn read_until(io: &mut (impl Io + ?Sized), end: &str) -> String {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&seen);
        if text.contains(end) {
            return text.into_owned();
        }
        let len = within(end, io.read(&mut buffer)).await.unwrap();
        assert_ne!(len, 0, "closed before {end:?}: {text:?}");
        seen.extend_from_slice(&buffer[..len]);
    }
}

/// A server that does with a connection what the test says, byte for byte.
pub(crate) async fn raw_workload<H, F>(handler: H) -> SocketAddr
where
    H: Fn(TcpStream) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(handler(stream));
        }
    });
    address
}

/// An address at which nobody listens.
pub(crate) async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}
