//! Material from a SPIFFE Workload API.
//!
//! Takes the endpoint. Gives each [`Material`] that the API streams once our own verifier accepts all of it,
//! and reconnects for ever. Never reads the environment, and never remembers material: the last good one is
//! the caller's.
//!
//! Spec: SPIFFE Workload API §4 to §6, SPIFFE Workload Endpoint §4.

mod connection;
mod endpoint;
mod response;

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use tokio::time::{Instant, sleep_until};

use super::backoff::Backoff;
use super::{Material, MaterialError, Source, SourceError};
use crate::clock::Clock;
use crate::leaf::sha256;
use crate::workload_api::MAX_MESSAGE_LEN;

use connection::Connection;

pub use endpoint::{ENDPOINT_VARIABLE, Endpoint, EndpointError};
pub use response::read_response;

/// The X.509 material of this process, as a Workload API streams it.
pub struct WorkloadApiSource {
    endpoint: Endpoint,
    provider: Arc<CryptoProvider>,
    clock: Arc<dyn Clock>,
    connection: Option<Connection>,
    backoff: Backoff,
    // Before this, nothing is tried.
    not_before: Option<Instant>,
    // SHA-256 of the message whose material the caller has.
    given: Option<[u8; 32]>,
}

impl WorkloadApiSource {
    /// A source of what `endpoint` streams, judged by `provider` at the time of `clock`. Nothing is opened yet.
    ///
    /// A caller that polls rarely is served from what has arrived in the meantime. There are no keep-alive
    /// probes: SPIRE's server takes them for an attack.
    pub fn new(endpoint: Endpoint, provider: Arc<CryptoProvider>, clock: Arc<dyn Clock>) -> Self {
        Self {
            endpoint,
            provider,
            clock,
            connection: None,
            backoff: Backoff::default(),
            not_before: None,
            given: None,
        }
    }

    /// Where the material comes from.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    async fn try_next(&mut self) -> Result<Material, WorkloadApiError> {
        if let Some(not_before) = self.not_before {
            sleep_until(not_before).await;
        }
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(Connection::open(&self.endpoint).await?),
        };
        loop {
            let message = connection.next().await?;
            let digest = sha256(&message);
            // A new connection begins with what the caller may have already.
            if self.given == Some(digest) {
                self.backoff.reset();
                continue;
            }
            let material = read_response(&message, &self.provider, &*self.clock)?;
            self.given = Some(digest);
            self.backoff.reset();
            self.not_before = None;
            return Ok(material);
        }
    }
}

impl Source for WorkloadApiSource {
    /// # Cancel safety
    /// An attempt to connect begins anew; a message of which a part has arrived is kept; a wait goes on where
    /// it was.
    async fn next(&mut self) -> Result<Material, SourceError> {
        self.try_next().await.map_err(|problem| {
            self.not_before = Some(Instant::now() + self.backoff.next());
            if !problem.is_about_the_material() {
                self.connection = None;
            }
            SourceError::WorkloadApi {
                endpoint: self.endpoint.clone(),
                source: Box::new(problem),
            }
        })
    }
}

impl fmt::Debug for WorkloadApiSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WorkloadApiSource({})", self.endpoint)
    }
}

/// Why a Workload API gives no new material.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadApiError {
    /// The API says that the call is malformed. Spec: Workload API §6.
    #[error("it refuses the call as malformed: {reason:?}")]
    InvalidArgument {
        /// What it says, cut to 256 characters.
        reason: String,
    },
    /// What the API gave cannot be used; the connection stays.
    #[error("it gave material that cannot be used")]
    Material(#[from] MaterialError),
    /// There is no identity for this process, yet or any more. Spec: Workload API §6.
    #[error("it has no identity for this process: {reason:?}")]
    PermissionDenied {
        /// What it says, cut to 256 characters.
        reason: String,
    },
    /// The API refuses for another reason.
    #[error("it refuses the call ({status}): {reason:?}")]
    Refused {
        /// What the gRPC status means.
        status: &'static str,
        /// What it says, cut to 256 characters.
        reason: String,
    },
    /// The connection broke off or the API closed the stream.
    #[error("the stream ended")]
    StreamEnded,
    /// A message is longer than 4 MiB.
    #[error("its message is longer than {MAX_MESSAGE_LEN} bytes, the most that is read")]
    TooLong,
    /// Nobody answers.
    #[error("cannot be reached")]
    Unreachable(#[source] io::Error),
}

impl WorkloadApiError {
    /// Whether the API works and what it gave is at fault.
    fn is_about_the_material(&self) -> bool {
        match self {
            Self::Material(_) => true,
            Self::InvalidArgument { .. }
            | Self::PermissionDenied { .. }
            | Self::Refused { .. }
            | Self::StreamEnded
            | Self::TooLong
            | Self::Unreachable(_) => false,
        }
    }
}
