//! The wire of the SPIFFE Workload API, for the side that asks and the side that serves.
//!
//! Takes and gives whole messages as bytes: gRPC framing, status and metadata are tonic's. Never judges what
//! is in a message: [`crate::source`] does, before it publishes anything.
//!
//! Spec: SPIFFE Workload API §4 to §6 and its `workload.proto`.

mod codec;
mod messages;

use bytes::Bytes;
use prost::Message;

pub(crate) use codec::WholeMessage;
pub(crate) use messages::{SvidMessage, X509BundlesResponse, X509SvidResponse};

/// Metadata that every call carries, against requests forged through another protocol. Spec: Workload API §4.
pub(crate) const SECURITY_HEADER: &str = "workload.spiffe.io";
/// Its only accepted value.
pub(crate) const SECURITY_HEADER_VALUE: &str = "true";

/// The call that streams SVIDs, bundles and CRLs. Spec: Workload API §5.2.1.
pub(crate) const FETCH_X509_SVID: &str = "/SpiffeWorkloadAPI/FetchX509SVID";
/// The call that streams bundles and CRLs alone. Spec: Workload API §5.2.2.
pub(crate) const FETCH_X509_BUNDLES: &str = "/SpiffeWorkloadAPI/FetchX509Bundles";

/// The most bytes in one message.
pub(crate) const MAX_MESSAGE_LEN: usize = 4 * 1024 * 1024;

/// A message in its wire format.
pub(crate) fn encode(message: &impl Message) -> Bytes {
    message.encode_to_vec().into()
}
