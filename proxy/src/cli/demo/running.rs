//! A sidecar or egress that runs from a configuration file, as `pqlane run` would run it.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, bail};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::party::Party;
use crate::accept::BoundAddress;
use crate::app::{App, Ended};
use crate::config::Config;
use crate::task;

/// One that runs until it is drained.
#[derive(Debug)]
pub(super) struct Running {
    party: Party,
    pub(super) address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Ended>,
}

impl Running {
    /// Takes the text as that of `config`, binds its one listener, and serves. The file is not watched: it is
    /// written later, with the port in it.
    pub(super) async fn start(party: Party, config: &Path, text: &str) -> anyhow::Result<Self> {
        let bound = App::build(Config::from_text(text, config)?)?.bind().await?;
        let &[(_, BoundAddress::Tcp(address))] = bound.addresses() else {
            bail!("{}: expected one TCP listener", config.display());
        };
        let (stop, stopped) = oneshot::channel();
        let run = bound.run(async move {
            // A sender that is gone means the same.
            let _ = stopped.await;
        });
        Ok(Self {
            party,
            address,
            stop,
            ended: task::spawn(run),
        })
    }

    /// Stops accepting, and waits for what is open, as long as its limits allow.
    pub(super) async fn drain(self) -> anyhow::Result<Ended> {
        // It only fails when that side has ended already, which the next line tells.
        let _ = self.stop.send(());
        self.ended
            .await
            .with_context(|| format!("the listener of {} failed", self.party.name()))
    }
}
