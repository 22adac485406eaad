//! What a request's body, path and MCP headers say a call is.
//!
//! Takes a request whose head is read; adds what the rest of it says, or gives the refusal of a call that could
//! be read in two ways.

use std::borrow::Cow;

use http::request::Parts;

use super::a2a::{Operation, Revision};
use super::fault::CallFault;
use super::grpc::{GrpcCall, GrpcFault};
use super::head::is_protobuf;
use super::json::{JsonLimits, Token};
use super::mcp_headers;
use super::params::Params;
use super::rest::{PathFault, RestCall};
use super::rpc::{self, Message, Rpc, RpcKind};
use super::{Binding, Call, Protocol};
use crate::deny::{Denial, DenyReason};
use crate::limits::Limits;

impl From<CallFault> for Denial {
    fn from(fault: CallFault) -> Self {
        use CallFault as F;
        let reason = match fault {
            F::CaseVariant | F::Duplicate => DenyReason::AmbiguousCall,
            F::HeaderMismatch(_) | F::HeaderRepeated(_) | F::TooManyParamHeaders => {
                DenyReason::HeaderMismatch
            }
            F::BadId
            | F::BadMessage
            | F::BadVersion
            | F::BatchEmpty
            | F::BatchNested
            | F::BatchNotAllowed
            | F::BatchTooLong
            | F::NotAnObject
            | F::NotJson { .. }
            | F::NotUtf8
            | F::TooDeep
            | F::TooManyMembers
            | F::TooManyReferences
            | F::WrongType => DenyReason::MalformedCall,
        };
        Self::with_detail(reason, fault.to_string())
    }
}

impl From<GrpcFault> for Denial {
    fn from(fault: GrpcFault) -> Self {
        let reason = match fault {
            GrpcFault::FieldTwice | GrpcFault::IdsDiffer => DenyReason::AmbiguousCall,
            _ => DenyReason::MalformedCall,
        };
        Self::with_detail(reason, fault.to_string())
    }
}

impl From<PathFault> for Denial {
    fn from(fault: PathFault) -> Self {
        Self::with_detail(DenyReason::AmbiguousPath, fault.to_string())
    }
}

fn ambiguous(detail: &str) -> Denial {
    Denial::with_detail(DenyReason::AmbiguousCall, detail)
}

impl<'a> Call<'a> {
    /// Reads a call whose body passes unread, or that has none.
    pub(super) fn read_passing(&mut self, head: &'a Parts) -> Result<(), Denial> {
        if self.binding == Binding::Grpc {
            return never_read_as_a2a(head);
        }
        self.read_path(head)?;
        Ok(())
    }

    /// Reads a call whose body is there.
    pub(super) fn read_whole(
        &mut self,
        head: &'a Parts,
        body: &'a [u8],
        limits: &Limits,
    ) -> Result<(), Denial> {
        if self.binding == Binding::Grpc
            && let Some(call) = GrpcCall::read(head.uri.path(), body)?
        {
            if !is_protobuf(head) {
                return Err(ambiguous(
                    "A2A's gRPC service, asked for in another encoding",
                ));
            }
            self.is_a2a(call.revision, call.operation);
            self.task = call.ids.task.map(Cow::Borrowed);
            self.context = call.ids.context.map(Cow::Borrowed);
            return Ok(());
        }
        let bounds = JsonLimits {
            depth: limits.call_depth,
            ..JsonLimits::default()
        };
        match self.read_path(head)? {
            Some(operation) => self.read_parameters(operation, body, &bounds),
            None if body.is_empty() => Ok(()),
            None => self.read_rpc(head, body, &bounds),
        }
    }

    fn is_a2a(&mut self, revision: Revision, operation: Operation) {
        self.protocol = Protocol::A2a;
        // The header is the caller's word; the shape of the call is what it is carried out by.
        self.revision = Some(revision.as_str());
        self.operation = Some(operation.as_str().into());
    }

    /// A2A's HTTP+JSON binding: method and path.
    fn read_path(&mut self, head: &'a Parts) -> Result<Option<Operation>, Denial> {
        let uri = &head.uri;
        // Other protocols on gRPC's paths, such as Connect and gRPC-Web, put other bytes there.
        if self.binding != Binding::Grpc && GrpcCall::method(uri.path())?.is_some() {
            return Err(ambiguous("A2A's gRPC service, asked for as something else"));
        }
        let call = match RestCall::read(head.method.as_str(), uri.path(), uri.query()) {
            Ok(Some(call)) => call,
            // Such as `PUT /tasks/1`: A2A has no such call, and other interfaces may.
            Ok(None) | Err(PathFault::Method) => return Ok(None),
            Err(fault) => return Err(fault.into()),
        };
        self.protocol = Protocol::A2a;
        self.binding = Binding::HttpJson;
        self.revision = call.revision.map(Revision::as_str).or(self.revision);
        self.operation = Some(call.operation.as_str().into());
        self.task = call.task;
        self.context = call.context;
        Ok(Some(call.operation))
    }

    /// A2A's HTTP+JSON binding: the body.
    fn read_parameters(
        &mut self,
        operation: Operation,
        body: &'a [u8],
        bounds: &JsonLimits,
    ) -> Result<(), Denial> {
        let params = Params::of_body(body, bounds)?;
        if !body.is_empty() && !matches!(rpc::read(body, bounds)?, Message::Other) {
            return Err(ambiguous(
                "a JSON-RPC message on a path of the HTTP+JSON binding",
            ));
        }
        let message = params.message.object()?;
        let sent = message.filter(|_| operation.sends_message());
        if let Some(sent) = sent {
            self.task = text(sent.task_id)?;
            self.context = text(sent.context_id)?;
        }
        let id = match operation {
            Operation::CancelTask | Operation::GetTask | Operation::SubscribeToTask => params.id,
            _ => None,
        };
        // Each member that some server takes for the task must agree with where the operation has it.
        for named in [
            id,
            params.task_id,
            message.and_then(|message| message.task_id),
        ] {
            self.must_name_the_task(text(named)?)?;
        }
        self.read_push_configs(&params)
    }

    fn must_name_the_task(&self, named: Option<Cow<'_, str>>) -> Result<(), Denial> {
        match named {
            Some(named) if self.task.as_deref() != Some(&*named) => {
                Err(ambiguous("the task is named in two ways"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Where reports on a task go is said beside the task, and names it again; in 0.3's protobuf by resource names.
    fn read_push_configs(&self, params: &Params<'_>) -> Result<(), Denial> {
        for config in params.push_configs()? {
            self.must_name_the_task(text(config.task_id)?)?;
            self.must_name_the_task(task_of_resource(config.name)?)?;
        }
        self.must_name_the_task(task_of_resource(params.parent)?)?;
        self.must_name_the_task(task_of_resource(params.name)?)
    }

    fn read_rpc(
        &mut self,
        head: &'a Parts,
        body: &'a [u8],
        bounds: &JsonLimits,
    ) -> Result<(), Denial> {
        self.binding = Binding::JsonRpc;
        let message = rpc::read(body, bounds)?;
        if let Message::One(rpc) = &message {
            self.id = rpc.id.map(Token::as_str);
            if let Some((revision, operation)) = a2a_operation(rpc)? {
                self.is_a2a(revision, operation);
                return self.read_a2a(&rpc.params, revision, operation);
            }
        }
        if message
            .messages()
            .iter()
            .any(|rpc| matches!(a2a_operation(rpc), Ok(Some(_))))
        {
            return Err(CallFault::BatchNotAllowed.into());
        }
        self.read_mcp(head, message)
    }

    fn read_mcp(&mut self, head: &'a Parts, message: Message<'a>) -> Result<(), Denial> {
        let said = mcp_headers::check(&head.headers, &message)?;
        match message {
            Message::Other => self.binding = Binding::Http,
            Message::Batch(batch) => {
                self.protocol = Protocol::Mcp;
                self.operation = Some("batch".into());
                for rpc in &batch {
                    let target = rpc.mcp_target()?;
                    let method = rpc.method.as_deref().unwrap_or(RESPONSE);
                    self.batch.push(match target {
                        Some(target) => format!("{method} {target}"),
                        None => method.to_owned(),
                    });
                }
            }
            Message::One(rpc) => {
                let is_mcp = rpc.kind == RpcKind::Response
                    || rpc.method.as_deref().is_some_and(is_mcp_method);
                if is_mcp {
                    self.protocol = Protocol::Mcp;
                    self.task = match rpc.method.as_deref() {
                        Some(method) if method.starts_with("tasks/") => text(rpc.params.task_id)?,
                        _ => None,
                    };
                }
                self.target = rpc.mcp_target()?.filter(|_| self.task.is_none());
                self.operation = Some(rpc.method.unwrap_or(RESPONSE.into()));
            }
        }
        if self.protocol == Protocol::Mcp {
            self.revision = match said {
                mcp_headers::Revision::BodyOnly(revision) => revision,
                mcp_headers::Revision::Mirrored(revision) => Some(revision),
            };
        }
        Ok(())
    }

    /// A2A's JSON-RPC binding.
    fn read_a2a(
        &mut self,
        params: &Params<'a>,
        revision: Revision,
        operation: Operation,
    ) -> Result<(), Denial> {
        if let Some(members) = operation.task_members(revision) {
            self.task = text(match members {
                ["id"] => params.id,
                ["taskId"] => params.task_id,
                _ => params.message.object()?.and_then(|message| message.task_id),
            })?;
        }
        // Where an operation has no context, its server does not look for one.
        self.context = text(match operation {
            Operation::ListTasks => params.context_id,
            _ if operation.sends_message() => params
                .message
                .object()?
                .and_then(|message| message.context_id),
            _ => None,
        })?;
        self.read_push_configs(params)
    }
}

/// The task in a resource name, `tasks/ID` and what may follow.
fn task_of_resource(name: Option<Token<'_>>) -> Result<Option<Cow<'_, str>>, Denial> {
    let Some(name) = text(name)? else {
        return Ok(None);
    };
    let task = name
        .strip_prefix("tasks/")
        .and_then(|rest| rest.split('/').next());
    match task {
        Some(task) => Ok(Some(task.to_owned().into())),
        None => Err(ambiguous("a resource name that is no task's")),
    }
}

/// What is called gRPC, and passes unread, must be no call of A2A: some servers do not look at the method, others
/// not at the content type.
fn never_read_as_a2a(head: &Parts) -> Result<(), Denial> {
    let uri = &head.uri;
    if GrpcCall::method(uri.path())?.is_some() {
        return Err(ambiguous("A2A's gRPC service, asked for without POST"));
    }
    match RestCall::read(head.method.as_str(), uri.path(), uri.query()) {
        Ok(None) | Err(PathFault::Method) => Ok(()),
        Err(fault) => Err(fault.into()),
        Ok(Some(_)) => Err(ambiguous(
            "a path of A2A's HTTP+JSON binding, asked for as gRPC",
        )),
    }
}

/// What a client sends back to a server that asked it something.
const RESPONSE: &str = "response";

/// The A2A operation that a message asks for.
///
/// MCP 2025-11-25 and A2A 0.3 both have `tasks/get` and `tasks/cancel`; the first names the task by `taskId`, the
/// second by `id`. No header tells them apart, since the caller chooses headers.
fn a2a_operation(rpc: &Rpc<'_>) -> Result<Option<(Revision, Operation)>, Denial> {
    let Some(method) = rpc.method.as_deref() else {
        return Ok(None);
    };
    if matches!(method, "tasks/get" | "tasks/cancel") {
        match (rpc.params.id, rpc.params.task_id) {
            (Some(_), Some(_)) => {
                return Err(ambiguous("a task named as MCP does and as A2A does"));
            }
            (Some(_), None) => {}
            (None, _) => return Ok(None),
        }
    }
    Ok(Operation::from_json_rpc(method))
}

/// Whether a method is of MCP, in any of its revisions: its names are lower case, and those with a slash are its
/// alone once A2A's are taken out.
fn is_mcp_method(method: &str) -> bool {
    matches!(method, "initialize" | "ping") || method.contains('/')
}

fn text<'a>(token: Option<Token<'a>>) -> Result<Option<Cow<'a, str>>, CallFault> {
    let text = token.map(Token::string).transpose()?;
    // ProtoJSON does not tell an empty string from a member that is absent.
    Ok(text.filter(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests;
