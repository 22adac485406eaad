//! An MCP client, on the official SDK (rmcp), that calls the weather server through the egress.

use std::net::SocketAddr;

use anyhow::{Context, ensure};
use rmcp::RoleClient;
use rmcp::model::{
    CallToolRequestParams, ClientCapabilities, ClientConfig, Implementation, ProtocolVersion,
};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::{Value, json};

use super::expectation::expect;
use super::page;
use super::party::Party;

pub(super) type Client = RunningService<RoleClient, ClientConfig>;

/// Opens, lists tools, calls two of them, and closes, all in one revision.
pub(super) async fn make(egress: SocketAddr, revision: &ProtocolVersion) -> anyhow::Result<()> {
    let client = Box::pin(connect(egress, revision)).await?;
    let server = client
        .peer_info()
        .context("the server did not say what it is")?;
    let name = server
        .server_info
        .as_ref()
        .map_or("a server without a name", |info| info.name.as_str());
    expect("MCP revision", &server.protocol_version, revision)?;
    page::fact(
        opening(revision),
        format_args!("agreed on {} with {name}", server.protocol_version),
    );

    let tools = client.list_all_tools().await.context("tools/list")?;
    let mut names: Vec<&str> = tools.iter().map(|tool| tool.name.as_ref()).collect();
    names.sort_unstable();
    let names = names.join(", ");
    expect("tools", names.as_str(), "certificate, forecast, whoami")?;
    page::fact("tools/list", &names);

    let forecast = call(&client, "forecast", json!({ "city": "Lisbon" })).await?;
    ensure!(
        forecast.starts_with("Lisbon: "),
        "forecast: expected Lisbon's, found {forecast:?}"
    );
    page::fact("forecast", &forecast);

    let caller = call(&client, "whoami", json!({})).await?;
    expect(
        "caller that the server sees",
        caller.as_str(),
        Party::Assistant.id(),
    )?;
    page::fact("whoami", &caller);

    close(client).await
}

/// Ends a session.
pub(super) async fn close(client: Client) -> anyhow::Result<()> {
    client.cancel().await.context("closing the MCP client")?;
    Ok(())
}

/// The method with which a revision begins.
fn opening(revision: &ProtocolVersion) -> &'static str {
    match revision.has_initialize() {
        true => "initialize",
        false => "discover",
    }
}

pub(super) async fn connect(
    egress: SocketAddr,
    revision: &ProtocolVersion,
) -> anyhow::Result<Client> {
    // A proxy in the environment is not meant for loopback.
    let http = reqwest::Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .build()?;
    let transport = StreamableHttpClientTransport::with_client(
        http,
        StreamableHttpClientTransportConfig::with_uri(format!("http://{egress}/mcp")),
    );
    let implementation = Implementation::new("pqlane-demo", env!("CARGO_PKG_VERSION"));
    let config = ClientConfig::new(ClientCapabilities::default(), implementation)
        .with_protocol_version(revision.clone());
    let lifecycle = match revision.has_initialize() {
        true => ClientLifecycleMode::Initialize,
        false => ClientLifecycleMode::Discover {
            preferred_versions: vec![revision.clone()],
        },
    };
    config
        .serve_with_lifecycle(transport, lifecycle)
        .await
        .with_context(|| format!("no MCP {revision} session through the egress"))
}

/// Calls a tool; gives the text it answers with.
pub(super) async fn call(
    client: &Client,
    tool: &'static str,
    arguments: Value,
) -> anyhow::Result<String> {
    let arguments = arguments.as_object().cloned().unwrap_or_default();
    let request = CallToolRequestParams::new(tool).with_arguments(arguments);
    let result = client.call_tool(request).await.context(tool)?;
    let text = result
        .content
        .iter()
        .find_map(|block| Some(block.as_text()?.text.clone()))
        .with_context(|| format!("{tool}: expected text in the result"))?;
    ensure!(
        result.is_error != Some(true),
        "{tool}: expected a result, found the error {text:?}"
    );
    Ok(text)
}
