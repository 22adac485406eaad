//! What reading a call costs in memory. A binary of its own, since it counts what its allocator does.

use allocation_counter::{AllocationInfo, measure};
use pqlane::hostile::{JsonLimits, Message, check_mcp_headers, read_rpc};

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"weather","arguments":{"place":"Vík","text":"a \"quoted\"\nline"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;

/// Reads a body; gives what that allocated, and what was read.
fn read(body: &str) -> (AllocationInfo, Option<Message<'_>>) {
    let mut message = None;
    let info = measure(|| message = read_rpc(body.as_bytes(), &JsonLimits::default()).ok());
    (info, message)
}

#[test]
fn reading_a_call_allocates_nothing() {
    let (info, message) = read(CALL);
    assert_eq!(info.count_total, 0);
    let Some(Message::One(rpc)) = message else {
        panic!("{message:?}");
    };
    let info = measure(|| {
        assert_eq!(rpc.method.as_deref(), Some("tools/call"));
        assert_eq!(rpc.mcp_target().unwrap().as_deref(), Some("weather"));
    });
    assert_eq!(info.count_total, 0);
}

#[test]
fn comparing_headers_without_arguments_in_them_allocates_nothing() {
    let (_, message) = read(CALL);
    let message = message.unwrap();
    let mut headers = http::HeaderMap::new();
    headers.insert("mcp-protocol-version", "2026-07-28".parse().unwrap());
    headers.insert("mcp-method", "tools/call".parse().unwrap());
    headers.insert("mcp-name", "weather".parse().unwrap());
    let info = measure(|| assert!(check_mcp_headers(&headers, &message).is_ok()));
    assert_eq!(info.count_total, 0);
}

#[test]
fn a_name_with_escapes_is_what_allocates() {
    let body = CALL.replace("tools/call", r"tools\/call");
    let (info, message) = read(&body);
    assert!(message.is_some());
    assert_eq!(info.count_total, 1);
}

#[test]
fn what_is_skipped_allocates_nothing_however_large() {
    let rows = r#"{"a\u0062":[1,{"c":"\n"}]},"#.repeat(1000);
    let body = CALL.replace(r#""Vík""#, &format!("[{rows}0]"));
    let (info, message) = read(&body);
    assert!(message.is_some());
    assert_eq!(info.count_total, 0);
}
