//! An upstream that is not who it should be, or speaks less than it should, gets nothing of a call.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pqlane::deny::DenyReason;
use pqlane_certs::testing::{NOW, TestDomain, TestSvid, now_plus};
use rustls::crypto::aws_lc_rs::kx_group;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::http::{Client, Version, full, raw_workload};
use crate::support::tls::Peer;
use crate::support::world::{AGENT, MCP, Setup, World, id};

/// A call to this peer is refused for TLS, and the peer has read no request.
async fn gets_nothing(world: &World, peer: Peer) -> serde_json::Value {
    let read = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&read);
    let server = peer
        .alpn("h2")
        .listen(move |mut stream| {
            let read = Arc::clone(&counted);
            async move {
                let mut bytes = Vec::new();
                let _ = stream.read_to_end(&mut bytes).await;
                read.fetch_add(bytes.len(), Ordering::Relaxed);
            }
        })
        .await;
    let record = refused_for_tls(world.sidecar(AGENT), server.address).await;
    assert!(server.attempts() >= 1);
    assert_eq!(read.load(Ordering::Relaxed), 0, "bytes of the request");
    record
}

async fn refused_for_tls(egress: Setup<'_>, peer: SocketAddr) -> serde_json::Value {
    let egress = egress.towards_peer(peer).start().await;
    let mut client = Client::http1(egress.address()).await;
    let answer = client.post("/secret", "{\"secret\":1}").await;
    assert_eq!(answer.status, 502, "{answer:?}");
    assert_eq!(answer.header("pqlane-denied"), Some("upstream-tls"));
    egress.records.denied(DenyReason::UpstreamTls).await;
    egress.records.event("connection.refused").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_classical_upstream_gets_nothing() {
    let world = World::new();
    let peer = Peer::new(&world, &world.svid(MCP)).groups(&[kx_group::X25519, kx_group::SECP256R1]);
    let record = gets_nothing(&world, peer).await;
    assert_eq!(record["direction"], "outbound");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_with_another_spiffe_id_gets_nothing() {
    let world = World::new();
    let peer = Peer::new(&world, &world.svid("/mcp/other"));
    let record = gets_nothing(&world, peer).await;
    assert_eq!(record["reason"], DenyReason::PeerNotAllowed.code());
    assert!(record.to_string().contains("/mcp/other"), "{record}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_of_another_authority_gets_nothing() {
    let world = World::new();
    let impostor = TestDomain::new("example.org");
    let peer = Peer::new(&world, &impostor.leaf(MCP).issue());
    let record = gets_nothing(&world, peer).await;
    assert_eq!(record["reason"], DenyReason::IssuerUntrusted.code());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_whose_svid_has_expired_gets_nothing() {
    let world = World::new();
    let svid = world.domain.leaf(MCP).valid(now_plus(-86_400), NOW).issue();
    let record = gets_nothing(&world, Peer::new(&world, &svid)).await;
    assert_eq!(record["reason"], DenyReason::SvidExpired.code());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_without_the_key_of_its_svid_gets_nothing() {
    let world = World::new();
    let stolen: TestSvid = world.svid(MCP).with_key_of(&world.svid(MCP));
    let record = gets_nothing(&world, Peer::new(&world, &stolen)).await;
    assert_eq!(record["reason"], DenyReason::PeerSignature.code());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_whose_svid_is_for_clients_only_gets_nothing() {
    let world = World::new();
    let svid = world.domain.leaf(MCP).client_auth_only().issue();
    let record = gets_nothing(&world, Peer::new(&world, &svid)).await;
    assert_eq!(record["reason"], DenyReason::SvidKeyUsage.code());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_speaks_no_tls_gets_nothing() {
    let world = World::new();
    let peer = raw_workload(|mut stream| async move {
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await;
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert!(!String::from_utf8_lossy(&rest).contains("secret"));
    })
    .await;
    refused_for_tls(world.sidecar(AGENT), peer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_refuses_us_is_said_to_have_refused() {
    let world = World::new();
    let workload = crate::support::http::Workload::ok().await;
    let ingress = world.ingress(workload.address).await;
    let stranger = TestDomain::new("stranger.org");
    let svid = stranger.leaf(AGENT).issue();
    let egress = world.sidecar_with(&svid).trust(&stranger);
    let egress = egress.towards_peer(ingress.address()).start().await;
    for _ in 0..3 {
        let mut client = Client::http1(egress.address()).await;
        let answer = client.post("/secret", "{}").await;
        assert_eq!(answer.status, 502, "{answer:?}");
        assert_eq!(answer.header("pqlane-denied"), Some("upstream-tls"));
    }
    egress.records.denied(DenyReason::UpstreamTls).await;
    ingress
        .records
        .refused(DenyReason::TrustDomainUnknown)
        .await;
    assert_eq!(workload.count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_route_accepts_only_its_own_peers() {
    let world = World::new();
    let answer = |_request| async { http::Response::new(full("ok")) };
    let weather = Peer::new(&world, &world.svid(MCP))
        .serve(Version::Http2, answer)
        .await;
    let wrong = format!(
        "[[outbound.route]]\nname = \"research\"\nconnect = \"{}\"\npeers = [\"{}\"]",
        weather.address,
        id("/agent/research")
    );
    let egress = world
        .sidecar(AGENT)
        .towards_peer_with(weather.address, &wrong)
        .start()
        .await;
    let mut client = Client::http1(egress.address()).await;
    assert_eq!(client.get("/").await.status, 200);
    let host = format!("research.localhost:{}", egress.address().port());
    let mut client = client.asking_for(&host);
    let answer = client.get("/").await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.header("pqlane-denied"), Some("upstream-tls"));
}
