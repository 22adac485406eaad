//! Two proxy processes before the workload, whatever they are.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::Context;
use tokio::process::Command;

use crate::call::Call;
use crate::certificates::Certificates;
use crate::cpu::CpuReading;
use crate::load::Clients;
use crate::process::{Process, free_address};

/// What is left to run after the last answer (records, acknowledgements) is waited for and
/// charged to the block like the rest.
const SETTLE: Duration = Duration::from_millis(50);

/// What every contender is started with.
#[derive(Debug)]
pub(crate) struct Setting<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) certificates: &'a Certificates,
    pub(crate) workload: SocketAddr,
    pub(crate) workers: u32,
}

/// One pair of proxies under measurement.
#[derive(Debug)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    entry: SocketAddr,
    call: Arc<Call>,
    egress: Process,
    ingress: Process,
}

/// What one block of requests took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) egress: Duration,
    pub(crate) ingress: Duration,
    /// Both processes by the coarse record.
    pub(crate) ticks: Duration,
    pub(crate) elapsed: Duration,
    pub(crate) requests: u32,
}

impl Sample {
    /// CPU of both processes for one request, in microseconds.
    pub(crate) fn micros_per_request(&self) -> f64 {
        (self.egress + self.ingress).as_secs_f64() * 1e6 / f64::from(self.requests)
    }
}

impl Contender {
    /// Waits for both processes and makes sure that a call gets through them.
    ///
    /// # Errors
    /// When a process does not come up or the call is not answered.
    pub(crate) async fn ready(
        name: &'static str,
        (mut ingress, ingress_address): (Process, SocketAddr),
        (mut egress, entry): (Process, SocketAddr),
        answer_len: usize,
    ) -> anyhow::Result<Self> {
        ingress.accepts(ingress_address).await?;
        egress.accepts(entry).await?;
        let call = Arc::new(Call::new(&entry.to_string(), answer_len)?);
        let contender = Self {
            name,
            entry,
            call,
            egress,
            ingress,
        };
        contender
            .clients(1, &AtomicU64::new(0))
            .await
            .with_context(|| {
                format!(
                    "{name} does not forward; the egress log ends\n{}\nthe ingress log ends\n{}",
                    contender.egress.log_tail(),
                    contender.ingress.log_tail()
                )
            })?;
        Ok(contender)
    }

    /// Opens client connections to the egress.
    ///
    /// # Errors
    /// When one cannot be opened and used.
    pub(crate) async fn clients(&self, count: u32, ids: &AtomicU64) -> anyhow::Result<Clients> {
        Clients::open(self.entry, count, Arc::clone(&self.call), ids).await
    }

    /// Measures one block over fresh connections, whose opening is not charged.
    ///
    /// # Errors
    /// When a call is not answered rightly or a process has ended.
    pub(crate) async fn block(
        &mut self,
        connections: u32,
        requests: u32,
        ids: &Arc<AtomicU64>,
    ) -> anyhow::Result<Sample> {
        let mut clients = self.clients(connections, ids).await.context(self.name)?;
        tokio::time::sleep(SETTLE).await;
        let before = self.reading()?;
        let elapsed = clients.run(requests, ids).await.context(self.name)?;
        tokio::time::sleep(SETTLE).await;
        let after = self.reading()?;
        self.egress.check_running()?;
        self.ingress.check_running()?;
        let (egress, ingress) = (after.0.since(&before.0), after.1.since(&before.1));
        let ticks = after.0.ticks_since(&before.0) + after.1.ticks_since(&before.1);
        Ok(Sample {
            egress,
            ingress,
            ticks,
            elapsed,
            requests,
        })
    }

    fn reading(&self) -> anyhow::Result<(CpuReading, CpuReading)> {
        Ok((
            CpuReading::take(self.egress.pid())?,
            CpuReading::take(self.ingress.pid())?,
        ))
    }
}

/// Starts the plain proxy from this program's own binary.
///
/// # Errors
/// When it does not come up.
pub(crate) async fn plain(
    name: &'static str,
    setting: &Setting<'_>,
    answer_len: usize,
) -> anyhow::Result<Contender> {
    let (lane, entry) = (free_address()?, free_address()?);
    let half = |role: &str, listen: SocketAddr, forward_to: SocketAddr| {
        let leaf = match role {
            "egress" => &setting.certificates.egress,
            _ => &setting.certificates.ingress,
        };
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["plain", role, "--listen", &listen.to_string()]);
        command.args(["--forward-to", &forward_to.to_string()]);
        command.args(["--workers", &setting.workers.to_string()]);
        command.arg("--ca").arg(&setting.certificates.ca);
        command
            .arg("--certificate")
            .arg(&leaf.certificate)
            .arg("--key")
            .arg(&leaf.key);
        Process::start(&format!("{name}-{role}"), setting.dir, command)
    };
    let ingress = half("ingress", lane, setting.workload)?;
    let egress = half("egress", entry, lane)?;
    Contender::ready(name, (ingress, lane), (egress, entry), answer_len).await
}

/// Starts the workload from this program's own binary.
///
/// # Errors
/// When it does not come up.
pub(crate) async fn workload(
    dir: &Path,
    answer_len: usize,
) -> anyhow::Result<(Process, SocketAddr)> {
    let listen = free_address()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["workload", "--listen", &listen.to_string()]);
    command.args(["--answer-bytes", &answer_len.to_string()]);
    let mut process = Process::start("workload", dir, command)?;
    process.accepts(listen).await?;
    Ok((process, listen))
}
