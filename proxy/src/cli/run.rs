//! `pqlane run`.

use std::path::PathBuf;

use clap::Args;

use super::{CommandError, serve};
use crate::config::Config;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  pqlane run -c lane.toml")]
pub(super) struct Run {
    /// The configuration
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
}

impl Run {
    pub(super) fn run(self) -> Result<(), CommandError> {
        serve(Config::read(&self.config)?)
    }
}
