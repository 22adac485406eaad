//! What a path of A2A's HTTP+JSON binding asks for, and which task it names.
//!
//! Takes method, path and query as they were sent; gives the operation and the ids in them. Reads no headers and
//! no body. Never gives an id that another program could read out of the same path otherwise.
//!
//! **Recognised by the path alone**, below any base path and tenant: a server routes by the path, and some take
//! no notice of `A2A-Version`, so a caller could leave the field out to go unseen. `A2A-Version`, or its absence
//! (0.3), tells only the revision, where a shape is the same in both. `/v1` before it tells nothing: it
//! is 0.3's, but may be the base path or the tenant of a 1.0 agent. The public card (`/.well-known/…`) is no
//! operation: it names no task and everybody may see it.
//!
//! **Ids are given as a JSON body would have them**, so that they compare octet by octet. A space or a character
//! outside ASCII may come encoded, and is decoded once; anything else that is encoded is a fault, as in
//! [`is_plain`]. So `a%3Ab` is no way to write `a:b`, which as an id is a fault too.
//!
//! Sources: A2A 1.0 §5.3 and §11.3, and the `google.api.http` options of the files named in `a2a`; the routes of
//! a2a-sdk 1.3.0 (Python), and of a2a-server-lf 0.5.3, which has further spellings of its own.

#![warn(clippy::indexing_slicing)]

use std::borrow::Cow;

use thiserror::Error;

use super::a2a::{Operation, Revision};
use super::loose;
use crate::routes::is_plain;

/// Why a path is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum PathFault {
    /// A parameter of the query could be read as a context, or could not.
    #[error("the context to list is not written as contextId=ID")]
    ContextSpelling,
    /// The query names two contexts; which of them counts depends on the server.
    #[error("the query names a context twice")]
    ContextTwice,
    /// An id has a colon, or a verb is unknown: some servers take `a:b` for an id, others for a verb.
    #[error("a task path has a colon in an id, or a verb that is neither cancel nor subscribe")]
    IdColon,
    /// An id is empty.
    #[error("a task path has an empty id")]
    IdEmpty,
    /// An id is a word of A2A's paths, so that the path has two readings.
    #[error("a task path has a word of A2A in place of an id")]
    IdReserved,
    /// A2A has this path, but not with this method.
    #[error("A2A does not define this HTTP method for this path")]
    Method,
    /// Some programs would read an A2A path here, and others would not.
    #[error("the path could be one of A2A's but is not written in its plain form")]
    NotPlain,
    /// An A2A path ends in a slash: some servers redirect or ignore it, some see an empty id.
    #[error("a path of A2A ends in a slash")]
    TrailingSlash,
}

/// One call of the HTTP+JSON binding, as far as its target tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestCall<'a> {
    /// Where only one revision has such a path.
    pub revision: Option<Revision>,
    /// Told by path and method.
    pub operation: Operation,
    /// The task in the path.
    pub task: Option<Cow<'a, str>>,
    /// The push notification configuration in the path.
    pub push_config: Option<Cow<'a, str>>,
    /// The context whose tasks are to be listed.
    pub context: Option<Cow<'a, str>>,
}

/// A method as far as A2A tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Delete,
    /// `HEAD` as well: frameworks answer it by doing what `GET` does (RFC 9110 §9.3.2).
    Get,
    /// Any that A2A does not use.
    Other,
    Post,
}

/// One segment of a shape.
#[derive(Debug, Clone, Copy)]
enum Piece {
    PushConfig,
    Task,
    /// A task's id, a colon and this.
    TaskVerb(&'static str),
    Word(&'static str),
}

/// What the end of a path looks like, and what that asks for.
#[derive(Debug)]
struct Shape {
    pieces: &'static [Piece],
    operations: &'static [(Verb, Operation)],
    revision: Option<Revision>,
}

const fn shape(pieces: &'static [Piece], operations: &'static [(Verb, Operation)]) -> Shape {
    Shape {
        pieces,
        operations,
        revision: None,
    }
}

const TASKS: Piece = Piece::Word("tasks");
const CONFIGS: Piece = Piece::Word("pushNotificationConfigs");
/// As a2a-server-lf also spells it.
const CONFIGS_LF: Piece = Piece::Word("push-configs");

const SEND: &[(Verb, Operation)] = &[(Verb::Post, Operation::SendMessage)];
const STREAM: &[(Verb, Operation)] = &[(Verb::Post, Operation::SendStreamingMessage)];
const CANCEL: &[(Verb, Operation)] = &[(Verb::Post, Operation::CancelTask)];
/// `POST` in the tables of A2A 1.0 §5.3, `GET` in `a2a.proto`; servers take both.
const SUBSCRIBE: &[(Verb, Operation)] = &[
    (Verb::Get, Operation::SubscribeToTask),
    (Verb::Post, Operation::SubscribeToTask),
];
const ONE_CONFIG: &[(Verb, Operation)] = &[
    (Verb::Delete, Operation::DeleteTaskPushNotificationConfig),
    (Verb::Get, Operation::GetTaskPushNotificationConfig),
];
const ALL_CONFIGS: &[(Verb, Operation)] = &[
    (Verb::Get, Operation::ListTaskPushNotificationConfigs),
    (Verb::Post, Operation::CreateTaskPushNotificationConfig),
];
const CARD: &[(Verb, Operation)] = &[(Verb::Get, Operation::GetExtendedAgentCard)];

/// Longer ones first, and those with a verb before those without: the first that fits is meant, and ids that
/// would let a later one fit too are refused.
const SHAPES: [Shape; 17] = [
    shape(
        &[TASKS, Piece::Task, CONFIGS, Piece::PushConfig],
        ONE_CONFIG,
    ),
    shape(
        &[TASKS, Piece::Task, CONFIGS_LF, Piece::PushConfig],
        ONE_CONFIG,
    ),
    shape(&[TASKS, Piece::Task, CONFIGS], ALL_CONFIGS),
    shape(&[TASKS, Piece::Task, CONFIGS_LF], ALL_CONFIGS),
    shape(&[TASKS, Piece::Task, Piece::Word("cancel")], CANCEL),
    shape(&[TASKS, Piece::Task, Piece::Word("subscribe")], SUBSCRIBE),
    shape(&[TASKS, Piece::TaskVerb("cancel")], CANCEL),
    shape(&[TASKS, Piece::TaskVerb("subscribe")], SUBSCRIBE),
    shape(&[TASKS, Piece::Task], &[(Verb::Get, Operation::GetTask)]),
    shape(&[Piece::Word("message"), Piece::Word("send")], SEND),
    shape(&[Piece::Word("message"), Piece::Word("stream")], STREAM),
    shape(&[Piece::Word("agent-card"), Piece::Word("extended")], CARD),
    Shape {
        pieces: &[Piece::Word("v1"), Piece::Word("card")],
        operations: CARD,
        revision: Some(Revision::V0_3),
    },
    Shape {
        pieces: &[Piece::Word("extendedAgentCard")],
        operations: CARD,
        revision: Some(Revision::V1_0),
    },
    shape(&[Piece::Word("message:send")], SEND),
    shape(&[Piece::Word("message:stream")], STREAM),
    shape(&[TASKS], &[(Verb::Get, Operation::ListTasks)]),
];

/// Words that end a path of A2A alone. As an id each would give its path a second reading, below a base path or
/// tenant that happens to be `tasks` or to end in a task's path.
const RESERVED: [&str; 2] = ["tasks", "extendedAgentCard"];

impl<'a> RestCall<'a> {
    /// Reads a request's target; `None` for what is not A2A, and for `OPTIONS`, which asks for nothing.
    ///
    /// # Errors
    /// [`PathFault`] when it is A2A's, or could be, and does not say one thing to every program.
    pub fn read(
        method: &str,
        path: &'a str,
        query: Option<&'a str>,
    ) -> Result<Option<Self>, PathFault> {
        if method == "OPTIONS" {
            return Ok(None);
        }
        if !path.starts_with('/') || path.contains('#') || !is_plain(path) {
            return match loose::mentions_a2a(path) {
                true => Err(PathFault::NotPlain),
                false => Ok(None),
            };
        }
        let trimmed = path.strip_suffix('/').unwrap_or(path);
        let Some(shape) = SHAPES.iter().find(|shape| shape.fits(trimmed)) else {
            return Ok(None);
        };
        if trimmed.len() != path.len() {
            return Err(PathFault::TrailingSlash);
        }
        let mut call = Self {
            revision: shape.revision,
            operation: shape.operation(method)?,
            task: None,
            push_config: None,
            context: None,
        };
        call.read_pieces(shape, path)?;
        if call.operation == Operation::ListTasks {
            call.context = query.map_or(Ok(None), context_in)?;
        }
        Ok(Some(call))
    }

    fn read_pieces(&mut self, shape: &Shape, path: &'a str) -> Result<(), PathFault> {
        for (piece, segment) in shape.pieces.iter().rev().zip(path.rsplit('/')) {
            match piece {
                Piece::PushConfig => self.push_config = Some(id(segment)?),
                Piece::Task => self.task = Some(id(segment)?),
                Piece::TaskVerb(verb) => {
                    let task = segment.strip_suffix(verb);
                    let task = task.and_then(|rest| rest.strip_suffix(':'));
                    self.task = Some(id(task.ok_or(PathFault::NotPlain)?)?);
                }
                // It fits but for its case, and some servers take no notice of case.
                Piece::Word(word) if segment != *word => return Err(PathFault::NotPlain),
                Piece::Word(_) => {}
            }
        }
        Ok(())
    }
}

impl Shape {
    fn fits(&self, path: &str) -> bool {
        let mut segments = path.rsplit('/');
        let mut pieces = self.pieces.iter().rev();
        pieces.all(|piece| segments.next().is_some_and(|segment| piece.fits(segment)))
    }

    fn operation(&self, method: &str) -> Result<Operation, PathFault> {
        let verb = match method {
            "DELETE" => Verb::Delete,
            "GET" | "HEAD" => Verb::Get,
            "POST" => Verb::Post,
            _ => Verb::Other,
        };
        let known = self.operations.iter().find(|(known, _)| *known == verb);
        known
            .map(|(_, operation)| *operation)
            .ok_or(match self.pieces.last() {
                // Without the verb's method, some servers take `a:cancel` for the id of a task.
                Some(Piece::TaskVerb(_)) => PathFault::IdColon,
                _ => PathFault::Method,
            })
    }
}

impl Piece {
    /// Whether a segment is such a piece in any case. Whether its id is one, is seen when it is read.
    fn fits(self, segment: &str) -> bool {
        match self {
            Self::PushConfig | Self::Task => true,
            Self::TaskVerb(verb) => segment
                .rsplit_once(':')
                .is_some_and(|(_, last)| last.eq_ignore_ascii_case(verb)),
            Self::Word(word) => segment.eq_ignore_ascii_case(word),
        }
    }
}

/// An id as a JSON body would have it.
fn id(segment: &str) -> Result<Cow<'_, str>, PathFault> {
    if segment.is_empty() {
        return Err(PathFault::IdEmpty);
    }
    if segment.contains(':') {
        return Err(PathFault::IdColon);
    }
    if RESERVED
        .iter()
        .any(|word| segment.eq_ignore_ascii_case(word))
    {
        return Err(PathFault::IdReserved);
    }
    decoded(segment).ok_or(PathFault::NotPlain)
}

/// The context in a query, in either spelling of JSON for protobuf.
///
/// A name that comes close is a fault: some servers decode names twice, ignore case or split at `;`.
fn context_in(query: &str) -> Result<Option<Cow<'_, str>>, PathFault> {
    let mut found = None;
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("contextId" | "context_id", value)) => {
                if found.is_some() {
                    return Err(PathFault::ContextTwice);
                }
                found = Some(context(value)?);
            }
            _ if could_name_context(pair) => return Err(PathFault::ContextSpelling),
            _ => {}
        }
    }
    Ok(found.filter(|context| !context.is_empty()))
}

fn could_name_context(pair: &str) -> bool {
    loose::readings(pair).any(|reading| {
        let mut pairs = reading.split(['&', ';']);
        pairs.any(|pair| {
            let name = pair.split('=').next().unwrap_or_default();
            name.replace(['_', '-'], "").contains("contextid")
        })
    })
}

/// A context as a JSON body would have it. In a query any character may be encoded, once. A `+` is a space to
/// some and a plus to others; a `%` that is left, a delimiter or a control character is for nobody.
fn context(value: &str) -> Result<Cow<'_, str>, PathFault> {
    let context = decoded(value).ok_or(PathFault::ContextSpelling)?;
    let odd = |text: &str| text.contains(|c: char| c.is_ascii_control() || "%+;&=#".contains(c));
    match value.contains('+') || odd(&context) {
        true => Err(PathFault::ContextSpelling),
        false => Ok(context),
    }
}

/// Text with its percent-encoding taken off once, if it is then UTF-8.
fn decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (hex, rest) = part.split_at_checked(2)?;
        if !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(hex, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests;
