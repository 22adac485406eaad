//! Files that change under a running process: a good change takes effect, a bad one changes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use pqlane::deny::DenyReason;
use pqlane_certs::testing::TestSvid;
use tokio::net::TcpStream;

use crate::support::http::{Client, Version, Workload, expect_end, full, nobody};
use crate::support::living::{
    Stream, after_change, edit, figure, later, replace, replace_svid, workload,
};
use crate::support::process::Process;
use crate::support::tls::Peer;
use crate::support::world::{AGENT, MCP, Setup, World, id};
use crate::support::{eventually, within};

const BOB: &str = "/agent/bob";

/// Looks often, so that tests are quick.
fn quick(setup: Setup<'_>) -> Setup<'_> {
    setup.admin().limit("file_watch_milliseconds = 20")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_narrower_allow_list_cuts_whom_it_leaves_out_and_nobody_else() {
    let world = World::new();
    let (workload, mut opened) = workload().await;
    let ingress = quick(world.sidecar(MCP)).towards_workload(workload.address);
    let ingress = ingress.start().await;
    let at = ingress.address();
    let bob = Peer::new(&world, &world.svid(BOB));
    let (mut alices, mut bobs) = (world.agent().http2(at).await, bob.http2(at).await);
    let mut kept = Stream::open(&mut alices, "/sse/alice", &mut opened).await;
    let cut = Stream::open(&mut bobs, "/sse/bob", &mut opened).await;
    ingress
        .applies(|| ingress.edit("agent/*", "agent/alice"))
        .await;
    cut.ends().await;
    kept.flows().await;
    assert_eq!(alices.get("/").await.status, 200);
    bob.refused(at).await;
    ingress.records.refused(DenyReason::PeerNotAllowed).await;
    let closed = ingress.records.closed("/sse/bob").await;
    assert_eq!(closed["outcome"], "cut");
    assert_eq!(closed["reason"], "no-longer-allowed");

    ingress
        .applies(|| ingress.edit("agent/alice", "agent/*"))
        .await;
    assert_eq!(bob.http2(at).await.get("/").await.status, 200);
    kept.flows().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fewer_peers_that_may_answer_cut_the_lane_to_the_others() {
    let world = World::new();
    let (workload, mut opened) = workload().await;
    let ingress = world.ingress(workload.address).await;
    let egress = quick(world.sidecar(AGENT)).towards_peer(ingress.address());
    let egress = egress.start().await;
    let mut client = Client::http2(egress.address()).await;
    let stream = Stream::open(&mut client, "/sse", &mut opened).await;
    egress
        .applies(|| egress.edit(&id(MCP), &id("/mcp/other")))
        .await;
    stream.ends().await;
    assert_eq!(client.get("/").await.status, 502);
    egress.records.refused(DenyReason::PeerNotAllowed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_is_added_serves_and_one_that_is_removed_finishes() {
    let world = World::new();
    let (workload, mut opened) = workload().await;
    let ingress = quick(world.sidecar(MCP))
        .towards_workload_with(workload.address, "name = \"first\"")
        .start()
        .await;
    let (first, second) = (ingress.listener("first"), nobody().await);
    let mut client = world.agent().http2(first).await;
    let mut stream = Stream::open(&mut client, "/sse", &mut opened).await;
    let text = std::fs::read_to_string(&ingress.file).unwrap();
    let (rest, listener) = text.split_once("[[inbound]]").unwrap();
    let another = listener
        .replace("127.0.0.1:0", &second.to_string())
        .replace("first", "second");
    let both = format!("{rest}[[inbound]]{listener}[[inbound]]{another}");
    ingress.applies(|| replace(&ingress.file, both)).await;
    for address in [first, second] {
        let mut client = world.agent().http2(address).await;
        assert_eq!(client.get("/").await.status, 200);
    }
    let removed = format!("{rest}[[inbound]]{another}");
    ingress.applies(|| replace(&ingress.file, removed)).await;
    within("refusal of new connections", async {
        while TcpStream::connect(first).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    stream.flows().await;
    let mut client = world.agent().http2(second).await;
    assert_eq!(client.get("/").await.status, 200);
    drop(stream.hand);
    expect_end(&mut stream.body).await;
    assert_eq!(ingress.records.closed("/sse").await["outcome"], "completed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routes_and_workloads_change_under_an_open_connection() {
    let world = World::new();
    let (before, mut opened) = workload().await;
    let after = Workload::ok().await;
    let ingress = quick(world.sidecar(MCP)).towards_workload(before.address);
    let ingress = ingress.start().await;
    let egress = quick(world.sidecar(AGENT)).towards_peer(ingress.address());
    let egress = egress.start().await;
    let mut client = Client::http2(egress.address()).await;
    let mut stream = Stream::open(&mut client, "/sse", &mut opened).await;
    let (old, new) = (before.address.to_string(), after.address.to_string());
    ingress.applies(|| ingress.edit(&old, &new)).await;
    assert_eq!(client.get("/").await.status, 200);
    assert_eq!(after.count(), 1);
    stream.flows().await;

    let mut other = client.clone().asking_for("other.localhost");
    assert_eq!(other.get("/").await.status, 421);
    let text = std::fs::read_to_string(&egress.file).unwrap();
    let route = format!(
        "{text}[[outbound.route]]\nname = \"other\"\nconnect = \"{}\"\npeers = [\"{}\"]\n",
        ingress.address(),
        id(MCP)
    );
    egress.applies(|| replace(&egress.file, route)).await;
    assert_eq!(other.get("/").await.status, 200);
    assert_eq!(after.count(), 2);

    let guarded = format!(
        "[[inbound.route]]\npath = \"/admin\"\nallow = [\"{}\"]\n",
        id(BOB)
    );
    let text = std::fs::read_to_string(&ingress.file).unwrap();
    ingress
        .applies(|| replace(&ingress.file, text + &guarded))
        .await;
    assert_eq!(client.get("/admin").await.status, 403);
    assert_eq!(client.get("/").await.status, 200);
    stream.flows().await;
}

/// A good file spoiled in some way, the text whose line is at fault, and what must be said.
fn bad_files<'a>(good: &str, taken: &'a str) -> Vec<(String, Option<&'static str>, &'a str)> {
    let inbound = |listen: &str| {
        format!(
            "[[inbound]]\nname = \"more\"\nlisten = \"{listen}\"\nallow = [\"{}\"]\n\
             workload = \"http://{taken}\"\n",
            id(AGENT)
        )
    };
    let restart = "takes a restart";
    vec![
        (
            good.replace("[trust]", "[trust"),
            Some("[trust"),
            "unclosed table",
        ),
        (
            good.replace("allow =", "alow ="),
            Some("alow"),
            "unknown field",
        ),
        (
            good.replace("\"lane\"", "7"),
            Some("name = 7"),
            "invalid type",
        ),
        (
            good.replace("[limits]", "[limits]\nhead_bytes = 1"),
            Some("head_bytes"),
            "8192",
        ),
        (good.replace("bundle.pem", "none.pem"), None, "none.pem"),
        (good.to_owned() + &inbound(taken), None, taken),
        (
            good.replace(
                "[admin]\nlisten = \"127.0.0.1:0\"",
                "[admin]\nlisten = \"127.0.0.1:1\"",
            ),
            None,
            restart,
        ),
        (format!("workers = 7\n{good}"), None, restart),
        (format!("state_dir = \"elsewhere\"\n{good}"), None, restart),
        (
            good.replace("[audit]", "[audit]\non_failure = \"continue\""),
            None,
            restart,
        ),
        (String::new(), None, "no identity"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_file_leaves_the_old_one_running_and_is_named_with_its_line() {
    let world = World::new();
    let (workload, mut opened) = workload().await;
    let taken = workload.address.to_string();
    let setup = quick(world.sidecar(MCP));
    let setup = setup.towards_workload_with(workload.address, "name = \"lane\"");
    let file = setup.file();
    let process = Process::run(&file);
    let lane = process.listener("lane").await;
    let admin = process.listener("admin").await;
    let mut client = world.agent().http2(lane).await;
    let mut stream = Stream::open(&mut client, "/sse", &mut opened).await;
    let good = std::fs::read_to_string(&file).unwrap();
    let line_of = |text: &str, part: &str| {
        let place = text.lines().position(|line| line.contains(part)).unwrap();
        (place + 1).to_string()
    };
    for (text, wrong, named) in bad_files(&good, &taken) {
        assert_ne!(text, good);
        let logged = process.log().len();
        after_change(admin, "refused", || replace(&file, &text)).await;
        // The count rises after the line is written, and the line comes through a pipe.
        let log = eventually("line in the log", || {
            let log = process.log().split_off(logged);
            log.contains("what was before stays").then_some(log)
        })
        .await;
        let file_name = file.file_name().unwrap().to_str().unwrap();
        if let Some(wrong) = wrong {
            let line = line_of(&text, wrong);
            assert!(log.contains(file_name), "{file_name} in {log}");
            assert!(
                log.contains(&format!(":{line}:")) || log.contains(&format!("line {line},")),
                "line {line} in {log}"
            );
        }
        for named in [named, "what was before stays"] {
            assert_eq!(log.matches(named).count(), 1, "{named} in {log}");
        }
        assert_eq!(client.get("/").await.status, 200);
        assert_eq!(world.agent().http2(lane).await.get("/").await.status, 200);
        stream.flows().await;
    }
    let narrower = good.replace("agent/*", "agent/bob");
    after_change(admin, "applied", || replace(&file, narrower)).await;
    stream.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sighup_reads_everything_again_at_once() {
    let world = World::new();
    let list = world.write("deny.txt", "");
    let workload = Workload::ok().await;
    let setup = world.sidecar(MCP).admin();
    // So that nothing else is noticed before the test is over.
    let setup = setup.limit("file_watch_milliseconds = 3600000");
    let setup = setup.table("[revocation]\ndeny_list = \"deny.txt\"");
    let setup = setup.towards_workload_with(workload.address, "name = \"lane\"");
    let file = setup.file();
    let mut process = Process::run(&file);
    let lane = process.listener("lane").await;
    let admin = process.listener("admin").await;
    let bob = Peer::new(&world, &world.svid(BOB));
    let carol = Peer::new(&world, &world.svid("/agent/carol"));
    for peer in [&bob, &carol] {
        assert_eq!(peer.http2(lane).await.get("/").await.status, 200);
    }
    let expires = later(1_000);
    let renewed = world.domain.leaf(MCP).valid(later(-60), expires).issue();
    after_change(admin, "applied", || {
        edit(
            &file,
            "agent/*",
            "agent/alice\", \"spiffe://example.org/agent/carol",
        );
        replace(&list, id("/agent/carol"));
        replace_svid(&file, &renewed);
        process.signal("HUP");
    })
    .await;
    bob.refused(lane).await;
    carol.refused(lane).await;
    assert_eq!(world.agent().http2(lane).await.get("/").await.status, 200);
    let expiry = figure(admin, "pqlane_svid_expiry_timestamp").await;
    assert_eq!(expiry, expires.as_secs());
    after_change(admin, "refused", || {
        replace(&file, "not toml");
        process.signal("HUP");
    })
    .await;
    assert_eq!(world.agent().http2(lane).await.get("/").await.status, 200);
    assert!(process.is_running());
}

/// An SVID that is told apart by when it expires.
fn renewed(world: &World, path: &str, seconds: i64) -> TestSvid {
    let leaf = world.domain.leaf(path);
    leaf.valid(later(-60), later(seconds)).issue()
}

/// Makes calls over one connection until told to stop, or until it has made so many; none may fail.
async fn caller(mut client: Client, calls: Arc<AtomicUsize>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        let body =
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"x\"}}";
        let request = client
            .request("POST", "/mcp")
            .header("content-type", "application/json")
            .body(full(body))
            .unwrap();
        let answer = client.call(request).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.body, "ok");
        calls.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_while_configuration_and_certificates_change() {
    const CALLS: usize = 3_000;
    let world = World::new();
    let workload = Workload::start(Version::Http1, |_request| async {
        http::Response::new(full("ok"))
    })
    .await;
    let ingress = quick(world.sidecar(MCP)).towards_workload(workload.address);
    let ingress = ingress.start().await;
    let egress = quick(world.sidecar(AGENT)).towards_peer(ingress.address());
    let egress = egress.start().await;
    let (calls, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
    let mut callers = Vec::new();
    for number in 0..6 {
        let client = match number % 2 {
            0 => Client::http1(egress.address()).await,
            _ => Client::http2(egress.address()).await,
        };
        callers.push(tokio::spawn(caller(client, calls.clone(), stop.clone())));
    }
    let mut round = 0;
    while round < 10 || calls.load(Ordering::Relaxed) < CALLS {
        round += 1;
        for (sidecar, path) in [(&ingress, MCP), (&egress, AGENT)] {
            let next = renewed(&world, path, 5_000 + round);
            let change = || replace_svid(&sidecar.file, &next);
            sidecar.applies(change).await;
            let text = std::fs::read_to_string(&sidecar.file).unwrap();
            let text = format!("# {round}\n{text}");
            sidecar.applies(|| replace(&sidecar.file, text)).await;
        }
        let [alone, both] = [
            "[\"spiffe://example.org/agent/alice\"]",
            "[\"spiffe://example.org/agent/*\"]",
        ];
        let (from, to) = match round % 2 {
            0 => (alone, both),
            _ => (both, alone),
        };
        ingress.applies(|| ingress.edit(from, to)).await;
    }
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        within("end of the calls", caller).await.unwrap();
    }
    assert_eq!(workload.count(), calls.load(Ordering::Relaxed));
}
