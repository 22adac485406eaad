//! The parameters of a call, in MCP and in A2A's JSON.
//!
//! Takes `params` of a JSON-RPC message, or the body of A2A's HTTP+JSON binding, which has the same shape; gives
//! the members that say what is called and on what. They are kept as they stand in the body and are interpreted
//! only when asked for, since what a name means depends on the method. Never decides anything.

use std::borrow::Cow;

use super::fault::CallFault;
use super::json::{JsonLimits, Kind, Known, Scanner, Token, known, plain};

/// Entries of `referenceTaskIds` that are read.
const MAX_REFERENCES: usize = 64;

/// A member that some methods define as an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Member<T> {
    /// Not there, or null, which ProtoJSON takes for the same.
    #[default]
    Absent,
    /// What was read of the object.
    Object(T),
    /// A value of another kind.
    Other,
}

impl<T> Member<T> {
    /// The object, for methods that define it as one.
    ///
    /// # Errors
    /// [`CallFault::NotAnObject`] when it is something else.
    pub fn object(&self) -> Result<Option<&T>, CallFault> {
        match self {
            Self::Absent => Ok(None),
            Self::Object(object) => Ok(Some(object)),
            Self::Other => Err(CallFault::NotAnObject),
        }
    }
}

/// Members of a call's parameters. Those that are null count as absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Params<'a> {
    /// MCP: `name` of a tool or prompt. A2A 0.3 in ProtoJSON: the resource name of a task.
    pub name: Option<Token<'a>>,
    /// MCP: `uri` of a resource.
    pub uri: Option<Token<'a>>,
    /// MCP: `requestState`, which the server gave and the client brings back.
    pub request_state: Option<Token<'a>>,
    /// MCP: `arguments`, as they stand there; no name occurs twice among them.
    pub arguments: Member<Token<'a>>,
    /// MCP: `_meta`.
    pub meta: Member<Meta<'a>>,
    /// A2A: `id` of a task, or in 1.0 of a push notification configuration.
    pub id: Option<Token<'a>>,
    /// `taskId`, of MCP's tasks and of A2A.
    pub task_id: Option<Token<'a>>,
    /// A2A: `contextId`.
    pub context_id: Option<Token<'a>>,
    /// A2A: `tenant`.
    pub tenant: Option<Token<'a>>,
    /// A2A 1.0: `url` of a push notification configuration.
    pub url: Option<Token<'a>>,
    /// A2A 0.3 in ProtoJSON: `parent`, the resource name of a task or of its configurations.
    pub parent: Option<Token<'a>>,
    /// A2A 0.3: `pushNotificationConfigId`.
    pub push_config_id: Option<Token<'a>>,
    /// A2A 0.3: `pushNotificationConfig`, or `config` in ProtoJSON.
    pub push_config: Member<PushConfig<'a>>,
    /// A2A: `message`.
    pub message: Member<MessageIds<'a>>,
    /// A2A: `configuration`, and in it the push notification configuration.
    pub configuration: Member<Member<PushConfig<'a>>>,
}

/// MCP's `_meta` (basic/index.mdx, `_meta`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Meta<'a> {
    /// `io.modelcontextprotocol/protocolVersion`.
    pub protocol_version: Option<Token<'a>>,
    /// `traceparent` (SEP-414).
    pub traceparent: Option<Token<'a>>,
}

/// What an A2A message refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MessageIds<'a> {
    /// `taskId`.
    pub task_id: Option<Token<'a>>,
    /// `contextId`.
    pub context_id: Option<Token<'a>>,
    /// `messageId`.
    pub message_id: Option<Token<'a>>,
    /// `referenceTaskIds`, an array.
    pub reference_task_ids: Option<Token<'a>>,
}

/// A push notification configuration of A2A, in the shapes of 1.0 and 0.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PushConfig<'a> {
    /// `id`.
    pub id: Option<Token<'a>>,
    /// `taskId`.
    pub task_id: Option<Token<'a>>,
    /// `url`, where notifications go.
    pub url: Option<Token<'a>>,
    /// 0.3 in ProtoJSON: the resource name, `tasks/…/pushNotificationConfigs/…`.
    pub name: Option<Token<'a>>,
}

const PARAMS: &[Known] = &[
    plain("name"),
    plain("arguments"),
    plain("_meta"),
    plain("uri"),
    plain("requestState"),
    plain("id"),
    // 0.3's a2a.proto has `Message request = 1 [json_name = "message"]`: ProtoJSON reads both names.
    known("message", &["request"]),
    plain("configuration"),
    known("taskId", &["task_id"]),
    known("contextId", &["context_id"]),
    plain("tenant"),
    plain("url"),
    plain("parent"),
    known(
        "pushNotificationConfigId",
        &["push_notification_config_id", "configId", "config_id"],
    ),
    known(
        "pushNotificationConfig",
        &["push_notification_config", "config"],
    ),
];

const META: &[Known] = &[
    plain("io.modelcontextprotocol/protocolVersion"),
    plain("traceparent"),
];

const MESSAGE: &[Known] = &[
    known("taskId", &["task_id"]),
    known("contextId", &["context_id"]),
    known("messageId", &["message_id"]),
    known("referenceTaskIds", &["reference_task_ids"]),
];

const CONFIGURATION: &[Known] = &[known(
    "taskPushNotificationConfig",
    &[
        "task_push_notification_config",
        "pushNotificationConfig",
        "push_notification_config",
        // 0.3's a2a.proto.
        "pushNotification",
        "push_notification",
    ],
)];

const PUSH_CONFIG: &[Known] = &[
    plain("id"),
    known("taskId", &["task_id"]),
    plain("url"),
    plain("name"),
    known("pushNotificationConfig", &["push_notification_config"]),
];

/// Where 0.3 has a push notification configuration within one that is of a task.
const INNER_PUSH_CONFIG: &[Known] = &[plain("id"), plain("url")];

impl<'a> Params<'a> {
    /// Reads the body of A2A's HTTP+JSON binding, which is an object of parameters or empty.
    ///
    /// # Errors
    /// [`CallFault`] when it cannot be read as one that every reader reads alike.
    pub fn of_body(body: &'a [u8], limits: &JsonLimits) -> Result<Self, CallFault> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        let mut scanner = Scanner::open(body, limits)?;
        let params = match scanner.peek() {
            Some(b'{') => Self::read(&mut scanner)?,
            _ => {
                scanner.value()?;
                scanner.note(CallFault::NotAnObject);
                Self::default()
            }
        };
        scanner.end()?;
        match scanner.noted() {
            None => Ok(params),
            Some(fault) => Err(fault),
        }
    }

    /// Reads an object of parameters, whose `{` is next. Notes faults of meaning.
    pub(super) fn read(scanner: &mut Scanner<'a>) -> Result<Self, CallFault> {
        let mut params = Self::default();
        scanner.object(PARAMS, |scanner, name| {
            let slot = match name {
                "arguments" => return arguments(scanner, &mut params.arguments),
                "_meta" => return object(scanner, &mut params.meta, Meta::read),
                "message" => return object(scanner, &mut params.message, MessageIds::read),
                "configuration" => {
                    return object(scanner, &mut params.configuration, read_configuration);
                }
                "pushNotificationConfig" => {
                    return object(scanner, &mut params.push_config, PushConfig::read);
                }
                "name" => &mut params.name,
                "uri" => &mut params.uri,
                "requestState" => &mut params.request_state,
                "id" => &mut params.id,
                "taskId" => &mut params.task_id,
                "contextId" => &mut params.context_id,
                "tenant" => &mut params.tenant,
                "url" => &mut params.url,
                "parent" => &mut params.parent,
                "pushNotificationConfigId" => &mut params.push_config_id,
                _ => return scanner.value().map(drop),
            };
            store(scanner, slot)
        })?;
        Ok(params)
    }

    /// Every push notification configuration that is given, but for the one that the parameters themselves are
    /// in A2A 1.0.
    ///
    /// # Errors
    /// [`CallFault::NotAnObject`] when something else stands where there should be one.
    pub fn push_configs(&self) -> Result<impl Iterator<Item = &PushConfig<'a>>, CallFault> {
        let configured = match self.configuration.object()? {
            Some(push_config) => push_config.object()?,
            None => None,
        };
        Ok(self.push_config.object()?.into_iter().chain(configured))
    }
}

impl<'a> Meta<'a> {
    fn read(scanner: &mut Scanner<'a>) -> Result<Self, CallFault> {
        let mut meta = Self::default();
        scanner.object(META, |scanner, name| {
            let slot = match name {
                "io.modelcontextprotocol/protocolVersion" => &mut meta.protocol_version,
                "traceparent" => &mut meta.traceparent,
                _ => return scanner.value().map(drop),
            };
            store(scanner, slot)
        })?;
        Ok(meta)
    }
}

impl<'a> MessageIds<'a> {
    fn read(scanner: &mut Scanner<'a>) -> Result<Self, CallFault> {
        let mut message = Self::default();
        scanner.object(MESSAGE, |scanner, name| {
            let slot = match name {
                "taskId" => &mut message.task_id,
                "contextId" => &mut message.context_id,
                "messageId" => &mut message.message_id,
                "referenceTaskIds" => &mut message.reference_task_ids,
                _ => return scanner.value().map(drop),
            };
            store(scanner, slot)
        })?;
        Ok(message)
    }

    /// The tasks that the message refers to.
    ///
    /// # Errors
    /// [`CallFault::WrongType`] when they are not an array of strings, [`CallFault::TooManyReferences`] when
    /// there are more than 64.
    pub fn references(&self) -> Result<Vec<Cow<'a, str>>, CallFault> {
        let mut ids = Vec::new();
        let Some(array) = self.reference_task_ids else {
            return Ok(ids);
        };
        if array.kind() != Kind::Array {
            return Err(CallFault::WrongType);
        }
        Scanner::again(array).array(|scanner| {
            if ids.len() == MAX_REFERENCES {
                return Err(CallFault::TooManyReferences);
            }
            ids.push(scanner.value()?.string()?);
            Ok(())
        })?;
        Ok(ids)
    }
}

impl<'a> PushConfig<'a> {
    fn read(scanner: &mut Scanner<'a>) -> Result<Self, CallFault> {
        let mut config = Self::default();
        let mut inner = Member::Absent;
        scanner.object(PUSH_CONFIG, |scanner, name| {
            let slot = match name {
                "id" => &mut config.id,
                "taskId" => &mut config.task_id,
                "url" => &mut config.url,
                "name" => &mut config.name,
                "pushNotificationConfig" => return object(scanner, &mut inner, Self::read_inner),
                _ => return scanner.value().map(drop),
            };
            store(scanner, slot)
        })?;
        match inner {
            Member::Absent => {}
            Member::Object(inner) => {
                // One shape or the other: with both, readers differ in where notifications go.
                if config
                    .id
                    .and(inner.id)
                    .or(config.url.and(inner.url))
                    .is_some()
                {
                    scanner.note(CallFault::Duplicate);
                }
                config.id = config.id.or(inner.id);
                config.url = config.url.or(inner.url);
            }
            Member::Other => scanner.note(CallFault::NotAnObject),
        }
        Ok(config)
    }

    fn read_inner(scanner: &mut Scanner<'a>) -> Result<Self, CallFault> {
        let mut config = Self::default();
        scanner.object(INNER_PUSH_CONFIG, |scanner, name| {
            let slot = match name {
                "id" => &mut config.id,
                "url" => &mut config.url,
                _ => return scanner.value().map(drop),
            };
            store(scanner, slot)
        })?;
        Ok(config)
    }
}

fn read_configuration<'a>(scanner: &mut Scanner<'a>) -> Result<Member<PushConfig<'a>>, CallFault> {
    let mut push_config = Member::Absent;
    scanner.object(CONFIGURATION, |scanner, name| match name {
        "taskPushNotificationConfig" => object(scanner, &mut push_config, PushConfig::read),
        _ => scanner.value().map(drop),
    })?;
    Ok(push_config)
}

fn store<'a>(scanner: &mut Scanner<'a>, slot: &mut Option<Token<'a>>) -> Result<(), CallFault> {
    let token = scanner.value()?;
    *slot = (token.kind() != Kind::Null).then_some(token);
    Ok(())
}

fn object<'a, T>(
    scanner: &mut Scanner<'a>,
    slot: &mut Member<T>,
    read: fn(&mut Scanner<'a>) -> Result<T, CallFault>,
) -> Result<(), CallFault> {
    *slot = match scanner.peek() {
        Some(b'{') => Member::Object(read(scanner)?),
        _ => match scanner.value()?.kind() {
            Kind::Null => Member::Absent,
            _ => Member::Other,
        },
    };
    Ok(())
}

fn arguments<'a>(scanner: &mut Scanner<'a>, slot: &mut Member<Token<'a>>) -> Result<(), CallFault> {
    object(scanner, slot, |scanner| {
        let start = scanner.mark();
        scanner.object(&[], |scanner, _| scanner.value().map(drop))?;
        Ok(scanner.since(start))
    })
}

#[cfg(test)]
mod tests;
