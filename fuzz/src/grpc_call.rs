//! A gRPC call of A2A.
//!
//! Input: the path, a line feed, the body.

mod message;

use pqlane::hostile::{A2aIds, A2aRevision, GrpcCall, GrpcFault, Operation};

use crate::Verdict;
use crate::message::whole_message;
use message::Ids;

/// Reads the call; ids that are given are what prost finds there, each in one place only.
///
/// # Panics
/// When an invariant does not hold.
pub fn run(bytes: &[u8]) -> Verdict {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let path = parts.next().unwrap_or_default();
    let body = parts.next().unwrap_or_default();
    let Ok(path) = std::str::from_utf8(path) else {
        return Verdict::Refused;
    };
    match GrpcCall::read(path, body) {
        Ok(Some(call)) => {
            check(path, body, &call);
            Verdict::Accepted
        }
        Ok(None) => {
            let folded = path.to_lowercase();
            assert!(!folded.contains("a2aservice"), "{path:?} is not A2A");
            Verdict::Refused
        }
        Err(fault) => {
            assert!(!whole_message(&fault).is_empty());
            check_refusal(path, body, fault);
            Verdict::Refused
        }
    }
}

fn check(path: &str, body: &[u8], call: &GrpcCall<'_>) {
    let package = match call.revision {
        A2aRevision::V0_3 => "a2a.v1",
        A2aRevision::V1_0 => "lf.a2a.v1",
    };
    let method = path.strip_prefix(&format!("/{package}.A2AService/"));
    assert_eq!(method, Some(method_name(call.revision, call.operation)));

    let message = unframed(body);
    let expected = message.map(|bytes| Ids::read(call.revision, call.operation, bytes));
    assert_eq!(expected, Some(Ok(owned(&call.ids))));
    assert!(call.ids.references.len() <= 64);

    let whole = body.as_ptr_range();
    for id in all(&call.ids) {
        assert!(!id.is_empty());
        let part = id.as_bytes().as_ptr_range();
        assert!(whole.start <= part.start && part.end <= whole.end, "{id:?}");
    }
    assert!(!owned(&call.ids).lack_one(call.operation));
}

/// What is refused as one thing is not another.
fn check_refusal(path: &str, body: &[u8], fault: GrpcFault) {
    let framed = unframed(body).is_some();
    match fault {
        GrpcFault::Compressed | GrpcFault::FrameFlag | GrpcFault::FrameLen => assert!(!framed),
        GrpcFault::MethodUnknown => {}
        GrpcFault::FieldNumber
        | GrpcFault::FieldTwice
        | GrpcFault::Group
        | GrpcFault::IdMissing
        | GrpcFault::IdsDiffer
        | GrpcFault::NotUtf8
        | GrpcFault::ResourceName
        | GrpcFault::TooManyReferences
        | GrpcFault::Truncated
        | GrpcFault::Varint
        | GrpcFault::WireType => {
            assert!(framed);
            assert!(matches!(GrpcCall::method(path), Ok(Some(_))));
        }
    }
    let (Ok(Some((revision, operation))), Some(message)) = (GrpcCall::method(path), unframed(body))
    else {
        return;
    };
    // What prost takes, with nothing twice and all places agreed, is refused for few reasons.
    if let Ok(ids) = Ids::read(revision, operation, message) {
        let is_due = match fault {
            GrpcFault::Group | GrpcFault::Varint => true,
            GrpcFault::IdMissing => ids.lack_one(operation),
            GrpcFault::ResourceName => revision == A2aRevision::V0_3,
            GrpcFault::TooManyReferences => ids.references.len() > 64,
            GrpcFault::Compressed
            | GrpcFault::FieldNumber
            | GrpcFault::FieldTwice
            | GrpcFault::FrameFlag
            | GrpcFault::FrameLen
            | GrpcFault::IdsDiffer
            | GrpcFault::MethodUnknown
            | GrpcFault::NotUtf8
            | GrpcFault::Truncated
            | GrpcFault::WireType => false,
        };
        assert!(is_due, "{fault:?}: {ids:?}");
    }
}

/// gRPC over HTTP/2: flag, length, message.
fn unframed(body: &[u8]) -> Option<&[u8]> {
    let &[0, a, b, c, d, ref message @ ..] = body else {
        return None;
    };
    let len = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
    (len == message.len()).then_some(message)
}

fn all<'a>(ids: &A2aIds<'a>) -> Vec<&'a str> {
    let single = [ids.task, ids.context, ids.push_config, ids.tenant];
    let single = single.into_iter().flatten();
    single.chain(ids.references.iter().copied()).collect()
}

fn owned(ids: &A2aIds<'_>) -> Ids {
    let text = |id: Option<&str>| id.unwrap_or_default().to_owned();
    Ids {
        task: text(ids.task),
        context: text(ids.context),
        references: ids.references.iter().map(|id| (*id).to_owned()).collect(),
        push_config: text(ids.push_config),
        tenant: text(ids.tenant),
    }
}

/// What the two `a2a.proto` call it.
fn method_name(revision: A2aRevision, operation: Operation) -> &'static str {
    match (revision, operation) {
        (A2aRevision::V0_3, Operation::GetExtendedAgentCard) => "GetAgentCard",
        (A2aRevision::V0_3, Operation::ListTaskPushNotificationConfigs) => {
            "ListTaskPushNotificationConfig"
        }
        (A2aRevision::V0_3, Operation::SubscribeToTask) => "TaskSubscription",
        (_, operation) => operation.as_str(),
    }
}

#[cfg(test)]
mod tests;
