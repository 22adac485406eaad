//! One call, from the agent's egress to the workload behind its sidecar and back.

use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::BodyExt;
use pqlane_certs::testing::TestDomain;
use rustls::HandshakeKind;
use rustls::crypto::aws_lc_rs::kx_group;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::http::{
    Client, Version, Workload, empty, full, held, next_seen, raw_workload, read_until,
};
use crate::support::world::{AGENT, MCP, World, id};

const PING: &str = r#"{ "jsonrpc":"2.0", "id":1, "method":"ping" }"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_crosses_both_sidecars_whole() {
    let world = World::new();
    let (workload, mut calls) = Workload::recording(Version::Http1).await;
    let ingress = world.ingress(workload.address).await;
    let egress = world.egress(ingress.address()).await;
    let mut client = Client::http1(egress.address()).await;

    let request = client
        .request("POST", "/mcp/a%20b?x=1%2F2&y&z=%C3%A9")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("x-twice", "one")
        .header("x-twice", "two")
        .body(full(PING))
        .unwrap();
    let answer = client.call(request).await;

    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.body, "ok");
    let seen = next_seen(&mut calls).await;
    assert_eq!(seen.head.method, "POST");
    assert_eq!(
        seen.head.uri.path_and_query().unwrap(),
        "/mcp/a%20b?x=1%2F2&y&z=%C3%A9"
    );
    assert_eq!(seen.values("content-type"), ["application/json"]);
    assert_eq!(
        seen.values("accept"),
        ["application/json, text/event-stream"]
    );
    assert_eq!(seen.values("x-twice"), ["one", "two"]);
    assert_eq!(seen.values("host"), [workload.address.to_string()]);
    assert_eq!(seen.body, PING);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sidecars_record_who_called_whom_over_what() {
    let world = World::new();
    let workload = Workload::ok().await;
    let ingress = world.ingress(workload.address).await;
    let egress = world.egress(ingress.address()).await;
    let mut client = Client::http1(egress.address()).await;
    client.post("/mcp?secret=1", "{}").await;

    for (sidecar, direction, local, peer) in [
        (&egress, "outbound", AGENT, MCP),
        (&ingress, "inbound", MCP, AGENT),
    ] {
        let records = &sidecar.records;
        let lane = records
            .find("lane", |r| {
                r["event"] == "connection.open" && r["peer"] == id(peer)
            })
            .await;
        assert_eq!(lane["direction"], direction);
        assert_eq!(lane["local"], id(local));
        assert_eq!(lane["group"], "X25519MLKEM768");
        let closed = records.closed("/mcp").await;
        assert_eq!(closed["outcome"], "completed");
        assert_eq!(closed["status"], 200);
        assert_eq!(closed["request_bytes"], 2);
        assert_eq!(closed["response_bytes"], 2);
        let calls = records.all();
        let events = |event: &str| calls.iter().filter(|r| r["event"] == event).count();
        assert_eq!((events("call.open"), events("call.close")), (1, 1));
        assert!(!format!("{calls:?}").contains("secret"), "{calls:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grpc_call_crosses_with_its_trailers_both_ways() {
    let world = World::new();
    let workload = Workload::start(Version::Http2, |request| async {
        assert_eq!(request.version(), http::Version::HTTP_2);
        let te = request.headers().get("te").cloned();
        let body = request.into_body().collect().await.unwrap();
        let asked = body.trailers().and_then(|t| t.get("x-asked").cloned());
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        trailers.insert("x-te", te.unwrap_or(HeaderValue::from_static("none")));
        trailers.insert("x-asked", asked.unwrap_or(HeaderValue::from_static("none")));
        let answer = full(body.to_bytes()).with_trailers(async { Some(Ok(trailers)) });
        Response::builder()
            .header("content-type", "application/grpc")
            .body(answer.boxed_unsync())
            .unwrap()
    })
    .await;
    let plain = Workload::ok().await;
    let ingress = world
        .sidecar(MCP)
        .towards_workload_with(
            plain.address,
            &format!("grpc_workload = \"http://{}\"", workload.address),
        )
        .start()
        .await;
    let egress = world.egress(ingress.address()).await;
    let mut client = Client::http2(egress.address()).await;

    let (hand, body) = held();
    let request = client
        .request("POST", "/example.v1.Chat/Send")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(body)
        .unwrap();
    let sending = tokio::spawn(async move {
        hand.send("message").await;
        let mut trailers = HeaderMap::new();
        trailers.insert("x-asked", HeaderValue::from_static("yes"));
        hand.trailers(trailers).await;
    });
    let answer = client.call(request).await;
    sending.await.unwrap();

    assert_eq!(answer.body, "message");
    assert_eq!(answer.trailers["grpc-status"], "0");
    assert_eq!(answer.trailers["x-te"], "trailers");
    assert_eq!(answer.trailers["x-asked"], "yes");

    assert_eq!(client.get("/mcp").await.body, "ok");
    assert_eq!((workload.count(), plain.count()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_of_http1_cross_too() {
    let world = World::new();
    let workload = raw_workload(|mut stream| async move {
        read_until(&mut stream, "x-asked: 7\r\n\r\n").await;
        let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-checksum\r\n\r\n\
                      2\r\nok\r\n0\r\nx-checksum: 42\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let ingress = world.ingress(workload).await;
    let egress = world.egress(ingress.address()).await;
    let mut caller = TcpStream::connect(egress.address()).await.unwrap();
    let call = "POST /trailers HTTP/1.1\r\nhost: localhost\r\nte: trailers\r\nconnection: te\r\n\
                transfer-encoding: chunked\r\ntrailer: x-asked\r\n\r\n\
                2\r\n{}\r\n0\r\nx-asked: 7\r\n\r\n";
    caller.write_all(call.as_bytes()).await.unwrap();
    read_until(&mut caller, "x-checksum: 42\r\n\r\n").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_method_arrives_as_it_was_sent() {
    let world = World::new();
    let (workload, mut calls) = Workload::recording(Version::Http1).await;
    let ingress = world.ingress(workload.address).await;
    let egress = world.egress(ingress.address()).await;
    let mut client = Client::http1(egress.address()).await;
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"] {
        let request = client.request(method, "/any").body(empty()).unwrap();
        assert_eq!(client.call(request).await.status, StatusCode::OK);
        let seen = next_seen(&mut calls).await;
        assert_eq!(seen.head.method, method);
        assert_eq!(seen.body, "");
    }
}

/// Answers by the path asked for.
async fn answers() -> Workload {
    Workload::start(Version::Http1, |request| async move {
        let response = Response::builder();
        match request.uri().path() {
            "/head" => response.header("content-length", "1234").body(empty()),
            "/accepted" => response.status(202).body(empty()),
            "/no-content" => response.status(204).body(empty()),
            "/not-modified" => response.status(304).header("etag", "W/\"1\"").body(empty()),
            "/redirect" => response
                .status(307)
                .header("location", "https://elsewhere.example/x?y#z")
                .body(empty()),
            "/unauthorized" => response
                .status(401)
                .header("www-authenticate", "Bearer scope=\"a b\"")
                .header("www-authenticate", "DPoP algs=\"ES256\"")
                .body(full("{\"error\":\"own words\"}")),
            "/gzip" => response
                .header("content-encoding", "gzip")
                .body(full(&b"\x1f\x8b\x08\x00"[..])),
            "/own-error" => response.status(503).body(full("the server's own")),
            path => panic!("{path}"),
        }
        .unwrap()
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_of_every_shape_keep_it() {
    let world = World::new();
    let workload = answers().await;
    let ingress = world.ingress(workload.address).await;
    let egress = world.egress(ingress.address()).await;
    let one = Client::http1(egress.address()).await;
    let two = Client::http2(egress.address()).await;
    for mut client in [one, two] {
        let head = client.request("HEAD", "/head").body(empty()).unwrap();
        let head = client.call(head).await;
        assert_eq!(
            (head.status, head.header("content-length")),
            (StatusCode::OK, Some("1234"))
        );
        assert_eq!(head.body, "");

        let accepted = client.post("/accepted", "{}").await;
        assert_eq!(
            (accepted.status, accepted.body.len()),
            (StatusCode::ACCEPTED, 0)
        );
        assert_eq!(accepted.header("transfer-encoding"), None);

        let nothing = client.get("/no-content").await;
        assert_eq!(nothing.status, StatusCode::NO_CONTENT);
        assert_eq!(nothing.header("content-length"), None);

        let unchanged = client.get("/not-modified").await;
        assert_eq!(unchanged.status, StatusCode::NOT_MODIFIED);
        assert_eq!(unchanged.header("etag"), Some("W/\"1\""));

        let redirect = client.get("/redirect").await;
        assert_eq!(redirect.status, StatusCode::TEMPORARY_REDIRECT);
        assert_eq!(
            redirect.header("location"),
            Some("https://elsewhere.example/x?y#z")
        );

        let refused = client.get("/unauthorized").await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
        let schemes: Vec<_> = refused.headers.get_all("www-authenticate").iter().collect();
        assert_eq!(schemes, ["Bearer scope=\"a b\"", "DPoP algs=\"ES256\""]);
        assert_eq!(refused.body, "{\"error\":\"own words\"}");

        let packed = client.get("/gzip").await;
        assert_eq!(packed.header("content-encoding"), Some("gzip"));
        assert_eq!(packed.body, &b"\x1f\x8b\x08\x00"[..]);

        let error = client.get("/own-error").await;
        assert_eq!(error.body, "the server's own");
        assert_eq!(error.header("pqlane-denied"), None);
    }
    assert_eq!(workload.count(), 16);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_body_arrives_byte_for_byte_both_ways() {
    let world = World::new();
    let workload = Workload::start(Version::Http1, |request| async {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Response::new(full(body))
    })
    .await;
    let ingress = world.ingress(workload.address).await;
    let egress = world.egress(ingress.address()).await;
    let sent: Vec<u8> = (0..5_000_000_u32).map(|i| (i % 251) as u8).collect();
    for mut client in [
        Client::http1(egress.address()).await,
        Client::http2(egress.address()).await,
    ] {
        let request = client.request("POST", "/large").body(full(sent.clone()));
        let answer = client.call(request.unwrap()).await;
        assert!(answer.body == sent, "{} bytes came back", answer.body.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http1_and_http2_are_spoken_on_both_sides() {
    let world = World::new();
    let (workload, mut calls) = Workload::recording(Version::Http1).await;
    let ingress = world.ingress(workload.address).await;
    let agent = world.agent();
    let one = agent.http1(ingress.address()).await;
    let two = agent.http2(ingress.address()).await;
    for (mut client, path) in [(one, "/one"), (two, "/two")] {
        assert_eq!(client.get(path).await.body, "ok");
        assert_eq!(next_seen(&mut calls).await.head.uri.path(), path);
    }
    for http in ["1.1", "2"] {
        let spoken = |record: &Value| record["http"] == http;
        ingress.records.find(http, spoken).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_is_chosen_by_its_name_or_by_absolute_form() {
    let world = World::new();
    let (first, second) = (Workload::ok().await, answers().await);
    let one = world.ingress(first.address).await;
    let two = world.ingress(second.address).await;
    let other = format!(
        "[[outbound.route]]\nname = \"other\"\nauthority = \"other.internal:8443\"\n\
         connect = \"{}\"\npeers = [\"{}\"]",
        two.address(),
        id(MCP)
    );
    let egress = world
        .sidecar(AGENT)
        .towards_peer_with(one.address(), &other)
        .start()
        .await;

    let port = egress.address().port();
    for (host, status) in [
        (format!("127.0.0.1:{port}"), 200),
        (format!("localhost:{port}"), 200),
        (format!("other.localhost:{port}"), 202),
        (format!("OTHER.localhost:{port}"), 202),
    ] {
        for client in [
            Client::http1(egress.address()).await,
            Client::http2(egress.address()).await,
        ] {
            let answer = client.asking_for(&host).get("/accepted").await;
            assert_eq!(answer.status, status, "{host}");
        }
    }
    let mut client = Client::http1(egress.address()).await;
    let request = http::Request::get("http://other.internal:8443/accepted")
        .header("host", "other.internal:8443")
        .body(empty());
    assert_eq!(client.call(request.unwrap()).await.status, 202);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_waits_for_100_continue_is_not_kept_waiting() {
    let world = World::new();
    let (workload, mut calls) = Workload::recording(Version::Http1).await;
    let ingress = world.ingress(workload.address).await;
    let egress = world.egress(ingress.address()).await;
    let mut caller = TcpStream::connect(egress.address()).await.unwrap();
    let head = "POST /mcp HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\n\
                content-length: 2\r\n\r\n";
    caller.write_all(head.as_bytes()).await.unwrap();
    let interim = read_until(&mut caller, "\r\n\r\n").await;
    assert!(interim.starts_with("HTTP/1.1 100"), "{interim}");
    caller.write_all(b"{}").await.unwrap();
    let answer = read_until(&mut caller, "ok").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(next_seen(&mut calls).await.body, "{}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workload_of_a_federated_domain_is_known_by_its_own_authority() {
    let world = World::new();
    let friend = TestDomain::new("friend.org");
    let (workload, mut calls) = Workload::recording(Version::Http1).await;
    let ingress = world
        .sidecar(MCP)
        .trust(&friend)
        .inbound(&format!(
            "listen = \"127.0.0.1:0\"\nworkload = \"http://{}\"\n\
             allow = [\"spiffe://friend.org/agent/*\"]",
            workload.address
        ))
        .start()
        .await;
    let svid = friend.leaf("/agent/bob").issue();
    let egress = world.sidecar_with(&svid).trust(&friend);
    let egress = egress.towards_peer(ingress.address()).start().await;
    let mut client = Client::http1(egress.address()).await;
    assert_eq!(client.get("/").await.body, "ok");
    let seen = next_seen(&mut calls).await;
    let xfcc = seen.values("x-forwarded-client-cert");
    assert!(
        xfcc[0].contains("URI=spiffe://friend.org/agent/bob"),
        "{xfcc:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_after_a_hello_retry_request_is_as_good() {
    let world = World::new();
    let workload = Workload::ok().await;
    let ingress = world.ingress(workload.address).await;
    // Guesses wrong at first: a share for a group that is not accepted.
    let agent = world
        .agent()
        .groups(&[kx_group::MLKEM768, kx_group::X25519MLKEM768]);
    let mut client = agent.http2(ingress.address()).await;
    assert_eq!(client.get("/").await.body, "ok");
    let opened = ingress.records.event("connection.open").await;
    assert_eq!(opened["group"], "X25519MLKEM768");
    assert_ne!(opened["handshake"], "full", "{opened}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_connection_resumes_the_session_of_the_first() {
    let world = World::new();
    let workload = Workload::ok().await;
    let ingress = world.ingress(workload.address).await;
    let agent = world.agent().resuming();
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let call = agent.call(ingress.address()).await;
        assert!(call.is_ok(), "{call:?}");
        kinds.push(call.kind);
    }
    assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_connection_makes_a_full_handshake_where_resumption_is_off() {
    let world = World::new();
    let workload = Workload::ok().await;
    let ingress = world.sidecar(MCP).table("[tls]\nresumption = false");
    let ingress = ingress.towards_workload(workload.address).start().await;
    let agent = world.agent().resuming();
    for _ in 0..2 {
        let call = agent.call(ingress.address()).await;
        assert!(call.is_ok(), "{call:?}");
        assert_eq!((call.kind, call.tickets), (HandshakeKind::Full, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_was_opened_is_closed_on_record() {
    let world = World::new();
    let workload = Workload::ok().await;
    let ingress = world.ingress(workload.address).await;
    let mut client = world.agent().http2(ingress.address()).await;
    client.get("/").await;
    let opened = ingress.records.event("connection.open").await;
    drop(client);
    let closed = ingress.records.event("connection.close").await;
    assert_eq!(closed["connection"], opened["connection"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_has_one_name_on_record_at_both_ends() {
    let world = World::new();
    let workload = Workload::ok().await;
    let ingress = world.ingress(workload.address).await;
    let mut names = Vec::new();
    for _ in 0..2 {
        let egress = world.egress(ingress.address()).await;
        let mut client = Client::http1(egress.address()).await;
        assert_eq!(client.get("/mcp").await.body, "ok");
        let ours = egress.records.event("connection.open").await;
        let is_same = |record: &serde_json::Value| {
            record["event"] == "connection.open" && record["channel"] == ours["channel"]
        };
        let theirs = ingress.records.find("the same connection", is_same).await;
        assert_eq!(ours["local_leaf"], theirs["peer_leaf"]);
        assert_eq!(ours["peer_leaf"], theirs["local_leaf"]);
        names.push(ours["channel"].clone());
    }
    assert_eq!(names[0].as_str().unwrap().len(), 64);
    assert_ne!(names[0], names[1]);
}
