//! Which key exchange a peer may come with: the listener's rule, the peer's own, and what the peer showed before.

use http::{Response, StatusCode};
use pqlane::deny::DenyReason;
use rustls::AlertDescription;
use rustls::crypto::aws_lc_rs::kx_group;
use serde_json::json;

use crate::support::http::{Client, Version, Workload, full};
use crate::support::tls::{CLASSICAL_FIRST, OLD, Peer};
use crate::support::world::{AGENT, MCP, Setup, World, id};

const PREFER: &str = "kx_policy = \"prefer-hybrid\"";

/// A listener's policy with an exception for one SPIFFE ID.
fn except(policy: &str, path: &str, rule: &str) -> String {
    let id = id(path);
    format!("kx_policy = {policy}\n[[inbound.peer]]\nid = \"{id}\"\nkx_policy = {rule}")
}

/// A sidecar to be, with these lines for its listener.
fn ingress<'w>(world: &'w World, workload: &Workload, lines: &str) -> Setup<'w> {
    let sidecar = world.sidecar(MCP).admin();
    sidecar.towards_workload_with(workload.address, lines)
}

/// An agent of this path.
fn agent(world: &World, path: &str) -> Peer {
    Peer::new(world, &world.svid(path))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_whose_own_rule_is_stricter_than_the_listeners_is_refused() {
    let world = World::new();
    let workload = Workload::ok().await;
    let lines = except("\"prefer-hybrid\"", AGENT, "\"require-hybrid\"");
    let ingress = ingress(&world, &workload, &lines).start().await;
    let alice = world.agent().groups(&OLD);

    alice.turned_away(ingress.address()).await;
    assert!(!alice.call(ingress.address()).await.is_ok());

    let record = ingress.records.refused(DenyReason::KxPolicy).await;
    assert_eq!(record["peer"], id(AGENT));
    assert_eq!(record["offered_groups"], json!(["x25519", "secp256r1"]));
    let detail = record["detail"].as_str().unwrap();
    assert!(
        detail.contains("x25519") && detail.contains("X25519MLKEM768"),
        "{record}"
    );
    assert_eq!(ingress.records.count("call.open"), 0);
    assert_eq!(workload.count(), 0);

    // The rule is hers alone, and it asks for no more than hybrid.
    let bob = agent(&world, "/agent/bob").groups(&OLD);
    assert!(bob.call(ingress.address()).await.is_ok());
    assert!(world.agent().call(ingress.address()).await.is_ok());
    assert_eq!(workload.count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_whose_own_rule_is_looser_than_the_listeners_is_served() {
    let world = World::new();
    let workload = Workload::ok().await;
    let lines = except("\"require-hybrid\"", AGENT, "\"prefer-hybrid\"");
    let ingress = ingress(&world, &workload, &lines).start().await;
    let alice = world.agent().groups(&OLD);
    assert!(alice.call(ingress.address()).await.is_ok());
    let bob = agent(&world, "/agent/bob").groups(&OLD);
    bob.turned_away(ingress.address()).await;
    let record = ingress.records.refused(DenyReason::KxPolicy).await;
    assert_eq!(record["peer"], id("/agent/bob"));
    assert_eq!(workload.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_has_shown_hybrid_is_refused_with_classical() {
    let world = World::new();
    let workload = Workload::ok().await;
    let state = format!("state_dir = {:?}", world.path("state"));
    std::fs::create_dir(world.path("state")).unwrap();
    let lane = || ingress(&world, &workload, PREFER).field(&state).start();
    let mut first = lane().await;
    let old = world.agent().groups(&OLD);

    assert!(old.call(first.address()).await.is_ok());
    let mut hybrid = world.agent().http2(first.address()).await;
    assert_eq!(hybrid.get("/").await.body, "ok");
    old.turned_away(first.address()).await;
    let record = first.records.refused(DenyReason::Downgraded).await;
    assert_eq!(record["peer"], id(AGENT));
    assert_eq!(record["offered_groups"], json!(["x25519", "secp256r1"]));
    let detail = record["detail"].as_str().unwrap();
    assert!(detail.contains("X25519MLKEM768"), "{record}");
    // Who came with hybrid goes on, and others may still be old.
    assert_eq!(hybrid.get("/").await.body, "ok");
    let bob = agent(&world, "/agent/bob").groups(&OLD);
    assert!(bob.call(first.address()).await.is_ok());
    drop(hybrid);
    first.stop();
    first.ended().await;

    let second = lane().await;
    old.turned_away(second.address()).await;
    let record = second.records.refused(DenyReason::Downgraded).await;
    assert_eq!(record["peer"], id(AGENT));
    assert!(bob.call(second.address()).await.is_ok());
    assert!(world.agent().call(second.address()).await.is_ok());
    assert_eq!(workload.count(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_classical_first_offer_lands_on_hybrid_under_every_policy() {
    let world = World::new();
    let workload = Workload::ok().await;
    let both = [
        kx_group::X25519,
        kx_group::SECP256R1,
        kx_group::SECP256R1MLKEM768,
        kx_group::X25519MLKEM768,
    ];
    for policy in [
        "\"require-hybrid\"",
        "\"prefer-hybrid\"",
        "{ allow-classical-until = 2020-01-01 }",
        "{ allow-classical-until = 2999-12-31 }",
    ] {
        for groups in [
            "",
            "kx_groups = [\"X25519MLKEM768\", \"SecP256r1MLKEM768\"]",
            "kx_groups = [\"SecP256r1MLKEM768\", \"X25519MLKEM768\"]",
        ] {
            let lane = world
                .sidecar(MCP)
                .table(&format!("[tls]\nkx_policy = {policy}\n{groups}"))
                .towards_workload(workload.address);
            let lane = lane.start().await;
            let one = agent(&world, "/agent/one").groups(&CLASSICAL_FIRST);
            assert!(one.call(lane.address()).await.is_ok());
            let opened = lane.records.opened(&id("/agent/one")).await;
            assert_eq!(opened["group"], "X25519MLKEM768", "{policy} {groups}");
            let offered = json!(["x25519", "X25519MLKEM768"]);
            assert_eq!(opened["offered_groups"], offered);

            let two = agent(&world, "/agent/two").groups(&both);
            assert!(two.call(lane.address()).await.is_ok());
            let opened = lane.records.opened(&id("/agent/two")).await;
            let group = opened["group"].as_str().unwrap();
            assert!(group.ends_with("MLKEM768"), "{policy} {groups}: {opened}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_client_is_served_and_recorded_where_hybrid_is_preferred() {
    let world = World::new();
    let workload = Workload::ok().await;
    let ingress = ingress(&world, &workload, PREFER).start().await;
    let mut old = world.agent().groups(&OLD).http2(ingress.address()).await;
    assert_eq!(old.get("/old").await.body, "ok");
    let opened = ingress.records.opened(&id(AGENT)).await;
    assert_eq!(opened["group"], "x25519");
    assert_eq!(opened["offered_groups"], json!(["x25519", "secp256r1"]));
    assert_eq!(opened["handshake"], "full");
    let call = ingress.records.event("call.open").await;
    assert_eq!(
        (&call["path"], &call["group"]),
        (&json!("/old"), &json!("x25519"))
    );
    let count = "pqlane_tls_handshake_seconds_count{direction=\"inbound\",group=\"x25519\",\
                 kind=\"full\",peer_signature=\"ecdsa_secp256r1_sha256\"}";
    assert_eq!(ingress.figure(count).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn classical_is_allowed_until_the_date_and_not_after() {
    let world = World::new();
    let workload = Workload::ok().await;
    let old = world.agent().groups(&OLD);
    let until = |date| format!("kx_policy = {{ allow-classical-until = {date} }}");

    let before = ingress(&world, &workload, &until("2999-12-31"))
        .start()
        .await;
    assert!(old.call(before.address()).await.is_ok());

    let after = ingress(&world, &workload, &until("2020-01-01"))
        .start()
        .await;
    let alert = old.refused(after.address()).await;
    assert_eq!(alert, AlertDescription::HandshakeFailure);
    after.records.refused(DenyReason::NoHybridGroup).await;
    assert!(world.agent().call(after.address()).await.is_ok());

    // The date of one peer, where others may go on.
    let rule = "{ allow-classical-until = 2020-01-01 }";
    let lines = except("\"prefer-hybrid\"", AGENT, rule);
    let mixed = ingress(&world, &workload, &lines).start().await;
    old.turned_away(mixed.address()).await;
    let record = mixed.records.refused(DenyReason::KxPolicy).await;
    let detail = record["detail"].as_str().unwrap();
    assert!(detail.contains("2020-01-01"), "{record}");
    let bob = agent(&world, "/agent/bob").groups(&OLD);
    assert!(bob.call(mixed.address()).await.is_ok());
    assert_eq!(workload.count(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_egress_that_prefers_hybrid_reaches_an_old_server() {
    let world = World::new();
    let server = old_server(&world).await;
    let egress = world
        .sidecar(AGENT)
        .towards_peer_with(server.address, PREFER);
    let egress = egress.start().await;
    let mut client = Client::http1(egress.address()).await;
    assert_eq!(client.get("/").await.body, "ok");
    let opened = egress.records.opened(&id(MCP)).await;
    assert_eq!(opened["direction"], "outbound");
    assert_eq!(opened["group"], "x25519");
    assert_eq!((server.attempts(), server.connections()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_egress_that_requires_hybrid_tries_an_old_server_once_and_with_nothing_weaker() {
    let world = World::new();
    let server = old_server(&world).await;
    let egress = world.egress(server.address).await;
    let mut client = Client::http1(egress.address()).await;
    let answer = client.get("/").await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    let code = DenyReason::UpstreamTls.code();
    assert_eq!(answer.header("pqlane-denied"), Some(code));
    let refused = egress.records.event("connection.refused").await;
    assert_eq!(refused["direction"], "outbound");
    assert_eq!((server.attempts(), server.connections()), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_may_prefer_hybrid_where_its_listener_requires_it() {
    let world = World::new();
    let server = old_server(&world).await;
    let route = |name: &str, policy: &str| {
        let (address, peer) = (server.address, id(MCP));
        format!(
            "[[outbound.route]]\nname = \"{name}\"\nconnect = \"{address}\"\n\
             peers = [\"{peer}\"]\n{policy}\n"
        )
    };
    let routes = format!("{}{}", route("strict", ""), route("lenient", PREFER));
    let egress = world.sidecar(AGENT);
    let egress = egress.towards_peer_with(server.address, &routes);
    let egress = egress.start().await;
    let client = |name: &str| {
        let host = format!("{name}.localhost:{}", egress.address().port());
        let address = egress.address();
        async move { Client::http1(address).await.asking_for(&host) }
    };
    let strict = client("strict").await.get("/").await;
    assert_eq!(strict.status, StatusCode::BAD_GATEWAY);
    assert_eq!(client("lenient").await.get("/").await.body, "ok");
    assert_eq!(server.connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_called_peer_that_showed_hybrid_and_comes_back_classical_is_refused() {
    let world = World::new();
    let workload = Workload::ok().await;
    let new = world.ingress(workload.address).await;
    let old = old_server(&world).await;
    let route = format!(
        "{PREFER}\n[[outbound.route]]\nname = \"old\"\nconnect = \"{}\"\npeers = [\"{}\"]",
        old.address,
        id(MCP)
    );
    let egress = world
        .sidecar(AGENT)
        .towards_peer_with(new.address(), &route);
    let egress = egress.start().await;
    let port = egress.address().port();
    let mut to_new = Client::http1(egress.address()).await;
    let to_old = Client::http1(egress.address()).await;
    let mut to_old = to_old.asking_for(&format!("old.localhost:{port}"));

    assert_eq!(to_new.get("/").await.body, "ok");
    let answer = to_old.get("/").await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    let refused = egress.records.refused(DenyReason::Downgraded).await;
    assert_eq!(refused["direction"], "outbound");
    assert_eq!(refused["peer"], id(MCP));
    assert_eq!(to_new.get("/").await.body, "ok");
    assert_eq!(old.attempts(), 1);
}

/// A server of the domain from before hybrid key exchange.
async fn old_server(world: &World) -> crate::support::tls::LaneServer {
    let server = agent(world, MCP).groups(&OLD);
    server
        .serve(Version::Http2, |_request| async {
            Response::new(full("ok"))
        })
        .await
}
