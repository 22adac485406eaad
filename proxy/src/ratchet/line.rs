//! One line of the ratchet's journal.
//!
//! `{"v":1,"set":"spiffe://…","group":"X25519MLKEM768","at":"2026-11-21T09:30:00Z"}` and
//! `{"v":1,"forget":"spiffe://…","at":"…"}`. Takes and gives bytes; knows nothing of files.

use std::borrow::Cow;

use pqlane_certs::spiffe_id::SpiffeId;
use pqlane_handshake::kx::Group;
use serde::{Deserialize, Serialize};

use super::Shown;
use crate::journal;
use crate::journal::line::{json_line, read_time, written_time};

/// The longest name of a group, in bytes.
const MAX_GROUP_LEN: usize = 64;

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// The operator took it back.
    Forget(SpiffeId),
    /// The peer completed an authenticated hybrid handshake.
    Set(SpiffeId, Shown),
}

#[derive(Serialize)]
struct SetLine<'a> {
    v: u64,
    set: &'a str,
    group: &'a str,
    at: String,
}

#[derive(Serialize)]
struct ForgetLine<'a> {
    v: u64,
    forget: &'a str,
    at: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(rename = "v")]
    _v: u64,
    set: Option<SpiffeId>,
    forget: Option<SpiffeId>,
    group: Option<String>,
    at: String,
}

/// `{"v":1,"set":…,"group":…,"at":…}` and a line feed.
pub(super) fn set_line(peer: &SpiffeId, shown: &Shown) -> String {
    json_line(&SetLine {
        v: 1,
        set: peer.as_str(),
        group: &shown.group,
        at: written_time(shown.since),
    })
}

/// `{"v":1,"forget":…,"at":…}` and a line feed.
pub(super) fn forget_line(peer: &SpiffeId, at: &str) -> String {
    json_line(&ForgetLine {
        v: 1,
        forget: peer.as_str(),
        at,
    })
}

impl journal::Entry for Entry {
    const OWNER: &'static str = "ratchet's state";
    const MEMBERS: &'static str = "\"set\" or \"forget\"";

    fn read(line: &[u8]) -> Result<Self, String> {
        serde_json::from_slice::<Written>(line)
            .map_err(|error| error.to_string())
            .and_then(|written| written.entry().map_err(str::to_owned))
    }
}

impl Written {
    fn entry(self) -> Result<Entry, &'static str> {
        let at = read_time(&self.at).ok_or("\"at\" is not a time such as 2026-11-21T09:30:00Z")?;
        match (self.set, self.forget, self.group) {
            (Some(peer), None, Some(group)) => {
                let group = plain_group(group).ok_or("\"group\" is not the name of a group")?;
                Ok(Entry::Set(peer, Shown { group, since: at }))
            }
            (None, Some(peer), None) => Ok(Entry::Forget(peer)),
            _ => Err("neither \"set\" with a \"group\" nor \"forget\" alone"),
        }
    }
}

fn plain_group(name: String) -> Option<Cow<'static, str>> {
    if let Some(group) = Group::by_name(&name) {
        return Some(Cow::Borrowed(group.name));
    }
    // One that a later version wrote; it is shown in logs, so it must be a plain name.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let is_name = (1..=MAX_GROUP_LEN).contains(&name.len()) && name.bytes().all(is_plain);
    is_name.then_some(Cow::Owned(name))
}
