//! A started process that ends when its owner does, and free loopback addresses.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

/// How long a process may take to accept connections.
const START_TIMEOUT: Duration = Duration::from_secs(20);
const POLL_PERIOD: Duration = Duration::from_millis(20);
/// How much of a log is shown when its process has failed.
const LOG_TAIL_BYTES: usize = 2000;

/// A running process; dropping it kills it.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    log: PathBuf,
    child: Child,
    pid: u32,
}

impl Process {
    /// Starts `command`, its output going to `NAME.log` in `dir`.
    ///
    /// Standard input stays open for as long as the process is held, so that one that watches it
    /// ends even if this program is killed.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(name: &str, dir: &Path, mut command: Command) -> anyhow::Result<Self> {
        let log = dir.join(format!("{name}.log"));
        let output = File::create(&log)?;
        let child = command
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let pid = child.id().with_context(|| format!("{name} has ended"))?;
        Ok(Self {
            name: name.to_owned(),
            log,
            child,
            pid,
        })
    }

    /// Waits until the process accepts connections on `address`.
    ///
    /// # Errors
    /// When it ends first or takes too long.
    pub(crate) async fn accepts(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        while TcpStream::connect(address).await.is_err() {
            self.check_running()?;
            if Instant::now() > deadline {
                bail!(
                    "{} does not accept on {address}; its log ends\n{}",
                    self.name,
                    self.log_tail()
                );
            }
            sleep(POLL_PERIOD).await;
        }
        Ok(())
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Fails if the process has ended.
    ///
    /// # Errors
    /// With its exit status and the end of its log.
    pub(crate) fn check_running(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!(
                "{} ended with {status}; its log ends\n{}",
                self.name,
                self.log_tail()
            ),
        }
    }

    /// The end of what the process has printed.
    pub(crate) fn log_tail(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let tail = text
            .get(text.len().saturating_sub(LOG_TAIL_BYTES)..)
            .unwrap_or_default();
        String::from_utf8_lossy(tail).into_owned()
    }
}

/// A loopback address that nothing listens on at this moment.
///
/// # Errors
/// When the kernel has none.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?)
}

/// Runs `command` to its end and gives what it printed.
///
/// # Errors
/// When it cannot be started or fails.
pub(crate) async fn output(mut command: Command) -> anyhow::Result<String> {
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    let printed = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{:?} ended with {}: {}",
            command.as_std(),
            output.status,
            complaint.trim()
        );
    }
    Ok(printed)
}
