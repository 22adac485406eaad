//! HTTP towards a caller: one connection's requests, until it ends, idles or is drained.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::rt::{Sleep, Timer};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::body::LaneBody;
use crate::crew::Tasks;
use crate::drain::{Drain, Phase};
use crate::limits::Limits;
use crate::multiplex::{AtEnd, Gathered, Multiplexed};
use crate::session::Session;
use crate::tls::with_causes;
use crate::transport::HttpVersion;

/// Serves one connection: `call` answers each request, and answers are written as they come.
pub(crate) async fn serve<S, C, F>(
    version: HttpVersion,
    stream: S,
    session: &Session,
    limits: &Limits,
    drain: Drain,
    call: C,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    C: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<LaneBody>> + Send + 'static,
{
    let service = service_fn(|request| {
        let answer = call(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    match version {
        HttpVersion::H1 => {
            let reads = Arc::new(AtomicU64::new(0));
            let timer = HeadTimer {
                reads: Arc::clone(&reads),
                head: limits.request_head,
                idle: limits.connection_idle,
            };
            let io = TokioIo::new(Counted { stream, reads });
            let connection = http1::Builder::new()
                .timer(timer)
                .header_read_timeout(limits.request_head)
                .max_header_size(usize::try_from(limits.head_bytes).unwrap_or(usize::MAX))
                .serve_connection(io, service);
            drive(pin!(connection), session, None, drain).await;
        }
        HttpVersion::H2 => {
            let streams = Tasks::default();
            let io = Gathered::new(stream);
            let connection = h2_builder(limits, streams.clone())
                .serve_connection(TokioIo::new(io.clone()), service);
            let connection = Multiplexed::new(connection, streams, io, AtEnd::Drop);
            let idle = (limits.request_head, limits.connection_idle);
            drive(pin!(connection), session, Some(idle), drain).await;
        }
    }
}

fn h2_builder(limits: &Limits, streams: Tasks) -> http2::Builder<Tasks> {
    let mut builder = http2::Builder::new(streams);
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(limits.h2_stream_window_bytes)
        .initial_connection_window_size(limits.h2_connection_window_bytes())
        .max_concurrent_streams(limits.h2_streams)
        .max_send_buf_size(limits.h2_send_buffer_bytes)
        .max_header_list_size(limits.head_bytes)
        .max_pending_accept_reset_streams(limits.h2_pending_resets)
        .keep_alive_interval(limits.h2_ping)
        .keep_alive_timeout(limits.h2_ping_timeout);
    builder
}

/// What the two kinds of server connection have in common.
trait Connection: Future<Output = hyper::Result<()>> {
    fn finish_gracefully(self: Pin<&mut Self>);
}

impl<I, S> Connection for http1::Connection<I, S>
where
    S: hyper::service::HttpService<Incoming, ResBody = LaneBody>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
{
    fn finish_gracefully(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S, T> Connection for Multiplexed<http2::Connection<I, S, Tasks>, T>
where
    S: hyper::service::HttpService<Incoming, ResBody = LaneBody>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::Future: Send + 'static,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    T: AsyncWrite + Unpin,
    Tasks: hyper::rt::bounds::Http2ServerConnExec<S::Future, LaneBody>,
{
    fn finish_gracefully(self: Pin<&mut Self>) {
        self.get_mut().connection().graceful_shutdown();
    }
}

/// Drives a connection to its end. `idle` holds how long one may stay without a first request, and without
/// any; HTTP/1 has its own timer for that.
async fn drive<C: Connection>(
    mut connection: Pin<&mut C>,
    session: &Session,
    idle: Option<(Duration, Duration)>,
    mut drain: Drain,
) {
    let (mut pause, later) = idle.unwrap_or((Duration::MAX, Duration::MAX));
    let mut begun = session.calls_begun();
    let mut quiet = pin!(sleep(pause));
    let mut phase = Phase::Running;
    loop {
        tokio::select! {
            biased;
            ended = poll_fn(|context| connection.as_mut().poll(context)) => {
                if let Err(error) = ended {
                    tracing::debug!(error = with_causes(&error), "connection ended");
                }
                return;
            }
            next = drain.after(phase) => {
                phase = next;
                match phase {
                    Phase::Running => {}
                    Phase::Draining => connection.as_mut().finish_gracefully(),
                    Phase::Over => return,
                }
            }
            () = quiet.as_mut() => {
                if session.calls_open() == 0 && session.calls_begun() == begun {
                    connection.as_mut().finish_gracefully();
                }
                begun = session.calls_begun();
                pause = later;
                quiet.set(sleep(pause));
            }
        }
    }
}

/// Sleeps; for ever if told `Duration::MAX`.
async fn sleep(duration: Duration) {
    match duration {
        Duration::MAX => std::future::pending().await,
        duration => tokio::time::sleep(duration).await,
    }
}

/// hyper's timer for reading a head, which it starts when the last answer ends. A deadline for heads must not
/// cut a connection that merely waits for its next request, so this one runs slowly until bytes come.
#[derive(Clone)]
struct HeadTimer {
    reads: Arc<AtomicU64>,
    head: Duration,
    idle: Duration,
}

impl Timer for HeadTimer {
    fn sleep(&self, _duration: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(HeadSleep {
            reads: Arc::clone(&self.reads),
            before: self.reads.load(Ordering::Relaxed),
            head: Some(self.head),
            sleep: Box::pin(tokio::time::sleep(self.idle)),
        })
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(deadline.saturating_duration_since(Instant::now()))
    }
}

struct HeadSleep {
    reads: Arc<AtomicU64>,
    before: u64,
    head: Option<Duration>,
    sleep: Pin<Box<tokio::time::Sleep>>,
}

impl Sleep for HeadSleep {}

impl Future for HeadSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if let Some(head) = this.head
            && this.reads.load(Ordering::Relaxed) != this.before
        {
            this.head = None;
            let deadline = tokio::time::Instant::now() + head;
            this.sleep.as_mut().reset(deadline);
        }
        this.sleep.as_mut().poll(context)
    }
}

/// A stream that counts the reads that brought bytes.
struct Counted<S> {
    stream: S,
    reads: Arc<AtomicU64>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            this.reads.fetch_add(1, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, slices)
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
