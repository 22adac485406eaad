//! What happens to headers on the way through.
//!
//! Hop-by-hop fields end here (RFC 9110 §7.6.1). Fields that claim an identity are taken from every caller,
//! in every spelling that a framework could read as the same name, and set afresh from the verified peer.
//! Everything else passes untouched.

use http::header::{CONNECTION, EXPECT, HOST, HeaderName, HeaderValue, LOCATION, TE};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, Uri, Version};

use crate::deny::DenyReason;
use crate::tls::hex;

/// `X-Forwarded-Client-Cert`, in Envoy's format.
pub(crate) const XFCC: HeaderName = HeaderName::from_static("x-forwarded-client-cert");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Names that claim who is calling, with `_` read as `-`: this project's, those of other proxies, and those
/// that frameworks trust. Delegation (`txn-token`) is among them until it is verified.
const IDENTITY_NAMES: [&str; 14] = [
    "baggage",
    "client-cert",
    "client-cert-chain",
    "forwarded",
    "l5d-client-id",
    "remote-groups",
    "remote-user",
    "workload-identity-token",
    "workload-proof-token",
    "x-client-cert",
    "x-goog-authenticated-user-email",
    "x-mcp-authorized",
    "x-ms-client-principal",
    "x-real-ip",
];
/// Beginnings of such names.
const IDENTITY_PREFIXES: [&str; 16] = [
    "cf-access-",
    "pqlane-",
    "ssl-client-",
    "tailscale-user-",
    "txn-token",
    "x-agent-",
    "x-amzn-mtls-",
    "x-amzn-oidc-",
    "x-auth-request-",
    "x-envoy-",
    "x-forwarded-",
    "x-pomerium-",
    "x-remote-",
    "x-spiffe-",
    "x-ssl-",
    "x-webauth-",
];

/// Removes fields that only concern one connection: those named by `Connection`, and those that always are.
/// `TE: trailers` stays, since gRPC asks for trailers with it.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let (mut connection, mut te) = (false, false);
    let mut ends_here: Vec<HeaderName> = Vec::new();
    for name in headers.keys() {
        match name.as_str() {
            "connection" => connection = true,
            "te" => te = true,
            "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade" => {
                ends_here.push(name.clone());
            }
            _ => {}
        }
    }
    for name in ends_here {
        headers.remove(name);
    }
    if connection {
        strip_connection(headers);
    }
    if te {
        keep_te_trailers(headers);
    }
}

fn strip_connection(headers: &mut HeaderMap) {
    let nominated: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        // By bytes: one odd byte in the list must not save the names beside it.
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| *name != TE)
        .collect();
    for name in nominated {
        headers.remove(name);
    }
    headers.remove(CONNECTION);
}

fn keep_te_trailers(headers: &mut HeaderMap) {
    let wants_trailers = headers
        .get_all(TE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"));
    headers.remove(TE);
    if wants_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Removes every field that claims an identity, or that would have a call read otherwise than it is here.
pub(crate) fn strip_identity(headers: &mut HeaderMap) {
    let mut claims: Vec<HeaderName> = Vec::new();
    for name in headers.keys() {
        if claims_identity(name.as_str()) || misleads(name.as_str()) {
            claims.push(name.clone());
        }
    }
    for name in claims {
        headers.remove(name);
    }
}

/// Whether a lower-case field name claims an identity, in this or another spelling.
pub(crate) fn claims_identity(name: &str) -> bool {
    if name.contains('_') {
        return claims_identity(&name.replace('_', "-"));
    }
    // The first letters of all names in the two lists: most fields stop here.
    if !matches!(
        name.as_bytes().first(),
        Some(b'b' | b'c' | b'f' | b'l' | b'p' | b'r' | b's' | b't' | b'w' | b'x')
    ) {
        return false;
    }
    IDENTITY_NAMES.contains(&name)
        || IDENTITY_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

/// Names under which some frameworks look for another method than the request has.
const METHOD_OVERRIDES: [&str; 3] = [
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
];

/// Whether some servers read a field as something else than it is to us: another method, or a field that is compared
/// with the body under its own name only.
fn misleads(name: &str) -> bool {
    let plain = match name.contains('_') {
        true => name.replace('_', "-"),
        false => return METHOD_OVERRIDES.contains(&name),
    };
    METHOD_OVERRIDES.contains(&&*plain) || is_said_of_the_body(&plain)
}

/// Whether a field repeats a part of the body, or says which session or revision it is of. Such fields are compared
/// and opened under their own names; another spelling, or a place in the trailers, would go around that.
fn is_said_of_the_body(name: &str) -> bool {
    name.starts_with("mcp-") || name.starts_with("a2a-")
}

/// Removes from an answer's trailers what would be a session id that nobody has sealed.
pub(crate) fn strip_session_ids(trailers: &mut HeaderMap) {
    let is_session_id = |name: &&HeaderName| name.as_str().replace('_', "-") == "mcp-session-id";
    let late: Vec<HeaderName> = trailers.keys().filter(is_session_id).cloned().collect();
    for name in late {
        trailers.remove(name);
    }
}

/// Removes from trailers what has no place there: claims, and what has to be known before the body.
pub(crate) fn strip_trailers(trailers: &mut HeaderMap) {
    strip_identity(trailers);
    let late: Vec<HeaderName> = trailers
        .keys()
        .filter(|name| is_said_of_the_body(name.as_str()))
        .cloned()
        .collect();
    for name in late {
        trailers.remove(name);
    }
}

/// The authority a request is for: of its target (RFC 9112 §3.2.2, RFC 9113 §8.3.1) or of its `Host`.
///
/// # Errors
/// [`DenyReason::MalformedRequest`] when there is none, more than one `Host`, or two that differ.
pub(crate) fn authority_of(head: &http::request::Parts) -> Result<Authority, DenyReason> {
    let malformed = DenyReason::MalformedRequest;
    let mut hosts = head.headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(malformed);
    }
    let host = host
        .map(|host| Authority::try_from(host.as_bytes()))
        .transpose()
        .map_err(|_not_an_authority| malformed)?;
    let authority = match (head.uri.authority(), host) {
        (Some(target), Some(host)) if *target != host => return Err(malformed),
        (Some(target), _) => target.clone(),
        (None, Some(host)) => host,
        (None, None) => return Err(malformed),
    };
    // RFC 9110 §4.2.4: user information has no place in a request.
    match authority.as_str().contains('@') {
        true => Err(malformed),
        false => Ok(authority),
    }
}

/// Points a request's head at an upstream: protocol version, target and `Host` as that protocol wants them.
pub(crate) fn aim(head: &mut http::request::Parts, upstream: &UpstreamName, version: Version) {
    let path = head
        .uri
        .path_and_query()
        .cloned()
        .unwrap_or_else(|| PathAndQuery::from_static("/"));
    head.version = version;
    head.headers.remove(EXPECT);
    if version == Version::HTTP_2 {
        head.headers.remove(HOST);
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(upstream.scheme.clone());
        parts.authority = Some(upstream.authority.clone());
        parts.path_and_query = Some(path);
        head.uri = Uri::from_parts(parts).unwrap_or_default();
    } else {
        head.headers.insert(HOST, upstream.host.clone());
        head.uri = Uri::from(path);
    }
}

/// An upstream's name in the forms that heads want it in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UpstreamName {
    pub(crate) scheme: http::uri::Scheme,
    pub(crate) authority: Authority,
    host: HeaderValue,
}

impl UpstreamName {
    pub(crate) fn new(scheme: http::uri::Scheme, authority: Authority) -> Self {
        // An authority has visible ASCII only (RFC 3986 §3.2), so that it is always a field value.
        let host = HeaderValue::from_str(authority.as_str())
            .unwrap_or_else(|_never| HeaderValue::from_static("localhost"));
        Self {
            scheme,
            authority,
            host,
        }
    }
}

/// Sets what a workload may believe: the peer's identity, and how the call came in.
pub(crate) fn introduce(headers: &mut HeaderMap, xfcc: &HeaderValue, asked_for: &Authority) {
    headers.insert(XFCC, xfcc.clone());
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("https"));
    if let Ok(host) = HeaderValue::from_str(asked_for.as_str()) {
        headers.insert(X_FORWARDED_HOST, host);
    }
}

/// Makes a response fit for the caller's connection. A redirect that names the upstream's own authority,
/// which the caller cannot reach, becomes relative (RFC 9110 §10.2.2 allows that).
pub(crate) fn returned(head: &mut http::response::Parts, upstream: &UpstreamName) {
    strip_hop_by_hop(&mut head.headers);
    let relative = head
        .headers
        .get(LOCATION)
        .and_then(|location| Uri::try_from(location.as_bytes()).ok())
        .filter(|location| location.authority() == Some(&upstream.authority))
        .and_then(|location| HeaderValue::from_str(location.path_and_query()?.as_str()).ok());
    if let Some(relative) = relative {
        head.headers.insert(LOCATION, relative);
    }
    // hyper answers in the caller's version, whatever the upstream's was.
    head.version = Version::HTTP_11;
}

/// `By=…;Hash=…;URI=…` for one peer: Envoy's `x-forwarded-client-cert` of a single hop.
pub(crate) fn xfcc(local: &str, peer: &str, leaf_thumbprint: &[u8; 32]) -> Option<HeaderValue> {
    let value = format!("By={local};Hash={};URI={peer}", hex(leaf_thumbprint));
    HeaderValue::from_str(&value).ok()
}

#[cfg(test)]
mod tests;
