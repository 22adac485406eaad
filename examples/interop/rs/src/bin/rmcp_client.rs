//! rmcp 3.9 client check for both lifecycles. usage: rmcp_client URL
use rmcp::{
    RoleClient, ServiceExt,
    model::*,
    service::{ClientLifecycleMode, ClientServiceExt, RunningService},
    transport::StreamableHttpClientTransport,
};
use serde_json::{Value, json};

/// Calls a tool; the answer as text to look into.
async fn call(
    c: &RunningService<RoleClient, ClientConfig>,
    tool: &'static str,
    args: Value,
) -> anyhow::Result<String> {
    let args = args.as_object().cloned().unwrap_or_default();
    let r = c.call_tool(CallToolRequestParams::new(tool).with_arguments(args));
    Ok(format!("{:?}", r.await?))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = std::env::args().nth(1).expect("usage: rmcp_client URL");
    let (mut passed, mut failed) = (0, 0);
    for era in ["legacy", "modern"] {
        let info = ClientConfig::new(
            ClientCapabilities::default(),
            Implementation::new("lab-rmcp", "1"),
        );
        let t = StreamableHttpClientTransport::from_uri(url.clone());
        let c = if era == "modern" {
            let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
            info.serve_with_lifecycle(t, ClientLifecycleMode::Discover { preferred_versions })
                .await?
        } else {
            info.serve(t).await?
        };
        let list = !c.list_all_tools().await?.is_empty();
        let echo = call(&c, "echo", json!({"message": "héllo"})).await?;
        let slow = call(&c, "slow_ticks", json!({"n": 3, "ms": 100})).await?;
        for (name, ok) in [
            ("list", list),
            ("echo", echo.contains("héllo")),
            ("slow", slow.contains("ticked 3")),
        ] {
            if ok {
                passed += 1
            } else {
                failed += 1
            }
            println!("{} {era} {name}", if ok { "ok" } else { "FAIL" });
        }
        c.cancel().await?;
    }
    println!("{passed} passed, {failed} failed");
    std::process::exit((failed > 0) as i32)
}
