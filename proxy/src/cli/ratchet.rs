//! `pqlane ratchet`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use pqlane_certs::clock::{Rfc3339, SystemClock};
use pqlane_certs::spiffe_id::SpiffeId;
use serde_json::json;

use super::say;
use crate::journal::JournalError;
use crate::ratchet::{self, ForgetError, Shown};

#[derive(Debug, Subcommand)]
pub(super) enum Ratchet {
    /// Shows who has come with a hybrid handshake and is held to it
    List(List),
    /// Lets a SPIFFE ID come with a classical handshake again, until its next hybrid one
    Forget(Forget),
}

#[derive(Debug, Args)]
#[command(after_help = "The file is read only.\n\n\
    Example:\n  pqlane ratchet list --state /var/lib/pqlane/ratchet.jsonl")]
pub(super) struct List {
    /// State file of the running lane
    #[arg(long, value_name = "FILE")]
    state: PathBuf,
    /// An array of objects with id, group and since, instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "A running lane takes this in when it next looks at the file.\n\n\
    Example:\n  pqlane ratchet forget --state /var/lib/pqlane/ratchet.jsonl spiffe://example.org/agent/planner"
)]
pub(super) struct Forget {
    /// State file of the running lane
    #[arg(long, value_name = "FILE")]
    state: PathBuf,
    /// Who is no longer held to what it showed
    #[arg(value_name = "ID")]
    peer: SpiffeId,
}

/// Why the ratchet's state could not be shown or changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum RatchetCommandError {
    #[error(transparent)]
    Forget(#[from] ForgetError),
    #[error(transparent)]
    List(#[from] JournalError),
}

impl Ratchet {
    pub(super) fn run(self) -> Result<(), RatchetCommandError> {
        match self {
            Self::List(list) => list.run(),
            Self::Forget(forget) => forget.run(),
        }
    }
}

impl List {
    fn run(self) -> Result<(), RatchetCommandError> {
        let entries = ratchet::entries_in(&self.state)?;
        match self.json {
            true => say(in_json(&entries)),
            false => say(in_columns(&entries)),
        }
        Ok(())
    }
}

impl Forget {
    fn run(self) -> Result<(), RatchetCommandError> {
        ratchet::forget_in(&self.state, &self.peer, &SystemClock)?;
        say(format_args!(
            "{} is no longer held to what it showed",
            self.peer
        ));
        Ok(())
    }
}

fn in_json(entries: &[(SpiffeId, Shown)]) -> String {
    let entry = |(peer, shown): &(SpiffeId, Shown)| {
        json!({
            "id": peer.as_str(),
            "group": shown.group,
            "since": Rfc3339(shown.since).to_string(),
        })
    };
    format!(
        "{:#}",
        entries.iter().map(entry).collect::<serde_json::Value>()
    )
}

fn in_columns(entries: &[(SpiffeId, Shown)]) -> String {
    if entries.is_empty() {
        return "no SPIFFE ID has come with a hybrid handshake yet".to_owned();
    }
    let widest = |of: fn(&(SpiffeId, Shown)) -> usize| entries.iter().map(of).max().unwrap_or(0);
    let id = widest(|(peer, _)| peer.as_str().len());
    let group = widest(|(_, shown)| shown.group.len()).max("GROUP".len());
    let mut table = format!("{:<id$}  {:<group$}  SINCE", "SPIFFE ID", "GROUP");
    for (peer, shown) in entries {
        table.push_str(&format!(
            "\n{:<id$}  {:<group$}  {}",
            peer.as_str(),
            shown.group,
            Rfc3339(shown.since)
        ));
    }
    table
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;
    use rustls::pki_types::UnixTime;

    use super::*;

    fn entries() -> Vec<(SpiffeId, Shown)> {
        [
            "spiffe://example.org/agent/planner",
            "spiffe://example.org/b",
        ]
        .map(|peer| {
            let since = UnixTime::since_unix_epoch(Duration::from_secs(1_795_253_400));
            let group = "X25519MLKEM768".into();
            (peer.parse().unwrap(), Shown { group, since })
        })
        .into()
    }

    #[test]
    fn the_table_has_a_line_for_each_id_under_its_heads() {
        assert_eq!(
            in_columns(&entries()),
            "SPIFFE ID                           GROUP           SINCE\n\
             spiffe://example.org/agent/planner  X25519MLKEM768  2026-11-21T09:30:00Z\n\
             spiffe://example.org/b              X25519MLKEM768  2026-11-21T09:30:00Z"
        );
        assert!(in_columns(&[]).starts_with("no SPIFFE ID"));
    }

    #[test]
    fn json_is_an_array_also_when_there_is_nothing() {
        let json: serde_json::Value = serde_json::from_str(&in_json(&entries())).unwrap();
        assert_eq!(json[1]["id"], "spiffe://example.org/b");
        assert_eq!(json[1]["group"], "X25519MLKEM768");
        assert_eq!(json[1]["since"], "2026-11-21T09:30:00Z");
        assert_eq!(in_json(&[]), "[]");
    }

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        ratchet: Ratchet,
    }

    #[test]
    fn forgets_on_the_command_line_what_a_lane_has_written() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("ratchet.jsonl");
        let line = "{\"v\":1,\"set\":\"spiffe://example.org/b\",\"group\":\"X25519MLKEM768\",\
                    \"at\":\"2026-11-21T09:30:00Z\"}\n";
        std::fs::write(&state, line).unwrap();
        let state = state.to_str().unwrap();
        let forget = |id| {
            let line = Line::parse_from(["pqlane", "forget", "--state", state, id]);
            line.ratchet.run()
        };
        let error = forget("spiffe://example.org/c").unwrap_err().to_string();
        assert!(
            error.starts_with("spiffe://example.org/c is not among the 1 IDs"),
            "{error}"
        );
        forget("spiffe://example.org/b").unwrap();
        assert_eq!(ratchet::entries_in(state.as_ref()).unwrap(), []);
        Line::parse_from(["pqlane", "list", "--json", "--state", state])
            .ratchet
            .run()
            .unwrap();
    }
}
