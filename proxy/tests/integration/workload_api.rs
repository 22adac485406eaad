//! Identity from a SPIFFE Workload API, as it comes, changes, fails and comes back.

use std::time::{Duration, Instant};

use pqlane::deny::DenyReason;
use tokio::time::interval;

use crate::support::api::Domain;
use crate::support::http::{Client, Version, Workload, next_seen};
use crate::support::living::{AT_ONCE, Stream, later, workload};
use crate::support::process::Process;
use crate::support::within;
use crate::support::world::{AGENT, MCP, Setup, Sidecar, World, id};

const RESEARCHER: &str = "/agent/researcher";
const HOUR: u64 = 3_600;

/// A sidecar of this path whose identity comes from the domain's API.
fn sidecar<'w>(world: &'w World, domain: &Domain, path: &str) -> Setup<'w> {
    world.sidecar_that_is(&domain.identity(path)).admin()
}

async fn ready(setup: Setup<'_>) -> Sidecar {
    let sidecar = setup.start().await;
    sidecar.until_ready_says(200, "ok").await;
    sidecar
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn start_up_waits_for_the_first_identity_and_so_do_callers() {
    let world = World::new();
    let domain = Domain::new(&world, "example.org");
    let workload = Workload::ok().await;
    let ingress = sidecar(&world, &domain, MCP).towards_workload(workload.address);
    let ingress = ingress.start().await;
    let egress = sidecar(&world, &domain, AGENT).towards_peer(ingress.address());
    let egress = egress.start().await;
    for sidecar in [&ingress, &egress] {
        let unready = (503, "identity-unavailable".to_owned());
        assert_eq!(sidecar.readiness().await, unready);
    }
    let mut client = Client::http1(egress.address()).await;
    let call = tokio::spawn(async move { client.get("/").await });
    let svids = vec![domain.svid(AGENT, HOUR), domain.svid(MCP, HOUR)];
    let _api = domain.serve(svids).await;
    assert_eq!(within("answer", call).await.unwrap().status, 200);
    for sidecar in [&ingress, &egress] {
        sidecar.until_ready_says(200, "ok").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_while_svids_and_lists_are_renewed() {
    let world = World::new();
    let domain = Domain::new(&world, "example.org");
    let api = domain
        .serve(vec![domain.svid(AGENT, HOUR), domain.svid(MCP, HOUR)])
        .await;
    let (workload, mut opened) = workload().await;
    let ingress = sidecar(&world, &domain, MCP).towards_workload(workload.address);
    let ingress = ready(ingress).await;
    let egress = sidecar(&world, &domain, AGENT).towards_peer(ingress.address());
    let egress = ready(egress).await;
    let mut client = Client::http2(egress.address()).await;
    let mut stream = Stream::open(&mut client, "/sse", &mut opened).await;
    for _ in 0..5 {
        let rotated = egress.applies(|| api.control.rotate().unwrap());
        let mut rotated = std::pin::pin!(rotated);
        loop {
            tokio::select! {
                biased;
                () = &mut rotated => break,
                answer = client.get("/") => assert_eq!(answer.status, 200),
            }
        }
        stream.flows().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partner_comes_and_goes_with_its_bundle() {
    let world = World::new();
    let domain = Domain::new(&world, "example.org");
    let partner = Domain::new(&world, "partner.example");
    let api = domain.serve(vec![domain.svid(MCP, HOUR)]).await;
    let partners = partner.serve(vec![partner.svid(AGENT, HOUR)]).await;
    let ours = domain.bundle_pem();
    let federated = "example.org".parse().unwrap();
    partners
        .control
        .federate(federated, ours.as_bytes())
        .unwrap();
    let (workload, mut opened) = workload().await;
    let lines = format!(
        "listen = \"127.0.0.1:0\"\nworkload = \"http://{}\"\n\
         allow = [\"spiffe://partner.example/agent/*\"]",
        workload.address
    );
    let ingress = ready(sidecar(&world, &domain, MCP).inbound(&lines)).await;
    let egress = sidecar(&world, &partner, AGENT).towards_peer(ingress.address());
    let egress = ready(egress).await;
    let mut client = Client::http2(egress.address()).await;
    assert_eq!(client.get("/").await.status, 502);
    let reason = DenyReason::TrustDomainUnknown;
    ingress.records.refused(reason).await;

    let theirs = partner.bundle_pem();
    let name: pqlane_certs::spiffe_id::TrustDomain = "partner.example".parse().unwrap();
    let federate = || {
        api.control
            .federate(name.clone(), theirs.as_bytes())
            .unwrap()
    };
    ingress.applies(federate).await;
    let stream = Stream::open(&mut client, "/sse", &mut opened).await;
    let withdrawn = Instant::now();
    api.control.withdraw(&name);
    stream.ends().await;
    let took = withdrawn.elapsed();
    assert!(took < AT_ONCE, "{took:?}");
    let cut = ingress.records.event("connection.cut").await;
    assert_eq!(cut["reason"], reason.code());
    let calls = workload.count();
    assert_eq!(client.get("/").await.status, 502);
    assert_eq!(workload.count(), calls);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_serial_on_a_list_that_the_api_brings_is_revoked_at_once() {
    let world = World::new();
    let domain = Domain::new(&world, "example.org");
    let api = domain
        .serve(vec![domain.svid(AGENT, HOUR), domain.svid(MCP, HOUR)])
        .await;
    let (workload, mut opened) = workload().await;
    let ingress = sidecar(&world, &domain, MCP).towards_workload(workload.address);
    let ingress = ready(ingress).await;
    let egress = sidecar(&world, &domain, AGENT).towards_peer(ingress.address());
    let egress = ready(egress).await;
    let mut client = Client::http2(egress.address()).await;
    let stream = Stream::open(&mut client, "/sse", &mut opened).await;
    let serials = api.control.serials();
    let (_, serial) = serials
        .iter()
        .find(|(own, _)| own.as_str() == id(AGENT))
        .unwrap();
    let revoked = Instant::now();
    api.control.revoke([serial.clone()]).unwrap();
    stream.ends().await;
    let took = revoked.elapsed();
    assert!(took < AT_ONCE, "{took:?}");
    let cut = ingress.records.event("connection.cut").await;
    assert_eq!(cut["reason"], DenyReason::SvidRevoked.code());
    let calls = workload.count();
    assert_ne!(client.get("/").await.status, 200);
    assert_eq!(workload.count(), calls);
    ingress.records.refused(DenyReason::SvidRevoked).await;
    // The next SVID of the same agent is good.
    egress.applies(|| api.control.rotate().unwrap()).await;
    assert_eq!(client.get("/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_api_is_survived_until_expiry_and_recovered_from() {
    let world = World::new();
    let domain = Domain::new(&world, "example.org");
    let svids = || vec![domain.svid(AGENT, 5), domain.svid(MCP, HOUR)];
    let api = domain.serve(svids()).await;
    let workload = Workload::ok().await;
    let ingress = sidecar(&world, &domain, MCP).towards_workload(workload.address);
    let ingress = ready(ingress).await;
    let egress = sidecar(&world, &domain, AGENT).towards_peer(ingress.address());
    let egress = ready(egress).await;
    let mut client = Client::http2(egress.address()).await;
    assert_eq!(client.get("/").await.status, 200);
    let issued = later(0).as_secs();
    api.stop().await;
    let mut often = interval(Duration::from_millis(10));
    // At least half of its life is left: it is renewed at that.
    while later(0).as_secs() < issued + 2 {
        assert_eq!(client.get("/").await.status, 200);
        often.tick().await;
    }
    egress.until_ready_says(503, "identity-unavailable").await;
    let calls = workload.count();
    let answer = client.get("/").await;
    assert_eq!(answer.header("pqlane-denied"), Some("identity-unavailable"));
    assert_eq!(workload.count(), calls);

    let _api = domain.serve(svids()).await;
    egress.until_ready_says(200, "ok").await;
    assert_eq!(client.get("/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_choose_among_svids_by_hint_and_by_id() {
    let world = World::new();
    let domain = Domain::new(&world, "example.org");
    let _api = domain
        .serve(vec![
            domain.svid(MCP, HOUR),
            domain.svid(AGENT, HOUR),
            domain.svid(RESEARCHER, HOUR),
        ])
        .await;
    let (workload, mut seen) = Workload::recording(Version::Http1).await;
    // Without a choice it is the first.
    let identity = format!("[identity]\nworkload_api = \"{}\"\n", domain.endpoint());
    let ingress = world.sidecar_that_is(&identity).admin();
    let ingress = ready(ingress.towards_workload(workload.address)).await;
    let identities = format!(
        "{identity}[identities.one]\nhint = \"alice\"\n\
         [identities.two]\nspiffe_id = \"{}\"\n",
        id(RESEARCHER)
    );
    let peer = |name: &str, more: &str| {
        format!(
            "name = \"{name}\"\nlisten = \"127.0.0.1:0\"\nconnect = \"{}\"\npeers = [\"{}\"]\n{more}",
            ingress.address(),
            id(MCP)
        )
    };
    let egress = world
        .sidecar_that_is(&identities)
        .admin()
        .outbound(&peer("one", "identity = \"one\""))
        .outbound(&peer("two", "identity = \"two\""));
    let egress = ready(egress).await;
    for (listener, path) in [("one", AGENT), ("two", RESEARCHER)] {
        let mut client = Client::http1(egress.listener(listener)).await;
        assert_eq!(client.get("/").await.status, 200);
        let call = next_seen(&mut seen).await;
        let caller = call.values("x-forwarded-client-cert").join(";");
        assert!(caller.contains(&format!("URI={}", id(path))), "{caller}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_environment_names_the_api_where_no_identity_is_configured() {
    let world = World::new();
    let domain = Domain::new(&world, "example.org");
    let _api = domain
        .serve(vec![domain.svid(MCP, HOUR), domain.svid(AGENT, HOUR)])
        .await;
    let workload = Workload::ok().await;
    let setup = world.sidecar_that_is("").admin();
    let setup = setup.towards_workload_with(workload.address, "name = \"lane\"");
    let process =
        Process::run_with_variable(&setup.file(), "SPIFFE_ENDPOINT_SOCKET", &domain.endpoint());
    let lane = process.listener("lane").await;
    let egress = sidecar(&world, &domain, AGENT).towards_peer(lane);
    let egress = ready(egress).await;
    let mut client = Client::http1(egress.address()).await;
    assert_eq!(client.get("/").await.status, 200, "{}", process.log());
}
