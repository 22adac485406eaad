//! Who was welcome and is no longer: refused at the handshake, and cut off while connected.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;

use pqlane::deny::DenyReason;
use pqlane_certs::testing::{TestDomain, uri_name_constraints};

use crate::support::http::{Client, Version, Workload, full, serve};
use crate::support::living::{
    AT_ONCE, Stream, after_change, crl_pem, figure, later, replace, workload,
};
use crate::support::process::Process;
use crate::support::tls::Peer;
use crate::support::world::{AGENT, MCP, Setup, Sidecar, World, id};

const BOB: &str = "/agent/bob";
const SERIAL: [u8; 2] = [0x0a, 0x1b];

/// A deny-list with nobody on it.
fn deny_list(world: &World) -> PathBuf {
    world.write("deny.txt", "# nobody yet\n")
}

fn denying(setup: Setup<'_>) -> Setup<'_> {
    setup
        .admin()
        .table("[revocation]\ndeny_list = \"deny.txt\"")
}

/// A call of somebody who was cut off: told so, or on a connection that is closed.
async fn refused_call(client: &mut Client, reason: DenyReason) {
    let request = client.request("POST", "/after").body(full("x")).unwrap();
    if let Ok(response) = client.try_send(request).await {
        assert_eq!(response.status(), 403);
        assert_eq!(response.headers()["pqlane-denied"], reason.code());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denied_peer_is_refused_at_its_handshake_and_on_its_open_connection() {
    let everybody = "spiffe://example.org".to_owned();
    for (entry, bob_too) in [
        (id(AGENT), false),
        (everybody, true),
        ("serial:0A1B".to_owned(), false),
        ("serial:0a:1b spiffe://example.org".to_owned(), false),
    ] {
        let world = World::new();
        let list = deny_list(&world);
        let (workload, mut opened) = workload().await;
        let ingress = denying(world.sidecar(MCP)).towards_workload(workload.address);
        let ingress = ingress.start().await;
        let at = ingress.address();
        let alice = Peer::new(&world, &world.domain.leaf(AGENT).serial(&SERIAL).issue());
        let bob = Peer::new(&world, &world.svid(BOB));
        let (mut two, mut one) = (alice.http2(at).await, alice.http1(at).await);
        let mut bobs = bob.http2(at).await;
        let streams = [
            Stream::open(&mut two, "/sse/two", &mut opened).await,
            Stream::open(&mut one, "/sse/one", &mut opened).await,
        ];
        let mut other = Stream::open(&mut bobs, "/sse/bob", &mut opened).await;
        let calls = workload.count();

        let denied = Instant::now();
        replace(&list, format!("{entry} # until Monday\n"));
        for stream in streams {
            stream.ends().await;
        }
        assert!(
            denied.elapsed() < AT_ONCE,
            "{entry}: {:?}",
            denied.elapsed()
        );
        refused_call(&mut two, DenyReason::PeerDenied).await;
        alice.refused(at).await;
        let refused = ingress.records.refused(DenyReason::PeerDenied).await;
        assert_eq!(refused["peer"], id(AGENT), "{entry}");
        let cut = ingress.records.event("connection.cut").await;
        assert_eq!(cut["reason"], DenyReason::PeerDenied.code(), "{entry}");
        let closed = ingress.records.closed("/sse/two").await;
        assert_eq!(closed["outcome"], "cut", "{entry}");
        let remedied = ingress.records.event("remediation").await;
        assert_eq!(remedied["cause"], "deny-list", "{remedied}");
        let streams = if bob_too { 3 } else { 2 };
        assert_eq!(remedied["streams_cut"], streams, "{remedied}");
        assert_eq!(workload.count(), calls, "{entry}");
        if bob_too {
            other.ends().await;
            bob.refused(at).await;
        } else {
            other.flows().await;
            assert_eq!(bobs.get("/").await.status, 200);
            assert_eq!(bob.http2(at).await.get("/").await.status, 200);
        }
    }
}

/// An egress with a deny-list towards the domain's MCP server.
async fn denying_egress(world: &World, peer: SocketAddr) -> Sidecar {
    denying(world.sidecar(AGENT))
        .towards_peer(peer)
        .start()
        .await
}

/// A call that the egress refuses since nobody trusted answers it; why is on record.
async fn no_lane(egress: &Sidecar, reason: DenyReason) {
    let mut client = Client::http1(egress.address()).await;
    let answer = client.post("/after", "{}").await;
    assert_eq!(answer.status, 502, "{answer:?}");
    assert_eq!(answer.header("pqlane-denied"), Some("upstream-tls"));
    egress.records.refused(reason).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denied_server_loses_its_streams_and_gets_no_call() {
    let world = World::new();
    let list = deny_list(&world);
    let (workload, mut opened) = workload().await;
    let ingress = world.ingress(workload.address).await;
    let egress = denying_egress(&world, ingress.address()).await;
    let mut client = Client::http2(egress.address()).await;
    let mut one = Client::http1(egress.address()).await;
    let streams = [
        Stream::open(&mut client, "/sse/two", &mut opened).await,
        Stream::open(&mut one, "/sse/one", &mut opened).await,
    ];
    let calls = workload.count();
    let denied = Instant::now();
    replace(&list, id(MCP));
    for stream in streams {
        stream.ends().await;
    }
    assert!(denied.elapsed() < AT_ONCE, "{:?}", denied.elapsed());
    no_lane(&egress, DenyReason::PeerDenied).await;
    assert_eq!(client.get("/").await.status, 502);
    assert_eq!(workload.count(), calls);
    let cuts = "pqlane_connections_cut_total{listener=\"outbound\",reason=\"peer-denied\"}";
    assert_eq!(figure(egress.listener("admin"), cuts).await, 1);
    egress.applies(|| replace(&list, "# nobody again\n")).await;
    assert_eq!(client.get("/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denied_server_that_speaks_http1_gets_no_call_on_a_connection_kept_for_it() {
    let world = World::new();
    let list = deny_list(&world);
    let server = Peer::new(&world, &world.svid(MCP));
    let server = server
        .serve(Version::Http1, |_request| async {
            http::Response::new(full("ok"))
        })
        .await;
    let egress = denying_egress(&world, server.address).await;
    let mut client = Client::http1(egress.address()).await;
    assert_eq!(client.get("/").await.status, 200);
    egress.applies(|| replace(&list, id(MCP))).await;
    no_lane(&egress, DenyReason::PeerDenied).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_deny_list_leaves_the_old_one_running_and_is_named_with_its_line() {
    let world = World::new();
    let list = world.write("deny.txt", &id(AGENT));
    let workload = Workload::ok().await;
    let setup = denying(world.sidecar(MCP));
    let setup = setup.towards_workload_with(workload.address, "name = \"lane\"");
    let process = Process::run(&setup.file());
    let lane = process.listener("lane").await;
    let admin = process.listener("admin").await;
    let bob = Peer::new(&world, &world.svid(BOB));
    let mut bobs = bob.http2(lane).await;
    let bad = format!("{}\nspiffe://example.org/*\n", id(BOB));
    after_change(admin, "refused", || replace(&list, bad)).await;
    let log = process.log();
    for named in ["deny.txt", "line 2", "what was before stays"] {
        assert!(log.contains(named), "{named} in {log}");
    }
    world.agent().refused(lane).await;
    assert_eq!(bobs.get("/").await.status, 200);
    after_change(admin, "refused", || std::fs::remove_file(&list).unwrap()).await;
    world.agent().refused(lane).await;
    after_change(admin, "applied", || replace(&list, id(BOB))).await;
    refused_call(&mut bobs, DenyReason::PeerDenied).await;
    assert_eq!(world.agent().http2(lane).await.get("/").await.status, 200);
}

/// The bundle file with a list of these, good for an hour.
fn bundle_revoking(world: &World, serials: &[&[u8]]) -> String {
    let crl = world.domain.root().crl(serials, later(-60), later(3_600));
    world.domain.bundle_pem() + &crl_pem(&crl)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_svid_is_refused() {
    let world = World::new();
    let bundle = world.write("bundle.pem", &bundle_revoking(&world, &[]));
    let (workload, mut opened) = workload().await;
    let ingress = world
        .sidecar(MCP)
        .admin()
        .towards_workload(workload.address);
    let ingress = ingress.start().await;
    let at = ingress.address();
    let stolen = Peer::new(&world, &world.domain.leaf(AGENT).serial(&SERIAL).issue());
    let mut client = stolen.http2(at).await;
    let mut own = world.agent().http2(at).await;
    let stream = Stream::open(&mut client, "/sse/stolen", &mut opened).await;
    let mut kept = Stream::open(&mut own, "/sse/kept", &mut opened).await;
    let revoked = Instant::now();
    replace(&bundle, bundle_revoking(&world, &[&SERIAL]));
    stream.ends().await;
    assert!(revoked.elapsed() < AT_ONCE, "{:?}", revoked.elapsed());
    refused_call(&mut client, DenyReason::SvidRevoked).await;
    stolen.refused(at).await;
    ingress.records.refused(DenyReason::SvidRevoked).await;
    // The ID is not denied: its next SVID is good.
    kept.flows().await;
    assert_eq!(world.agent().http2(at).await.get("/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_a_revoked_svid_gets_nothing() {
    let world = World::new();
    world.write("bundle.pem", &bundle_revoking(&world, &[&SERIAL]));
    let svid = world.domain.leaf(MCP).serial(&SERIAL).issue();
    let server = Peer::new(&world, &svid).alpn("h2");
    let server = server
        .listen(|stream| serve(stream, Version::Http2, |_| async { panic!("a call") }))
        .await;
    let egress = world.egress(server.address).await;
    no_lane(&egress, DenyReason::SvidRevoked).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_svid_below_a_revoked_intermediate_is_refused() {
    let world = World::new();
    let issuer = world
        .domain
        .root()
        .intermediate_with("issuing CA", |params| {
            params.serial_number = Some(rcgen::SerialNumber::from_slice(&SERIAL));
        });
    let list = issuer.crl(&[], later(-60), later(3_600));
    let bundle = world.write(
        "bundle.pem",
        &(bundle_revoking(&world, &[]) + &crl_pem(&list)),
    );
    let workload = Workload::ok().await;
    let ingress = world
        .sidecar(MCP)
        .admin()
        .towards_workload(workload.address);
    let ingress = ingress.start().await;
    let peer = Peer::new(&world, &issuer.leaf(&id(AGENT)).issue());
    let mut client = peer.http2(ingress.address()).await;
    assert_eq!(client.get("/").await.status, 200);
    let revoked = bundle_revoking(&world, &[&SERIAL]) + &crl_pem(&list);
    ingress.applies(|| replace(&bundle, revoked)).await;
    refused_call(&mut client, DenyReason::SvidRevoked).await;
    peer.refused(ingress.address()).await;
    ingress.records.refused(DenyReason::SvidRevoked).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_is_refused_while_its_issuers_list_is_out_of_date() {
    let world = World::new();
    let root = world.domain.root();
    let old = root.crl(&[], later(-7_200), later(-3_600));
    let bundle = world.write("bundle.pem", &(world.domain.bundle_pem() + &crl_pem(&old)));
    let workload = Workload::ok().await;
    // One of our own SVIDs would be refused too, so that of another domain has the list.
    let own = TestDomain::new("own.example");
    world.write("own.pem", &own.bundle_pem());
    let ingress = world
        .sidecar_with(&own.leaf(MCP).issue())
        .trust(&own)
        .admin()
        .towards_workload(workload.address);
    let ingress = ingress.start().await;
    let peer = world.agent().accepting(&own, "spiffe://own.example/**");
    peer.refused(ingress.address()).await;
    ingress.records.refused(DenyReason::CrlUnusable).await;
    let current = bundle_revoking(&world, &[]);
    ingress.applies(|| replace(&bundle, current)).await;
    let mut client = peer.http2(ingress.address()).await;
    assert_eq!(client.get("/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_intermediate_that_constrains_uris_is_named() {
    let world = World::new();
    let issuer = world
        .domain
        .root()
        .intermediate_with("constrained", |params| {
            params.custom_extensions.push(uri_name_constraints());
        });
    let workload = Workload::ok().await;
    let ingress = world.ingress(workload.address).await;
    let peer = Peer::new(&world, &issuer.leaf(&id(AGENT)).issue());
    peer.refused(ingress.address()).await;
    let reason = DenyReason::IssuerConstrainsUris;
    let refused = ingress.records.refused(reason).await;
    let detail = refused["detail"].as_str().unwrap();
    for named in ["an intermediate certificate", "name constraints on URIs"] {
        assert!(detail.contains(named), "{detail}");
    }

    let server = Peer::new(&world, &issuer.leaf(&id(MCP)).issue()).alpn("h2");
    let server = server
        .listen(|stream| serve(stream, Version::Http2, |_| async { panic!("a call") }))
        .await;
    let egress = world.egress(server.address).await;
    no_lane(&egress, reason).await;
}
