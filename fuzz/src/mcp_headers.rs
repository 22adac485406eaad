//! The headers in which MCP repeats parts of a message, beside that message.
//!
//! Input: a field a line, `name:value`; an empty line; a body.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "how a target tells that an invariant does not hold"
)]

use http::{HeaderMap, HeaderName, HeaderValue};
use pqlane::hostile::{JsonLimits, McpRevision, check_mcp_headers, read_rpc};

use crate::Verdict;
use crate::json::Tree;

/// Revisions before the one that brought the headers.
const BEFORE: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

/// Compares headers and body, and what passes a second time.
///
/// # Panics
/// When an invariant does not hold.
pub fn run(bytes: &[u8]) -> Verdict {
    let Some(at) = bytes.windows(2).position(|pair| pair == b"\n\n") else {
        return Verdict::Refused;
    };
    let (head, body) = bytes.split_at(at);
    let Some(body) = body.get(2..) else {
        return Verdict::Refused;
    };
    let mut headers = HeaderMap::new();
    for (name, value) in head.split(|byte| *byte == b'\n').filter_map(field) {
        headers.append(name, value);
    }
    let Ok(message) = read_rpc(body, &JsonLimits::default()) else {
        return Verdict::Refused;
    };
    if Tree::is_out_of_range(body) {
        return Verdict::Refused;
    }
    let tree = Tree::read(body).expect("what is JSON to us is JSON");
    let checked = check_mcp_headers(&headers, &message);
    match &checked {
        Ok(McpRevision::Mirrored(revision)) => check_mirrored(&headers, revision, &tree),
        Ok(McpRevision::BodyOnly(revision)) => check_body_only(&headers, *revision, &tree),
        Err(fault) => assert!(!fault.to_string().is_empty()),
    }
    Verdict::of(&checked)
}

fn field(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at(colon);
    let name = HeaderName::from_bytes(name).ok()?;
    Some((name, HeaderValue::from_bytes(value.get(1..)?).ok()?))
}

fn check_body_only(headers: &HeaderMap, revision: Option<&str>, tree: &Tree) {
    assert_eq!(text(headers, "mcp-protocol-version"), revision);
    assert!(revision.is_none_or(|revision| BEFORE.contains(&revision)));
    let messages = match tree {
        Tree::Array(elements) => elements.as_slice(),
        one => std::slice::from_ref(one),
    };
    for message in messages.iter().filter(|message| is_call(message)) {
        if let Some(declared) = declared(message) {
            let is_before = declared.text().is_some_and(|text| BEFORE.contains(&text));
            assert!(is_before, "{declared:?} without its header");
        }
    }
}

fn check_mirrored(headers: &HeaderMap, revision: &str, tree: &Tree) {
    assert_eq!(text(headers, "mcp-protocol-version"), Some(revision));
    assert!(!BEFORE.contains(&revision));
    if !is_call(tree) {
        assert_eq!(text(headers, "mcp-method"), None);
        return;
    }
    if let Some(declared) = declared(tree) {
        assert_eq!(declared.text(), Some(revision));
    }
    let method = tree
        .member(&["method"])
        .and_then(Tree::text)
        .expect("a method");
    assert_eq!(text(headers, "mcp-method"), Some(method));
    let params = tree.member(&["params"]).unwrap_or(&Tree::Null);
    let target: &[&str] = match method {
        "tools/call" | "prompts/get" => &["name"],
        "resources/read" => &["uri"],
        "tasks/get" | "tasks/update" | "tasks/cancel" => &["taskId", "task_id"],
        _ => &[],
    };
    if !target.is_empty() {
        let name = text(headers, "mcp-name").map(decode);
        let target = params.member(target).and_then(Tree::text);
        assert_eq!(name.as_deref(), target);
    }
    let mut leaves = Vec::new();
    if let Some(arguments) = params.member(&["arguments"]) {
        gather(arguments, &mut leaves);
    }
    for (name, value) in headers {
        let Some(suffix) = name.as_str().strip_prefix("mcp-param-") else {
            continue;
        };
        let value = decode(value.to_str().expect("ASCII").trim_matches([' ', '\t']));
        // Numbers are compared as they are written, which the tree does not keep.
        let may_be_number = value.parse::<f64>().is_ok();
        let is_there = leaves.contains(&value) || may_be_number;
        assert!(is_there, "{suffix} says {value}, which is no argument");
        let namesakes = params.member(&["arguments"]).and_then(Tree::members);
        for (argument, found) in namesakes.unwrap_or_default() {
            if let (true, Some(found)) = (argument.eq_ignore_ascii_case(suffix), found.text()) {
                assert_eq!(found, value, "{suffix}");
            }
        }
    }
}

fn is_call(tree: &Tree) -> bool {
    tree.member(&["method"]).is_some()
}

fn declared(message: &Tree) -> Option<&Tree> {
    let meta = message.member(&["params"])?.member(&["_meta"])?;
    meta.member(&["io.modelcontextprotocol/protocolVersion"])
}

/// A header that occurs at most once.
fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    assert!(headers.get_all(name).iter().count() <= 1, "{name} twice");
    let value = headers.get(name)?.to_str().expect("ASCII");
    Some(value.trim_matches([' ', '\t']))
}

/// The texts of strings and booleans.
fn gather(tree: &Tree, leaves: &mut Vec<String>) {
    match tree {
        Tree::String(text) => leaves.push(text.clone()),
        Tree::Boolean(is_set) => leaves.push(is_set.to_string()),
        Tree::Array(elements) => elements.iter().for_each(|element| gather(element, leaves)),
        Tree::Object(members) => members.iter().for_each(|(_, value)| gather(value, leaves)),
        Tree::Fraction(_) | Tree::Integer(_) | Tree::Large(_) | Tree::Null => {}
    }
}

/// What a value stands for: RFC 4648 §4, bit by bit.
fn decode(value: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let inner = value
        .strip_prefix("=?base64?")
        .and_then(|rest| rest.strip_suffix("?="));
    let Some(inner) = inner else {
        return value.to_owned();
    };
    assert_eq!(inner.len() % 4, 0, "{value} lacks padding");
    let mut bytes = Vec::new();
    let (mut bits, mut held) = (0_u32, 0_u32);
    for byte in inner.trim_end_matches('=').bytes() {
        let digit = ALPHABET.iter().position(|letter| *letter == byte);
        let digit = digit.unwrap_or_else(|| panic!("{value} is not base64"));
        held = held << 6 | u32::try_from(digit).expect("six bits");
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(held >> bits & 0xff).expect("eight bits"));
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}
