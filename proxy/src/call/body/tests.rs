use bytes::Bytes;
use http::Request;
use serde_json::json;

use super::*;
use crate::gather::{CallBody, Hold, Room, Whole};

fn head(method: &str, path: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn whole(body: impl Into<Bytes>) -> Result<CallBody, DenyReason> {
    Ok(CallBody::Whole(Whole {
        bytes: body.into(),
        trailers: None,
        hold: Hold::none(&Room::new(1), &Room::new(1)),
    }))
}

/// Protocol, operation, target and task of a call that is clear; or why it is not.
type Said = (Protocol, String, String, String);

fn read(head: &Parts, body: &str) -> Result<Said, DenyReason> {
    let body = whole(body.to_owned());
    let call = Call::read(head, &body, &Limits::default());
    call.is_clear().map_err(|denial| denial.reason)?;
    let text = |text: &Option<Cow<'_, str>>| text.as_deref().unwrap_or_default().to_owned();
    Ok((
        call.protocol,
        text(&call.operation),
        text(&call.target),
        text(&call.task),
    ))
}

fn said(protocol: Protocol, operation: &str, target: &str, task: &str) -> Said {
    (protocol, operation.into(), target.into(), task.into())
}

fn rpc(method: &str, params: serde_json::Value) -> String {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string()
}

#[test]
fn headers_have_no_say_in_which_protocol_a_body_is_of() {
    let claims = [
        ("a2a-version", "1.0"),
        ("mcp-protocol-version", "2025-06-18"),
        ("mcp-session-id", "s"),
    ];
    for claim in claims {
        let head = head("POST", "/", &[claim]);
        assert_eq!(
            read(&head, &rpc("tools/call", json!({ "name": "echo" }))).unwrap(),
            said(Protocol::Mcp, "tools/call", "echo", ""),
        );
        assert_eq!(
            read(&head, &rpc("GetTask", json!({ "id": "t" }))).unwrap(),
            said(Protocol::A2a, "GetTask", "", "t"),
        );
    }
}

#[test]
fn methods_that_mcp_and_a2a_share_are_told_apart_by_how_they_name_the_task() {
    let head = head("POST", "/", &[("mcp-session-id", "s")]);
    for method in ["tasks/get", "tasks/cancel"] {
        let a2a = read(&head, &rpc(method, json!({ "id": "t" }))).unwrap();
        assert_eq!((a2a.0, a2a.3.as_str()), (Protocol::A2a, "t"));
        let mcp = read(&head, &rpc(method, json!({ "taskId": "t" }))).unwrap();
        assert_eq!(mcp, said(Protocol::Mcp, method, "", "t"));
        let both = read(&head, &rpc(method, json!({ "id": "t", "taskId": "t" })));
        assert_eq!(both, Err(DenyReason::AmbiguousCall));
    }
}

#[test]
fn a_batch_is_of_mcp_alone() {
    let plain = head("POST", "/", &[]);
    let (ping, send) = (rpc("ping", json!({})), rpc("message/send", json!({})));
    let batch = read(&plain, &format!("[{ping},{ping}]")).unwrap();
    assert_eq!(batch.1, "batch");
    let mixed = read(&plain, &format!("[{ping},{send}]"));
    assert_eq!(mixed, Err(DenyReason::MalformedCall));
    let later = head("POST", "/", &[("mcp-protocol-version", "2025-06-18")]);
    let refused = read(&later, &format!("[{ping}]"));
    assert_eq!(refused, Err(DenyReason::MalformedCall));
}

#[test]
fn path_and_body_of_the_http_json_binding_name_one_task() {
    let cancel = head("POST", "/tasks/t-1:cancel", &[]);
    assert_eq!(
        read(&cancel, "").unwrap(),
        said(Protocol::A2a, "CancelTask", "", "t-1")
    );
    let same = json!({ "taskId": "t-1" }).to_string();
    assert_eq!(read(&cancel, &same).unwrap().3, "t-1");
    for other in [
        json!({ "id": "t-2" }),
        json!({ "taskId": "t-2" }),
        json!({ "task_id": "t-2" }),
        json!({ "message": { "taskId": "t-2" } }),
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {} }),
    ] {
        let refused = read(&cancel, &other.to_string());
        assert_eq!(refused, Err(DenyReason::AmbiguousCall), "{other}");
    }
}

#[test]
fn an_agents_card_and_plain_json_are_no_calls() {
    let card = head("GET", "/.well-known/agent-card.json", &[]);
    assert_eq!(read(&card, "").unwrap().1, "GetAgentCard");
    let plain = head("POST", "/token", &[]);
    let read = read(&plain, &json!({ "grant": "code" }).to_string()).unwrap();
    assert_eq!(read, said(Protocol::Http, "", "", ""));
}

const GET_TASK: &str = "/lf.a2a.v1.A2AService/GetTask";

#[test]
fn grpcs_paths_are_for_grpc() {
    for content_type in [
        "application/json",
        "application/grpc-web+proto",
        "application/connect+json",
    ] {
        let head = head("POST", GET_TASK, &[("content-type", content_type)]);
        let refused = read(&head, &json!({ "id": "t" }).to_string());
        assert_eq!(refused, Err(DenyReason::AmbiguousCall), "{content_type}");
    }
}

fn passing(method: &str, path: &str, content_type: &str) -> Result<(String, String), DenyReason> {
    let head = head(method, path, &[("content-type", content_type)]);
    let mut call = Call::read_head(&head);
    call.read_passing(&head).map_err(|denial| denial.reason)?;
    let text = |text: Option<Cow<'_, str>>| text.unwrap_or_default().into_owned();
    Ok((text(call.operation), text(call.task)))
}

#[test]
fn what_is_called_grpc_and_passes_is_no_call_of_a2a() {
    for (method, path) in [
        ("GET", "/rest/tasks/t-1"),
        ("DELETE", "/rest/tasks/t-1/pushNotificationConfigs/p"),
        ("POST", "/rest/tasks/t-1:cancel"),
    ] {
        let read = passing(method, path, "text/plain").unwrap();
        assert_eq!(read.1, "t-1", "{path}");
        for content_type in ["application/grpc", "application/grpc+json"] {
            let refused = passing(method, path, content_type);
            assert_eq!(refused, Err(DenyReason::AmbiguousCall), "{path}");
        }
    }
    let encoded = passing("GET", "/rest/tasks/t%2d1", "application/grpc");
    assert_eq!(encoded, Err(DenyReason::AmbiguousPath));
    // A server that looks at the path alone would run it, body and all.
    let put = passing("PUT", GET_TASK, "application/grpc");
    assert_eq!(put, Err(DenyReason::AmbiguousCall));
    let other = passing("POST", "/grpc.health.v1.Health/Check", "application/grpc");
    assert_eq!(other.unwrap(), Default::default());
}

fn context(head: &Parts, body: &str) -> Result<Option<String>, DenyReason> {
    let body = whole(body.to_owned());
    let call = Call::read(head, &body, &Limits::default());
    call.is_clear().map_err(|denial| denial.reason)?;
    Ok(call.context.map(Cow::into_owned))
}

#[test]
fn a_context_is_read_only_where_the_operation_has_one() {
    let rpc_head = head("POST", "/", &[]);
    for (method, params, expected) in [
        ("ListTasks", json!({ "contextId": "c" }), Some("c")),
        (
            "SendMessage",
            json!({ "message": { "contextId": "c" } }),
            Some("c"),
        ),
        ("SendMessage", json!({ "contextId": "c" }), None),
        ("GetTask", json!({ "id": "t", "contextId": "c" }), None),
        ("tasks/cancel", json!({ "id": "t", "contextId": "c" }), None),
    ] {
        let read = context(&rpc_head, &rpc(method, params)).unwrap();
        assert_eq!(read.as_deref(), expected, "{method}");
    }
    let cancel = head("POST", "/rest/tasks/t-1:cancel", &[]);
    let beside = json!({ "contextId": "c" }).to_string();
    assert_eq!(context(&cancel, &beside), Ok(None));
}

#[test]
fn a_task_beside_the_message_is_refused() {
    let send = head("POST", "/rest/message:send", &[]);
    let message = json!({ "messageId": "m", "contextId": "c" });
    let plain = json!({ "message": message }).to_string();
    assert_eq!(context(&send, &plain), Ok(Some("c".into())));
    let beside = json!({ "message": message, "taskId": "t-1" }).to_string();
    assert_eq!(context(&send, &beside), Err(DenyReason::AmbiguousCall));
}

#[test]
fn a_task_is_named_once_more_where_its_reports_go() {
    let send = |inner: serde_json::Value| {
        let message = json!({ "taskId": "mine" });
        let params = json!({ "message": message, "configuration": inner });
        read(&head("POST", "/", &[]), &rpc("SendMessage", params)).map(|said| said.3)
    };
    let config = |task: &str| json!({ "taskPushNotificationConfig": { "taskId": task, "url": "https://a" } });
    assert_eq!(send(config("mine")), Ok("mine".to_owned()));
    assert_eq!(send(config("yours")), Err(DenyReason::AmbiguousCall));

    let create = |name: &str| {
        let params = json!({ "taskId": "mine", "parent": name });
        let method = "tasks/pushNotificationConfig/set";
        read(&head("POST", "/", &[]), &rpc(method, params)).map(|said| said.3)
    };
    assert_eq!(create("tasks/mine"), Ok("mine".to_owned()));
    for other in [
        "tasks/yours",
        "tasks/yours/pushNotificationConfigs/1",
        "mine",
    ] {
        assert_eq!(create(other), Err(DenyReason::AmbiguousCall), "{other}");
    }
}

#[test]
fn what_a2a_does_not_have_is_left_to_other_interfaces() {
    for (method, path) in [
        ("PUT", "/tasks/7"),
        ("PATCH", "/api/tasks/7"),
        ("POST", "/tasks"),
    ] {
        let said = read(&head(method, path, &[]), "{}").unwrap();
        assert_eq!(said.0, Protocol::Http, "{method} {path}");
    }
    // To some servers this is the task `7:cancel`.
    let refused = read(&head("GET", "/tasks/7:cancel", &[]), "");
    assert_eq!(refused, Err(DenyReason::AmbiguousPath));
}
