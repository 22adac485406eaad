//! The records of a sidecar, read back from its file.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::Deserialize;

use super::party::Party;

/// Pause between two looks at a file that grows.
const POLL: Duration = Duration::from_millis(5);

/// One record, as far as the demo looks into it.
#[derive(Debug, Deserialize)]
#[serde(tag = "event")]
pub(super) enum Record {
    #[serde(rename = "call.close")]
    CallClose { call: String },
    #[serde(rename = "call.open")]
    CallOpen {
        call: String,
        protocol: String,
        revision: Option<String>,
    },
    #[serde(rename = "connection.open")]
    ConnectionOpen(Opened),
    #[serde(rename = "connection.refused")]
    ConnectionRefused(Refused),
    #[serde(other)]
    Other,
}

/// A lane connection.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Opened {
    pub(super) local: String,
    pub(super) peer: String,
    pub(super) group: String,
    pub(super) handshake: String,
    pub(super) suite: String,
    pub(super) local_signature: Option<String>,
    pub(super) peer_signature: Option<String>,
    pub(super) flight_bytes: Vec<u64>,
    pub(super) duration_us: u64,
}

/// A connection that did not become one.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Refused {
    pub(super) local: String,
    pub(super) from: Option<String>,
    pub(super) reason: String,
    #[serde(default)]
    pub(super) offered_groups: Vec<String>,
}

/// Reads every finished line.
fn read(path: &Path) -> anyhow::Result<Vec<Record>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the records in {}", path.display()))?;
    text.split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .map(|line| {
            serde_json::from_str(line)
                .with_context(|| format!("{}: not a record: {line}", path.display()))
        })
        .collect()
}

/// Waits for a record; whoever calls bounds the wait.
pub(super) async fn find<T>(
    path: &Path,
    mut pick: impl FnMut(Record) -> Option<T>,
) -> anyhow::Result<T> {
    loop {
        if let Some(found) = read(path)?.into_iter().find_map(&mut pick) {
            return Ok(found);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Counts the calls of a party by protocol and revision, and checks that each was closed once.
pub(super) fn tally(party: Party, path: &Path) -> anyhow::Result<String> {
    let name = party.name();
    let mut calls = 0_usize;
    let mut open = HashSet::new();
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for record in read(path)? {
        match record {
            Record::CallOpen {
                call,
                protocol,
                revision,
            } => {
                calls += 1;
                ensure!(
                    open.insert(call),
                    "{name}: a call is opened twice on record"
                );
                let kind = match revision {
                    Some(revision) => format!("{} {revision}", protocol.to_uppercase()),
                    None => "other".to_owned(),
                };
                *kinds.entry(kind).or_default() += 1;
            }
            Record::CallClose { call } => {
                ensure!(
                    open.remove(&call),
                    "{name}: call {call} is closed on record and was not open"
                );
            }
            Record::ConnectionOpen(_) | Record::ConnectionRefused(_) | Record::Other => {}
        }
    }
    let left = open.len();
    ensure!(
        left == 0,
        "{name}: expected each call on record to be closed, found {left} open"
    );
    let kinds: Vec<String> = kinds
        .into_iter()
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    Ok(format!("{calls} calls: {}", kinds.join(", ")))
}
