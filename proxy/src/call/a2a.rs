//! A2A's operations, and how each binding and revision names them.
//!
//! Takes the name of a method as it came; gives the operation and the revision it belongs to, and where a JSON
//! body has the ids. Reads no bodies itself. Paths of the HTTP+JSON binding have ids inside: `rest` reads those.
//!
//! Sources: A2A 1.0 §5.3 and its `a2a.proto` (package `lf.a2a.v1`, as in the crate a2a-pb 0.3.2); A2A 0.3.0 §3.5.6
//! and its `a2a.proto` (package `a2a.v1`, as in a2a-sdk 1.3.0 for Python, `compat/v0_3/a2a_v0_3.proto`).

/// A revision of A2A, as `A2A-Version` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Revision {
    /// 0.3.
    V0_3,
    /// 1.0.
    V1_0,
}

impl Revision {
    /// As in the field `A2A-Version`: Major.Minor (A2A 1.0 §3.6).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V0_3 => "0.3",
            Self::V1_0 => "1.0",
        }
    }
}

/// An operation of A2A, by its name in 1.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Ends a task.
    CancelTask,
    /// Has the agent report on a task by HTTP.
    CreateTaskPushNotificationConfig,
    /// Ends such reports.
    DeleteTaskPushNotificationConfig,
    /// The card for callers that are known.
    GetExtendedAgentCard,
    /// One task.
    GetTask,
    /// Where reports on a task go.
    GetTaskPushNotificationConfig,
    /// All of that for one task.
    ListTaskPushNotificationConfigs,
    /// The tasks of the caller, or of one context.
    ListTasks,
    /// A message, answered once.
    SendMessage,
    /// A message, answered by a stream.
    SendStreamingMessage,
    /// The stream of a task that is under way.
    SubscribeToTask,
}

/// Where a JSON body has an id: member names from `params` inwards, or from the body itself in HTTP+JSON.
pub type Members = &'static [&'static str];

/// One operation in every binding and revision. `None`: that revision does not have it there.
#[derive(Debug, Clone, Copy)]
struct Row {
    /// The same in JSON-RPC and gRPC of 1.0 (A2A 1.0 §5.3), and for us.
    name: &'static str,
    json_rpc_v0_3: Option<&'static str>,
    grpc_v0_3: Option<&'static str>,
    task: Ids,
    push_config: Ids,
}

/// Where an id is in the JSON of each revision.
#[derive(Debug, Clone, Copy)]
struct Ids {
    v0_3: Option<Members>,
    v1_0: Option<Members>,
}

const NONE: Ids = Ids {
    v0_3: None,
    v1_0: None,
};
/// `TaskIdParams` of 0.3, and the requests of 1.0 that name nothing but a task.
const ID: Ids = Ids {
    v0_3: Some(&["id"]),
    v1_0: Some(&["id"]),
};
const MESSAGE_TASK: Ids = Ids {
    v0_3: Some(&["message", "taskId"]),
    v1_0: Some(&["message", "taskId"]),
};
const MESSAGE_CONFIG: Ids = Ids {
    v0_3: Some(&["configuration", "pushNotificationConfig", "id"]),
    v1_0: Some(&["configuration", "taskPushNotificationConfig", "id"]),
};
const CREATED_TASK: Ids = Ids {
    v0_3: Some(&["taskId"]),
    v1_0: Some(&["taskId"]),
};
const CREATED_CONFIG: Ids = Ids {
    v0_3: Some(&["pushNotificationConfig", "id"]),
    v1_0: Some(&["id"]),
};
/// In 0.3 `id` is the task; in 1.0 it is the configuration.
const OWNING_TASK: Ids = Ids {
    v0_3: Some(&["id"]),
    v1_0: Some(&["taskId"]),
};
const OWNED_CONFIG: Ids = Ids {
    v0_3: Some(&["pushNotificationConfigId"]),
    v1_0: Some(&["id"]),
};

/// The gRPC service of each revision, as it begins a path.
const SERVICES: [(Revision, &str); 2] = [
    (Revision::V0_3, "/a2a.v1.A2AService/"),
    (Revision::V1_0, "/lf.a2a.v1.A2AService/"),
];

impl Operation {
    const ALL: [Self; 11] = [
        Self::CancelTask,
        Self::CreateTaskPushNotificationConfig,
        Self::DeleteTaskPushNotificationConfig,
        Self::GetExtendedAgentCard,
        Self::GetTask,
        Self::GetTaskPushNotificationConfig,
        Self::ListTaskPushNotificationConfigs,
        Self::ListTasks,
        Self::SendMessage,
        Self::SendStreamingMessage,
        Self::SubscribeToTask,
    ];

    /// The table.
    const fn row(self) -> Row {
        match self {
            Self::CancelTask => row(
                "CancelTask",
                Some("tasks/cancel"),
                Some("CancelTask"),
                ID,
                NONE,
            ),
            Self::CreateTaskPushNotificationConfig => row(
                "CreateTaskPushNotificationConfig",
                Some("tasks/pushNotificationConfig/set"),
                Some("CreateTaskPushNotificationConfig"),
                CREATED_TASK,
                CREATED_CONFIG,
            ),
            Self::DeleteTaskPushNotificationConfig => row(
                "DeleteTaskPushNotificationConfig",
                Some("tasks/pushNotificationConfig/delete"),
                Some("DeleteTaskPushNotificationConfig"),
                OWNING_TASK,
                OWNED_CONFIG,
            ),
            Self::GetExtendedAgentCard => row(
                "GetExtendedAgentCard",
                Some("agent/getAuthenticatedExtendedCard"),
                Some("GetAgentCard"),
                NONE,
                NONE,
            ),
            Self::GetTask => row("GetTask", Some("tasks/get"), Some("GetTask"), ID, NONE),
            Self::GetTaskPushNotificationConfig => row(
                "GetTaskPushNotificationConfig",
                Some("tasks/pushNotificationConfig/get"),
                Some("GetTaskPushNotificationConfig"),
                OWNING_TASK,
                OWNED_CONFIG,
            ),
            Self::ListTaskPushNotificationConfigs => row(
                "ListTaskPushNotificationConfigs",
                Some("tasks/pushNotificationConfig/list"),
                Some("ListTaskPushNotificationConfig"),
                OWNING_TASK,
                NONE,
            ),
            Self::ListTasks => row("ListTasks", None, None, NONE, NONE),
            Self::SendMessage => row(
                "SendMessage",
                Some("message/send"),
                Some("SendMessage"),
                MESSAGE_TASK,
                MESSAGE_CONFIG,
            ),
            Self::SendStreamingMessage => row(
                "SendStreamingMessage",
                Some("message/stream"),
                Some("SendStreamingMessage"),
                MESSAGE_TASK,
                MESSAGE_CONFIG,
            ),
            Self::SubscribeToTask => row(
                "SubscribeToTask",
                Some("tasks/resubscribe"),
                Some("TaskSubscription"),
                ID,
                NONE,
            ),
        }
    }

    /// The operation that a JSON-RPC `method` asks for. The two revisions share no name, so it tells both.
    ///
    /// Names are compared octet by octet, as JSON-RPC 2.0 §4 has it.
    pub fn from_json_rpc(method: &str) -> Option<(Revision, Self)> {
        Self::ALL.into_iter().find_map(|operation| {
            let row = operation.row();
            if row.name == method {
                return Some((Revision::V1_0, operation));
            }
            let is_old = row.json_rpc_v0_3 == Some(method);
            is_old.then_some((Revision::V0_3, operation))
        })
    }

    /// The operation that a gRPC path asks for.
    ///
    /// `None` for other services, and for methods that A2A's service does not have.
    pub fn from_grpc(path: &str) -> Option<(Revision, Self)> {
        let (revision, method) = SERVICES.iter().find_map(|(revision, service)| {
            path.strip_prefix(service).map(|method| (*revision, method))
        })?;
        let operation = Self::ALL.into_iter().find(|operation| match revision {
            Revision::V0_3 => operation.row().grpc_v0_3 == Some(method),
            Revision::V1_0 => operation.row().name == method,
        })?;
        Some((revision, operation))
    }

    /// Name in 1.0, and in records.
    pub fn as_str(self) -> &'static str {
        self.row().name
    }

    /// Whether it brings a message, which may name a task and a context.
    pub fn sends_message(self) -> bool {
        matches!(self, Self::SendMessage | Self::SendStreamingMessage)
    }

    /// Where JSON-RPC's `params` have the task's id. Readers of protobuf JSON also take it in snake case.
    pub fn task_members(self, revision: Revision) -> Option<Members> {
        self.row().task.of(revision)
    }

    /// Where JSON-RPC's `params` have the id of a push notification configuration.
    pub fn push_config_members(self, revision: Revision) -> Option<Members> {
        self.row().push_config.of(revision)
    }
}

/// A row, with its columns in the order of [`Row`].
const fn row(
    name: &'static str,
    json_rpc_v0_3: Option<&'static str>,
    grpc_v0_3: Option<&'static str>,
    task: Ids,
    push_config: Ids,
) -> Row {
    Row {
        name,
        json_rpc_v0_3,
        grpc_v0_3,
        task,
        push_config,
    }
}

impl Ids {
    fn of(self, revision: Revision) -> Option<Members> {
        match revision {
            Revision::V0_3 => self.v0_3,
            Revision::V1_0 => self.v1_0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_one_row_and_every_name_leads_back_to_it() {
        for operation in Operation::ALL {
            let row = operation.row();
            assert_eq!(format!("{operation:?}"), operation.as_str());
            let found = Operation::from_json_rpc(row.name);
            assert_eq!(found, Some((Revision::V1_0, operation)));
            let path = format!("/lf.a2a.v1.A2AService/{}", row.name);
            let found = Operation::from_grpc(&path);
            assert_eq!(found, Some((Revision::V1_0, operation)));
            if let Some(name) = row.json_rpc_v0_3 {
                let found = Operation::from_json_rpc(name);
                assert_eq!(found, Some((Revision::V0_3, operation)));
            }
            if let Some(name) = row.grpc_v0_3 {
                let found = Operation::from_grpc(&format!("/a2a.v1.A2AService/{name}"));
                assert_eq!(found, Some((Revision::V0_3, operation)));
            }
        }
    }

    #[test]
    fn names_of_other_revisions_cases_and_services_are_unknown() {
        for name in [
            "sendMessage",
            "SendMessage ",
            "tasks/list",
            "message:send",
            "",
        ] {
            assert_eq!(Operation::from_json_rpc(name), None, "{name}");
        }
        for path in [
            "/lf.a2a.v1.A2AService/TaskSubscription",
            "/a2a.v1.A2AService/SubscribeToTask",
            "/a2a.v1.A2AService/ListTasks",
            "/lf.a2a.v1.A2AService/SendMessage/",
            "/lf.a2a.v1.A2AService/",
            "lf.a2a.v1.A2AService/SendMessage",
            "/grpc.health.v1.Health/Check",
        ] {
            assert_eq!(Operation::from_grpc(path), None, "{path}");
        }
    }

    #[test]
    fn the_member_id_is_the_task_in_0_3_and_the_configuration_in_1_0() {
        let operation = Operation::DeleteTaskPushNotificationConfig;
        let id: Option<Members> = Some(&["id"]);
        assert_eq!(operation.task_members(Revision::V0_3), id);
        assert_eq!(operation.push_config_members(Revision::V1_0), id);
    }
}
