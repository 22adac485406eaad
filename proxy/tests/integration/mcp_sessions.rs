//! MCP session ids: sealed for the peer they are given to, opened by any replica, worth nothing to anybody else.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use pqlane::deny::DenyReason;

use crate::support::http::{Answer, Body, Client, Version, Workload, full};
use crate::support::living::{replace, replace_svid};
use crate::support::tls::Peer;
use crate::support::world::{AGENT, MCP, Setup, Sidecar, World, owner_only};

const THIEF: &str = "/agent/mallory";
const SESSION_ID: &str = "mcp-session-id";
const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const NEXT_KEY: &str = "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f";

/// An MCP server as far as sessions go: it gives an id to whoever comes without, knows the ids that it gave, and
/// says its name. What it saw as session id comes back as `x-seen`.
async fn server(name: &'static str) -> Workload {
    let given = Arc::new(AtomicUsize::new(0));
    Workload::start(Version::Http1, move |request| {
        let given = Arc::clone(&given);
        async move { serve_session(name, &given, &request) }
    })
    .await
}

fn serve_session(name: &str, given: &AtomicUsize, request: &Request<Incoming>) -> Response<Body> {
    let answer = Response::builder().header("x-server", name);
    let Some(id) = request.headers().get(SESSION_ID) else {
        let number = given.fetch_add(1, Ordering::Relaxed);
        let id = format!("{name}-{number}");
        return answer.header(SESSION_ID, id).body(full("new")).unwrap();
    };
    let number = id.to_str().unwrap().strip_prefix(&format!("{name}-"));
    let known = number
        .and_then(|number| number.parse().ok())
        .is_some_and(|number: usize| number < given.load(Ordering::Relaxed));
    let answer = answer.header("x-seen", id);
    match (known, request.uri().path()) {
        (false, _) => answer.status(404).body(full("unknown to the server")),
        (true, "/silent") => answer.body(full("ok")),
        (true, "/renewed") => {
            let number = given.fetch_add(1, Ordering::Relaxed);
            let renewed = format!("{name}-{number}");
            answer.header(SESSION_ID, renewed).body(full("ok"))
        }
        (true, _) => answer.header(SESSION_ID, id).body(full("ok")),
    }
    .unwrap()
}

async fn call(client: &mut Client, method: &str, path: &str, ids: &[&str]) -> Answer {
    let mut request = client.request(method, path);
    for id in ids {
        request = request.header(SESSION_ID, *id);
    }
    let body = match ids {
        [] => INITIALIZE,
        [..] => "{}",
    };
    client.call(request.body(full(body)).unwrap()).await
}

/// What begins a session.
const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#;

/// Begins a session and gives its id.
async fn begin(client: &mut Client) -> String {
    let answer = call(client, "POST", "/mcp", &[]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.header(SESSION_ID).unwrap().to_owned()
}

/// Uses a session, which must work; gives the name of the server that answered.
async fn uses(client: &mut Client, id: &str) -> String {
    let answer = call(client, "POST", "/mcp", &[id]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header(SESSION_ID), Some(id));
    answer.header("x-server").unwrap().to_owned()
}

/// All that a caller can tell a refusal by, but the time of day.
fn told(answer: &Answer) -> String {
    assert_eq!(answer.status, StatusCode::NOT_FOUND, "{answer:?}");
    let mut headers: Vec<_> = answer
        .headers
        .iter()
        .filter(|(name, _)| *name != "date")
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    headers.sort();
    let body = String::from_utf8(answer.body.to_vec()).unwrap();
    format!("{}\n\n{body}", headers.join("\n"))
}

async fn is_unknown(client: &mut Client, id: &str) {
    let answer = call(client, "POST", "/mcp", &[id]).await;
    assert_eq!(answer.status, 404, "{answer:?}");
    assert_eq!(
        answer.header("pqlane-denied"),
        Some(DenyReason::SessionUnknown.code())
    );
}

/// A key file, of mode 0600.
fn keys(world: &World, text: &str) -> PathBuf {
    let path = world.write("sealing.keys", text);
    owner_only(&path);
    path
}

fn sealing(setup: Setup<'_>) -> Setup<'_> {
    setup.admin().table("[sealing]\nkeys = \"sealing.keys\"")
}

/// A sidecar in front of a server, with the shared key file.
async fn replica(world: &World, server: &Workload) -> Sidecar {
    sealing(world.sidecar(MCP))
        .towards_workload(server.address)
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_does_not_notice_that_its_session_id_is_sealed() {
    let world = World::new();
    let server = server("one").await;
    let ingress = world.ingress(server.address).await;
    let egress = world.egress(ingress.address()).await;
    for mut client in [
        Client::http1(egress.address()).await,
        Client::http2(egress.address()).await,
    ] {
        let id = begin(&mut client).await;
        assert!(id.len() <= 512 && id.bytes().all(|byte| byte.is_ascii_graphic()));
        assert!(!id.contains("one-"), "{id}");
        for method in ["POST", "GET", "DELETE"] {
            let answer = call(&mut client, method, "/mcp", &[&id]).await;
            assert_eq!(answer.status, 200, "{method}");
            assert!(answer.header("x-seen").unwrap().starts_with("one-"));
            assert_eq!(answer.header(SESSION_ID), Some(&*id), "{method}");
        }
        let silent = call(&mut client, "POST", "/silent", &[&id]).await;
        assert_eq!(silent.header(SESSION_ID), None);
        let renewed = call(&mut client, "POST", "/renewed", &[&id]).await;
        let renewed = renewed.header(SESSION_ID).unwrap().to_owned();
        assert_ne!(renewed, id);
        assert_eq!(uses(&mut client, &renewed).await, "one");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_id_of_another_peer_is_as_unknown_as_one_made_up() {
    let world = World::new();
    keys(&world, KEY);
    let server = server("one").await;
    let (here, there) = (
        replica(&world, &server).await,
        replica(&world, &server).await,
    );
    let mut owner = world.agent().http2(here.address()).await;
    let id = begin(&mut owner).await;
    let thief = Peer::new(&world, &world.svid(THIEF));
    let calls = server.count();

    let mut flipped = id.clone().into_bytes();
    let middle = flipped.len() / 2;
    flipped[middle] = if flipped[middle] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).unwrap();
    let long = "x".repeat(600);
    let bad: [&[&str]; 8] = [
        &[&id],
        &[&flipped],
        &[&id[..id.len() - 4]],
        &["one-0"],
        &["pq1."],
        &[""],
        &[&long],
        &[&id, &id],
    ];
    let mut heard = Vec::new();
    for replica in [&here, &there] {
        for mut client in [
            thief.http1(replica.address()).await,
            thief.http2(replica.address()).await,
        ] {
            for ids in bad {
                for method in ["POST", "GET", "DELETE"] {
                    heard.push(told(&call(&mut client, method, "/mcp", ids).await));
                }
            }
            // Whatever else the call claims to be.
            let request = client.request("POST", "/mcp").header(SESSION_ID, &id);
            let request = request.header("content-type", "application/grpc");
            heard.push(told(&client.call(request.body(full("")).unwrap()).await));
        }
    }
    // The owner itself, with what is no id of its.
    for ids in &bad[1..] {
        heard.push(told(&call(&mut owner, "POST", "/mcp", ids).await));
    }
    assert!(heard.iter().all(|one| *one == heard[0]), "{heard:#?}");
    let mcp =
        r#"{"jsonrpc":"2.0","error":{"code":-32001,"message":"Session not found"},"id":null}"#;
    assert!(heard[0].ends_with(&format!("\n\n{mcp}")), "{}", heard[0]);
    assert!(heard[0].contains(DenyReason::SessionUnknown.code()));
    assert_eq!(server.count(), calls, "the server was called");
    assert_eq!(uses(&mut owner, &id).await, "one");
    let denied = here.records.denied(DenyReason::SessionUnknown).await;
    assert!(denied["detail"].is_string(), "{denied}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_survives_new_svids_and_a_move_to_another_replica() {
    let world = World::new();
    keys(&world, KEY);
    let (one, two) = (server("one").await, server("two").await);
    let backends = format!(
        "[[inbound.backend]]\nname = \"two\"\nworkload = \"http://{}\"",
        two.address
    );
    let setup = || sealing(world.sidecar(MCP)).towards_workload_with(one.address, &backends);
    let (here, there) = (setup().start().await, setup().start().await);
    let mut before = world.agent().http2(here.address()).await;
    let mut sessions = Vec::new();
    for _ in 0..4 {
        let id = begin(&mut before).await;
        let server = uses(&mut before, &id).await;
        sessions.push((id, server));
    }
    let servers: Vec<_> = sessions.iter().map(|(_, server)| server.as_str()).collect();
    assert_eq!(servers, ["one", "two", "one", "two"]);
    // Another SVID of the same ID, another connection, a new SVID of the sidecar, another replica.
    here.applies(|| replace_svid(&here.file, &world.svid(MCP)))
        .await;
    for replica in [&here, &there] {
        let mut after = Peer::new(&world, &world.svid(AGENT))
            .http2(replica.address())
            .await;
        for (id, server) in sessions.iter().rev() {
            assert_eq!(uses(&mut after, id).await, *server);
        }
    }

    // A backend that is configured no more takes its sessions with it, and only those.
    here.applies(|| here.edit(&backends, "")).await;
    let mut client = world.agent().http2(here.address()).await;
    assert_eq!(uses(&mut client, &sessions[0].0).await, "one");
    is_unknown(&mut client, &sessions[1].0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_outlive_the_rotation_of_a_key_for_as_long_as_it_is_listed() {
    let world = World::new();
    let path = keys(&world, KEY);
    let server = server("one").await;
    let ingress = replica(&world, &server).await;
    let mut client = world.agent().http2(ingress.address()).await;
    let rewrite = |text: String| {
        let path = path.clone();
        move || {
            let aside = path.with_extension("new");
            std::fs::write(&aside, text).unwrap();
            owner_only(&aside);
            std::fs::rename(aside, path).unwrap();
        }
    };
    let old = begin(&mut client).await;
    ingress
        .applies(rewrite(format!("{NEXT_KEY}\n{KEY}\n")))
        .await;
    let new = begin(&mut client).await;
    assert_eq!(uses(&mut client, &old).await, "one");
    assert_eq!(uses(&mut client, &new).await, "one");
    ingress.applies(rewrite(format!("{NEXT_KEY}\n"))).await;
    is_unknown(&mut client, &old).await;
    assert_eq!(uses(&mut client, &new).await, "one");
    // A file that cannot be used leaves the keys as they are; so does one that everybody may read.
    ingress.refuses(rewrite("no key\n".to_owned())).await;
    assert_eq!(uses(&mut client, &new).await, "one");
    ingress.refuses(|| replace(&path, format!("{KEY}\n"))).await;
    assert_eq!(uses(&mut client, &new).await, "one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_made_in_the_state_directory_survives_a_restart() {
    let world = World::new();
    let server = server("one").await;
    std::fs::create_dir(world.path("state")).unwrap();
    let start = || {
        let setup = world.sidecar(MCP).field("state_dir = \"state\"");
        setup.towards_workload(server.address).start()
    };
    let mut first = start().await;
    let mut client = world.agent().http2(first.address()).await;
    let id = begin(&mut client).await;
    drop(client);
    first.stop();
    first.ended().await;
    let second = start().await;
    let mut client = world.agent().http2(second.address()).await;
    assert_eq!(uses(&mut client, &id).await, "one");
    // Without one, a session ends with the process.
    let other = world.ingress(server.address).await;
    is_unknown(&mut world.agent().http2(other.address()).await, &id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_id_that_cannot_be_sealed_never_leaves() {
    let world = World::new();
    let workload = Workload::start(Version::Http1, |request| async move {
        let answer = match request.uri().path() {
            "/long" => Response::builder().header(SESSION_ID, "s".repeat(400)),
            _ => Response::builder()
                .header(SESSION_ID, "first")
                .header(SESSION_ID, "second"),
        };
        answer.body(full("ok")).unwrap()
    })
    .await;
    let ingress = world.ingress(workload.address).await;
    let mut client = world.agent().http2(ingress.address()).await;
    for path in ["/long", "/two"] {
        let answer = client.get(path).await;
        assert_eq!(answer.status, 502, "{answer:?}");
        assert_eq!(answer.header(SESSION_ID), None);
        let denied = answer.header("pqlane-denied");
        assert_eq!(denied, Some(DenyReason::SessionUnusable.code()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_revision_without_sessions_shows_and_learns_no_session_id() {
    let world = World::new();
    let server = server("one").await;
    let ingress = world.ingress(server.address).await;
    let mut client = world.agent().http2(ingress.address()).await;
    let sealed = begin(&mut client).await;
    for id in [&*sealed, "one-0", "made up"] {
        let request = client
            .request("POST", "/mcp")
            .header("mcp-protocol-version", "2026-07-28")
            .header(SESSION_ID, id);
        let answer = client.call(request.body(full("{}")).unwrap()).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-seen"), None, "{id}");
        assert_eq!(answer.header(SESSION_ID), None, "{id}");
    }
    // Spellings that some server could read as the same field.
    for name in ["mcp_session_id", "mcp-session_id"] {
        let request = client.request("POST", "/mcp").header(name, "one-0");
        let answer = client.call(request.body(full("{}")).unwrap()).await;
        assert_eq!(answer.header("x-seen"), None, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_ids_pass_where_sealing_is_off() {
    let world = World::new();
    let server = server("one").await;
    let setup = world.sidecar(MCP);
    let ingress = setup.towards_workload_with(server.address, "seal_sessions = false");
    let ingress = ingress.start().await;
    let mut client = world.agent().http2(ingress.address()).await;
    assert_eq!(begin(&mut client).await, "one-0");
    assert_eq!(uses(&mut client, "one-0").await, "one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_call_that_begins_a_session_takes_a_turn_among_backends() {
    let world = World::new();
    let (one, two) = (server("one").await, server("two").await);
    let second = format!(
        "[[inbound.backend]]\nname = \"two\"\nworkload = \"http://{}\"",
        two.address
    );
    let ingress = world
        .sidecar(MCP)
        .towards_workload_with(one.address, &second);
    let ingress = ingress.start().await;
    let mut client = world.agent().http2(ingress.address()).await;
    for _ in 0..4 {
        let answer = client.post("/message:send", "{}").await;
        assert_eq!(answer.header("x-server"), Some("one"));
    }
    let mut begun = Vec::new();
    for _ in 0..2 {
        let id = begin(&mut client).await;
        begun.push(uses(&mut client, &id).await);
    }
    assert_eq!(begun, ["one", "two"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_takes_no_body_that_nobody_has_read_to_the_workload() {
    let world = World::new();
    let server = server("one").await;
    let grpc = Workload::start(Version::Http2, |_request| async {
        Response::new(full("grpc"))
    })
    .await;
    let lines = format!("grpc_workload = \"http://{}\"", grpc.address);
    let ingress = world
        .sidecar(MCP)
        .towards_workload_with(server.address, &lines);
    let ingress = ingress.start().await;
    let mut client = world.agent().http2(ingress.address()).await;
    let id = begin(&mut client).await;
    let calls = server.count();
    let request = client
        .request("POST", "/mcp")
        .header("content-type", "application/grpc")
        .header(SESSION_ID, &id)
        .body(full(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#));
    let answer = client.call(request.unwrap()).await;
    assert_eq!(answer.status, 404, "{answer:?}");
    assert_eq!((server.count(), grpc.count()), (calls, 0));
}
