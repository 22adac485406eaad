//! Bodies: each piece as it comes, both ways, and every end as what it was.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Response;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::support::http::{
    Client, Hand, Version, Workload, empty, expect_bytes, expect_end, full, held, next_bytes,
    raw_workload, read_until,
};
use crate::support::within;
use crate::support::world::{AGENT, MCP, Sidecar, World};

/// What a workload with a held answer holds of one call.
struct Held {
    request: Incoming,
    answer: Hand,
}

/// A workload that answers with a head at once, and whose bodies the test holds.
async fn holding(version: Version) -> (Workload, UnboundedReceiver<Held>) {
    let (calls, held_calls) = unbounded_channel();
    let workload = Workload::start(version, move |request| {
        let calls = calls.clone();
        async move {
            let (hand, body) = held();
            let _ = calls.send(Held {
                request: request.into_body(),
                answer: hand,
            });
            Response::builder()
                .header("content-type", "text/event-stream")
                .body(body)
                .unwrap()
        }
    })
    .await;
    (workload, held_calls)
}

/// A workload with held answers behind both sidecars.
struct Lane {
    world: World,
    ingress: Sidecar,
    egress: Sidecar,
    calls: UnboundedReceiver<Held>,
}

impl Lane {
    async fn new() -> Self {
        let world = World::new();
        let (workload, calls) = holding(Version::Http1).await;
        let ingress = world.ingress(workload.address).await;
        let egress = world.egress(ingress.address()).await;
        Self {
            world,
            ingress,
            egress,
            calls,
        }
    }

    async fn clients(&self) -> [Client; 2] {
        [
            Client::http1(self.egress.address()).await,
            Client::http2(self.egress.address()).await,
        ]
    }

    async fn next(&mut self) -> Held {
        within("call at the workload", self.calls.recv())
            .await
            .unwrap()
    }
}

async fn open(client: &mut Client, path: &str) -> Incoming {
    let request = client.request("GET", path).body(empty()).unwrap();
    let response = client.send(request).await;
    assert_eq!(response.status(), 200);
    response.into_body()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answers_head_arrives_before_its_first_byte() {
    let mut lane = Lane::new().await;
    for mut client in lane.clients().await {
        // The workload has sent nothing but the head when this returns.
        let mut body = open(&mut client, "/sse").await;
        let held = lane.next().await;
        held.answer.send("data: first\n\n").await;
        expect_bytes(&mut body, "data: first\n\n").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_arrive_one_by_one() {
    let mut lane = Lane::new().await;
    for mut client in lane.clients().await {
        let mut body = open(&mut client, "/sse").await;
        let held = lane.next().await;
        for number in 0..20 {
            let event = format!("data: {number}\n\n");
            held.answer.send(event.clone()).await;
            expect_bytes(&mut body, &event).await;
        }
        drop(held);
        expect_end(&mut body).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_requests_body_streams() {
    let mut lane = Lane::new().await;
    for mut client in lane.clients().await {
        let (hand, body) = held();
        hand.send("first").await;
        let request = client.request("POST", "/upload").body(body).unwrap();
        let mut answer = client.send(request).await.into_body();
        let mut held = lane.next().await;
        expect_bytes(&mut held.request, "first").await;
        for piece in ["one", "two", "three"] {
            hand.send(piece).await;
            expect_bytes(&mut held.request, piece).await;
            held.answer.send(piece).await;
            expect_bytes(&mut answer, piece).await;
        }
        drop(hand);
        expect_end(&mut held.request).await;
        drop(held);
        expect_end(&mut answer).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpc_streams_in_full_duplex() {
    let world = World::new();
    let (workload, mut calls) = holding(Version::Http2).await;
    let lines = format!("grpc_workload = \"http://{}\"", workload.address);
    let plain = Workload::ok().await;
    let ingress = world.sidecar(MCP);
    let ingress = ingress
        .towards_workload_with(plain.address, &lines)
        .start()
        .await;
    let egress = world.egress(ingress.address()).await;
    let mut client = Client::http2(egress.address()).await;
    let (hand, body) = held();
    let request = client
        .request("POST", "/a.B/Chat")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(body)
        .unwrap();
    let mut answer = client.send(request).await.into_body();
    let mut held = within("call", calls.recv()).await.unwrap();
    for number in 0..10 {
        let (ask, tell) = (format!("ask {number}"), format!("tell {number}"));
        hand.send(ask.clone()).await;
        expect_bytes(&mut held.request, &ask).await;
        held.answer.send(tell.clone()).await;
        expect_bytes(&mut answer, &tell).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_leaves_an_open_stream_is_noticed_at_the_workload() {
    let mut lane = Lane::new().await;
    for (mut client, path) in lane.clients().await.into_iter().zip(["/one", "/two"]) {
        let mut body = open(&mut client, path).await;
        let held = lane.next().await;
        held.answer.send("data: 1\n\n").await;
        expect_bytes(&mut body, "data: 1\n\n").await;
        drop((body, client));
        held.answer.closed().await;
        for sidecar in [&lane.egress, &lane.ingress] {
            assert_eq!(sidecar.records.closed(path).await["outcome"], "cancelled");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_leaves_one_http2_stream_keeps_the_others() {
    let mut lane = Lane::new().await;
    let mut client = Client::http2(lane.egress.address()).await;
    let left = open(&mut client, "/left").await;
    let left_hand = lane.next().await;
    let mut kept = open(&mut client, "/kept").await;
    let kept_hand = lane.next().await;
    drop(left);
    left_hand.answer.closed().await;
    kept_hand.answer.send("still here").await;
    expect_bytes(&mut kept, "still here").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_leaves_before_any_answer_is_noticed_at_the_workload() {
    /// Tells when it goes away.
    struct Told(tokio::sync::mpsc::UnboundedSender<&'static str>);
    impl Drop for Told {
        fn drop(&mut self) {
            let _ = self.0.send("left");
        }
    }
    let world = World::new();
    let (tell, mut told) = unbounded_channel();
    let workload = Workload::start(Version::Http1, move |request| {
        let tell = tell.clone();
        async move {
            request.into_body().collect().await.unwrap();
            let _ = tell.send("called");
            let _told = Told(tell);
            std::future::pending().await
        }
    })
    .await;
    let ingress = world.ingress(workload.address).await;
    let egress = world.egress(ingress.address()).await;
    for mut client in [
        Client::http1(egress.address()).await,
        Client::http2(egress.address()).await,
    ] {
        let request = client.request("POST", "/poll").body(full("{}")).unwrap();
        let call = tokio::spawn(async move { client.try_send(request).await });
        assert_eq!(within("call", told.recv()).await, Some("called"));
        call.abort();
        assert_eq!(within("cancellation", told.recv()).await, Some("left"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_broken_off_reaches_the_workload_as_broken() {
    let mut lane = Lane::new().await;
    for mut client in lane.clients().await {
        let (hand, body) = held();
        let request = client.request("POST", "/upload").body(body).unwrap();
        hand.send("half").await;
        let call = tokio::spawn(async move { client.try_send(request).await });
        let mut held = lane.next().await;
        expect_bytes(&mut held.request, "half").await;
        hand.abort().await;
        let end = next_bytes(&mut held.request).await;
        assert!(matches!(end, Some(Err(_))), "{end:?}");
        call.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_broken_off_reaches_the_caller_as_broken() {
    let mut lane = Lane::new().await;
    for (mut client, path) in lane.clients().await.into_iter().zip(["/one", "/two"]) {
        let mut body = open(&mut client, path).await;
        let held = lane.next().await;
        held.answer.send("half").await;
        expect_bytes(&mut body, "half").await;
        held.answer.abort().await;
        let end = next_bytes(&mut body).await;
        assert!(matches!(end, Some(Err(_))), "{end:?}");
        for sidecar in [&lane.egress, &lane.ingress] {
            assert_eq!(sidecar.records.closed(path).await["outcome"], "failed");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_shorter_than_its_length_is_broken_for_the_caller() {
    let world = World::new();
    let workload = raw_workload(|mut stream| async move {
        read_until(&mut stream, "\r\n\r\n").await;
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
        stream.write_all(answer).await.unwrap();
    })
    .await;
    let ingress = world.ingress(workload).await;
    let egress = world.egress(ingress.address()).await;
    for mut client in [
        Client::http1(egress.address()).await,
        Client::http2(egress.address()).await,
    ] {
        let request = client.request("GET", "/short").body(empty()).unwrap();
        let response = client.send(request).await;
        // The head may go down with the rest, which must be said all the same.
        if response.status() == 502 {
            continue;
        }
        let collected = within("end", response.into_body().collect()).await;
        assert!(collected.is_err(), "{collected:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_chunked_answer_never_gets_its_last_chunk() {
    let mut lane = Lane::new().await;
    let mut caller = TcpStream::connect(lane.egress.address()).await.unwrap();
    let request = b"GET /sse HTTP/1.1\r\nhost: localhost\r\n\r\n";
    caller.write_all(request).await.unwrap();
    let held = lane.next().await;
    held.answer.send("half").await;
    read_until(&mut caller, "half").await;
    held.answer.abort().await;
    let rest = crate::support::http::read_to_end(&mut caller).await;
    assert!(!rest.contains("0\r\n\r\n"), "{rest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workload_that_ends_its_stream_is_heard_at_once() {
    let mut lane = Lane::new().await;
    for mut client in lane.clients().await {
        let mut body = open(&mut client, "/sse").await;
        drop(lane.next().await);
        expect_end(&mut body).await;
    }
}

/// Lets a limit of one second pass: a peer that says nothing is cut by it, twice.
async fn let_the_limits_pass(ingress: &Sidecar) {
    for _ in 0..2 {
        let mut silent = TcpStream::connect(ingress.address()).await.unwrap();
        silent.write_all(&[0x16, 3, 1]).await.unwrap();
        let mut nothing = [0; 64];
        while within("cut", silent.read(&mut nothing))
            .await
            .is_ok_and(|len| len > 0)
        {}
    }
}

const SHORT_LIMITS: &str = "tls_handshake_seconds = 1\nrequest_head_seconds = 1\n\
                            connection_idle_seconds = 1\nupstream_connect_seconds = 1\n\
                            upstream_idle_seconds = 1\nh2_ping_seconds = 1\n\
                            h2_ping_timeout_seconds = 1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_not_cut_for_being_idle() {
    let mut lane = Lane::new().await;
    let Held { answer, .. } = {
        // Both sidecars again, with limits that all pass while nothing is said.
        let (workload, calls) = holding(Version::Http1).await;
        let ingress = lane.world.sidecar(MCP).limit(SHORT_LIMITS);
        lane.ingress = ingress.towards_workload(workload.address).start().await;
        let egress = lane.world.sidecar(AGENT).limit(SHORT_LIMITS);
        lane.egress = egress.towards_peer(lane.ingress.address()).start().await;
        lane.calls = calls;
        let mut client = Client::http1(lane.egress.address()).await;
        let mut streams = vec![open(&mut client, "/one").await];
        let first = lane.next().await;
        let mut client_two = Client::http2(lane.egress.address()).await;
        streams.push(open(&mut client_two, "/two").await);
        let second = lane.next().await;
        let mut client_three = Client::http2(lane.egress.address()).await;
        let (hand, body) = held();
        hand.send("first").await;
        let upload = client_three.request("POST", "/three").body(body).unwrap();
        streams.push(client_three.send(upload).await.into_body());
        let mut third = lane.next().await;

        let_the_limits_pass(&lane.ingress).await;
        for (held, stream) in [&first, &second, &third].into_iter().zip(&mut streams) {
            held.answer.send("after a while").await;
            expect_bytes(stream, "after a while").await;
        }
        expect_bytes(&mut third.request, "first").await;
        hand.send("up").await;
        expect_bytes(&mut third.request, "up").await;
        first
    };
    drop(answer);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_may_take_longer_than_any_limit() {
    let world = World::new();
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let held_gate = Arc::clone(&gate);
    let workload = Workload::start(Version::Http1, move |_request| {
        let gate = Arc::clone(&held_gate);
        async move {
            gate.acquire().await.unwrap().forget();
            Response::new(full("at last"))
        }
    })
    .await;
    let ingress = world.sidecar(MCP).limit(SHORT_LIMITS);
    let ingress = ingress.towards_workload(workload.address).start().await;
    let egress = world.sidecar(AGENT).limit(SHORT_LIMITS);
    let egress = egress.towards_peer(ingress.address()).start().await;
    let mut calls = Vec::new();
    for mut client in [
        Client::http1(egress.address()).await,
        Client::http2(egress.address()).await,
    ] {
        calls.push(tokio::spawn(
            async move { client.post("/poll", "{}").await },
        ));
    }
    let_the_limits_pass(&ingress).await;
    gate.add_permits(2);
    for call in calls {
        assert_eq!(call.await.unwrap().body, "at last");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_is_sent_once_even_if_the_workload_closes_on_it() {
    let world = World::new();
    let posts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&posts);
    // Answers what is not a POST and keeps the connection; closes on a POST after reading it.
    let workload = raw_workload(move |mut stream| {
        let posts = Arc::clone(&counted);
        async move {
            while !read_until(&mut stream, "\r\n\r\n").await.contains("POST") {
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                stream.write_all(answer).await.unwrap();
            }
            posts.fetch_add(1, Ordering::Relaxed);
        }
    })
    .await;
    let ingress = world.ingress(workload).await;
    let egress = world.egress(ingress.address()).await;
    let mut client = Client::http1(egress.address()).await;
    for sent in 1..=3 {
        // So that the POST finds a connection that was used before.
        assert_eq!(client.get("/warm").await.body, "ok");
        let answer = client.post("/once", "{}").await;
        assert_eq!(answer.status, 502);
        assert_eq!(answer.header("pqlane-denied"), Some("upstream-failed"));
        assert_eq!(posts.load(Ordering::Relaxed), sent);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_is_sent_once_even_if_the_peer_closes_on_it() {
    let world = World::new();
    let posts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&posts);
    let server = crate::support::tls::Peer::new(&world, &world.svid(MCP)).alpn("h2");
    let server = server
        .listen(move |stream| {
            let posts = Arc::clone(&counted);
            async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    if request.method() == "POST" {
                        posts.fetch_add(1, Ordering::Relaxed);
                        return;
                    }
                    respond.send_response(Response::new(()), true).unwrap();
                }
            }
        })
        .await;
    let egress = world.egress(server.address).await;
    let mut client = Client::http1(egress.address()).await;
    for sent in 1..=3 {
        assert_eq!(client.get("/warm").await.status, 200);
        let answer = client.post("/once", "{}").await;
        assert_eq!(answer.status, 502);
        assert_eq!(answer.header("pqlane-denied"), Some("upstream-failed"));
        assert_eq!(posts.load(Ordering::Relaxed), sent);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_before_the_requests_end_arrives() {
    let world = World::new();
    let workload = raw_workload(|mut stream| async move {
        read_until(&mut stream, "\r\n\r\n").await;
        let answer = b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig";
        stream.write_all(answer).await.unwrap();
        crate::support::http::read_to_end(&mut stream).await;
    })
    .await;
    let ingress = world.ingress(workload).await;
    let egress = world.egress(ingress.address()).await;
    for mut client in [
        Client::http1(egress.address()).await,
        Client::http2(egress.address()).await,
    ] {
        let (hand, body) = held();
        hand.send("first").await;
        let request = client.request("POST", "/upload").body(body).unwrap();
        let mut answer = client.send(request).await;
        assert_eq!(answer.status(), 413);
        expect_bytes(answer.body_mut(), "big").await;
        drop(hand);
    }
    let mut client = Client::http1(egress.address()).await;
    let request = client
        .request("POST", "/upload")
        .body(full(vec![b'x'; 8_000_000]));
    let mut answer = client.send(request.unwrap()).await;
    assert_eq!(answer.status(), 413);
    expect_bytes(answer.body_mut(), "big").await;
}
