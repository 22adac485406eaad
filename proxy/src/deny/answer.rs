//! A refusal in the words of the protocol that it is told in.

use bytes::Bytes;
use http::Response;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde_json::{Value, json};

use super::{Denial, DenyReason, Row};
use crate::body::LaneBody;
use crate::call::Binding;

/// Names of the gRPC status codes, in their order.
const GRPC_NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Whose reasons they are, in errors that name a domain (google.rpc.ErrorInfo).
const ERROR_DOMAIN: &str = "pqlane";

/// Whom an answer of our own is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReplyTo {
    pub(crate) binding: Binding,
    /// The id of the JSON-RPC request, as it was written.
    pub(crate) id: Option<Bytes>,
}

impl Denial {
    /// The answer, in the shape that clients of the binding read.
    pub(crate) fn response(&self, reply: &ReplyTo) -> Response<LaneBody> {
        let row = self.reason.row();
        if self.reason == DenyReason::SessionUnknown {
            // The same bytes whatever the call is: nothing is to be learned from trying.
            return in_json(row, SESSION_NOT_FOUND.to_owned());
        }
        match reply.binding {
            Binding::Grpc => grpc(row),
            Binding::Http => in_json(row, in_plain_http(row).to_string()),
            Binding::HttpJson => in_json(row, in_http_json(row).to_string()),
            Binding::JsonRpc => in_json(row, in_json_rpc(row, reply.id.as_deref())),
        }
    }
}

/// `{"error":{"code":…,"message":…}}`: no protocol's members, so that no client takes it for the server's own answer.
fn in_plain_http(row: Row) -> Value {
    json!({ "error": { "code": row.code, "message": row.message } })
}

/// A `google.rpc.Status`, as A2A's HTTP+JSON binding has it (A2A 1.0 §11.6).
fn in_http_json(row: Row) -> Value {
    json!({ "error": {
        "code": row.status.as_u16(),
        "status": GRPC_NAMES.get(usize::from(row.grpc_status)),
        "message": row.message,
        "details": [{
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": row.code,
            "domain": ERROR_DOMAIN,
        }],
    } })
}

/// A JSON-RPC error object (JSON-RPC 2.0 §5.1). The id goes back as it was written: it was read as a JSON text, and
/// numbers of any length stay what they are.
fn in_json_rpc(row: Row, id: Option<&[u8]>) -> String {
    let id = id.and_then(|id| str::from_utf8(id).ok()).unwrap_or("null");
    let error = json!({
        "code": row.rpc_code,
        "message": row.message,
        "data": { "reason": row.code, "domain": ERROR_DOMAIN },
    });
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#)
}

fn in_json(row: Row, body: String) -> Response<LaneBody> {
    let mut response = Response::new(LaneBody::from(Bytes::from(body)));
    *response.status_mut() = row.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("pqlane-denied", HeaderValue::from_static(row.code));
    response
}

/// What MCP servers answer to a session id that they do not know (2025-11-25, "Session Management"), as the
/// TypeScript SDK writes it: a client begins a new session then.
const SESSION_NOT_FOUND: &str =
    r#"{"jsonrpc":"2.0","error":{"code":-32001,"message":"Session not found"},"id":null}"#;

/// A Trailers-Only response (gRPC over HTTP/2, "Responses").
fn grpc(row: Row) -> Response<LaneBody> {
    let mut response = Response::new(LaneBody::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from(u16::from(row.grpc_status)));
    headers.insert("grpc-message", HeaderValue::from_static(row.message));
    headers.insert("pqlane-denied", HeaderValue::from_static(row.code));
    response
}
