//! The MCP server and the A2A agent with a sidecar each, and the egress.

use std::net::SocketAddr;

use super::config_text;
use super::estate::Estate;
use super::page;
use super::party::{Party, TRUST_DOMAIN};
use super::running::Running;
use super::workload::{self, ANY_PORT};
use super::{research, weather};
use crate::app::Ended;

/// Everything that runs.
#[derive(Debug)]
pub(super) struct Stage {
    weather: Beside,
    research: Beside,
    egress: Running,
}

/// A sidecar beside its workload.
#[derive(Debug)]
struct Beside {
    sidecar: Running,
    workload: SocketAddr,
}

impl Stage {
    /// Starts all of it.
    pub(super) async fn set(estate: &Estate) -> anyhow::Result<Self> {
        let mcp = workload::serve(weather::routes()).await?;
        let weather = beside(estate, Party::Weather, mcp).await?;
        let agent = workload::serve(research::routes()).await?;
        let research = beside(estate, Party::Research, agent).await?;
        let (to_weather, to_research) = (weather.sidecar.address, research.sidecar.address);
        let text = |listen| config_text::egress(estate.endpoint(), listen, to_weather, to_research);
        let egress = start(estate, Party::Assistant, text).await?;
        Ok(Self {
            weather,
            research,
            egress,
        })
    }

    /// Where clients of the lane connect to.
    pub(super) fn egress(&self) -> SocketAddr {
        self.egress.address
    }

    /// Where peers of the MCP server connect to.
    pub(super) fn sidecar(&self) -> SocketAddr {
        self.weather.sidecar.address
    }

    /// Says who takes part, and where.
    pub(super) fn introduce(&self, estate: &Estate) {
        let directory = estate.directory().display();
        page::fact(
            "authority",
            format_args!("trust domain {TRUST_DOMAIN}, in {directory}"),
        );
        page::fact(
            "identities",
            "from its SPIFFE Workload API, on a Unix socket there",
        );
        for (party, what, beside) in [
            (Party::Weather, "MCP server", &self.weather),
            (Party::Research, "A2A agent ", &self.research),
        ] {
            let (workload, sidecar) = (beside.workload, beside.sidecar.address);
            page::fact(
                party.name(),
                format_args!("{what} on {workload}, behind a sidecar on {sidecar}"),
            );
        }
        let assistant = Party::Assistant.name();
        page::fact(
            assistant,
            format_args!("calls both, through an egress on {}", self.egress.address),
        );
        page::fact(
            "path",
            format_args!(
                "{assistant} --http--> egress ==lane==> sidecar --http--> server or agent"
            ),
        );
    }

    /// Ends all of it, callers first.
    pub(super) async fn drain(self) -> anyhow::Result<Ended> {
        let mut ended = Ended::Drained;
        for running in [self.egress, self.weather.sidecar, self.research.sidecar] {
            if running.drain().await? == Ended::Forced {
                ended = Ended::Forced;
            }
        }
        Ok(ended)
    }
}

async fn beside(estate: &Estate, party: Party, workload: SocketAddr) -> anyhow::Result<Beside> {
    let text = |listen| config_text::sidecar(estate.endpoint(), party, listen, workload);
    Ok(Beside {
        sidecar: start(estate, party, text).await?,
        workload,
    })
}

/// Starts with the port left open, then writes the file with the port in it, so that it can be run again.
async fn start(
    estate: &Estate,
    party: Party,
    text: impl Fn(SocketAddr) -> String,
) -> anyhow::Result<Running> {
    let running = Running::start(party, &estate.config_path(party), &text(ANY_PORT)).await?;
    estate.write_config(party, &text(running.address))?;
    Ok(running)
}
