use std::fs;
use std::path::Path;

use a2a_pb::proto;
use prost::Message;

use super::*;

/// Task, context and configuration in a request of 1.0, as the types that the A2A project generates have them.
fn generated(operation: Operation, message: &[u8]) -> [String; 3] {
    let none = String::new;
    match operation {
        Operation::SendMessage | Operation::SendStreamingMessage => {
            let request = proto::SendMessageRequest::decode(message).unwrap();
            let said = request.message.unwrap_or_default();
            let configuration = request.configuration.unwrap_or_default();
            let push = configuration.task_push_notification_config;
            [said.task_id, said.context_id, push.unwrap_or_default().id]
        }
        Operation::GetTask => {
            let request = proto::GetTaskRequest::decode(message).unwrap();
            [request.id, none(), none()]
        }
        Operation::CancelTask => {
            let request = proto::CancelTaskRequest::decode(message).unwrap();
            [request.id, none(), none()]
        }
        Operation::SubscribeToTask => {
            let request = proto::SubscribeToTaskRequest::decode(message).unwrap();
            [request.id, none(), none()]
        }
        Operation::ListTasks => {
            let request = proto::ListTasksRequest::decode(message).unwrap();
            [none(), request.context_id, none()]
        }
        Operation::CreateTaskPushNotificationConfig => {
            let request = proto::TaskPushNotificationConfig::decode(message).unwrap();
            [request.task_id, none(), request.id]
        }
        Operation::GetTaskPushNotificationConfig => {
            let request = proto::GetTaskPushNotificationConfigRequest::decode(message).unwrap();
            [request.task_id, none(), request.id]
        }
        Operation::DeleteTaskPushNotificationConfig => {
            let request = proto::DeleteTaskPushNotificationConfigRequest::decode(message).unwrap();
            [request.task_id, none(), request.id]
        }
        Operation::ListTaskPushNotificationConfigs => {
            let request = proto::ListTaskPushNotificationConfigsRequest::decode(message).unwrap();
            [request.task_id, none(), none()]
        }
        Operation::GetExtendedAgentCard => {
            proto::GetExtendedAgentCardRequest::decode(message).unwrap();
            [none(), none(), none()]
        }
    }
}

#[test]
fn every_accepted_call_of_1_0_says_the_same_to_the_generated_types() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/grpc_call");
    let mut operations = std::collections::HashSet::new();
    for entry in fs::read_dir(corpus).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if !name.starts_with("accepted-1_0") {
            continue;
        }
        println!("{name}");
        let seed = fs::read(&path).unwrap();
        let end = seed.iter().position(|byte| *byte == b'\n').unwrap();
        let (path, body) = (&seed[..end], &seed[end + 1..]);
        let path = std::str::from_utf8(path).unwrap();
        let call = GrpcCall::read(path, body).unwrap().unwrap();
        let ids = owned(&call.ids);
        let said = [ids.task, ids.context, ids.push_config];
        let message = unframed(body).unwrap();
        assert_eq!(said, generated(call.operation, message));
        operations.insert(call.operation);
    }
    assert_eq!(operations.len(), 11, "an operation has no seed");
}
