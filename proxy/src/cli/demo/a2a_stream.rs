//! An A2A client, the official one (a2a-client-lf), that streams a message through the egress as through any
//! HTTP proxy.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use a2a::{
    AgentCard, Message, Part, Role, SendMessageRequest, StreamResponse, TaskState, TaskStatus,
};
use a2a_client::A2AClientFactory;
use a2a_client::agent_card::AgentCardResolver;
use a2a_client::jsonrpc::JsonRpcTransportFactory;
use anyhow::{Context, ensure};
use futures::StreamExt;

use super::config_text::RESEARCH_AUTHORITY;
use super::expectation::expect;
use super::page;
use super::party::Party;
use super::research::{FINDING, PACE};

const QUESTION: &str = "What should move to post-quantum cryptography first?";

/// Reads the agent's card, sends a message, and shows each event when it arrives.
pub(super) async fn follow(egress: SocketAddr) -> anyhow::Result<()> {
    let http = reqwest::Client::builder()
        .proxy(reqwest::Proxy::http(format!("http://{egress}"))?)
        .build()?;
    let card = AgentCardResolver::new(Some(http.clone()))
        .resolve(&format!("http://{RESEARCH_AUTHORITY}"))
        .await
        .context("no agent card through the egress")?;
    page::fact("agent card", described(&card));
    let agent = A2AClientFactory::builder()
        .no_defaults()
        .register(Arc::new(JsonRpcTransportFactory::new(Some(http))))
        .build()
        .create_from_card(&card)
        .await?;
    let request = SendMessageRequest {
        message: Message::new(Role::User, vec![Part::text(QUESTION)]),
        configuration: None,
        metadata: None,
        tenant: None,
    };
    page::fact("message", QUESTION);
    let sent = Instant::now();
    let mut events = agent
        .send_streaming_message(&request)
        .await
        .context("the message was not taken")?;
    let mut arrived = Arrived::default();
    while let Some(event) = events.next().await {
        let event = event.context("the stream broke off")?;
        arrived.take(&event, sent.elapsed());
    }
    arrived.check()
}

fn described(card: &AgentCard) -> String {
    let interfaces: Vec<String> = card
        .supported_interfaces
        .iter()
        .map(|interface| {
            format!(
                "A2A {} by {} at {}",
                interface.protocol_version, interface.protocol_binding, interface.url
            )
        })
        .collect();
    format!("{}, {}", card.name, interfaces.join(", "))
}

/// What has arrived so far.
#[derive(Debug, Default)]
struct Arrived {
    at: Vec<Duration>,
    states: Vec<&'static str>,
    said: Vec<String>,
    finding: String,
}

impl Arrived {
    fn take(&mut self, event: &StreamResponse, at: Duration) {
        self.at.push(at);
        match event {
            StreamResponse::Task(task) => self.take_status(&task.status, at),
            StreamResponse::StatusUpdate(update) => self.take_status(&update.status, at),
            StreamResponse::ArtifactUpdate(update) => {
                let piece: String = update
                    .artifact
                    .parts
                    .iter()
                    .filter_map(Part::as_text)
                    .collect();
                page::event(at, "artifact", piece.trim_end());
                self.finding.push_str(&piece);
            }
            StreamResponse::Message(message) => {
                page::event(at, "message", message.text().unwrap_or_default());
            }
        }
    }

    fn take_status(&mut self, status: &TaskStatus, at: Duration) {
        let state = state_name(&status.state);
        let text = status.message.as_ref().and_then(Message::text);
        page::event(at, state, text.unwrap_or_default());
        self.states.push(state);
        self.said.extend(text.map(str::to_owned));
    }

    fn check(&self) -> anyhow::Result<()> {
        let states = self.states.join(", ");
        expect(
            "states of the task",
            states.as_str(),
            "submitted, working, completed",
        )?;
        let said = self.said.join(", ");
        let expected = format!("asked by {}", Party::Assistant.id());
        expect("what the agent says", said, expected)?;
        expect("the finding", self.finding.as_str(), &FINDING.concat())?;
        let (Some(first), Some(last)) = (self.at.first(), self.at.last()) else {
            anyhow::bail!("expected events, found none");
        };
        // Held back to the end, they would arrive together.
        let pauses = u32::try_from(self.at.len().saturating_sub(1))?;
        let spread = last.saturating_sub(*first);
        ensure!(
            spread > PACE * pauses / 2,
            "expected each event when the agent said it, found all within {} ms",
            spread.as_millis()
        );
        Ok(())
    }
}

fn state_name(state: &TaskState) -> &'static str {
    match state {
        TaskState::Completed => "completed",
        TaskState::Submitted => "submitted",
        TaskState::Working => "working",
        _ => "other",
    }
}
