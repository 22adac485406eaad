use super::*;

/// Reads a target; what it says as `operation task config context`.
fn read(method: &str, target: &str) -> Result<Option<String>, PathFault> {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let call = RestCall::read(method, path, query)?;
    Ok(call.map(|call| {
        let word = |id: &Option<Cow<'_, str>>| id.as_deref().unwrap_or("-").to_owned();
        [
            call.operation.as_str().to_owned(),
            word(&call.task),
            word(&call.push_config),
            word(&call.context),
        ]
        .join(" ")
    }))
}

fn refused(method: &str, target: &str, fault: PathFault) {
    assert_eq!(read(method, target), Err(fault), "{method} {target}");
}

const CALLS: [(&str, &str, &str); 21] = [
    ("POST", "/message:send", "SendMessage - - -"),
    ("POST", "/message:stream", "SendStreamingMessage - - -"),
    ("GET", "/tasks", "ListTasks - - -"),
    ("GET", "/tasks/t1", "GetTask t1 - -"),
    ("HEAD", "/tasks/t1", "GetTask t1 - -"),
    ("POST", "/tasks/t1:cancel", "CancelTask t1 - -"),
    ("POST", "/tasks/t1:subscribe", "SubscribeToTask t1 - -"),
    ("GET", "/tasks/t1:subscribe", "SubscribeToTask t1 - -"),
    (
        "POST",
        "/tasks/t1/pushNotificationConfigs",
        "CreateTaskPushNotificationConfig t1 - -",
    ),
    (
        "GET",
        "/tasks/t1/pushNotificationConfigs",
        "ListTaskPushNotificationConfigs t1 - -",
    ),
    (
        "GET",
        "/tasks/t1/pushNotificationConfigs/p1",
        "GetTaskPushNotificationConfig t1 p1 -",
    ),
    (
        "DELETE",
        "/tasks/t1/pushNotificationConfigs/p1",
        "DeleteTaskPushNotificationConfig t1 p1 -",
    ),
    ("GET", "/extendedAgentCard", "GetExtendedAgentCard - - -"),
    ("GET", "/v1/card", "GetExtendedAgentCard - - -"),
    ("POST", "/message/send", "SendMessage - - -"),
    ("POST", "/message/stream", "SendStreamingMessage - - -"),
    ("POST", "/tasks/t1/cancel", "CancelTask t1 - -"),
    ("GET", "/tasks/t1/subscribe", "SubscribeToTask t1 - -"),
    (
        "GET",
        "/tasks/t1/push-configs",
        "ListTaskPushNotificationConfigs t1 - -",
    ),
    (
        "DELETE",
        "/tasks/t1/push-configs/p1",
        "DeleteTaskPushNotificationConfig t1 p1 -",
    ),
    ("GET", "/agent-card/extended", "GetExtendedAgentCard - - -"),
];

#[test]
fn reads_every_shape_below_any_base_path_and_tenant() {
    for (method, path, said) in CALLS {
        for base in ["", "/v1", "/acme", "/agents/7/a2a", "/tasks/t9"] {
            let target = format!("{base}{path}?historyLength=3");
            let call = read(method, &target);
            assert_eq!(call, Ok(Some(said.to_owned())), "{method} {target}");
        }
    }
}

#[test]
fn any_other_method_on_such_a_path_is_refused_and_options_asks_for_nothing() {
    for (_, path, _) in CALLS {
        let is_task_verb = path.ends_with(":cancel") || path.ends_with(":subscribe");
        for method in ["PUT", "PATCH", "TRACE", "get", "QUERY"] {
            refused(
                method,
                path,
                match is_task_verb {
                    true => PathFault::IdColon,
                    false => PathFault::Method,
                },
            );
        }
        assert_eq!(read("OPTIONS", path), Ok(None), "{path}");
    }
    refused("GET", "/message:send", PathFault::Method);
    refused("GET", "/tasks/t1:cancel", PathFault::IdColon);
    refused("PUT", "/tasks/t1:subscribe", PathFault::IdColon);
    refused("POST", "/tasks/t1", PathFault::Method);
    refused("DELETE", "/tasks/t1", PathFault::Method);
    refused("POST", "/tasks", PathFault::Method);
}

#[test]
fn the_path_tells_the_revision_only_where_the_other_one_has_no_such_path() {
    let revision = |path| {
        let call = RestCall::read("GET", path, None).unwrap().unwrap();
        call.revision
    };
    assert_eq!(revision("/v1/card"), Some(Revision::V0_3));
    assert_eq!(revision("/v1/extendedAgentCard"), Some(Revision::V1_0));
    assert_eq!(revision("/v1/tasks/t1"), None);
}

#[test]
fn other_paths_are_not_a2a() {
    for path in [
        "/",
        "*",
        "/mcp",
        "/messages/",
        "/message",
        "/card",
        "/tasks/t1/comments",
        "/tasks/t1/pushNotificationConfigs/p1/x",
        "/subtasks/t1",
        "/.well-known/agent-card.json",
        "/files/a%2Fb",
        "/a//b/../c;d",
        "/caf%E9",
    ] {
        assert_eq!(read("GET", path), Ok(None), "{path}");
    }
}

#[test]
fn ids_are_as_a_body_has_them_and_only_what_must_be_encoded_may_be() {
    for target in ["/tasks/caf%C3%A9%20noir", "/tasks/caf%c3%a9%20noir"] {
        let call = read("GET", target);
        assert_eq!(call, Ok(Some("GetTask café noir - -".into())));
    }
    let raw = read("GET", "/tasks/café");
    assert_eq!(raw, Ok(Some("GetTask café - -".into())));
    for path in [
        "/tasks/%74%31",
        "/tasks/t1%3Acancel",
        "/tasks/t1%2Fcancel",
        "/tasks/%2574",
        "/tasks/a%00",
        "/tasks/%ff",
        "/tasks/%zz",
    ] {
        refused("GET", path, PathFault::NotPlain);
    }
}

#[test]
fn a_disguised_path_of_a2a_is_refused() {
    for path in [
        "/t%61sks/t1",
        "/t%2561sks/t1",
        "/tasks%2ft1",
        "//tasks/t1",
        "/tasks//t1",
        "/./tasks/t1",
        "/x/../tasks/t1",
        "/tasks/t1/../t2",
        "/tasks/..",
        "/tasks/t1;v=1",
        "/tasks;v=1/t1",
        "\\tasks\\t1",
        "/x\\tasks\\t1",
        "/Tasks/t1",
        "/tasks/t1:Subscribe",
        "/extendedagentcard",
        "/message%3Asend",
        "tasks/t1",
        "/tasks#x",
        "/tasks%3FcontextId=c1",
    ] {
        refused("GET", path, PathFault::NotPlain);
    }
    refused("POST", "/Message:Send", PathFault::NotPlain);
}

#[test]
fn a_slash_at_the_end_is_refused() {
    for (method, path, _) in CALLS {
        refused(method, &format!("{path}/"), PathFault::TrailingSlash);
    }
}

#[test]
fn an_id_with_a_colon_is_refused_whether_it_ends_in_a_verb_or_not() {
    for path in [
        "/tasks/t1:unknown",
        "/tasks/t1:",
        "/tasks/a:b:subscribe",
        "/tasks/t1::subscribe",
        "/tasks/t1:cancel:subscribe",
        "/tasks/message:send",
        "/tasks/a:b/pushNotificationConfigs",
        "/tasks/t1/pushNotificationConfigs/a:b",
    ] {
        refused("GET", path, PathFault::IdColon);
    }
    refused("GET", "/tasks/:subscribe", PathFault::IdEmpty);
}

#[test]
fn an_id_that_is_itself_the_end_of_a_path_is_refused() {
    for path in [
        "/tasks/tasks",
        "/tasks/Tasks",
        "/tasks/extendedAgentCard",
        "/tasks/tasks/pushNotificationConfigs",
        "/tasks/tasks:subscribe",
        "/tasks/tasks/subscribe",
        "/tasks/t1/pushNotificationConfigs/tasks",
        "/tasks/t1/pushNotificationConfigs/extendedAgentCard",
    ] {
        refused("GET", path, PathFault::IdReserved);
    }
}

#[test]
fn reads_the_context_whose_tasks_are_listed() {
    for (query, context) in [
        ("contextId=c1", "c1"),
        ("pageSize=5&context_id=c1&status=x", "c1"),
        ("contextId=a%3Ab%20%C3%A9", "a:b é"),
        ("contextId=", "-"),
        ("context=c1", "-"),
        ("", "-"),
    ] {
        let call = read("GET", &format!("/tasks?{query}"));
        let said = format!("ListTasks - - {context}");
        assert_eq!(call, Ok(Some(said)), "{query}");
    }
    let elsewhere = read("GET", "/tasks/t1?contextId=c1&contextId=c2");
    assert_eq!(elsewhere, Ok(Some("GetTask t1 - -".into())));
}

#[test]
fn two_contexts_or_one_that_is_oddly_written_are_refused() {
    for query in [
        "contextId=c1&contextId=c1",
        "contextId=c1&context_id=c2",
        "contextId=&contextId=c1",
    ] {
        let target = format!("/tasks?{query}");
        refused("GET", &target, PathFault::ContextTwice);
    }
    for query in [
        "contextId",
        "contextid=c1",
        "context%49d=c1",
        "context%2549d=c1",
        "contextId[]=c1",
        "filter.contextId=c1",
        "a=b;contextId=c1",
        "contextId=c1;contextId=c2",
        "contextId=c1%26contextId=c2",
        "a=b%26contextId=c2",
        "contextId=a+b",
        "contextId=a%2Bb",
        "contextId=a%2541",
        "contextId=a%0A",
        "contextId=%ff",
        "contextId=%4",
    ] {
        let target = format!("/tasks?{query}");
        refused("GET", &target, PathFault::ContextSpelling);
    }
}
