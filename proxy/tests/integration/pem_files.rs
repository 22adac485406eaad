//! Our own SVID from PEM files that change: taken when it is whole and good, and not before.

use pqlane_certs::testing::{TestDomain, TestSvid};

use crate::support::http::{Client, Workload};
use crate::support::living::{Stream, later, replace, replace_svid, svid_files, workload};
use crate::support::world::{AGENT, MCP, Setup, World};

/// Looks often, so that tests are quick.
fn quick(setup: Setup<'_>) -> Setup<'_> {
    setup.admin().limit("file_watch_milliseconds = 20")
}

/// An SVID that is told apart by when it expires.
fn renewed(world: &World, path: &str, seconds: i64) -> TestSvid {
    let leaf = world.domain.leaf(path);
    leaf.valid(later(-60), later(seconds)).issue()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pair_that_is_replaced_file_by_file_is_taken_once_it_matches() {
    let world = World::new();
    let (workload, mut opened) = workload().await;
    let ingress = quick(world.sidecar(MCP)).towards_workload(workload.address);
    let ingress = ingress.start().await;
    let egress = quick(world.sidecar(AGENT)).towards_peer(ingress.address());
    let egress = egress.start().await;
    let mut client = Client::http2(egress.address()).await;
    let mut stream = Stream::open(&mut client, "/sse", &mut opened).await;
    for (sidecar, path, expires) in [(&ingress, MCP, 6_000), (&egress, AGENT, 5_000)] {
        let next = renewed(&world, path, expires);
        let [chain, key] = svid_files(&sidecar.file);
        sidecar.refuses(|| replace(&chain, next.chain_pem())).await;
        for _ in 0..10 {
            assert_eq!(client.get("/").await.status, 200);
        }
        sidecar
            .applies(|| replace(&key, next.key_pem().as_bytes()))
            .await;
        assert_eq!(client.get("/").await.status, 200);
        stream.flows().await;
    }
    // Each end saw the other's new SVID on a connection of its own.
    for (records, seconds) in [(&ingress.records, 5_000), (&egress.records, 6_000)] {
        let soon = later(0).as_secs();
        records
            .find("connection with the new SVID", |record| {
                let expires = record["peer_svid_expires"].as_u64().unwrap_or_default();
                record["event"] == "connection.open"
                    && (soon..=soon + seconds).contains(&expires)
                    && expires > soon + seconds - 200
            })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_svid_that_peers_would_refuse_is_not_taken() {
    let world = World::new();
    let workload = Workload::ok().await;
    let ingress = quick(world.sidecar(MCP)).towards_workload(workload.address);
    let ingress = ingress.start().await;
    let at = ingress.address();
    let leaf = || world.domain.leaf(MCP);
    let stranger = TestDomain::new("example.org");
    let unusable = [
        leaf().valid(later(-7_200), later(-3_600)).issue(),
        leaf().valid(later(3_600), later(7_200)).issue(),
        stranger.leaf(MCP).issue(),
        leaf().client_auth_only().issue(),
        leaf().server_auth_only().issue(),
        leaf()
            .uri_sans(&["spiffe://example.org/a", "spiffe://example.org/b"])
            .issue(),
        leaf().ca().issue(),
    ];
    for svid in unusable {
        ingress.refuses(|| replace_svid(&ingress.file, &svid)).await;
        assert_eq!(world.agent().http2(at).await.get("/").await.status, 200);
        assert_eq!(ingress.readiness().await.0, 200);
    }
    let good = renewed(&world, MCP, 5_000);
    ingress.applies(|| replace_svid(&ingress.file, &good)).await;
    assert_eq!(world.agent().http2(at).await.get("/").await.status, 200);
}
