//! Listening and accepting, without ever spinning or giving up.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::ListenAddress;
use crate::crew::Crews;
use crate::drain::{Drain, Phase};
use crate::limits::Limits;
use crate::metrics::ListenerMetrics;
use crate::task;
use crate::transport::Socket;

/// A bound listening socket.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// The file of a Unix listening socket; removed on drop, if it still is this one.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    inode: Option<u64>,
}

impl SocketFile {
    fn new(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            inode: inode(path),
        }
    }
}

fn inode(path: &Path) -> Option<u64> {
    let metadata = std::fs::symlink_metadata(path).ok()?;
    Some(metadata.ino())
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if inode(&self.path) == self.inode {
            // Gone already is as good.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Whom the mode of a Unix socket lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpenTo {
    Everybody,
    Owner,
}

/// Where a connection comes from.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    text: String,
    address: Option<IpAddr>,
}

impl Source {
    fn tcp(from: SocketAddr) -> Self {
        Self {
            text: from.to_string(),
            address: Some(from.ip()),
        }
    }

    fn unix(uid: u32) -> Self {
        Self {
            text: format!("uid:{uid}"),
            address: None,
        }
    }

    /// Source address and port, or `uid:N` on a Unix socket.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Source address, unless on a Unix socket.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.address
    }
}

/// Where a listener is bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BoundAddress {
    /// TCP, with the port the system chose if none was named.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl std::fmt::Display for BoundAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Listener {
    /// Binds. A Unix socket is for its owner, or for everybody where each caller is judged by what the kernel says
    /// of it; one left behind by a process that is gone is replaced.
    pub(crate) async fn bind(address: &ListenAddress, open_to: OpenTo) -> io::Result<Self> {
        match address {
            ListenAddress::Tcp(address) => TcpListener::bind(address).await.map(Self::Tcp),
            ListenAddress::Unix(path) => {
                remove_stale(path).await?;
                let listener = UnixListener::bind(path)?;
                let file = SocketFile::new(path);
                let listener = Self::Unix(listener, file);
                listener.open_to(open_to)?;
                Ok(listener)
            }
        }
    }

    /// Sets whom the mode of a Unix socket lets in.
    pub(crate) fn open_to(&self, open_to: OpenTo) -> io::Result<()> {
        let mode = match open_to {
            OpenTo::Everybody => 0o666,
            OpenTo::Owner => 0o600,
        };
        match self {
            Self::Tcp(_) => Ok(()),
            Self::Unix(_, file) => {
                std::fs::set_permissions(&file.path, std::fs::Permissions::from_mode(mode))
            }
        }
    }

    pub(crate) fn address(&self) -> io::Result<BoundAddress> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(BoundAddress::Tcp),
            Self::Unix(_, file) => Ok(BoundAddress::Unix(file.path.clone())),
        }
    }

    async fn accept(&self) -> io::Result<(Socket, Source)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, from) = listener.accept().await?;
                Ok((Socket::tcp(stream), Source::tcp(from)))
            }
            Self::Unix(listener, _) => {
                let (stream, _unnamed) = listener.accept().await?;
                let uid = stream.peer_cred()?.uid();
                Ok((Socket::Unix(stream), Source::unix(uid)))
            }
        }
    }
}

/// Removes a socket that nobody listens on; nothing else is touched.
async fn remove_stale(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(there) if there.file_type().is_socket() => {}
        Ok(_something_else) => return Err(io::ErrorKind::AlreadyExists.into()),
        Err(_nothing_there) => return Ok(()),
    }
    match tokio::net::UnixStream::connect(path).await {
        Ok(_alive) => Err(io::ErrorKind::AddrInUse.into()),
        Err(gone) if gone.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Err(_no_socket_there) => Ok(()),
    }
}

/// One accepted connection. It counts against its listener until it is dropped.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) socket: Socket,
    pub(crate) source: Source,
    pub(crate) place: Place,
}

/// A connection's place among those of its listener.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    metrics: Arc<ListenerMetrics>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.connections_open.dec();
    }
}

/// What runs a listener's connections.
#[derive(Debug)]
pub(crate) enum Runner {
    /// A task for each.
    Each,
    /// Crews, which keep the order between connections of one workload.
    Together(Crews),
}

impl Runner {
    fn run(&mut self, connection: impl Future<Output = ()> + Send + 'static) {
        match self {
            Self::Each => {
                task::spawn(connection);
            }
            Self::Together(crews) => crews.add(connection),
        }
    }
}

/// Accepts as long as the phase is `last` or earlier; each connection runs as a task of its own.
///
/// A failed accept is counted and followed by a pause: out of file descriptors, the kernel would otherwise
/// answer at once, for ever.
pub(crate) async fn accept_until<F, C>(
    listener: &Listener,
    mut runner: Runner,
    limits: &Limits,
    metrics: &Arc<ListenerMetrics>,
    (mut drain, last): (Drain, Phase),
    connection: C,
) where
    C: Fn(Accepted) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(limits.connections_per_listener));
    loop {
        let next = async {
            let permit = Arc::clone(&places).acquire_owned().await.ok()?;
            Some((permit, listener.accept().await))
        };
        let accepted = tokio::select! {
            biased;
            _later = drain.after(last) => return,
            accepted = next => accepted,
        };
        match accepted {
            None => return,
            Some((permit, Ok((socket, source)))) => {
                metrics.connections_open.inc();
                let place = Place {
                    _permit: permit,
                    metrics: Arc::clone(metrics),
                };
                runner.run(connection(Accepted {
                    socket,
                    source,
                    place,
                }));
            }
            Some((_permit, Err(error))) => {
                metrics.all.accept_failures.inc();
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(limits.accept_backoff).await;
            }
        }
    }
}
