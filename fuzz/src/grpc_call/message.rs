//! A second reader of A2A's requests: prost's, with every field repeated, so that nothing is merged and whatever
//! comes twice is seen.
//!
//! Source: `a2a.proto` of A2A 1.0 (package `lf.a2a.v1`) and of 0.3 (package `a2a.v1`).

use pqlane::hostile::{A2aRevision, Operation};
use prost::Message;

/// Why there are no ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unread {
    /// Two places name different things.
    Differ,
    /// A resource name is not of its form.
    Name,
    /// prost does not take it.
    Prost(String),
    /// A field comes twice.
    Twice,
}

/// The ids of a request; empty where there is none.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) task: String,
    pub(super) context: String,
    pub(super) references: Vec<String>,
    pub(super) push_config: String,
    pub(super) tenant: String,
}

/// What three fields mean is said where they are read.
#[derive(Clone, PartialEq, Message)]
struct FirstThree {
    #[prost(string, repeated, tag = "1")]
    first: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    second: Vec<String>,
    #[prost(string, repeated, tag = "3")]
    third: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Sent {
    #[prost(string, repeated, tag = "1")]
    tenant: Vec<String>,
    #[prost(message, repeated, tag = "2")]
    message: Vec<Said>,
    #[prost(message, repeated, tag = "3")]
    configuration: Vec<Configuration>,
}

#[derive(Clone, PartialEq, Message)]
struct Said {
    #[prost(string, repeated, tag = "2")]
    context_id: Vec<String>,
    #[prost(string, repeated, tag = "3")]
    task_id: Vec<String>,
    #[prost(string, repeated, tag = "8")]
    reference_task_ids: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Configuration {
    #[prost(message, repeated, tag = "2")]
    push: Vec<FirstThree>,
}

#[derive(Clone, PartialEq, Message)]
struct OldSent {
    #[prost(message, repeated, tag = "1")]
    request: Vec<OldSaid>,
    #[prost(message, repeated, tag = "2")]
    configuration: Vec<OldConfiguration>,
}

#[derive(Clone, PartialEq, Message)]
struct OldSaid {
    #[prost(string, repeated, tag = "2")]
    context_id: Vec<String>,
    #[prost(string, repeated, tag = "3")]
    task_id: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct OldConfiguration {
    #[prost(message, repeated, tag = "2")]
    push: Vec<First>,
}

#[derive(Clone, PartialEq, Message)]
struct Nothing {}

#[derive(Clone, PartialEq, Message)]
struct First {
    #[prost(string, repeated, tag = "1")]
    first: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct FirstTwo {
    #[prost(string, repeated, tag = "1")]
    first: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    second: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct FirstAndFourth {
    #[prost(string, repeated, tag = "1")]
    first: Vec<String>,
    #[prost(string, repeated, tag = "4")]
    fourth: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct OldCreated {
    #[prost(string, repeated, tag = "1")]
    parent: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    config_id: Vec<String>,
    #[prost(message, repeated, tag = "3")]
    config: Vec<OldCreatedConfig>,
}

#[derive(Clone, PartialEq, Message)]
struct OldCreatedConfig {
    #[prost(string, repeated, tag = "1")]
    name: Vec<String>,
    #[prost(message, repeated, tag = "2")]
    push: Vec<First>,
}

impl Ids {
    pub(super) fn read(
        revision: A2aRevision,
        operation: Operation,
        bytes: &[u8],
    ) -> Result<Self, Unread> {
        match revision {
            A2aRevision::V0_3 => Self::read_v0_3(operation, bytes),
            A2aRevision::V1_0 => Self::read_v1_0(operation, bytes),
        }
    }

    fn read_v1_0(operation: Operation, bytes: &[u8]) -> Result<Self, Unread> {
        let mut ids = Self::default();
        match operation {
            Operation::SendMessage | Operation::SendStreamingMessage => return Self::sent(bytes),
            Operation::GetTask | Operation::CancelTask | Operation::SubscribeToTask => {
                let request: FirstTwo = decoded(bytes)?;
                ids.tenant = only(request.first)?;
                ids.task = only(request.second)?;
            }
            Operation::ListTasks => {
                let request: FirstTwo = decoded(bytes)?;
                ids.tenant = only(request.first)?;
                ids.context = only(request.second)?;
            }
            Operation::GetExtendedAgentCard => {
                let request: First = decoded(bytes)?;
                ids.tenant = only(request.first)?;
            }
            Operation::CreateTaskPushNotificationConfig => {
                let request: FirstThree = decoded(bytes)?;
                ids.tenant = only(request.first)?;
                ids.push_config = only(request.second)?;
                ids.task = only(request.third)?;
            }
            Operation::GetTaskPushNotificationConfig
            | Operation::DeleteTaskPushNotificationConfig => {
                let request: FirstThree = decoded(bytes)?;
                ids.tenant = only(request.first)?;
                ids.task = only(request.second)?;
                ids.push_config = only(request.third)?;
            }
            Operation::ListTaskPushNotificationConfigs => {
                let request: FirstAndFourth = decoded(bytes)?;
                ids.task = only(request.first)?;
                ids.tenant = only(request.fourth)?;
            }
        }
        Ok(ids)
    }

    fn sent(bytes: &[u8]) -> Result<Self, Unread> {
        let request: Sent = decoded(bytes)?;
        let message = only(request.message)?;
        let push = only(only(request.configuration)?.push)?;
        let ids = Self {
            task: only(message.task_id)?,
            context: only(message.context_id)?,
            references: message.reference_task_ids,
            push_config: only(push.second)?,
            tenant: only(request.tenant)?,
        };
        let (tenant, task) = (only(push.first)?, only(push.third)?);
        let same = |inner: &str, outer: &str| inner.is_empty() || inner == outer;
        match same(&tenant, &ids.tenant) && same(&task, &ids.task) {
            true => Ok(ids),
            false => Err(Unread::Differ),
        }
    }

    fn read_v0_3(operation: Operation, bytes: &[u8]) -> Result<Self, Unread> {
        let mut ids = Self::default();
        match operation {
            Operation::SendMessage | Operation::SendStreamingMessage => {
                let request: OldSent = decoded(bytes)?;
                let message = only(request.request)?;
                ids.task = only(message.task_id)?;
                ids.context = only(message.context_id)?;
                ids.push_config = only(only(only(request.configuration)?.push)?.first)?;
            }
            Operation::CreateTaskPushNotificationConfig => return Self::created(bytes),
            Operation::GetExtendedAgentCard => {
                let Nothing {} = decoded(bytes)?;
            }
            Operation::ListTasks => unreachable!("0.3 has no such method"),
            Operation::GetTask
            | Operation::CancelTask
            | Operation::SubscribeToTask
            | Operation::ListTaskPushNotificationConfigs
            | Operation::GetTaskPushNotificationConfig
            | Operation::DeleteTaskPushNotificationConfig => {
                let request: First = decoded(bytes)?;
                (ids.task, ids.push_config) = names(&only(request.first)?)?;
            }
        }
        Ok(ids)
    }

    fn created(bytes: &[u8]) -> Result<Self, Unread> {
        let request: OldCreated = decoded(bytes)?;
        let config = only(request.config)?;
        let parent = only(request.parent)?;
        let above = parent.strip_suffix("/pushNotificationConfigs");
        let (above, _) = names(above.unwrap_or(&parent))?;
        let (below, named) = names(&only(config.name)?)?;
        let inner = only(only(config.push)?.first)?;
        Ok(Self {
            task: agreed([above, below, String::new()])?,
            push_config: agreed([only(request.config_id)?, inner, named])?,
            ..Self::default()
        })
    }
}

impl Ids {
    /// Whether an id is missing without which the operation means nothing.
    pub(super) fn lack_one(&self, operation: Operation) -> bool {
        let name = operation.as_str();
        let is_open = name.starts_with("Send") || name == "ListTasks" || name.ends_with("Card");
        let names_config = matches!(
            name,
            "GetTaskPushNotificationConfig" | "DeleteTaskPushNotificationConfig"
        );
        self.task.is_empty() && !is_open
            || self.push_config.is_empty() && names_config
            || self.references.iter().any(String::is_empty)
    }
}

fn decoded<M: Message + Default>(bytes: &[u8]) -> Result<M, Unread> {
    M::decode(bytes).map_err(|error| Unread::Prost(error.to_string()))
}

fn only<T: Default>(mut values: Vec<T>) -> Result<T, Unread> {
    match values.len() {
        0 => Ok(T::default()),
        1 => Ok(values.remove(0)),
        _ => Err(Unread::Twice),
    }
}

/// Task and configuration in a resource name.
fn names(name: &str) -> Result<(String, String), Unread> {
    let segments: Vec<&str> = name.split('/').collect();
    let (task, config) = match *segments.as_slice() {
        [""] => return Ok(Default::default()),
        ["tasks", task] => (task, None),
        ["tasks", task, "pushNotificationConfigs", config] => (task, Some(config)),
        _ => return Err(Unread::Name),
    };
    if task.is_empty() || config == Some("") {
        return Err(Unread::Name);
    }
    Ok((task.to_owned(), config.unwrap_or_default().to_owned()))
}

fn agreed(places: [String; 3]) -> Result<String, Unread> {
    let mut named = places.into_iter().filter(|place| !place.is_empty());
    let first = named.next().unwrap_or_default();
    match named.all(|other| other == first) {
        true => Ok(first),
        false => Err(Unread::Differ),
    }
}
