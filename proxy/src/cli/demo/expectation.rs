//! What must hold, and how it is said when it does not.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use anyhow::bail;

/// How long one part of the demo may take. All of it takes about a second.
const PATIENCE: Duration = Duration::from_secs(20);

/// Checks that something is as it should be.
pub(super) fn expect<T: PartialEq + Display>(
    what: &str,
    found: T,
    expected: T,
) -> anyhow::Result<()> {
    if found != expected {
        bail!("{what}: expected {expected}, found {found}");
    }
    Ok(())
}

/// Waits for a part of the demo, and not forever.
pub(super) async fn within<T>(
    what: &str,
    part: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    match tokio::time::timeout(PATIENCE, part).await {
        Ok(done) => done,
        Err(_elapsed) => bail!("{what}: not over after {} s", PATIENCE.as_secs()),
    }
}
