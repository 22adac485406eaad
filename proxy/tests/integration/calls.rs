//! Calls are read before they are carried: each says one thing, and nothing else is carried.

use pqlane::deny::DenyReason;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::support::http::{Answer, Client, Seen, Version, Workload, full, held, next_seen};
use crate::support::world::{MCP, Sidecar, World};

/// A sidecar in front of a workload that tells what reached it.
struct Lane {
    _world: World,
    _workload: Workload,
    reached: mpsc::UnboundedReceiver<Seen>,
    ingress: Sidecar,
    client: Client,
}

impl Lane {
    async fn new() -> Self {
        Self::with("").await
    }

    async fn with(limits: &str) -> Self {
        let world = World::new();
        let (workload, reached) = Workload::recording(Version::Http1).await;
        let ingress = world.sidecar(MCP).limit(limits);
        let ingress = ingress.towards_workload(workload.address).start().await;
        let client = world.agent().http2(ingress.address()).await;
        Self {
            _world: world,
            _workload: workload,
            reached,
            ingress,
            client,
        }
    }

    async fn post(&mut self, fields: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Answer {
        self.post_to("/mcp", fields, body).await
    }

    async fn post_to(
        &mut self,
        path: &str,
        fields: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        let mut request = self.client.request("POST", path);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(full(body.into())).unwrap();
        self.client.call(request).await
    }

    /// The call was refused for this reason, with this JSON-RPC code, and did not reach the workload.
    async fn assert_refused(&mut self, answer: &Answer, reason: DenyReason, detail: &str) -> Value {
        assert_eq!(
            answer.header("pqlane-denied"),
            Some(reason.code()),
            "{answer:?}"
        );
        let what = format!("a call denied for {}: {detail}", reason.code());
        let is_it = |record: &Value| {
            let said = record["detail"].as_str().unwrap_or_default();
            record["event"] == "call.close"
                && record["reason"] == reason.code()
                && said.contains(detail)
        };
        self.ingress.records.find(&what, is_it).await;
        assert!(self.reached.try_recv().is_err());
        serde_json::from_slice(&answer.body).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_encoded_call_is_refused() {
    let mut lane = Lane::new().await;
    for coding in ["gzip", "deflate", "br", "x-unknown", "identity, gzip"] {
        let answer = lane.post(&[("content-encoding", coding)], "{}").await;
        assert_eq!(answer.status, 415, "{coding}");
        lane.assert_refused(&answer, DenyReason::ContentEncoding, "")
            .await;
    }
    let answer = lane.post(&[("content-encoding", "identity")], "{}").await;
    assert_eq!(answer.status, 200);
    next_seen(&mut lane.reached).await;
    // What is no JSON to us is to who decodes UTF-7.
    let utf7 = ("content-type", "application/json; charset=utf-7");
    let answer = lane.post(&[utf7], "+AHs-\"jsonrpc\":\"2.0\"}").await;
    assert_eq!(answer.status, 415);
    lane.assert_refused(&answer, DenyReason::ContentEncoding, "")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_bounded_in_size_and_other_bodies_are_not() {
    let mut lane = Lane::with("call_bytes = 1000").await;
    let answer = lane.post(&[], format!("{{{}", " ".repeat(1000))).await;
    assert_eq!(answer.status, 413);
    lane.assert_refused(&answer, DenyReason::CallTooLarge, "")
        .await;
    let upload = "x".repeat(100_000);
    let answer = lane
        .post(&[("content-type", "text/plain")], upload.clone())
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(next_seen(&mut lane.reached).await.body, upload.as_bytes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_bounded_in_what_they_hold_together() {
    let mut lane = Lane::with("calls_bytes = 1000").await;
    let answer = lane
        .post(&[], format!("{{\"a\":\"{}", "x".repeat(1000)))
        .await;
    assert_eq!(answer.status, 503);
    lane.assert_refused(&answer, DenyReason::ReadingBusy, "")
        .await;
    // What it held is given back.
    let answer = lane.post(&[], json!({"a": "b"}).to_string()).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_stops_halfway_is_given_up() {
    let mut lane = Lane::with("call_body_seconds = 1").await;
    let (hand, body) = held();
    hand.send("{\"jsonrpc\":").await;
    let request = lane.client.request("POST", "/mcp").body(body).unwrap();
    let answer = lane.client.call(request).await;
    assert_eq!(answer.status, 408);
    lane.assert_refused(&answer, DenyReason::CallTimeout, "")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_no_call_passes_as_it_comes() {
    let mut lane = Lane::new().await;
    let (hand, body) = held();
    hand.send("first").await;
    let request = lane.client.request("POST", "/upload").body(body).unwrap();
    let answered = lane.client.send(request);
    let (answer, ()) = tokio::join!(answered, async move {
        hand.send(" second").await;
        drop(hand);
    });
    assert_eq!(Answer::read(answer).await.status, 200);
    assert_eq!(next_seen(&mut lane.reached).await.body, "first second");
}

/// `tools/call` of MCP, with members of the envelope and of `params` put in front.
fn tools_call(envelope: &str, params: &str) -> String {
    format!(
        "{{{envelope}\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\",\
         \"params\":{{{params}\"name\":\"echo\",\"arguments\":{{\"text\":\"a\"}}}}}}"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_can_be_read_in_two_ways_is_refused() {
    let mut lane = Lane::new().await;
    for (body, detail) in [
        (tools_call("\"method\":\"ping\",", ""), "twice"),
        (tools_call("\"m\\u0065thod\":\"ping\",", ""), "twice"),
        (tools_call("\"Method\":\"ping\",", ""), "another case"),
        (tools_call("\"param\u{17f}\":{},", ""), "another case"),
        (tools_call("", "\"name\":\"secret\","), "twice"),
        (tools_call("", "\"NAME\":\"secret\","), "another case"),
    ] {
        let answer = lane.post(&[], body.clone()).await;
        assert_eq!(answer.status, 400, "{body}");
        let said = lane
            .assert_refused(&answer, DenyReason::AmbiguousCall, detail)
            .await;
        assert_eq!(said["jsonrpc"], "2.0");
        assert_eq!(said["error"]["code"], -32600);
        assert_eq!(said["error"]["data"]["reason"], "ambiguous-call");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_not_json_is_refused() {
    let mut lane = Lane::new().await;
    let utf16: Vec<u8> = tools_call("", "")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(70), "]".repeat(70));
    for (body, detail) in [
        (b"{\"jsonrpc\":\"2.0\",}".to_vec(), "not JSON"),
        (b"{\"a\":\"\xff\"}".to_vec(), "UTF-8"),
        (utf16, "not JSON"),
        (deep.into_bytes(), "nested deeper"),
        (
            b"[{\"jsonrpc\":\"2.0\",\"method\":\"ping\",\"id\":1},[]]".to_vec(),
            "arrays",
        ),
        (b"{\"method\":\"tools/call\",\"id\":1}".to_vec(), "jsonrpc"),
    ] {
        for content_type in ["application/json", "text/plain"] {
            let answer = lane
                .post(&[("content-type", content_type)], body.clone())
                .await;
            assert_eq!(answer.status, 400, "{detail}");
            lane.assert_refused(&answer, DenyReason::MalformedCall, detail)
                .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_mcp_header_that_differs_from_the_body_is_refused() {
    let mut lane = Lane::new().await;
    let body = json!({
        "jsonrpc": "2.0", "id": "x-1", "method": "tools/call",
        "params": {
            "name": "écho",
            "arguments": { "region": "north" },
            "_meta": { "io.modelcontextprotocol/protocolVersion": "2026-07-28" },
        },
    })
    .to_string();
    let honest = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "=?base64?w6ljaG8=?="),
        ("mcp-param-region", "north"),
    ];
    let answer = lane.post(&honest, body.clone()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(next_seen(&mut lane.reached).await.body, body.as_bytes());
    for (name, value) in [
        ("mcp-protocol-version", "2027-01-01"),
        ("mcp-method", "tools/list"),
        ("mcp-name", "secret"),
        ("mcp-param-region", "south"),
    ] {
        let changed =
            honest.map(|(known, honest)| (known, if known == name { value } else { honest }));
        let answer = lane.post(&changed, body.clone()).await;
        assert_eq!(answer.status, 400, "{name}");
        let said = lane
            .assert_refused(&answer, DenyReason::HeaderMismatch, "")
            .await;
        assert_eq!(said["id"], "x-1");
        assert_eq!(said["error"]["code"], -32020);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_names_what_the_body_calls() {
    let mut lane = Lane::new().await;
    let a2a = json!({
        "jsonrpc": "2.0", "id": 1, "method": "message/send",
        "params": { "message": { "taskId": "t-1", "contextId": "c-1" } },
    });
    let batch = format!(
        "[{},{{\"jsonrpc\":\"2.0\",\"method\":\"ping\",\"id\":2}}]",
        tools_call("", "")
    );
    for (path, body) in [
        ("/one", tools_call("", "")),
        ("/two", a2a.to_string()),
        (
            "/message:stream",
            json!({ "message": { "taskId": "t-2" } }).to_string(),
        ),
        ("/four", batch),
    ] {
        let answer = lane.post_to(path, &[("mcp-name", "not this")], body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let record = async |path: &str| {
        let is_it = |record: &Value| record["event"] == "call.open" && record["path"] == path;
        lane.ingress.records.find(path, is_it).await
    };
    let one = record("/one").await;
    assert_eq!(
        (
            &one["protocol"],
            &one["binding"],
            &one["operation"],
            &one["target"]
        ),
        (
            &json!("mcp"),
            &json!("json-rpc"),
            &json!("tools/call"),
            &json!("echo")
        )
    );
    let two = record("/two").await;
    assert_eq!(
        (
            &two["protocol"],
            &two["operation"],
            &two["task"],
            &two["context"],
            &two["revision"]
        ),
        (
            &json!("a2a"),
            &json!("SendMessage"),
            &json!("t-1"),
            &json!("c-1"),
            &json!("0.3")
        )
    );
    let three = record("/message:stream").await;
    assert_eq!(
        (&three["binding"], &three["operation"], &three["task"]),
        (
            &json!("http+json"),
            &json!("SendStreamingMessage"),
            &json!("t-2")
        )
    );
    let four = record("/four").await;
    assert_eq!(four["calls"], json!(["tools/call echo", "ping"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_call_is_answered_in_its_own_protocol() {
    let world = World::new();
    let workload = Workload::ok().await;
    let route = "[[inbound.route]]\npath = \"/closed\"\nallow = [\"spiffe://example.org/nobody\"]";
    let ingress = world
        .sidecar(MCP)
        .towards_workload_with(workload.address, route);
    let ingress = ingress.start().await;
    let mut client = world.agent().http2(ingress.address()).await;

    let request = client
        .request("POST", "/closed")
        .body(full(tools_call("", "")));
    let answer = client.call(request.unwrap()).await;
    let said: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((answer.status.as_u16(), &said["id"]), (403, &json!(7)));
    assert_eq!(said["error"]["code"], -31403);
    assert_eq!(said["error"]["data"]["reason"], "route-not-allowed");

    let request = client.request("GET", "/closed/tasks/t-1").body(full(""));
    let answer = client.call(request.unwrap()).await;
    let said: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(said["error"]["code"], 403);
    assert_eq!(said["error"]["status"], "PERMISSION_DENIED");
    assert_eq!(said["error"]["details"][0]["reason"], "route-not-allowed");
    assert_eq!(workload.count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_whose_body_takes_long_is_not_cut_for_being_idle() {
    let mut lane = Lane::with("request_head_seconds = 1\nconnection_idle_seconds = 1").await;
    let (hand, body) = held();
    hand.send("{\"a\":").await;
    let request = lane.client.request("POST", "/mcp").body(body).unwrap();
    let (answer, ()) = tokio::join!(lane.client.send(request), async move {
        for _ in 0..5 {
            tokio::time::sleep(std::time::Duration::from_millis(700)).await;
            hand.send(" ").await;
        }
        hand.send("1}").await;
    });
    assert_eq!(Answer::read(answer).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_method_that_some_take_for_post_is_refused_and_overrides_are_taken_away() {
    let mut lane = Lane::new().await;
    let request = lane
        .client
        .request("post", "/mcp")
        .body(full(tools_call("", "")));
    let answer = lane.client.call(request.unwrap()).await;
    assert_eq!(answer.status, 400);
    lane.assert_refused(&answer, DenyReason::MalformedRequest, "")
        .await;
    let fields = [("x-http-method-override", "DELETE"), ("mcp_name", "other")];
    assert_eq!(lane.post(&fields, tools_call("", "")).await.status, 200);
    let seen = next_seen(&mut lane.reached).await;
    for (name, _) in fields {
        assert_eq!(seen.values(name), [""; 0], "{name}");
    }
}
