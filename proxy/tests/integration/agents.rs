//! Many agents behind one egress: who is which, by what evidence, and that they never share anything.

use std::path::{Path, PathBuf};

use pqlane::deny::DenyReason;
use tokio::net::UnixStream;

use crate::support::http::{Client, Seen, Version, Workload, empty, full, next_seen};
use crate::support::living::replace;
use crate::support::within;
use crate::support::world::{AGENT, MCP, Setup, Sidecar, World, id};

const RESEARCHER: &str = "/agent/researcher";

/// An egress to be that has both agents' SVIDs; the one of [`AGENT`] is the default.
fn egress(world: &World) -> Setup<'_> {
    let svid = world.svid(RESEARCHER);
    let chain = world.write("researcher.svid.pem", &svid.chain_pem());
    let key = world.write("researcher.key.pem", svid.key_pem().as_str());
    let table = format!("[identities.researcher]\nsvid = {chain:?}\nkey = {key:?}");
    let alice = world.svid(AGENT);
    let chain = world.write("alice.svid.pem", &alice.chain_pem());
    let key = world.write("alice.key.pem", alice.key_pem().as_str());
    let alices = format!("[identities.alice]\nsvid = {chain:?}\nkey = {key:?}");
    let setup = world.sidecar(AGENT).admin();
    setup
        .limit("file_watch_milliseconds = 20")
        .table(&table)
        .table(&alices)
}

/// The lines of a listener on a socket towards the domain's MCP server.
fn on_socket(socket: &Path, ingress: &Sidecar, more: &str) -> String {
    format!(
        "name = {:?}\nlisten = \"unix:{}\"\nconnect = \"{}\"\npeers = [\"{}\"]\n{more}",
        socket.file_stem().unwrap(),
        socket.display(),
        ingress.address(),
        id(MCP)
    )
}

async fn connect(socket: &Path) -> Client {
    let stream = within("connection", UnixStream::connect(socket)).await;
    Client::http1_over(stream.unwrap(), "localhost").await
}

/// Who a call says that it is from, as the workload is told.
fn caller_of(seen: &Seen) -> String {
    seen.values("x-forwarded-client-cert").join(";")
}

/// What the egress recorded of the call with this path.
async fn opening(egress: &Sidecar, path: &str) -> serde_json::Value {
    let open = egress.records.find(path, |record| {
        record["event"] == "call.open" && record["path"] == path
    });
    open.await
}

struct Lane {
    world: World,
    ingress: Sidecar,
    seen: tokio::sync::mpsc::UnboundedReceiver<Seen>,
    workload: Workload,
}

impl Lane {
    async fn new() -> Self {
        let world = World::new();
        let (workload, seen) = Workload::recording(Version::Http1).await;
        let ingress = world.ingress(workload.address).await;
        Self {
            world,
            ingress,
            seen,
            workload,
        }
    }

    fn socket(&self, name: &str) -> PathBuf {
        self.world.path(name)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_socket_calls_in_the_name_of_its_agent_and_they_share_no_connection() {
    let mut lane = Lane::new().await;
    let [alices, researchers] = ["alice.sock", "researcher.sock"].map(|name| lane.socket(name));
    let egress = egress(&lane.world)
        .outbound(&on_socket(&alices, &lane.ingress, "identity = \"alice\""))
        .outbound(&on_socket(
            &researchers,
            &lane.ingress,
            "identity = \"researcher\"",
        ))
        .start()
        .await;
    let mut clients = [connect(&alices).await, connect(&researchers).await];
    for round in 0..5 {
        for (client, path) in clients.iter_mut().zip([AGENT, RESEARCHER]) {
            let call = format!("{path}/{round}");
            assert_eq!(client.get(&call).await.status, 200);
            let caller = caller_of(&next_seen(&mut lane.seen).await);
            assert!(caller.contains(&format!("URI={}", id(path))), "{caller}");
            let open = opening(&egress, &call).await;
            assert_eq!(open["local"], id(path));
            assert_eq!(open["assurance"], "listener");
        }
    }
    let mut peers: Vec<_> = lane
        .ingress
        .records
        .all()
        .into_iter()
        .filter(|record| record["event"] == "connection.open")
        .map(|record| record["peer"].as_str().unwrap().to_owned())
        .collect();
    peers.sort();
    assert_eq!(peers, [id(AGENT), id(RESEARCHER)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_that_a_socket_does_not_name_is_refused() {
    let lane = Lane::new().await;
    let own = nix_uid();
    let [others, owns] = ["others.sock", "owns.sock"].map(|name| lane.socket(name));
    let lines = |uid: u32| format!("uid = {uid}");
    let egress = egress(&lane.world)
        .outbound(&on_socket(&others, &lane.ingress, &lines(own + 1)))
        .outbound(&on_socket(&owns, &lane.ingress, &lines(own)))
        .start()
        .await;
    let answer = connect(&others).await.post("/call", "{}").await;
    assert_eq!(answer.status, 403);
    assert_eq!(answer.header("pqlane-denied"), Some("caller-not-allowed"));
    let denied = egress.records.denied(DenyReason::CallerNotAllowed).await;
    assert!(
        denied["detail"].to_string().contains(&own.to_string()),
        "{denied}"
    );
    // Nobody called, so nobody is named.
    let open = opening(&egress, "/call").await;
    assert_eq!((open.get("local"), open.get("assurance")), (None, None));
    assert_eq!(lane.workload.count(), 0);
    assert_eq!(connect(&owns).await.get("/").await.status, 200);
}

fn nix_uid() -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").unwrap().uid()
}

fn process(executable: &Path, identity: &str) -> String {
    format!("[[outbound.process]]\nexecutable = {executable:?}\nidentity = \"{identity}\"\n")
}

/// The program that this test is.
fn own_program() -> PathBuf {
    std::fs::read_link("/proc/self/exe").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_is_known_by_its_very_file() {
    let mut lane = Lane::new().await;
    let socket = lane.socket("shared.sock");
    let copy = lane.world.path("copy");
    std::fs::copy(own_program(), &copy).unwrap();
    // A copy of the program is another program, and so is any other.
    let rules = process(&copy, "alice")
        + &process(Path::new("/bin/sh"), "alice")
        + &process(&own_program(), "researcher");
    let egress = egress(&lane.world)
        .outbound(&on_socket(&socket, &lane.ingress, &rules))
        .start()
        .await;
    assert_eq!(connect(&socket).await.get("/attested").await.status, 200);
    let caller = caller_of(&next_seen(&mut lane.seen).await);
    assert!(caller.contains(&id(RESEARCHER)), "{caller}");
    let open = opening(&egress, "/attested").await;
    assert_eq!(open["local"], id(RESEARCHER));
    assert_eq!(open["assurance"], "attested-process");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_no_rule_names_is_refused() {
    let lane = Lane::new().await;
    let copy = lane.world.path("copy");
    std::fs::copy(own_program(), &copy).unwrap();
    let wrong_user = process(&own_program(), "alice") + &format!("uid = {}\n", nix_uid() + 1);
    for (number, rules) in [process(&copy, "alice"), wrong_user].iter().enumerate() {
        let socket = lane.socket(&format!("{number}.sock"));
        let egress = egress(&lane.world)
            .outbound(&on_socket(&socket, &lane.ingress, rules))
            .start()
            .await;
        assert_eq!(connect(&socket).await.get("/").await.status, 403);
        let denied = egress.records.denied(DenyReason::CallerNotAllowed).await;
        let program = own_program();
        let name = program.file_name().unwrap().to_str().unwrap();
        assert!(denied["detail"].to_string().contains(name), "{denied}");
    }
    assert_eq!(lane.workload.count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_is_only_asserted() {
    let lane = Lane::new().await;
    let egress = egress(&lane.world).towards_peer(lane.ingress.address());
    let egress = egress.start().await;
    let mut client = Client::http1(egress.address()).await;
    assert_eq!(client.get("/port").await.status, 200);
    let open = opening(&egress, "/port").await;
    assert_eq!(open["assurance"], "asserted");
    assert_eq!(open["local"], id(AGENT));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_is_removed_is_refused_with_its_next_call() {
    let lane = Lane::new().await;
    let [programs, sockets] = ["programs.sock", "sockets.sock"].map(|name| lane.socket(name));
    let own = process(&own_program(), "researcher");
    let rules = process(Path::new("/bin/sh"), "alice") + &own;
    let kept = on_socket(&programs, &lane.ingress, &rules);
    let egress = egress(&lane.world)
        .outbound(&kept)
        .outbound(&on_socket(&sockets, &lane.ingress, ""))
        .start()
        .await;
    let (mut program, mut user) = (connect(&programs).await, connect(&sockets).await);
    assert_eq!(program.get("/").await.status, 200);
    assert_eq!(user.get("/").await.status, 200);
    let calls = lane.workload.count();

    egress.applies(|| egress.edit(&own, "")).await;
    assert_eq!(program.get("/").await.status, 403);
    egress.records.denied(DenyReason::CallerNotAllowed).await;
    assert_eq!(user.get("/").await.status, 200);

    let text = std::fs::read_to_string(&egress.file).unwrap();
    let (rest, _) = text.rsplit_once("[[outbound]]").unwrap();
    egress.applies(|| replace(&egress.file, rest)).await;
    let request = user.request("GET", "/").body(empty()).unwrap();
    if let Ok(response) = user.try_send(request).await {
        assert_ne!(response.status(), 200);
    }
    within("end of the socket", async {
        while UnixStream::connect(&sockets).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(lane.workload.count(), calls + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_recorded_in_the_name_in_which_it_leaves() {
    let mut lane = Lane::new().await;
    let socket = lane.socket("agent.sock");
    let lines = on_socket(&socket, &lane.ingress, "identity = \"alice\"");
    let egress = egress(&lane.world).outbound(&lines).start().await;
    let mut client = connect(&socket).await;
    assert_eq!(client.get("/before").await.status, 200);
    next_seen(&mut lane.seen).await;
    egress
        .applies(|| egress.edit("identity = \"alice\"", "identity = \"researcher\""))
        .await;
    let request = client.request("GET", "/after").body(full("")).unwrap();
    assert_eq!(client.call(request).await.status, 200);
    let caller = caller_of(&next_seen(&mut lane.seen).await);
    assert!(caller.contains(&id(RESEARCHER)), "{caller}");
    assert_eq!(opening(&egress, "/before").await["local"], id(AGENT));
    assert_eq!(opening(&egress, "/after").await["local"], id(RESEARCHER));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_use_a_socket_can_be_changed_while_it_is_open() {
    let lane = Lane::new().await;
    let socket = lane.socket("agent.sock");
    let lines = on_socket(&socket, &lane.ingress, "identity = \"alice\"");
    let egress = egress(&lane.world).outbound(&lines).start().await;
    let mut client = connect(&socket).await;
    assert_eq!(client.get("/").await.status, 200);
    let other = format!("identity = \"alice\"\nuid = {}", nix_uid() + 1);
    egress
        .applies(|| egress.edit("identity = \"alice\"", &other))
        .await;
    let request = client.request("GET", "/").body(empty()).unwrap();
    if let Ok(response) = client.try_send(request).await {
        assert_eq!(response.status(), 403);
    }
    assert_eq!(connect(&socket).await.get("/").await.status, 403);
    assert_eq!(lane.workload.count(), 1);
}
