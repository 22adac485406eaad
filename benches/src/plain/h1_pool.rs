//! Kept-alive HTTP/1.1 connections to the workload, last used first.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime::Handle;

/// Idle connections kept; more than this are closed.
const MAX_IDLE: usize = 1024;

/// Why a request got no answer from the workload.
#[derive(Debug, thiserror::Error)]
pub(super) enum WorkloadError {
    /// No connection could be made.
    #[error("cannot connect to the workload")]
    Connect(#[from] io::Error),
    /// The connection failed under the request.
    #[error("the workload did not answer")]
    Exchange(#[from] hyper::Error),
}

/// The connections to one workload.
#[derive(Debug)]
pub(super) struct H1Pool {
    workload: SocketAddr,
    idle: Mutex<Vec<http1::SendRequest<Incoming>>>,
}

/// One connection in use; it goes back when the answer has been read to its end.
#[derive(Debug)]
pub(super) struct Lease {
    connection: http1::SendRequest<Incoming>,
    pool: Arc<H1Pool>,
}

impl Lease {
    /// Puts the connection back for the next request.
    pub(super) fn give_back(self) {
        let mut idle = self
            .pool
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE {
            idle.push(self.connection);
        }
    }
}

impl H1Pool {
    /// An empty pool for `workload`.
    pub(super) fn new(workload: SocketAddr) -> Self {
        Self {
            workload,
            idle: Mutex::default(),
        }
    }

    /// Sends on an idle connection, or on a new one when there is none.
    ///
    /// A request that an idle connection closed on before it was written is sent on the next.
    ///
    /// # Errors
    /// [`WorkloadError`] when no connection can be made or the one used fails.
    pub(super) async fn send(
        self: &Arc<Self>,
        mut request: Request<Incoming>,
    ) -> Result<(Response<Incoming>, Lease), WorkloadError> {
        while let Some(mut connection) = self.take_idle() {
            if !connection.is_ready() && connection.ready().await.is_err() {
                continue;
            }
            match connection.try_send_request(request).await {
                Ok(response) => return Ok((response, self.lease(connection))),
                Err(mut refused) => match refused.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(refused.into_error().into()),
                },
            }
        }
        // Boxed, so that every request's future is not the size of a handshake.
        let mut connection = Box::pin(self.connect()).await?;
        let response = connection.send_request(request).await?;
        Ok((response, self.lease(connection)))
    }

    fn take_idle(&self) -> Option<http1::SendRequest<Incoming>> {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
    }

    fn lease(self: &Arc<Self>, connection: http1::SendRequest<Incoming>) -> Lease {
        Lease {
            connection,
            pool: Arc::clone(self),
        }
    }

    async fn connect(&self) -> Result<http1::SendRequest<Incoming>, WorkloadError> {
        let stream = TcpStream::connect(self.workload).await?;
        stream.set_nodelay(true)?;
        let (connection, driver) = http1::handshake(TokioIo::new(stream)).await?;
        Handle::current().spawn(driver);
        Ok(connection)
    }
}
