//! Fixtures: a world of identities, sidecars in it, and the clients and servers at both ends.

pub(crate) mod api;
pub(crate) mod frames;
pub(crate) mod http;
pub(crate) mod living;
pub(crate) mod process;
pub(crate) mod records;
pub(crate) mod tls;
pub(crate) mod world;

use std::future::Future;
use std::time::Duration;

/// How long anything that must happen may take, on a machine with much else to do.
pub(crate) const DEADLINE: Duration = Duration::from_secs(15);

/// What a future gives, which must come before the deadline.
pub(crate) async fn within<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(output) => output,
        Err(_) => panic!("no {what} in {DEADLINE:?}"),
    }
}

/// Waits until a check gives a value.
pub(crate) async fn eventually<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    within(what, async {
        let mut often = tokio::time::interval(Duration::from_millis(10));
        loop {
            if let Some(value) = check() {
                return value;
            }
            often.tick().await;
        }
    })
    .await
}
