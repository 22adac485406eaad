//! Wall-clock time for records. Certificates take theirs from `pqlane_certs::clock`.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// Date and time to the second, as RFC 3339 §5.6 writes them.
const TO_THE_SECOND: &[BorrowedFormatItem<'static>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");

thread_local! {
    /// The last second that was written: records come many to a second.
    static SECOND: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
}

/// Writes the time now, in UTC, to the microsecond: `2026-01-31T12:00:00.000001Z`.
pub(crate) fn write_timestamp(text: &mut String) {
    #[expect(
        clippy::disallowed_methods,
        reason = "the proxy's one look at the wall clock"
    )]
    let now = SystemTime::now();
    write_time(text, now);
}

fn write_time(text: &mut String, time: SystemTime) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    SECOND.with_borrow_mut(|(second, written)| {
        if *second != since.as_secs() {
            *second = since.as_secs();
            *written = OffsetDateTime::from(time)
                .format(TO_THE_SECOND)
                .unwrap_or_default();
        }
        text.push_str(written);
    });
    let mut fraction = *b".000000Z";
    let mut micros = since.subsec_micros();
    for digit in fraction.iter_mut().skip(1).take(6).rev() {
        *digit = b'0' + (micros % 10) as u8;
        micros /= 10;
    }
    text.push_str(str::from_utf8(&fraction).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339_says() {
        let at = |nanos: u64| {
            let mut text = String::new();
            write_time(&mut text, UNIX_EPOCH + Duration::from_nanos(nanos));
            text
        };
        assert_eq!(at(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(at(1_795_400_731_000_001_999), "2026-11-23T02:25:31.000001Z");
        assert_eq!(at(1_795_400_731_999_999_999), "2026-11-23T02:25:31.999999Z");
        assert_eq!(at(1_795_400_732_000_000_000), "2026-11-23T02:25:32.000000Z");
    }
}
