//! Wall-clock time for records. Certificates take theirs from `pqlane_certs::clock`.

use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The time now, in UTC, as RFC 3339 §5.6 writes it.
pub(crate) fn timestamp() -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "the proxy's one look at the wall clock"
    )]
    let now = SystemTime::now();
    OffsetDateTime::from(now)
        .format(&Rfc3339)
        .unwrap_or_default()
}
