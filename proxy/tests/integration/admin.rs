//! The admin listener: health and figures, for this machine only.

use tokio::net::TcpStream;

use crate::support::http::{Client, Workload, empty, raw_call};
use crate::support::world::{AGENT, MCP, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_and_metrics_are_served_to_this_machine() {
    let world = World::new();
    let workload = Workload::ok().await;
    let ingress = world
        .sidecar(MCP)
        .admin()
        .towards_workload(workload.address)
        .start()
        .await;
    let mut client = Client::http1(ingress.listener("admin")).await;
    for path in ["/livez", "/readyz"] {
        assert_eq!(client.get(path).await.status, 200, "{path}");
    }
    let metrics = client.get("/metrics").await;
    assert_eq!(metrics.status, 200);
    let kind = metrics.header("content-type").unwrap();
    assert!(kind.starts_with("application/openmetrics-text") || kind.starts_with("text/plain"));
    assert_eq!(client.get("/nothing").await.status, 404);
    assert_eq!(client.post("/livez", "").await.status, 405);
    let head = client.request("HEAD", "/livez").body(empty()).unwrap();
    assert_eq!(client.call(head).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn web_pages_cannot_read_the_admin_listener() {
    let world = World::new();
    let workload = Workload::ok().await;
    let ingress = world
        .sidecar(MCP)
        .admin()
        .towards_workload(workload.address)
        .start()
        .await;
    for head in [
        "host: evil.example.com",
        "host: localhost\r\norigin: http://evil.example.com",
    ] {
        let mut stream = TcpStream::connect(ingress.listener("admin")).await.unwrap();
        let request = format!("GET /metrics HTTP/1.1\r\n{head}\r\nconnection: close\r\n\r\n");
        let answer = raw_call(&mut stream, &request).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        assert!(!answer.contains("# TYPE"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshake_times_are_told_by_group_and_direction() {
    let world = World::new();
    let workload = Workload::ok().await;
    let ingress = world
        .sidecar(MCP)
        .admin()
        .towards_workload(workload.address)
        .start()
        .await;
    let egress = world
        .sidecar(AGENT)
        .admin()
        .towards_peer(ingress.address())
        .start()
        .await;
    let mut client = Client::http1(egress.address()).await;
    assert_eq!(client.get("/").await.status, 200);
    for (sidecar, direction) in [(&ingress, "inbound"), (&egress, "outbound")] {
        let mut admin = Client::http1(sidecar.listener("admin")).await;
        let metrics = admin.get("/metrics").await;
        let text = String::from_utf8(metrics.body.to_vec()).unwrap();
        let count = text.lines().find(|line| {
            line.contains("handshake")
                && line.contains("_count{")
                && line.contains("group=\"X25519MLKEM768\"")
                && line.contains(&format!("direction=\"{direction}\""))
        });
        let count = count.unwrap_or_else(|| panic!("no histogram of {direction} in {text}"));
        assert!(count.ends_with(" 1"), "{count}");
    }
}
