use super::*;

const V1_0: &str = "/lf.a2a.v1.A2AService/";
const V0_3: &str = "/a2a.v1.A2AService/";

/// A length-delimited field.
fn field(number: u8, value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    let len = u8::try_from(value.len()).unwrap();
    assert!(number < 16 && len < 128);
    [&[number << 3 | 2, len], value].concat()
}

fn message(fields: &[Vec<u8>]) -> Vec<u8> {
    fields.concat()
}

fn body(message: &[u8]) -> Vec<u8> {
    let len = u32::try_from(message.len()).unwrap();
    [&[0][..], &len.to_be_bytes(), message].concat()
}

/// Reads a call whose message has these fields; its ids as `task context references config tenant`.
fn read(service: &str, method: &str, fields: &[Vec<u8>]) -> Result<String, GrpcFault> {
    let body = body(&message(fields));
    let path = format!("{service}{method}");
    let call = GrpcCall::read(&path, &body)?.expect("a method of A2A");
    let word = |id: Option<&str>| id.unwrap_or("-").to_owned();
    Ok([
        word(call.ids.task),
        word(call.ids.context),
        call.ids.references.join("+"),
        word(call.ids.push_config),
        word(call.ids.tenant),
    ]
    .join(" "))
}

#[test]
fn reads_every_id_of_a_message_in_1_0() {
    let inner = message(&[
        field(1, "m1"),
        field(2, "c1"),
        field(3, "t1"),
        field(5, b"\x0a\x02hi"),
        field(8, "t2"),
        field(8, "t3"),
    ]);
    let configured = field(2, message(&[field(2, "p1"), field(4, "https://x")]));
    let fields = [field(1, "acme"), field(2, inner), field(3, configured)];
    for method in ["SendMessage", "SendStreamingMessage"] {
        let ids = read(V1_0, method, &fields);
        assert_eq!(ids.as_deref(), Ok("t1 c1 t2+t3 p1 acme"));
    }
    let empty = read(V1_0, "SendMessage", &[]);
    assert_eq!(empty.as_deref(), Ok("- -  - -"));
}

#[test]
fn reads_the_ids_of_every_other_request_in_1_0() {
    for method in ["GetTask", "CancelTask", "SubscribeToTask"] {
        let ids = read(V1_0, method, &[field(2, "t1"), field(1, "acme")]);
        assert_eq!(ids.as_deref(), Ok("t1 -  - acme"));
    }
    for method in [
        "GetTaskPushNotificationConfig",
        "DeleteTaskPushNotificationConfig",
    ] {
        let ids = read(V1_0, method, &[field(2, "t1"), field(3, "p1")]);
        assert_eq!(ids.as_deref(), Ok("t1 -  p1 -"));
    }
    let created = [field(2, "p1"), field(3, "t1")];
    let created = read(V1_0, "CreateTaskPushNotificationConfig", &created);
    assert_eq!(created.as_deref(), Ok("t1 -  p1 -"));
    let listed = [field(4, "acme"), field(1, "t1")];
    let listed = read(V1_0, "ListTaskPushNotificationConfigs", &listed);
    assert_eq!(listed.as_deref(), Ok("t1 -  - acme"));
    let tasks = read(V1_0, "ListTasks", &[field(1, "acme"), field(2, "c1")]);
    assert_eq!(tasks.as_deref(), Ok("- c1  - acme"));
    let card = read(V1_0, "GetExtendedAgentCard", &[field(1, "acme")]);
    assert_eq!(card.as_deref(), Ok("- -  - acme"));
}

#[test]
fn reads_the_ids_of_every_request_in_0_3() {
    let inner = message(&[field(2, "c1"), field(3, "t1"), field(8, "not read")]);
    let configured = field(2, field(1, "p1"));
    let sent = [field(1, inner), field(2, configured)];
    let sent = read(V0_3, "SendMessage", &sent);
    assert_eq!(sent.as_deref(), Ok("t1 c1  p1 -"));
    for method in ["GetTask", "CancelTask", "TaskSubscription"] {
        let ids = read(V0_3, method, &[field(1, "tasks/t1")]);
        assert_eq!(ids.as_deref(), Ok("t1 -  - -"));
    }
    for method in [
        "GetTaskPushNotificationConfig",
        "DeleteTaskPushNotificationConfig",
    ] {
        let name = field(1, "tasks/t1/pushNotificationConfigs/p1");
        let ids = read(V0_3, method, &[name]);
        assert_eq!(ids.as_deref(), Ok("t1 -  p1 -"));
    }
    let listed = [field(1, "tasks/t1")];
    let listed = read(V0_3, "ListTaskPushNotificationConfig", &listed);
    assert_eq!(listed.as_deref(), Ok("t1 -  - -"));
    let card = read(V0_3, "GetAgentCard", &[]);
    assert_eq!(card.as_deref(), Ok("- -  - -"));
}

#[test]
fn all_places_that_name_what_0_3_creates_must_agree() {
    let create = |parent: &str, id: &str, name: &str, inner: &str| {
        let config = message(&[field(1, name), field(2, field(1, inner))]);
        let fields = [field(1, parent), field(2, id), field(3, config)];
        read(V0_3, "CreateTaskPushNotificationConfig", &fields)
    };
    let name = "tasks/t1/pushNotificationConfigs/p1";
    let whole = create("tasks/t1", "p1", name, "p1");
    assert_eq!(whole.as_deref(), Ok("t1 -  p1 -"));
    let parent = create("tasks/t1/pushNotificationConfigs", "", "", "");
    assert_eq!(parent.as_deref(), Ok("t1 -  - -"));
    for (parent, id, name, inner) in [
        ("tasks/t2", "p1", name, "p1"),
        ("tasks/t1", "p2", name, "p1"),
        ("tasks/t1", "p1", name, "p2"),
        ("tasks/t1", "p1", "", "p2"),
    ] {
        let refused = create(parent, id, name, inner);
        assert_eq!(refused, Err(GrpcFault::IdsDiffer));
    }
}

#[test]
fn refuses_resource_names_that_are_not_exactly_of_their_form() {
    for name in [
        "t1",
        "tasks/",
        "tasks/t1/",
        "tasks/t1/x",
        "/tasks/t1",
        "Tasks/t1",
        "tasks/t1/pushNotificationConfigs/p1",
    ] {
        let refused = read(V0_3, "GetTask", &[field(1, name)]);
        assert_eq!(refused, Err(GrpcFault::ResourceName), "{name}");
    }
    for name in [
        "tasks/t1",
        "tasks//pushNotificationConfigs/p1",
        "tasks/t1/pushNotificationConfigs/",
        "tasks/t1/pushNotificationConfigs/p1/x",
        "tasks/t1/x/pushNotificationConfigs/p1",
    ] {
        let refused = read(V0_3, "GetTaskPushNotificationConfig", &[field(1, name)]);
        assert_eq!(refused, Err(GrpcFault::ResourceName), "{name}");
    }
}

#[test]
fn refuses_what_protobuf_would_merge_or_take_the_last_of() {
    let sent = |fields: &[Vec<u8>]| read(V1_0, "SendMessage", fields);
    let message_twice = [field(2, field(3, "t1")), field(2, field(3, "t2"))];
    let refused = Err(GrpcFault::FieldTwice);
    assert_eq!(sent(&message_twice), refused);
    let task_twice = [field(3, "t1"), field(3, "t1")].concat();
    assert_eq!(sent(&[field(2, task_twice)]), refused);
    let emptied = [field(3, "t1"), field(3, "")].concat();
    assert_eq!(sent(&[field(2, emptied)]), refused);
    let configuration_twice = [field(3, ""), field(3, "")];
    assert_eq!(sent(&configuration_twice), refused);
    let id_twice = [field(2, "t1"), field(2, "t2")];
    assert_eq!(read(V1_0, "GetTask", &id_twice), refused);
}

#[test]
fn refuses_a_configuration_for_another_task_or_tenant_than_the_message() {
    let send = |task: &str, tenant: &str| {
        let configured = message(&[field(1, tenant), field(2, "p1"), field(3, task)]);
        let fields = [
            field(1, "acme"),
            field(2, field(3, "t1")),
            field(3, field(2, configured)),
        ];
        read(V1_0, "SendMessage", &fields)
    };
    assert_eq!(send("t1", "acme").as_deref(), Ok("t1 -  p1 acme"));
    assert_eq!(send("", "").as_deref(), Ok("t1 -  p1 acme"));
    assert_eq!(send("t2", ""), Err(GrpcFault::IdsDiffer));
    assert_eq!(send("", "other"), Err(GrpcFault::IdsDiffer));
    let no_message = [field(3, field(2, field(3, "t2")))];
    let refused = read(V1_0, "SendMessage", &no_message);
    assert_eq!(refused, Err(GrpcFault::IdsDiffer));
}

#[test]
fn refuses_an_operation_on_a_task_or_configuration_without_its_id() {
    let missing = Err(GrpcFault::IdMissing);
    assert_eq!(read(V1_0, "GetTask", &[]), missing);
    assert_eq!(read(V1_0, "CancelTask", &[field(2, "")]), missing);
    assert_eq!(read(V0_3, "TaskSubscription", &[]), missing);
    let no_config = [field(2, "t1")];
    let refused = read(V1_0, "DeleteTaskPushNotificationConfig", &no_config);
    assert_eq!(refused, missing);
    let no_reference = [field(2, field(8, ""))];
    assert_eq!(read(V1_0, "SendMessage", &no_reference), missing);
}

#[test]
fn takes_64_references_and_refuses_the_65th() {
    let send = |count: usize| {
        let inner = vec![field(8, "t"); count].concat();
        let len = [u8::try_from(inner.len() % 128).unwrap() | 0x80, 1];
        let message = [&[0x12], &len[..], &inner].concat();
        let body = body(&message);
        GrpcCall::read("/lf.a2a.v1.A2AService/SendMessage", &body)
            .map(|call| call.map_or(0, |call| call.ids.references.len()))
    };
    assert_eq!(send(64), Ok(64));
    assert_eq!(send(65), Err(GrpcFault::TooManyReferences));
}

#[test]
fn refuses_ids_that_are_not_strings() {
    let not_text = [field(2, b"\xff")];
    assert_eq!(read(V1_0, "GetTask", &not_text), Err(GrpcFault::NotUtf8));
    let number = [b"\x10\x01".to_vec()];
    assert_eq!(read(V1_0, "GetTask", &number), Err(GrpcFault::WireType));
    let message_is_number = [b"\x15....".to_vec()];
    let refused = read(V1_0, "SendMessage", &message_is_number);
    assert_eq!(refused, Err(GrpcFault::WireType));
}

#[test]
fn refuses_malformed_bytes_beside_the_ids_and_skips_all_that_is_well_formed() {
    let skipped = [field(2, "t1"), b"\x18\x01".to_vec(), field(15, b"\x0b\xff")];
    assert_eq!(read(V1_0, "GetTask", &skipped).as_deref(), Ok("t1 -  - -"));
    let group = [field(2, "t1"), b"\x7b\x7c".to_vec()];
    assert_eq!(read(V1_0, "GetTask", &group), Err(GrpcFault::Group));
    let cut = [field(2, "t1"), b"\x7a\x05x".to_vec()];
    assert_eq!(read(V1_0, "GetTask", &cut), Err(GrpcFault::Truncated));
}

#[test]
fn takes_exactly_one_uncompressed_message() {
    let one = body(&field(2, "t1"));
    let read = |body: &[u8]| GrpcCall::read("/lf.a2a.v1.A2AService/GetTask", body).map(|_| ());
    assert_eq!(read(&one), Ok(()));
    for cut in 0..one.len() {
        assert_eq!(read(&one[..cut]), Err(GrpcFault::FrameLen), "{cut}");
    }
    let two = [&one[..], &one].concat();
    assert_eq!(read(&two), Err(GrpcFault::FrameLen));
    let mut flagged = one;
    flagged[0] = 1;
    assert_eq!(read(&flagged), Err(GrpcFault::Compressed));
    flagged[0] = 0x80;
    assert_eq!(read(&flagged), Err(GrpcFault::FrameFlag));
}

#[test]
fn other_services_are_not_a2a_and_what_could_be_a2as_is_refused() {
    for path in ["/grpc.health.v1.Health/Check", "/x/SendMessage", "/"] {
        assert_eq!(GrpcCall::method(path), Ok(None), "{path}");
    }
    for path in [
        "/lf.a2a.v1.A2AService/DropTask",
        "/a2a.v1.A2AService/ListTasks",
        "/lf.a2a.v2.A2AService/SendMessage",
        "//lf.a2a.v1.A2AService/SendMessage",
        "/lf.a2a.v1.a2aservice/sendmessage",
        "/lf.a2a.v1.A2AService%2FSendMessage",
        "/lf.a2a.v1.%41%32AService/SendMessage",
        "/x/lf.a2a.v1.A2AService/SendMessage",
        "/lf.a2a.v1.A2AService",
    ] {
        let method = GrpcCall::method(path);
        assert_eq!(method, Err(GrpcFault::MethodUnknown), "{path}");
    }
}
