//! The plain proxy: the least CPU that hyper and rustls need for the lane's own hops.
//!
//! Takes the same bytes on the same protocols as pqlane (HTTP/1.1 on loopback, HTTP/2 over
//! TLS 1.3 with X25519MLKEM768 and certificates on both sides between the two halves) and gives
//! the same answers. It never audits, never asks who is calling beyond one CA, and bounds
//! nothing: it is the baseline, and it stays as it is once figures have been taken with it.

mod body;
mod egress;
mod h1_pool;
mod ingress;
mod lane;
mod tls;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;

/// The DNS name in the ingress certificate that the egress asks for.
pub const SERVER_NAME: &str = "lane.test";

/// How long an accept loop rests after an error such as "too many open files".
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Which half of the plain proxy to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// HTTP/1.1 in plaintext in, HTTP/2 over mutual TLS out.
    Egress,
    /// HTTP/2 over mutual TLS in, HTTP/1.1 in plaintext out.
    Ingress,
}

/// Where one half listens, where it forwards to and the certificates it uses.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The half to run.
    pub role: Role,
    /// The address to accept on.
    pub listen: SocketAddr,
    /// The other half for [`Role::Egress`], the workload for [`Role::Ingress`].
    pub forward_to: SocketAddr,
    /// PEM file with the one CA that peers must chain to.
    pub ca: PathBuf,
    /// PEM file with this half's certificate chain, leaf first.
    pub certificate: PathBuf,
    /// PEM file with the key of that leaf.
    pub key: PathBuf,
    /// Worker threads of the runtime, and lane connections that the egress keeps.
    pub workers: usize,
}

/// Why the plain proxy did not start.
#[derive(Debug, thiserror::Error)]
pub enum PlainError {
    /// The listening socket or the runtime could not be had.
    #[error("cannot listen on {listen}")]
    Listen {
        /// The address asked for.
        listen: SocketAddr,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A PEM file is missing or holds something else.
    #[error("cannot read {} as PEM: {source}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// rustls refused the key, the certificate or the CA.
    #[error("rustls refuses the certificates: {0}")]
    Tls(#[from] rustls::Error),
    /// rustls refused the CA as a root for client certificates.
    #[error("rustls refuses the CA for client certificates: {0}")]
    ClientVerifier(#[from] rustls::server::VerifierBuilderError),
}

/// Runs one half on a runtime of its own until the process ends.
///
/// # Errors
/// [`PlainError`] when the certificates or the address cannot be used; once it accepts
/// connections it does not return.
pub fn run(settings: &Settings) -> Result<(), PlainError> {
    let listen_error = |source| PlainError::Listen {
        listen: settings.listen,
        source,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(settings.workers.max(1))
        .enable_io()
        .enable_time()
        .build()
        .map_err(listen_error)?;
    let listener = runtime
        .block_on(TcpListener::bind(settings.listen))
        .map_err(listen_error)?;
    // Spawned, so that accepting runs on a worker rather than on this thread beside them.
    let accepting = match settings.role {
        Role::Egress => {
            let egress = Arc::new(egress::Egress::new(settings)?);
            runtime.spawn(accept(listener, move |stream| {
                Arc::clone(&egress).serve(stream)
            }))
        }
        Role::Ingress => {
            let ingress = Arc::new(ingress::Ingress::new(settings)?);
            runtime.spawn(accept(listener, move |stream| {
                Arc::clone(&ingress).serve(stream)
            }))
        }
    };
    match runtime.block_on(accepting) {
        Ok(never) => never,
        Err(stopped) => Err(listen_error(io::Error::other(stopped))),
    }
}

/// Accepts for ever and gives each connection a task.
async fn accept<S, F, R>(listener: TcpListener, serve: S) -> R
where
    S: Fn(TcpStream) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        match listener.accept().await {
            Ok((stream, _)) if stream.set_nodelay(true).is_ok() => {
                Handle::current().spawn(serve(stream));
            }
            Ok(_) => {}
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}
