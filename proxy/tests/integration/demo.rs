//! `pqlane demo`, as a newcomer runs it.

use std::process::{Command, Output};

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
