//! One connection to a Workload API, and the stream of messages on it.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http::uri::PathAndQuery;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tonic::body::Body;
use tonic::client::{Grpc, GrpcService};
use tonic::codec::Streaming;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Status};

use super::{Endpoint, WorkloadApiError};
use crate::workload_api::{
    FETCH_X509_SVID, MAX_MESSAGE_LEN, SECURITY_HEADER, SECURITY_HEADER_VALUE, WholeMessage,
};

/// The longest that connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The authority of a request, which means nothing on a Unix socket.
const AUTHORITY: &str = "http://localhost";
/// The most characters of a server's message that are repeated.
const MAX_REASON_LEN: usize = 256;

type Ended = Pin<Box<dyn Future<Output = ()> + Send>>;

/// An open stream of whole messages.
pub(super) struct Connection {
    messages: Streaming<Bytes>,
    driver: Driver,
}

/// What moves the bytes. It is polled beside whatever waits for them.
struct Driver(Option<Ended>);

impl Connection {
    /// Connects and asks for X.509 material.
    pub(super) async fn open(endpoint: &Endpoint) -> Result<Self, WorkloadApiError> {
        let opened = async {
            match endpoint {
                Endpoint::Tcp(address) => start(TcpStream::connect(address).await).await,
                Endpoint::Unix(path) => start(UnixStream::connect(path).await).await,
            }
        };
        let (calls, mut driver) = timeout(CONNECT_TIMEOUT, opened)
            .await
            .map_err(|_elapsed| WorkloadApiError::Unreachable(io::ErrorKind::TimedOut.into()))??;
        // No deadline: an API may hold its answer until it has attested us.
        let messages = driver.beside(fetch(calls)).await?;
        Ok(Self { messages, driver })
    }

    /// The next message.
    ///
    /// # Cancel safety
    /// What has been received of a message is kept in the stream.
    pub(super) async fn next(&mut self) -> Result<Bytes, WorkloadApiError> {
        let Self { messages, driver } = self;
        match driver.beside(messages.message()).await {
            Ok(Some(message)) => Ok(message),
            Ok(None) => Err(WorkloadApiError::StreamEnded),
            Err(status) => Err(refusal(&status)),
        }
    }
}

impl Driver {
    async fn beside<T>(&mut self, wanted: impl Future<Output = T>) -> T {
        let mut wanted = pin!(wanted);
        if let Some(driver) = &mut self.0 {
            tokio::select! {
                biased;
                done = &mut wanted => return done,
                () = driver => self.0 = None,
            }
        }
        // The connection is gone: what has arrived is still there, and then comes the error.
        wanted.await
    }
}

async fn start<S>(connected: io::Result<S>) -> Result<(Calls, Driver), WorkloadApiError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let stream = connected.map_err(WorkloadApiError::Unreachable)?;
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .map_err(|error| WorkloadApiError::Unreachable(io::Error::other(error)))?;
    // Its error reaches us through the stream as well.
    let ended = async { drop(connection.await) };
    Ok((Calls(sender), Driver(Some(Box::pin(ended)))))
}

async fn fetch(calls: Calls) -> Result<Streaming<Bytes>, WorkloadApiError> {
    let origin = Uri::from_static(AUTHORITY);
    let mut grpc = Grpc::with_origin(calls, origin).max_decoding_message_size(MAX_MESSAGE_LEN);
    grpc.ready()
        .await
        .map_err(|error| WorkloadApiError::Unreachable(io::Error::other(error)))?;
    let mut request = Request::new(Bytes::new());
    let value = MetadataValue::from_static(SECURITY_HEADER_VALUE);
    request.metadata_mut().insert(SECURITY_HEADER, value);
    let path = PathAndQuery::from_static(FETCH_X509_SVID);
    let response = grpc.server_streaming(request, path, WholeMessage).await;
    match response {
        Ok(response) => Ok(response.into_inner()),
        Err(status) => Err(refusal(&status)),
    }
}

fn refusal(status: &Status) -> WorkloadApiError {
    // Only what failed on our side has a cause.
    if std::error::Error::source(status).is_some() {
        return WorkloadApiError::StreamEnded;
    }
    let reason = status.message().chars().take(MAX_REASON_LEN);
    let reason: String = reason.flat_map(char::escape_debug).collect();
    match status.code() {
        Code::InvalidArgument => WorkloadApiError::InvalidArgument { reason },
        // tonic's answer to a message over the limit.
        Code::OutOfRange => WorkloadApiError::TooLong,
        Code::PermissionDenied => WorkloadApiError::PermissionDenied { reason },
        code => WorkloadApiError::Refused {
            status: code.description(),
            reason,
        },
    }
}

/// Sends calls over one connection.
struct Calls(SendRequest<Body>);

impl GrpcService<Body> for Calls {
    type ResponseBody = Incoming;
    type Error = hyper::Error;
    type Future =
        Pin<Box<dyn Future<Output = Result<http::Response<Incoming>, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
