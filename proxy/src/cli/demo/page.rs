//! How the demo is laid out: plain text in two columns, each line as it happens.

use std::fmt::Display;
use std::time::Duration;

use crate::cli::say;

/// Columns of a label.
const LABEL: usize = 11;

/// The first line of all.
pub(super) fn title(text: &str) {
    say(format_args!("{text}\n"));
}

/// Begins a part.
pub(super) fn part(text: impl Display) {
    say(format_args!("\n{text}"));
}

/// One thing that is so.
pub(super) fn fact(label: &str, value: impl Display) {
    say(format_args!("   {label:LABEL$} {value}"));
}

/// One thing that arrived, and when.
pub(super) fn event(after: Duration, kind: &str, text: &str) {
    let label = format!("+{:4} ms", after.as_millis());
    fact(
        &label,
        format_args!("{kind:9} {text}").to_string().trim_end(),
    );
}

/// Microseconds as a person reads them.
pub(super) fn milliseconds(micros: u64) -> String {
    format!(
        "{:.1} ms",
        Duration::from_micros(micros).as_secs_f64() * 1e3
    )
}
