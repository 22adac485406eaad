//! What a user reads when something is refused.

use std::error::Error;

/// An error and its causes, as the command line shows them.
///
/// # Panics
/// When some error of the chain says nothing.
pub(crate) fn whole_message(error: &dyn Error) -> String {
    let mut message = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let said = error.to_string();
        assert!(!said.trim().is_empty(), "an error without words: {error:?}");
        message.push_str(&said);
        message.push_str(": ");
        next = error.source();
    }
    message
}
