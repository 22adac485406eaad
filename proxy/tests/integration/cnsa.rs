//! The profile CNSA 2.0: ML-KEM-1024, ML-DSA-87 and AES-256, for a whole sidecar or for some of its peers.

use http::{Response, StatusCode};
use pqlane::deny::DenyReason;
use pqlane_certs::authority::KeyKind;
use pqlane_certs::testing::TestDomain;
use pqlane_handshake::kx::{Group, MLKEM1024, SECP384R1MLKEM1024};
use rustls::AlertDescription;
use rustls::crypto::SupportedKxGroup;
use rustls::crypto::aws_lc_rs::cipher_suite::{TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384};
use rustls::crypto::aws_lc_rs::kx_group;

use crate::support::http::{Client, Version, Workload, full};
use crate::support::process::{pqlane, stderr};
use crate::support::tls::{OLD, Peer};
use crate::support::world::{AGENT, MCP, World, id};

const CNSA: &str = "[tls]\nkx_policy = \"cnsa\"";

/// A world whose authority signs with ML-DSA-87.
fn world() -> World {
    World::with_key(KeyKind::MlDsa87)
}

fn implementation(group: &Group) -> &'static dyn SupportedKxGroup {
    group.implementation().unwrap()
}

/// A peer of this path that signs with a key of this kind and offers these groups.
fn peer(
    world: &World,
    path: &str,
    kind: KeyKind,
    groups: &[&'static dyn SupportedKxGroup],
) -> Peer {
    Peer::new(world, &world.svid_of(path, kind)).groups(groups)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sidecars_talk_as_the_profile_says() {
    let world = world();
    let workload = Workload::ok().await;
    for (groups, expected) in [
        ("", "MLKEM1024"),
        ("kx_groups = [\"SecP384r1MLKEM1024\"]", "SecP384r1MLKEM1024"),
        (
            "kx_groups = [\"SecP384r1MLKEM1024\", \"MLKEM1024\"]",
            "SecP384r1MLKEM1024",
        ),
    ] {
        let sidecar = |path| {
            let svid = world.svid_of(path, KeyKind::MlDsa87);
            world
                .sidecar_with(&svid)
                .table(&format!("{CNSA}\n{groups}"))
        };
        let ingress = sidecar(MCP)
            .towards_workload(workload.address)
            .start()
            .await;
        let egress = sidecar(AGENT).towards_peer(ingress.address()).start().await;
        let mut client = Client::http1(egress.address()).await;
        assert_eq!(client.get("/").await.body, "ok");
        for (side, other) in [(&ingress, AGENT), (&egress, MCP)] {
            let opened = side.records.opened(&id(other)).await;
            assert_eq!(opened["group"], expected);
            assert_eq!(opened["suite"], "TLS_AES_256_GCM_SHA384");
            assert_eq!(opened["local_signature"], "mldsa87");
            assert_eq!(opened["peer_signature"], "mldsa87");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_below_the_profile_is_refused() {
    let world = world();
    let workload = Workload::ok().await;
    let own = world.svid_of(MCP, KeyKind::MlDsa87);
    let ingress = world.sidecar_with(&own).table(CNSA);
    let ingress = ingress.towards_workload(workload.address).start().await;
    let best = [implementation(&MLKEM1024)];
    for weak in [KeyKind::EcdsaP256, KeyKind::EcdsaP384, KeyKind::MlDsa65] {
        peer(&world, AGENT, weak, &best)
            .refused(ingress.address())
            .await;
    }
    for weak in [
        kx_group::X25519MLKEM768,
        kx_group::MLKEM768,
        kx_group::X25519,
    ] {
        let peer = peer(&world, AGENT, KeyKind::MlDsa87, &[weak]);
        let alert = peer.refused(ingress.address()).await;
        assert_eq!(alert, AlertDescription::HandshakeFailure);
    }
    ingress.records.refused(DenyReason::NoHybridGroup).await;
    assert_eq!(workload.count(), 0);

    let good = peer(&world, AGENT, KeyKind::MlDsa87, &best);
    assert!(good.call(ingress.address()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_called_peer_below_the_profile_is_refused() {
    let world = world();
    let own = world.svid_of(AGENT, KeyKind::MlDsa87);
    let best = [implementation(&MLKEM1024)];
    for (kind, groups, served) in [
        (KeyKind::MlDsa87, best, true),
        (KeyKind::EcdsaP256, best, false),
        (KeyKind::MlDsa65, best, false),
        (KeyKind::MlDsa87, [kx_group::X25519MLKEM768], false),
    ] {
        let server = peer(&world, MCP, kind, &groups);
        let server = server
            .serve(Version::Http2, |_request| async {
                Response::new(full("ok"))
            })
            .await;
        let egress = world.sidecar_with(&own).table(CNSA);
        let egress = egress.towards_peer(server.address).start().await;
        let mut client = Client::http1(egress.address()).await;
        let status = client.get("/").await.status;
        assert_eq!(
            status == StatusCode::OK,
            served,
            "{kind:?} {groups:?}: {status}"
        );
        assert_eq!(server.attempts(), 1);
    }
}

#[test]
fn a_configuration_below_the_profile_does_not_start_and_says_why() {
    let world = world();
    for (kind, table, named) in [
        (KeyKind::EcdsaP256, CNSA.to_owned(), ["ML-DSA-87", MCP]),
        (KeyKind::MlDsa65, CNSA.to_owned(), ["ML-DSA-87", MCP]),
        (
            KeyKind::MlDsa87,
            format!("{CNSA}\nkx_groups = [\"X25519MLKEM768\"]"),
            ["X25519MLKEM768", "SecP384r1MLKEM1024"],
        ),
    ] {
        let setup = world.sidecar_with(&world.svid_of(MCP, kind)).table(&table);
        let setup = setup.towards_workload("127.0.0.1:1".parse().unwrap());
        let file = setup.file();
        for command in ["check", "run"] {
            let output = pqlane(&[command, "-c", file.to_str().unwrap()]);
            let text = stderr(&output);
            assert_eq!(output.status.code(), Some(2), "{kind:?}: {text}");
            assert!(named.iter().all(|name| text.contains(name)), "{text}");
        }
    }
}

/// The rule of one agent, beside another for everybody else.
fn except(policy: &str, rule: &str) -> String {
    let id = id(AGENT);
    format!("kx_policy = \"{policy}\"\n[[inbound.peer]]\nid = \"{id}\"\nkx_policy = \"{rule}\"")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_held_to_the_profile_is_served_beside_others_that_are_not() {
    let world = world();
    let workload = Workload::ok().await;
    let ingress = world
        .sidecar_with(&world.svid_of(MCP, KeyKind::MlDsa87))
        .towards_workload_with(workload.address, &except("require-hybrid", "cnsa"))
        .start()
        .await;
    let address = ingress.address();
    let best = [implementation(&MLKEM1024)];
    let composed = [implementation(&SECP384R1MLKEM1024)];
    let common = [kx_group::X25519MLKEM768];
    let everything = [kx_group::X25519, common[0], best[0]];

    let alice = |kind, groups| peer(&world, AGENT, kind, groups);
    assert!(alice(KeyKind::MlDsa87, &best).call(address).await.is_ok());
    assert!(
        alice(KeyKind::MlDsa87, &composed)
            .call(address)
            .await
            .is_ok()
    );
    assert!(
        alice(KeyKind::MlDsa87, &everything)
            .call(address)
            .await
            .is_ok()
    );
    let bob = |groups| peer(&world, "/agent/bob", KeyKind::EcdsaP256, groups);
    assert!(bob(&common).call(address).await.is_ok());
    assert!(bob(&everything).call(address).await.is_ok());
    // Nor does the order of its suites matter.
    let suites = [TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384];
    let aes_128_first = alice(KeyKind::MlDsa87, &best).suites(&suites);
    assert!(aes_128_first.call(address).await.is_ok());
    assert_eq!(workload.count(), 6);

    alice(KeyKind::MlDsa87, &common).turned_away(address).await;
    let refused = ingress.records.refused(DenyReason::KxPolicy).await;
    assert_eq!(refused["peer"], id(AGENT));
    alice(KeyKind::EcdsaP256, &best).turned_away(address).await;
    ingress
        .records
        .find("weak signature", |record| {
            let detail = record["detail"].as_str().unwrap_or_default();
            record["reason"] == DenyReason::KxPolicy.code() && detail.contains("ecdsa")
        })
        .await;
    bob(&OLD).refused(address).await;
    assert_eq!(workload.count(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_excepted_from_the_profile_is_served_as_its_own_rule_says() {
    let world = world();
    let workload = Workload::ok().await;
    let ingress = world
        .sidecar_with(&world.svid_of(MCP, KeyKind::MlDsa87))
        .towards_workload_with(workload.address, &except("cnsa", "require-hybrid"))
        .start()
        .await;
    let address = ingress.address();
    let common = [kx_group::X25519MLKEM768];
    let excepted = peer(&world, AGENT, KeyKind::EcdsaP256, &common);
    assert!(excepted.call(address).await.is_ok());

    let bob = |kind, groups| peer(&world, "/agent/bob", kind, groups);
    let best = [implementation(&MLKEM1024)];
    assert!(bob(KeyKind::MlDsa87, &best).call(address).await.is_ok());
    bob(KeyKind::MlDsa87, &common).turned_away(address).await;
    let weak = bob(KeyKind::EcdsaP256, &best);
    assert!(!weak.call(address).await.is_ok());
    assert_eq!(workload.count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_refused_for_its_signature_is_refused_with_its_ticket_too() {
    let world = world();
    let workload = Workload::ok().await;
    let ingress = world
        .sidecar_with(&world.svid_of(MCP, KeyKind::MlDsa87))
        .towards_workload_with(workload.address, &except("require-hybrid", "cnsa"))
        .start()
        .await;
    let best = [implementation(&MLKEM1024)];
    // A resumed handshake has no signature that could be judged.
    let weak = peer(&world, AGENT, KeyKind::EcdsaP256, &best).resuming();
    for _ in 0..3 {
        weak.turned_away(ingress.address()).await;
        assert!(!weak.call(ingress.address()).await.is_ok());
    }
    assert_eq!(workload.count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leaf_of_the_profile_is_refused_where_its_authority_is_not() {
    let world = world();
    let workload = Workload::ok().await;
    let weak = TestDomain::new("friend.org");
    let svid = weak.leaf(AGENT).key(KeyKind::MlDsa87).issue();
    let friend = "spiffe://friend.org/agent/alice";
    let best = [implementation(&MLKEM1024)];
    for (policy, rule, served) in [
        ("cnsa", "cnsa", false),
        ("require-hybrid", "cnsa", false),
        ("cnsa", "require-hybrid", true),
    ] {
        let ingress = world
            .sidecar_with(&world.svid_of(MCP, KeyKind::MlDsa87))
            .trust(&weak)
            .inbound(&format!(
                "listen = \"127.0.0.1:0\"\nworkload = \"http://{}\"\nallow = [\"{friend}\"]\n\
                 kx_policy = \"{policy}\"\n[[inbound.peer]]\nid = \"{friend}\"\nkx_policy = \"{rule}\"",
                workload.address
            ))
            .start()
            .await;
        let peer = Peer::new(&world, &svid).groups(&best);
        let call = peer.call(ingress.address()).await;
        assert_eq!(call.is_ok(), served, "{policy} {rule}: {call:?}");
        if !served {
            ingress.records.refused(DenyReason::IssuerUntrusted).await;
        }
    }
}
