//! rmcp 3.9 dual-era server on /mcp. env PORT.
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    handler::server::wrapper::Parameters,
    model::*,
    schemars,
    service::RequestContext,
    tool, tool_handler, tool_router,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
    },
};
use std::time::Duration;

#[derive(Clone)]
struct Lab;
#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Echo {
    message: String,
}
#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Ticks {
    n: u32,
    ms: u64,
}

#[tool_router]
impl Lab {
    #[tool(description = "echo")]
    async fn echo(&self, Parameters(e): Parameters<Echo>) -> Result<CallToolResult, ErrorData> {
        Ok(CallToolResult::success(vec![ContentBlock::text(e.message)]))
    }
    #[tool(description = "n progress notifications, ms apart")]
    async fn slow_ticks(
        &self,
        Parameters(t): Parameters<Ticks>,
        ctx: RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ErrorData> {
        for i in 0..t.n {
            tokio::select! {
                _ = ctx.ct.cancelled() => { println!("CANCELLED slow_ticks at {i}"); return Ok(CallToolResult::success(vec![])); }
                _ = tokio::time::sleep(Duration::from_millis(t.ms)) => {}
            }
            if let Some(token) = ctx.meta.get_progress_token() {
                let _ = ctx
                    .peer
                    .notify_progress(
                        ProgressNotificationParam::new(token, (i + 1) as f64)
                            .with_total(t.n as f64),
                    )
                    .await;
            }
        }
        Ok(CallToolResult::success(vec![ContentBlock::text(format!(
            "ticked {}",
            t.n
        ))]))
    }
}
#[tool_handler]
impl ServerHandler for Lab {}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .init();
    let port = std::env::var("PORT").unwrap_or("3130".into());
    let svc = StreamableHttpService::new(
        || Ok(Lab),
        LocalSessionManager::default().into(),
        StreamableHttpServerConfig::default(),
    );
    let l = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("rmcp on {port}");
    axum::serve(l, axum::Router::new().nest_service("/mcp", svc)).await?;
    Ok(())
}
