use super::*;
use crate::call::json::JsonLimits;
use crate::call::rpc;
use http::HeaderName;

const VERSION: (&str, &str) = (PROTOCOL_VERSION, "2026-07-28");
const TOOL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"weather","arguments":{"Place":"Vík","Days":3,"Metric":true,"Note":null,"Deep":{"zone":"is-south","count":[12]}},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;

fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    let fields = fields.iter().map(|(name, value)| {
        let name: HeaderName = name.parse().unwrap();
        (name, HeaderValue::from_bytes(value.as_bytes()).unwrap())
    });
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(name, value);
    }
    headers
}

fn judge(fields: &[(&str, &str)], body: &str) -> Result<(), CallFault> {
    let message = rpc::read(body.as_bytes(), &JsonLimits::default()).unwrap();
    check(&headers(fields), &message).map(drop)
}

/// A call of the tool with the headers it must have and these.
fn judge_tool(more: &[(&str, &str)]) -> Result<(), CallFault> {
    let mut fields = vec![VERSION, (METHOD, "tools/call"), (NAME, "weather")];
    fields.extend(more);
    judge(&fields, TOOL)
}

fn call(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#)
}

#[test]
fn headers_that_repeat_the_body_pass() {
    let message = rpc::read(TOOL.as_bytes(), &JsonLimits::default()).unwrap();
    let fields = headers(&[
        (PROTOCOL_VERSION, " 2026-07-28\t"),
        (METHOD, "tools/call"),
        (NAME, "=?base64?d2VhdGhlcg==?="),
    ]);
    let revision = check(&fields, &message);
    assert_eq!(revision, Ok(Revision::Mirrored("2026-07-28")));
    for (method, params, name) in [
        ("prompts/get", r#"{"name":"p"}"#, "p"),
        ("resources/read", r#"{"uri":"file:///a"}"#, "file:///a"),
        ("tasks/get", r#"{"taskId":"t"}"#, "t"),
        ("tasks/update", r#"{"taskId":"t"}"#, "t"),
        ("tasks/cancel", r#"{"taskId":"=?x"}"#, "=?x"),
        ("tools/list", "{}", "anything"),
    ] {
        let body = call(method, params);
        let fields = [VERSION, (METHOD, method), (NAME, name)];
        assert_eq!(judge(&fields, &body), Ok(()), "{method}");
        let wrong = [VERSION, (METHOD, method), (NAME, "other")];
        let expected = match method {
            "tools/list" => Ok(()),
            _ => Err(CallFault::HeaderMismatch(NAME)),
        };
        assert_eq!(judge(&wrong, &body), expected, "{method}");
    }
}

#[test]
fn headers_that_say_something_else_than_the_body_are_refused() {
    let good = [VERSION, (METHOD, "tools/call"), (NAME, "weather")];
    for (place, value, header) in [
        (0, Some("2027-01-01"), PROTOCOL_VERSION),
        (0, Some("2025-11-25"), PROTOCOL_VERSION),
        (0, None, PROTOCOL_VERSION),
        (1, Some("tools/list"), METHOD),
        (1, Some("Tools/Call"), METHOD),
        (1, Some("=?base64?dG9vbHMvY2FsbA==?="), METHOD),
        (1, None, METHOD),
        (2, Some("payroll"), NAME),
        (2, Some(""), NAME),
        (2, Some("=?base64?d2VhdGhlcg?="), NAME),
        (2, Some("=?base64?!!!?="), NAME),
        (2, Some("=?base64?/w==?="), NAME),
        (2, Some("w\u{e9}ather"), NAME),
        (2, None, NAME),
    ] {
        let mut fields = good.to_vec();
        match value {
            Some(value) => fields[place].1 = value,
            None => drop(fields.remove(place)),
        }
        let fault = Err(CallFault::HeaderMismatch(header));
        assert_eq!(judge(&fields, TOOL), fault, "{fields:?}");
    }
}

#[test]
fn repeated_headers_are_refused() {
    let twice = |name: &'static str, value| judge_tool(&[(name, value)]);
    assert_eq!(
        twice(PROTOCOL_VERSION, "2026-07-28"),
        Err(CallFault::HeaderRepeated(PROTOCOL_VERSION))
    );
    assert_eq!(
        twice(METHOD, "tools/call"),
        Err(CallFault::HeaderMismatch(METHOD))
    );
    assert_eq!(twice(NAME, "weather"), Err(CallFault::HeaderMismatch(NAME)));
    assert_eq!(
        judge_tool(&[("mcp-param-place", "a"), ("Mcp-Param-Place", "a")]),
        Err(CallFault::HeaderRepeated(PARAM))
    );
}

#[test]
fn earlier_revisions_go_by_the_body_alone() {
    let body = call("tools/call", r#"{"name":"weather"}"#);
    let message = rpc::read(body.as_bytes(), &JsonLimits::default()).unwrap();
    for revision in BODY_ONLY.map(Some).into_iter().chain([None]) {
        let mut fields = vec![(METHOD, "tools/list"), (NAME, "other")];
        fields.extend(revision.map(|revision| (PROTOCOL_VERSION, revision)));
        let headers = headers(&fields);
        assert_eq!(check(&headers, &message), Ok(Revision::BodyOnly(revision)));
        // But a server that goes by `_meta` would take this for the later one.
        let mismatch = Err(CallFault::HeaderMismatch(PROTOCOL_VERSION));
        assert_eq!(judge(&fields, TOOL), mismatch, "{revision:?}");
    }
}

#[test]
fn a_missing_meta_is_left_to_the_server() {
    let body = call("tools/call", r#"{"name":"weather"}"#);
    let fields = [VERSION, (METHOD, "tools/call"), (NAME, "weather")];
    assert_eq!(judge(&fields, &body), Ok(()));
    let nameless = call("tools/call", "{}");
    assert_eq!(judge(&fields[..2], &nameless), Ok(()));
    assert_eq!(
        judge(&fields, &nameless),
        Err(CallFault::HeaderMismatch(NAME))
    );
}

#[test]
fn a_version_in_meta_that_is_no_string_fits_nothing() {
    let meta = r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":20260728}}"#;
    let body = call("ping", meta);
    let mismatch = Err(CallFault::HeaderMismatch(PROTOCOL_VERSION));
    assert_eq!(judge(&[], &body), mismatch);
    assert_eq!(judge(&[VERSION, (METHOD, "ping")], &body), mismatch);
}

#[test]
fn what_calls_nothing_may_not_say_that_it_does() {
    let response = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    for body in [response, "{}"] {
        assert_eq!(judge(&[VERSION], body), Ok(()));
        assert_eq!(
            judge(&[VERSION, (METHOD, "tools/call")], body),
            Err(CallFault::HeaderMismatch(METHOD))
        );
    }
}

#[test]
fn batches_belong_to_one_revision() {
    let body = format!("[{}]", call("ping", "{}"));
    assert_eq!(judge(&[], &body), Ok(()));
    assert_eq!(judge(&[(PROTOCOL_VERSION, "2025-03-26")], &body), Ok(()));
    for revision in ["2024-11-05", "2025-06-18", "2025-11-25", "2026-07-28", "x"] {
        let fields = [(PROTOCOL_VERSION, revision), (METHOD, "ping")];
        let refused = Err(CallFault::BatchNotAllowed);
        assert_eq!(judge(&fields, &body), refused, "{revision}");
    }
    let modern = format!("[{},{TOOL}]", call("ping", "{}"));
    assert_eq!(
        judge(&[], &modern),
        Err(CallFault::HeaderMismatch(PROTOCOL_VERSION))
    );
}

#[test]
fn arguments_in_headers_must_be_those_in_the_body() {
    for (name, value) in [
        ("mcp-param-place", "=?base64?VsOtaw==?="),
        ("mcp-param-days", "3"),
        ("mcp-param-metric", "true"),
        ("mcp-param-zone", "is-south"),
        ("mcp-param-region", "is-south"),
        ("mcp-param-deep", "12"),
        ("mcp-param-deep", "is-south"),
    ] {
        assert_eq!(judge_tool(&[(name, value)]), Ok(()), "{name}: {value}");
    }
    for (name, value) in [
        ("mcp-param-place", "Vik"),
        // Another argument has this value, but the one with the name has not.
        ("mcp-param-place", "3"),
        ("mcp-param-days", "3.0"),
        ("mcp-param-metric", "True"),
        ("mcp-param-note", "null"),
        ("mcp-param-note", "3"),
        ("mcp-param-zone", "is-north"),
        ("mcp-param-region", ""),
        ("mcp-param-region", "zone"),
        ("mcp-param-place", "=?base64?VsOtaw?="),
    ] {
        let mismatch = Err(CallFault::HeaderMismatch(PARAM));
        assert_eq!(judge_tool(&[(name, value)]), mismatch, "{name}: {value}");
    }
    // Several headers with one value, and one that has it only elsewhere.
    let same = |name| (name, "3");
    let some = ["mcp-param-days", "mcp-param-a", "mcp-param-b"].map(same);
    assert_eq!(judge_tool(&some), Ok(()));
    let place = [some.as_slice(), &[("mcp-param-place", "3")]].concat();
    assert_eq!(judge_tool(&place), Err(CallFault::HeaderMismatch(PARAM)));

    let body = call("ping", "{}");
    let fields = [VERSION, (METHOD, "ping"), ("mcp-param-x", "1")];
    assert_eq!(judge(&fields, &body), Err(CallFault::HeaderMismatch(PARAM)));
}

#[test]
fn of_arguments_named_alike_all_must_be_equal() {
    let fields = [VERSION, (METHOD, "x"), ("mcp-param-a", "1")];
    let judge = |arguments: &str| {
        let body = call("x", &format!(r#"{{"arguments":{arguments}}}"#));
        judge(&fields, &body)
    };
    assert_eq!(judge(r#"{"a":1,"A":"1"}"#), Ok(()));
    for arguments in [r#"{"a":1,"A":2}"#, r#"{"a":2,"A":1}"#, r#"{"A":2,"b":1}"#] {
        let mismatch = Err(CallFault::HeaderMismatch(PARAM));
        assert_eq!(judge(arguments), mismatch, "{arguments}");
    }
}

#[test]
fn headers_that_repeat_arguments_are_bounded() {
    let names: Vec<String> = (0..=MAX_PARAM_HEADERS)
        .map(|n| format!("mcp-param-p{n}"))
        .collect();
    let fields: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "3")).collect();
    assert_eq!(judge_tool(&fields[1..]), Ok(()));
    assert_eq!(judge_tool(&fields), Err(CallFault::TooManyParamHeaders));
}
