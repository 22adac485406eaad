//! What an operator asks for: the body of `POST /v1/revocations`.
//!
//! Takes bytes that anybody who reaches the admin listener may send; gives [`Asked`], or one sentence about what is
//! wrong. It never acts.

use std::time::Duration;

use pqlane_certs::revocation::{DenyEntry, Serial};
use pqlane_certs::spiffe_id::{SpiffeId, TrustDomain};
use serde::Deserialize;

/// The most bytes of a body that are read.
pub(crate) const MAX_ASKED_BYTES: usize = 8 * 1024;

/// The most bytes of a reason.
const MAX_REASON_BYTES: usize = 256;

/// The longest time that can be asked for: a hundred years. What is to last longer lasts until it is lifted.
const MAX_DURATION: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Whom to revoke, why, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Whom.
    pub(crate) entry: DenyEntry,
    /// Why, for the record.
    pub(crate) reason: Box<str>,
    /// For how long; until it is lifted, if nothing is said.
    pub(crate) duration: Option<Duration>,
}

/// Why a body asks for nothing that can be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskedError {
    /// No JSON, not these members, or not of these kinds.
    #[error(
        "the body is not what this call takes: {}; accepted is {{\"spiffe_id\": …}}, {{\"svid_serial\": …}} or {{\"trust_domain\": …}}, with \"reason\" and, if it is to end by itself, \"duration_seconds\"",
        on_one_line(.0)
    )]
    Body(#[from] serde_json::Error),
    /// A duration of nothing, or of more than a century.
    #[error(
        "duration_seconds is not from 1 to {}; leave it out to revoke until it is lifted",
        MAX_DURATION.as_secs()
    )]
    Duration,
    /// An ID of a trust domain.
    #[error(
        "spiffe_id has no path: spiffe://example.org/agent/x is accepted; give a trust domain as trust_domain"
    )]
    NoPath,
    /// A reason that is missing, too long or of several lines.
    #[error(
        "reason is not a text of 1 to {MAX_REASON_BYTES} bytes on one line: say why, for whoever reads the record"
    )]
    Reason,
    /// No serial number.
    #[error("svid_serial is {0}")]
    Serial(pqlane_certs::revocation::SerialError),
    /// No member that says who, or several.
    #[error(
        "exactly one of spiffe_id, svid_serial and trust_domain says who is meant; only svid_serial may have trust_domain beside it"
    )]
    Who,
}

/// What an error says, though it repeats names that the caller chose: in a terminal or a log they are to do nothing.
fn on_one_line(error: &serde_json::Error) -> String {
    let said = error.to_string();
    let escaped = said.chars().map(|character| match character.is_control() {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    });
    escaped.collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    spiffe_id: Option<SpiffeId>,
    svid_serial: Option<String>,
    trust_domain: Option<TrustDomain>,
    reason: String,
    duration_seconds: Option<u64>,
}

impl Asked {
    /// Reads a body of at most [`MAX_ASKED_BYTES`].
    ///
    /// # Errors
    /// [`AskedError`], which says what is accepted.
    pub(crate) fn read(body: &[u8]) -> Result<Self, AskedError> {
        let Written {
            spiffe_id,
            svid_serial,
            trust_domain,
            reason,
            duration_seconds,
        } = serde_json::from_slice(body)?;
        if !is_plain_reason(&reason) {
            return Err(AskedError::Reason);
        }
        let duration = duration_seconds.map(Duration::from_secs);
        if duration.is_some_and(|duration| duration.is_zero() || duration > MAX_DURATION) {
            return Err(AskedError::Duration);
        }
        Ok(Self {
            entry: entry(spiffe_id, svid_serial, trust_domain)?,
            reason: reason.into(),
            duration,
        })
    }
}

fn entry(
    spiffe_id: Option<SpiffeId>,
    svid_serial: Option<String>,
    trust_domain: Option<TrustDomain>,
) -> Result<DenyEntry, AskedError> {
    match (spiffe_id, svid_serial, trust_domain) {
        (Some(id), None, None) if id.path().is_empty() => Err(AskedError::NoPath),
        (Some(id), None, None) => Ok(DenyEntry::Id(id)),
        (None, Some(serial), trust_domain) => Ok(DenyEntry::Serial {
            serial: serial.parse::<Serial>().map_err(AskedError::Serial)?,
            trust_domain,
        }),
        (None, None, Some(trust_domain)) => Ok(DenyEntry::TrustDomain(trust_domain)),
        (None, None, None) | (Some(_), Some(_), _) | (Some(_), None, Some(_)) => {
            Err(AskedError::Who)
        }
    }
}

/// Whether a text may stand in a journal, a record and a log as it is.
pub(super) fn is_plain_reason(reason: &str) -> bool {
    let is_sized = (1..=MAX_REASON_BYTES).contains(&reason.len());
    is_sized && !reason.chars().any(char::is_control) && !reason.trim().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry_of(body: &str) -> Result<String, String> {
        Asked::read(body.as_bytes())
            .map(|asked| asked.entry.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn every_way_to_say_who_is_read() {
        for (who, entry) in [
            (
                r#""spiffe_id":"spiffe://example.org/agent/x""#,
                "spiffe://example.org/agent/x",
            ),
            (r#""svid_serial":"0a:1b""#, "serial:0A1B"),
            (
                r#""svid_serial":"0A1B","trust_domain":"example.org""#,
                "serial:0A1B spiffe://example.org",
            ),
            (r#""trust_domain":"example.org""#, "spiffe://example.org"),
        ] {
            let body = format!("{{{who},\"reason\":\"lost laptop\"}}");
            assert_eq!(entry_of(&body).as_deref(), Ok(entry), "{body}");
        }
    }

    #[test]
    fn a_body_that_means_nothing_or_two_things_is_refused_and_told_what_is_accepted() {
        let id = r#""spiffe_id":"spiffe://example.org/a""#;
        let long = "x".repeat(257);
        for (members, accepted) in [
            (String::new(), "accepted is"),
            ("\"reason\":\"r\"".to_owned(), "exactly one of"),
            (
                format!("{id},\"trust_domain\":\"example.org\",\"reason\":\"r\""),
                "exactly one of",
            ),
            (
                format!("{id},\"svid_serial\":\"0A\",\"reason\":\"r\""),
                "exactly one of",
            ),
            (id.to_owned(), "missing field `reason`"),
            (format!("{id},\"reason\":\"\""), "1 to 256 bytes"),
            (format!("{id},\"reason\":\"a\\nb\""), "on one line"),
            (format!("{id},\"reason\":\"{long}\""), "1 to 256 bytes"),
            (
                format!("{id},\"reason\":\"r\",\"duration_seconds\":0"),
                "until it is lifted",
            ),
            (
                format!("{id},\"reason\":\"r\",\"duration_seconds\":-1"),
                "accepted is",
            ),
            (
                format!("{id},\"reason\":\"r\",\"user\":\"u\""),
                "unknown field `user`",
            ),
            (
                format!("{id},\"reason\":\"r\",\"u\\nser\":\"u\""),
                "unknown field `u\\nser`",
            ),
            (format!("{id},{id},\"reason\":\"r\""), "duplicate field"),
            (
                "\"spiffe_id\":\"spiffe://example.org\",\"reason\":\"r\"".to_owned(),
                "trust_domain",
            ),
            (
                "\"svid_serial\":\"xyz\",\"reason\":\"r\"".to_owned(),
                "hexadecimal",
            ),
        ] {
            let body = format!("{{{members}}}");
            let error = entry_of(&body).unwrap_err();
            assert!(error.contains(accepted), "{body}: {error}");
        }
    }
}
