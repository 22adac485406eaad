//! The one place that starts tasks.

use std::future::Future;

use tokio::task::JoinHandle;

/// Starts a task on the current runtime. What a task does must be bounded by a connection, a deadline or the
/// life of the process.
pub(crate) fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    #[expect(clippy::disallowed_methods, reason = "the one place")]
    tokio::spawn(future)
}
