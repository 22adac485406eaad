//! Sessions that are resumed instead of made anew (RFC 9846 §2.2).
//!
//! Takes the tickets of handshakes that were post-quantum and needed no HelloRetryRequest; gives each of them
//! out once, at most five minutes after the full handshake at its session's beginning, however often the
//! session was renewed since. It never allows 0-RTT, and never decides whether the peer is still welcome: a
//! resumed handshake calls no verifier, so whoever uses it checks the peer's chain again.

mod client;
mod server;

use std::time::Duration;

use rustls::pki_types::UnixTime;

pub use client::{ClientAttempt, ClientTickets, DEFAULT_CLIENT_TICKETS};
pub use server::ServerTickets;

/// How long after its full handshake a session may be resumed, on both sides.
///
/// RFC 9846 §4.7.1 allows seven days, and lets either side forget a ticket earlier than its
/// `ticket_lifetime`.
pub const MAX_SESSION_AGE: Duration = Duration::from_secs(300);

/// Whether a session that began at `full_at` may be resumed at `now`.
///
/// Times are whole seconds, so this holds for less than [`MAX_SESSION_AGE`] and never for longer. A session
/// from the future is too old: the clock was set back, and its age is not known.
fn is_young(full_at: UnixTime, now: UnixTime) -> bool {
    now.as_secs()
        .checked_sub(full_at.as_secs())
        .is_some_and(|age| age < MAX_SESSION_AGE.as_secs())
}

#[cfg(test)]
mod tests;
