//! HTTP/2 over mutual TLS from the egress, HTTP/1.1 in plaintext to the workload.

use std::convert::Infallible;
use std::sync::Arc;

use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::body::{Relay, bad_gateway};
use super::h1_pool::{H1Pool, WorkloadError};
use super::lane::{self, HeldWrites};
use super::{PlainError, Settings, tls};

/// The ingress half: one workload behind one TLS configuration.
pub(super) struct Ingress {
    tls: TlsAcceptor,
    workload: Arc<H1Pool>,
    host: HeaderValue,
}

impl Ingress {
    /// Reads the certificates; connects to nothing yet.
    ///
    /// # Errors
    /// [`PlainError`] when a file or what it holds cannot be used.
    pub(super) fn new(settings: &Settings) -> Result<Self, PlainError> {
        let host = HeaderValue::from_str(&settings.forward_to.to_string())
            .unwrap_or(HeaderValue::from_static("localhost"));
        Ok(Self {
            tls: tls::server(settings)?.into(),
            workload: Arc::new(H1Pool::new(settings.forward_to)),
            host,
        })
    }

    /// Serves one lane connection.
    pub(super) async fn serve(self: Arc<Self>, stream: TcpStream) {
        let Ok(stream) = self.tls.accept(stream).await else {
            return;
        };
        let service = service_fn(move |request| {
            let ingress = Arc::clone(&self);
            async move {
                let answered = ingress.forward(request).await;
                Ok::<_, Infallible>(answered.unwrap_or_else(|_| bad_gateway()))
            }
        });
        // Whatever ends the connection, its streams end with it.
        let _ended = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(lane::STREAM_WINDOW_BYTES)
            .initial_connection_window_size(lane::CONNECTION_WINDOW_BYTES)
            .max_concurrent_streams(lane::MAX_STREAMS)
            .serve_connection(TokioIo::new(HeldWrites::new(stream)), service)
            .await;
    }

    async fn forward(
        &self,
        mut request: Request<Incoming>,
    ) -> Result<Response<Relay>, WorkloadError> {
        self.address_to_workload(&mut request);
        let (mut response, lease) = self.workload.send(request).await?;
        *response.version_mut() = Version::HTTP_2;
        Ok(response.map(|body| Relay::with_lease(body, lease)))
    }

    /// `:authority` and `:path` become origin form and `Host`.
    ///
    /// HTTP/2 has no connection headers to take off: h2 refuses a message that carries one, and
    /// hyper's HTTP/2 server takes those of the workload's answer off (RFC 9110 §7.6.1).
    fn address_to_workload(&self, request: &mut Request<Incoming>) {
        let path = std::mem::take(request.uri_mut())
            .into_parts()
            .path_and_query;
        *request.uri_mut() = Uri::from(path.unwrap_or(PathAndQuery::from_static("/")));
        *request.version_mut() = Version::HTTP_11;
        request.headers_mut().insert(HOST, self.host.clone());
    }
}
