//! `--keep`: how to go on from here.

use std::future::Future;
use std::path::Path;

use anyhow::Context;

use super::config_text::RESEARCH_AUTHORITY;
use super::estate::Estate;
use super::page;
use super::party::Party;
use super::stage::Stage;
use crate::app::Ended;
use crate::cli::{say, told_to_stop};

/// Says what there is to call and to copy, waits for `stop`, and drains.
pub(super) async fn go_on(
    estate: &Estate,
    stage: Stage,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    addresses(estate, &stage);
    for party in [Party::Assistant, Party::Weather, Party::Research] {
        show_file(&estate.config_path(party))?;
    }
    page::part("It is left running; Ctrl-C ends it.");
    stop.await;
    page::part("Draining; Ctrl-C again cuts what is still open.");
    let ended = tokio::select! {
        ended = stage.drain() => ended?,
        () = told_to_stop() => Ended::Forced,
    };
    say(match ended {
        Ended::Drained => "All drained.",
        Ended::Forced => "Some calls were cut.",
    });
    let directory = estate.directory().display();
    say(format_args!(
        "The files stay in {directory}; remove it when you are done.\n\
         Their identities are served again by\n   \
         pqlane authority serve --dir {directory}/ca --socket {directory}/workload-api.sock --svid ID --svid ID"
    ));
    Ok(())
}

fn addresses(estate: &Estate, stage: &Stage) {
    let (egress, sidecar) = (stage.egress(), stage.sidecar());
    let (directory, port) = (estate.directory().display(), egress.port());
    page::part("Addresses");
    page::fact("MCP", format_args!("http://{egress}/mcp"));
    page::fact(
        "A2A",
        format_args!("http://{RESEARCH_AUTHORITY}/ with http://{egress} as HTTP proxy,"),
    );
    page::fact("", format_args!("or http://research.localhost:{port}/"));
    page::fact("identities", estate.endpoint());
    page::part("Try");
    for line in [
        format!(
            "npx @modelcontextprotocol/inspector --cli http://{egress}/mcp --transport http --method tools/list"
        ),
        format!("curl -x http://{egress} http://{RESEARCH_AUTHORITY}/.well-known/agent-card.json"),
        format!("openssl s_client -connect {sidecar} -groups X25519    # is refused"),
        format!("tail -f {directory}/weather.audit.jsonl"),
    ] {
        say(format_args!("   {line}"));
    }
    page::part("Configuration, each file for `pqlane run -c FILE` while the authority serves");
}

fn show_file(path: &Path) -> anyhow::Result<()> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    say(format_args!("\n#### {}", path.display()));
    say(text.trim_end());
    Ok(())
}
