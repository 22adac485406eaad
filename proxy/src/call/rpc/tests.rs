use super::*;

fn read(body: &str) -> Result<Message<'_>, CallFault> {
    super::read(body.as_bytes(), &JsonLimits::default())
}

fn one(body: &str) -> Rpc<'_> {
    match read(body) {
        Ok(Message::One(rpc)) => rpc,
        other => panic!("{body}: {other:?}"),
    }
}

/// A message with these members besides `jsonrpc`.
fn message(members: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0",{members}}}"#)
}

#[test]
fn a_tool_call_is_read_in_place() {
    let body = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"weather","arguments":{"place":"Vík"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","traceparent":"00-1-2-01"}}}"#;
    let rpc = one(body);
    assert_eq!(rpc.kind, RpcKind::Request);
    assert_eq!(rpc.id.unwrap().as_str(), "7");
    assert!(matches!(rpc.method, Some(Cow::Borrowed("tools/call"))));
    assert!(matches!(
        rpc.mcp_target(),
        Ok(Some(Cow::Borrowed("weather")))
    ));
    let arguments = rpc.params.arguments.object().unwrap().unwrap();
    assert_eq!(arguments.as_str(), r#"{"place":"Vík"}"#);
    let range = arguments.range_in(body.as_bytes()).unwrap();
    assert_eq!(&body[range], arguments.as_str());
    let meta = rpc.params.meta.object().unwrap().unwrap();
    assert!(meta.protocol_version.unwrap().is("2026-07-28"));
    assert!(meta.traceparent.unwrap().is("00-1-2-01"));
}

#[test]
fn members_may_come_in_any_order_and_with_escapes() {
    let rpc_body = r#" {"params":{"uri":"file:\/\/\/a"},"method":"resources\u002fread","id":"\"","x":[{}],"jsonrpc":"2.0"} "#;
    let rpc = one(rpc_body);
    assert_eq!(rpc.method.as_deref(), Some("resources/read"));
    assert_eq!(rpc.mcp_target().unwrap().unwrap(), "file:///a");
    assert_eq!(rpc.id.unwrap().as_str(), r#""\"""#);
}

#[test]
fn kinds_follow_from_the_members() {
    for (members, kind) in [
        (r#""method":"ping","id":1"#, RpcKind::Request),
        (r#""method":"ping","id":null"#, RpcKind::Request),
        (r#""method":"x""#, RpcKind::Notification),
        (r#""method":"x","params":null"#, RpcKind::Notification),
        (r#""id":1,"result":null"#, RpcKind::Response),
        (r#""id":"a","error":{"code":-1}"#, RpcKind::Response),
        (r#""id":null,"error":{}"#, RpcKind::Response),
        (r#""error":{}"#, RpcKind::Response),
    ] {
        assert_eq!(one(&message(members)).kind, kind, "{members}");
    }
}

#[test]
fn json_that_is_not_json_rpc_is_something_else_and_no_fault() {
    for body in [
        "{}",
        "null",
        "\"jsonrpc\"",
        "3",
        r#"{"id":{},"params":7}"#,
        r#"{"ID":1,"a":2,"a":3,"client_name":"x"}"#,
        r#"{"params":{"name":1,"name":2}}"#,
        r#"{"a":{"jsonrpc":"2.0"}}"#,
        r#"[1,"a",{"b":2}]"#,
    ] {
        assert_eq!(read(body), Ok(Message::Other), "{body}");
    }
}

#[test]
fn what_two_readers_read_in_two_ways_is_refused() {
    let nothing_but = |body: &str, fault| assert_eq!(read(body), Err(fault), "{body}");
    use CallFault::{
        BadId, BadMessage, BadVersion, CaseVariant, Duplicate, NotAnObject, WrongType,
    };
    nothing_but(r#"{"method":"tools/call"}"#, BadVersion);
    nothing_but(r#"{"result":1,"id":1}"#, BadVersion);
    nothing_but(r#"{"jsonrpc":2.0,"method":"x"}"#, BadVersion);
    nothing_but(r#"{"jsonrpc":"2.00","method":"x"}"#, BadVersion);
    nothing_but(r#"{"jsonrpc":null,"method":"x"}"#, BadVersion);
    // The case of a sign of JSON-RPC alone makes it JSON-RPC to somebody.
    nothing_but(r#"{"JSONRPC":"2.0","Method":"x"}"#, CaseVariant);
    nothing_but(r#"{"Method":"x"}"#, CaseVariant);
    nothing_but("{\"j\u{17f}onrpc\":\"2.0\"}", CaseVariant);
    nothing_but("{\"re\\u017Fult\":0}", CaseVariant);

    for (members, fault) in [
        (r#""method":"a","method":"b""#, Duplicate),
        (r#""method":"a","m\u0065thod":"b""#, Duplicate),
        (r#""method":"a","METHOD":"b""#, CaseVariant),
        (r#""method":"a","iD":1"#, CaseVariant),
        (r#""method":"a","x":1,"x":1"#, Duplicate),
        (r#""method":"a","jsonrpc":"2.0""#, Duplicate),
        (r#""method":1"#, WrongType),
        (r#""method":null"#, WrongType),
        (r#""method":"a","params":[]"#, NotAnObject),
        (r#""method":"a","params":"x""#, NotAnObject),
        (r#""method":"a","params":{"x":1,"x":1}"#, Duplicate),
        (r#""method":"a","params":{"Name":"x"}"#, CaseVariant),
        (r#""method":"a","params":{"_Meta":{}}"#, CaseVariant),
        (r#""method":"a","params":{"_meta":[]}"#, NotAnObject),
        (
            r#""method":"a","params":{"_meta":{"x":1,"x":2}}"#,
            Duplicate,
        ),
        (
            r#""method":"a","params":{"arguments":{"x":1,"y":2,"x":3}}"#,
            Duplicate,
        ),
        (
            r#""method":"tools/call","params":{"arguments":[1]}"#,
            NotAnObject,
        ),
        (r#""method":"tools/call","params":{"name":3}"#, WrongType),
        (
            r#""method":"resources/read","params":{"uri":{}}"#,
            WrongType,
        ),
        (r#""method":"tasks/get","params":{"taskId":1}"#, WrongType),
        (r#""method":"a","id":1.5"#, BadId),
        (r#""method":"a","id":1e2"#, BadId),
        (r#""method":"a","id":-0"#, BadId),
        (r#""method":"a","id":9223372036854775808"#, BadId),
        (r#""method":"a","id":{}"#, BadId),
        (r#""method":"a","id":[1]"#, BadId),
        (r#""method":"a","id":true"#, BadId),
        (r#""result":1"#, BadId),
        (r#""id":1"#, BadMessage),
        (r#""id":1,"method":"a","result":1"#, BadMessage),
        (r#""id":1,"method":"a","error":null"#, BadMessage),
        (r#""id":1,"result":null,"error":null"#, BadMessage),
    ] {
        nothing_but(&message(members), fault);
    }
}

#[test]
fn values_of_methods_we_do_not_know_are_left_alone() {
    for members in [
        r#""method":"x/y","params":{"name":3,"uri":[],"taskId":{},"arguments":[1],"id":1.5}"#,
        // MCP: the message of a progress notification is a text.
        r#""method":"notifications/progress","params":{"progressToken":1,"message":"half"}"#,
        r#""method":"tools/call","params":{"name":null,"arguments":null,"_meta":null}"#,
        r#""method":"tools/call","params":{"arguments":{"ID":1,"Name":2,"a":{"b":1,"b":2}}}"#,
        r#""method":"tools/call""#,
        r#""method":"tools/list","params":{"cursor":"x"}"#,
    ] {
        assert!(
            matches!(read(&message(members)), Ok(Message::One(_))),
            "{members}"
        );
    }
}

#[test]
fn grammar_is_judged_before_meaning() {
    for body in [
        r#"{"jsonrpc":"2.0","method":"a","method":"b",}"#,
        r#"{"jsonrpc":"2.0","method":"a","id":{}} x"#,
        r#"[{"jsonrpc":"2.0","method":"a"},"#,
        "",
    ] {
        let at = body.len().saturating_sub(1);
        let at = if body.ends_with(',') { at + 1 } else { at };
        assert_eq!(read(body), Err(CallFault::NotJson { at }), "{body}");
    }
}

#[test]
fn a_batch_is_read_message_by_message() {
    let call = message(r#""id":1,"method":"tools/call","params":{"name":"a"}"#);
    let note = message(r#""method":"notifications/x""#);
    let body = format!("[{call} , {note}]");
    let Ok(Message::Batch(batch)) = read(&body) else {
        panic!("{body}");
    };
    let kinds: Vec<_> = batch.iter().map(|rpc| rpc.kind).collect();
    assert_eq!(kinds, [RpcKind::Request, RpcKind::Notification]);
    assert_eq!(batch[0].mcp_target().unwrap().unwrap(), "a");
}

#[test]
fn a_batch_is_bounded_flat_and_nothing_but_messages() {
    let rpc = message(r#""method":"a""#);
    let of = |len: usize| format!("[{}]", vec![rpc.as_str(); len].join(","));
    assert_eq!(read(&of(64)).unwrap().messages().len(), 64);
    assert_eq!(read(&of(65)), Err(CallFault::BatchTooLong));
    for (body, fault) in [
        ("[]".to_owned(), CallFault::BatchEmpty),
        (format!("[{rpc},1]"), CallFault::NotAnObject),
        (format!("[1,{rpc}]"), CallFault::NotAnObject),
        (format!("[{rpc},{{}}]"), CallFault::BadMessage),
        (format!("[[{rpc}]]"), CallFault::BatchNested),
        (format!("[{rpc},[]]"), CallFault::BatchNested),
        (
            format!(r#"[{rpc},{{"Method":"a"}}]"#),
            CallFault::CaseVariant,
        ),
        (
            format!(r#"[{{"method":"a"}},{rpc}]"#),
            CallFault::BadVersion,
        ),
    ] {
        assert_eq!(read(&body), Err(fault), "{body}");
    }
}

#[test]
fn targets_are_those_of_mcp() {
    let params = r#""params":{"name":"n","uri":"u","taskId":"t"}"#;
    for (method, target) in [
        ("tools/call", Some("n")),
        ("prompts/get", Some("n")),
        ("resources/read", Some("u")),
        ("resources/subscribe", Some("u")),
        ("tasks/get", Some("t")),
        ("tasks/update", Some("t")),
        ("tasks/cancel", Some("t")),
        ("tools/list", None),
    ] {
        let body = message(&format!(r#""id":1,"method":"{method}",{params}"#));
        assert_eq!(one(&body).mcp_target().unwrap().as_deref(), target);
    }
}
