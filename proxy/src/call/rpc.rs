//! JSON-RPC 2.0 messages, as MCP and A2A write them.
//!
//! Takes a body; gives each message's kind, id, method and parameters, or the one thing that is wrong with it.
//! A body that two readers could read in two ways is refused. Never looks at headers, never decides.

use std::borrow::Cow;

use super::fault::CallFault;
use super::json::{JsonLimits, Kind as Json, Known, Scanner, Token, plain, spells_alike};
use super::params::Params;

/// What a body holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every body is one message, which is to cost no allocation"
)]
pub enum Message<'a> {
    /// Several messages (MCP 2025-03-26 only).
    Batch(Vec<Rpc<'a>>),
    /// One message.
    One(Rpc<'a>),
    /// JSON, but not JSON-RPC.
    Other,
}

impl<'a> Message<'a> {
    /// The messages in it.
    pub fn messages(&self) -> &[Rpc<'a>] {
        match self {
            Self::Batch(batch) => batch,
            Self::One(rpc) => std::slice::from_ref(rpc),
            Self::Other => &[],
        }
    }
}

/// The kinds of messages (JSON-RPC 2.0 §4, §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RpcKind {
    /// A method without an id.
    Notification,
    /// A method with an id.
    Request,
    /// A result or an error.
    Response,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rpc<'a> {
    /// What it is.
    pub kind: RpcKind,
    /// `id`: a string, an integer or null.
    pub id: Option<Token<'a>>,
    /// `method`; a response has none.
    pub method: Option<Cow<'a, str>>,
    /// `params`.
    pub params: Params<'a>,
}

impl<'a> Rpc<'a> {
    /// What a method of MCP is called on: the tool, prompt, resource or task. None for other methods, and where
    /// the caller left it out.
    ///
    /// # Errors
    /// [`CallFault::WrongType`] when it is not a string.
    pub fn mcp_target(&self) -> Result<Option<Cow<'a, str>>, CallFault> {
        let token = match self.method.as_deref() {
            Some("prompts/get" | "tools/call") => self.params.name,
            Some("resources/read" | "resources/subscribe" | "resources/unsubscribe") => {
                self.params.uri
            }
            Some("tasks/cancel" | "tasks/get" | "tasks/result" | "tasks/update") => {
                self.params.task_id
            }
            _ => None,
        };
        token.map(Token::string).transpose()
    }
}

const ENVELOPE: &[Known] = &[
    plain("jsonrpc"),
    plain("id"),
    plain("method"),
    plain("params"),
    plain("result"),
    plain("error"),
];
/// The members that make an object JSON-RPC.
const SIGNS: [&str; 4] = ["error", "jsonrpc", "method", "result"];

/// Reads a body.
///
/// # Errors
/// [`CallFault`] when it is not JSON, or is JSON-RPC that not everybody reads alike.
pub fn read<'a>(body: &'a [u8], limits: &JsonLimits) -> Result<Message<'a>, CallFault> {
    let mut scanner = Scanner::open(body, limits)?;
    let message = match scanner.peek() {
        Some(b'{') => match read_object(&mut scanner)? {
            None => Ok(Message::Other),
            Some(rpc) => rpc.map(Message::One),
        },
        Some(b'[') => read_batch(&mut scanner, limits.batch_messages)?,
        _ => scanner.value().map(|_| Ok(Message::Other))?,
    };
    scanner.end()?;
    message
}

/// An array that holds any message is a batch, and then all that is in it must be messages. The inner fault is
/// one of meaning, which stands only if the rest of the body is JSON.
fn read_batch<'a>(
    scanner: &mut Scanner<'a>,
    max_messages: usize,
) -> Result<Result<Message<'a>, CallFault>, CallFault> {
    let mut batch = Vec::new();
    let mut len = 0_usize;
    let mut is_rpc = false;
    let mut fault = None;
    scanner.array(|scanner| {
        len += 1;
        match scanner.peek() {
            Some(b'{') => {
                let rpc = read_object(scanner)?;
                is_rpc |= rpc.is_some();
                match rpc.unwrap_or(Err(CallFault::BadMessage)) {
                    Ok(rpc) if batch.len() < max_messages => batch.push(rpc),
                    Ok(_) => drop(fault.get_or_insert(CallFault::BatchTooLong)),
                    Err(wrong) => drop(fault.get_or_insert(wrong)),
                }
            }
            Some(b'[') => {
                is_rpc = true;
                fault.get_or_insert(CallFault::BatchNested);
                scanner.value()?;
            }
            _ => {
                fault.get_or_insert(CallFault::NotAnObject);
                scanner.value()?;
            }
        }
        Ok(())
    })?;
    Ok(match fault {
        _ if len == 0 => Err(CallFault::BatchEmpty),
        _ if !is_rpc => Ok(Message::Other),
        Some(fault) => Err(fault),
        None => Ok(Message::Batch(batch)),
    })
}

/// Reads an object, whose `{` is next: a message, or what is wrong with its meaning; none if it has nothing of
/// JSON-RPC.
fn read_object<'a>(
    scanner: &mut Scanner<'a>,
) -> Result<Option<Result<Rpc<'a>, CallFault>>, CallFault> {
    let mut envelope = Envelope::default();
    scanner.object(ENVELOPE, |scanner, name| {
        match name {
            "jsonrpc" => envelope.version = Some(scanner.value()?),
            "id" => envelope.id = Some(scanner.value()?),
            "method" => envelope.method = Some(scanner.value()?),
            "result" => envelope.result = Some(scanner.value()?),
            "error" => envelope.error = Some(scanner.value()?),
            "params" if scanner.peek() == Some(b'{') => {
                envelope.params = Params::read(scanner)?;
            }
            "params" => {
                if scanner.value()?.kind() != Json::Null {
                    scanner.note(CallFault::NotAnObject);
                }
            }
            other => {
                // What a lenient reader takes for a message is one, and then the case is its fault.
                envelope.has_variant |= SIGNS.iter().any(|sign| spells_alike(other, sign));
                scanner.value()?;
            }
        }
        Ok(())
    })?;
    let noted = scanner.noted();
    if !envelope.is_rpc() {
        return Ok(None);
    }
    Ok(Some(match noted {
        None => envelope.into_rpc(),
        Some(fault) => Err(fault),
    }))
}

/// The members of a message as they were found.
#[derive(Default)]
struct Envelope<'a> {
    version: Option<Token<'a>>,
    id: Option<Token<'a>>,
    method: Option<Token<'a>>,
    params: Params<'a>,
    result: Option<Token<'a>>,
    error: Option<Token<'a>>,
    has_variant: bool,
}

impl<'a> Envelope<'a> {
    fn is_rpc(&self) -> bool {
        let sign = self.version.or(self.method).or(self.result).or(self.error);
        sign.is_some() || self.has_variant
    }

    fn into_rpc(self) -> Result<Rpc<'a>, CallFault> {
        // JSON-RPC 2.0 §4: exactly "2.0".
        if !self.version.is_some_and(|version| version.is("2.0")) {
            return Err(CallFault::BadVersion);
        }
        if !self.id.is_none_or(is_id) {
            return Err(CallFault::BadId);
        }
        let method = self.method.map(Token::string).transpose()?;
        let kind = match (&method, self.result, self.error, self.id) {
            (Some(_), None, None, Some(_)) => RpcKind::Request,
            (Some(_), None, None, None) => RpcKind::Notification,
            // MCP 2025-11-25: an error need not have an id, where the request's could not be read.
            (None, Some(_), None, Some(_)) | (None, None, Some(_), _) => RpcKind::Response,
            (None, Some(_), None, None) => return Err(CallFault::BadId),
            _ => return Err(CallFault::BadMessage),
        };
        // Reserved in every method's parameters (MCP, basic/index.mdx).
        self.params.meta.object()?;
        let rpc = Rpc {
            kind,
            id: self.id,
            method,
            params: self.params,
        };
        rpc.mcp_target()?;
        if let Some("prompts/get" | "tools/call") = rpc.method.as_deref() {
            rpc.params.arguments.object()?;
        }
        Ok(rpc)
    }
}

/// JSON-RPC 2.0 §4: a string, a number or null; fractions it advises against, and MCP forbids.
fn is_id(id: Token<'_>) -> bool {
    match id.kind() {
        Json::Null | Json::String => true,
        // Some readers keep the sign of `-0`.
        Json::Number => id.as_str() != "-0" && id.as_str().parse::<i64>().is_ok(),
        Json::Array | Json::Boolean | Json::Object => false,
    }
}

#[cfg(test)]
mod tests;
