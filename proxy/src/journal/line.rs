//! One line of a journal, whatever it is about.
//!
//! Takes and gives bytes; knows nothing of files.

use std::time::Duration;

use pqlane_certs::clock::Rfc3339;
use rustls::pki_types::UnixTime;
use serde::{Deserialize, Serialize};
use time::{Date, Month, OffsetDateTime, Time};

use super::Entry;

/// How every line begins; a line that was torn is cut from the end.
const BEGINNING: &[u8] = b"{\"v\":1,\"";

/// 9999-12-31T23:59:59Z, the last time that RFC 3339 can write.
const LAST_TIME: u64 = 253_402_300_799;

/// What became of reading a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reading<E> {
    Empty,
    Entry(E),
    /// Not a line of a journal; the text says why.
    Foreign(String),
    OtherVersion(u64),
    /// The beginning of a line whose end was never written.
    Torn,
}

#[derive(Deserialize)]
struct Versioned {
    v: u64,
}

/// A time as a line has it.
pub(crate) fn written_time(time: UnixTime) -> String {
    let seconds = time.as_secs().min(LAST_TIME);
    Rfc3339(UnixTime::since_unix_epoch(Duration::from_secs(seconds))).to_string()
}

/// A line of plain data, with its line feed.
pub(crate) fn json_line(value: &impl Serialize) -> String {
    // Strings and a number: there is nothing that JSON could not hold.
    let mut line = serde_json::to_string(value).unwrap_or_default();
    line.push('\n');
    line
}

/// Reads a line without its line feed.
pub(crate) fn read_line<E: Entry>(line: &[u8]) -> Reading<E> {
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
    match E::read(line) {
        Ok(entry) => Reading::Entry(entry),
        Err(what) => Reading::Foreign(what),
    }
}

/// Whether these can be the bytes that a crash left of a line: its beginning, or blocks that the file system had
/// given to the file and not filled.
fn is_torn(line: &[u8]) -> bool {
    let shorter = line.len().min(BEGINNING.len());
    line.contains(&0) || line.get(..shorter) == BEGINNING.get(..shorter)
}

/// Reads `YYYY-MM-DDThh:mm:ssZ`, the one way in which we write RFC 3339 §5.6.
pub(crate) fn read_time(text: &str) -> Option<UnixTime> {
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
