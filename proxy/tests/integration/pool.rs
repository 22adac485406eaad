//! Connections to upstreams: how many, how full, and what happens where there is none.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::Response;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use pqlane::deny::DenyReason;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_rustls::server::TlsStream;

use crate::support::frames::{
    FIRST_FLAG, Frame, HEADERS, OK, PING, PREFACE, RST_STREAM, SETTINGS, WHOLE, frame,
};
use crate::support::http::{
    Body, Client, Hand, Version, Workload, empty, expect_bytes, full, held, nobody, raw_workload,
    read_until,
};
use crate::support::tls::Peer;
use crate::support::world::{AGENT, MCP, World};
use crate::support::{eventually, within};

/// Opens streams at `/stream`, answers all else at once.
async fn streams_and_calls() -> (Workload, mpsc::UnboundedReceiver<Hand>) {
    let (hands, opened) = mpsc::unbounded_channel();
    let workload = Workload::start(Version::Http1, move |request| {
        let hands = hands.clone();
        async move {
            if request.uri().path() != "/stream" {
                return Response::new(full("ok"));
            }
            let (hand, body) = held();
            let _ = hands.send(hand);
            Response::new(body)
        }
    })
    .await;
    (workload, opened)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ordinary_call_is_answered_beside_150_open_streams() {
    let world = World::new();
    let (workload, mut opened) = streams_and_calls().await;
    let ingress = world.ingress(workload.address).await;
    let egress = world.egress(ingress.address()).await;
    let two_connections = [
        Client::http2(egress.address()).await,
        Client::http2(egress.address()).await,
    ];
    let mut streams = Vec::new();
    let mut hands = Vec::new();
    for number in 0..150 {
        let mut client = two_connections[number / 75].clone();
        let request = client.request("GET", "/stream").body(empty()).unwrap();
        streams.push(client.send(request).await.into_body());
        hands.push(within("stream", opened.recv()).await.unwrap());
    }

    let mut other = Client::http1(egress.address()).await;
    assert_eq!(other.get("/call").await.body, "ok");
    assert_eq!(other.post("/call", "{}").await.body, "ok");

    for (hand, stream) in hands.iter().zip(&mut streams) {
        hand.send("still open").await;
        expect_bytes(stream, "still open").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_nobody_reads_do_not_hold_up_a_call() {
    const PIECE: usize = 64 * 1024;
    let world = World::new();
    let produced = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&produced);
    let workload = Workload::start(Version::Http1, move |request| {
        let produced = Arc::clone(&counted);
        async move {
            if request.uri().path() != "/endless" {
                return Response::new(full(vec![b'x'; 300_000]));
            }
            let (hand, body) = held();
            tokio::spawn(async move {
                while !hand.is_closed() {
                    hand.send_at_leisure(Bytes::from_static(&[b'.'; PIECE]))
                        .await;
                    produced.fetch_add(PIECE, Ordering::Relaxed);
                }
            });
            Response::new(body)
        }
    })
    .await;
    let ingress = world.ingress(workload.address).await;
    let egress = world.egress(ingress.address()).await;

    // A caller with 64 KiB of room for each stream, and enough for all of them.
    let stream = TcpStream::connect(egress.address()).await.unwrap();
    let (mut sending, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(65_535)
        .initial_connection_window_size(100 * 65_535)
        .handshake::<_, Body>(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut unread = Vec::new();
    for _ in 0..60 {
        let uri = format!("http://{}/endless", egress.address());
        let request = http::Request::get(uri).body(empty()).unwrap();
        let response = within("head", sending.send_request(request)).await.unwrap();
        unread.push(response.into_body());
    }
    // Every buffer on the way is full once nothing more is produced.
    let mut before = usize::MAX;
    let mut same = 0;
    eventually("back-pressure", || {
        let now = produced.load(Ordering::Relaxed);
        same = if now == before { same + 1 } else { 0 };
        before = now;
        (same > 30).then_some(())
    })
    .await;

    let mut other = Client::http1(egress.address()).await;
    for _ in 0..3 {
        assert_eq!(other.get("/call").await.body.len(), 300_000);
    }
    let uri = format!("http://{}/call", egress.address());
    let request = http::Request::get(uri).body(empty()).unwrap();
    let beside = within("head", sending.send_request(request)).await.unwrap();
    let beside = crate::support::http::Answer::read(beside).await;
    assert_eq!(beside.body.len(), 300_000);
    drop(unread);
}

/// What a peer with room for three streams a connection has seen.
#[derive(Default)]
struct Tally {
    arrived: AtomicUsize,
    most_on_one: AtomicUsize,
}

/// Reads a client's frames until it leaves.
async fn read_frames(
    mut from: ReadHalf<TlsStream<TcpStream>>,
    frames: mpsc::UnboundedSender<Frame>,
) {
    let mut preface = vec![0; PREFACE.len()];
    if from.read_exact(&mut preface).await.is_err() {
        return;
    }
    while let Ok(frame) = Frame::read(&mut from).await {
        if frames.send(frame).is_err() {
            return;
        }
    }
}

/// A peer that says it takes three streams, counts what it gets, and answers once the gate is open.
async fn three_at_a_time(
    stream: TlsStream<TcpStream>,
    tally: Arc<Tally>,
    mut gate: watch::Receiver<bool>,
) {
    let (from, mut to) = tokio::io::split(stream);
    let (sender, mut frames) = mpsc::unbounded_channel();
    tokio::spawn(read_frames(from, sender));
    // SETTINGS_MAX_CONCURRENT_STREAMS = 3
    let settings = frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 3]);
    to.write_all(&settings).await.unwrap();
    let mut open = HashSet::new();
    loop {
        tokio::select! {
            next = frames.recv() => {
                let Some(next) = next else { return };
                if next.wants_ack_of(SETTINGS) {
                    let ack = frame(SETTINGS, FIRST_FLAG, 0, &[]);
                    to.write_all(&ack).await.unwrap();
                } else if next.wants_ack_of(PING) {
                    let ack = frame(PING, FIRST_FLAG, 0, &next.payload);
                    to.write_all(&ack).await.unwrap();
                } else if next.kind == HEADERS {
                    open.insert(next.stream);
                    tally.arrived.fetch_add(1, Ordering::Relaxed);
                    tally.most_on_one.fetch_max(open.len(), Ordering::Relaxed);
                } else if next.kind == RST_STREAM {
                    open.remove(&next.stream);
                }
            }
            _ = gate.changed() => {}
        }
        if *gate.borrow() {
            for stream in open.drain() {
                let answer = frame(HEADERS, WHOLE, stream, OK);
                to.write_all(&answer).await.unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peers_limit_of_streams_is_kept_by_opening_more_connections() {
    let world = World::new();
    let tally = Arc::new(Tally::default());
    let (open, gate) = watch::channel(false);
    let counted = Arc::clone(&tally);
    let server = Peer::new(&world, &world.svid(MCP))
        .alpn("h2")
        .listen(move |stream| three_at_a_time(stream, Arc::clone(&counted), gate.clone()))
        .await;
    let egress = world.egress(server.address).await;
    let client = Client::http2(egress.address()).await;
    let calls: Vec<_> = (0..10)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move { client.get("/").await })
        })
        .collect();
    eventually("all ten calls at the peer at once", || {
        (tally.arrived.load(Ordering::Relaxed) == 10).then_some(())
    })
    .await;
    open.send(true).unwrap();
    for call in calls {
        assert_eq!(call.await.unwrap().status, 200);
    }
    assert_eq!(
        Client::http1(egress.address()).await.get("/").await.status,
        200
    );
    assert!(tally.most_on_one.load(Ordering::Relaxed) <= 3);
    assert!(server.connections() >= 4, "{}", server.connections());
    assert!(server.connections() <= 10, "{}", server.connections());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_share_one_lane_connection_while_it_has_room() {
    let world = World::new();
    let server = Peer::new(&world, &world.svid(MCP))
        .serve(Version::Http2, |_request| async {
            Response::new(full("ok"))
        })
        .await;
    let egress = world.egress(server.address).await;
    for _ in 0..5 {
        let mut client = Client::http1(egress.address()).await;
        assert_eq!(client.get("/").await.body, "ok");
    }
    assert_eq!(server.connections(), 1);
}

async fn denied(egress: SocketAddr, status: u16, reason: DenyReason) {
    let mut client = Client::http1(egress).await;
    let answer = client.post("/denied", "{}").await;
    assert_eq!(answer.status, status, "{answer:?}");
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["error"]["code"], reason.code());
    assert_eq!(body.get("jsonrpc"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_upstream_is_said_to_have_failed() {
    let world = World::new();
    let ingress = world.ingress(nobody().await).await;
    let egress = world.egress(nobody().await).await;
    denied(egress.address(), 502, DenyReason::UpstreamFailed).await;
    egress.records.denied(DenyReason::UpstreamFailed).await;

    let mut client = world.agent().http2(ingress.address()).await;
    let answer = client.post("/", "{}").await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.header("pqlane-denied"), Some("upstream-failed"));
    ingress.records.denied(DenyReason::UpstreamFailed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_workload_is_told_from_a_failed_lane_by_the_callers_egress() {
    let world = World::new();
    let ingress = world.ingress(nobody().await).await;
    let egress = world.egress(ingress.address()).await;
    denied(egress.address(), 502, DenyReason::UpstreamFailed).await;
    ingress.records.denied(DenyReason::UpstreamFailed).await;
    let carried = egress.records.closed("/denied").await;
    assert_eq!(
        (&carried["outcome"], &carried["status"]),
        (&"completed".into(), &502.into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_never_answers_the_handshake_times_out() {
    let world = World::new();
    let hole = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for limits in ["upstream_connect_seconds = 1", "tls_handshake_seconds = 1"] {
        let egress = world.sidecar(AGENT).limit(limits);
        let egress = egress
            .towards_peer(hole.local_addr().unwrap())
            .start()
            .await;
        denied(egress.address(), 504, DenyReason::UpstreamTimeout).await;
        egress.records.denied(DenyReason::UpstreamTimeout).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_never_accepts_times_out() {
    let world = World::new();
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(1).unwrap();
    let address = full.local_addr().unwrap();
    // Takes up all the room there is in the queue of connections nobody accepts.
    let mut waiting = Vec::new();
    let short = std::time::Duration::from_millis(200);
    while let Ok(Ok(stream)) = tokio::time::timeout(short, TcpStream::connect(address)).await {
        waiting.push(stream);
    }
    let ingress = world.sidecar(MCP).limit("upstream_connect_seconds = 1");
    let ingress = ingress.towards_workload(address).start().await;
    let mut client = world.agent().http2(ingress.address()).await;
    let answer = client.post("/", "{}").await;
    assert_eq!(answer.status, 504);
    assert_eq!(answer.header("pqlane-denied"), Some("upstream-timeout"));
    ingress.records.denied(DenyReason::UpstreamTimeout).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_beyond_the_upstreams_connections_is_told_that_it_is_busy() {
    let world = World::new();
    let (workload, mut opened) = streams_and_calls().await;
    let ingress = world
        .sidecar(MCP)
        .limit("upstream_connections = 1\nupstream_connect_seconds = 1")
        .towards_workload(workload.address)
        .start()
        .await;
    let mut client = world.agent().http2(ingress.address()).await;
    let request = client.request("GET", "/stream").body(empty()).unwrap();
    let stream = client.send(request).await;
    let hand = within("stream", opened.recv()).await.unwrap();

    let answer = client.post("/call", "{}").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("pqlane-denied"), Some("upstream-busy"));
    ingress.records.denied(DenyReason::UpstreamBusy).await;

    drop((stream, hand));
    within("room again", async {
        while client.post("/call", "{}").await.status != 200 {}
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_comes_back_is_called_again() {
    let world = World::new();
    let workload = Workload::ok().await;
    let address = nobody().await;
    let egress = world.egress(address).await;
    denied(egress.address(), 502, DenyReason::UpstreamFailed).await;
    let listen = format!(
        "listen = \"{address}\"\nworkload = \"http://{}\"\nallow = [\"spiffe://example.org/agent/*\"]",
        workload.address
    );
    for _ in 0..2 {
        let mut ingress = world
            .sidecar(MCP)
            .limit("drain_seconds = 1")
            .inbound(&listen)
            .start()
            .await;
        let mut client = Client::http1(egress.address()).await;
        assert_eq!(client.get("/").await.body, "ok");
        ingress.stop();
        ingress.ended().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workload_that_closes_between_calls_costs_no_call() {
    let world = World::new();
    let (closed, mut closing) = mpsc::unbounded_channel();
    let workload = raw_workload(move |mut stream| {
        let closed = closed.clone();
        async move {
            // Says that the connection stays, and closes it.
            read_until(&mut stream, "\r\n\r\n").await;
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            stream.write_all(answer).await.unwrap();
            drop(stream);
            let _ = closed.send(());
        }
    })
    .await;
    let ingress = world.ingress(workload).await;
    let mut client = world.agent().http2(ingress.address()).await;
    for _ in 0..20 {
        assert_eq!(client.get("/").await.body, "ok");
        within("close", closing.recv()).await;
        // Whatever else runs in the proxy has its turn before the next call.
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_with_an_oversized_head_is_a_failed_upstream() {
    let world = World::new();
    let workload = raw_workload(|mut stream| async move {
        read_until(&mut stream, "\r\n\r\n").await;
        let head = format!("HTTP/1.1 200 OK\r\nx-long: {}\r\n", "x".repeat(100_000));
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.write_all(b"content-length: 0\r\n\r\n").await;
    })
    .await;
    let ingress = world.ingress(workload).await;
    let mut client = world.agent().http2(ingress.address()).await;
    let answer = client.post("/", "{}").await;
    assert_eq!(answer.status, 502);
    ingress.records.denied(DenyReason::UpstreamFailed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_no_http_is_a_failed_upstream() {
    let world = World::new();
    let workload = raw_workload(|mut stream| async move {
        read_until(&mut stream, "\r\n\r\n").await;
        let _ = stream
            .write_all(b"220 mail.example.org ESMTP\r\n\r\n")
            .await;
    })
    .await;
    let ingress = world.ingress(workload).await;
    let mut client = world.agent().http2(ingress.address()).await;
    assert_eq!(client.post("/", "{}").await.status, 502);
    ingress.records.denied(DenyReason::UpstreamFailed).await;
}
