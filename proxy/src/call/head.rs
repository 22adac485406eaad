//! What a request's head says a call is.
//!
//! Takes a head; gives what can be told without the body. Where there is a body that is read, it has the last
//! word on everything.

use http::request::Parts;
use http::{Method, Version};

use super::{Binding, BodyRead, Call, Protocol, TargetForm};

/// Where an agent's card is (A2A 1.0 §8.2).
const AGENT_CARD: &str = "/.well-known/agent-card.json";

impl<'a> Call<'a> {
    /// Reads a head.
    pub(crate) fn read_head(head: &'a Parts) -> Self {
        let path = head.uri.path();
        let fields = Fields::read(head);
        let binding = match fields.content_type {
            Some(kind) if is_grpc(kind) => Binding::Grpc,
            _ => Binding::Http,
        };
        let is_card = head.method == Method::GET && path.ends_with(AGENT_CARD);
        let (protocol, revision) = if is_card || fields.a2a_version.is_some() {
            (Protocol::A2a, fields.a2a_version)
        } else if fields.names_mcp {
            (Protocol::Mcp, fields.mcp_version)
        } else {
            (Protocol::Http, None)
        };
        Self {
            http_method: head.method.as_str(),
            path,
            authority: head
                .uri
                .authority()
                .map(http::uri::Authority::as_str)
                .or(fields.host),
            form: match head.uri.scheme() {
                Some(_) if head.version <= Version::HTTP_11 => TargetForm::Absolute,
                _ => TargetForm::Origin,
            },
            protocol,
            binding,
            revision,
            operation: is_card.then_some("GetAgentCard".into()),
            target: None,
            task: None,
            context: None,
            batch: Vec::new(),
            body: BodyRead::Passing,
            id: None,
            fault: None,
        }
    }
}

/// The fields that tell what a call is, found in one pass.
#[derive(Default)]
struct Fields<'a> {
    host: Option<&'a str>,
    content_type: Option<&'a str>,
    a2a_version: Option<&'a str>,
    mcp_version: Option<&'a str>,
    names_mcp: bool,
}

impl<'a> Fields<'a> {
    fn read(head: &'a Parts) -> Self {
        let mut fields = Self::default();
        for (name, value) in &head.headers {
            let slot = match name.as_str() {
                "host" => &mut fields.host,
                "content-type" => &mut fields.content_type,
                "a2a-version" => &mut fields.a2a_version,
                "mcp-protocol-version" => &mut fields.mcp_version,
                "mcp-method" | "mcp-session-id" => {
                    fields.names_mcp = true;
                    continue;
                }
                _ => continue,
            };
            // Of a repeated field the first is taken, as `HeaderMap::get` does.
            if slot.is_none() {
                *slot = value.to_str().ok();
            }
        }
        fields.names_mcp |= fields.mcp_version.is_some();
        fields
    }
}

/// Whether a head is that of a gRPC call.
pub(crate) fn is_grpc_call(head: &Parts) -> bool {
    let content_type = head.headers.get(http::header::CONTENT_TYPE);
    content_type
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(is_grpc)
}

/// Whether messages of a gRPC call are in protobuf, which is what the type without a suffix stands for.
pub(super) fn is_protobuf(head: &Parts) -> bool {
    let content_type = head.headers.get(http::header::CONTENT_TYPE);
    let essence = content_type
        .and_then(|kind| kind.to_str().ok())
        .and_then(|kind| kind.split(';').next())
        .unwrap_or_default();
    ["application/grpc", "application/grpc+proto"]
        .iter()
        .any(|kind| essence.trim().eq_ignore_ascii_case(kind))
}

/// Whether a `content-type` is gRPC's: `application/grpc`, alone or with `+…` or `;…`
/// (gRPC over HTTP/2, "Requests").
fn is_grpc(content_type: &str) -> bool {
    let (essence, rest) = content_type
        .as_bytes()
        .split_at_checked("application/grpc".len())
        .unwrap_or_default();
    essence.eq_ignore_ascii_case(b"application/grpc")
        && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_content_types_are_matched_whole() {
        for yes in [
            "application/grpc",
            "Application/gRPC+proto",
            "application/grpc;x=1",
        ] {
            assert!(is_grpc(yes), "{yes}");
        }
        for no in [
            "application/grpc-web",
            "application/json",
            "text/application/grpc",
        ] {
            assert!(!is_grpc(no), "{no}");
        }
    }
}
