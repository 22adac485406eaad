//! `pqlane check --schema`, judged by an independent validator.

use std::path::{Path, PathBuf};

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

use crate::support::process::{pqlane, stderr};

/// Where the validator knows the schema by.
const URL: &str = "urn:pqlane-configuration";

/// The schema as the binary prints it.
struct Printed {
    schemas: Schemas,
    root: SchemaIndex,
}

impl Printed {
    fn new() -> Self {
        let output = pqlane(&["check", "--schema"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
        let dialect = "https://json-schema.org/draft/2020-12/schema";
        assert_eq!(schema["$schema"], dialect);
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.enable_format_assertions();
        compiler.add_resource(URL, schema).unwrap();
        let root = compiler.compile(URL, &mut schemas).unwrap();
        Self { schemas, root }
    }

    /// What it says against a file.
    fn complaint(&self, text: &str) -> Option<String> {
        let file = json(toml::from_str(text).unwrap());
        let judged = self.schemas.validate(&file, self.root);
        judged.err().map(|error| error.to_string())
    }
}

/// What editors show the schema of a file: a date as text.
fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::Array(all) => all.into_iter().map(json).collect(),
        toml::Value::Boolean(value) => value.into(),
        toml::Value::Datetime(value) => value.to_string().into(),
        toml::Value::Float(value) => value.into(),
        toml::Value::Integer(value) => value.into(),
        toml::Value::String(value) => value.into(),
        toml::Value::Table(all) => all.into_iter().map(|(key, one)| (key, json(one))).collect(),
    }
}

/// Files of the repository that the reader accepts.
fn accepted_files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let files = |directory: &str, chosen: fn(&str) -> bool| {
        let entries = std::fs::read_dir(root.join(directory)).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let chosen = paths.filter(move |path| chosen(path.file_name().unwrap().to_str().unwrap()));
        let chosen: Vec<PathBuf> = chosen.collect();
        assert!(chosen.len() > 1, "{directory}: {chosen:?}");
        chosen
    };
    let mut all = files("examples", |name| {
        name.ends_with(".toml") && name != "Cargo.toml"
    });
    all.extend(files("fuzz/corpus/config", |name| {
        name.starts_with("accepted-")
    }));
    all
}

const EVERY_FORM: &str = r#"
state_dir = "state"

[identity]
workload_api = "unix:///run/spire/agent.sock"
spiffe_id = "spiffe://example.org/agent/planner"

[identities.other]
hint = "other"

[tls]
kx_policy = { allow-classical-until = 2027-01-01 }
ratchet = "alarm"
resumption = false

[revocation]
deny_list = "denied.txt"

[sealing]
keys = "sealing.keys"

[admin]
listen = "localhost:9901"
token_file = "token"

[[inbound]]
listen = "[::]:8443"
workload = "http://localhost:3110/"
allow = ["spiffe://example.org/*/a", "spiffe://example.com/**"]
kx_policy = "cnsa"
identity = "other"

[[inbound.backend]]
name = "second"
workload = "unix:second.sock"

[[inbound.peer]]
id = "spiffe://example.org/old"
kx_policy = "prefer-hybrid"

[[outbound]]
listen = "unix:lane.sock"
uid = 1000
authority = "peer.example"
connect = "[::1]:8443"
peers = ["spiffe://example.org/peer"]

[[outbound.process]]
executable = "/usr/bin/agent"
identity = "other"

[limits]
drain_seconds = 0
"#;

#[test]
fn the_schema_accepts_what_the_reader_accepts() {
    let schema = Printed::new();
    for path in accepted_files() {
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(schema.complaint(&text), None, "{}", path.display());
    }
    assert_eq!(schema.complaint(EVERY_FORM), None);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("every-form.toml");
    std::fs::write(&path, EVERY_FORM).unwrap();
    // The API is not there, but nothing is wrong with the file itself.
    let output = pqlane(&["check", "-c", path.to_str().unwrap()]);
    let complaint = stderr(&output);
    assert!(!complaint.contains("every-form.toml"), "{complaint}");
}

#[test]
fn the_schema_refuses_an_unknown_field_and_a_value_of_the_wrong_type() {
    let schema = Printed::new();
    for (from, to, named) in [
        ("state_dir =", "state_directory =", "state_directory"),
        ("uid = 1000", "user = 1000", "user"),
        ("uid = 1000", "uid = \"root\"", "/outbound/0/uid"),
        ("uid = 1000", "uid = -1", "/outbound/0/uid"),
        ("\"alarm\"", "\"alert\"", "/tls/ratchet"),
        ("\"cnsa\"", "\"classical\"", "/inbound/0/kx_policy"),
        ("2027-01-01", "\"tomorrow\"", "/tls/kx_policy"),
        (
            "resumption = false",
            "resumption = \"off\"",
            "/tls/resumption",
        ),
        ("unix:lane.sock", "lane.sock", "/outbound/0/listen"),
        ("[::1]:8443", "peer", "/outbound/0/connect"),
        ("http://localhost", "https://localhost", "workload"),
        ("org/*/a", "org/a*", "/inbound/0/allow/0"),
        ("[\"spiffe://example.org/peer\"]", "[]", "peers"),
        ("/agent/planner", "/agent/planner/", "/identity/spiffe_id"),
        ("unix:///run", "run", "/identity/workload_api"),
        (
            "drain_seconds = 0",
            "head_bytes = 100",
            "/limits/head_bytes",
        ),
    ] {
        let text = EVERY_FORM.replacen(from, to, 1);
        assert_ne!(text, EVERY_FORM, "{from}");
        let complaint = schema.complaint(&text).unwrap_or_default();
        assert!(complaint.contains(named), "{to}: {complaint:?}");
    }
}

#[test]
fn check_wants_a_file_or_prints_the_schema_and_not_both() {
    let neither = pqlane(&["check"]);
    assert_eq!(neither.status.code(), Some(2));
    assert!(stderr(&neither).contains("--config"), "{neither:?}");
    let both = pqlane(&["check", "--schema", "-c", "lane.toml"]);
    assert_eq!(both.status.code(), Some(2));
    assert!(stderr(&both).contains("--schema"), "{both:?}");
}
