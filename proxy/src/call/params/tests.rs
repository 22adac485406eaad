use super::*;

fn read(body: &str) -> Result<Params<'_>, CallFault> {
    Params::of_body(body.as_bytes(), &JsonLimits::default())
}

fn text(token: Option<Token<'_>>) -> Option<String> {
    token.map(|token| token.string().unwrap().into_owned())
}

#[test]
fn a_message_of_a2a_is_read_in_either_spelling() {
    for body in [
        r#"{"tenant":"t","message":{"messageId":"m","taskId":"a","contextId":"c","referenceTaskIds":["x","\u0079"],"parts":[{"text":"hi"}]},"configuration":{"taskPushNotificationConfig":{"id":"p","taskId":"a","url":"http://x/"}}}"#,
        r#"{"tenant":"t","message":{"message_id":"m","task_id":"a","context_id":"c","reference_task_ids":["x","y"]},"configuration":{"task_push_notification_config":{"id":"p","task_id":"a","url":"http://x/"}}}"#,
        r#"{"tenant":"t","request":{"message_id":"m","taskId":"a","context_id":"c","referenceTaskIds":["x","y"]},"configuration":{"pushNotification":{"id":"p","taskId":"a","url":"http:\/\/x/"}}}"#,
    ] {
        let params = read(body).unwrap();
        assert_eq!(text(params.tenant).unwrap(), "t");
        let message = params.message.object().unwrap().unwrap();
        assert_eq!(text(message.message_id).unwrap(), "m");
        assert_eq!(text(message.task_id).unwrap(), "a");
        assert_eq!(text(message.context_id).unwrap(), "c");
        assert_eq!(message.references().unwrap(), ["x", "y"]);
        let configs: Vec<_> = params.push_configs().unwrap().collect();
        let [config] = *configs else { panic!("{body}") };
        assert_eq!(text(config.id).unwrap(), "p");
        assert_eq!(text(config.task_id).unwrap(), "a");
        assert_eq!(text(config.url).unwrap(), "http://x/");
    }
}

#[test]
fn push_configurations_are_found_wherever_a_revision_puts_them() {
    for (body, id, url) in [
        (
            r#"{"taskId":"a","pushNotificationConfig":{"id":"p","url":"u"}}"#,
            "p",
            "u",
        ),
        (
            r#"{"parent":"tasks/a","configId":"p","config":{"name":"tasks/a/pushNotificationConfigs/p","pushNotificationConfig":{"id":"p","url":"u"}}}"#,
            "p",
            "u",
        ),
        (
            r#"{"config":{"push_notification_config":{"id":"p","url":"u"}}}"#,
            "p",
            "u",
        ),
        (
            r#"{"configuration":{"pushNotificationConfig":{"url":"u","id":"p","token":"s"}}}"#,
            "p",
            "u",
        ),
    ] {
        let params = read(body).unwrap();
        let configs: Vec<_> = params.push_configs().unwrap().collect();
        let [config] = *configs else { panic!("{body}") };
        assert_eq!(text(config.id).unwrap(), id);
        assert_eq!(text(config.url).unwrap(), url);
    }
    let flat = read(r#"{"taskId":"a","id":"p","url":"u","pushNotificationConfigId":"q"}"#).unwrap();
    assert_eq!(text(flat.url).unwrap(), "u");
    assert_eq!(text(flat.push_config_id).unwrap(), "q");
    assert_eq!(flat.push_configs().unwrap().count(), 0);
}

#[test]
fn the_same_member_twice_is_refused_wherever_it_is_interpreted() {
    for body in [
        r#"{"id":"a","id":"a"}"#,
        r#"{"taskId":"a","task_id":"a"}"#,
        r#"{"contextId":null,"context_id":"a"}"#,
        r#"{"message":{},"request":{}}"#,
        r#"{"message":{"taskId":"a","task_id":"a"}}"#,
        r#"{"message":{"reference_task_ids":[],"referenceTaskIds":[]}}"#,
        r#"{"message":{"x":1,"x":1}}"#,
        r#"{"configuration":{"x":1,"x":1}}"#,
        r#"{"configuration":{"pushNotificationConfig":{},"taskPushNotificationConfig":{}}}"#,
        r#"{"configuration":{"pushNotificationConfig":{"url":"a","\u0075rl":"b"}}}"#,
        r#"{"config":{"url":"a","pushNotificationConfig":{"url":"b"}}}"#,
        r#"{"config":{},"pushNotificationConfig":{}}"#,
    ] {
        assert_eq!(read(body), Err(CallFault::Duplicate), "{body}");
    }
    for body in [
        r#"{"TaskId":"a"}"#,
        r#"{"message":{"contextID":"a"}}"#,
        r#"{"message":{"Task_Id":"a"}}"#,
        r#"{"configuration":{"pushnotificationconfig":{}}}"#,
        r#"{"pushNotificationConfig":{"URL":"b"}}"#,
        // Protobuf's C library ends a name at a NUL.
        r#"{"taskId":"a","taskId\u0000":"b"}"#,
        r#"{"message":{"context_id\u0000x":"b"}}"#,
    ] {
        assert_eq!(read(body), Err(CallFault::CaseVariant), "{body}");
    }
}

#[test]
fn an_empty_body_has_no_parameters_and_only_an_object_has_any() {
    assert_eq!(read(""), Ok(Params::default()));
    assert_eq!(read("{}"), Ok(Params::default()));
    assert_eq!(read(r#"{"id":null,"message":null}"#), Ok(Params::default()));
    assert_eq!(read("[]"), Err(CallFault::NotAnObject));
    assert_eq!(read("null"), Err(CallFault::NotAnObject));
    assert_eq!(read("{} {}"), Err(CallFault::NotJson { at: 3 }));
    assert_eq!(read(" "), Err(CallFault::NotJson { at: 1 }));
}

#[test]
fn values_are_interpreted_only_when_asked_for() {
    let params = read(r#"{"id":5,"message":"x","configuration":[],"config":7}"#).unwrap();
    assert_eq!(params.id.unwrap().string(), Err(CallFault::WrongType));
    assert_eq!(params.message.object(), Err(CallFault::NotAnObject));
    assert_eq!(params.configuration.object(), Err(CallFault::NotAnObject));
    assert!(params.push_configs().is_err());
}

#[test]
fn references_are_strings_and_bounded() {
    let message = |ids: &str| format!(r#"{{"message":{{"referenceTaskIds":{ids}}}}}"#);
    let references = |ids: &str| {
        let body = message(ids);
        let params = read(&body).unwrap();
        let found = params.message.object().unwrap().unwrap().references();
        found.map(|ids| ids.len())
    };
    let many = |len: usize| format!("[{}]", vec!["\"t\""; len].join(","));
    assert_eq!(references("[]"), Ok(0));
    assert_eq!(references("null"), Ok(0));
    assert_eq!(references(&many(64)), Ok(64));
    assert_eq!(references(&many(65)), Err(CallFault::TooManyReferences));
    assert_eq!(references("[1]"), Err(CallFault::WrongType));
    assert_eq!(references("\"t\""), Err(CallFault::WrongType));
}
