//! What a call is, as far as its head tells.
//!
//! Takes a request's head; gives protocol, binding and, where a header carries them, operation and target.
//! No body is read here, so operation and target are what the caller says they are: good for records and
//! metrics, never for a decision.

pub(crate) mod fault;
pub(crate) mod json;
pub(crate) mod mcp_headers;
pub(crate) mod params;
pub(crate) mod rpc;
pub(crate) mod a2a;
pub(crate) mod grpc;
mod loose;
mod protobuf;
pub(crate) mod rest;

use http::Version;
use http::request::Parts;

/// The agent protocol a call belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Protocol {
    /// Agent2Agent.
    A2a,
    /// Neither could be told from the head.
    Http,
    /// Model Context Protocol.
    Mcp,
}

impl Protocol {
    /// Label in records.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::A2a => "a2a",
            Self::Http => "http",
            Self::Mcp => "mcp",
        }
    }
}

/// How messages are laid on HTTP, as far as answers of our own depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Binding {
    /// gRPC over HTTP/2.
    Grpc,
    /// Anything else.
    Http,
}

impl Binding {
    /// Label in records.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Http => "http",
        }
    }
}

/// How a request names its target (RFC 9112 §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum TargetForm {
    /// `http://host/path`, as HTTP/1 clients write to a proxy.
    Absolute,
    /// A path, with the authority beside it.
    Origin,
}

/// One call, borrowed from its request's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call<'a> {
    /// HTTP method.
    pub(crate) http_method: &'a str,
    /// Path without its query, which may hold a session id.
    pub(crate) path: &'a str,
    /// Authority the caller asked for.
    pub(crate) authority: Option<&'a str>,
    /// How the target was written.
    pub(crate) form: TargetForm,
    /// MCP, A2A or neither.
    pub(crate) protocol: Protocol,
    /// Shape of the messages.
    pub(crate) binding: Binding,
    /// `MCP-Protocol-Version` or `A2A-Version`.
    pub(crate) revision: Option<&'a str>,
    /// `Mcp-Method`, or the RPC named by an A2A path.
    pub(crate) operation: Option<&'a str>,
    /// `Mcp-Name`.
    pub(crate) target: Option<&'a str>,
}

/// gRPC services of A2A: 1.0 and 0.3 (A2A specification, "gRPC binding").
const A2A_SERVICES: [&str; 2] = ["/lf.a2a.v1.A2AService/", "/a2a.v1.A2AService/"];
/// Operations of A2A's HTTP+JSON binding that end a path (A2A 1.0 §11.3).
const A2A_VERBS: [&str; 4] = [
    "message:send",
    "message:stream",
    "extendedAgentCard",
    "agent-card.json",
];

impl<'a> Call<'a> {
    /// Reads a head.
    pub(crate) fn read_head(head: &'a Parts) -> Self {
        let path = head.uri.path();
        let fields = Fields::read(head);
        let binding = match fields.content_type {
            Some(kind) if is_grpc(kind) => Binding::Grpc,
            _ => Binding::Http,
        };
        let mut call = Self {
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
            protocol: Protocol::Http,
            binding,
            revision: None,
            operation: None,
            target: None,
        };
        let rpc = A2A_SERVICES
            .iter()
            .find_map(|service| path.strip_prefix(service));
        let verb = path
            .rsplit('/')
            .next()
            .filter(|last| A2A_VERBS.contains(last));
        if rpc.is_some() || verb.is_some() || fields.a2a_version.is_some() {
            call.protocol = Protocol::A2a;
            call.revision = fields.a2a_version;
            call.operation = rpc.or(verb);
        } else if fields.names_mcp {
            call.protocol = Protocol::Mcp;
            call.revision = fields.mcp_version;
            call.operation = fields.mcp_method;
            call.target = fields.mcp_name;
        }
        call
    }
}

/// The fields that tell what a call is, found in one pass.
#[derive(Default)]
struct Fields<'a> {
    host: Option<&'a str>,
    content_type: Option<&'a str>,
    a2a_version: Option<&'a str>,
    mcp_version: Option<&'a str>,
    mcp_method: Option<&'a str>,
    mcp_name: Option<&'a str>,
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
                "mcp-method" => &mut fields.mcp_method,
                "mcp-name" => &mut fields.mcp_name,
                "mcp-session-id" => {
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
        fields.names_mcp |= fields.mcp_version.or(fields.mcp_method).is_some();
        fields
    }
}

/// Whether a `content-type` is gRPC's: `application/grpc`, alone or with `+…` or `;…`
/// (gRPC over HTTP/2, "Requests").
pub(crate) fn is_grpc(content_type: &str) -> bool {
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
    use http::Request;

    fn head(path: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::post(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn mcp_is_told_from_its_headers() {
        let head = head(
            "http://localhost:4110/mcp?sessionId=secret",
            &[
                ("mcp-protocol-version", "2026-07-28"),
                ("mcp-method", "tools/call"),
                ("mcp-name", "weather"),
            ],
        );
        let call = Call::read_head(&head);
        assert_eq!(call.protocol, Protocol::Mcp);
        assert_eq!(call.path, "/mcp");
        assert_eq!(call.revision, Some("2026-07-28"));
        assert_eq!(
            (call.operation, call.target),
            (Some("tools/call"), Some("weather"))
        );
    }

    #[test]
    fn a2a_is_told_from_service_verb_or_header() {
        let grpc = head(
            "/lf.a2a.v1.A2AService/SendMessage",
            &[("content-type", "application/grpc+proto")],
        );
        let call = Call::read_head(&grpc);
        assert_eq!(
            (call.protocol, call.binding),
            (Protocol::A2a, Binding::Grpc)
        );
        assert_eq!(call.operation, Some("SendMessage"));

        let rest = head("/tenant/message:stream", &[]);
        assert_eq!(Call::read_head(&rest).operation, Some("message:stream"));

        let rpc = head("/", &[("a2a-version", "1.0")]);
        assert_eq!(Call::read_head(&rpc).protocol, Protocol::A2a);
    }

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
