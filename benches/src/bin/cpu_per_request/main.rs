//! CPU per request of pqlane, beside a plain hyper and rustls proxy and beside Envoy.
//!
//! Starts every contender as a pair of real processes (egress and ingress) before one small MCP
//! server, drives them in turn from the same client, and reads what the kernel charged to each
//! pair. Everything is on loopback, bounded in count and time, and ended on exit.
//!
//!     cargo build --release -p pqlane -p pqlane-benches
//!     target/release/cpu_per_request --envoy PATH --json figures.json

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that reports to a person"
)]

mod args;
mod call;
mod certificates;
mod contender;
mod cpu;
mod environment;
mod envoy;
mod load;
mod measure;
mod pqlane;
mod process;
mod report;
mod statistics;
mod workload;

use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;
use pqlane_benches::plain;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::{Cli, Measure, Role};
use crate::report::Verdict;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let ran = match cli.role {
        Some(Role::Plain(plain)) => {
            end_with_parent();
            plain::run(&plain.into_settings())
                .map(|()| ExitCode::SUCCESS)
                .map_err(Into::into)
        }
        Some(Role::Workload(workload)) => {
            end_with_parent();
            workload::run(&workload).map(|()| ExitCode::SUCCESS)
        }
        None => compare(&cli.measure),
    };
    ran.unwrap_or_else(|error| {
        eprintln!("cpu_per_request: {error:#}");
        ExitCode::from(2)
    })
}

/// Measures, prints, writes the JSON file, and gives the exit code that `--check` asks for.
fn compare(arguments: &Measure) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("cannot start the client's runtime")?;
    let limit = Duration::from_secs(arguments.time_limit);
    let measured = runtime.block_on(async {
        // Dropping the measurement ends the processes that it started.
        tokio::select! {
            measured = measure::run(arguments) => measured,
            () = tokio::time::sleep(limit) => bail!("not done within --time-limit {} s", limit.as_secs()),
            stopped = stop_signal() => stopped.and_then(|()| bail!("stopped by a signal")),
        }
    })?;
    println!("\n{}", report::table(&measured));
    if let Some(path) = &arguments.json {
        let text = format!("{:#}\n", report::json(&measured));
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if !arguments.check {
        return Ok(ExitCode::SUCCESS);
    }
    let verdicts = report::check(&measured)?;
    for Verdict { line, .. } in &verdicts {
        println!("{line}");
    }
    let failed = verdicts.iter().any(|verdict| !verdict.holds);
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

async fn stop_signal() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Ends this process when its standard input closes, as it does when the parent dies.
fn end_with_parent() {
    std::thread::spawn(|| {
        let mut ignored = [0; 64];
        while matches!(std::io::stdin().read(&mut ignored), Ok(1..)) {}
        std::process::exit(0);
    });
}
