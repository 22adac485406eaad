//! A body: JSON-RPC as MCP and A2A write it, and the parameters of A2A's HTTP+JSON binding.
//!
//! Input: a body. serde_json reads it a second time, and the rules for what is read alike by everybody are
//! applied to its tree.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "how a target tells that an invariant does not hold"
)]

mod model;

use std::borrow::Cow;

use pqlane::hostile::{
    CallFault, JsonLimits, Member, Message, Params, Rpc, RpcKind, Token, read_rpc,
};

use crate::Verdict;
use crate::json::Tree;
use model::Judgement;

/// Levels that are read by default.
const MAX_DEPTH: usize = 64;

/// Reads the body in both ways and compares.
///
/// # Panics
/// When an invariant does not hold.
pub fn run(body: &[u8]) -> Verdict {
    let limits = JsonLimits::default();
    let message = read_rpc(body, &limits);
    let params = Params::of_body(body, &limits);
    if Tree::is_out_of_range(body) {
        return Verdict::of(&message);
    }
    let Some(tree) = Tree::read(body) else {
        check_is_not_json(message.as_ref().err());
        if !body.is_empty() {
            check_is_not_json(params.as_ref().err());
        }
        return Verdict::Refused;
    };

    let whole = [message.as_ref().err(), params.as_ref().err()];
    if tree.depth() > MAX_DEPTH {
        assert_eq!(whole, [Some(&CallFault::TooDeep); 2]);
        return Verdict::Refused;
    }
    for fault in whole.into_iter().flatten() {
        let is_grammar = matches!(
            fault,
            CallFault::NotJson { .. } | CallFault::NotUtf8 | CallFault::TooDeep
        );
        assert!(!is_grammar, "{fault} in what serde_json reads");
    }

    assert_eq!(params.is_ok(), model::are_params(&tree), "{params:?}");
    if let Ok(params) = &params {
        check_params(params, &tree, body);
    }
    match (&message, model::judge(&tree)) {
        (Err(_), Judgement::Refused) | (Ok(Message::Other), Judgement::Other) => {}
        (Ok(Message::One(rpc)), Judgement::Message) => check_rpc(rpc, &tree, body),
        (Ok(Message::Batch(batch)), Judgement::Batch) => {
            let Tree::Array(elements) = &tree else {
                panic!("a batch that is no array: {tree:?}");
            };
            assert_eq!(batch.len(), elements.len());
            for (rpc, element) in batch.iter().zip(elements) {
                check_rpc(rpc, element, body);
            }
        }
        (read, judged) => panic!("{judged:?}, but read as {read:?}"),
    }
    Verdict::of(&message)
}

fn check_is_not_json(fault: Option<&CallFault>) {
    let is_grammar = matches!(
        fault,
        Some(CallFault::NotJson { .. } | CallFault::NotUtf8 | CallFault::TooDeep)
    );
    assert!(is_grammar, "serde_json refuses what is read as {fault:?}");
}

fn check_rpc(rpc: &Rpc<'_>, tree: &Tree, body: &[u8]) {
    let method = tree.member(&["method"]).and_then(Tree::text);
    assert_eq!(rpc.method.as_deref(), method);
    let is_there = |wanted: &str| {
        let members = tree.members().unwrap_or_default();
        members.iter().any(|(name, _)| name == wanted)
    };
    let kind = match (is_there("method"), is_there("id")) {
        (true, true) => RpcKind::Request,
        (true, false) => RpcKind::Notification,
        (false, _) => RpcKind::Response,
    };
    assert_eq!(rpc.kind, kind);
    let id = rpc.id.filter(|id| id.as_str() != "null");
    check_token(id, tree.member(&["id"]), body);
    if let Some(params) = tree.member(&["params"]) {
        check_params(&rpc.params, params, body);
    }
    let target = model::target(tree).map(Cow::Borrowed);
    assert_eq!(rpc.mcp_target(), Ok(target));
}

fn check_params(params: &Params<'_>, tree: &Tree, body: &[u8]) {
    let at = |token, names: &[&str]| check_token(token, tree.member(names), body);
    at(params.name, &["name"]);
    at(params.uri, &["uri"]);
    at(params.request_state, &["requestState"]);
    at(params.id, &["id"]);
    at(params.task_id, &["taskId", "task_id"]);
    at(params.context_id, &["contextId", "context_id"]);
    at(params.tenant, &["tenant"]);
    at(params.url, &["url"]);
    at(params.parent, &["parent"]);
    at(params.push_config_id, model::PUSH_CONFIG_ID);
    at(object(&params.arguments), &["arguments"]);
    if let Member::Object(meta) = &params.meta {
        let tree = tree.member(&["_meta"]).expect("_meta");
        let version = tree.member(&["io.modelcontextprotocol/protocolVersion"]);
        check_token(meta.protocol_version, version, body);
        check_token(meta.traceparent, tree.member(&["traceparent"]), body);
    }
    if let Member::Object(message) = &params.message {
        let tree = tree.member(&["message", "request"]).expect("message");
        let at = |token, names: &[&str]| check_token(token, tree.member(names), body);
        at(message.task_id, &["taskId", "task_id"]);
        at(message.context_id, &["contextId", "context_id"]);
        at(message.message_id, &["messageId", "message_id"]);
        let references = tree.member(&["referenceTaskIds", "reference_task_ids"]);
        at(
            message.reference_task_ids,
            &["referenceTaskIds", "reference_task_ids"],
        );
        match message.references() {
            Ok(ids) => assert_eq!(ids, model::strings(references).expect("strings")),
            Err(CallFault::TooManyReferences) => {}
            Err(_) => assert_eq!(model::strings(references), None),
        }
    }
    let configs = params.push_configs();
    let expected = model::push_configs(tree);
    assert_eq!(configs.is_ok(), expected.is_some());
    for (config, tree) in configs
        .into_iter()
        .flatten()
        .zip(expected.into_iter().flatten())
    {
        check_token(config.id, model::of_push_config(tree, &["id"]), body);
        check_token(config.url, model::of_push_config(tree, &["url"]), body);
        check_token(config.task_id, tree.member(&["taskId", "task_id"]), body);
        check_token(config.name, tree.member(&["name"]), body);
    }
}

fn object<'a>(member: &Member<Token<'a>>) -> Option<Token<'a>> {
    match member {
        Member::Object(token) => Some(*token),
        Member::Absent | Member::Other => None,
    }
}

/// A token is a slice of the body that means what the tree has there.
fn check_token(token: Option<Token<'_>>, tree: Option<&Tree>, body: &[u8]) {
    let Some(token) = token else {
        // What should have been an object may be there as something else.
        assert!(tree.is_none_or(|tree| tree.members().is_none()), "{tree:?}");
        return;
    };
    let range = token.range_in(body).expect("a slice of the body");
    assert_eq!(body.get(range), Some(token.as_str().as_bytes()));
    assert_eq!(Tree::read(token.as_str().as_bytes()).as_ref(), tree);
    let text = tree.and_then(Tree::text);
    assert_eq!(token.string().ok().as_deref(), text);
}
