//! A connection on its way into the pool.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::lease::OwnConnection;
use super::{Connected, Lease, SharedConnection, Upstream};
use crate::deny::Denial;
use crate::transport::HttpVersion;

/// A connection being opened; whatever comes of it, those who wait are told.
pub(super) struct Opening {
    upstream: Arc<Upstream>,
    generation: u64,
    held: Option<OpenConnection>,
}

impl Opening {
    /// One that has been counted, as open and as being opened.
    pub(super) fn begin(upstream: &Arc<Upstream>, generation: u64) -> Self {
        Self {
            upstream: Arc::clone(upstream),
            generation,
            held: Some(OpenConnection(Arc::clone(upstream))),
        }
    }

    /// Opens it. An HTTP/1.1 connection is leased to this call; an HTTP/2 one is put up for all. Nothing is
    /// given if connections are made in another way by now.
    pub(super) async fn open(mut self) -> Result<Option<Lease>, Denial> {
        let upstream = Arc::clone(&self.upstream);
        let held = self.held.take();
        let connector = upstream.connector.keep();
        let connected = connector.open(&upstream, held).await?;
        let mut state = upstream.state();
        if state.generation != self.generation {
            return Ok(None);
        }
        match connected {
            Connected::Own {
                sender,
                driver,
                awaiting,
                lane,
            } => {
                state.speaks = HttpVersion::H1;
                drop(state);
                let own =
                    OwnConnection::new(upstream, self.generation, sender, driver, awaiting, lane);
                Ok(Some(Lease::Own(Box::new(own))))
            }
            Connected::Shared {
                sender,
                streams,
                open,
                lane,
            } => {
                let ours = usize::try_from(upstream.limits.now().h2_streams).unwrap_or(usize::MAX);
                state.speaks = HttpVersion::H2;
                state.shared.push(Arc::new(SharedConnection {
                    sender,
                    streams: open,
                    max_streams: ours.min(streams),
                    lane,
                }));
                Ok(None)
            }
        }
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.upstream.state().opening -= 1;
        self.upstream.changed.notify_waiters();
    }
}

/// Counts one open connection; held by what drives it.
#[derive(Debug)]
pub(crate) struct OpenConnection(Arc<Upstream>);

impl OpenConnection {
    pub(super) fn upstream(&self) -> &Arc<Upstream> {
        &self.0
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        self.0.changed.notify_waiters();
    }
}
