//! Records that cannot be written, and what then happens to calls.

use pqlane::deny::DenyReason;

use crate::support::http::{Client, Workload};
use crate::support::within;
use crate::support::world::{AGENT, MCP, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_denied_while_no_record_can_be_written() {
    let world = World::new();
    let workload = Workload::ok().await;
    let ingress = world.ingress(workload.address).await;
    let egress = world
        .sidecar(AGENT)
        .audit("to = \"/dev/full\"")
        .towards_peer(ingress.address())
        .start()
        .await;
    // The first record has to fail before anybody knows.
    let denied = within("denial", async {
        loop {
            let mut client = Client::http1(egress.address()).await;
            let answer = client.get("/").await;
            if answer.status != 200 {
                return answer;
            }
        }
    })
    .await;
    assert_eq!(denied.status, 503);
    let code = DenyReason::AuditUnavailable.code();
    assert_eq!(denied.header("pqlane-denied"), Some(code));
    let carried = workload.count();
    for _ in 0..5 {
        let mut client = Client::http1(egress.address()).await;
        assert_eq!(client.post("/", "{}").await.status, 503);
    }
    assert_eq!(workload.count(), carried);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_are_denied_while_no_record_can_be_written() {
    let world = World::new();
    let workload = Workload::ok().await;
    let ingress = world
        .sidecar(MCP)
        .audit("to = \"/dev/full\"")
        .towards_workload(workload.address)
        .start()
        .await;
    let egress = world.egress(ingress.address()).await;
    let mut client = Client::http1(egress.address()).await;
    within("denial", async {
        while client.get("/").await.status == 200 {}
    })
    .await;
    let carried = workload.count();
    for _ in 0..5 {
        assert_ne!(client.post("/", "{}").await.status, 200);
    }
    assert_eq!(workload.count(), carried);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_carried_without_record_where_configured() {
    let world = World::new();
    let workload = Workload::ok().await;
    let ingress = world.ingress(workload.address).await;
    let egress = world
        .sidecar(AGENT)
        .audit("to = \"/dev/full\"\non_failure = \"continue\"")
        .limit("audit_queue_records = 1")
        .admin()
        .towards_peer(ingress.address())
        .start()
        .await;
    let mut client = Client::http1(egress.address()).await;
    for _ in 0..20 {
        assert_eq!(client.get("/").await.status, 200);
    }
    let mut admin = Client::http1(egress.listener("admin")).await;
    let mut text = String::new();
    let counted = async {
        loop {
            let metrics = admin.get("/metrics").await.body;
            text = String::from_utf8_lossy(&metrics).into_owned();
            let lost = text
                .lines()
                .find(|line| line.contains("lost") && !line.starts_with('#'))
                .and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
            if lost.is_some_and(|lost| lost > 0) {
                return;
            }
        }
    };
    let counted = tokio::time::timeout(crate::support::DEADLINE / 3, counted).await;
    assert!(counted.is_ok(), "no count of records lost: {text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let workload = Workload::ok().await;
    let ingress = world.ingress(workload.address).await;
    let mut client = world.agent().http2(ingress.address()).await;
    client.get("/").await;
    ingress.records.closed("/").await;
    let modes: Vec<_> = std::fs::read_dir(world.path("."))
        .unwrap()
        .map(Result::unwrap)
        .filter(|file| file.file_name().to_string_lossy().ends_with("audit.jsonl"))
        .map(|file| file.metadata().unwrap().permissions().mode() & 0o777)
        .collect();
    assert_eq!(modes, [0o600]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_caller_writes_cannot_forge_a_record() {
    let world = World::new();
    let workload = Workload::ok().await;
    let ingress = world.ingress(workload.address).await;
    let mut client = world.agent().http2(ingress.address()).await;
    let request = client
        .request("POST", "/a%22%7D%0A%7B%22event%22:%22call.open")
        .header("mcp-method", "x\",\"event\":\"forged")
        .header("mcp-name", "\u{7f}tab".trim_start_matches('\u{7f}'))
        .header("mcp-protocol-version", "2026-07-28")
        .header("content-type", "application/json")
        .body(crate::support::http::full("{}"))
        .unwrap();
    client.call(request).await;
    ingress.records.event("call.close").await;
    let records = ingress.records.all();
    assert!(
        !records.iter().any(|r| r["event"] == "forged"),
        "{records:?}"
    );
}
