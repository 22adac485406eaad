//! One lane connection to a peer, as long as it is open.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use http::uri::Authority;
use pqlane_certs::spiffe_id::{AllowList, SpiffeId};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Upstream;
use crate::guard::{PullCause, Pulled};
use crate::lifetime::{Age, Lifetime};
use crate::peer_policy::PeerPolicies;
use crate::remediation::{Cut, Open};
use crate::tls::LanePeer;

/// What a lane connection was made with. A connection is used only where all of it is the same: nothing is
/// coalesced by address or by certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LaneKey {
    /// In whose name.
    pub(crate) local: SpiffeId,
    /// SHA-256 of our leaf.
    pub(crate) leaf: [u8; 32],
    /// What the peer sees as `:authority`.
    pub(crate) authority: Authority,
    /// Who may answer.
    pub(crate) allowed: AllowList,
    /// What may be negotiated.
    pub(crate) kx: PeerPolicies,
    /// SHA-256 of the trust bundles.
    pub(crate) bundles: [u8; 32],
}

/// One lane connection to a peer.
#[derive(Debug)]
pub(crate) struct Lane {
    peer: LanePeer,
    lifetime: Lifetime,
    members: Arc<str>,
    /// Streams that are open; none are counted where a call has the connection to itself.
    streams: Arc<AtomicUsize>,
    pulled: Pulled,
    cut: Notify,
    /// Tells whoever cut it that it has ended.
    open: OnceLock<Open>,
}

impl Lane {
    pub(super) fn new(peer: LanePeer, lifetime: Lifetime, members: Arc<str>) -> Self {
        Self {
            peer,
            lifetime,
            members,
            // A call that has the connection to itself is one.
            streams: Arc::new(AtomicUsize::new(1)),
            pulled: Pulled::default(),
            cut: Notify::new(),
            open: OnceLock::new(),
        }
    }

    /// Who is at the other end.
    pub(super) fn peer(&self) -> &LanePeer {
        &self.peer
    }

    /// What records of calls say of the connection.
    pub(super) fn members(&self) -> &Arc<str> {
        &self.members
    }

    /// The count of open streams, to be kept by whoever hands them out.
    pub(super) fn count_streams(&self) -> Arc<AtomicUsize> {
        self.streams.store(0, Ordering::Relaxed);
        Arc::clone(&self.streams)
    }

    /// Notes how many calls a connection carries that has one at a time.
    pub(super) fn carries(&self, calls: usize) {
        self.streams.store(calls, Ordering::Relaxed);
    }

    /// Whether a call is on it.
    pub(super) fn is_in_use(&self) -> bool {
        self.streams.load(Ordering::Relaxed) > 0
    }

    /// Whether it may be given a call.
    pub(super) fn takes_calls(&self) -> bool {
        self.pulled.cause().is_none() && !self.lifetime.is_retiring()
    }

    /// Why it was cut, if it was.
    pub(super) fn cut(&self) -> Option<PullCause> {
        self.pulled.cause()
    }

    /// Cuts it. Tells whether that is new.
    pub(super) fn pull(&self, cause: PullCause) -> bool {
        let first = self.pulled.set(cause);
        if first {
            self.cut.notify_one();
        }
        first
    }

    /// As [`Lane::pull`] because of a withdrawal, which counts and times it.
    pub(super) fn cut_off(&self, cause: PullCause, cut: &Cut) -> bool {
        // Held first: whoever ends it at once is waited for too.
        let first = self.pulled.cause().is_none() && self.open.set(cut.hold()).is_ok();
        let first = first && self.pull(cause);
        if first {
            cut.connection(self.streams.load(Ordering::Relaxed));
        }
        first
    }

    /// Drives the connection while it may live. Before a leaf expires under it another is opened in its place,
    /// so that its streams may stay: that one proves that both ends still hold an SVID.
    pub(super) async fn live<C>(
        self: &Arc<Self>,
        mut connection: Pin<&mut C>,
        upstream: &Arc<Upstream>,
    ) -> hyper::Result<()>
    where
        C: Future<Output = hyper::Result<()>>,
    {
        let mut age = Age::Fresh;
        let mut asked = None;
        loop {
            tokio::select! {
                biased;
                () = self.cut.notified() => return Ok(()),
                ended = connection.as_mut() => return ended,
                older = self.lifetime.after(age) => {
                    age = older;
                    match age {
                        Age::Fresh => {}
                        Age::Retiring => {
                            asked = Some(Instant::now());
                            upstream.succeed(self);
                        }
                        Age::Over => {
                            self.pull(PullCause::SvidExpired);
                        }
                    }
                }
                () = self.lifetime.until_proof_is_needed(asked), if age == Age::Retiring => {
                    asked = Some(Instant::now());
                    upstream.succeed(self);
                }
            }
        }
    }
}
