//! One line of the ratchet's journal.
//!
//! Takes and gives bytes; knows nothing of files.

use std::borrow::Cow;
use std::time::Duration;

use pqlane_certs::clock::Rfc3339;
use pqlane_certs::spiffe_id::SpiffeId;
use pqlane_handshake::kx::Group;
use rustls::pki_types::UnixTime;
use serde::{Deserialize, Serialize};
use time::{Date, Month, OffsetDateTime, Time};

use super::Shown;

/// How every line begins; a line that was torn is cut from the end.
const BEGINNING: &[u8] = b"{\"v\":1,\"";

/// The longest name of a group, in bytes.
const MAX_GROUP_LEN: usize = 64;

/// 9999-12-31T23:59:59Z, the last time that RFC 3339 can write.
const LAST_TIME: u64 = 253_402_300_799;

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// The operator took it back.
    Forget(SpiffeId),
    /// The peer completed an authenticated hybrid handshake.
    Set(SpiffeId, Shown),
}

/// What became of reading a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Empty,
    Entry(Entry),
    /// Not a line of a journal; the text says why.
    Foreign(String),
    OtherVersion(u64),
    /// The beginning of a line whose end was never written.
    Torn,
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
struct Versioned {
    v: u64,
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

/// A time as a line has it.
pub(super) fn written_time(time: UnixTime) -> String {
    let seconds = time.as_secs().min(LAST_TIME);
    Rfc3339(UnixTime::since_unix_epoch(Duration::from_secs(seconds))).to_string()
}

fn json_line(value: &impl Serialize) -> String {
    // Strings and a number: there is nothing that JSON could not hold.
    let mut line = serde_json::to_string(value).unwrap_or_default();
    line.push('\n');
    line
}

/// Reads a line without its line feed.
pub(super) fn read_line(line: &[u8]) -> Reading {
    if line.is_empty() {
        return Reading::Empty;
    }
    let Ok(Versioned { v }) = serde_json::from_slice(line) else {
        return match is_torn(line) {
            true => Reading::Torn,
            false => Reading::Foreign("not a JSON object with a version".to_owned()),
        };
    };
    if v != 1 {
        return Reading::OtherVersion(v);
    }
    match serde_json::from_slice::<Written>(line) {
        Ok(written) => match written.entry() {
            Ok(entry) => Reading::Entry(entry),
            Err(what) => Reading::Foreign(what.to_owned()),
        },
        Err(error) => Reading::Foreign(error.to_string()),
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

/// Whether these can be the bytes that a crash left of a line: its beginning, or blocks that the file system had
/// given to the file and not filled.
fn is_torn(line: &[u8]) -> bool {
    let shorter = line.len().min(BEGINNING.len());
    line.contains(&0) || line.get(..shorter) == BEGINNING.get(..shorter)
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

/// Reads `YYYY-MM-DDThh:mm:ssZ`, the one way in which we write RFC 3339 §5.6.
fn read_time(text: &str) -> Option<UnixTime> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let [year, month, day] = numbers::<3>(date, '-')?;
    let [hour, minute, second] = numbers::<3>(time, ':')?;
    let narrow = |number: u16| u8::try_from(number).ok();
    let month = Month::try_from(narrow(month)?).ok()?;
    let date = Date::from_calendar_date(i32::from(year), month, narrow(day)?).ok()?;
    let time = Time::from_hms(narrow(hour)?, narrow(minute)?, narrow(second)?).ok()?;
    let seconds = OffsetDateTime::new_utc(date, time).unix_timestamp();
    let since_epoch = Duration::from_secs(u64::try_from(seconds).ok()?);
    Some(UnixTime::since_unix_epoch(since_epoch))
}

fn numbers<const N: usize>(text: &str, between: char) -> Option<[u16; N]> {
    let mut numbers = [0; N];
    let mut parts = text.split(between);
    for number in &mut numbers {
        let part = parts.next()?;
        let is_digits = part.bytes().all(|byte| byte.is_ascii_digit());
        *number = part.parse().ok().filter(|_| is_digits)?;
    }
    parts.next().is_none().then_some(numbers)
}
