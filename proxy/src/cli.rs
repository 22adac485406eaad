//! The command line, one file a command.
//!
//! Exit codes: 0 when all was well, 1 when something failed while running, 2 when the command line or the
//! configuration is wrong.

mod authority;
mod check;
#[cfg(feature = "demo")]
mod demo;
mod inbound;
mod lane_flags;
mod outbound;
mod ratchet;
mod run;

use std::future::Future;
use std::io::Write;
use std::num::NonZeroUsize;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::level_filters::LevelFilter;

use crate::app::{App, BuildError, Ended};
use crate::config::{Config, ConfigError};
use crate::task;
use crate::telemetry::{self, LogFormat};
use crate::tls::with_causes;

#[derive(Debug, Parser)]
#[command(
    name = "pqlane",
    version,
    about = "A post-quantum lane for AI agents: MCP and A2A over hybrid mutual TLS between SPIFFE identities",
    after_help = "Begin with `pqlane demo`: two agents, two sidecars and an egress in one process, offline.\n\
                  Exit codes: 0 all was well, 1 something failed while running, 2 wrong usage or configuration."
)]
struct Cli {
    /// How much is logged, on standard error: error, warn, info, debug or trace [default: info; demo: error]
    #[arg(long, global = true, value_name = "LEVEL")]
    log: Option<LevelFilter>,
    /// Shape of log lines
    #[arg(long, global = true, default_value = "text", value_name = "FORMAT")]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows real MCP and A2A calls crossing the lane, and a classical client turned away
    #[cfg(feature = "demo")]
    Demo(demo::Demo),
    /// Runs the listeners of a configuration file
    Run(run::Run),
    /// Checks a configuration file and everything it names, and says what it means
    Check(check::Check),
    /// Runs one sidecar in front of a workload, without a file
    Inbound(inbound::Inbound),
    /// Runs one egress beside a workload, without a file
    Outbound(outbound::Outbound),
    /// Makes a trust domain for development, and SVIDs in it
    #[command(subcommand)]
    Authority(authority::Authority),
    /// Shows and changes who is held to the hybrid handshakes it has shown
    #[command(subcommand)]
    Ratchet(ratchet::Ratchet),
}

impl Command {
    /// How much is logged where the user did not say.
    fn default_log(&self) -> LevelFilter {
        match self {
            // The demo says itself what happens; its refusals are meant to happen.
            #[cfg(feature = "demo")]
            Self::Demo(_) => LevelFilter::ERROR,
            Self::Authority(_)
            | Self::Check(_)
            | Self::Inbound(_)
            | Self::Outbound(_)
            | Self::Ratchet(_)
            | Self::Run(_) => LevelFilter::INFO,
        }
    }
}

/// Why a command ended badly.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error(transparent)]
    Authority(#[from] authority::AuthorityCommandError),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[cfg(feature = "demo")]
    #[error("the demo did not show what it promises")]
    Demo(#[source] anyhow::Error),
    #[error(transparent)]
    Ratchet(#[from] ratchet::RatchetCommandError),
    #[error("cannot start the runtime")]
    Runtime(#[source] std::io::Error),
}

impl CommandError {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_)
            | Self::Build(
                BuildError::AdminToken(_)
                | BuildError::DenyList(_)
                | BuildError::Identity(_)
                | BuildError::Kx(_)
                | BuildError::NoSuchIdentity(_)
                | BuildError::NotCnsa(_)
                | BuildError::Sealing(_)
                | BuildError::Tls(_),
            ) => ExitCode::from(2),
            Self::Authority(_)
            | Self::Build(
                BuildError::Bind { .. }
                | BuildError::Record(_)
                | BuildError::SealingKeys(_)
                | BuildError::State(_),
            )
            | Self::Ratchet(_)
            | Self::Runtime(_) => ExitCode::FAILURE,
            #[cfg(feature = "demo")]
            Self::Demo(_) => ExitCode::FAILURE,
        }
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let level = cli.log.unwrap_or_else(|| cli.command.default_log());
    telemetry::start(level, cli.log_format);
    let done = match cli.command {
        #[cfg(feature = "demo")]
        Command::Demo(demo) => demo.run(),
        Command::Run(run) => run.run(),
        Command::Check(check) => check.run(),
        Command::Inbound(inbound) => inbound.run(),
        Command::Outbound(outbound) => outbound.run(),
        Command::Authority(authority) => authority.run().map_err(CommandError::from),
        Command::Ratchet(ratchet) => ratchet.run().map_err(CommandError::from),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say_error(&with_causes(&error));
            error.exit_code()
        }
    }
}

/// Runs a configuration until the process is told to stop; told again, it cuts what is still open.
fn serve(config: Config) -> Result<(), CommandError> {
    let runtime = runtime(config.workers())?;
    let ended = runtime.block_on(async {
        let bound = App::build(config)?.bind().await?;
        let bound = bound.reload_on(hangups());
        let signals = Signals::listen();
        let ended = bound.run_until(signals.first(), signals.second()).await;
        Ok::<_, CommandError>(ended)
    })?;
    if ended == Ended::Forced {
        tracing::warn!("some calls were cut before they ended");
    }
    // What is cut does not hold up the end of the process.
    runtime.shutdown_background();
    Ok(())
}

fn runtime(workers: Option<NonZeroUsize>) -> Result<tokio::runtime::Runtime, CommandError> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = workers {
        builder.worker_threads(workers.get());
    }
    builder.enable_all().build().map_err(CommandError::Runtime)
}

/// Waits for the next SIGTERM or SIGINT.
#[cfg(feature = "demo")]
async fn told_to_stop() {
    Signals::listen().first().await;
}

/// Counts SIGHUPs from now on. Must be called on a runtime.
fn hangups() -> watch::Receiver<u64> {
    let (count, hangups) = watch::channel(0);
    match signal(SignalKind::hangup()) {
        Ok(mut hangup) => {
            task::spawn(async move {
                while hangup.recv().await.is_some() {
                    count.send_modify(|count: &mut u64| *count = count.saturating_add(1));
                }
            });
        }
        Err(problem) => tracing::error!(%problem, "cannot listen for SIGHUP"),
    }
    hangups
}

/// SIGTERM and SIGINT, counted.
struct Signals(watch::Receiver<u8>);

impl Signals {
    /// Listens from now on. Must be called on a runtime.
    fn listen() -> Self {
        let (count, signals) = watch::channel(0);
        match (
            signal(SignalKind::terminate()),
            signal(SignalKind::interrupt()),
        ) {
            (Ok(mut terminate), Ok(mut interrupt)) => {
                task::spawn(async move {
                    loop {
                        tokio::select! {
                            _ = terminate.recv() => {}
                            _ = interrupt.recv() => {}
                        }
                        count.send_modify(|count: &mut u8| *count = count.saturating_add(1));
                    }
                });
            }
            _ => tracing::error!("cannot listen for signals; stop the process with SIGKILL"),
        }
        Self(signals)
    }

    /// Waits for the first.
    fn first(&self) -> impl Future<Output = ()> + use<> {
        Self::reached(self.0.clone(), 1)
    }

    /// Waits for the second.
    fn second(&self) -> impl Future<Output = ()> + use<> {
        Self::reached(self.0.clone(), 2)
    }

    async fn reached(mut signals: watch::Receiver<u8>, count: u8) {
        if signals.wait_for(|seen| *seen >= count).await.is_err() {
            std::future::pending().await
        }
    }
}

/// Says something on standard output.
fn say(text: impl std::fmt::Display) {
    // Whoever closed our output does not want the rest.
    let _ = writeln!(std::io::stdout(), "{text}");
}

#[expect(
    clippy::print_stderr,
    reason = "the one place where commands say what went wrong"
)]
fn say_error(text: &str) {
    eprintln!("pqlane: {text}");
}
