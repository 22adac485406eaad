//! How what is open ends once its peer is revoked.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_egress_cuts_its_lane_to_who_is_revoked() {
    let world = World::new();
    let (workload, mut opened) = workload().await;
    let ingress = world.ingress(workload.address).await;
    let egress = revoking(&world, world.sidecar(AGENT)).towards_peer(ingress.address());
    let egress = egress.start().await;
    let mut client = Client::http2(egress.address()).await;
    let mut one = Client::http1(egress.address()).await;
    let streams = [
        Stream::open(&mut client, "/sse/two", &mut opened).await,
        Stream::open(&mut one, "/sse/one", &mut opened).await,
    ];
    let calls = workload.count();
    let mut operator = Operator::of(&egress).await;
    let server = json!({ "spiffe_id": id(MCP), "reason": "incident 7" });
    let told = operator.revokes(&server).await;
    assert_eq!(told["streams_cut"], 2, "{told}");
    assert_eq!(told["connections_cut"], 1, "{told}");
    assert_eq!(told["end"], "streams-ended", "{told}");
    for stream in streams {
        stream.ends().await;
    }
    let cut = egress.records.event("connection.cut").await;
    assert_eq!(
        (&cut["revocation"], &cut["peer"]),
        (&told["id"], &json!(id(MCP)))
    );
    let answer = client.get("/").await;
    assert_eq!((answer.status.as_u16(), workload.count()), (502, calls));
    egress.records.refused(DenyReason::PeerDenied).await;
    assert_eq!(operator.lifts(&told["id"]).await, 204);
    assert_eq!(client.get("/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_kept_for_who_is_revoked_is_closed() {
    let world = World::new();
    let (closed, mut ends) = mpsc::unbounded_channel();
    let server = Peer::new(&world, &world.svid(MCP)).alpn("http/1.1");
    let server = server
        .listen(move |stream| {
            let closed = closed.clone();
            async move {
                serve(stream, Version::Http1, |_| async {
                    Response::new(full("ok"))
                })
                .await;
                let _ = closed.send(());
            }
        })
        .await;
    let egress = revoking(&world, world.sidecar(AGENT))
        .limit("upstream_idle_seconds = 600")
        .towards_peer(server.address);
    let egress = egress.start().await;
    let mut client = Client::http1(egress.address()).await;
    assert_eq!(client.get("/").await.status, 200);
    let server = json!({ "spiffe_id": id(MCP), "reason": "incident 7" });
    let told = Operator::of(&egress).await.revokes(&server).await;
    assert_eq!(
        (&told["connections_cut"], &told["streams_cut"]),
        (&json!(1), &json!(0))
    );
    within("end of the connection", ends.recv()).await.unwrap();
    assert_eq!(client.get("/").await.status, 502);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_cut_in_the_middle_of_an_event_breaks_off() {
    let world = World::new();
    let (workload, mut opened) = workload().await;
    let ingress = revoking(&world, world.sidecar(MCP)).towards_workload(workload.address);
    let ingress = ingress.start().await;
    for version in [Version::Http1, Version::Http2] {
        let mut client = match version {
            Version::Http1 => world.agent().http1(ingress.address()).await,
            Version::Http2 => world.agent().http2(ingress.address()).await,
        };
        let mut stream = Stream::open(&mut client, "/sse", &mut opened).await;
        stream.hand.send("data: {\"half\":").await;
        expect_bytes(&mut stream.body, "data: {\"half\":").await;
        let mut operator = Operator::of(&ingress).await;
        let told = operator.revokes(&alice()).await;
        assert_eq!(
            (&told["streams_cut"], &told["end"]),
            (&json!(1), &json!("streams-ended"))
        );
        let next = next_bytes(&mut stream.body).await;
        assert!(matches!(next, Some(Err(_))), "{version:?}: {next:?}");
        assert_eq!(operator.lifts(&told["id"]).await, 204);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grpc_stream_that_is_cut_ends_with_its_status() {
    let world = World::new();
    let (hands, mut opened) = mpsc::unbounded_channel();
    let workload = Workload::start(Version::Http2, move |_| {
        let hands = hands.clone();
        async move {
            let (hand, body) = held();
            let _ = hands.send(hand);
            let response = Response::builder().header("content-type", "application/grpc");
            response.body(body).unwrap()
        }
    })
    .await;
    let grpc = format!("grpc_workload = \"http://{}\"", workload.address);
    let ingress = revoking(&world, world.sidecar(MCP));
    let ingress = ingress.towards_workload_with(workload.address, &grpc);
    let ingress = ingress.start().await;
    let mut client = world.agent().http2(ingress.address()).await;
    let request = client
        .request("POST", "/lf.a2a.v1.A2AService/SubscribeToTask")
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    // The task `t`.
    let request = request.body(full(&b"\0\0\0\0\x03\x12\x01t"[..]));
    let response = client.send(request.unwrap()).await;
    let hand = within("call at the workload", opened.recv()).await.unwrap();
    hand.send(Bytes::from_static(&[0, 0, 0, 0, 0])).await;
    let told = Operator::of(&ingress).await.revokes(&alice()).await;
    assert_eq!(told["streams_cut"], 1, "{told}");
    let answer = Answer::read(response).await;
    let status = |trailers: &HeaderMap| trailers["grpc-status"].to_str().unwrap().to_owned();
    assert_eq!(status(&answer.trailers), "16");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_nothing_is_cut_all_the_same() {
    let world = World::new();
    let (workload, mut opened) = workload().await;
    let ingress = revoking(&world, world.sidecar(MCP)).towards_workload(workload.address);
    let ingress = ingress.start().await;
    let mut stream = world
        .agent()
        .alpn("h2")
        .connect(ingress.address())
        .await
        .unwrap();
    // SETTINGS_INITIAL_WINDOW_SIZE of nothing (RFC 9113 §6.5.2): no byte of an answer's body may be sent.
    stream.write_all(PREFACE).await.unwrap();
    let no_window = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    stream.write_all(&no_window).await.unwrap();
    let get = b"\x82\x87\x04\x04/sse\x01\x09localhost";
    stream
        .write_all(&frame(HEADERS, WHOLE, 1, get))
        .await
        .unwrap();
    until_frame(&mut stream, HEADERS, 1).await;
    let hand = within("stream at the workload", opened.recv())
        .await
        .unwrap();
    hand.send("data: x\n\n").await;
    let told = Operator::of(&ingress).await.revokes(&alice()).await;
    assert_eq!(
        (&told["connections_cut"], &told["streams_cut"]),
        (&json!(1), &json!(1))
    );
    hand.closed().await;
    let closed = ingress.records.closed("/sse").await;
    assert_eq!(closed["reason"], "no-longer-allowed", "{closed}");
    let rest = read_to_end(&mut stream).await;
    assert!(!rest.contains("data: x"), "{rest:?}");
}
