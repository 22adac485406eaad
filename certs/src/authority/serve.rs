//! A development trust domain that serves the SPIFFE Workload API on a Unix socket.
//!
//! Takes an [`Authority`] and what it is to serve. Gives every process of its own user SVIDs that are renewed at
//! half of their lifetime, CRLs, and the bundles of the domains that it federates with; each change is pushed to
//! every open stream. Never attests anybody: who may open the socket gets every SVID.
//!
//! Spec: SPIFFE Workload API §4 to §6. The JWT profile is not served.

mod answer;
mod estate;
mod socket;

use std::fmt;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::UnixTime;
use tokio::net::UnixStream;
use tokio::time::{MissedTickBehavior, interval};

use super::{Authority, AuthorityError, IssueOptions, Serial};
use crate::bundle::BundleError;
use crate::clock::{Clock, Rfc3339};
use crate::source::{Endpoint, MAX_BUNDLES, MAX_SVIDS};
use crate::spiffe_id::{SpiffeId, TrustDomain};

use estate::Estate;
use socket::Socket;

/// The most connections that are served at once; further ones wait.
pub const MAX_CONNECTIONS: usize = 256;
/// The most streams on one connection.
const MAX_STREAMS: u32 = 16;
/// How often it is looked whether something is due.
const TICK: Duration = Duration::from_millis(200);

/// One SVID to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedSvid {
    /// Its SPIFFE ID, in the authority's trust domain.
    pub id: SpiffeId,
    /// What tells it apart from the others; each hint is accepted once.
    pub hint: Option<String>,
    /// Its lifetime and the kind of its key, which is a fresh one each time.
    pub options: IssueOptions,
}

/// Something that happened while serving.
#[derive(Debug)]
pub enum ServeEvent {
    /// A process of another user was turned away.
    ForeignUser {
        /// Its user ID.
        uid: u32,
    },
    /// Something that was due could not be issued; what was issued before is still served.
    NotIssued(AuthorityError),
    /// An SVID was renewed and pushed.
    Rotated {
        /// Whose.
        id: SpiffeId,
        /// Its hint.
        hint: Option<String>,
        /// Its serial number, by which it can be revoked.
        serial: Serial,
        /// The last second at which it is valid.
        not_after: UnixTime,
    },
}

impl fmt::Display for ServeEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ForeignUser { uid } => write!(f, "turned away a process of user {uid}"),
            Self::NotIssued(error) => write!(f, "cannot renew what is served: {error}"),
            Self::Rotated {
                id,
                hint,
                serial,
                not_after,
            } => {
                write!(f, "renewed {id}")?;
                if let Some(hint) = hint {
                    write!(f, " (hint {hint:?})")?;
                }
                write!(f, ", serial {serial}, until {}", Rfc3339(*not_after))
            }
        }
    }
}

/// A Workload API that is bound and not yet served.
pub struct Serving {
    socket: Socket,
    estate: Arc<Estate>,
}

/// Changes what is served, while it is. Cloning is cheap.
#[derive(Clone)]
pub struct ServingControl(Arc<Estate>);

impl Serving {
    /// Issues the first SVIDs and binds the socket: mode 0600, in place of one that a process which is gone left
    /// behind. With no SVIDs every caller is told that it has no identity.
    ///
    /// # Errors
    /// [`ServeError`] for what cannot be issued, a hint or too many SVIDs, and a socket that cannot be bound.
    ///
    /// # Cancel safety
    /// Nothing is left behind but possibly the socket's file.
    pub async fn bind(
        authority: Authority,
        svids: Vec<ServedSvid>,
        path: &Path,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ServeError> {
        let estate = Estate::new(authority, svids, clock)?;
        let socket = Socket::bind(path)
            .await
            .map_err(|source| ServeError::Bind {
                path: path.to_owned(),
                source,
            })?;
        Ok(Self {
            socket,
            estate: Arc::new(estate),
        })
    }

    /// Where clients find it.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint::Unix(self.socket.path().to_owned())
    }

    /// What changes it while it runs.
    pub fn control(&self) -> ServingControl {
        ServingControl(self.estate.clone())
    }

    /// Serves until `stop` is done; then every stream is cut and the socket removed. `report` hears what happens.
    ///
    /// # Cancel safety
    /// Dropping the future does what `stop` does.
    pub async fn run(self, stop: impl Future<Output = ()>, mut report: impl FnMut(ServeEvent)) {
        let mut stop = std::pin::pin!(stop);
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut connections = FuturesUnordered::new();
        loop {
            tokio::select! {
                () = &mut stop => return,
                _ = ticks.tick() => self.estate.renew_what_is_due().into_iter().for_each(&mut report),
                Some(()) = connections.next(), if !connections.is_empty() => {}
                (stream, uid) = self.socket.accept(), if connections.len() < MAX_CONNECTIONS => {
                    match uid == self.socket.owner() {
                        true => connections.push(serve_connection(stream, self.estate.clone())),
                        false => report(ServeEvent::ForeignUser { uid }),
                    }
                }
            }
        }
    }
}

async fn serve_connection(stream: UnixStream, estate: Arc<Estate>) {
    let service = service_fn(move |request| {
        let estate = estate.clone();
        async move { Ok::<_, std::convert::Infallible>(answer::answer(&estate, request).await) }
    });
    let mut server = http2::Builder::new(TokioExecutor::new());
    server.max_concurrent_streams(MAX_STREAMS);
    // A client that is gone or does not speak HTTP/2 is nobody's loss.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

impl ServingControl {
    /// Renews every SVID and both lists now, whatever is left of their lifetime.
    ///
    /// # Errors
    /// [`AuthorityError`] when one cannot be issued; then nothing changes.
    pub fn rotate(&self) -> Result<(), AuthorityError> {
        self.0.rotate()
    }

    /// Puts a serial number on the CRLs, for good. One that is there already changes nothing.
    ///
    /// # Errors
    /// [`ServeError::TooManyRevoked`], or [`ServeError::Authority`] when a CRL cannot be signed.
    pub fn revoke(&self, serials: impl IntoIterator<Item = Serial>) -> Result<(), ServeError> {
        self.0.revoke(serials.into_iter().collect())
    }

    /// Federates with a domain: its bundle, PEM, is served from now on, in place of an older one.
    ///
    /// # Errors
    /// [`ServeError::Bundle`] for what is not a bundle, [`ServeError::OwnTrustDomain`] and
    /// [`ServeError::TooManyBundles`].
    pub fn federate(&self, trust_domain: TrustDomain, bundle_pem: &[u8]) -> Result<(), ServeError> {
        self.0.federate(trust_domain, bundle_pem)
    }

    /// Ends the federation with a domain, if there is one.
    pub fn withdraw(&self, trust_domain: &TrustDomain) {
        self.0.withdraw(trust_domain);
    }

    /// The serial numbers of the SVIDs that are served at the moment, in their order.
    pub fn serials(&self) -> Vec<(SpiffeId, Serial)> {
        self.0.serials()
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serving({})", self.endpoint())
    }
}

impl fmt::Debug for ServingControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServingControl({:?})", self.0.serials())
    }
}

/// Why something cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Something cannot be issued.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The socket cannot be bound.
    #[error("{}: cannot be served on", path.display())]
    Bind {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A domain to federate with has no proper bundle.
    #[error("not the trust bundle of {trust_domain}")]
    Bundle {
        /// Whose bundle it should be.
        trust_domain: TrustDomain,
        /// Why.
        #[source]
        source: BundleError,
    },
    /// Two SVIDs have one hint.
    #[error("two SVIDs have the hint {hint:?}: each hint is accepted once")]
    HintTwice {
        /// The hint.
        hint: String,
    },
    /// The domain to federate with is the authority's own.
    #[error("{trust_domain} is the authority's own trust domain: federation is with others")]
    OwnTrustDomain {
        /// The domain.
        trust_domain: TrustDomain,
    },
    /// There would be more bundles than a client of ours reads.
    #[error("more than {MAX_BUNDLES} bundles with our own, the most that are served")]
    TooManyBundles,
    /// There would be more revoked serial numbers than are listed.
    #[error(
        "more than {} serial numbers, the most that are revoked",
        super::MAX_REVOKED
    )]
    TooManyRevoked,
    /// There are more SVIDs than a client of ours reads.
    #[error("more than {MAX_SVIDS} SVIDs, the most that are served")]
    TooManySvids,
}
