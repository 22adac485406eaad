//! HTTP towards a caller: one connection's requests, until it ends, idles or is drained.

use std::convert::Infallible;
use std::future::{Future, Ready, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::Either;
use http::request::Parts;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::body::LaneBody;
use crate::crew::Tasks;
use crate::deny::DenyReason;
use crate::drain::{Drain, Phase};
use crate::forward::Forwarding;
use crate::gather::{CallBody, Gather, Plan};
use crate::guard::PullCause;
use crate::head_clock::HeadClock;
use crate::lifetime::Age;
use crate::limits::Limits;
use crate::metrics::ListenerMetrics;
use crate::multiplex::{AtEnd, Gathered, Multiplexed};
use crate::session::{BeingRead, Session};
use crate::tls::with_causes;
use crate::transport::HttpVersion;

/// What a call is answered with: what its upstream says, or a refusal that is there at once.
pub(crate) type Answer = Either<Forwarding, Ready<Result<Response<LaneBody>, Infallible>>>;

/// Answers the requests of one connection.
pub(crate) trait Calls: Send + Sync + 'static {
    /// What is done with a request's body before the call is judged.
    fn plan(&self, head: &Parts, body: Incoming) -> Plan;

    /// Counts a call whose body is being read.
    fn reads(&self) -> BeingRead;

    /// Judges a call and carries it.
    fn call(&self, head: Parts, body: Result<CallBody, DenyReason>) -> Answer;
}

/// A request, and then its answer: what may be a call is read to its end first.
struct Called<C> {
    stage: Stage,
    calls: Arc<C>,
}

enum Stage {
    Answered(Answer),
    Reading(Option<Box<Parts>>, Gather, BeingRead),
}

impl<C: Calls> Called<C> {
    fn new(request: Request<Incoming>, calls: &Arc<C>) -> Self {
        let (head, body) = request.into_parts();
        let stage = match calls.plan(&head, body) {
            Plan::Ready(body) => Stage::Answered(calls.call(head, body)),
            Plan::Read(gather) => Stage::Reading(Some(Box::new(head)), gather, calls.reads()),
        };
        Self {
            stage,
            calls: Arc::clone(calls),
        }
    }
}

impl<C: Calls> Future for Called<C> {
    type Output = Result<Response<LaneBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            match &mut this.stage {
                Stage::Answered(answer) => return Pin::new(answer).poll(context),
                Stage::Reading(head, gather, _counted) => {
                    let body = ready!(Pin::new(gather).poll(context));
                    let Some(head) = head.take() else {
                        // Ready once already; hyper does not poll again.
                        return Poll::Pending;
                    };
                    this.stage = Stage::Answered(this.calls.call(*head, body));
                }
            }
        }
    }
}

/// An answer that is there at once.
pub(crate) fn answer(response: Response<LaneBody>) -> Answer {
    Either::Right(std::future::ready(Ok(response)))
}

/// Serves one connection: `calls` answers each request, and answers are written as they come.
pub(crate) async fn serve<S, C>(
    version: HttpVersion,
    stream: S,
    session: &Session,
    limits: &Limits,
    metrics: &ListenerMetrics,
    drain: Drain,
    calls: C,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    C: Calls,
{
    let calls = Arc::new(calls);
    let service = service_fn(|request| Called::new(request, &calls));
    match version {
        HttpVersion::H1 => {
            let clock = HeadClock::new(limits.request_head, limits.connection_idle);
            let io = TokioIo::new(clock.watch(stream));
            let connection = http1::Builder::new()
                .timer(clock.clone())
                .header_read_timeout(limits.request_head)
                .max_header_size(usize::try_from(limits.head_bytes).unwrap_or(usize::MAX))
                .serve_connection(io, service);
            drive(
                pin!(connection),
                session,
                Watch::Head(clock),
                metrics,
                drain,
            )
            .await;
        }
        HttpVersion::H2 => {
            let streams = Tasks::default();
            let io = Gathered::new(stream);
            let connection = h2_builder(limits, streams.clone())
                .serve_connection(TokioIo::new(io.clone()), service);
            let connection = Multiplexed::new(connection, streams, io, AtEnd::Drop);
            let watch = Watch::Idle {
                first: limits.request_head,
                later: limits.connection_idle,
            };
            drive(pin!(connection), session, watch, metrics, drain).await;
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

/// How long a connection that was cut may take to tell its streams: less than a withdrawal is waited for.
const LAST_WORDS: Duration = Duration::from_millis(900);

/// What a connection is looked at for, now and then.
enum Watch {
    /// HTTP/1: a head that takes too long, or no request for too long.
    Head(HeadClock),
    /// HTTP/2: no first request, or no request for too long.
    Idle { first: Duration, later: Duration },
}

/// Counts what hyper answered itself, and logs how a connection ended.
fn note_end(error: &hyper::Error, watch: &Watch, metrics: &ListenerMetrics) {
    if error.is_parse_too_large() {
        metrics.refused(DenyReason::HeadTooLarge);
    } else if error.is_parse() {
        metrics.refused(DenyReason::MalformedRequest);
    } else if matches!(watch, Watch::Head(clock) if clock.cut_a_head()) {
        metrics.refused(DenyReason::HeadTimeout);
    }
    tracing::debug!(error = with_causes(error), "connection ended");
}

/// Waits until a peer's connection is older than it was; one of the local workload has no age.
async fn older_than(session: &Session, seen: Age) -> Age {
    match session.peer() {
        Some(peer) => peer.lifetime.after(seen).await,
        None => std::future::pending().await,
    }
}

/// Drives a connection to its end.
async fn drive<C: Connection>(
    mut connection: Pin<&mut C>,
    session: &Session,
    watch: Watch,
    metrics: &ListenerMetrics,
    mut drain: Drain,
) {
    let (first, later) = match &watch {
        Watch::Head(clock) => (clock.look_every(), clock.look_every()),
        Watch::Idle { first, later } => (*first, *later),
    };
    let mut begun = session.calls_begun();
    let mut told = false;
    let mut look = pin!(tokio::time::sleep(first));
    let mut phase = Phase::Running;
    let mut age = Age::Fresh;
    let mut cut = false;
    loop {
        tokio::select! {
            biased;
            ended = poll_fn(|context| connection.as_mut().poll(context)) => {
                if let Err(error) = ended {
                    note_end(&error, &watch, metrics);
                }
                return;
            }
            next = drain.after(phase) => {
                phase = next;
                match phase {
                    Phase::Running => {}
                    Phase::Draining => connection.as_mut().finish_gracefully(),
                    // What is still open says so to its caller.
                    Phase::Over => {
                        session.pull(PullCause::DrainDeadline);
                    }
                }
            }
            older = older_than(session, age) => {
                age = older;
                match age {
                    Age::Fresh => {}
                    Age::Retiring => connection.as_mut().finish_gracefully(),
                    Age::Over => {
                        session.pull(PullCause::SvidExpired);
                    }
                }
            }
            _cause = poll_fn(|context| session.poll_pulled(context)), if !cut => {
                cut = true;
                connection.as_mut().finish_gracefully();
                look.set(tokio::time::sleep(LAST_WORDS));
            }
            () = look.as_mut() => {
                if cut {
                    return;
                }
                match &watch {
                    // The connection is polled next, and sees what the clock says.
                    Watch::Head(clock) => clock.look(),
                    Watch::Idle { .. } => {
                        let idle = session.calls_open() == 0 && session.calls_begun() == begun;
                        // One that was told to finish and has not, such as before its preface, is dropped.
                        if idle && told {
                            return;
                        }
                        if idle {
                            connection.as_mut().finish_gracefully();
                        }
                        told = idle;
                        begun = session.calls_begun();
                    }
                }
                look.set(tokio::time::sleep(if told { first } else { later }));
            }
        }
    }
}
