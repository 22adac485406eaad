//! SVIDs of a few seconds: nothing fails while they are renewed, and everything ends properly when they are not.

use std::collections::HashMap;
use std::time::Duration;

use http::Response;
use pqlane::deny::DenyReason;
use pqlane_certs::testing::TestSvid;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, interval};

use crate::support::api::{Api, Domain};
use crate::support::http::{Client, Hand, Version, Workload, full, serve};
use crate::support::living::{Stream, later, workload};
use crate::support::tls::Peer;
use crate::support::within;
use crate::support::world::{AGENT, MCP, Setup, Sidecar, World};

/// Both ends of a lane, with SVIDs of so many seconds from one Workload API.
struct Lane {
    api: Api,
    workload: Workload,
    opened: UnboundedReceiver<Hand>,
    ingress: Sidecar,
    egress: Sidecar,
    _world: World,
}

impl Lane {
    async fn new(agent: u64, server: u64, change: fn(Setup<'_>) -> Setup<'_>) -> Self {
        let world = World::new();
        let domain = Domain::new(&world, "example.org");
        let svids = vec![domain.svid(AGENT, agent), domain.svid(MCP, server)];
        let api = domain.serve(svids).await;
        let (workload, opened) = workload().await;
        let ingress = change(world.sidecar_that_is(&domain.identity(MCP)).admin());
        let ingress = ingress.towards_workload(workload.address).start().await;
        let egress = change(world.sidecar_that_is(&domain.identity(AGENT)).admin());
        let egress = egress.towards_peer(ingress.address()).start().await;
        for sidecar in [&ingress, &egress] {
            sidecar.until_ready_says(200, "ok").await;
        }
        Self {
            api,
            workload,
            opened,
            ingress,
            egress,
            _world: world,
        }
    }

    async fn stream(&mut self) -> Stream {
        let mut client = Client::http2(self.egress.address()).await;
        Stream::open(&mut client, "/sse", &mut self.opened).await
    }

    /// Until when the SVIDs are valid under which the first lane was made.
    async fn first_expiry(&self) -> u64 {
        let mut until = u64::MAX;
        for sidecar in [&self.ingress, &self.egress] {
            let open = sidecar.records.event("connection.open").await;
            until = until.min(open["peer_svid_expires"].as_u64().unwrap());
        }
        until
    }
}

fn now() -> u64 {
    later(0).as_secs()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_outlives_the_svids_under_which_it_was_opened_and_ends_when_none_follow() {
    let mut lane = Lane::new(6, 6, |setup| setup).await;
    let mut stream = lane.stream().await;
    let expiry = lane.first_expiry().await;
    let mut often = interval(Duration::from_millis(20));
    while now() <= expiry + 4 {
        stream.flows().await;
        often.tick().await;
    }
    let closed = |record: &serde_json::Value| record["event"] == "call.close";
    assert!(!lane.egress.records.all().iter().any(closed));

    lane.api.stop().await;
    let took = stream.ends().await;
    assert!(took < Duration::from_secs(10), "{took:?}");
    for sidecar in [&lane.ingress, &lane.egress] {
        let closed = sidecar.records.closed("/sse").await;
        assert!(
            closed["outcome"] == "cut" && closed["reason"] == "svid-expired"
                || closed["outcome"] == "completed",
            "{closed}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_properly_at_its_greatest_age() {
    let mut lane = Lane::new(6, 6, |setup| setup.limit("stream_max_age_seconds = 9")).await;
    let began = Instant::now();
    let stream = lane.stream().await;
    stream.ends().await;
    let age = began.elapsed();
    assert!(
        (Duration::from_secs(8)..Duration::from_secs(13)).contains(&age),
        "{age:?}"
    );
    let client = &mut Client::http2(lane.egress.address()).await;
    assert_eq!(client.get("/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_while_both_ends_rotate_and_none_is_carried_under_an_expired_svid() {
    // The agent's own SVID stays, so that it is the server's that retires connections.
    for (agent, server) in [(3_600, 4), (4, 3_600), (4, 4)] {
        let lane = Lane::new(agent, server, |setup| setup).await;
        let mut clients = [
            Client::http1(lane.egress.address()).await,
            Client::http2(lane.egress.address()).await,
        ];
        let end = now() + 6;
        let mut calls = 0;
        let mut often = interval(Duration::from_millis(5));
        while now() <= end {
            for client in &mut clients {
                let request = client.request("POST", "/mcp").body(full("{}")).unwrap();
                let answer = client.call(request).await;
                assert_eq!(answer.status, 200, "{answer:?}");
                calls += 1;
            }
            often.tick().await;
        }
        assert!(calls > 100, "{calls}");
        assert_eq!(lane.workload.count(), calls);
        let mut expiries = HashMap::new();
        for record in lane.egress.records.all() {
            if record["event"] == "connection.open" {
                let expires = record["peer_svid_expires"].as_u64().unwrap();
                expiries.insert(record["connection"].to_string(), expires);
            }
            if record["event"] == "call.close" {
                let expires = expiries[&record["upstream"].to_string()];
                assert!(seconds(&record["time"]) <= expires, "{record} {expires}");
            }
        }
        assert!(expiries.len() > 1, "{expiries:?}");
    }
}

/// A record's time, in whole seconds since 1970.
fn seconds(time: &serde_json::Value) -> u64 {
    let format = &time::format_description::well_known::Rfc3339;
    let time = time::OffsetDateTime::parse(time.as_str().unwrap(), format).unwrap();
    time.unix_timestamp().unsigned_abs()
}

/// An SVID that is good for a few seconds more.
fn short(world: &World, path: &str) -> TestSvid {
    let leaf = world.domain.leaf(path);
    leaf.valid(later(-60), later(3)).issue()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_refused_once_our_own_svid_has_expired() {
    let world = World::new();
    let (workload, mut opened) = workload().await;
    let long = world.ingress(workload.address).await;
    let ingress = world.sidecar_with(&short(&world, MCP)).admin();
    let ingress = ingress.towards_workload(workload.address).start().await;
    let egress = world.sidecar_with(&short(&world, AGENT)).admin();
    let egress = egress.towards_peer(long.address()).start().await;
    let mut peer = world.agent().http2(ingress.address()).await;
    let mut client = Client::http2(egress.address()).await;
    let streams = [
        Stream::open(&mut peer, "/sse/in", &mut opened).await,
        Stream::open(&mut client, "/sse/out", &mut opened).await,
    ];
    assert_eq!(ingress.readiness().await, (200, "ok".to_owned()));
    for stream in streams {
        stream.ends().await;
    }
    for sidecar in [&ingress, &egress] {
        sidecar.until_ready_says(503, "identity-unavailable").await;
    }
    let calls = workload.count();
    let answer = client.get("/").await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.header("pqlane-denied"), Some("identity-unavailable"));
    egress.records.denied(DenyReason::IdentityUnavailable).await;
    assert!(world.agent().connect(ingress.address()).await.is_err());
    ingress
        .records
        .refused(DenyReason::IdentityUnavailable)
        .await;
    let request = peer.request("GET", "/").body(full("")).unwrap();
    if let Ok(response) = peer.try_send(request).await {
        assert_eq!(response.status(), 403);
    }
    assert_eq!(workload.count(), calls);
}

/// A lane of HTTP/1.1 is driven by its calls only: it retires between two of them, unseen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_of_http1_that_retires_between_two_calls_costs_none() {
    let world = World::new();
    let expires = later(6);
    let leaf = world.domain.leaf(MCP).valid(later(-60), expires).issue();
    let server = Peer::new(&world, &leaf).alpn("http/1.1");
    let server = server
        .listen(|stream| {
            serve(stream, Version::Http1, |_request| async {
                Response::new(full("ok"))
            })
        })
        .await;
    let egress = world.egress(server.address).await;
    let mut client = Client::http1(egress.address()).await;
    let mut often = interval(Duration::from_millis(300));
    let mut served = 0;
    while later(0) < expires {
        let answer = within("answer", client.get("/")).await;
        assert_eq!(answer.status, 200, "after {served}: {answer:?}");
        served += 1;
        often.tick().await;
    }
    assert!(served > 10, "{served}");
    let opened = egress.records.event("connection.open").await;
    assert_eq!(opened["http"], "1.1");
}
