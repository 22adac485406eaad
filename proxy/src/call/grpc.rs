//! What a gRPC call of A2A asks for, and which tasks and contexts it names.
//!
//! Takes the path and the whole request body; gives the operation and the ids, each a part of the body. Reads no
//! more of a message than leads to an id: what lies beside is skipped, not judged. Never gives an id that another
//! reader of the same bytes could see otherwise: protobuf lets a field come again, merges what is a message and
//! takes the last of what is not, so that a field we read twice is a fault.
//!
//! Sources: gRPC over HTTP/2 ("Requests", Length-Prefixed-Message); field numbers from the files named in `a2a`.

#![warn(clippy::indexing_slicing)]

mod schema;

use thiserror::Error;

use super::a2a::{Operation, Revision};
use super::loose;
use super::protobuf::Fields;
use schema::{Read, Schema, Slot};

/// Tasks that a message may refer to.
const MAX_REFERENCES: usize = 64;
/// Octets before a message: flag (1 B) and length (4 B, the most significant first).
const PREFIX_LEN: usize = 5;

/// Why a call is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum GrpcFault {
    /// The message is compressed, and nothing here unpacks.
    #[error("the gRPC message is compressed; it has to be sent as it is")]
    Compressed,
    /// A field number is 0 or needs more than 29 bits.
    #[error("a protobuf field number is not between 1 and 536870911")]
    FieldNumber,
    /// A field that is read comes a second time.
    #[error("a protobuf field that holds an id, or leads to one, comes twice")]
    FieldTwice,
    /// The flag before the message is neither 0 nor 1.
    #[error("the gRPC message has a flag that is neither 0 nor 1")]
    FrameFlag,
    /// The body is not exactly one message.
    #[error("the gRPC body is not exactly one message of the length it names")]
    FrameLen,
    /// A group, which protobuf gave up before A2A began.
    #[error("the protobuf message has a group")]
    Group,
    /// Two places of one message name different tasks, configurations or tenants.
    #[error("two places of the message name different tasks, configurations or tenants")]
    IdsDiffer,
    /// The operation needs an id that is missing or empty.
    #[error("the operation names no task, or no push notification configuration")]
    IdMissing,
    /// A2A's service has no such method, or no such revision is known.
    #[error("A2A's gRPC service has no such method in 0.3 or 1.0")]
    MethodUnknown,
    /// A string is not UTF-8.
    #[error("an id is not UTF-8")]
    NotUtf8,
    /// A resource name of 0.3 is not of its form.
    #[error("a resource name is not tasks/ID or tasks/ID/pushNotificationConfigs/ID")]
    ResourceName,
    /// More tasks are referred to than are read.
    #[error("the message refers to more than {MAX_REFERENCES} tasks")]
    TooManyReferences,
    /// The message ends inside a field.
    #[error("the protobuf message ends inside a field")]
    Truncated,
    /// A number is too long, or longer than it needs to be.
    #[error("a protobuf key, length or number is too long or not in its shortest form")]
    Varint,
    /// A field is not of its type, or of none that exists.
    #[error("a protobuf field has the wrong wire type")]
    WireType,
}

/// The ids in a call. An empty string is no id: proto3 does not tell it from a field that is absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct A2aIds<'a> {
    /// The task that is asked for, or that a message continues.
    pub task: Option<&'a str>,
    /// The context of a message, or of the tasks to list.
    pub context: Option<&'a str>,
    /// `reference_task_ids` of a message (1.0), 64 at most.
    pub references: Vec<&'a str>,
    /// The push notification configuration that is asked for or made.
    pub push_config: Option<&'a str>,
    /// `tenant` (1.0).
    pub tenant: Option<&'a str>,
}

/// One gRPC call of A2A.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcCall<'a> {
    /// Told by the service's package.
    pub revision: Revision,
    /// Told by the method.
    pub operation: Operation,
    /// Told by the message.
    pub ids: A2aIds<'a>,
}

impl<'a> GrpcCall<'a> {
    /// Which method of A2A a path names; `None` for other services. Needs no body.
    ///
    /// A server splits the path its own way, and some decode it or ignore case. So whatever could mean A2A's
    /// service but is not spelled as one of its methods is a fault, in packages we do not know too.
    ///
    /// # Errors
    /// [`GrpcFault::MethodUnknown`].
    pub fn method(path: &str) -> Result<Option<(Revision, Operation)>, GrpcFault> {
        match Operation::from_grpc(path) {
            Some(known) => Ok(Some(known)),
            None if loose::readings(path).any(|read| read.contains("a2aservice")) => {
                Err(GrpcFault::MethodUnknown)
            }
            None => Ok(None),
        }
    }

    /// Reads a call; `None` for other services.
    ///
    /// # Errors
    /// [`GrpcFault`] when the method is unknown, or the body is not one message whose ids are beyond doubt.
    pub fn read(path: &str, body: &'a [u8]) -> Result<Option<Self>, GrpcFault> {
        let Some((revision, operation)) = Self::method(path)? else {
            return Ok(None);
        };
        let mut found = Found::default();
        found.read(one_message(body)?, schema::of(revision, operation))?;
        let ids = found.ids(revision)?;
        check_needed(operation, &ids)?;
        Ok(Some(Self {
            revision,
            operation,
            ids,
        }))
    }
}

/// The message of a body that holds one. All operations of A2A take one (`rpc` without `stream` before the
/// request), and a server that reads on could take the second for the first.
fn one_message(body: &[u8]) -> Result<&[u8], GrpcFault> {
    let (prefix, message) = body
        .split_at_checked(PREFIX_LEN)
        .ok_or(GrpcFault::FrameLen)?;
    let &[flag, l0, l1, l2, l3] = prefix else {
        return Err(GrpcFault::FrameLen);
    };
    match flag {
        0 => {}
        1 => return Err(GrpcFault::Compressed),
        _ => return Err(GrpcFault::FrameFlag),
    }
    match usize::try_from(u32::from_be_bytes([l0, l1, l2, l3])) {
        Ok(len) if len == message.len() => Ok(message),
        _ => Err(GrpcFault::FrameLen),
    }
}

/// Strings of a message, each under what it is.
#[derive(Debug, Default)]
struct Found<'a> {
    texts: Vec<(Slot, &'a str)>,
    references: Vec<&'a str>,
}

impl<'a> Found<'a> {
    /// Reads what a schema names. Its depth bounds the recursion, never that of the message.
    fn read(&mut self, message: &'a [u8], schema: Schema) -> Result<(), GrpcFault> {
        let mut met = Vec::new();
        for field in Fields::of(message) {
            let field = field?;
            let known = schema.iter().find(|(number, _)| *number == field.number);
            let Some((number, read)) = known else {
                continue;
            };
            let may_repeat = matches!(read, Read::Reference);
            if !may_repeat && met.contains(number) {
                return Err(GrpcFault::FieldTwice);
            }
            match read {
                Read::Message(inner) => self.read(field.bytes()?, inner)?,
                Read::Reference => self.refer(field.text()?)?,
                Read::Text(slot) => self.texts.push((*slot, field.text()?)),
            }
            if !may_repeat {
                met.push(*number);
            }
        }
        Ok(())
    }

    fn refer(&mut self, task: &'a str) -> Result<(), GrpcFault> {
        if task.is_empty() {
            return Err(GrpcFault::IdMissing);
        }
        if self.references.len() == MAX_REFERENCES {
            return Err(GrpcFault::TooManyReferences);
        }
        self.references.push(task);
        Ok(())
    }

    /// What a slot holds, unless it is empty.
    fn text(&self, wanted: Slot) -> Option<&'a str> {
        let found = self.texts.iter().find(|(slot, _)| *slot == wanted);
        found.map(|(_, text)| *text).filter(|text| !text.is_empty())
    }

    fn ids(self, revision: Revision) -> Result<A2aIds<'a>, GrpcFault> {
        let (task, push_config) = match revision {
            Revision::V0_3 => self.named_ids()?,
            Revision::V1_0 => {
                // "Task id should be empty" here (a2a.proto); a server may take it for the task all the same.
                let inner = self.text(Slot::ConfiguredTask);
                let task = self.text(Slot::Task);
                if inner.is_some() && inner != task {
                    return Err(GrpcFault::IdsDiffer);
                }
                (task, self.text(Slot::PushConfig))
            }
        };
        let tenant = self.text(Slot::Tenant);
        let inner = self.text(Slot::ConfiguredTenant);
        if inner.is_some() && inner != tenant {
            return Err(GrpcFault::IdsDiffer);
        }
        Ok(A2aIds {
            task,
            context: self.text(Slot::Context),
            push_config,
            tenant,
            references: self.references,
        })
    }

    /// Task and configuration in 0.3, where most requests have them in one resource name. To create a
    /// configuration, a request names its task in up to two places and the configuration in up to three;
    /// servers differ in which of them they take.
    fn named_ids(&self) -> Result<(Option<&'a str>, Option<&'a str>), GrpcFault> {
        let parent = match self.text(Slot::Parent) {
            Some(name) => Some(
                name.strip_suffix("/pushNotificationConfigs")
                    .unwrap_or(name),
            ),
            None => self.text(Slot::TaskName),
        };
        let parent = parent.map(task_of).transpose()?;
        let names = [Slot::ConfigName, Slot::CreatedName].map(|slot| self.text(slot));
        let name = names.into_iter().flatten().next();
        let (named_task, named_config) = name.map(config_of).transpose()?.unzip();
        let task = agreed(&[self.text(Slot::Task), parent, named_task])?;
        let configs = [
            self.text(Slot::PushConfig),
            self.text(Slot::CreatedConfig),
            named_config,
        ];
        Ok((task, agreed(&configs)?))
    }
}

/// The one id that all places name, of those that name one.
fn agreed<'a>(places: &[Option<&'a str>]) -> Result<Option<&'a str>, GrpcFault> {
    let mut named = places.iter().flatten();
    let first = named.next();
    match named.all(|other| Some(other) == first) {
        true => Ok(first.copied()),
        false => Err(GrpcFault::IdsDiffer),
    }
}

/// The id in `tasks/{id}`.
fn task_of(name: &str) -> Result<&str, GrpcFault> {
    let id = name.strip_prefix("tasks/").and_then(segment);
    id.ok_or(GrpcFault::ResourceName)
}

/// The ids in `tasks/{id}/pushNotificationConfigs/{id}`.
fn config_of(name: &str) -> Result<(&str, &str), GrpcFault> {
    let (task, config) = name
        .strip_prefix("tasks/")
        .and_then(|rest| rest.split_once("/pushNotificationConfigs/"))
        .ok_or(GrpcFault::ResourceName)?;
    segment(task)
        .zip(segment(config))
        .ok_or(GrpcFault::ResourceName)
}

/// An id as one segment of a resource name.
fn segment(id: &str) -> Option<&str> {
    (!id.is_empty() && !id.contains('/')).then_some(id)
}

/// What has no meaning without an id has none: a server could fill it in.
fn check_needed(operation: Operation, ids: &A2aIds<'_>) -> Result<(), GrpcFault> {
    let (task, config) = match operation {
        Operation::CancelTask
        | Operation::CreateTaskPushNotificationConfig
        | Operation::GetTask
        | Operation::ListTaskPushNotificationConfigs
        | Operation::SubscribeToTask => (ids.task, Some("")),
        Operation::DeleteTaskPushNotificationConfig | Operation::GetTaskPushNotificationConfig => {
            (ids.task, ids.push_config)
        }
        Operation::GetExtendedAgentCard
        | Operation::ListTasks
        | Operation::SendMessage
        | Operation::SendStreamingMessage => (Some(""), Some("")),
    };
    match (task, config) {
        (Some(_), Some(_)) => Ok(()),
        _ => Err(GrpcFault::IdMissing),
    }
}

#[cfg(test)]
mod tests;
