//! HTTP/1.1 in plaintext from the local caller, HTTP/2 over mutual TLS to the ingress.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};

use http::header::HOST;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio_rustls::TlsConnector;

use super::body::{Relay, bad_gateway};
use super::lane::{self, HeldWrites};
use super::{PlainError, SERVER_NAME, Settings, tls};

/// Why a request did not reach the ingress.
#[derive(Debug, thiserror::Error)]
enum LaneError {
    /// No connection could be made, or its TLS handshake failed.
    #[error("cannot connect to the ingress")]
    Connect(#[from] io::Error),
    /// The connection failed under the request.
    #[error("the ingress did not answer")]
    Exchange(#[from] hyper::Error),
}

/// The egress half: a few lane connections, shared by everyone who calls.
#[derive(Debug)]
pub(super) struct Egress {
    peer: SocketAddr,
    tls: Arc<ClientConfig>,
    lanes: Vec<Lane>,
    next_lane: AtomicUsize,
}

/// The place of one HTTP/2 connection, opened on first use and again when it has closed.
#[derive(Debug, Default)]
struct Lane {
    open: std::sync::Mutex<Option<http2::SendRequest<Incoming>>>,
    opening: tokio::sync::Mutex<()>,
}

impl Lane {
    fn open(&self) -> Option<http2::SendRequest<Incoming>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.as_ref()
            .filter(|connection| !connection.is_closed())
            .cloned()
    }
}

impl Egress {
    /// Reads the certificates; connects to nothing yet.
    ///
    /// # Errors
    /// [`PlainError`] when a file or what it holds cannot be used.
    pub(super) fn new(settings: &Settings) -> Result<Self, PlainError> {
        Ok(Self {
            peer: settings.forward_to,
            tls: tls::client(settings)?,
            lanes: (0..settings.workers.max(1))
                .map(|_| Lane::default())
                .collect(),
            next_lane: AtomicUsize::new(0),
        })
    }

    /// Serves one local connection; every request on it takes the same lane.
    pub(super) async fn serve(self: Arc<Self>, stream: TcpStream) {
        let lane = self.next_lane.fetch_add(1, Ordering::Relaxed) % self.lanes.len();
        let service = service_fn(move |request| {
            let egress = Arc::clone(&self);
            async move {
                let answered = egress.forward(&egress.lanes[lane], request).await;
                Ok::<_, Infallible>(answered.unwrap_or_else(|_| bad_gateway()))
            }
        });
        // Whatever ends the connection, its tasks end with it.
        let _ended = http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }

    async fn forward(
        &self,
        lane: &Lane,
        mut request: Request<Incoming>,
    ) -> Result<Response<Relay>, LaneError> {
        address_to_lane(&mut request);
        let mut connection = match lane.open() {
            Some(connection) => connection,
            // Boxed, so that every request's future is not the size of a TLS handshake.
            None => Box::pin(self.connect(lane)).await?,
        };
        let mut response = connection.send_request(request).await?;
        *response.version_mut() = Version::HTTP_11;
        Ok(response.map(Relay::new))
    }

    async fn connect(&self, lane: &Lane) -> Result<http2::SendRequest<Incoming>, LaneError> {
        let _one_at_a_time = lane.opening.lock().await;
        if let Some(connection) = lane.open() {
            return Ok(connection);
        }
        let stream = TcpStream::connect(self.peer).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(SERVER_NAME).map_err(io::Error::other)?;
        let stream = TlsConnector::from(Arc::clone(&self.tls))
            .connect(name, stream)
            .await?;
        let (connection, driver) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(lane::STREAM_WINDOW_BYTES)
            .initial_connection_window_size(lane::CONNECTION_WINDOW_BYTES)
            .handshake(TokioIo::new(HeldWrites::new(stream)))
            .await?;
        Handle::current().spawn(driver);
        *lane.open.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection.clone());
        Ok(connection)
    }
}

/// Origin form and `Host` become `:scheme`, `:authority` and `:path`.
///
/// The connection's own headers (RFC 9110 §7.6.1), with those that `Connection` names, are taken
/// off by hyper's HTTP/2 client: looking for them here as well would be paid for twice.
fn address_to_lane(request: &mut Request<Incoming>) {
    request.headers_mut().remove(HOST);
    *request.version_mut() = Version::HTTP_2;
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(Scheme::HTTPS);
    uri.authority = Some(Authority::from_static(SERVER_NAME));
    uri.path_and_query = match std::mem::take(request.uri_mut())
        .into_parts()
        .path_and_query
    {
        None => Some(PathAndQuery::from_static("/")),
        given => given,
    };
    *request.uri_mut() = Uri::from_parts(uri).unwrap_or_default();
}
