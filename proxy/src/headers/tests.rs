use http::Request;

use super::*;

fn map(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

#[test]
fn identity_is_stripped_in_every_spelling() {
    let claims = [
        "X-Forwarded-Client-Cert",
        "x_forwarded_client_cert",
        "X-Forwarded_For",
        "Txn-Token",
        "txn_token",
        "Txn-Token-Chain",
        "Pqlane-Delegation",
        "PQLANE_DELEGATION",
        "Forwarded",
        "Workload_Identity_Token",
        "X-Spiffe-Id",
        "X-Envoy-Peer-Metadata",
        "baggage",
        "Remote_User",
        "SSL_CLIENT_S_DN",
    ];
    for claim in claims {
        let mut headers = map(&[(claim, "spiffe://evil/admin"), ("accept", "*/*")]);
        strip_identity(&mut headers);
        assert_eq!(headers, map(&[("accept", "*/*")]), "{claim}");
    }
}

#[test]
fn what_agents_need_passes() {
    let kept = map(&[
        ("authorization", "Bearer t"),
        ("dpop", "p"),
        ("mcp-session-id", "s"),
        ("mcp-method", "tools/call"),
        ("mcp-param-region", "eu"),
        ("mcp-protocol-version", "2026-07-28"),
        ("a2a-version", "1.0"),
        ("a2a-extensions", "e"),
        ("x-a2a-extensions", "e"),
        ("last-event-id", "7"),
        ("traceparent", "00-0-0-01"),
        ("tracestate", "k=v"),
        ("x-accel-buffering", "no"),
        ("origin", "http://localhost"),
    ]);
    let mut headers = kept.clone();
    strip_hop_by_hop(&mut headers);
    strip_identity(&mut headers);
    assert_eq!(headers, kept);
}

#[test]
fn hop_by_hop_fields_and_what_connection_names_end_here() {
    let mut headers = map(&[
        ("connection", "close, X-Hop"),
        ("connection", "te"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("te", "gzip"),
        ("te", "deflate, trailers"),
        ("accept", "*/*"),
    ]);
    strip_hop_by_hop(&mut headers);
    assert_eq!(headers, map(&[("te", "trailers"), ("accept", "*/*")]));
}

#[test]
fn one_authority_is_needed_and_it_must_agree() {
    let request = |uri: &str, hosts: &[&str]| {
        let mut builder = Request::get(uri);
        for host in hosts {
            builder = builder.header(HOST, *host);
        }
        authority_of(&builder.body(()).unwrap().into_parts().0)
            .map(|authority| authority.to_string())
    };
    let malformed = Err(DenyReason::MalformedRequest);
    assert_eq!(request("/", &["localhost:1"]), Ok("localhost:1".into()));
    assert_eq!(
        request("http://a.localhost/", &[]),
        Ok("a.localhost".into())
    );
    assert_eq!(request("http://a/", &["a"]), Ok("a".into()));
    assert_eq!(request("http://a/", &["b"]), malformed);
    assert_eq!(request("/", &["a", "a"]), malformed);
    assert_eq!(request("/", &[]), malformed);
    assert_eq!(request("/", &["a b"]), malformed);
    assert_eq!(request("/", &["user@a"]), malformed);
}

#[test]
fn redirects_to_the_upstream_itself_become_relative() {
    let upstream = UpstreamName::new(
        http::uri::Scheme::HTTP,
        Authority::from_static("127.0.0.1:3110"),
    );
    let redirect = |to: &str| {
        let response = http::Response::builder().header(LOCATION, to);
        let mut head = response.body(()).unwrap().into_parts().0;
        returned(&mut head, &upstream);
        head.headers[LOCATION].to_str().unwrap().to_owned()
    };
    assert_eq!(redirect("http://127.0.0.1:3110/mcp/?a=1"), "/mcp/?a=1");
    assert_eq!(redirect("https://127.0.0.1:3110/mcp/"), "/mcp/");
    assert_eq!(
        redirect("https://login.example/x"),
        "https://login.example/x"
    );
    assert_eq!(redirect("/there"), "/there");
}

#[test]
fn xfcc_has_envoys_form() {
    let value = xfcc("spiffe://a/in", "spiffe://a/out", &[0xAB; 32]).unwrap();
    let expected = format!(
        "By=spiffe://a/in;Hash={};URI=spiffe://a/out",
        "ab".repeat(32)
    );
    assert_eq!(value, expected.as_str());
}
