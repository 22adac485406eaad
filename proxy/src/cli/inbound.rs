//! `pqlane inbound`.

use std::path::PathBuf;

use clap::Args;
use pqlane_certs::spiffe_id::IdPattern;

use super::lane_flags::{LaneFlags, flag};
use super::{CommandError, serve};
use crate::config::file::{FileInbound, sealed};
use crate::config::{Config, ListenAddress, WorkloadAddress};

#[derive(Debug, Args)]
#[command(after_help = "Example, beside an MCP server on port 3110:\n  \
    pqlane inbound --listen 0.0.0.0:8443 --workload http://127.0.0.1:3110 \\\n    \
    --allow 'spiffe://example.org/agent/*' \\\n    \
    --svid mcp.svid.pem --key mcp.key.pem --bundle example.org=bundle.pem --audit audit.jsonl")]
pub(super) struct Inbound {
    /// Where peers connect to
    #[arg(long, value_name = "ADDRESS")]
    listen: ListenAddress,
    /// The workload, in plaintext on this machine: http://IP:PORT or unix:PATH
    #[arg(long, value_name = "URL")]
    workload: WorkloadAddress,
    /// Where the workload takes gRPC, if elsewhere
    #[arg(long, value_name = "URL")]
    grpc_workload: Option<WorkloadAddress>,
    /// SPIFFE ID or pattern that may call; * stands for one path segment, a last ** for one or more; repeatable
    #[arg(long, value_name = "ID", required = true)]
    allow: Vec<IdPattern>,
    /// Let the workload see the Host that the caller asked for
    #[arg(long)]
    preserve_host: bool,
    /// Permit a workload on another machine, in plaintext
    #[arg(long)]
    insecure_remote_workload: bool,
    /// Master keys that MCP session ids are sealed with, one a line; replicas share them
    #[arg(long, value_name = "FILE")]
    sealing_keys: Option<PathBuf>,
    #[command(flatten)]
    lane: LaneFlags,
}

impl Inbound {
    pub(super) fn run(self) -> Result<(), CommandError> {
        let listener = FileInbound {
            name: None,
            listen: flag(self.listen),
            workload: flag(self.workload),
            grpc_workload: self.grpc_workload.map(flag),
            seal_sessions: sealed(),
            backend: Vec::new(),
            insecure_remote_workload: self.insecure_remote_workload,
            allow: flag(self.allow),
            identity: None,
            kx_policy: None,
            peer: Vec::new(),
            authorities: Vec::new(),
            preserve_host: self.preserve_host,
            route: Vec::new(),
        };
        let mut file = self.lane.into_file(vec![listener], Vec::new());
        file.sealing.keys = self.sealing_keys;
        let config = Config::from_flags(file)?;
        serve(config)
    }
}
