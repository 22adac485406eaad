//! `pqlane demo`: the main job on embedded defaults, offline, in one process.
//!
//! Makes a development authority that serves the SPIFFE Workload API, a real MCP server and a real A2A agent with a
//! sidecar beside each, and an egress; calls both across the lane, also while everybody's SVID is renewed; then sends
//! a classical-only client, which is refused. What is printed
//! is read back from what happened: from the answers, and from the sidecars' own records. Nothing here
//! reaches beyond the loopback interface.

mod a2a_stream;
mod classical_client;
mod config_text;
mod estate;
mod expectation;
mod keep;
mod lane_facts;
mod mcp_calls;
mod page;
mod party;
mod records;
mod research;
mod rotation;
mod running;
mod stage;
mod weather;
mod workload;

use std::pin::pin;
use std::time::Instant;

use anyhow::bail;
use clap::Args;
use rmcp::model::ProtocolVersion;

use super::{CommandError, runtime, told_to_stop};
use crate::app::Ended;
use estate::{Afterwards, Estate};
use expectation::within;
use party::Party;
use stage::Stage;

#[derive(Debug, Args)]
#[command(
    after_help = "Everything runs in this process, on loopback addresses and in a temporary directory.\n\
                  Exit code 0 means that all of it held.\n\n\
                  Examples:\n  pqlane demo\n  pqlane demo --keep    # then call it yourself, and copy its configuration"
)]
pub(super) struct Demo {
    /// Leave it running, and print the addresses and the configuration to copy
    #[arg(long)]
    keep: bool,
}

impl Demo {
    pub(super) fn run(self) -> Result<(), CommandError> {
        let afterwards = match self.keep {
            true => Afterwards::Keep,
            false => Afterwards::Remove,
        };
        let runtime = runtime(None)?;
        let shown = runtime.block_on(Box::pin(show(afterwards)));
        runtime.shutdown_background();
        shown.map_err(CommandError::Demo)
    }
}

async fn show(afterwards: Afterwards) -> anyhow::Result<()> {
    let began = Instant::now();
    let estate = Estate::create(afterwards).await?;
    let mut stop = pin!(told_to_stop());
    let stage = tokio::select! {
        biased;
        () = &mut stop => bail!("it was stopped before its end"),
        played = Box::pin(play(&estate)) => played?,
    };
    let took = began.elapsed().as_secs_f64();
    match afterwards {
        Afterwards::Keep => {
            page::part(format_args!("Everything held, in {took:.1} s."));
            Box::pin(keep::go_on(&estate, stage, stop)).await
        }
        Afterwards::Remove => {
            Box::pin(stage.drain()).await.and_then(all_drained)?;
            page::part(format_args!(
                "Everything held, in {took:.1} s; each call on record was opened and closed once:"
            ));
            for party in [Party::Weather, Party::Research, Party::Assistant] {
                let tally = records::tally(party, &estate.audit_path(party))?;
                page::fact(party.name(), tally);
            }
            page::part("`pqlane demo --keep` leaves it running, to call and to copy from.");
            Ok(())
        }
    }
}

/// The scenes, in order; the first that does not go as it should ends the demo.
async fn play(estate: &Estate) -> anyhow::Result<Stage> {
    page::title("pqlane demo: agents on post-quantum lanes, offline and in one process");
    let stage = within("setting up", Stage::set(estate)).await?;
    stage.introduce(estate);

    for (number, revision) in [
        (1, ProtocolVersion::V_2025_11_25),
        (2, ProtocolVersion::V_2026_07_28),
    ] {
        page::part(format_args!("{number}. MCP {revision}, through the egress"));
        within("the MCP calls", mcp_calls::make(stage.egress(), &revision)).await?;
    }

    page::part("3. The lane those calls crossed, as both its ends recorded it");
    let facts = lane_facts::tell(estate, Party::Weather);
    within("the lane's records", facts).await?;

    page::part("4. A message streamed over A2A, with the egress as HTTP proxy");
    let stream = Box::pin(a2a_stream::follow(stage.egress()));
    within("the A2A stream", stream).await?;
    let facts = lane_facts::tell_shortly(estate, Party::Research);
    within("the lane's records", facts).await?;

    page::part("5. New SVIDs for everybody, while calls go on");
    let renewal = Box::pin(rotation::live_through(estate, stage.egress()));
    within("the renewal", renewal).await?;

    page::part("6. A client with the same identity, and classical key exchange only");
    let refusal = Box::pin(classical_client::be_refused(estate, stage.sidecar()));
    within("the refusal", refusal).await?;
    Ok(stage)
}

fn all_drained(ended: Ended) -> anyhow::Result<()> {
    match ended {
        Ended::Drained => Ok(()),
        Ended::Forced => bail!("the drain: expected every call to end, but some were cut"),
    }
}
