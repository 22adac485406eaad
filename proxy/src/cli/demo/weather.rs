//! The MCP server, on the official SDK (rmcp), over Streamable HTTP in all its revisions.
//!
//! It knows nothing of pqlane but one header: who calls, and by which certificate.

use std::sync::Arc;

use axum::Router;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{CallToolResult, ContentBlock};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler, schemars, tool, tool_handler, tool_router};
use serde::Deserialize;

use super::workload::{caller, caller_certificate};

#[derive(Debug, Clone)]
struct Weather;

#[derive(Debug, Deserialize, schemars::JsonSchema)]
struct Place {
    /// Name of the city, in English
    city: String,
}

#[tool_router]
impl Weather {
    #[tool(description = "Today's weather in a city")]
    async fn forecast(
        &self,
        Parameters(Place { city }): Parameters<Place>,
    ) -> Result<CallToolResult, ErrorData> {
        let text = match city.as_str() {
            "Bergen" => "Bergen: rain until evening, 11 °C, wind 9 m/s from the west",
            "Lisbon" => "Lisbon: sunny, 24 °C, wind 4 m/s from the north-west",
            "Nairobi" => "Nairobi: sunny spells, 22 °C, showers after 16:00",
            _ => {
                let problem = "no station there; there is one in Bergen, Lisbon and Nairobi";
                return Ok(CallToolResult::error(vec![ContentBlock::text(problem)]));
            }
        };
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]))
    }

    #[tool(description = "The SPIFFE ID of the agent that calls, as its sidecar proved it")]
    async fn whoami(
        &self,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ErrorData> {
        Ok(answer(said_of_caller(&context, caller)))
    }

    #[tool(
        description = "SHA-256 of the certificate of the agent that calls, as its sidecar saw it"
    )]
    async fn certificate(
        &self,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ErrorData> {
        Ok(answer(said_of_caller(&context, caller_certificate)))
    }
}

/// What the sidecar says of the caller, as far as `part` takes it.
fn said_of_caller(
    context: &RequestContext<RoleServer>,
    part: fn(&str) -> Option<&str>,
) -> Option<&str> {
    let head = context.extensions.get::<http::request::Parts>()?;
    part(head.headers.get("x-forwarded-client-cert")?.to_str().ok()?)
}

fn answer(said: Option<&str>) -> CallToolResult {
    match said {
        Some(text) => CallToolResult::success(vec![ContentBlock::text(text)]),
        None => CallToolResult::error(vec![ContentBlock::text("nobody said")]),
    }
}

#[tool_handler(name = "weather")]
impl ServerHandler for Weather {}

/// The server, at `/mcp`.
pub(super) fn routes() -> Router {
    let service = StreamableHttpService::new(
        || Ok(Weather),
        Arc::new(LocalSessionManager::default()),
        StreamableHttpServerConfig::default(),
    );
    Router::new().nest_service("/mcp", service)
}
