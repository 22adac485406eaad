//! rmcp 3.9 server, both eras, no sessions, on /mcp/LABEL: writes what it ran. env PORT, RAN (file).
//! One line of JSON for each request a handler was given: label (last segment of the path), method,
//! target (tool, prompt or URI).
use axum::http::request::Parts;
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::*,
    service::RequestContext,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
    },
};
use serde_json::{Value, json};
use std::{fs::OpenOptions, io::Write, sync::Arc};

#[derive(Clone)]
struct Calls;

impl Calls {
    /// Writes one line with one call of the system, so that lines never mix.
    fn ran(&self, ctx: &RequestContext<RoleServer>, method: &str, target: Value) {
        let path = ctx.extensions.get::<Parts>().map(|head| head.uri.path());
        let label = path.and_then(|path| path.rsplit('/').next());
        let line = json!({"label": label, "method": method, "target": target});
        let file = std::env::var("RAN").expect("RAN names a file");
        let file = OpenOptions::new().create(true).append(true).open(file);
        file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()))
            .expect("RAN can be written");
    }
}

fn tool(name: &'static str) -> Tool {
    let schema = json!({"type": "object", "properties": {
        "message": {"type": "string"}, "region": {"type": "string", "x-mcp-header": "Region"},
        "count": {"type": "integer", "x-mcp-header": "Count"},
        "dry": {"type": "boolean", "x-mcp-header": "Dry"},
        "place": {"type": "string", "x-mcp-header": "City"}}});
    Tool::new(
        name,
        "a tool",
        Arc::new(schema.as_object().cloned().unwrap_or_default()),
    )
}

impl ServerHandler for Calls {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_prompts()
            .enable_resources()
            .build();
        let mut info = ServerConfig::default();
        info.capabilities = capabilities;
        info
    }
    fn get_tool(&self, name: &str) -> Option<Tool> {
        ["echo", "secret", "grüße"]
            .into_iter()
            .find(|n| *n == name)
            .map(tool)
    }
    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        ctx: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        self.ran(&ctx, "tools/list", Value::Null);
        Ok(ListToolsResult::with_all_items(
            ["echo", "secret", "grüße"].map(tool).to_vec(),
        ))
    }
    async fn call_tool(
        &self,
        call: CallToolRequestParams,
        ctx: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        self.ran(&ctx, "tools/call", json!(call.name));
        let text = format!("ran {}", call.name);
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }
    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        ctx: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        self.ran(&ctx, "prompts/list", Value::Null);
        Ok(ListPromptsResult::default())
    }
    async fn get_prompt(
        &self,
        call: GetPromptRequestParams,
        ctx: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        self.ran(&ctx, "prompts/get", json!(call.name));
        Ok(GetPromptResult::new(vec![]).into())
    }
    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        ctx: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        self.ran(&ctx, "resources/list", Value::Null);
        Ok(ListResourcesResult::default())
    }
    async fn read_resource(
        &self,
        call: ReadResourceRequestParams,
        ctx: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        self.ran(&ctx, "resources/read", json!(call.uri));
        Ok(ReadResourceResult::new(vec![]).into())
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let port = std::env::var("PORT")?;
    let config = StreamableHttpServerConfig::default().with_legacy_session_mode(false);
    let sessions = LocalSessionManager::default().into();
    let service = StreamableHttpService::new(|| Ok(Calls), sessions, config);
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    axum::serve(listener, axum::Router::new().nest_service("/mcp", service)).await?;
    Ok(())
}
