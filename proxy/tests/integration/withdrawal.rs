//! A withdrawal finds everybody: in a handshake, on a connection, and where listener and route are gone.

use std::net::SocketAddr;
use std::path::PathBuf;

use pqlane::deny::DenyReason;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::support::http::{Client, full, nobody};
use crate::support::living::{Stream, figure, replace, workload};
use crate::support::within;
use crate::support::world::{AGENT, MCP, Setup, World, id};

/// A deny-list with nobody on it.
fn deny_list(world: &World) -> PathBuf {
    world.write("deny.txt", "# nobody yet\n")
}

fn denying(setup: Setup<'_>) -> Setup<'_> {
    setup
        .admin()
        .limit("file_watch_milliseconds = 20")
        .table("[revocation]\ndeny_list = \"deny.txt\"")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_cut_is_counted_once() {
    let world = World::new();
    let list = deny_list(&world);
    let (workload, mut opened) = workload().await;
    let ingress = denying(world.sidecar(MCP)).towards_workload(workload.address);
    let ingress = ingress.start().await;
    let mut client = world.agent().http2(ingress.address()).await;
    let stream = Stream::open(&mut client, "/sse", &mut opened).await;
    let mut calls = Vec::new();
    for _ in 0..20 {
        let mut client = client.clone();
        calls.push(tokio::spawn(async move {
            loop {
                let request = client.request("GET", "/").body(full("")).unwrap();
                match client.try_send(request).await {
                    Ok(response) if response.status() == 200 => {}
                    _ => return,
                }
            }
        }));
    }
    replace(&list, id(AGENT));
    stream.ends().await;
    for call in calls {
        within("end of the calls", call).await.unwrap();
    }
    let cuts = "pqlane_connections_cut_total{listener=\"inbound\",reason=\"peer-denied\"}";
    assert_eq!(figure(ingress.listener("admin"), cuts).await, 1);
}

/// Passes bytes on, but none from the client of a connection before the test says so.
async fn holding_relay(to: SocketAddr) -> (SocketAddr, Release) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (release, released) = tokio::sync::watch::channel(false);
    let (connected, connects) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let (mut released, connected) = (released.clone(), connected.clone());
            tokio::spawn(async move {
                let _ = near.readable().await;
                let _ = connected.send(());
                if released.wait_for(|released| *released).await.is_ok() {
                    let mut far = TcpStream::connect(to).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                    let _ = far.shutdown().await;
                }
            });
        }
    });
    (address, Release { release, connects })
}

struct Release {
    release: tokio::sync::watch::Sender<bool>,
    connects: tokio::sync::mpsc::UnboundedReceiver<()>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_denied_while_its_handshake_is_under_way_gets_nothing() {
    let world = World::new();
    let list = deny_list(&world);
    let (workload, _) = workload().await;
    let ingress = world.ingress(workload.address).await;
    let (relay, mut hold) = holding_relay(ingress.address()).await;
    let egress = denying(world.sidecar(AGENT)).towards_peer(relay);
    let egress = egress.start().await;
    let mut client = Client::http1(egress.address()).await;
    let call = tokio::spawn(async move { client.post("/early", "{}").await });
    within("hello", hold.connects.recv()).await.unwrap();
    egress.applies(|| replace(&list, id(MCP))).await;
    hold.release.send(true).unwrap();
    let answer = within("answer", call).await.unwrap();
    assert_eq!(answer.status, 502, "{answer:?}");
    assert_eq!(workload.count(), 0);
    egress.records.refused(DenyReason::PeerDenied).await;

    // The other way: the hello of the one who is denied is held up.
    let world = World::new();
    let list = deny_list(&world);
    let ingress = denying(world.sidecar(MCP)).towards_workload(workload.address);
    let ingress = ingress.start().await;
    let (relay, mut hold) = holding_relay(ingress.address()).await;
    let peer = world.agent();
    let refused = tokio::spawn(async move { peer.refused(relay).await });
    within("hello", hold.connects.recv()).await.unwrap();
    ingress.applies(|| replace(&list, id(AGENT))).await;
    hold.release.send(true).unwrap();
    within("refusal", refused).await.unwrap();
    assert_eq!(workload.count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_denied_is_cut_on_a_listener_that_only_finishes_too() {
    let world = World::new();
    let list = deny_list(&world);
    let (workload, mut opened) = workload().await;
    let ingress = denying(world.sidecar(MCP))
        .towards_workload_with(workload.address, "name = \"first\"")
        .start()
        .await;
    let mut client = world.agent().http2(ingress.listener("first")).await;
    let mut stream = Stream::open(&mut client, "/sse", &mut opened).await;
    ingress
        .applies(|| ingress.edit("\"first\"", "\"another\"\n#"))
        .await;
    stream.flows().await;
    ingress.applies(|| replace(&list, id(AGENT))).await;
    stream.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_denied_is_cut_on_a_route_that_is_gone_too() {
    let world = World::new();
    let list = deny_list(&world);
    let (workload, mut opened) = workload().await;
    let ingress = world.ingress(workload.address).await;
    let egress = denying(world.sidecar(AGENT))
        .towards_peer(ingress.address())
        .start()
        .await;
    let mut client = Client::http2(egress.address()).await;
    let mut stream = Stream::open(&mut client, "/sse", &mut opened).await;
    let elsewhere = nobody().await.to_string();
    let before = ingress.address().to_string();
    egress.applies(|| egress.edit(&before, &elsewhere)).await;
    stream.flows().await;
    egress.applies(|| replace(&list, id(MCP))).await;
    stream.ends().await;
}
