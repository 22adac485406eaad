//! What the local listener takes: names that are its own, and heads that mean one thing.

use std::net::SocketAddr;

use pqlane::deny::DenyReason;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Duration, interval};

use crate::support::frames::{GET, GOAWAY, HEADERS, RST_STREAM, WHOLE, frame, greet, until_frame};
use crate::support::http::{
    Client, Version, Workload, empty, full, next_seen, raw_call, read_until,
};
use crate::support::within;
use crate::support::world::{AGENT, MCP, Sidecar, World, id};

/// A lane with both sidecars and a workload.
struct Lane {
    world: World,
    workload: Workload,
    ingress: Sidecar,
    egress: Sidecar,
}

impl Lane {
    async fn new() -> Self {
        Self::with("").await
    }

    async fn with(limits: &str) -> Self {
        let world = World::new();
        let workload = Workload::ok().await;
        let ingress = world.sidecar(MCP).limit(limits);
        let ingress = ingress.towards_workload(workload.address).start().await;
        let route = format!(
            "[[outbound.route]]\nname = \"other\"\nauthority = \"other.internal:8443\"\n\
             connect = \"{}\"\npeers = [\"{}\"]",
            ingress.address(),
            id(MCP)
        );
        let egress = world.sidecar(AGENT).limit(limits);
        let egress = egress
            .towards_peer_with(ingress.address(), &route)
            .start()
            .await;
        Self {
            world,
            workload,
            ingress,
            egress,
        }
    }

    fn address(&self) -> SocketAddr {
        self.egress.address()
    }

    /// What the egress answers to these bytes.
    async fn answer(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address()).await.unwrap();
        raw_call(&mut stream, request).await
    }

    /// What the sidecar answers to these bytes from a peer.
    async fn peers_answer(&self, request: &str) -> String {
        let peer = self.world.agent().alpn("http/1.1");
        let mut stream = peer.connect(self.ingress.address()).await.unwrap();
        raw_call(&mut stream, request).await
    }
}

fn assert_denied(answer: &str, status: u16, reason: DenyReason) {
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status}")),
        "{answer}"
    );
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["error"]["code"], reason.code());
    assert_eq!(body.get("jsonrpc"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_is_not_local_is_refused() {
    let lane = Lane::new().await;
    for host in [
        "evil.example.com",
        "evil.example.com:80",
        "localhost.evil.example.com",
        "127.0.0.1.evil.example.com",
        "10.0.0.1",
        "0.0.0.0",
        "[::2]",
        "other.internal.evil.example.com",
    ] {
        let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let answer = lane.answer(&request).await;
        assert_denied(&answer, 403, DenyReason::HostNotLocal);
    }
    lane.egress.records.denied(DenyReason::HostNotLocal).await;
    assert_eq!(lane.workload.count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn local_hosts_are_taken() {
    let lane = Lane::new().await;
    let port = lane.address().port();
    for host in ["localhost", "LocalHost", "127.0.0.1", "[::1]"] {
        for host in [host.to_owned(), format!("{host}:{port}")] {
            let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
            let answer = lane.answer(&request).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{host}: {answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_that_is_not_local_is_refused() {
    let lane = Lane::new().await;
    for origin in [
        "http://evil.example.com",
        "https://localhost.evil.example.com",
        "http://127.0.0.1.evil.example.com",
        "http://localhost@evil.example.com",
        "null",
        "file://",
        "",
    ] {
        let request = format!(
            "GET / HTTP/1.1\r\nhost: localhost\r\norigin: {origin}\r\nconnection: close\r\n\r\n"
        );
        let answer = lane.answer(&request).await;
        assert_denied(&answer, 403, DenyReason::OriginNotLocal);
    }
    let two = "GET / HTTP/1.1\r\nhost: localhost\r\norigin: http://localhost\r\n\
               origin: http://evil.example.com\r\nconnection: close\r\n\r\n";
    assert_denied(&lane.answer(two).await, 403, DenyReason::OriginNotLocal);
    lane.egress.records.denied(DenyReason::OriginNotLocal).await;
    assert_eq!(lane.workload.count(), 0);
    for origin in [
        "http://localhost:6274",
        "https://127.0.0.1",
        "http://[::1]:8080",
    ] {
        let request = format!(
            "GET / HTTP/1.1\r\nhost: localhost\r\norigin: {origin}\r\nconnection: close\r\n\r\n"
        );
        let answer = lane.answer(&request).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{origin}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_without_a_route_is_misdirected() {
    let lane = Lane::new().await;
    for request in [
        "GET / HTTP/1.1\r\nhost: nobody.localhost\r\nconnection: close\r\n\r\n",
        "GET http://elsewhere.internal:8443/ HTTP/1.1\r\nhost: elsewhere.internal:8443\r\n\
         connection: close\r\n\r\n",
        "GET http://other.internal:1/ HTTP/1.1\r\nhost: other.internal:1\r\n\
         connection: close\r\n\r\n",
    ] {
        let answer = lane.answer(request).await;
        assert_denied(&answer, 421, DenyReason::RouteUnknown);
    }
    lane.egress.records.denied(DenyReason::RouteUnknown).await;
    assert_eq!(lane.workload.count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connect_is_refused_on_both_sides() {
    let lane = Lane::new().await;
    let connect = "CONNECT other.internal:8443 HTTP/1.1\r\nhost: other.internal:8443\r\n\
                   connection: close\r\n\r\n";
    assert_denied(&lane.answer(connect).await, 405, DenyReason::ConnectMethod);
    lane.egress.records.denied(DenyReason::ConnectMethod).await;
    assert_denied(
        &lane.peers_answer(connect).await,
        405,
        DenyReason::ConnectMethod,
    );
    lane.ingress.records.denied(DenyReason::ConnectMethod).await;
    assert_eq!(lane.workload.count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_with_no_or_several_authorities_is_malformed() {
    let lane = Lane::new().await;
    for request in [
        "GET / HTTP/1.1\r\nconnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\nconnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: localhost\r\nhost: evil.example.com\r\nconnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: \r\nconnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a b\r\nconnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: user@localhost\r\nconnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: localhost/path\r\nconnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: localhost, localhost\r\nconnection: close\r\n\r\n",
        "GET http://other.internal:8443/ HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    ] {
        let answer = lane.answer(request).await;
        assert_denied(&answer, 400, DenyReason::MalformedRequest);
        let answer = lane.peers_answer(request).await;
        assert_denied(&answer, 400, DenyReason::MalformedRequest);
    }
    lane.egress
        .records
        .denied(DenyReason::MalformedRequest)
        .await;
    lane.ingress
        .records
        .denied(DenyReason::MalformedRequest)
        .await;
    assert_eq!(lane.workload.count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_http2_request_with_two_authorities_is_malformed() {
    let lane = Lane::new().await;
    let mut client = Client::http2(lane.address()).await;
    let request = client
        .request("GET", "/")
        .header("host", "evil.example.com")
        .body(empty())
        .unwrap();
    let answer = client.call(request).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.header("pqlane-denied"), Some("malformed-request"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_is_no_http_gets_400_and_reaches_nobody() {
    let lane = Lane::new().await;
    for request in [
        "NOT HTTP\r\n\r\n",
        "GET / HTTP/9.9\r\nhost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: localhost\r\nbad name: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: localhost\r\nname : 1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: localhost\r\nx: a\0b\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx",
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: gzip\r\n\r\n",
    ] {
        let answer = lane.answer(request).await;
        assert!(
            answer.starts_with("HTTP/1.1 400"),
            "{request:?}: {answer:?}"
        );
        let answer = lane.peers_answer(request).await;
        assert!(
            answer.starts_with("HTTP/1.1 400"),
            "{request:?}: {answer:?}"
        );
    }
    assert_eq!(lane.workload.count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_cannot_be_read_is_counted() {
    let world = World::new();
    let workload = Workload::ok().await;
    let ingress = world.ingress(workload.address).await;
    let egress = world.sidecar(AGENT).admin();
    let egress = egress.limit("request_head_seconds = 1");
    let egress = egress.towards_peer(ingress.address()).start().await;
    let long = "x".repeat(40 * 1024);
    let cases = [
        (DenyReason::MalformedRequest, "NOT HTTP\r\n\r\n".to_owned()),
        (
            DenyReason::HeadTooLarge,
            format!("GET / HTTP/1.1\r\nhost: localhost\r\nx-long: {long}\r\n\r\n"),
        ),
        // Never finished: the limit on time ends it.
        (
            DenyReason::HeadTimeout,
            "GET / HTTP/1.1\r\nhost:".to_owned(),
        ),
    ];
    for (_, request) in &cases {
        let mut stream = TcpStream::connect(egress.address()).await.unwrap();
        raw_call(&mut stream, request).await;
    }
    let metrics = Client::http1(egress.listener("admin"))
        .await
        .get("/metrics")
        .await;
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    for (reason, _) in cases {
        let label = format!("reason=\"{}\"", reason.code());
        let counted: u64 = text
            .lines()
            .filter(|line| line.contains(&label) && line.contains("listener=\"outbound\""))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
            .sum();
        assert_eq!(counted, 1, "{label} in {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_lengths_never_smuggle_a_second_request() {
    let world = World::new();
    let (workload, mut calls) = Workload::recording(Version::Http1).await;
    let ingress = world.ingress(workload.address).await;
    let egress = world.egress(ingress.address()).await;
    // By Content-Length the inner request is body; by Transfer-Encoding it comes after the body.
    let inner = "GET /smuggled HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let request = format!(
        "POST /outer HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\
         transfer-encoding: chunked\r\n\r\n0\r\n\r\n{inner}",
        inner.len() + 5
    );
    let mut stream = TcpStream::connect(egress.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let answer = read_until(&mut stream, "\r\n\r\n").await;
    // RFC 9112 §6.1: refuse it, or take Transfer-Encoding, drop the length, and close afterwards.
    if answer.starts_with("HTTP/1.1 200") {
        let seen = next_seen(&mut calls).await;
        assert_eq!((seen.head.uri.path(), &seen.body[..]), ("/outer", &b""[..]));
        assert!(seen.values("content-length").is_empty() || seen.values("content-length") == ["0"]);
    } else {
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    drop(stream);
    let mut client = Client::http1(egress.address()).await;
    client.get("/after").await;
    let mut paths = vec![next_seen(&mut calls).await.head.uri.path().to_owned()];
    while let Ok(seen) = calls.try_recv() {
        paths.push(seen.head.uri.path().to_owned());
    }
    assert!(!paths.iter().any(|path| path == "/smuggled"), "{paths:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grpc_caller_is_told_in_trailers_only() {
    let lane = Lane::new().await;
    for (host, status) in [("evil.example.com", "7"), ("nobody.localhost", "7")] {
        let mut client = Client::http2(lane.address()).await.asking_for(host);
        let request = client
            .request("POST", "/lf.a2a.v1.A2AService/SendMessage")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(full("message"))
            .unwrap();
        let answer = client.call(request).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("application/grpc"));
        assert_eq!(answer.header("grpc-status"), Some(status));
        assert_eq!(answer.body, "");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_oversized_head_gets_431_and_reaches_nobody() {
    let lane = Lane::new().await;
    let long = "x".repeat(40 * 1024);
    let many = "x-many: 1\r\n".repeat(5_000);
    for request in [
        format!("GET / HTTP/1.1\r\nhost: localhost\r\nx-long: {long}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nhost: localhost\r\n{many}\r\n"),
    ] {
        let answer = lane.answer(&request).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer:?}");
        let answer = lane.peers_answer(&request).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer:?}");
    }
    let mut client = lane.world.agent().http2(lane.ingress.address()).await;
    let request = client.request("GET", "/").header("x-long", &long);
    let refused = client.try_send(request.body(empty()).unwrap()).await;
    assert!(refused.is_err() || refused.is_ok_and(|answer| answer.status() == 431));
    assert_eq!(lane.workload.count(), 0);
    let mut good = Client::http1(lane.address()).await;
    assert_eq!(good.get("/").await.body, "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_below_the_limit_passes() {
    let lane = Lane::new().await;
    let long = "x".repeat(24 * 1024);
    for mut client in [
        Client::http1(lane.address()).await,
        Client::http2(lane.address()).await,
    ] {
        let request = client.request("GET", "/").header("x-long", &long);
        let answer = client.call(request.body(empty()).unwrap()).await;
        assert_eq!(answer.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_stops_or_drips_is_cut() {
    let lane = Lane::with("request_head_seconds = 1").await;
    let mut good = Client::http1(lane.address()).await;
    let head = format!(
        "GET / HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n",
        "x".repeat(200)
    );
    let mut silent = TcpStream::connect(lane.address()).await.unwrap();
    silent.write_all(&head.as_bytes()[..20]).await.unwrap();
    let peer = lane.world.agent().alpn("http/1.1");
    let mut silent_peer = peer.connect(lane.ingress.address()).await.unwrap();
    silent_peer.write_all(&head.as_bytes()[..20]).await.unwrap();
    assert_eq!(good.get("/").await.body, "ok");

    crate::support::http::read_to_end(&mut silent).await;
    crate::support::http::read_to_end(&mut silent_peer).await;

    let mut slow = TcpStream::connect(lane.address()).await.unwrap();
    let mut often = interval(Duration::from_millis(100));
    within("cut of who drips", async {
        let (mut from, mut to) = slow.split();
        let drip = async {
            for byte in head.as_bytes() {
                often.tick().await;
                if to.write_all(&[*byte]).await.is_err() {
                    return;
                }
            }
            panic!(
                "a head of {} bytes at 10 bytes a second was let in",
                head.len()
            );
        };
        let mut bytes = Vec::new();
        tokio::select! {
            () = drip => {}
            _ = from.read_to_end(&mut bytes) => {}
        }
    })
    .await;
    assert_eq!(lane.workload.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_without_a_request_is_closed_in_time() {
    let lane = Lane::with("connection_idle_seconds = 1\nrequest_head_seconds = 1").await;
    let mut silent = TcpStream::connect(lane.address()).await.unwrap();
    assert_eq!(crate::support::http::read_to_end(&mut silent).await, "");
    let peer = lane.world.agent().alpn("http/1.1");
    let mut silent = peer.connect(lane.ingress.address()).await.unwrap();
    assert_eq!(crate::support::http::read_to_end(&mut silent).await, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_http2_connection_without_a_request_is_closed_in_time() {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let lane = Lane::with(
        "connection_idle_seconds = 1\nrequest_head_seconds = 1\n\
         h2_ping_seconds = 1\nh2_ping_timeout_seconds = 1",
    )
    .await;
    let peer = lane.world.agent().alpn("h2");
    // With a preface and answers to nothing; with a preface cut short; with nothing at all.
    let mut open = Vec::new();
    for len in [preface.len(), 10, 0] {
        let mut silent = peer.connect(lane.ingress.address()).await.unwrap();
        silent.write_all(&preface[..len]).await.unwrap();
        let end = crate::support::http::read_to_end(&mut silent);
        let patience = crate::support::DEADLINE / 3;
        if tokio::time::timeout(patience, end).await.is_err() {
            open.push(format!("after {len} of {} bytes", preface.len()));
        }
    }
    assert!(open.is_empty(), "still open: {open:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_resets_ends_its_connection_and_no_other() {
    let lane = Lane::new().await;
    let mut good = lane.world.agent().http2(lane.ingress.address()).await;
    let agent = lane.world.agent().alpn("h2");
    let stream = agent.connect(lane.ingress.address()).await.unwrap();
    let (mut from, mut to) = tokio::io::split(stream);
    let flood = tokio::spawn(async move {
        greet(&mut to).await;
        for number in 0..20_000 {
            let stream = 2 * number + 1;
            let mut frames = frame(HEADERS, WHOLE, stream, GET);
            // CANCEL
            frames.extend(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
            if to.write_all(&frames).await.is_err() {
                break;
            }
        }
    });
    let goaway = until_frame(&mut from, GOAWAY, 0).await;
    // ENHANCE_YOUR_CALM
    assert_eq!(goaway[4..8], [0, 0, 0, 11]);
    assert_eq!(good.get("/good").await.body, "ok");
    flood.abort();
}
