//! Which headers pass, which end here, and which nobody but the sidecar may set.

use http::{HeaderMap, HeaderValue, Response};
use pqlane_certs::testing::TestSvid;
use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::support::http::{
    Client, Seen, Version, Workload, empty, full, held, next_seen, raw_call, raw_workload,
    read_until,
};
use crate::support::world::{AGENT, MCP, World, id};

/// Names with which a caller could pass for another, to this or to a common framework or proxy.
const IDENTITY: [&str; 31] = [
    "Txn-Token",
    "Pqlane-Delegation",
    "X-Forwarded-Client-Cert",
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-Port",
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Whatever",
    "Workload-Identity-Token",
    "Workload-Proof-Token",
    "X-Spiffe-Id",
    "X-Spiffe-Whatever",
    "Client-Cert",
    "Client-Cert-Chain",
    "X-Client-Cert",
    "X-SSL-Client-Cert",
    "SSL-Client-Cert",
    "X-Real-IP",
    "Remote-User",
    "X-Remote-User",
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "X-Goog-Authenticated-User-Email",
    "X-Amzn-Oidc-Identity",
    "X-MS-Client-Principal",
    "L5d-Client-Id",
    "Tailscale-User-Login",
    "Baggage",
];

/// The spellings in which a framework may take a name for the same.
fn spellings(name: &str) -> Vec<String> {
    let mut first_only = name.to_owned();
    if let Some(at) = name.find('-') {
        first_only.replace_range(at..=at, "_");
    }
    let mut spellings = vec![
        name.to_owned(),
        name.to_lowercase(),
        name.to_uppercase(),
        name.replace('-', "_"),
        name.to_uppercase().replace('-', "_"),
        first_only,
    ];
    spellings.sort();
    spellings.dedup();
    spellings
}

/// What a workload got that a caller made up.
fn spoofed(seen: &Seen) -> Vec<String> {
    let fields = seen.head.headers.iter().chain(seen.trailers.iter());
    fields
        .filter(|(_, value)| String::from_utf8_lossy(value.as_bytes()).contains("spoofed"))
        .map(|(name, _)| name.to_string())
        .collect()
}

const NOTHING: [&str; 0] = [];

#[test]
fn the_list_of_spellings_is_a_list() {
    assert_eq!(
        spellings("X-Spiffe-Id"),
        [
            "X-SPIFFE-ID",
            "X-Spiffe-Id",
            "X_SPIFFE_ID",
            "X_Spiffe-Id",
            "X_Spiffe_Id",
            "x-spiffe-id"
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identity_headers_of_a_peer_never_reach_the_workload() {
    let world = World::new();
    let (workload, mut calls) = Workload::recording(Version::Http1).await;
    let ingress = world.ingress(workload.address).await;
    let mut stream = world
        .agent()
        .alpn("http/1.1")
        .connect(ingress.address())
        .await
        .unwrap();
    let mut leaked = Vec::new();
    for name in IDENTITY {
        for name in spellings(name) {
            let request = format!(
                "GET / HTTP/1.1\r\nhost: localhost\r\nx-mine: 1\r\n{name}: spoofed\r\n\r\n"
            );
            stream.write_all(request.as_bytes()).await.unwrap();
            read_until(&mut stream, "ok").await;
            let seen = next_seen(&mut calls).await;
            leaked.extend(spoofed(&seen));
            assert_eq!(seen.values("x-mine"), ["1"]);
        }
    }
    assert_eq!(leaked, NOTHING);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identity_headers_of_the_local_workload_never_leave_the_egress() {
    let world = World::new();
    let (server, mut calls) = lane_server(&world).await;
    let egress = world.egress(server).await;
    let mut stream = TcpStream::connect(egress.address()).await.unwrap();
    let mut leaked = Vec::new();
    for name in IDENTITY {
        for name in spellings(name) {
            let request = format!(
                "GET / HTTP/1.1\r\nhost: localhost\r\nx-mine: 1\r\n{name}: spoofed\r\n\r\n"
            );
            stream.write_all(request.as_bytes()).await.unwrap();
            read_until(&mut stream, "ok").await;
            let seen = next_seen(&mut calls).await;
            leaked.extend(spoofed(&seen));
            assert_eq!(seen.values("x-mine"), ["1"]);
        }
    }
    assert_eq!(leaked, NOTHING);
}

/// The far end of a lane, which gives what reached it.
async fn lane_server(world: &World) -> (std::net::SocketAddr, UnboundedReceiver<Seen>) {
    use http_body_util::BodyExt;
    let (seen, calls) = tokio::sync::mpsc::unbounded_channel();
    let peer = crate::support::tls::Peer::new(world, &world.svid(MCP));
    let server = peer
        .serve(Version::Http2, move |request| {
            let seen = seen.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.unwrap();
                let trailers = body.trailers().cloned().unwrap_or_default();
                let body = body.to_bytes();
                let _ = seen.send(Seen {
                    head,
                    body,
                    trailers,
                });
                Response::new(full("ok"))
            }
        })
        .await;
    (server.address, calls)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identity_headers_in_trailers_never_arrive() {
    let world = World::new();
    let (workload, mut calls) = Workload::recording(Version::Http2).await;
    let (plain, mut plain_calls) = Workload::recording(Version::Http1).await;
    let ingress = world
        .sidecar(MCP)
        .towards_workload_with(
            plain.address,
            &format!("grpc_workload = \"http://{}\"", workload.address),
        )
        .start()
        .await;
    let mut client = world.agent().http2(ingress.address()).await;
    let (hand, body) = held();
    let request = client
        .request("POST", "/a.B/C")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(body)
        .unwrap();
    let mut trailers = HeaderMap::new();
    for name in IDENTITY.iter().flat_map(|name| spellings(name)) {
        let name: http::HeaderName = name.parse().unwrap();
        trailers.insert(name, HeaderValue::from_static("spoofed"));
    }
    trailers.insert("x-mine", HeaderValue::from_static("1"));
    tokio::spawn(async move { hand.trailers(trailers).await });
    client.call(request).await;
    let seen = next_seen(&mut calls).await;
    assert_eq!(spoofed(&seen), NOTHING);
    assert_eq!(seen.trailers["x-mine"], "1");

    let agent = world.agent().alpn("http/1.1");
    let mut stream = agent.connect(ingress.address()).await.unwrap();
    let request = "POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\
                   trailer: X-Forwarded-Client-Cert, x_spiffe_id\r\n\r\n\
                   1\r\nx\r\n0\r\nX-Forwarded-Client-Cert: spoofed\r\nx_spiffe_id: spoofed\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    read_until(&mut stream, "ok").await;
    assert_eq!(spoofed(&next_seen(&mut plain_calls).await), NOTHING);
}

/// SHA-256 in lower-case hexadecimal.
fn sha256(bytes: &[u8]) -> String {
    let suite = TLS13_AES_128_GCM_SHA256.tls13().unwrap();
    let hash = suite.common.hash_provider.hash(bytes);
    hash.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

fn expected_xfcc(svid: &TestSvid) -> [String; 3] {
    [
        format!("By={}", id(MCP)),
        format!("Hash={}", sha256(&svid.chain()[0])),
        format!("URI={}", id(AGENT)),
    ]
}

fn assert_names(seen: &Seen, svid: &TestSvid) {
    let values = seen.values("x-forwarded-client-cert");
    assert_eq!(values.len(), 1, "{values:?}");
    let members: Vec<&str> = values[0].split(';').collect();
    for expected in expected_xfcc(svid) {
        assert!(
            members.contains(&expected.as_str()),
            "{expected} in {values:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_workload_reads_who_calls_from_forwarded_client_cert() {
    let world = World::new();
    let (workload, mut calls) = Workload::recording(Version::Http1).await;
    let ingress = world.ingress(workload.address).await;
    let svid = world.svid(AGENT);
    let egress = world
        .sidecar_with(&svid)
        .towards_peer(ingress.address())
        .start()
        .await;
    let mut client = Client::http1(egress.address()).await;
    client.get("/").await;
    assert_names(&next_seen(&mut calls).await, &svid);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_cannot_have_the_peers_identity_removed_through_connection() {
    let world = World::new();
    let (workload, mut calls) = Workload::recording(Version::Http1).await;
    let ingress = world.ingress(workload.address).await;
    let svid = world.svid(AGENT);
    let agent = crate::support::tls::Peer::new(&world, &svid).alpn("http/1.1");
    for nominated in ["X-Forwarded-Client-Cert", "x-forwarded-client-cert, close"] {
        let mut stream = agent.connect(ingress.address()).await.unwrap();
        let request = format!(
            "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: {nominated}\r\n\
             x-forwarded-client-cert: spoofed\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        read_until(&mut stream, "ok").await;
        let seen = next_seen(&mut calls).await;
        assert_names(&seen, &svid);
        assert_eq!(spoofed(&seen), NOTHING);
    }
}

/// Request headers that only their two ends understand.
const END_TO_END: [(&str, &str); 21] = [
    ("authorization", "Bearer abc.def"),
    ("dpop", "eyJ.eyJ.sig"),
    ("mcp-protocol-version", "2026-07-28"),
    ("mcp-method", "tools/call"),
    ("mcp-name", "=?base64?w6k=?="),
    ("mcp-param-region", "eu"),
    ("a2a-version", "1.0"),
    ("a2a-extensions", "https://example.org/x"),
    ("x-a2a-extensions", "https://example.org/y"),
    ("x-a2a-notification-token", "token"),
    (
        "traceparent",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ),
    ("tracestate", "a=b"),
    ("last-event-id", "17"),
    ("user-agent", "agent/1"),
    ("accept-encoding", "gzip, deflate"),
    ("cookie", "a=b; c=d"),
    ("if-none-match", "W/\"1\""),
    ("origin", "http://localhost:1234"),
    ("referer", "http://localhost:1234/x"),
    ("x-unknown", "two  blanks"),
    ("x_unknown_underscore", "1"),
];

/// The call that these headers speak of.
const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"é","arguments":{"region":"eu"},
    "_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn end_to_end_headers_pass_untouched() {
    let world = World::new();
    let (workload, mut calls) = Workload::recording(Version::Http1).await;
    let ingress = world.ingress(workload.address).await;
    let egress = world.egress(ingress.address()).await;
    for mut client in [
        Client::http1(egress.address()).await,
        Client::http2(egress.address()).await,
    ] {
        let mut request = client.request("POST", "/mcp");
        for (name, value) in END_TO_END {
            request = request.header(name, value);
        }
        let latin = HeaderValue::from_bytes(b"caf\xe9").unwrap();
        let request = request.header("x-latin", latin).body(full(CALL)).unwrap();
        client.call(request).await;
        let seen = next_seen(&mut calls).await;
        for (name, value) in END_TO_END {
            assert_eq!(seen.values(name), [value], "{name}");
        }
        assert_eq!(seen.head.headers["x-latin"].as_bytes(), b"caf\xe9");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_headers_pass_untouched() {
    const HEADERS: [(&str, &str); 7] = [
        ("x-accel-buffering", "no"),
        ("etag", "W/\"1\""),
        ("cache-control", "no-cache"),
        ("server", "agent/1"),
        ("x-unknown", "1"),
        (
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
        ("content-type", "text/event-stream"),
    ];
    let world = World::new();
    let workload = Workload::start(Version::Http1, |_request| async {
        let mut response = Response::builder()
            .header("set-cookie", "a=b")
            .header("set-cookie", "c=d");
        for (name, value) in HEADERS {
            response = response.header(name, value);
        }
        response.body(full("data: 1\n\n")).unwrap()
    })
    .await;
    let ingress = world.ingress(workload.address).await;
    let egress = world.egress(ingress.address()).await;
    for mut client in [
        Client::http1(egress.address()).await,
        Client::http2(egress.address()).await,
    ] {
        let answer = client.get("/").await;
        for (name, value) in HEADERS {
            assert_eq!(answer.header(name), Some(value), "{name}");
        }
        let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
        assert_eq!(cookies, ["a=b", "c=d"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hop_by_hop_headers_of_a_request_end_at_the_hop() {
    let world = World::new();
    let (workload, mut calls) = Workload::recording(Version::Http1).await;
    let ingress = world.ingress(workload.address).await;
    let egress = world.egress(ingress.address()).await;
    let mut stream = TcpStream::connect(egress.address()).await.unwrap();
    let request = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close, x-private, te\r\n\
                   keep-alive: timeout=5\r\nproxy-connection: keep-alive\r\nte: gzip\r\n\
                   x-private: 1\r\nx-public: 1\r\n\r\n";
    raw_call(&mut stream, request).await;
    let seen = next_seen(&mut calls).await;
    for name in [
        "keep-alive",
        "proxy-connection",
        "x-private",
        "te",
        "upgrade",
    ] {
        assert_eq!(seen.values(name), NOTHING, "{name}");
    }
    assert!(
        !seen
            .values("connection")
            .iter()
            .any(|value| value.contains("x-private"))
    );
    assert_eq!(seen.values("x-public"), ["1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hop_by_hop_headers_of_an_answer_end_at_the_hop() {
    let world = World::new();
    let workload = raw_workload(|mut stream| async move {
        read_until(&mut stream, "\r\n\r\n").await;
        let answer = "HTTP/1.1 200 OK\r\nconnection: x-private, close\r\nkeep-alive: timeout=9\r\n\
                      proxy-connection: keep-alive\r\nupgrade: h2c\r\nx-private: 1\r\n\
                      x-public: 1\r\ncontent-length: 2\r\n\r\nok";
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let ingress = world.ingress(workload).await;
    let egress = world.egress(ingress.address()).await;
    for mut client in [
        Client::http1(egress.address()).await,
        Client::http2(egress.address()).await,
    ] {
        let answer = client.get("/").await;
        for name in ["keep-alive", "proxy-connection", "x-private", "upgrade"] {
            assert_eq!(answer.header(name), None, "{name}");
        }
        assert_eq!(answer.header("x-public"), Some("1"));
        assert_eq!(answer.body, "ok");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_is_not_carried_and_the_call_is_answered() {
    let world = World::new();
    let (workload, mut calls) = Workload::recording(Version::Http1).await;
    let ingress = world.ingress(workload.address).await;
    let egress = world.egress(ingress.address()).await;
    let mut client = Client::http1(egress.address()).await;
    let request = client
        .request("GET", "/socket")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .body(empty())
        .unwrap();
    assert_eq!(client.call(request).await.status, 200);
    assert_eq!(next_seen(&mut calls).await.values("upgrade"), NOTHING);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_workload_sees_the_callers_host_where_configured() {
    let world = World::new();
    let (workload, mut calls) = Workload::recording(Version::Http1).await;
    let ingress = world
        .sidecar(MCP)
        .towards_workload_with(workload.address, "preserve_host = true")
        .start()
        .await;
    let named = world
        .sidecar(AGENT)
        .towards_peer_with(ingress.address(), "authority = \"mcp.internal:8443\"")
        .start()
        .await;
    Client::http1(named.address()).await.get("/").await;
    let seen = next_seen(&mut calls).await;
    assert_eq!(seen.values("host"), ["mcp.internal:8443"]);

    let unnamed = world.egress(ingress.address()).await;
    Client::http1(unnamed.address()).await.get("/").await;
    let seen = next_seen(&mut calls).await;
    assert_eq!(seen.values("host"), [ingress.address().to_string()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_workload_learns_which_host_was_asked_for() {
    let world = World::new();
    let (workload, mut calls) = Workload::recording(Version::Http1).await;
    let ingress = world.ingress(workload.address).await;
    let client = world.agent().http2(ingress.address()).await;
    client.asking_for("mcp.internal").get("/").await;
    let seen = next_seen(&mut calls).await;
    assert_eq!(seen.values("host"), [workload.address.to_string()]);
    assert_eq!(seen.values("x-forwarded-host"), ["mcp.internal"]);
}
