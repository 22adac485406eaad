//! What a call is.
//!
//! Takes a request, its body read; gives protocol, binding, revision, operation, target and ids, the same as
//! whoever carries the call out reads in it. What could be read in two ways has no reading. It never decides who
//! may call.

pub(crate) mod a2a;
mod body;
pub(crate) mod fault;
pub(crate) mod grpc;
mod head;
pub(crate) mod json;
mod loose;
pub(crate) mod mcp_headers;
pub(crate) mod params;
mod protobuf;
pub(crate) mod rest;
pub(crate) mod rpc;

use std::borrow::Cow;

use bytes::Bytes;
use http::request::Parts;

use crate::deny::{Denial, DenyReason, ReplyTo};
use crate::gather::CallBody;
use crate::limits::Limits;

pub(crate) use head::is_grpc_call;

/// The agent protocol a call belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Protocol {
    /// Agent2Agent.
    A2a,
    /// Neither could be told from the head.
    Http,
    /// Model Context Protocol.
    Mcp,
}

impl Protocol {
    /// Label in records.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::A2a => "a2a",
            Self::Http => "http",
            Self::Mcp => "mcp",
        }
    }
}

/// How messages are laid on HTTP, as far as answers of our own depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Binding {
    /// gRPC over HTTP/2.
    Grpc,
    /// Anything else.
    Http,
    /// A2A's binding to HTTP methods and paths, with JSON bodies.
    HttpJson,
    /// JSON-RPC 2.0 in the body.
    JsonRpc,
}

impl Binding {
    /// Label in records.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Http => "http",
            Self::HttpJson => "http+json",
            Self::JsonRpc => "json-rpc",
        }
    }
}

/// How a request names its target (RFC 9112 §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum TargetForm {
    /// `http://host/path`, as HTTP/1 clients write to a proxy.
    Absolute,
    /// A path, with the authority beside it.
    Origin,
}

/// One call, borrowed from its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call<'a> {
    /// HTTP method.
    pub(crate) http_method: &'a str,
    /// Path without its query, which may hold a session id.
    pub(crate) path: &'a str,
    /// Authority the caller asked for.
    pub(crate) authority: Option<&'a str>,
    /// How the target was written.
    pub(crate) form: TargetForm,
    /// MCP, A2A or neither.
    pub(crate) protocol: Protocol,
    /// Shape of the messages.
    pub(crate) binding: Binding,
    /// Revision of the protocol, where it is said.
    pub(crate) revision: Option<&'a str>,
    /// Method of MCP, operation of A2A by its name in 1.0, or `batch`.
    pub(crate) operation: Option<Cow<'a, str>>,
    /// What an MCP method is called on: the tool, prompt or resource.
    pub(crate) target: Option<Cow<'a, str>>,
    /// The task it is about.
    pub(crate) task: Option<Cow<'a, str>>,
    /// The A2A context it belongs to.
    pub(crate) context: Option<Cow<'a, str>>,
    /// Methods and targets of a batch, in its order.
    pub(crate) batch: Vec<String>,
    /// What was read of its body.
    body: BodyRead,
    /// The id of the JSON-RPC request, as it is written.
    id: Option<&'a str>,
    /// Why it cannot be carried, whoever asks.
    fault: Option<Denial>,
}

/// What was read of a call's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BodyRead {
    /// Nothing: it passes as it comes, if there is one.
    Passing,
    /// All of it.
    Whole,
}

/// The longest JSON-RPC id that an answer of our own repeats; a longer one is answered as if it could not be read.
const MAX_ID_BYTES: usize = 1024;

impl<'a> Call<'a> {
    /// Reads a request.
    pub(crate) fn read(
        head: &'a Parts,
        body: &'a Result<CallBody, DenyReason>,
        limits: &Limits,
    ) -> Self {
        let mut call = Self::read_head(head);
        let read = match body {
            Err(reason) => Err((*reason).into()),
            Ok(CallBody::Passing(..)) => call.read_passing(head),
            Ok(CallBody::Whole(whole)) => {
                call.body = BodyRead::Whole;
                call.read_whole(head, &whole.bytes, limits)
            }
        };
        call.fault = read.err();
        call
    }

    /// Whether it can be carried at all.
    ///
    /// # Errors
    /// The [`Denial`] for a call that could not be read, or in more than one way.
    pub(crate) fn is_clear(&self) -> Result<(), Denial> {
        self.fault.clone().map_or(Ok(()), Err)
    }

    /// Whether it is called gRPC, and has a body that nobody has looked at.
    pub(crate) fn is_unread_grpc(&self) -> bool {
        self.binding == Binding::Grpc
            && self.body == BodyRead::Passing
            && self.http_method == "POST"
    }

    /// Whom an answer of our own to it is for.
    pub(crate) fn reply_to(&self) -> ReplyTo {
        // A copy, since a stream may last for hours and must not hold a whole body for so long.
        let id = self.id.filter(|id| id.len() <= MAX_ID_BYTES);
        ReplyTo {
            binding: self.binding,
            id: id.map(|id| Bytes::copy_from_slice(id.as_bytes())),
        }
    }
}
