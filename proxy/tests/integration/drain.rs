//! Stopping: readiness first, what is open to its end or to the deadline, and the exit code last.

use std::os::unix::fs::PermissionsExt;

use pqlane::app::Ended;
use pqlane::deny::DenyReason;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::support::frames::{GET, GOAWAY, HEADERS, WHOLE, frame, greet, until_frame};
use crate::support::http::{
    Client, Hand, Version, Workload, empty, expect_bytes, expect_end, full, held, next_bytes, serve,
};
use crate::support::process::{Process, code};
use crate::support::world::{AGENT, MCP, World};
use crate::support::{eventually, within};

/// A workload whose answers stay open.
async fn streams() -> (Workload, UnboundedReceiver<Hand>) {
    let (hands, opened) = unbounded_channel();
    let workload = Workload::start(Version::Http1, move |_request| {
        let (hand, body) = held();
        let _ = hands.send(hand);
        async move {
            http::Response::builder()
                .header("content-type", "text/event-stream")
                .body(body)
                .unwrap()
        }
    })
    .await;
    (workload, opened)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_turns_while_a_stopped_process_finishes_its_streams() {
    let world = World::new();
    let (workload, mut opened) = streams().await;
    let setup = world.sidecar(MCP).admin();
    let setup = setup.towards_workload_with(workload.address, "name = \"lane\"");
    let mut process = Process::run(&setup.file());
    let admin = process.listener("admin").await;
    let mut client = world.agent().http2(process.listener("lane").await).await;
    let request = client.request("GET", "/sse").body(empty()).unwrap();
    let body = client.send(request).await.into_body();
    let hand = within("stream", opened.recv()).await.unwrap();
    let mut ready = Client::http1(admin).await;
    assert_eq!(ready.get("/readyz").await.status, 200);

    process.signal("TERM");
    within("readiness to turn", async {
        // As probes do: a connection each time.
        while Client::http1(admin).await.get("/readyz").await.status != 503 {}
    })
    .await;
    assert_eq!(Client::http1(admin).await.get("/livez").await.status, 200);
    assert_eq!(Client::http1(admin).await.get("/metrics").await.status, 200);
    drop((hand, body));
    assert_eq!(code(process.exit().await), "0", "{}", process.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_process_lets_its_streams_end_and_exits_well() {
    let world = World::new();
    let (workload, mut opened) = streams().await;
    let setup = world.sidecar(MCP);
    let setup = setup.towards_workload_with(workload.address, "name = \"lane\"");
    let records = setup.records();
    let mut process = Process::run(&setup.file());
    let lane = process.listener("lane").await;
    let mut client = world.agent().http2(lane).await;
    let request = client.request("GET", "/sse").body(empty()).unwrap();
    let mut body = client.send(request).await.into_body();
    let hand = within("stream", opened.recv()).await.unwrap();
    hand.send("data: before\n\n").await;
    expect_bytes(&mut body, "data: before\n\n").await;

    process.signal("TERM");
    within("refusal of new connections", async {
        while TcpStream::connect(lane).await.is_ok() {}
    })
    .await;
    for number in 0..5 {
        let event = format!("data: {number}\n\n");
        hand.send(event.clone()).await;
        expect_bytes(&mut body, &event).await;
    }
    assert!(process.is_running());
    drop(hand);
    expect_end(&mut body).await;
    assert_eq!(code(process.exit().await), "0", "{}", process.log());
    assert_eq!(records.closed("/sse").await["outcome"], "completed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_outlives_the_drain_is_cut_and_not_ended() {
    let world = World::new();
    let (workload, mut opened) = streams().await;
    let setup = world.sidecar(MCP).limit("drain_seconds = 1");
    let setup = setup.towards_workload_with(workload.address, "name = \"lane\"");
    let records = setup.records();
    let mut process = Process::run(&setup.file());
    let lane = process.listener("lane").await;
    let mut client = world.agent().http2(lane).await;
    let request = client.request("GET", "/sse").body(empty()).unwrap();
    let mut body = client.send(request).await.into_body();
    let hand = within("stream", opened.recv()).await.unwrap();
    process.signal("TERM");
    let end = next_bytes(&mut body).await;
    assert!(matches!(end, Some(Err(_))), "{end:?}");
    hand.closed().await;
    let closed = records.closed("/sse").await;
    assert_eq!(
        (&closed["outcome"], &closed["reason"]),
        (&"cut".into(), &"drain-deadline".into())
    );
    // The deadline is part of stopping as configured.
    assert_eq!(code(process.exit().await), "0", "{}", process.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_process_stops_at_once_on_either_signal() {
    let world = World::new();
    let workload = Workload::ok().await;
    for signal in ["TERM", "INT"] {
        let setup = world
            .sidecar(MCP)
            .towards_workload_with(workload.address, "name = \"lane\"");
        let mut process = Process::run(&setup.file());
        let lane = process.listener("lane").await;
        // Idle connections do not hold it up.
        let mut client = world.agent().http2(lane).await;
        assert_eq!(client.get("/").await.status, 200);
        let idle = TcpStream::connect(lane).await.unwrap();
        process.signal(signal);
        assert_eq!(code(process.exit().await), "0", "{}", process.log());
        drop(idle);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_of_the_egress_keeps_its_stream_while_it_drains() {
    let world = World::new();
    let (workload, mut opened) = streams().await;
    let ingress = world.ingress(workload.address).await;
    let mut egress = world.egress(ingress.address()).await;
    for version in [Version::Http1, Version::Http2] {
        let mut client = match version {
            Version::Http1 => Client::http1(egress.address()).await,
            Version::Http2 => Client::http2(egress.address()).await,
        };
        let request = client.request("GET", "/sse").body(empty()).unwrap();
        let mut body = client.send(request).await.into_body();
        let hand = within("stream", opened.recv()).await.unwrap();
        egress.stop();
        within("refusal of new connections", async {
            while TcpStream::connect(egress.address()).await.is_ok() {}
        })
        .await;
        hand.send("still").await;
        expect_bytes(&mut body, "still").await;
        drop(hand);
        expect_end(&mut body).await;
        assert_eq!(egress.ended().await, Ended::Drained);
        egress = world.egress(ingress.address()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_on_its_way_when_draining_begins_is_carried() {
    let world = World::new();
    let (workload, mut opened) = streams().await;
    let mut ingress = world.ingress(workload.address).await;
    let agent = world.agent().alpn("h2");
    let mut stream = agent.connect(ingress.address()).await.unwrap();
    greet(&mut stream).await;
    let request = frame(HEADERS, WHOLE, 1, GET);
    stream.write_all(&request).await.unwrap();
    until_frame(&mut stream, HEADERS, 1).await;
    let first = within("stream", opened.recv()).await.unwrap();

    ingress.stop();
    // RFC 9113 §6.8: after the first GOAWAY requests on their way are still taken.
    let goaway = until_frame(&mut stream, GOAWAY, 0).await;
    assert_eq!(goaway[..4], 0x7fff_ffff_u32.to_be_bytes());
    let request = frame(HEADERS, WHOLE, 3, GET);
    stream.write_all(&request).await.unwrap();
    until_frame(&mut stream, HEADERS, 3).await;
    let second = within("stream", opened.recv()).await.unwrap();
    drop((first, second));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_without_an_answer_at_the_deadline_is_told_that_the_lane_stops() {
    let world = World::new();
    let (called, mut calls) = unbounded_channel();
    let workload = Workload::start(Version::Http1, move |_request| {
        let _ = called.send(());
        std::future::pending()
    })
    .await;
    let ingress = world.sidecar(MCP).limit("drain_seconds = 1");
    let mut ingress = ingress.towards_workload(workload.address).start().await;
    let mut client = world.agent().http2(ingress.address()).await;
    let call = tokio::spawn(async move { client.get("/poll").await });
    within("call", calls.recv()).await.unwrap();
    ingress.stop();
    let answer = call.await.unwrap();
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("pqlane-denied"), Some("draining"));
    ingress.records.denied(DenyReason::Draining).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unix_sockets_serve_the_local_side_of_both_sidecars() {
    let world = World::new();
    let path = world.path("workload.sock");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(stream, Version::Http1, |_request| async {
                http::Response::new(full("over a socket"))
            }));
        }
    });
    let ingress = world.sidecar(MCP);
    let ingress = ingress
        .inbound(&format!(
            "listen = \"127.0.0.1:0\"\nworkload = \"unix:{}\"\n\
             allow = [\"spiffe://example.org/agent/*\"]",
            path.display()
        ))
        .start()
        .await;
    let socket = world.path("egress.sock");
    let admin = world.path("admin.sock");
    let mut egress = world
        .sidecar(AGENT)
        .table(&format!("[admin]\nlisten = \"unix:{}\"", admin.display()))
        .outbound(&format!(
            "listen = \"unix:{}\"\nconnect = \"{}\"\npeers = [\"spiffe://example.org/mcp/weather\"]",
            socket.display(),
            ingress.address()
        ))
        .start()
        .await;
    for path in [&socket, &admin] {
        let mode = std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{path:?}");
    }
    let stream = UnixStream::connect(&socket).await.unwrap();
    let mut client = Client::http1_over(stream, "localhost").await;
    assert_eq!(client.get("/").await.body, "over a socket");
    let stream = UnixStream::connect(&socket).await.unwrap();
    let mut client = Client::http2_over(stream, "localhost").await;
    assert_eq!(client.get("/").await.body, "over a socket");
    let stream = UnixStream::connect(&admin).await.unwrap();
    let mut client = Client::http1_over(stream, "localhost").await;
    assert_eq!(client.get("/readyz").await.status, 200);
    drop(client);

    egress.stop();
    egress.ended().await;
    eventually("sockets to go", || {
        (!socket.exists() && !admin.exists()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_left_by_a_dead_process_is_taken_over_and_a_live_one_is_not() {
    let world = World::new();
    let socket = world.path("egress.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert!(socket.exists());
    let lines = format!(
        "listen = \"unix:{}\"\nconnect = \"127.0.0.1:1\"\npeers = [\"spiffe://example.org/mcp/w\"]",
        socket.display()
    );
    let _first = world.sidecar(AGENT).outbound(&lines).start().await;
    UnixStream::connect(&socket).await.unwrap();
    let second = world.sidecar(AGENT).outbound(&lines).file();
    let config = pqlane::config::Config::read(&second).unwrap();
    let app = pqlane::app::App::build(config).unwrap();
    assert!(app.bind().await.is_err());
    UnixStream::connect(&socket).await.unwrap();
}
