//! `pqlane check`.

use std::path::PathBuf;

use clap::Args;

use super::{CommandError, say};
use crate::app::App;
use crate::config::Config;

#[derive(Debug, Args)]
#[command(
    after_help = "Reads the file, loads every certificate and key it names and runs each key-exchange group once.\n\
                  Nothing is bound and nobody is called.\n\nExample:\n  pqlane check -c lane.toml"
)]
pub(super) struct Check {
    /// The configuration
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
}

impl Check {
    pub(super) fn run(self) -> Result<(), CommandError> {
        let config = Config::read(&self.config)?;
        let meaning = config.describe();
        App::dry_build(config)?;
        say(meaning);
        say("usable");
        Ok(())
    }
}
