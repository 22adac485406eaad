//! Who takes part.

/// The trust domain, in a top-level domain that is reserved for examples (RFC 2606 §2).
pub(super) const TRUST_DOMAIN: &str = "agents.example";

/// A workload of the demo. Its files are named like it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Party {
    /// The agent that calls, through the egress.
    Assistant,
    /// The A2A agent.
    Research,
    /// The MCP server.
    Weather,
}

impl Party {
    pub(super) const ALL: [Self; 3] = [Self::Assistant, Self::Research, Self::Weather];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Assistant => "assistant",
            Self::Research => "research",
            Self::Weather => "weather",
        }
    }

    /// Its SPIFFE ID, in [`TRUST_DOMAIN`].
    pub(super) fn id(self) -> &'static str {
        match self {
            Self::Assistant => "spiffe://agents.example/agent/assistant",
            Self::Research => "spiffe://agents.example/agent/research",
            Self::Weather => "spiffe://agents.example/mcp/weather",
        }
    }
}
