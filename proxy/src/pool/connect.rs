//! How a connection to an upstream is made: plaintext to the local workload, a lane to a peer.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::body::LaneBody;
use crate::crew::Tasks;
use crate::deny::{Denial, DenyReason};
use crate::guard::PullCause;
use crate::lane::LaneLog;
use crate::lifetime::Retires;
use crate::limits::Limits;
use crate::multiplex::{AtEnd, Gathered, Multiplexed};
use crate::pool::lane::{Lane, LaneKey};
use crate::pool::settings::{PeerSettings, SettingsTap};
use crate::pool::{OpenConnection, Upstream};
use crate::prompt::{Awaiting, Prompt};
use crate::remediation::Cut;
use crate::task;
use crate::tls::{Established, TlsClient, TlsSide, with_causes};
use crate::transport::{HttpVersion, Socket};

/// Where a socket is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// `host:port`, resolved at each connection.
    Tcp(String),
    /// A Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Address {
    async fn connect(&self) -> Result<Socket, Denial> {
        let connected = match self {
            Self::Tcp(address) => TcpStream::connect(address).await.map(Socket::tcp),
            Self::Unix(path) => UnixStream::connect(path).await.map(Socket::Unix),
        };
        connected.map_err(|error| {
            Denial::with_detail(DenyReason::UpstreamFailed, format!("{self}: {error}"))
        })
    }
}

/// How connections to one upstream are made.
#[derive(Debug)]
pub(crate) enum Connector {
    /// Hybrid mutual TLS to a peer; what is spoken is settled by ALPN.
    Lane(Box<LaneConnector>),
    /// Plaintext to the workload, in the version it is known to speak.
    Plain {
        address: Address,
        version: HttpVersion,
    },
}

/// How a lane to a peer is made.
#[derive(Debug)]
pub(crate) struct LaneConnector {
    pub(crate) address: Address,
    /// What the ClientHello names.
    pub(crate) name: ServerName<'static>,
    pub(crate) tls: TlsClient,
    pub(crate) log: LaneLog,
    /// What a connection must have been made with to be used.
    pub(crate) key: LaneKey,
}

impl LaneConnector {
    /// Makes one connection, up to its first request.
    async fn open(
        &self,
        upstream: &Arc<Upstream>,
        held: Option<OpenConnection>,
    ) -> Result<Connected, Denial> {
        let socket = self.address.connect().await?;
        let established = self
            .tls
            .connect(self.name.clone(), socket)
            .await
            .map_err(|refusal| self.log.refused(&refusal))?;
        let (members, closing) = self.log.opened(&established);
        let Established {
            stream,
            peer,
            version,
            ..
        } = established;
        let lifetime = self.tls.lifetime(&peer, Retires::First);
        let lane = Arc::new(Lane::new(peer, lifetime, members));
        upstream.opened(&lane, self);
        let held = held.map(|held| (held, closing));
        let limits = &upstream.limits.keep();
        start(
            stream,
            version,
            Awaiting::default(),
            Some(lane),
            limits,
            held,
        )
        .await
    }

    /// Cuts a connection whose peer the rules of now refuse.
    pub(super) fn judge_again(&self, lane: &Lane) {
        self.judge_by(self.tls.side(), lane);
    }

    /// Cuts a connection whose peer has been denied since its handshake.
    pub(super) fn judge_denied(&self, lane: &Lane) {
        if let Err(denial) = self.tls.side().not_denied(lane.peer()) {
            self.cut(lane, &denial);
        }
    }

    /// Cuts a connection whose peer is denied by a withdrawal, which counts and times that.
    pub(super) fn cut_off(&self, lane: &Lane, cut: &Cut) {
        if let Err(denial) = self.tls.side().not_denied(lane.peer())
            && lane.cut_off(PullCause::NoLongerAllowed, cut)
        {
            self.log.cut(lane.peer(), &denial);
        }
    }

    /// Cuts a connection whose peer these rules refuse.
    pub(super) fn judge_by(&self, side: &TlsSide, lane: &Lane) {
        if let Err(denial) = side.judge_again(lane.peer()) {
            self.cut(lane, &denial);
        }
    }

    fn cut(&self, lane: &Lane, denial: &Denial) {
        let first = match self.log.sessions.change() {
            Some(cut) => lane.cut_off(PullCause::NoLongerAllowed, &cut),
            None => lane.pull(PullCause::NoLongerAllowed),
        };
        if first {
            self.log.cut(lane.peer(), denial);
        }
    }
}

/// A connection that is ready for its first request, with what records say of it.
pub(crate) enum Connected {
    Own {
        sender: http1::SendRequest<LaneBody>,
        driver: Driver,
        awaiting: Awaiting,
        lane: Option<Arc<Lane>>,
    },
    Shared {
        sender: http2::SendRequest<LaneBody>,
        /// Streams the peer takes at once.
        streams: usize,
        /// Counts the streams that are open.
        open: Arc<AtomicUsize>,
        lane: Option<Arc<Lane>>,
    },
}

/// What moves an HTTP/1.1 connection's bytes; whoever holds the connection polls it.
pub(crate) type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Connector {
    pub(crate) fn assumed_version(&self) -> HttpVersion {
        match self {
            Self::Lane(_) => HttpVersion::H2,
            Self::Plain { version, .. } => *version,
        }
    }

    /// Makes one connection and starts the task that drives it.
    pub(super) async fn open(
        &self,
        upstream: &Arc<Upstream>,
        held: Option<OpenConnection>,
    ) -> Result<Connected, Denial> {
        match self {
            Self::Plain { address, version } => {
                let awaiting = Awaiting::default();
                let socket = Prompt::new(address.connect().await?, awaiting.clone());
                let held = held.map(|held| (held, ()));
                start(
                    socket,
                    *version,
                    awaiting,
                    None,
                    &upstream.limits.keep(),
                    held,
                )
                .await
            }
            Self::Lane(lane) => lane.open(upstream, held).await,
        }
    }

    /// What connections must have been made with to be used; nothing for the workload.
    pub(super) fn key(&self) -> Option<&LaneKey> {
        match self {
            Self::Lane(lane) => Some(&lane.key),
            Self::Plain { .. } => None,
        }
    }
}

/// Speaks HTTP on a stream. `held` lives as long as the connection.
async fn start<S, H>(
    stream: S,
    version: HttpVersion,
    awaiting: Awaiting,
    lane: Option<Arc<Lane>>,
    limits: &Limits,
    held: Option<(OpenConnection, H)>,
) -> Result<Connected, Denial>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Send + 'static,
{
    match version {
        HttpVersion::H1 => {
            let io = TokioIo::new(stream);
            let (sender, connection) = http1::Builder::new()
                .max_header_size(usize::try_from(limits.head_bytes).unwrap_or(usize::MAX))
                .handshake(io)
                .await
                .map_err(|error| failed(&error))?;
            let driver = Box::pin(drive(connection, lane.clone(), held));
            Ok(Connected::Own {
                sender,
                driver,
                awaiting,
                lane,
            })
        }
        HttpVersion::H2 => {
            let settings = PeerSettings::default();
            let stream = SettingsTap::new(stream, settings.clone());
            let tasks = Tasks::default();
            let io = Gathered::new(stream);
            let (sender, connection) = h2_builder(limits, tasks.clone())
                .handshake(TokioIo::new(io.clone()))
                .await
                .map_err(|error| failed(&error))?;
            let connection = Multiplexed::new(connection, tasks, io, AtEnd::Finish);
            let mut connection = Box::pin(connection);
            let streams = settled(&settings, connection.as_mut()).await?;
            let open = lane
                .as_ref()
                .map_or_else(Arc::default, |lane| lane.count_streams());
            task::spawn(drive(connection, lane.clone(), held));
            Ok(Connected::Shared {
                sender,
                streams,
                open,
                lane,
            })
        }
    }
}

fn h2_builder(limits: &Limits, tasks: Tasks) -> http2::Builder<Tasks> {
    let mut builder = http2::Builder::new(tasks);
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(limits.h2_stream_window_bytes)
        .initial_connection_window_size(limits.h2_connection_window_bytes())
        .max_send_buf_size(limits.h2_send_buffer_bytes)
        .max_header_list_size(limits.head_bytes)
        .keep_alive_interval(limits.h2_ping)
        .keep_alive_timeout(limits.h2_ping_timeout)
        .keep_alive_while_idle(true);
    builder
}

/// Drives a new HTTP/2 connection until the peer's first SETTINGS frame has said how many streams it takes,
/// so that not one more is ever sent.
async fn settled<C>(settings: &PeerSettings, connection: Pin<&mut C>) -> Result<usize, Denial>
where
    C: Future<Output = hyper::Result<()>>,
{
    tokio::select! {
        streams = settings.max_concurrent_streams() => Ok(streams),
        ended = connection => Err(match (settings.refusal(), ended) {
            (Some(alert), _) => Denial::with_detail(DenyReason::UpstreamTls, alert),
            (None, Ok(())) => DenyReason::UpstreamFailed.into(),
            (None, Err(error)) => failed(&error),
        }),
    }
}

/// Drives a connection to its end: that of its last call once it is given no more, or of its lane's life.
async fn drive<C, H>(connection: C, lane: Option<Arc<Lane>>, held: Option<(OpenConnection, H)>)
where
    C: Future<Output = hyper::Result<()>>,
{
    let connection = pin!(connection);
    let upstream = held.as_ref().map(|(open, _)| open.upstream());
    let ended = match (&lane, upstream) {
        (Some(lane), Some(upstream)) => lane.live(connection, upstream).await,
        _ => connection.await,
    };
    if let Err(error) = ended {
        tracing::debug!(error = with_causes(&error), "upstream connection ended");
    }
    drop(held);
}

fn failed(error: &hyper::Error) -> Denial {
    Denial::with_detail(DenyReason::UpstreamFailed, with_causes(error))
}
