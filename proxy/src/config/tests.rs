use super::*;

const SIDECAR: &str = r#"
workers = 2

[identity]
svid = "a.svid.pem"
key = "/keys/a.key.pem"

[trust]
"example.org" = "bundle.pem"

[audit]
to = "audit.jsonl"

[[inbound]]
name = "mcp"
listen = "0.0.0.0:8443"
workload = "http://127.0.0.1:3110"
allow = ["spiffe://example.org/agent/*"]

[[inbound.route]]
path = "/admin"
allow = ["spiffe://example.org/operator"]

[[outbound]]
listen = "127.0.0.1:4110"
connect = "mcp.internal:8443"
peers = ["spiffe://example.org/mcp"]

[[outbound.route]]
name = "research"
authority = "Research.example:80"
connect = "research.internal:8443"
peers = ["spiffe://example.org/agent/research"]
"#;

fn read(text: &str) -> Result<Config, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lane.toml");
    std::fs::write(&path, text).unwrap();
    Config::read(&path)
}

fn problem(text: &str) -> String {
    let error = read(text).err().unwrap().to_string();
    // The directory is another each time.
    error[error.find("lane.toml").unwrap()..].to_owned()
}

#[test]
fn a_whole_file_is_resolved() {
    let config = read(SIDECAR).unwrap();
    assert_eq!(config.workers.map(NonZeroUsize::get), Some(2));
    let SourceConfig::Files(files) = &config.source else {
        panic!("{:?}", config.source);
    };
    assert!(files.svids[0].svid_path.is_absolute());
    assert!(files.svids[0].svid_path.ends_with("a.svid.pem"));
    assert_eq!(files.svids[0].key_path, Path::new("/keys/a.key.pem"));
    assert_eq!(config.inbound[0].paths.len(), 1);
    let (authorities, peer) = &config.outbound[0].routes[0];
    assert_eq!(authorities, &["research.localhost", "research.example:80"]);
    assert_eq!(peer.authority, "Research.example:80");
    assert_eq!(peer.label, "outbound/research.localhost");
    let described = config.describe();
    assert!(described.contains("inbound mcp: 0.0.0.0:8443 -> http://127.0.0.1:3110"));
    assert!(described.contains("/admin and below; allowed: spiffe://example.org/operator"));
}

#[test]
fn who_may_change_something_by_the_admin_listener_is_said() {
    for (admin, said) in [
        (
            "listen = \"127.0.0.1:9\"",
            "admin: 127.0.0.1:9; no changes (no token_file)",
        ),
        (
            "listen = \"unix:/a.sock\"",
            "admin: unix:/a.sock; changes by our own user",
        ),
        (
            "listen = \"127.0.0.1:9\"\ntoken_file = \"/run/token\"",
            "admin: 127.0.0.1:9; changes with the token in /run/token",
        ),
    ] {
        let config = read(&format!("[admin]\n{admin}\n{SIDECAR}").replacen("workers = 2", "", 1));
        let described = config.unwrap().describe();
        assert!(described.contains(said), "{described}");
    }
    let beside = format!("[admin]\nlisten = \"127.0.0.1:9\"\ntoken_file = \"token\"\n{SIDECAR}");
    let config = read(&beside.replacen("workers = 2", "", 1)).unwrap();
    let token = config.admin.unwrap().token_file.unwrap();
    assert!(token.is_absolute() && token.ends_with("token"));
}

#[test]
fn mistakes_are_named_with_file_line_field_and_what_is_accepted() {
    let swapped = |from: &str, to: &str| problem(&SIDECAR.replace(from, to));
    assert_eq!(
        swapped("127.0.0.1:4110", "0.0.0.0:4110"),
        "lane.toml:25: listen: 0.0.0.0:4110 is not a loopback address, and this side is plaintext; \
         use 127.0.0.1, [::1] or unix:PATH, or set `insecure_remote_listen = true`"
    );
    assert_eq!(
        swapped("[\"spiffe://example.org/mcp\"]", "[]"),
        "lane.toml:27: peers: empty, so that nobody could call; name at least one SPIFFE ID or pattern"
    );
    assert!(
        swapped("http://127.0.0.1:3110", "http://10.0.0.9:3110")
            .starts_with("lane.toml:17: workload")
    );
    assert!(swapped("name = \"research\"", "name = \"a.b\"").contains("no host label"));
    assert!(swapped("path = \"/admin\"", "path = \"admin\"").starts_with("lane.toml:21: path"));
    let groups = SIDECAR.replace("[audit]", "[tls]\nkx_groups = [\"x25519\"]\n[audit]");
    assert!(problem(&groups).contains("x25519 is not a hybrid group; hybrid groups are"));
    let limits = format!("{SIDECAR}\n[limits]\nh2_streams = 0\n");
    assert!(problem(&limits).contains("h2_streams: not usable; accepted is a number above 0"));
    let limits = format!("{SIDECAR}\n[limits]\nrevocations = 50001\n");
    assert!(problem(&limits).contains("revocations: not usable; accepted is 1 to 50000"));
}

#[test]
fn what_toml_cannot_read_is_shown_in_its_line() {
    let unknown = problem(&SIDECAR.replace("workers = 2", "worker = 2"));
    assert!(unknown.contains("unknown field `worker`") && unknown.contains("workers"));
    let id = problem(&SIDECAR.replace("spiffe://example.org/operator", "http://example.org"));
    assert!(id.contains("line 22"), "{id}");
    let listen = problem(&SIDECAR.replace("127.0.0.1:4110", "nowhere"));
    assert!(listen.contains("accepted are IP:PORT"), "{listen}");
}

#[test]
fn session_ids_are_sealed_unless_said_otherwise_and_lead_to_backends_of_this_machine() {
    let with =
        |lines: &str| SIDECAR.replace("[[inbound.route]]", &format!("{lines}\n[[inbound.route]]"));
    let config = read(SIDECAR).unwrap();
    assert_eq!(config.inbound[0].session_ids, SessionIds::Seal(Vec::new()));
    let open = read(&with("seal_sessions = false")).unwrap();
    assert_eq!(open.inbound[0].session_ids, SessionIds::Pass);
    assert!(open.describe().contains("MCP session ids pass unsealed"));

    let second = "[[inbound.backend]]\nname = \"second\"\nworkload = \"http://127.0.0.1:3111\"";
    let keys = SIDECAR.replace("[audit]", "[sealing]\nkeys = \"/keys/sealing\"\n[audit]");
    let keys = keys.replace("[[inbound.route]]", &format!("{second}\n[[inbound.route]]"));
    let described = read(&keys).unwrap().describe();
    assert!(described.contains("MCP sessions, second -> http://127.0.0.1:3111"));
    assert!(described.contains("sealing keys: /keys/sealing"));

    let unsealed = problem(&with(&format!("seal_sessions = false\n{second}")));
    assert!(
        unsealed.starts_with("lane.toml:22: backend: several backends need"),
        "{unsealed}"
    );
    let twice = problem(&with(&format!("{second}\n{second}")));
    assert!(twice.contains("\"second\" is used twice"), "{twice}");
    let default = problem(&with(&second.replace("second", "default")));
    assert!(default.contains("\"default\" is used twice"), "{default}");
    let remote = problem(&with(&second.replace("127.0.0.1", "10.0.0.9")));
    assert!(
        remote.contains("10.0.0.9:3111 is not a loopback address"),
        "{remote}"
    );
    assert!(problem(&with(&second.replace("second", "a b"))).contains("no host label"));
}

#[test]
fn names_are_used_once_and_something_must_be_configured() {
    let twice = SIDECAR.replace("name = \"mcp\"", "name = \"outbound\"");
    assert!(problem(&twice).contains("\"outbound\" is used twice"));
    let nothing = &SIDECAR[..SIDECAR.find("[[inbound]]").unwrap()];
    assert!(problem(nothing).contains("configure at least one"));
    let dead_end = "[[outbound]]\nlisten = \"127.0.0.1:1\"\n";
    assert!(problem(&format!("{nothing}{dead_end}")).contains("leads nowhere"));
}
