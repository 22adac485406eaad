//! The readers of bytes that others choose, for fuzz targets, benches and tests. Nothing else uses this module.

pub use crate::call::a2a::{Members, Operation, Revision as A2aRevision};
pub use crate::call::fault::CallFault;
pub use crate::call::grpc::{A2aIds, GrpcCall, GrpcFault};
pub use crate::call::json::{JsonLimits, Kind, Token};
pub use crate::call::mcp_headers::{Revision as McpRevision, check as check_mcp_headers};
pub use crate::call::params::{Member, MessageIds, Meta, Params, PushConfig};
pub use crate::call::rest::{PathFault, RestCall};
pub use crate::call::rpc::{Message, Rpc, RpcKind, read as read_rpc};
pub use crate::pool::settings::{FirstFrame, read_first_frame};

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Request};

use crate::body;
use crate::call::Call;
use crate::config::{Config, ConfigError};
use crate::headers;
use crate::revocations;
use crate::routes;

/// Runs a head through everything that reads heads: classification, authority, stripping.
///
/// `uri` and the fields are as they came from the wire. Gives back the fields that are left.
pub fn read_head(uri: &str, fields: &[(&[u8], &[u8])]) -> Option<HeaderMap> {
    let request = Request::post(uri).body(()).ok()?;
    let (mut head, ()) = request.into_parts();
    for (name, value) in fields {
        let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        else {
            continue;
        };
        head.headers.append(name, value);
    }
    let _call = Call::read_head(&head);
    let _authority = headers::authority_of(&head);
    headers::strip_hop_by_hop(&mut head.headers);
    headers::strip_identity(&mut head.headers);
    Some(head.headers)
}

/// Whether a field name claims an identity; see the list in `headers`.
pub fn claims_identity(name: &str) -> bool {
    headers::claims_identity(name)
}

/// Whether every program reads a path alike.
pub fn is_plain_path(path: &str) -> bool {
    routes::is_plain(path)
}

/// Reads and checks a configuration from memory.
///
/// # Errors
/// [`ConfigError`] as for a file.
pub fn read_config(text: &str) -> Result<Config, ConfigError> {
    Config::from_text(text, std::path::Path::new("fuzz.toml"))
}

/// Reads the body of `POST /v1/revocations`. Gives its line of the journal, and that line read and written again.
///
/// # Errors
/// What is wrong with the body.
pub fn read_revocation(body: &[u8]) -> Result<(String, Result<String, String>), String> {
    revocations::read_and_write(body).map_err(|error| error.to_string())
}

/// What is said at the end of an event stream that is cut after these writes; nothing where it has to break off.
pub fn last_event(writes: &[&[u8]], call_id: Option<&str>) -> Option<Vec<u8>> {
    body::last_event(writes, call_id)
}
