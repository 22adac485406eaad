//! The A2A agent, on the official server (a2a-server-lf), in the JSON-RPC binding.
//!
//! It works on a question for a while and says what it finds piece by piece, as agents do.

use std::sync::Arc;
use std::time::Duration;

use a2a::{
    A2AError, AgentCapabilities, AgentCard, AgentInterface, AgentSkill, Artifact, Message, Part,
    Role, StreamResponse, TRANSPORT_PROTOCOL_JSONRPC, Task, TaskArtifactUpdateEvent, TaskState,
    TaskStatus, TaskStatusUpdateEvent, new_artifact_id,
};
use a2a_server::agent_card::agent_card_router;
use a2a_server::jsonrpc::jsonrpc_router;
use a2a_server::{
    AgentExecutor, DefaultRequestHandler, ExecutorContext, InMemoryTaskStore, StaticAgentCard,
};
use axum::Router;
use futures::stream::{self, BoxStream, StreamExt};

use super::config_text::RESEARCH_AUTHORITY;
use super::workload::caller;

/// How long the agent takes for each thing it says.
pub(super) const PACE: Duration = Duration::from_millis(80);

/// What it finds, in two pieces.
pub(super) const FINDING: [&str; 2] = [
    "Key exchange first: what is recorded today can be read later. ",
    "Signatures next: they fail only once somebody can forge them.",
];

type Said = Result<StreamResponse, A2AError>;

#[derive(Debug)]
struct Research;

impl AgentExecutor for Research {
    fn execute(&self, context: ExecutorContext) -> BoxStream<'static, Said> {
        let script = Script::of(&context).whole();
        stream::iter(script)
            .then(|said| async {
                tokio::time::sleep(PACE).await;
                Ok(said)
            })
            .boxed()
    }

    fn cancel(&self, context: ExecutorContext) -> BoxStream<'static, Said> {
        let cancelled = Script::of(&context).status(TaskState::Canceled, None);
        stream::iter([Ok(cancelled)]).boxed()
    }
}

/// What the agent says about one task.
struct Script {
    task_id: String,
    context_id: String,
    caller: String,
}

impl Script {
    fn of(context: &ExecutorContext) -> Self {
        let caller = context
            .service_params
            .get("x-forwarded-client-cert")
            .and_then(|values| caller(values.first()?))
            .unwrap_or("nobody knows whom");
        Self {
            task_id: context.task_id.clone(),
            context_id: context.context_id.clone(),
            caller: caller.to_owned(),
        }
    }

    fn whole(&self) -> Vec<StreamResponse> {
        let submitted = StreamResponse::Task(Task {
            id: self.task_id.clone(),
            context_id: self.context_id.clone(),
            status: status(TaskState::Submitted, None),
            artifacts: None,
            history: None,
            metadata: None,
        });
        let asked = Message::new(
            Role::Agent,
            vec![Part::text(format!("asked by {}", self.caller))],
        );
        let mut said = vec![submitted, self.status(TaskState::Working, Some(asked))];
        said.extend(self.artifact());
        said.push(self.status(TaskState::Completed, None));
        said
    }

    fn status(&self, state: TaskState, message: Option<Message>) -> StreamResponse {
        StreamResponse::StatusUpdate(TaskStatusUpdateEvent {
            task_id: self.task_id.clone(),
            context_id: self.context_id.clone(),
            status: status(state, message),
            metadata: None,
        })
    }

    /// One artifact, each piece appended to the one before.
    fn artifact(&self) -> impl Iterator<Item = StreamResponse> {
        let artifact_id = new_artifact_id();
        FINDING.iter().enumerate().map(move |(index, piece)| {
            StreamResponse::ArtifactUpdate(TaskArtifactUpdateEvent {
                task_id: self.task_id.clone(),
                context_id: self.context_id.clone(),
                artifact: Artifact {
                    artifact_id: artifact_id.clone(),
                    name: Some("finding".to_owned()),
                    description: None,
                    parts: vec![Part::text(*piece)],
                    metadata: None,
                    extensions: None,
                },
                append: Some(index > 0),
                last_chunk: Some(index + 1 == FINDING.len()),
                metadata: None,
            })
        })
    }
}

fn status(state: TaskState, message: Option<Message>) -> TaskStatus {
    TaskStatus {
        state,
        message,
        timestamp: None,
    }
}

/// The agent, with its card; the card names the address that clients use, not the one behind the sidecar.
pub(super) fn routes() -> Router {
    let text = || vec!["text/plain".to_owned()];
    let capabilities = AgentCapabilities {
        streaming: Some(true),
        push_notifications: Some(false),
        extensions: None,
        extended_agent_card: None,
    };
    let card = AgentCard {
        name: "research".to_owned(),
        description: "Looks into a question and reports as it goes".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        supported_interfaces: vec![AgentInterface::new(
            format!("http://{RESEARCH_AUTHORITY}/"),
            TRANSPORT_PROTOCOL_JSONRPC,
        )],
        capabilities: capabilities.clone(),
        default_input_modes: text(),
        default_output_modes: text(),
        skills: vec![AgentSkill {
            id: "look-into".to_owned(),
            name: "Look into a question".to_owned(),
            description: "Gives a finding, piece by piece".to_owned(),
            tags: vec!["research".to_owned()],
            examples: None,
            input_modes: None,
            output_modes: None,
            security_requirements: None,
        }],
        provider: None,
        documentation_url: None,
        icon_url: None,
        security_schemes: None,
        security_requirements: None,
        signatures: None,
    };
    let requests = DefaultRequestHandler::new(Research, InMemoryTaskStore::new())
        .with_capabilities(capabilities);
    jsonrpc_router(Arc::new(requests))
        .merge(agent_card_router(Arc::new(StaticAgentCard::new(card))))
}
