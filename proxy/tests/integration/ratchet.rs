//! The ratchet: what sets it, what cannot, what it does, and how an operator takes an ID back.

use std::path::PathBuf;

use pqlane::deny::DenyReason;
use pqlane_certs::testing::TestDomain;
use rustls::crypto::aws_lc_rs::kx_group;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::http::Workload;
use crate::support::process::{pqlane, stderr};
use crate::support::tls::{OLD, Peer};
use crate::support::world::{AGENT, MCP, Sidecar, World, id};
use crate::support::{eventually, within};

/// Peers that were served with classical key exchange after hybrid.
const ALARMS: &str = "pqlane_downgrades_total{cause=\"not-offered\",then=\"alarm\"}";

/// A sidecar that prefers hybrid and remembers who showed it.
struct Remembering {
    world: World,
    workload: Workload,
    lane: Sidecar,
    state: PathBuf,
}

impl Remembering {
    async fn new(on_downgrade: &str) -> Self {
        let world = World::new();
        let workload = Workload::ok().await;
        std::fs::create_dir(world.path("state")).unwrap();
        let lane = world
            .sidecar(MCP)
            .admin()
            .field("state_dir = \"state\"")
            .table(&format!(
                "[tls]\nkx_policy = \"prefer-hybrid\"\nratchet = \"{on_downgrade}\""
            ))
            .limit("file_watch_milliseconds = 20")
            .towards_workload(workload.address)
            .start()
            .await;
        Self {
            state: world.path("state/ratchet.jsonl"),
            world,
            workload,
            lane,
        }
    }

    /// A call with this peer's certificate is served.
    async fn serves(&self, peer: &Peer) {
        let before = self.workload.count();
        let call = peer.call(self.lane.address()).await;
        assert!(call.is_ok(), "{call:?}");
        assert_eq!(self.workload.count(), before + 1);
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.state).unwrap()
    }

    /// What `pqlane ratchet list` says.
    fn list(&self) -> Value {
        let state = self.state.to_str().unwrap();
        let output = pqlane(&["ratchet", "list", "--json", "--state", state]);
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The IDs in it.
    fn ids(&self) -> Vec<String> {
        let list = self.list();
        let entries = list.as_array().unwrap().iter();
        entries
            .map(|entry| entry["id"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// Everybody but the agent itself: whoever has none of its certificates.
fn strangers(world: &World) -> Vec<Peer> {
    let stranger = TestDomain::new("stranger.org");
    let impostor = TestDomain::new("example.org");
    let own = world.svid(AGENT);
    vec![
        world.agent().without_certificate(),
        Peer::new(world, &stranger.leaf(AGENT).issue()),
        // Another authority mints the agent's ID, and one that copied its certificate has no key to it.
        Peer::new(world, &impostor.leaf(AGENT).issue()),
        Peer::new(world, &own.with_key_of(&world.svid("/agent/mallory"))),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strangers_classical_hello_changes_nothing_for_anyone() {
    let lane = Remembering::new("refuse").await;
    let (alice, bob) = (lane.world.agent(), lane.world.svid("/agent/bob"));
    let bob = Peer::new(&lane.world, &bob).groups(&OLD);
    lane.serves(&alice).await;
    lane.serves(&bob).await;
    let mut open = alice.http2(lane.lane.address()).await;
    assert_eq!(open.get("/").await.body, "ok");
    assert_eq!(lane.ids(), [id(AGENT)]);
    let before = lane.bytes();

    for (number, stranger) in strangers(&lane.world).iter().enumerate() {
        stranger
            .clone()
            .groups(&OLD)
            .refused(lane.lane.address())
            .await;
        // One more that gives up in the middle of its hello.
        let mut torn = TcpStream::connect(lane.lane.address()).await.unwrap();
        torn.write_all(&[0x16, 3, 1, 1, 0, 1]).await.unwrap();
        drop(torn);
        let refusals = 2 * (number + 1);
        eventually("records of both", || {
            (lane.lane.records.count("connection.refused") >= refusals).then_some(())
        })
        .await;

        assert_eq!(lane.bytes(), before);
        assert_eq!(open.get("/").await.body, "ok");
        lane.serves(&alice).await;
        lane.serves(&bob).await;
    }
    let records = lane.lane.records.all();
    let refused = records
        .iter()
        .filter(|r| r["event"] == "connection.refused");
    for refusal in refused {
        assert_eq!(refusal["peer"], Value::Null, "{refusal}");
        assert_ne!(refusal["reason"], DenyReason::Downgraded.code());
    }
    assert_eq!(lane.lane.figure(ALARMS).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strangers_hybrid_hello_holds_nobody_to_anything() {
    let lane = Remembering::new("refuse").await;
    let hybrid = [kx_group::X25519MLKEM768];
    for stranger in strangers(&lane.world) {
        stranger.groups(&hybrid).refused(lane.lane.address()).await;
    }
    // An authentic ID that the listener does not allow has shown what it can, and still shows nothing here.
    let intruder = lane.world.svid("/intruder");
    Peer::new(&lane.world, &intruder)
        .refused(lane.lane.address())
        .await;
    assert!(
        lane.ids().iter().all(|held| *held != id(AGENT)),
        "{:?}",
        lane.ids()
    );
    lane.serves(&lane.world.agent().groups(&OLD)).await;
    assert_eq!(lane.ids(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alarm_serves_counts_and_records_the_downgrade() {
    let lane = Remembering::new("alarm").await;
    lane.serves(&lane.world.agent()).await;
    assert_eq!(lane.lane.figure(ALARMS).await, 0);
    lane.serves(&lane.world.agent().groups(&OLD)).await;
    let alarm = lane
        .lane
        .records
        .find("downgrade", |record| record["downgrade"].is_string())
        .await;
    assert_eq!(alarm["event"], "connection.open");
    assert_eq!(
        (&alarm["peer"], &alarm["group"]),
        (&json!(id(AGENT)), &json!("x25519"))
    );
    assert_eq!(alarm["downgrade"], "not-offered");
    assert_eq!(lane.lane.figure(ALARMS).await, 1);
    // It stays known, and the next one is counted as well.
    lane.serves(&lane.world.agent().groups(&OLD)).await;
    assert_eq!(lane.lane.figure(ALARMS).await, 2);
    let records = lane.lane.records.all();
    let alarms = records
        .iter()
        .filter(|record| record["downgrade"].is_string());
    assert_eq!(alarms.count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_sees_who_is_held_and_lets_an_id_back_in_while_the_lane_runs() {
    let lane = Remembering::new("refuse").await;
    let (alice, old) = (lane.world.agent(), lane.world.agent().groups(&OLD));
    let bob = Peer::new(&lane.world, &lane.world.svid("/agent/bob"));
    lane.serves(&alice).await;
    lane.serves(&bob).await;
    let list = lane.list();
    assert_eq!(lane.ids(), [id(AGENT), id("/agent/bob")]);
    assert_eq!(list[0]["group"], "X25519MLKEM768");
    assert!(list[0]["since"].as_str().unwrap().ends_with('Z'), "{list}");
    old.turned_away(lane.lane.address()).await;

    let state = lane.state.to_str().unwrap();
    let unknown = pqlane(&["ratchet", "forget", "--state", state, &id("/agent/nobody")]);
    assert_eq!(unknown.status.code(), Some(1), "{}", stderr(&unknown));
    assert!(
        stderr(&unknown).contains("/agent/nobody"),
        "{}",
        stderr(&unknown)
    );
    let forget = pqlane(&["ratchet", "forget", "--state", state, &id(AGENT)]);
    assert!(forget.status.success(), "{}", stderr(&forget));
    assert_eq!(lane.ids(), [id("/agent/bob")]);

    within("the running lane to take her back", async {
        while !old.call(lane.lane.address()).await.is_ok() {}
    })
    .await;
    // Nobody else was let back, and hybrid holds her again.
    bob.groups(&OLD).turned_away(lane.lane.address()).await;
    lane.serves(&alice).await;
    old.turned_away(lane.lane.address()).await;
    assert_eq!(lane.ids(), [id(AGENT), id("/agent/bob")]);
}
