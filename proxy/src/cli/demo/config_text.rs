//! The configuration files of the demo, as a user would write them.

use std::net::SocketAddr;

use pqlane_certs::source::Endpoint;

use super::party::Party;

/// Authority under which clients know the A2A agent.
pub(super) const RESEARCH_AUTHORITY: &str = "research.agents.example";

/// A sidecar in front of a workload.
pub(super) fn sidecar(
    identities: &Endpoint,
    party: Party,
    listen: SocketAddr,
    workload: SocketAddr,
) -> String {
    let (head, name, caller) = (head(identities, party), party.name(), Party::Assistant.id());
    format!(
        r#"# The sidecar beside "{name}": peers come in over hybrid mutual TLS, the workload sees plain HTTP.
{head}
[[inbound]]
name = "{name}"
listen = "{listen}"
workload = "http://{workload}"
allow = ["{caller}"]
"#
    )
}

/// The egress beside the agent that calls.
pub(super) fn egress(
    identities: &Endpoint,
    listen: SocketAddr,
    weather: SocketAddr,
    research: SocketAddr,
) -> String {
    let head = head(identities, Party::Assistant);
    let (weather_id, research_id) = (Party::Weather.id(), Party::Research.id());
    format!(
        r#"# The egress beside "assistant": plain HTTP goes in here, hybrid mutual TLS goes out to the peers.
{head}
[[outbound]]
name = "egress"
listen = "{listen}"
# http://{listen}/mcp is the MCP server.
connect = "{weather}"
peers = ["{weather_id}"]

[[outbound.route]]
# http://research.localhost:{port}/ is the A2A agent; so is http://{RESEARCH_AUTHORITY}/
# for clients that have the egress as their HTTP proxy.
name = "research"
authority = "{RESEARCH_AUTHORITY}"
connect = "{research}"
peers = ["{research_id}"]
"#,
        port = listen.port()
    )
}

/// Identity and records; paths are relative to the file.
fn head(identities: &Endpoint, party: Party) -> String {
    let (name, id) = (party.name(), party.id());
    format!(
        r#"[identity]
# Brings the SVID and every bundle, and pushes each change.
workload_api = "{identities}"
spiffe_id = "{id}"

[audit]
to = "{name}.audit.jsonl"
"#
    )
}
