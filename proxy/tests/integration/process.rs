//! The binary as its user meets it: commands, errors, exit codes, and a process short of files.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::http::{Client, Workload};
use crate::support::process::{Process, pqlane, stderr};
use crate::support::world::{AGENT, MCP, World, id, owner_only};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_short_of_files_recovers() {
    const FILES: usize = 48;
    let world = World::new();
    let workload = Workload::ok().await;
    let setup = world.sidecar(MCP).limit("accept_backoff_milliseconds = 50");
    let setup = setup.towards_workload_with(workload.address, "name = \"lane\"");
    let mut process = Process::run_with_files(&setup.file(), FILES);
    let lane = process.listener("lane").await;
    let mut good = world.agent().http2(lane).await;
    assert_eq!(good.get("/").await.status, 200);
    let mut crowd = Vec::new();
    for _ in 0..2 * FILES {
        let mut stream = TcpStream::connect(lane).await.unwrap();
        stream.write_all(&[0x16, 3, 1]).await.unwrap();
        crowd.push(stream);
    }
    // More wait than it has files for; who is connected is served all the while.
    for _ in 0..20 {
        assert_eq!(good.get("/").await.status, 200);
    }
    assert!(process.is_running(), "{}", process.log());
    drop(crowd);
    let mut late = world.agent().http2(lane).await;
    assert_eq!(late.get("/").await.status, 200);
    assert_eq!(good.get("/").await.status, 200);
}

/// What is missing from a failure for wrong usage that names all of these.
fn complaint(output: &Output, named: &[&str]) -> Option<String> {
    let text = stderr(output);
    let unnamed: Vec<_> = named.iter().filter(|name| !text.contains(**name)).collect();
    let code = output.status.code();
    if code == Some(2) && unnamed.is_empty() && !text.contains("panicked") {
        return None;
    }
    Some(format!("exit code {code:?}, without {unnamed:?}: {text}"))
}

/// A command that must fail for wrong usage, naming all of these.
fn refused(output: &Output, named: &[&str]) {
    assert_eq!(complaint(output, named), None);
}

/// `pqlane check` and `pqlane run` refuse a file alike; what is wrong with how.
fn complaints(world: &World, text: &str, named: &[&str]) -> Vec<String> {
    let path = world.write("bad.toml", text);
    let path = path.to_str().unwrap();
    ["check", "run"]
        .iter()
        .filter_map(|command| {
            let complaint = complaint(&pqlane(&[command, "-c", path]), named)?;
            Some(format!("{command}: {complaint}"))
        })
        .collect()
}

fn refused_file(world: &World, text: &str, named: &[&str]) {
    assert_eq!(complaints(world, text, named), NOTHING);
}

const NOTHING: [String; 0] = [];

/// A good file with one thing replaced.
fn file_with(world: &World, from: &str, to: &str) -> String {
    let text = std::fs::read_to_string(
        world
            .sidecar(MCP)
            .towards_workload("127.0.0.1:1".parse().unwrap())
            .file(),
    );
    let text = text.unwrap();
    assert!(text.contains(from), "{from} in {text}");
    text.replace(from, to)
}

fn line_of(text: &str, part: &str) -> String {
    let number = text.lines().position(|line| line.contains(part)).unwrap() + 1;
    number.to_string()
}

#[test]
fn a_good_file_is_said_to_be_usable() {
    let world = World::new();
    let file = world
        .sidecar(MCP)
        .towards_workload("127.0.0.1:1".parse().unwrap());
    let records = file.records();
    let output = pqlane(&["check", "-c", file.file().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("X25519MLKEM768"), "{text}");
    assert!(records.all().is_empty());
}

#[test]
fn an_unknown_field_is_named_with_its_line_and_those_there_are() {
    let world = World::new();
    for (from, to, unknown, accepted) in [
        ("[trust]", "[trsut]", "trsut", "trust"),
        (
            "[limits]",
            "[limits]\nhead_byts = 1",
            "head_byts",
            "head_bytes",
        ),
        ("allow =", "alow = [\"x\"]\nallow =", "alow", "allow"),
        ("[audit]", "[audit]\nfrom = 1", "from", "on_failure"),
        ("[identity]", "[identity]\ncert = \"x\"", "cert", "svid"),
    ] {
        let text = file_with(&world, from, to);
        let line = line_of(&text, unknown);
        refused_file(&world, &text, &["bad.toml", unknown, accepted, &line]);
    }
}

#[test]
fn a_bad_value_is_named_with_file_line_field_and_what_is_accepted() {
    let world = World::new();
    let mut found = Vec::new();
    for (from, to, field, accepted) in [
        (
            "listen = \"127.0.0.1:0\"",
            "listen = \"8443\"",
            "listen",
            "IP:PORT",
        ),
        (
            "workload = \"http://127.0.0.1:1\"",
            "workload = \"ftp://x\"",
            "workload",
            "http://",
        ),
        (
            "spiffe://example.org/agent/*",
            "example.org/agent",
            "allow",
            "spiffe://",
        ),
        (
            "[limits]",
            "[limits]\nh2_streams = 0",
            "h2_streams",
            "above 0",
        ),
        (
            "[limits]",
            "[limits]\ndrain_seconds = \"soon\"",
            "drain_seconds",
            "u32",
        ),
        (
            "[limits]",
            "[limits]\nhead_bytes = 10",
            "head_bytes",
            "8192",
        ),
        (
            "[audit]",
            "[audit]\non_failure = \"ignore\"",
            "on_failure",
            "continue",
        ),
        (
            "[trust]",
            "[tls]\nkx_groups = [\"X25519\"]\n[trust]",
            "kx_groups",
            "X25519MLKEM768",
        ),
        (
            "[trust]",
            "[tls]\nkx_groups = []\n[trust]",
            "kx_groups",
            "X25519MLKEM768",
        ),
        (
            "[trust]",
            "[tls]\nkx_groups = [\"Kyber\"]\n[trust]",
            "kx_groups",
            "X25519MLKEM768",
        ),
    ] {
        let text = file_with(&world, from, to);
        let line = line_of(&text, to.lines().find(|l| l.contains(field)).unwrap_or(to));
        found.extend(complaints(
            &world,
            &text,
            &["bad.toml", field, accepted, &line],
        ));
    }
    assert_eq!(found, NOTHING);
}

#[test]
fn a_file_that_is_no_toml_is_refused_with_its_line() {
    let world = World::new();
    let text = file_with(&world, "[audit]", "[audit\n");
    let line = line_of(&text, "[audit");
    refused_file(&world, &text, &["bad.toml", &line]);
    refused_file(&world, "", &["bad.toml", "identity"]);
}

#[test]
fn a_missing_file_is_named() {
    for command in ["run", "check"] {
        let output = pqlane(&[command, "-c", "/nowhere/lane.toml"]);
        refused(&output, &["/nowhere/lane.toml"]);
    }
    let world = World::new();
    let mut found = Vec::new();
    for (from, to) in [
        ("bundle.pem", "no-bundle.pem"),
        (".svid.pem", ".nothing.pem"),
        (".key.pem", ".nokey.pem"),
    ] {
        let text = file_with(&world, from, to);
        found.extend(complaints(&world, &text, &[to]));
    }
    assert_eq!(found, NOTHING);
}

#[test]
fn identities_that_a_peer_would_refuse_are_refused_at_the_start() {
    use pqlane_certs::testing::{NOW, TestDomain, now_plus};
    let world = World::new();
    let mut found = Vec::new();
    let workload = "127.0.0.1:1".parse().unwrap();
    let expired = world.domain.leaf(MCP).valid(now_plus(-86_400), NOW).issue();
    let nameless = world.domain.leaf(MCP).uri_sans(&[]).issue();
    let foreign = TestDomain::new("example.org").leaf(MCP).issue();
    let keyless = world.svid(MCP).with_key_of(&world.svid(MCP));
    for (svid, named) in [
        (expired, "expired"),
        (nameless, "URI SAN"),
        (foreign, "example.org"),
        (keyless, "key"),
    ] {
        let file = world.sidecar_with(&svid).towards_workload(workload).file();
        let text = std::fs::read_to_string(file).unwrap();
        found.extend(complaints(&world, &text, &[named]));
    }
    assert_eq!(found, NOTHING);
}

#[test]
fn a_group_that_is_not_hybrid_stops_the_start() {
    let world = World::new();
    let group = "[tls]\nkx_groups = [\"X25519MLKEM768\", \"MLKEM1024\"]\n[trust]";
    let text = file_with(&world, "[trust]", group);
    refused_file(&world, &text, &["MLKEM1024", "SecP384r1MLKEM1024"]);
}

#[test]
fn a_plaintext_side_off_this_machine_needs_an_insecure_option() {
    let world = World::new();
    let text = file_with(&world, "http://127.0.0.1:1", "http://10.0.0.1:1");
    refused_file(
        &world,
        &text,
        &["workload", "10.0.0.1", "insecure_remote_workload"],
    );
    let insecure = text.replace("workload =", "insecure_remote_workload = true\nworkload =");
    let path = world.write("insecure.toml", &insecure);
    let output = pqlane(&["check", "-c", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));

    let outbound = |lines: &str| {
        let file = world.sidecar(AGENT).outbound(&format!(
            "listen = \"0.0.0.0:0\"\nconnect = \"127.0.0.1:1\"\npeers = [\"{}\"]\n{lines}",
            id(MCP)
        ));
        pqlane(&["check", "-c", file.file().to_str().unwrap()])
    };
    refused(
        &outbound(""),
        &["listen", "0.0.0.0", "insecure_remote_listen"],
    );
    let insecure = outbound("insecure_remote_listen = true");
    assert_eq!(insecure.status.code(), Some(0), "{}", stderr(&insecure));

    let admin = world
        .sidecar(MCP)
        .table("[admin]\nlisten = \"0.0.0.0:0\"")
        .towards_workload("127.0.0.1:1".parse().unwrap());
    let admin = pqlane(&["check", "-c", admin.file().to_str().unwrap()]);
    refused(&admin, &["listen", "0.0.0.0"]);
    // There is no such option for it, and no advice to use one.
    assert!(!stderr(&admin).contains("insecure"), "{}", stderr(&admin));
}

#[test]
fn a_token_that_others_could_read_or_guess_is_refused() {
    let world = World::new();
    let good = "0123456789abcdef0123456789abcdef";
    let file = world
        .sidecar(MCP)
        .table("[admin]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"token\"")
        .towards_workload("127.0.0.1:1".parse().unwrap())
        .file();
    let text = std::fs::read_to_string(&file).unwrap();
    refused_file(&world, &text, &["token_file", "token", "No such file"]);
    let token = world.write("token", good);
    std::fs::set_permissions(&token, Permissions::from_mode(0o644)).unwrap();
    refused_file(
        &world,
        &text,
        &["token_file", "mode 0644", "0600 is accepted"],
    );
    world.write("token", &good[1..]);
    owner_only(&token);
    refused_file(&world, &text, &["token_file", "31 bytes; 32 to 4096"]);
    world.write("token", good);
    let checked = pqlane(&["check", "-c", file.to_str().unwrap()]);
    assert_eq!(checked.status.code(), Some(0), "{}", stderr(&checked));
}

#[test]
fn a_listener_that_lets_in_nobody_or_anybody_is_refused() {
    let world = World::new();
    let from = "[\"spiffe://example.org/agent/*\"]";
    refused_file(&world, &file_with(&world, from, "[]"), &["allow"]);
    refused_file(
        &world,
        &file_with(&world, from, "[\"*\"]"),
        &["allow", "spiffe://"],
    );
    refused_file(
        &world,
        &file_with(&world, from, "[\"spiffe://*/**\"]"),
        &["allow"],
    );
}

#[test]
fn a_file_without_listeners_is_refused() {
    let world = World::new();
    let path = world.sidecar(MCP).file();
    refused(
        &pqlane(&["check", "-c", path.to_str().unwrap()]),
        &["inbound", "outbound"],
    );
}

#[test]
fn wrong_usage_names_the_flag_and_exits_2() {
    refused(&pqlane(&[]), &["Usage"]);
    refused(&pqlane(&["fly"]), &["fly"]);
    refused(&pqlane(&["run"]), &["--config"]);
    refused(
        &pqlane(&["inbound", "--listen", "127.0.0.1:0"]),
        &["--workload", "--allow"],
    );
    let flags = |listen: &'static str, workload: &'static str, allow: &'static str| {
        pqlane(&[
            "inbound",
            "--listen",
            listen,
            "--workload",
            workload,
            "--allow",
            allow,
            "--svid",
            "s",
            "--key",
            "k",
            "--bundle",
            "example.org=b",
        ])
    };
    let id = "spiffe://example.org/a";
    refused(
        &flags("8443", "http://127.0.0.1:1", id),
        &["--listen", "IP:PORT"],
    );
    refused(&flags("127.0.0.1:0", "x", id), &["--workload", "http://"]);
    refused(
        &flags("127.0.0.1:0", "http://127.0.0.1:1", "all"),
        &["--allow", "spiffe://"],
    );
    refused(
        &flags("127.0.0.1:0", "http://10.0.0.1:1", id),
        &["workload", "10.0.0.1", "--insecure-remote-workload"],
    );
}

#[test]
fn an_address_in_use_is_named_and_exits_1() {
    let world = World::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let file = world.sidecar(MCP).inbound(&format!(
        "listen = \"{address}\"\nworkload = \"http://127.0.0.1:1\"\nallow = [\"{}\"]",
        id(AGENT)
    ));
    let output = pqlane(&["run", "-c", file.file().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains(&address.to_string()));
}

#[test]
fn an_audit_file_that_cannot_be_written_is_named() {
    let world = World::new();
    let file = world
        .sidecar(MCP)
        .audit("to = \"/nowhere/audit.jsonl\"")
        .towards_workload("127.0.0.1:1".parse().unwrap());
    let output = pqlane(&["run", "-c", file.file().to_str().unwrap()]);
    assert_ne!(output.status.code(), Some(0));
    assert!(
        stderr(&output).contains("/nowhere/audit.jsonl"),
        "{}",
        stderr(&output)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_and_two_sidecars_by_flags_carry_a_call() {
    let world = World::new();
    let workload = Workload::ok().await;
    let at = |name: &str| world.path(name).to_str().unwrap().to_owned();
    let made = pqlane(&[
        "authority",
        "init",
        "--dir",
        &at("ca"),
        "--trust-domain",
        "example.org",
    ]);
    assert!(made.status.success(), "{}", stderr(&made));
    for (path, name) in [(MCP, "mcp"), (AGENT, "agent")] {
        let id = id(path);
        let prefix = at(name);
        let arguments = [
            "authority",
            "issue",
            "--dir",
            &at("ca"),
            "--id",
            &id,
            "--out",
            &prefix,
        ];
        let made = pqlane(&arguments);
        assert!(made.status.success(), "{}", stderr(&made));
    }
    let bundle = format!("example.org={}", at("ca/bundle.pem"));
    let identity = |name: &str| {
        let (svid, key) = (
            at(&format!("{name}.svid.pem")),
            at(&format!("{name}.key.pem")),
        );
        [
            "--svid".to_owned(),
            svid,
            "--key".to_owned(),
            key,
            "--bundle".to_owned(),
            bundle.clone(),
        ]
    };
    let url = format!("http://{}", workload.address);
    let agents = "spiffe://example.org/agent/*";
    let mut inbound = vec!["inbound", "--listen", "127.0.0.1:0", "--workload", &url];
    inbound.extend(["--allow", agents]);
    let mcp = identity("mcp");
    inbound.extend(mcp.iter().map(String::as_str));
    let inbound = Process::command(&inbound);
    let lane = inbound.listener("inbound").await.to_string();
    let peer = id(MCP);
    let mut outbound = vec!["outbound", "--listen", "127.0.0.1:0", "--connect", &lane];
    outbound.extend(["--peer", &peer, "--admin", "127.0.0.1:0"]);
    let agent = identity("agent");
    outbound.extend(agent.iter().map(String::as_str));
    let outbound = Process::command(&outbound);
    let egress = outbound.listener("outbound").await;
    let mut client = Client::http1(egress).await;
    assert_eq!(client.get("/").await.body, "ok");
    let admin = outbound.listener("admin").await;
    assert_eq!(Client::http1(admin).await.get("/readyz").await.status, 200);
}

#[test]
fn help_shows_examples_for_every_command() {
    for command in [
        &["run"][..],
        &["check"],
        &["inbound"],
        &["outbound"],
        &["authority", "init"],
    ] {
        let arguments = [command, &["--help"]].concat();
        let output = pqlane(&arguments);
        assert_eq!(output.status.code(), Some(0));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("Example"), "{text}");
    }
}
