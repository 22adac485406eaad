use serde_json::Value;

use super::*;
use crate::call::Call;

fn recorder(sink: &Sink, on_failure: OnFailure) -> (Recorder, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::default());
    let recorder = Recorder::start(sink, on_failure, 16, Arc::clone(&metrics)).unwrap();
    (recorder, metrics)
}

fn open(
    recorder: &Recorder,
    metrics: &Arc<Metrics>,
    sequence: u64,
) -> Result<OpenCall, DenyReason> {
    let head = http::Request::get("/mcp?secret=1")
        .body(())
        .unwrap()
        .into_parts()
        .0;
    let origin = CallOrigin {
        connection: 1,
        sequence,
        fixed: r#","listener":"mcp""#,
        caller: "",
        metrics: &metrics.listener("mcp"),
    };
    recorder.open_call(&origin, &Call::read_head(&head))
}

fn lines(path: &std::path::Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_call_is_opened_and_closed_once_however_it_ends() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    let (recorder, metrics) = recorder(&Sink::File(path.clone()), OnFailure::Deny);
    let completed = open(&recorder, &metrics, 0).unwrap();
    completed.close(Outcome::Completed, http::StatusCode::OK, 7);
    open(&recorder, &metrics, 1)
        .unwrap()
        .deny(&DenyReason::RouteUnknown.into());
    drop(open(&recorder, &metrics, 2).unwrap());
    assert_eq!(recorder.flush(Duration::from_secs(10)), Flushed::Written);

    let lines = lines(&path);
    let events: Vec<_> = lines
        .iter()
        .map(|line| line["event"].as_str().unwrap())
        .collect();
    assert_eq!(events, ["call.open", "call.close"].repeat(3));
    assert_eq!(lines[0]["path"], "/mcp");
    assert_eq!(lines[0]["call"], lines[1]["call"]);
    assert_eq!(lines[1]["outcome"], "completed");
    assert_eq!(lines[1]["status"], 200);
    assert_eq!(
        (&lines[1]["request_bytes"], &lines[1]["response_bytes"]),
        (&0.into(), &7.into())
    );
    assert_eq!(lines[3]["reason"], "route-unknown");
    assert_eq!(lines[5]["outcome"], "cancelled");
}

#[test]
fn a_sink_that_cannot_be_opened_fails_the_start() {
    let sink = Sink::File("/nowhere/audit.jsonl".into());
    let metrics = Arc::new(Metrics::default());
    let error = Recorder::start(&sink, OnFailure::Deny, 4, metrics)
        .err()
        .unwrap();
    assert!(error.to_string().contains("/nowhere/audit.jsonl"));
}

#[test]
fn a_full_sink_denies_calls_unless_told_otherwise() {
    // A device that refuses every write, as a full disk does.
    let sink = Sink::File("/dev/full".into());
    let (denying, metrics) = recorder(&sink, OnFailure::Deny);
    drop(open(&denying, &metrics, 0).unwrap());
    assert_eq!(denying.flush(Duration::from_millis(200)), Flushed::TimeIsUp);
    assert_eq!(
        open(&denying, &metrics, 1).err(),
        Some(DenyReason::AuditUnavailable)
    );

    let (carrying, metrics) = recorder(&sink, OnFailure::Continue);
    for sequence in 0..1_000 {
        drop(open(&carrying, &metrics, sequence).unwrap());
    }
    assert!(metrics.audit_lost.get() > 0);
}
