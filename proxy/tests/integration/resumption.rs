//! Sessions that are resumed, and all that keeps one from being resumed.
//!
//! That none is resumed five minutes after its full handshake, however often it was renewed, is shown with clocks
//! that can be moved, in the crate of the handshake.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Response, StatusCode};
use pqlane::deny::DenyReason;
use pqlane_certs::testing::{NOW, TestDomain, TestSvid};
use rustls::HandshakeKind;
use rustls::HandshakeKind::{Full, FullWithHelloRetryRequest, Resumed};
use rustls::pki_types::UnixTime;
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::support::http::{Answer, Client, Hand, Version, Workload, full, held, serve};
use crate::support::tls::{CLASSICAL_FIRST, OLD, Peer};
use crate::support::within;
use crate::support::world::{AGENT, MCP, Setup, Sidecar, World, id};

/// Reads a changed file at once, and opens a connection for each call that is open at the same time.
const LIMITS: &str = "file_watch_milliseconds = 20\nh2_streams = 1";

/// A sidecar with an agent in front of it that resumes where it may.
struct Lane {
    world: World,
    workload: Workload,
    sidecar: Sidecar,
    agent: Peer,
    file: PathBuf,
}

impl Lane {
    async fn new(lines: &str) -> Self {
        let world = World::new();
        let agent = world.agent().resuming();
        Self::with(world, agent, lines).await
    }

    async fn with(world: World, agent: Peer, lines: &str) -> Self {
        let workload = Workload::ok().await;
        world.write("denied", "");
        let setup = world
            .sidecar(MCP)
            .admin()
            .table("[revocation]\ndeny_list = \"denied\"")
            .limit(LIMITS)
            .towards_workload_with(workload.address, lines);
        let file = setup.file();
        let sidecar = setup.start().await;
        Self {
            world,
            workload,
            sidecar,
            agent,
            file,
        }
    }

    /// A call that is served, on a connection of its own.
    async fn call(&self) -> HandshakeKind {
        let call = self.agent.call(self.sidecar.address()).await;
        assert!(call.is_ok(), "{call:?}");
        call.kind
    }

    /// Two calls, so that the agent holds a ticket that works.
    async fn warmed(self) -> Self {
        assert_eq!(self.call().await, Full);
        assert_eq!(self.call().await, Resumed);
        self
    }

    /// The agent is refused for this reason although it holds a ticket.
    async fn refuses(&self, reason: DenyReason) {
        let served = self.workload.count();
        self.agent.refused(self.sidecar.address()).await;
        self.sidecar.records.refused(reason).await;
        assert_eq!(self.workload.count(), served);
    }

    /// Replaces a part of the configuration, and waits until that has taken effect.
    async fn edit(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(&self.file).unwrap();
        assert!(text.contains(from), "{from} in {text}");
        std::fs::write(&self.file, text.replace(from, to)).unwrap();
        self.sidecar.has_reloaded(1).await;
    }
}

/// An egress that opens a connection for each call that is open at the same time.
fn egress(world: &World) -> Setup<'_> {
    world.sidecar(AGENT).admin().limit(LIMITS)
}

/// A call that stays open until its body ends.
struct OpenCall {
    body: Hand,
    answer: JoinHandle<Answer>,
}

impl OpenCall {
    async fn begin(egress: &Sidecar) -> Self {
        let mut client = Client::http1(egress.address()).await;
        let (body, held) = held();
        let request = client.request("POST", "/open").body(held).unwrap();
        let answer = tokio::spawn(async move { client.call(request).await });
        body.send("begun").await;
        Self { body, answer }
    }

    async fn end(self) {
        drop(self.body);
        let answer = within("end of a call", self.answer).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK);
    }
}

/// So many calls at the same time, each on a connection of its own.
async fn calls(egress: &Sidecar, peer: &str, number: usize) -> Vec<String> {
    let before = egress.records.handshakes(peer, 0).await.len();
    let mut open = Vec::new();
    for count in 1..=number {
        open.push(OpenCall::begin(egress).await);
        egress.records.handshakes(peer, before + count).await;
    }
    for call in open {
        call.end().await;
    }
    egress.records.handshakes(peer, before + number).await
}

/// A workload that answers when it has read the whole of a request.
async fn reading() -> Workload {
    Workload::recording(Version::Http1).await.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_connection_of_an_egress_is_resumed_and_recorded_at_both_ends() {
    let world = World::new();
    let workload = reading().await;
    let ingress = world.sidecar(MCP).admin();
    let ingress = ingress.towards_workload(workload.address).start().await;
    let egress = egress(&world).towards_peer(ingress.address()).start().await;
    let kinds = calls(&egress, &id(MCP), 2).await;
    assert_eq!(kinds, ["full", "resumed"]);
    assert_eq!(ingress.records.handshakes(&id(AGENT), 2).await, kinds);
    for (sidecar, direction) in [(&ingress, "inbound"), (&egress, "outbound")] {
        let resumed = |record: &Value| record["handshake"] == "resumed";
        let record = sidecar.records.find("resumption", resumed).await;
        // It signs nothing, and exchanges a hybrid key of its own.
        assert_eq!(record["local_signature"], Value::Null);
        assert_eq!(record["peer_signature"], Value::Null);
        assert_eq!(record["group"], "X25519MLKEM768");
        let figure = format!(
            "pqlane_tls_handshake_seconds_count{{direction=\"{direction}\",\
             group=\"X25519MLKEM768\",kind=\"resumed\",peer_signature=\"\"}}"
        );
        assert_eq!(sidecar.figure(&figure).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_egress_resumes_nothing_where_resumption_is_off() {
    let world = World::new();
    let workload = reading().await;
    let ingress = world.ingress(workload.address).await;
    let egress = egress(&world).table("[tls]\nresumption = false");
    let egress = egress.towards_peer(ingress.address()).start().await;
    assert_eq!(calls(&egress, &id(MCP), 2).await, ["full", "full"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_classical_handshake_is_never_resumed() {
    let world = World::new();
    let old = world.agent().groups(&OLD).resuming();
    let prefer = "kx_policy = \"prefer-hybrid\"";
    let lane = Lane::with(world, old, prefer).await;
    for _ in 0..2 {
        let call = lane.agent.call(lane.sidecar.address()).await;
        assert!(call.is_ok(), "{call:?}");
        assert_eq!((call.kind, call.tickets), (Full, 0));
    }
    // Nor by an egress whose peer would resume anything.
    let server = Peer::new(&lane.world, &lane.world.svid(MCP)).groups(&OLD);
    let server = server
        .serve(Version::Http2, |request| async {
            http_body_util::BodyExt::collect(request.into_body())
                .await
                .unwrap();
            Response::new(full("ok"))
        })
        .await;
    let egress = egress(&lane.world).towards_peer_with(server.address, prefer);
    let egress = egress.start().await;
    assert_eq!(calls(&egress, &id(MCP), 3).await, ["full"; 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hello_that_needs_a_retry_request_gets_no_ticket() {
    let world = World::new();
    let agent = world.agent().groups(&CLASSICAL_FIRST).resuming();
    let lane = Lane::with(world, agent, "").await;
    let call = lane.agent.call(lane.sidecar.address()).await;
    assert!(call.is_ok(), "{call:?}");
    assert_eq!((call.kind, call.tickets), (FullWithHelloRetryRequest, 0));
    // It now knows which share to send.
    lane.warmed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_egress_remembers_the_group_that_worked_and_resumes_from_the_second_handshake_on() {
    let world = World::new();
    let workload = reading().await;
    let ingress = world.ingress(workload.address).await;
    let groups = "[tls]\nkx_groups = [\"SecP256r1MLKEM768\", \"X25519MLKEM768\"]";
    let egress = egress(&world).table(groups);
    let egress = egress.towards_peer(ingress.address()).start().await;
    let kinds = calls(&egress, &id(MCP), 3).await;
    assert_eq!(kinds, ["full-hrr", "full", "resumed"]);
    assert_eq!(ingress.records.handshakes(&id(AGENT), 3).await, kinds);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_is_worth_nothing_to_a_peer_that_was_denied() {
    let lane = Lane::new("").await.warmed().await;
    lane.world.write("denied", &format!("{}\n", id(AGENT)));
    lane.sidecar.has_reloaded(1).await;
    lane.refuses(DenyReason::PeerDenied).await;
    // Taken back, it begins anew.
    lane.world.write("denied", "");
    lane.sidecar.has_reloaded(2).await;
    lane.warmed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_egress_does_not_resume_with_a_peer_that_was_denied() {
    let world = World::new();
    let workload = reading().await;
    let ingress = world.ingress(workload.address).await;
    world.write("denied", "");
    let egress = egress(&world).table("[revocation]\ndeny_list = \"denied\"");
    let egress = egress.towards_peer(ingress.address()).start().await;
    assert_eq!(calls(&egress, &id(MCP), 2).await, ["full", "resumed"]);
    world.write("denied", &format!("{}\n", id(MCP)));
    egress.has_reloaded(1).await;
    let answer = Client::http1(egress.address()).await.get("/").await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    let refused = egress.records.refused(DenyReason::PeerDenied).await;
    assert_eq!(refused["direction"], "outbound");
    assert_eq!(workload.count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_not_resumed_after_the_bundle_changed() {
    let world = World::new();
    let [second, third] = [(); 2].map(|()| TestDomain::new("example.org"));
    let own = world.domain.bundle_pem();
    let known = format!("{own}{}", second.bundle_pem());
    world.write("bundle.pem", &known);
    let agent = Peer::new(&world, &second.leaf(AGENT).issue()).resuming();
    let lane = Lane::with(world, agent, "").await.warmed().await;

    let more = format!("{known}{}", third.bundle_pem());
    lane.world.write("bundle.pem", &more);
    lane.sidecar.has_reloaded(1).await;
    // Its root is still there, but that is to be proved anew.
    let lane = lane.warmed().await;
    lane.world.write("bundle.pem", &own);
    lane.sidecar.has_reloaded(2).await;
    lane.refuses(DenyReason::IssuerUntrusted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_not_resumed_after_the_allow_list_was_edited() {
    let everybody = "spiffe://example.org/agent/*";
    let lane = Lane::new("").await.warmed().await;
    let others = "spiffe://example.org/agent/bob";
    lane.edit(everybody, others).await;
    lane.refuses(DenyReason::PeerNotAllowed).await;

    // An edit that leaves it welcome ends its session as well.
    let lane = Lane::new("").await.warmed().await;
    lane.edit(everybody, &id(AGENT)).await;
    lane.warmed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_not_resumed_after_the_key_exchange_policy_was_edited() {
    let (prefer, require) = ("prefer-hybrid", "require-hybrid");
    let lane = Lane::new(&format!("kx_policy = \"{prefer}\"")).await;
    let lane = lane.warmed().await;
    lane.edit(prefer, require).await;
    let lane = lane.warmed().await;

    let other = lane.world.agent().groups(&OLD);
    other.refused(lane.sidecar.address()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_egress_does_not_resume_after_its_policy_was_edited() {
    let world = World::new();
    let workload = reading().await;
    let ingress = world.ingress(workload.address).await;
    let setup = egress(&world).towards_peer(ingress.address());
    let file = setup.file();
    let egress = setup.start().await;
    assert_eq!(calls(&egress, &id(MCP), 2).await, ["full", "resumed"]);
    let text = std::fs::read_to_string(&file).unwrap();
    let peers = format!("peers = [\"{}\"]", id(MCP));
    assert!(text.contains(&peers));
    let more = format!("peers = [\"{}\", \"{}\"]", id(MCP), id("/mcp/other"));
    std::fs::write(&file, text.replace(&peers, &more)).unwrap();
    egress.has_reloaded(1).await;
    let kinds = calls(&egress, &id(MCP), 2).await;
    assert_eq!(kinds, ["full", "resumed", "full", "resumed"]);
}

/// An SVID that is valid for some seconds more.
fn short_lived(world: &World, path: &str) -> TestSvid {
    let end = UnixTime::now().as_secs() + 3;
    let end = UnixTime::since_unix_epoch(Duration::from_secs(end));
    world.domain.leaf(path).valid(NOW, end).issue()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_is_worth_nothing_once_the_svid_behind_it_has_expired() {
    let world = World::new();
    let agent = Peer::new(&world, &short_lived(&world, AGENT)).resuming();
    let lane = Lane::with(world, agent, "").await.warmed().await;
    let address = lane.sidecar.address();
    within("expiry", async {
        let mut often = tokio::time::interval(Duration::from_millis(50));
        while lane.agent.call(address).await.is_ok() {
            often.tick().await;
        }
    })
    .await;
    let served = lane.workload.count();
    // The handshake itself verifies nothing: the chain behind the ticket is judged after it.
    assert_eq!(lane.agent.turned_away(address).await, Resumed);
    lane.sidecar.records.refused(DenyReason::SvidExpired).await;
    assert_eq!(lane.workload.count(), served);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_egress_does_not_resume_with_a_peer_whose_svid_has_expired() {
    let world = World::new();
    let kinds = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&kinds);
    let server = Peer::new(&world, &short_lived(&world, MCP)).alpn("h2");
    let server = server
        .listen(move |stream| {
            let kind = stream.get_ref().1.handshake_kind().unwrap();
            seen.lock().unwrap().push(kind);
            serve(stream, Version::Http2, |_request| async {
                Response::new(full("ok"))
            })
        })
        .await;
    let egress = egress(&world).towards_peer(server.address).start().await;
    let mut client = Client::http1(egress.address()).await;
    assert_eq!(client.get("/").await.status, StatusCode::OK);
    let denied = within("expiry", async {
        let mut often = tokio::time::interval(Duration::from_millis(50));
        loop {
            let answer = client.get("/").await;
            if answer.status != StatusCode::OK {
                return answer;
            }
            often.tick().await;
        }
    })
    .await;
    let code = DenyReason::UpstreamTls.code();
    assert_eq!(denied.header("pqlane-denied"), Some(code), "{denied:?}");
    // That call may have been on its way when its lane was cut; the next one needs a lane of its own.
    let denied = client.get("/").await;
    assert_eq!(denied.header("pqlane-denied"), Some(code), "{denied:?}");
    let refused = egress.records.refused(DenyReason::SvidExpired).await;
    assert_eq!(refused["direction"], "outbound");
    assert_eq!(kinds.lock().unwrap().last(), Some(&Resumed));
}
