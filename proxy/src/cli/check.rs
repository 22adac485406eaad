//! `pqlane check`.

use std::path::PathBuf;

use clap::Args;

use super::{CommandError, say};
use crate::app::App;
use crate::config::{Config, schema};

#[derive(Debug, Args)]
#[command(
    after_help = "Reads the file, loads every certificate and key it names and runs each key-exchange group once.\n\
                  Nothing is bound and nobody is called.\n\n\
                  Examples:\n  pqlane check -c lane.toml\n  pqlane check --schema > pqlane.schema.json"
)]
pub(super) struct Check {
    /// The configuration
    #[arg(short, long, value_name = "FILE", required_unless_present = "schema")]
    config: Option<PathBuf>,
    /// Prints the JSON Schema of configuration files instead, for editors
    #[arg(long, conflicts_with = "config")]
    schema: bool,
}

impl Check {
    pub(super) fn run(self) -> Result<(), CommandError> {
        let Some(file) = self.config else {
            say(format_args!("{:#}", schema()));
            return Ok(());
        };
        let config = Config::read(&file)?;
        let meaning = config.describe();
        App::dry_build(config)?;
        say(meaning);
        say("usable");
        Ok(())
    }
}
