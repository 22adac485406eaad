//! A target of A2A's HTTP+JSON binding.
//!
//! Input: the method, a space, the path, and perhaps `?` and a query.

mod reading;

use pqlane::hostile::{Operation, RestCall};

use crate::Verdict;
use crate::message::whole_message;
use reading::{Asked, readings};

/// Reads the target, and reads it again in every way in which another program might.
///
/// # Panics
/// When an invariant does not hold.
pub fn run(bytes: &[u8]) -> Verdict {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Verdict::Refused;
    };
    let Some((method, target)) = text.split_once(' ') else {
        return Verdict::Refused;
    };
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    match RestCall::read(method, path, query) {
        Ok(Some(call)) => {
            check(method, path, query, &call);
            Verdict::Accepted
        }
        Ok(None) => {
            // A request's path in origin form begins so (RFC 9112 §3.2.1).
            if method != "OPTIONS" && path.starts_with('/') {
                let asked = readings(method, path);
                assert!(asked.is_empty(), "{path:?} can be {asked:?}");
            }
            Verdict::Refused
        }
        Err(fault) => {
            assert!(!whole_message(&fault).is_empty());
            Verdict::Refused
        }
    }
}

/// All programs read one thing.
fn check(method: &str, path: &str, query: Option<&str>, call: &RestCall<'_>) {
    let asked = Asked {
        operation: call.operation.as_str(),
        task: call.task.as_deref().unwrap_or_default().to_owned(),
        push_config: call.push_config.as_deref().unwrap_or_default().to_owned(),
    };
    let all = readings(method, path);
    assert_eq!(all.iter().collect::<Vec<_>>(), [&asked], "{path:?}");
    for id in [&call.task, &call.push_config].into_iter().flatten() {
        assert!(!id.is_empty());
        assert!(!id.contains(['/', ':', '%', '\\', ';']), "{id:?}");
    }
    let contexts = match call.operation {
        Operation::ListTasks => contexts(query.unwrap_or_default()),
        _ => Vec::new(),
    };
    assert!(contexts.len() <= 1, "{contexts:?}");
    let context = call.context.as_deref().unwrap_or_default();
    assert_eq!(contexts.concat(), context);
}

/// Every context that some server may find in a query, in any case, decoded once.
fn contexts(query: &str) -> Vec<String> {
    let pairs = query.split(['&', ';']);
    let named = pairs.filter_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = String::from_utf8_lossy(&reading::decode(name.as_bytes())).to_lowercase();
        let is_context = name == "contextid" || name == "context_id";
        let value = value.replace('+', " ");
        let value = reading::decode(value.as_bytes());
        is_context.then(|| String::from_utf8_lossy(&value).into_owned())
    });
    named.collect()
}
