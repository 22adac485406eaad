//! The admin listener: `/livez`, `/readyz`, `/metrics`, `/v1/ratchet`, `/v1/refusals`, `/v1/revocations`. For local
//! callers; what changes something takes the Unix socket, or a token.

mod revocations;
mod token;

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use pqlane_certs::clock::Rfc3339;
use serde::Serialize;

use crate::accept::Accepted;
use crate::app::Revoker;
use crate::body::LaneBody;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::ratchet::Ratchet;
use crate::readiness::Readiness;
use crate::refusals::Refusals;
use crate::routes::is_loopback;
use crate::transport::Socket;
pub(crate) use token::AdminToken;
pub use token::TokenError;

/// Prometheus's OpenMetrics text, version 1.0.0.
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
const PLAIN_TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// What the listener tells.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) readiness: Readiness,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) ratchet: Arc<Ratchet>,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) revoker: Arc<Revoker>,
    /// What a call over TCP must bear if it changes something; without it none does.
    pub(crate) token: Option<Arc<AdminToken>>,
    pub(crate) limits: Limits,
}

/// How a caller reached the listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Via {
    /// A port, which every user of this machine can reach.
    Tcp,
    /// The Unix socket, which its mode keeps for our own user.
    Unix,
}

impl Admin {
    /// Serves one connection.
    pub(crate) async fn connection(self: Arc<Self>, accepted: Accepted) {
        let via = match accepted.socket {
            Socket::Tcp(_) => Via::Tcp,
            Socket::Unix(_) => Via::Unix,
        };
        let service = service_fn(|request| {
            let admin = Arc::clone(&self);
            async move { Ok::<_, Infallible>(admin.answer(request, via).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.request_head)
            .max_header_size(usize::try_from(self.limits.head_bytes).unwrap_or(usize::MAX))
            .serve_connection(TokioIo::new(accepted.socket), service);
        if let Err(error) = connection.await {
            tracing::debug!(%error, "admin connection ended");
        }
        drop(accepted.place);
    }

    fn held_to_hybrid(&self) -> HeldToHybrid {
        let entries = self.ratchet.entries().into_iter();
        HeldToHybrid {
            held: entries
                .map(|(id, shown)| Held {
                    id: id.as_str().to_owned(),
                    group: shown.group.into_owned(),
                    since: Rfc3339(shown.since).to_string(),
                })
                .collect(),
            unremembered: self.ratchet.unremembered(),
            unsaved: self.ratchet.unsaved(),
        }
    }

    async fn answer(&self, request: Request<Incoming>, via: Via) -> Response<LaneBody> {
        if via == Via::Tcp && !from_local_program(&request) {
            return text(StatusCode::FORBIDDEN, "the Host must be a loopback name\n");
        }
        let path = request.uri().path();
        let revocation = path.strip_prefix("/v1/revocations/");
        match (request.method(), revocation) {
            (&Method::GET | &Method::HEAD, _) => self.told(path),
            (&Method::POST, None) if path == "/v1/revocations" => self.revoke(request, via).await,
            (&Method::DELETE, Some(id)) => self.lift(request.headers(), id, via).await,
            _ => text(StatusCode::METHOD_NOT_ALLOWED, "GET only\n"),
        }
    }

    /// What a call is told that changes nothing.
    fn told(&self, path: &str) -> Response<LaneBody> {
        match path {
            "/livez" => text(StatusCode::OK, "ok\n"),
            "/readyz" => match self.readiness.check() {
                Ok(()) => text(StatusCode::OK, "ok\n"),
                Err(reason) => text(StatusCode::SERVICE_UNAVAILABLE, reason.code()),
            },
            "/metrics" => {
                let mut response =
                    Response::new(LaneBody::from(Bytes::from(self.metrics.encode())));
                response.headers_mut().insert(CONTENT_TYPE, OPEN_METRICS);
                response
            }
            "/v1/ratchet" => json(&self.held_to_hybrid()),
            "/v1/refusals" => json(&self.refusals.snapshot()),
            "/v1/revocations" => self.revocations(),
            _ => text(
                StatusCode::NOT_FOUND,
                "/livez /readyz /metrics /v1/ratchet /v1/refusals /v1/revocations\n",
            ),
        }
    }
}

/// Who is held to hybrid key exchange, as `/v1/ratchet` tells it.
#[derive(Debug, Serialize)]
struct HeldToHybrid {
    held: Vec<Held>,
    /// IDs for which there was no room.
    unremembered: u64,
    /// IDs that are not on disk yet, because it failed.
    unsaved: usize,
}

#[derive(Debug, Serialize)]
struct Held {
    id: String,
    group: String,
    since: String,
}

/// No web page: those send the `Host` they were loaded from, or an `Origin`.
fn from_local_program(request: &Request<Incoming>) -> bool {
    let mut hosts = request.headers().get_all(http::header::HOST).iter();
    let host = hosts
        .next()
        .and_then(|host| host.to_str().ok())
        .and_then(|host| host.parse::<http::uri::Authority>().ok());
    hosts.next().is_none()
        && host.is_some_and(|host| is_loopback(host.host()))
        && !request.headers().contains_key(http::header::ORIGIN)
}

fn json(value: &impl Serialize) -> Response<LaneBody> {
    // What is told is plain data, of which serialisation does not fail.
    let text = serde_json::to_vec(value).unwrap_or_default();
    let mut response = Response::new(LaneBody::from(Bytes::from(text)));
    let content_type = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

fn text(status: StatusCode, text: &'static str) -> Response<LaneBody> {
    let mut response = Response::new(LaneBody::from(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, PLAIN_TEXT);
    response
}
