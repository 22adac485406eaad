//! The audit log, as an auditor reads it.

use std::path::PathBuf;

use pqlane::deny::DenyReason;
use serde_json::Value;

use super::eventually;

/// A file of JSON lines.
#[derive(Clone)]
pub(crate) struct Records(PathBuf);

impl Records {
    pub(crate) fn of(path: PathBuf) -> Self {
        Self(path)
    }

    /// Everything written so far.
    pub(crate) fn all(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        // A last line without its line feed is still being written.
        let (whole, _) = text.rsplit_once('\n').unwrap_or_default();
        whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect()
    }

    /// The first record that a check accepts.
    pub(crate) async fn find(&self, what: &str, check: impl Fn(&Value) -> bool) -> Value {
        let mut last = Vec::new();
        let search = async {
            eventually(what, || {
                last = self.all();
                last.iter().find(|record| check(record)).cloned()
            })
            .await
        };
        let found = tokio::time::timeout(super::DEADLINE / 3, search).await;
        found.unwrap_or_else(|_| panic!("no record of {what} in {:#?}", self.all()))
    }

    /// The first record of an event.
    pub(crate) async fn event(&self, event: &str) -> Value {
        self.find(event, |record| record["event"] == event).await
    }

    /// The record of the first connection that was opened with this peer.
    pub(crate) async fn opened(&self, peer: &str) -> Value {
        self.find(&format!("connection of {peer}"), |record| {
            record["event"] == "connection.open" && record["peer"] == peer
        })
        .await
    }

    /// How the first connections with this peer were made, so many of them.
    pub(crate) async fn handshakes(&self, peer: &str, number: usize) -> Vec<String> {
        eventually(&format!("{number} connections of {peer}"), || {
            let all = self.all();
            let opened = all
                .iter()
                .filter(|record| record["event"] == "connection.open" && record["peer"] == peer);
            let kinds: Vec<_> = opened
                .map(|record| record["handshake"].as_str().unwrap().to_owned())
                .collect();
            (kinds.len() >= number).then_some(kinds)
        })
        .await
    }

    /// How many records there are of an event.
    pub(crate) fn count(&self, event: &str) -> usize {
        let all = self.all();
        all.iter().filter(|record| record["event"] == event).count()
    }

    /// The record of a connection that was refused for this reason.
    pub(crate) async fn refused(&self, reason: DenyReason) -> Value {
        let what = format!("connection.refused for {}", reason.code());
        self.find(&what, |record| {
            record["event"] == "connection.refused" && record["reason"] == reason.code()
        })
        .await
    }

    /// The record of a call that was denied for this reason.
    pub(crate) async fn denied(&self, reason: DenyReason) -> Value {
        let what = format!("a call denied for {}", reason.code());
        let closed = self
            .find(&what, |record| {
                record["event"] == "call.close" && record["reason"] == reason.code()
            })
            .await;
        assert_eq!(closed["outcome"], "denied", "{closed}");
        closed
    }

    /// The record of a call's end, of any outcome, by its path.
    pub(crate) async fn closed(&self, path: &str) -> Value {
        let open = self
            .find(path, |record| {
                record["event"] == "call.open" && record["path"] == path
            })
            .await;
        self.find(&format!("end of {path}"), |record| {
            record["event"] == "call.close" && record["call"] == open["call"]
        })
        .await
    }
}
