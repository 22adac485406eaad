//! `pqlane demo`, as a newcomer runs it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use pqlane_certs::clock::SystemClock;
use pqlane_certs::source::{Endpoint, Source, WorkloadApiSource};
use pqlane_certs::testing::provider;

use crate::support::process::{pqlane, stderr};

/// Runs it with a directory of its own for temporary files.
fn demo() -> (Output, tempfile::TempDir) {
    let temporary = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_pqlane"))
        .arg("demo")
        .env("TMPDIR", temporary.path())
        .output()
        .unwrap();
    (output, temporary)
}

#[test]
fn demo_shows_both_protocols_the_lane_and_the_refusal() {
    let (output, temporary) = demo();
    let shown = String::from_utf8(output.stdout).unwrap();
    let complaints = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{shown}\n{complaints}");
    assert_eq!(complaints, "", "nothing is logged while all is well");
    for fact in [
        "SPIFFE Workload API",
        "none failed",
        "X25519MLKEM768",
        "spiffe://agents.example/agent/assistant",
        "spiffe://agents.example/mcp/weather",
        "spiffe://agents.example/agent/research",
        "2025-11-25",
        "2026-07-28",
        "Lisbon: ",
        "completed",
        "handshake_failure(40)",
        "no-hybrid-group",
    ] {
        assert!(shown.contains(fact), "{fact} is missing in:\n{shown}");
    }
    let left = std::fs::read_dir(temporary.path()).unwrap().count();
    assert_eq!(left, 0, "the demo leaves nothing behind");
}

#[test]
fn demo_says_why_it_cannot_begin() {
    let output = Command::new(env!("CARGO_BIN_EXE_pqlane"))
        .arg("demo")
        .env("TMPDIR", "/nowhere")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.contains("/nowhere/pqlane-demo-"), "{complaint}");
}

/// A `demo --keep`, killed when dropped.
struct Kept(Child);

impl Drop for Kept {
    fn drop(&mut self) {
        // It has ended already when all went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Kept {
    /// Runs it until it is left running; gives what it printed.
    fn start(temporary: &Path) -> (Self, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pqlane"));
        command.args(["demo", "--keep"]).env("TMPDIR", temporary);
        let mut kept = Self(command.stdout(Stdio::piped()).spawn().unwrap());
        let mut shown = String::new();
        for line in BufReader::new(kept.0.stdout.take().unwrap()).lines() {
            shown += &format!("{}\n", line.unwrap());
            if shown.contains("It is left running") {
                break;
            }
        }
        (kept, shown)
    }
}

#[tokio::test]
async fn demo_left_running_serves_identities_and_configuration_to_copy() {
    let temporary = tempfile::tempdir().unwrap();
    let (_kept, shown) = Kept::start(temporary.path());
    let entry = std::fs::read_dir(temporary.path()).unwrap().next();
    let directory = entry.unwrap().unwrap().path();
    let endpoint = Endpoint::Unix(directory.join("workload-api.sock"));
    for party in ["assistant", "weather", "research"] {
        let path = directory.join(format!("{party}.toml"));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(shown.contains(text.trim_end()), "{shown}");
        assert!(
            text.contains(&format!("workload_api = \"{endpoint}\"")),
            "{text}"
        );
        let output = pqlane(&["check", "-c", path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    let mut source = WorkloadApiSource::new(endpoint, Arc::new(provider()), Arc::new(SystemClock));
    let material = tokio::time::timeout(Duration::from_secs(20), source.next()).await;
    let material = material.unwrap().unwrap();
    for (hint, id) in [
        ("assistant", "spiffe://agents.example/agent/assistant"),
        ("weather", "spiffe://agents.example/mcp/weather"),
        ("research", "spiffe://agents.example/agent/research"),
    ] {
        assert_eq!(material.by_hint(hint).unwrap().id().as_str(), id);
    }
}
