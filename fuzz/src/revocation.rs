//! The body of a call that revokes somebody.
//!
//! Input: the body.

use pqlane::hostile::read_revocation;

use crate::Verdict;

/// The longest line of the journal that is read.
const MAX_LINE_LEN: usize = 4096;

/// Reads a body; one that is accepted is one line of the journal, which says the same when it is read back.
///
/// # Panics
/// When an invariant does not hold.
pub fn run(bytes: &[u8]) -> Verdict {
    let read = read_revocation(bytes);
    match &read {
        Ok((line, again)) => {
            assert_eq!(again.as_ref(), Ok(line));
            assert!(
                line.ends_with("}\n") && line.len() <= MAX_LINE_LEN,
                "{line}"
            );
            // One line, without anything that a terminal would act on.
            let inside = line.trim_end_matches('\n');
            assert!(!inside.chars().any(char::is_control), "{line:?}");
            assert!(inside.starts_with("{\"v\":1,\"revoke\":\"0000000000000000\",\"entry\":\""));
        }
        Err(problem) => assert!(!problem.chars().any(char::is_control), "{problem:?}"),
    }
    Verdict::of(&read)
}
