//! The first frame of an HTTP/2 server.
//!
//! Input: the bytes that the server sent.

use pqlane::hostile::{FirstFrame, read_first_frame};

use crate::Verdict;

/// Most bytes that may be needed for an answer: a frame header and the largest payload (RFC 9113 §4.2).
const MAX_FIRST_FRAME_LEN: usize = 9 + 16_384;

/// Reads the bytes as they arrive, one after the other.
///
/// # Panics
/// When an invariant does not hold.
pub fn run(bytes: &[u8]) -> Verdict {
    // Once there is an answer, no further byte changes it.
    let mut answer = FirstFrame::Incomplete;
    let mut answered_at = None;
    for len in 0..=bytes.len() {
        let arrived = bytes.get(..len).unwrap_or(bytes);
        let now = read_first_frame(arrived);
        match answered_at {
            Some(_) => assert_eq!(now, answer, "after {len} B"),
            None if now != FirstFrame::Incomplete => answered_at = Some(len),
            None => assert!(len < MAX_FIRST_FRAME_LEN, "no answer after {len} B"),
        }
        answer = now;
    }
    assert_eq!(answer, expected(bytes));
    match answer {
        FirstFrame::MaxConcurrentStreams(_) => Verdict::Accepted,
        FirstFrame::Incomplete | FirstFrame::NotSettings => Verdict::Refused,
    }
}

/// RFC 9113 §4.1, §6.5 and §6.5.3, said once more.
fn expected(bytes: &[u8]) -> FirstFrame {
    let &[a, b, c, kind, flags, _, _, _, _, ref rest @ ..] = bytes else {
        return FirstFrame::Incomplete;
    };
    let length = u32::from_be_bytes([0, a, b, c]);
    if (kind, flags) != (4, 0) || length > 16_384 || !length.is_multiple_of(6) {
        return FirstFrame::NotSettings;
    }
    let mut limit = u32::MAX;
    let mut unread = rest;
    for _ in 0..length / 6 {
        let Some((setting, after)) = unread.split_at_checked(6) else {
            return FirstFrame::Incomplete;
        };
        if let &[0, 3, v0, v1, v2, v3] = setting {
            limit = u32::from_be_bytes([v0, v1, v2, v3]);
        }
        unread = after;
    }
    FirstFrame::MaxConcurrentStreams(limit)
}
