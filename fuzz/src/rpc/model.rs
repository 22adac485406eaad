//! The rules for bodies, over a tree instead of bytes.

use crate::json::Tree;

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    Batch,
    Message,
    Other,
    Refused,
}

/// Spellings of A2A's `pushNotificationConfigId`.
pub(super) const PUSH_CONFIG_ID: &[&str] = &[
    "pushNotificationConfigId",
    "push_notification_config_id",
    "configId",
    "config_id",
];
const PUSH_CONFIG: &[&str] = &[
    "pushNotificationConfig",
    "push_notification_config",
    "config",
];
const CONFIGURED: &[&str] = &[
    "taskPushNotificationConfig",
    "task_push_notification_config",
    "pushNotificationConfig",
    "push_notification_config",
    "pushNotification",
    "push_notification",
];
const INNER: &[&str] = &["pushNotificationConfig", "push_notification_config"];

pub(super) fn judge(tree: &Tree) -> Judgement {
    let refused_unless = |holds, judgement| if holds { judgement } else { Judgement::Refused };
    match tree {
        Tree::Object(_) if claims_rpc(tree) => refused_unless(is_message(tree), Judgement::Message),
        Tree::Array(elements) => {
            let claims = |element| claims_rpc(element) || matches!(element, Tree::Array(_));
            if !elements.is_empty() && !elements.iter().any(claims) {
                return Judgement::Other;
            }
            let holds = (1..=64).contains(&elements.len()) && elements.iter().all(is_message);
            refused_unless(holds, Judgement::Batch)
        }
        _ => Judgement::Other,
    }
}

/// Whether somebody takes it for JSON-RPC.
fn claims_rpc(tree: &Tree) -> bool {
    let signs = ["jsonrpc", "method", "result", "error"];
    let members = tree.members().unwrap_or_default();
    members
        .iter()
        .any(|(name, _)| signs.contains(&fold(name).as_str()))
}

fn is_message(tree: &Tree) -> bool {
    let names = ["jsonrpc", "id", "method", "params", "result", "error"];
    let Some(members) = tree.members() else {
        return false;
    };
    let value = |wanted: &str| {
        let member = members.iter().find(|(name, _)| name == wanted);
        member.map(|(_, value)| value)
    };
    let params = value("params").unwrap_or(&Tree::Null);
    let params_are_read = *params == Tree::Null
        || are_params(params) && params.member(&["_meta"]).is_none_or(is_object);
    let id_is_one = match value("id") {
        Some(Tree::Integer(_) | Tree::Null | Tree::String(_)) => true,
        None => value("result").is_none(),
        Some(_) => false,
    };
    let forms = [value("method"), value("result"), value("error")];
    is_read_alike(tree, &names.map(|name| vec![name]))
        && params_are_read
        && id_is_one
        && value("jsonrpc").and_then(Tree::text) == Some("2.0")
        && forms.iter().flatten().count() == 1
        && value("method").is_none_or(|method| method.text().is_some())
        && target_member(tree).is_none_or(|target| target.text().is_some())
        && (!has_arguments(tree) || params.member(&["arguments"]).is_none_or(is_object))
}

fn has_arguments(tree: &Tree) -> bool {
    let method = tree.member(&["method"]).and_then(Tree::text);
    matches!(method, Some("tools/call" | "prompts/get"))
}

fn target_member(tree: &Tree) -> Option<&Tree> {
    let (kind, verb) = tree.member(&["method"])?.text()?.split_once('/')?;
    let name = match (kind, verb) {
        ("tools", "call") | ("prompts", "get") => "name",
        ("resources", "read" | "subscribe" | "unsubscribe") => "uri",
        ("tasks", "get" | "result" | "update" | "cancel") => "taskId",
        _ => return None,
    };
    let names: &[&str] = if name == "taskId" {
        &["taskId", "task_id"]
    } else {
        &[name]
    };
    tree.member(&["params"])?.member(names)
}

/// The tool, prompt, resource or task that a method of MCP is called on.
pub(super) fn target(tree: &Tree) -> Option<&str> {
    target_member(tree)?.text()
}

/// Whether it is an object of parameters that everybody reads alike.
pub(super) fn are_params(tree: &Tree) -> bool {
    let mut known: Vec<Vec<&str>> = [
        "name",
        "uri",
        "requestState",
        "arguments",
        "_meta",
        "id",
        "configuration",
        "tenant",
        "url",
        "parent",
    ]
    .map(|name| vec![name])
    .into();
    known.extend([
        vec!["taskId", "task_id"],
        vec!["contextId", "context_id"],
        vec!["message", "request"],
        PUSH_CONFIG_ID.to_vec(),
        PUSH_CONFIG.to_vec(),
    ]);
    let message = [
        vec!["taskId", "task_id"],
        vec!["contextId", "context_id"],
        vec!["messageId", "message_id"],
        vec!["referenceTaskIds", "reference_task_ids"],
    ];
    let meta = ["io.modelcontextprotocol/protocolVersion", "traceparent"].map(|name| vec![name]);
    let within = |names: &[&str], known: &[Vec<&str>]| {
        let inner = tree.member(names).filter(|inner| is_object(inner));
        inner.is_none_or(|inner| is_read_alike(inner, known))
    };
    let configured = tree
        .member(&["configuration"])
        .and_then(|configuration| configuration.member(CONFIGURED));
    is_read_alike(tree, &known)
        && within(&["arguments"], &[])
        && within(&["_meta"], &meta)
        && within(&["message", "request"], &message)
        && within(&["configuration"], &[CONFIGURED.to_vec()])
        && tree.member(PUSH_CONFIG).is_none_or(is_push_config)
        && configured.is_none_or(is_push_config)
}

fn is_push_config(tree: &Tree) -> bool {
    let known = [
        vec!["id"],
        vec!["taskId", "task_id"],
        vec!["url"],
        vec!["name"],
        INNER.to_vec(),
    ];
    if !is_object(tree) {
        return true;
    }
    let inner_is_read = tree.member(INNER).is_none_or(|inner| {
        let twice = |name| tree.member(&[name]).is_some() && inner.member(&[name]).is_some();
        is_read_alike(inner, &[vec!["id"], vec!["url"]]) && !twice("id") && !twice("url")
    });
    is_read_alike(tree, &known) && inner_is_read
}

/// A member of a push notification configuration, which 0.3 has one level further in.
pub(super) fn of_push_config<'a>(tree: &'a Tree, names: &[&str]) -> Option<&'a Tree> {
    let inner = || tree.member(INNER)?.member(names);
    tree.member(names).or_else(inner)
}

/// All of them; none if something else stands where one should be.
pub(super) fn push_configs(params: &Tree) -> Option<Vec<&Tree>> {
    let configuration = params.member(&["configuration"]);
    let configured = configuration.and_then(|configuration| configuration.member(CONFIGURED));
    let found = [params.member(PUSH_CONFIG), configured];
    let are_objects = found
        .into_iter()
        .chain([configuration])
        .flatten()
        .all(is_object);
    are_objects.then(|| found.into_iter().flatten().collect())
}

/// An array of strings; none if it is anything else, and empty if it is not there.
pub(super) fn strings(tree: Option<&Tree>) -> Option<Vec<&str>> {
    match tree {
        None => Some(Vec::new()),
        Some(Tree::Array(elements)) => elements.iter().map(Tree::text).collect(),
        Some(_) => None,
    }
}

fn is_object(tree: &Tree) -> bool {
    tree.members().is_some()
}

/// Whether no member occurs twice, in whatever spelling, and none is a known one but for its case.
fn is_read_alike(tree: &Tree, known: &[Vec<&str>]) -> bool {
    let Some(members) = tree.members() else {
        return false;
    };
    let mut seen = Vec::new();
    for (name, _) in members {
        let name = name.as_str();
        let spelled = known.iter().find(|spellings| spellings.contains(&name));
        let is_variant = |spelling: &&str| fold(spelling) == fold(name);
        if spelled.is_none() && known.iter().flatten().any(is_variant) {
            return false;
        }
        let first = spelled
            .and_then(|spellings| spellings.first())
            .unwrap_or(&name);
        if seen.contains(first) {
            return false;
        }
        seen.push(*first);
    }
    true
}

/// As readers see it that ignore case, in Go and in Java, or what follows a NUL, in C.
fn fold(name: &str) -> String {
    let c_string = name.split('\0').next().unwrap_or_default();
    c_string
        .replace('\u{17f}', "s")
        .replace('\u{212a}', "k")
        .replace(['\u{130}', '\u{131}'], "i")
        .to_ascii_lowercase()
}
