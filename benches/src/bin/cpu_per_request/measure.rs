//! The course of a measurement: start everything, warm up, then blocks in random order.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::{Context, bail};
use tokio::process::Command;

use crate::args::{Measure, Named};
use crate::certificates::Certificates;
use crate::contender::{self, Contender, Sample, Setting};
use crate::environment::Environment;
use crate::process::{Process, output};
use crate::statistics::Random;
use crate::{envoy, pqlane};

/// Name of the plain proxy among the results.
pub(crate) const PLAIN: &str = "plain";
/// Name of the second pair of the same plain proxy, for the A/A figure.
pub(crate) const PLAIN_AGAIN: &str = "plain-again";
/// Name of the product among the results.
pub(crate) const PQLANE: &str = "pqlane";
/// Name of Envoy among the results.
pub(crate) const ENVOY: &str = "envoy";

/// Every figure that was taken, and where.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) arguments: Measure,
    pub(crate) environment: Environment,
    /// One series per contender, one sample per block.
    pub(crate) series: Vec<Series>,
}

/// One contender's samples, in the order of the blocks.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) name: &'static str,
    pub(crate) samples: Vec<Sample>,
}

impl Measured {
    /// The CPU per request of each block, in microseconds, of the contender of this name.
    pub(crate) fn micros(&self, name: &str) -> Option<Vec<f64>> {
        let series = self.series.iter().find(|series| series.name == name)?;
        Some(
            series
                .samples
                .iter()
                .map(Sample::micros_per_request)
                .collect(),
        )
    }
}

/// The binaries that there are, with the version that each one names.
#[derive(Debug, Default)]
struct Binaries {
    pqlane: Option<(PathBuf, String)>,
    envoy: Option<(PathBuf, String)>,
}

/// Measures as the arguments say.
///
/// # Errors
/// When something asked for is missing, does not come up, or answers wrongly.
///
/// # Cancel safety
/// Dropping it kills every process that it started.
pub(crate) async fn run(arguments: &Measure) -> anyhow::Result<Measured> {
    let binaries = find(arguments).await?;
    let dir = tempfile::Builder::new()
        .prefix("cpu_per_request.")
        .tempdir()?;
    let certificates = Certificates::issue(&dir.path().join("certificates"))?;
    let answer_len = arguments.answer_bytes as usize;
    let (mut workload, address) = contender::workload(dir.path(), answer_len).await?;
    let setting = Setting {
        dir: dir.path(),
        certificates: &certificates,
        workload: address,
        workers: arguments.workers,
    };
    let mut contenders = start(&setting, &binaries, answer_len, arguments).await?;
    if contenders.is_empty() {
        bail!("nothing to measure");
    }
    let ids = Arc::new(AtomicU64::new(1));
    for contender in &mut contenders {
        println!(
            "warming up {} with {} requests",
            contender.name, arguments.warm_up
        );
        contender
            .block(arguments.connections, arguments.warm_up.max(1), &ids)
            .await?;
    }
    let series = blocks(arguments, &mut contenders, &mut workload, &ids).await?;
    let version = |found: Option<(PathBuf, String)>| found.map(|(_, version)| version);
    let environment = Environment::read(version(binaries.pqlane), version(binaries.envoy)).await;
    Ok(Measured {
        arguments: arguments.clone(),
        environment,
        series,
    })
}

async fn blocks(
    arguments: &Measure,
    contenders: &mut [Contender],
    workload: &mut Process,
    ids: &Arc<AtomicU64>,
) -> anyhow::Result<Vec<Series>> {
    let mut random = Random::new(arguments.seed);
    let mut series: Vec<Series> = contenders
        .iter()
        .map(|contender| Series {
            name: contender.name,
            samples: Vec::new(),
        })
        .collect();
    let mut order: Vec<usize> = (0..contenders.len()).collect();
    for block in 1..=arguments.blocks {
        random.shuffle(&mut order);
        let mut line = format!("block {block:>3}/{}", arguments.blocks);
        for &place in &order {
            let contender = &mut contenders[place];
            let sample = contender
                .block(arguments.connections, arguments.requests, ids)
                .await?;
            line += &format!("  {} {:.1} µs", contender.name, sample.micros_per_request());
            series[place].samples.push(sample);
        }
        workload.check_running()?;
        println!("{line}");
    }
    Ok(series)
}

async fn start(
    setting: &Setting<'_>,
    binaries: &Binaries,
    answer_len: usize,
    arguments: &Measure,
) -> anyhow::Result<Vec<Contender>> {
    let mut contenders = Vec::new();
    if wanted(arguments, Named::Plain) {
        contenders.push(contender::plain(PLAIN, setting, answer_len).await?);
        contenders.push(contender::plain(PLAIN_AGAIN, setting, answer_len).await?);
    }
    if let Some((binary, _)) = &binaries.pqlane {
        contenders.push(pqlane::start(binary, setting, answer_len).await?);
    }
    if let Some((binary, _)) = &binaries.envoy {
        contenders.push(envoy::start(binary, setting, answer_len).await?);
    }
    Ok(contenders)
}

fn wanted(arguments: &Measure, name: Named) -> bool {
    arguments.only.is_empty() || arguments.only.contains(&name)
}

/// Looks for the binaries; one that was named, by path or by `--only`, has to be there.
async fn find(arguments: &Measure) -> anyhow::Result<Binaries> {
    let mut binaries = Binaries::default();
    if wanted(arguments, Named::Pqlane) {
        let beside = || Ok::<_, std::io::Error>(std::env::current_exe()?.with_file_name(PQLANE));
        let path = arguments.pqlane.clone().map_or_else(beside, Ok)?;
        let named = arguments.pqlane.is_some() || arguments.only.contains(&Named::Pqlane);
        binaries.pqlane = probe(PQLANE, path, named || arguments.check).await?;
    }
    if wanted(arguments, Named::Envoy) {
        let path = arguments
            .envoy
            .clone()
            .unwrap_or_else(|| PathBuf::from(ENVOY));
        let named = arguments.envoy.is_some() || arguments.only.contains(&Named::Envoy);
        binaries.envoy = probe(ENVOY, path, named).await?;
    }
    Ok(binaries)
}

async fn probe(
    name: &str,
    path: PathBuf,
    required: bool,
) -> anyhow::Result<Option<(PathBuf, String)>> {
    let mut command = Command::new(&path);
    command.arg("--version");
    match output(command).await {
        // Envoy prints its own path first.
        Ok(printed) => {
            let version = printed
                .rsplit("version: ")
                .next()
                .unwrap_or(&printed)
                .to_owned();
            Ok(Some((path, version)))
        }
        Err(error) if required => {
            Err(error).with_context(|| format!("cannot run {name} at {}", path.display()))
        }
        Err(_) => {
            println!(
                "{name} is not measured: no such program at {}",
                path.display()
            );
            Ok(None)
        }
    }
}
