//! Who is revoked by a call: cut off before the call is answered, and kept out until it is lifted.

use std::net::SocketAddr;
use std::path::PathBuf;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use pqlane::deny::DenyReason;
use rustls::HandshakeKind;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;

use crate::support::frames::{HEADERS, PREFACE, SETTINGS, WHOLE, frame, until_frame};
use crate::support::http::{
    Answer, Body, Client, Version, Workload, empty, expect_bytes, full, held, next_bytes, raw_call,
    read_to_end, serve,
};
use crate::support::living::{Stream, workload};
use crate::support::process::Process;
use crate::support::tls::Peer;
use crate::support::within;
use crate::support::world::{AGENT, MCP, Setup, Sidecar, World, id, owner_only};

mod cut;

const BOB: &str = "/agent/bob";
const SERIAL: [u8; 2] = [0x0a, 0x1b];
const TOKEN: &str = "f00dfeed0123456789abcdef0123456789abcdef";
/// In a journal this says that Alice is revoked.
const ID: &str = "00000000000000aa";

/// With a place for what is revoked, and an admin listener that takes the token.
fn revoking<'w>(world: &World, setup: Setup<'w>) -> Setup<'w> {
    token_file(world);
    std::fs::create_dir_all(world.path("state")).unwrap();
    setup
        .field("state_dir = \"state\"")
        .table("[admin]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"token\"")
}

fn token_file(world: &World) {
    let path = world.write("token", &format!("{TOKEN}\n"));
    owner_only(&path);
}

fn journal(world: &World) -> PathBuf {
    world.path("state/revocations.jsonl")
}

fn journal_text(world: &World) -> String {
    std::fs::read_to_string(journal(world)).unwrap()
}

fn alice() -> Value {
    json!({ "spiffe_id": id(AGENT), "reason": "lost laptop" })
}

/// A caller of the admin listener.
struct Operator(Client);

impl Operator {
    async fn of(sidecar: &Sidecar) -> Self {
        Self::at(sidecar.listener("admin")).await
    }

    async fn at(admin: SocketAddr) -> Self {
        Self(Client::http1(admin).await)
    }

    fn request(&self, method: &str, path: &str, body: Body) -> Request<Body> {
        self.0
            .request(method, path)
            .header("authorization", format!("Bearer {TOKEN}"))
            .header("content-type", "application/json")
            .body(body)
            .unwrap()
    }

    async fn asks(&mut self, whom: &Value) -> Answer {
        let request = self.request("POST", "/v1/revocations", full(whom.to_string()));
        self.0.call(request).await
    }

    /// Revokes; gives what was answered.
    async fn revokes(&mut self, whom: &Value) -> Value {
        let answer = self.asks(whom).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let told: Value = serde_json::from_slice(&answer.body).unwrap();
        let location = format!("/v1/revocations/{}", told["id"].as_str().unwrap());
        assert_eq!(answer.header("location"), Some(location.as_str()));
        told
    }

    async fn lifts(&mut self, id: &Value) -> StatusCode {
        let path = format!("/v1/revocations/{}", id.as_str().unwrap());
        let request = self.request("DELETE", &path, empty());
        self.0.call(request).await.status
    }

    async fn list(&mut self) -> Vec<Value> {
        let answer = self.0.get("/v1/revocations").await;
        assert_eq!(answer.status, 200);
        let told: Value = serde_json::from_slice(&answer.body).unwrap();
        told["revocations"].as_array().unwrap().clone()
    }
}

/// Ways to name Alice, the entry that each is, and whether it names Bob too.
fn cases() -> [(Value, String, bool); 4] {
    [
        (json!({ "spiffe_id": id(AGENT) }), id(AGENT), false),
        (
            json!({ "trust_domain": "example.org" }),
            "spiffe://example.org".to_owned(),
            true,
        ),
        (
            json!({ "svid_serial": "0a:1b" }),
            "serial:0A1B".to_owned(),
            false,
        ),
        (
            json!({ "svid_serial": "0A1B", "trust_domain": "example.org" }),
            "serial:0A1B spiffe://example.org".to_owned(),
            false,
        ),
    ]
}

/// A call on a connection that was cut: told so, or the connection is closed.
async fn still_refused(client: &mut Client) {
    let request = client.request("POST", "/after").body(full("x")).unwrap();
    if let Ok(response) = client.try_send(request).await {
        let reason = &response.headers()["pqlane-denied"];
        assert_eq!(
            (response.status().as_u16(), reason.as_bytes()),
            (403, &b"peer-denied"[..])
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_cuts_whom_it_names_before_it_is_answered() {
    for (mut whom, entry, bob_too) in cases() {
        let world = World::new();
        let (workload, mut opened) = workload().await;
        let ingress = revoking(&world, world.sidecar(MCP)).towards_workload(workload.address);
        let ingress = ingress.start().await;
        let at = ingress.address();
        let alice = Peer::new(&world, &world.domain.leaf(AGENT).serial(&SERIAL).issue());
        let bob = Peer::new(&world, &world.svid(BOB));
        let (mut two, mut one) = (alice.http2(at).await, alice.http1(at).await);
        let mut bobs = bob.http2(at).await;
        let streams = [
            Stream::open(&mut two, "/sse/two", &mut opened).await,
            Stream::open(&mut two, "/sse/two/again", &mut opened).await,
            Stream::open(&mut one, "/sse/one", &mut opened).await,
        ];
        let mut other = Stream::open(&mut bobs, "/sse/bob", &mut opened).await;
        let calls = workload.count();

        whom["reason"] = "lost laptop".into();
        let told = Operator::of(&ingress).await.revokes(&whom).await;
        assert_eq!(told["entry"], entry, "{told}");
        let (connections, cut) = if bob_too { (3, 4) } else { (2, 3) };
        assert_eq!(told["connections_cut"], connections, "{told}");
        assert_eq!(told["streams_cut"], cut, "{told}");
        assert_eq!(told["end"], "streams-ended", "{told}");
        // The records say so before the answer does.
        let remedied = ingress.records.event("remediation").await;
        for member in [
            "entry",
            "reason",
            "epoch",
            "connections_cut",
            "streams_cut",
            "delay_us",
        ] {
            assert_eq!(remedied[member], told[member], "{member}");
        }
        assert_eq!(remedied["revocation"], told["id"]);
        assert_eq!(remedied["cause"], "revocation");
        let record = ingress.records.event("connection.cut").await;
        assert_eq!(record["revocation"], told["id"], "{entry}");
        assert_eq!(record["reason"], DenyReason::PeerDenied.code(), "{entry}");
        assert_eq!(
            ingress.records.count("connection.cut"),
            connections,
            "{entry}"
        );
        for stream in streams {
            stream.ends().await;
        }
        let closed = ingress.records.closed("/sse/two").await;
        assert_eq!(
            (&closed["outcome"], &closed["reason"]),
            (&json!("cut"), &json!("no-longer-allowed"))
        );
        still_refused(&mut two).await;
        alice.refused(at).await;
        let refused = ingress.records.refused(DenyReason::PeerDenied).await;
        assert_eq!(refused["peer"], id(AGENT), "{entry}");
        assert_eq!(workload.count(), calls, "{entry}");
        if bob_too {
            other.ends().await;
            bob.refused(at).await;
        } else {
            other.flows().await;
            assert_eq!(bobs.get("/").await.status, 200);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_peer_resumes_nothing_and_comes_back_once_it_is_lifted() {
    let world = World::new();
    let workload = Workload::ok().await;
    let ingress = revoking(&world, world.sidecar(MCP)).towards_workload(workload.address);
    let ingress = ingress.start().await;
    let at = ingress.address();
    let alice = world.agent().resuming();
    assert_eq!(alice.call(at).await.kind, HandshakeKind::Full);
    assert_eq!(alice.call(at).await.kind, HandshakeKind::Resumed);
    let calls = workload.count();
    let mut operator = Operator::of(&ingress).await;
    let told = operator.revokes(&alice_until(None)).await;
    assert_eq!(told["connections_cut"], 0);
    let listed = operator.list().await;
    assert_eq!((listed.len(), &listed[0]["id"]), (1, &told["id"]));
    assert_eq!(listed[0]["reason"], "lost laptop");
    assert_eq!(listed[0]["until"], Value::Null);
    // It has a ticket left, and then none.
    for _ in 0..2 {
        alice.refused(at).await;
    }
    assert_eq!(workload.count(), calls);
    assert_eq!(operator.lifts(&told["id"]).await, 204);
    let lifted = ingress.records.event("revocation.lifted").await;
    assert_eq!(lifted["revocation"], told["id"]);
    assert_eq!(alice.call(at).await.kind, HandshakeKind::Full);
    assert!(operator.list().await.is_empty());
    assert_eq!(operator.lifts(&told["id"]).await, 404);
}

fn alice_until(seconds: Option<u64>) -> Value {
    let mut whom = alice();
    if let Some(seconds) = seconds {
        whom["duration_seconds"] = seconds.into();
    }
    whom
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_that_is_over_keeps_nobody_out() {
    let world = World::new();
    let workload = Workload::ok().await;
    let ingress = revoking(&world, world.sidecar(MCP)).towards_workload(workload.address);
    let ingress = ingress.start().await;
    let mut operator = Operator::of(&ingress).await;
    let told = operator.revokes(&alice_until(Some(1))).await;
    assert!(told["until"].as_str() > told["since"].as_str(), "{told}");
    within("end of the revocation", async {
        while !operator.list().await.is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(world.agent().call(ingress.address()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_keeps_who_was_revoked_out_from_the_first_connection_on() {
    let world = World::new();
    let workload = Workload::ok().await;
    let setup = revoking(&world, world.sidecar(MCP));
    let setup = setup.towards_workload_with(workload.address, "name = \"lane\"");
    let file = setup.file();
    let first = Process::run(&file);
    let mut operator = Operator::at(first.listener("admin").await).await;
    operator.revokes(&alice()).await;
    let bob = json!({ "spiffe_id": id(BOB), "reason": "left" });
    let lifted = operator.revokes(&bob).await;
    assert_eq!(operator.lifts(&lifted["id"]).await, 204);
    // Killed, without a chance to write anything more.
    drop(first);
    let second = Process::run(&file);
    let at = second.listener("lane").await;
    world.agent().refused(at).await;
    let bob = Peer::new(&world, &world.svid(BOB));
    assert!(bob.call(at).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_crash_left_half_written_costs_no_other_entry() {
    let world = World::new();
    let workload = Workload::ok().await;
    let setup = revoking(&world, world.sidecar(MCP)).towards_workload(workload.address);
    let line = |id: &str, entry: &str| {
        format!(
            "{{\"v\":1,\"revoke\":\"{id}\",\"entry\":\"{entry}\",\"reason\":\"r\",\"at\":\"2026-06-01T00:00:00Z\"}}\n"
        )
    };
    let (first, second) = (line(ID, &id(AGENT)), line("00000000000000bb", &id(BOB)));
    std::fs::write(journal(&world), format!("{first}{}", &second[..40])).unwrap();
    let ingress = setup.start().await;
    world.agent().refused(ingress.address()).await;
    let bob = Peer::new(&world, &world.svid(BOB));
    assert!(bob.call(ingress.address()).await.is_ok());
    let mut operator = Operator::of(&ingress).await;
    assert_eq!(operator.list().await.len(), 1);
    operator
        .revokes(&json!({ "spiffe_id": id(BOB), "reason": "r" }))
        .await;
    bob.refused(ingress.address()).await;
    let text = journal_text(&world);
    let whole = text
        .lines()
        .filter(|line| serde_json::from_str::<Value>(line).is_ok());
    assert_eq!(whole.count(), 2, "{text}");
}

/// A call with these heads, after which nobody is revoked.
async fn changes_nothing(world: &World, sidecar: &Sidecar, head: &str, body: &str) -> String {
    let before = journal_text(world);
    let mut stream = TcpStream::connect(sidecar.listener("admin")).await.unwrap();
    let request = format!(
        "{head}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let answer = raw_call(&mut stream, &request).await;
    assert_eq!(journal_text(world), before, "{answer}");
    assert!(Operator::of(sidecar).await.list().await.is_empty());
    answer.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_may_not_or_cannot_be_meant_changes_nothing() {
    let world = World::new();
    let (workload, mut opened) = workload().await;
    let ingress = revoking(&world, world.sidecar(MCP)).towards_workload(workload.address);
    let ingress = ingress.start().await;
    let mut client = world.agent().http2(ingress.address()).await;
    let mut stream = Stream::open(&mut client, "/sse", &mut opened).await;
    let post = "POST /v1/revocations HTTP/1.1\r\n";
    let (host, json) = ("host: localhost\r\n", "content-type: application/json\r\n");
    let token = format!("authorization: Bearer {TOKEN}\r\n");
    let wrong = token.replace("f00d", "beef");
    let good = alice().to_string();
    let long = json!({ "spiffe_id": id(AGENT), "reason": "x", "duration_seconds": 1 });
    let long = format!("{}{}", " ".repeat(8 * 1024), long);
    let unknown = json!({ "spiffe_id": id(AGENT), "reason": "x", "user": "u" }).to_string();
    for (head, body, status) in [
        (format!("{post}{host}{json}"), &good, 401),
        (format!("{post}{host}{json}{wrong}"), &good, 401),
        (format!("{post}{host}{json}{token}{token}"), &good, 401),
        (
            format!("{post}host: evil.example.com\r\n{json}{token}"),
            &good,
            403,
        ),
        (
            format!("{post}{host}origin: http://localhost\r\n{json}{token}"),
            &good,
            403,
        ),
        (format!("{post}{host}{token}"), &good, 415),
        (
            format!("{post}{host}content-type: text/plain\r\n{token}"),
            &good,
            415,
        ),
        (format!("{post}{host}{json}{json}{token}"), &good, 415),
        (format!("{post}{host}{json}{token}"), &long, 413),
        (format!("{post}{host}{json}{token}"), &unknown, 400),
        (format!("{post}{host}{json}{token}"), &"{".to_owned(), 400),
        (
            format!("{post}{host}{json}{token}").replace("POST", "PUT"),
            &good,
            405,
        ),
        (
            format!("DELETE /v1/revocations/{ID} HTTP/1.1\r\n{host}"),
            &String::new(),
            401,
        ),
        (
            format!("DELETE /v1/revocations/{ID} HTTP/1.1\r\n{host}{token}"),
            &String::new(),
            404,
        ),
    ] {
        let answer = changes_nothing(&world, &ingress, &head, body).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{head} {answer}"
        );
    }
    stream.flows().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_token_a_change_takes_the_unix_socket_and_without_a_state_dir_there_is_none() {
    let world = World::new();
    let workload = Workload::ok().await;
    std::fs::create_dir(world.path("state")).unwrap();
    let ingress = world.sidecar(MCP).field("state_dir = \"state\"").admin();
    let ingress = ingress.towards_workload(workload.address).start().await;
    let refused = Operator::of(&ingress).await.asks(&alice()).await;
    assert_eq!(refused.status, 403);
    let told = String::from_utf8_lossy(&refused.body).into_owned();
    assert!(told.contains("[admin] token_file"), "{told}");
    assert!(world.agent().call(ingress.address()).await.is_ok());

    let socket = world.path("admin.sock");
    let world_two = World::new();
    std::fs::create_dir(world_two.path("state")).unwrap();
    let ingress = world_two
        .sidecar(MCP)
        .field("state_dir = \"state\"")
        .table(&format!("[admin]\nlisten = \"unix:{}\"", socket.display()));
    let ingress = ingress.towards_workload(workload.address).start().await;
    let stream = UnixStream::connect(&socket).await.unwrap();
    let mut client = Client::http1_over(stream, "localhost").await;
    let request = client
        .request("POST", "/v1/revocations")
        .header("content-type", "application/json");
    let request = request.body(full(alice().to_string())).unwrap();
    assert_eq!(client.call(request).await.status, 201);
    world_two.agent().refused(ingress.address()).await;

    token_file(&world);
    let nowhere = world
        .sidecar(MCP)
        .table("[admin]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"token\"");
    let nowhere = nowhere.towards_workload(workload.address).start().await;
    let refused = Operator::of(&nowhere).await.asks(&alice()).await;
    assert_eq!(refused.status, 409);
    let told = String::from_utf8_lossy(&refused.body).into_owned();
    assert!(told.contains("state_dir"), "{told}");
    assert!(world.agent().call(nowhere.address()).await.is_ok());
}
