//! One line of the revocations' journal.
//!
//! `{"v":1,"revoke":"0a1b…","entry":"spiffe://…","reason":"…","at":"2026-11-21T09:30:00Z","until":"…"}` and
//! `{"v":1,"lift":"0a1b…","at":"…"}`. Takes and gives bytes; knows nothing of files.

use pqlane_certs::revocation::DenyEntry;
use rustls::pki_types::UnixTime;
use serde::{Deserialize, Serialize};

use super::Revocation;
use super::asked::is_plain_reason;
use crate::journal;
use crate::journal::line::{json_line, read_time, written_time};

/// The length of an id: 64 bits in hexadecimal.
const ID_LEN: usize = 16;

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// The operator took it back. Ids are never used again.
    Lift(Box<str>),
    /// The operator revoked somebody.
    Revoke(Revocation),
}

#[derive(Serialize)]
struct RevokeLine<'a> {
    v: u64,
    revoke: &'a str,
    entry: String,
    reason: &'a str,
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
}

#[derive(Serialize)]
struct LiftLine<'a> {
    v: u64,
    lift: &'a str,
    at: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(rename = "v")]
    _v: u64,
    revoke: Option<String>,
    lift: Option<String>,
    entry: Option<String>,
    reason: Option<String>,
    at: String,
    until: Option<String>,
}

/// `{"v":1,"revoke":…}` and a line feed.
pub(super) fn revoke_line(revocation: &Revocation) -> String {
    json_line(&RevokeLine {
        v: 1,
        revoke: &revocation.id,
        entry: revocation.entry.to_string(),
        reason: &revocation.reason,
        at: written_time(revocation.at),
        until: revocation.until.map(written_time),
    })
}

/// `{"v":1,"lift":…}` and a line feed.
pub(super) fn lift_line(id: &str, at: UnixTime) -> String {
    json_line(&LiftLine {
        v: 1,
        lift: id,
        at: written_time(at),
    })
}

impl journal::Entry for Entry {
    const OWNER: &'static str = "revocations'";
    const MEMBERS: &'static str = "\"revoke\" or \"lift\"";

    fn read(line: &[u8]) -> Result<Self, String> {
        serde_json::from_slice::<Written>(line)
            .map_err(|error| error.to_string())
            .and_then(Written::entry)
    }
}

impl Written {
    fn entry(self) -> Result<Entry, String> {
        let at = time("at", &self.at)?;
        match (self.revoke, self.lift, self.entry, self.reason) {
            (Some(id), None, Some(entry), Some(reason)) => {
                let entry: DenyEntry = entry.parse().map_err(|_error| {
                    "\"entry\" is not what a deny-list accepts, such as spiffe://example.org/agent/x"
                })?;
                if !is_plain_reason(&reason) {
                    return Err("\"reason\" is not a short text of one line".to_owned());
                }
                Ok(Entry::Revoke(Revocation {
                    id: plain_id(&id)?.into(),
                    entry,
                    reason: reason.into(),
                    at,
                    until: self.until.map(|until| time("until", &until)).transpose()?,
                }))
            }
            (None, Some(id), None, None) if self.until.is_none() => {
                Ok(Entry::Lift(plain_id(&id)?.into()))
            }
            _ => Err(
                "neither \"revoke\" with an \"entry\" and a \"reason\" nor \"lift\" alone"
                    .to_owned(),
            ),
        }
    }
}

fn time(member: &str, text: &str) -> Result<UnixTime, String> {
    read_time(text)
        .ok_or_else(|| format!("\"{member}\" is not a time such as 2026-11-21T09:30:00Z"))
}

fn plain_id(id: &str) -> Result<&str, String> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    match id.len() == ID_LEN && id.bytes().all(is_hex) {
        true => Ok(id),
        false => Err(format!("an id has {ID_LEN} hexadecimal digits")),
    }
}
