//! The product as a contender: `pqlane outbound` and `pqlane inbound`, audit on as by default.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::certificates::{EGRESS_ID, INGRESS_ID, TRUST_DOMAIN};
use crate::contender::{Contender, Setting};
use crate::process::{Process, free_address, output};

/// Starts both halves with SVIDs of pqlane's own development authority.
///
/// # Errors
/// When a command fails or a process does not come up.
pub(crate) async fn start(
    binary: &Path,
    setting: &Setting<'_>,
    answer_len: usize,
) -> anyhow::Result<Contender> {
    let authority = setting.dir.join("authority");
    let mut init = Command::new(binary);
    init.args(["authority", "init", "--trust-domain", TRUST_DOMAIN]);
    init.arg("--dir").arg(&authority);
    output(init).await?;
    let (lane, entry) = (free_address()?, free_address()?);

    let mut inbound = half(binary, setting, &authority, ("inbound", INGRESS_ID), lane).await?;
    inbound
        .arg("--workload")
        .arg(format!("http://{}", setting.workload));
    inbound.args(["--allow", EGRESS_ID]);
    let ingress = Process::start("pqlane-inbound", setting.dir, inbound)?;

    let mut outbound = half(binary, setting, &authority, ("outbound", EGRESS_ID), entry).await?;
    outbound.args(["--connect", &lane.to_string(), "--peer", INGRESS_ID]);
    let egress = Process::start("pqlane-outbound", setting.dir, outbound)?;

    Contender::ready("pqlane", (ingress, lane), (egress, entry), answer_len).await
}

/// Issues the SVID and sets what both directions share.
async fn half(
    binary: &Path,
    setting: &Setting<'_>,
    authority: &Path,
    (direction, id): (&str, &str),
    listen: SocketAddr,
) -> anyhow::Result<Command> {
    let prefix = authority.join(direction);
    let mut issue = Command::new(binary);
    issue.args(["authority", "issue", "--dir"]).arg(authority);
    issue.args(["--id", id, "--out"]).arg(&prefix);
    output(issue).await?;

    let with_suffix = |suffix: &str| PathBuf::from(format!("{}{suffix}", prefix.display()));
    let bundle = authority.join("bundle.pem");
    let mut command = Command::new(binary);
    command.args([direction, "--listen", &listen.to_string()]);
    command.arg("--svid").arg(with_suffix(".svid.pem"));
    command.arg("--key").arg(with_suffix(".key.pem"));
    command
        .arg("--bundle")
        .arg(format!("{TRUST_DOMAIN}={}", bundle.display()));
    command
        .arg("--audit")
        .arg(setting.dir.join(format!("{direction}.audit.jsonl")));
    command.args(["--workers", &setting.workers.to_string()]);
    Ok(command)
}
