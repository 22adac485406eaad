//! Who may call what, and how much at once.

use pqlane::deny::DenyReason;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::support::http::{Answer, Client, Hand, Version, Workload, empty, full, held};
use crate::support::tls::Peer;
use crate::support::within;
use crate::support::world::{MCP, Sidecar, World, id};

fn assert_denied(answer: &Answer, status: u16, reason: DenyReason) {
    assert_eq!(answer.status, status, "{answer:?}");
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["error"]["code"], reason.code());
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

/// A sidecar where only the operator may call what lies below `/admin`.
async fn with_route(world: &World, workload: &Workload) -> Sidecar {
    let route = format!(
        "[[inbound.route]]\npath = \"/admin\"\nallow = [\"{}\"]",
        id("/agent/operator")
    );
    let ingress = world.sidecar(MCP);
    ingress
        .towards_workload_with(workload.address, &route)
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_is_for_those_it_names() {
    let world = World::new();
    let workload = Workload::ok().await;
    let ingress = with_route(&world, &workload).await;
    let mut agent = world.agent().http2(ingress.address()).await;
    for path in ["/admin", "/admin/", "/admin/x", "/admin?x=1"] {
        assert_denied(&agent.get(path).await, 403, DenyReason::RouteNotAllowed);
    }
    ingress.records.denied(DenyReason::RouteNotAllowed).await;
    assert_eq!(workload.count(), 0);
    for path in [
        "/",
        "/administrator",
        "/mcp/admin",
        "/a%20b",
        "/mcp?x=/admin",
    ] {
        assert_eq!(agent.get(path).await.status, 200, "{path}");
    }
    let operator = Peer::new(&world, &world.svid("/agent/operator"));
    let mut operator = operator.http2(ingress.address()).await;
    assert_eq!(operator.get("/admin/x").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_that_could_mean_a_guarded_one_is_refused() {
    let world = World::new();
    let workload = Workload::ok().await;
    let ingress = with_route(&world, &workload).await;
    let mut agent = world.agent().http2(ingress.address()).await;
    for path in [
        "/x/../admin",
        "/./admin",
        "//admin",
        "/%61dmin",
        "/%2561dmin",
        "/admin;x",
        "/x/..%2fadmin",
        "/x/%2e%2e/admin",
        "/x\\..\\admin",
        "/mcp/%2F",
        "/%00",
    ] {
        let request = agent.request("GET", path).body(empty()).unwrap();
        let answer = agent.call(request).await;
        assert_denied(&answer, 403, DenyReason::AmbiguousPath);
    }
    ingress.records.denied(DenyReason::AmbiguousPath).await;
    assert_eq!(workload.count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_path_passes_where_no_route_depends_on_it() {
    let world = World::new();
    let workload = Workload::ok().await;
    let ingress = world.ingress(workload.address).await;
    let mut agent = world.agent().http2(ingress.address()).await;
    for path in [
        "/x/../y",
        "//x",
        "/%61",
        "/.well-known/agent-card.json",
        "/x;y",
    ] {
        assert_eq!(agent.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_asks_for_somebody_else_is_misdirected() {
    let world = World::new();
    let workload = Workload::ok().await;
    let ingress = world.sidecar(MCP);
    let lines = "authorities = [\"Weather.internal\", \"news.internal:8443\"]";
    let ingress = ingress.towards_workload_with(workload.address, lines);
    let ingress = ingress.start().await;
    for (authority, status) in [
        ("weather.internal", 200),
        ("weather.internal:9", 200),
        ("NEWS.internal:8443", 200),
        ("news.internal:8444", 421),
        ("weather.internal.evil.example", 421),
        ("localhost", 421),
    ] {
        let client = world.agent().http2(ingress.address()).await;
        let answer = client.asking_for(authority).get("/mcp").await;
        assert_eq!(answer.status, status, "{authority}");
    }
    ingress.records.denied(DenyReason::RouteUnknown).await;
    assert_eq!(workload.count(), 3);
}

/// Opens a stream on every call.
async fn streams() -> (Workload, mpsc::UnboundedReceiver<Hand>) {
    let (hands, opened) = mpsc::unbounded_channel();
    let workload = Workload::start(Version::Http1, move |request| {
        let hands = hands.clone();
        async move {
            if request.uri().path() != "/stream" {
                return http::Response::new(full("ok"));
            }
            let (hand, body) = held();
            let _ = hands.send(hand);
            http::Response::new(body)
        }
    })
    .await;
    (workload, opened)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_has_no_more_calls_open_than_one_may() {
    let world = World::new();
    let (workload, mut opened) = streams().await;
    let ingress = world.sidecar(MCP).limit("calls_per_peer = 2");
    let ingress = ingress.towards_workload(workload.address).start().await;
    let mut agent = world.agent().http2(ingress.address()).await;
    let mut bodies = Vec::new();
    let mut hands = Vec::new();
    for _ in 0..2 {
        let request = agent.request("GET", "/stream").body(empty()).unwrap();
        bodies.push(agent.send(request).await);
        hands.push(within("stream", opened.recv()).await.unwrap());
    }
    // Over all its connections, and for nobody else.
    let mut second = world.agent().http2(ingress.address()).await;
    assert_denied(&second.get("/call").await, 503, DenyReason::TooMany);
    ingress.records.denied(DenyReason::TooMany).await;
    let other = Peer::new(&world, &world.svid("/agent/bob"));
    let mut other = other.http2(ingress.address()).await;
    assert_eq!(other.get("/call").await.status, 200);

    drop((bodies, hands));
    within("room again", async {
        while second.get("/call").await.status != 200 {}
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_has_no_more_connections_than_one_may() {
    let world = World::new();
    let workload = Workload::ok().await;
    let ingress = world.sidecar(MCP).limit("connections_per_peer = 1");
    let ingress = ingress.towards_workload(workload.address).start().await;
    let mut first = world.agent().http2(ingress.address()).await;
    assert_eq!(first.get("/").await.status, 200);

    // The second may get its handshake, and then no service.
    let second = world
        .agent()
        .alpn("http/1.1")
        .connect(ingress.address())
        .await;
    if let Ok(mut stream) = second {
        let request = "GET /second HTTP/1.1\r\nhost: localhost\r\n\r\n";
        let answer = crate::support::http::raw_call(&mut stream, request).await;
        assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    ingress.records.refused(DenyReason::TooMany).await;
    assert_eq!(workload.count(), 1);

    let other = Peer::new(&world, &world.svid("/agent/bob"));
    let mut other = other.http2(ingress.address()).await;
    assert_eq!(other.get("/").await.status, 200);
    assert_eq!(first.get("/").await.status, 200);

    drop(first);
    within("room again", async {
        loop {
            let Ok(mut stream) = world
                .agent()
                .alpn("http/1.1")
                .connect(ingress.address())
                .await
            else {
                continue;
            };
            let request = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
            let answer = crate::support::http::raw_call(&mut stream, request).await;
            if answer.starts_with("HTTP/1.1 200") {
                return;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_beyond_the_listeners_limit_wait_their_turn() {
    let world = World::new();
    let workload = Workload::ok().await;
    let egress = world
        .sidecar("/agent/alice")
        .limit("connections_per_listener = 1");
    let ingress = world.ingress(workload.address).await;
    let egress = egress.towards_peer(ingress.address()).start().await;
    let mut first = Client::http1(egress.address()).await;
    assert_eq!(first.get("/first").await.status, 200);
    let mut second = Client::http1(egress.address()).await;
    let waiting = tokio::spawn(async move { second.get("/second").await });
    for _ in 0..10 {
        assert_eq!(first.get("/first").await.status, 200);
    }
    assert_eq!(workload.count(), 11);
    drop(first);
    assert_eq!(waiting.await.unwrap().status, 200);
}
