//! Which fields of each request hold ids.
//!
//! Field numbers are those of the two `a2a.proto` that `a2a` names; the message of each is above its table.

use super::super::a2a::{Operation, Revision};

/// The fields of a message that are read, by number.
pub(super) type Schema = &'static [(u64, Read)];

/// What a field is to us.
#[derive(Debug, Clone, Copy)]
pub(super) enum Read {
    /// A message with ids inside.
    Message(Schema),
    /// A task that is referred to; the one field that may come again.
    Reference,
    /// A string.
    Text(Slot),
}

/// What a string is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// Resource name of a configuration (0.3).
    ConfigName,
    /// Task in the configuration that comes with a message (1.0).
    ConfiguredTask,
    /// Tenant there (1.0).
    ConfiguredTenant,
    /// Context.
    Context,
    /// Id in the configuration to create (0.3).
    CreatedConfig,
    /// Resource name of the configuration to create (0.3).
    CreatedName,
    /// Resource name that a configuration is created below (0.3).
    Parent,
    /// Configuration.
    PushConfig,
    /// Task.
    Task,
    /// Resource name of a task (0.3).
    TaskName,
    /// Tenant.
    Tenant,
}

/// The fields to read in a request.
pub(super) fn of(revision: Revision, operation: Operation) -> Schema {
    match revision {
        Revision::V0_3 => of_v0_3(operation),
        Revision::V1_0 => of_v1_0(operation),
    }
}

fn of_v1_0(operation: Operation) -> Schema {
    match operation {
        Operation::CancelTask | Operation::GetTask | Operation::SubscribeToTask => TASK,
        Operation::CreateTaskPushNotificationConfig => CREATED,
        Operation::DeleteTaskPushNotificationConfig | Operation::GetTaskPushNotificationConfig => {
            PUSH_CONFIG
        }
        Operation::GetExtendedAgentCard => CARD,
        Operation::ListTaskPushNotificationConfigs => PUSH_CONFIGS,
        Operation::ListTasks => TASKS,
        Operation::SendMessage | Operation::SendStreamingMessage => SEND,
    }
}

fn of_v0_3(operation: Operation) -> Schema {
    match operation {
        Operation::CancelTask | Operation::GetTask | Operation::SubscribeToTask => TASK_V0_3,
        Operation::CreateTaskPushNotificationConfig => CREATE_V0_3,
        Operation::DeleteTaskPushNotificationConfig | Operation::GetTaskPushNotificationConfig => {
            PUSH_CONFIG_V0_3
        }
        // `GetAgentCardRequest` is empty, and there is no `ListTasks`.
        Operation::GetExtendedAgentCard | Operation::ListTasks => &[],
        Operation::ListTaskPushNotificationConfigs => PUSH_CONFIGS_V0_3,
        Operation::SendMessage | Operation::SendStreamingMessage => SEND_V0_3,
    }
}

/// `SendMessageRequest` of 1.0.
const SEND: Schema = &[
    (1, Read::Text(Slot::Tenant)),
    (2, Read::Message(MESSAGE)),
    (3, Read::Message(CONFIGURATION)),
];
/// `Message` of 1.0.
const MESSAGE: Schema = &[
    (2, Read::Text(Slot::Context)),
    (3, Read::Text(Slot::Task)),
    (8, Read::Reference),
];
/// `SendMessageConfiguration` of 1.0.
const CONFIGURATION: Schema = &[(2, Read::Message(CONFIGURED))];
/// `TaskPushNotificationConfig` of 1.0 in a `SendMessageConfiguration`.
const CONFIGURED: Schema = &[
    (1, Read::Text(Slot::ConfiguredTenant)),
    (2, Read::Text(Slot::PushConfig)),
    (3, Read::Text(Slot::ConfiguredTask)),
];
/// `TaskPushNotificationConfig` of 1.0 as a request.
const CREATED: Schema = &[
    (1, Read::Text(Slot::Tenant)),
    (2, Read::Text(Slot::PushConfig)),
    (3, Read::Text(Slot::Task)),
];
/// `GetTaskRequest`, `CancelTaskRequest` and `SubscribeToTaskRequest` of 1.0.
const TASK: Schema = &[(1, Read::Text(Slot::Tenant)), (2, Read::Text(Slot::Task))];
/// `ListTasksRequest` of 1.0.
const TASKS: Schema = &[
    (1, Read::Text(Slot::Tenant)),
    (2, Read::Text(Slot::Context)),
];
/// `GetTaskPushNotificationConfigRequest` and `DeleteTaskPushNotificationConfigRequest` of 1.0.
const PUSH_CONFIG: Schema = &[
    (1, Read::Text(Slot::Tenant)),
    (2, Read::Text(Slot::Task)),
    (3, Read::Text(Slot::PushConfig)),
];
/// `ListTaskPushNotificationConfigsRequest` of 1.0; its tenant is not field 1.
const PUSH_CONFIGS: Schema = &[(1, Read::Text(Slot::Task)), (4, Read::Text(Slot::Tenant))];
/// `GetExtendedAgentCardRequest` of 1.0.
const CARD: Schema = &[(1, Read::Text(Slot::Tenant))];

/// `SendMessageRequest` of 0.3.
const SEND_V0_3: Schema = &[
    (1, Read::Message(MESSAGE_V0_3)),
    (2, Read::Message(CONFIGURATION_V0_3)),
];
/// `Message` of 0.3, which refers to no other tasks.
const MESSAGE_V0_3: Schema = &[(2, Read::Text(Slot::Context)), (3, Read::Text(Slot::Task))];
/// `SendMessageConfiguration` of 0.3.
const CONFIGURATION_V0_3: Schema = &[(2, Read::Message(CONFIGURED_V0_3))];
/// `PushNotificationConfig` of 0.3 in a `SendMessageConfiguration`.
const CONFIGURED_V0_3: Schema = &[(1, Read::Text(Slot::PushConfig))];
/// `GetTaskRequest`, `CancelTaskRequest` and `TaskSubscriptionRequest` of 0.3.
const TASK_V0_3: Schema = &[(1, Read::Text(Slot::TaskName))];
/// `CreateTaskPushNotificationConfigRequest` of 0.3.
const CREATE_V0_3: Schema = &[
    (1, Read::Text(Slot::Parent)),
    (2, Read::Text(Slot::PushConfig)),
    (3, Read::Message(CREATED_V0_3)),
];
/// `TaskPushNotificationConfig` of 0.3.
const CREATED_V0_3: Schema = &[
    (1, Read::Text(Slot::CreatedName)),
    (2, Read::Message(CREATED_INNER_V0_3)),
];
/// `PushNotificationConfig` of 0.3 in a `TaskPushNotificationConfig`.
const CREATED_INNER_V0_3: Schema = &[(1, Read::Text(Slot::CreatedConfig))];
/// `GetTaskPushNotificationConfigRequest` and `DeleteTaskPushNotificationConfigRequest` of 0.3.
const PUSH_CONFIG_V0_3: Schema = &[(1, Read::Text(Slot::ConfigName))];
/// `ListTaskPushNotificationConfigRequest` of 0.3.
const PUSH_CONFIGS_V0_3: Schema = &[(1, Read::Text(Slot::TaskName))];
