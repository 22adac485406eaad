//! `pqlane outbound`.

use std::str::FromStr;

use clap::Args;
use pqlane_certs::spiffe_id::IdPattern;

use super::lane_flags::{LaneFlags, flag};
use super::{CommandError, serve};
use crate::config::file::{FileOutbound, FilePeer};
use crate::config::{Config, ListenAddress, PeerAddress};

#[derive(Debug, Args)]
#[command(
    after_help = "Example, an egress to one MCP server and one A2A agent:\n  \
    pqlane outbound --listen 127.0.0.1:4110 \\\n    \
    --connect mcp.internal:8443 --peer spiffe://example.org/mcp/weather \\\n    \
    --route research=research.internal:8443,spiffe://example.org/agent/research \\\n    \
    --svid agent.svid.pem --key agent.key.pem --bundle example.org=bundle.pem --audit audit.jsonl\n\n\
    Then http://127.0.0.1:4110/mcp is the MCP server, and http://research.localhost:4110/ the agent."
)]
pub(super) struct Outbound {
    /// Where the local workload connects to: a loopback address or unix:PATH
    #[arg(long, value_name = "ADDRESS")]
    listen: ListenAddress,
    /// Peer of the default route
    #[arg(long, value_name = "HOST:PORT", requires = "peer")]
    connect: Option<PeerAddress>,
    /// SPIFFE ID or pattern that may answer on the default route; repeatable
    #[arg(long, value_name = "ID", requires = "connect")]
    peer: Vec<IdPattern>,
    /// A further route: calls to NAME.localhost go to HOST:PORT, where ID must answer; repeatable
    #[arg(long, value_name = "NAME=HOST:PORT,ID")]
    route: Vec<RouteFlag>,
    /// Permit a listener that other machines can reach, in plaintext
    #[arg(long)]
    insecure_remote_listen: bool,
    #[command(flatten)]
    lane: LaneFlags,
}

#[derive(Debug, Clone)]
struct RouteFlag {
    name: String,
    connect: PeerAddress,
    peers: Vec<IdPattern>,
}

impl FromStr for RouteFlag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "accepted is NAME=HOST:PORT,ID or NAME=HOST:PORT,ID,ID";
        let (name, rest) = text.split_once('=').ok_or(form)?;
        let (connect, peers) = rest.split_once(',').ok_or(form)?;
        Ok(Self {
            name: name.to_owned(),
            connect: connect
                .parse()
                .map_err(|error: crate::config::AddressError| error.to_string())?,
            peers: peers
                .split(',')
                .map(str::parse)
                .collect::<Result<_, pqlane_certs::spiffe_id::IdPatternError>>()
                .map_err(|error| error.to_string())?,
        })
    }
}

impl Outbound {
    pub(super) fn run(self) -> Result<(), CommandError> {
        let listener = FileOutbound {
            name: None,
            listen: flag(self.listen),
            insecure_remote_listen: self.insecure_remote_listen,
            peers: self.connect.as_ref().map(|_given| flag(self.peer)),
            connect: self.connect.map(flag),
            authority: None,
            identity: None,
            uid: None,
            process: Vec::new(),
            kx_policy: None,
            peer: Vec::new(),
            route: self
                .route
                .into_iter()
                .map(|route| FilePeer {
                    name: Some(flag(route.name)),
                    authority: None,
                    connect: flag(route.connect),
                    peers: flag(route.peers),
                    kx_policy: None,
                })
                .collect(),
        };
        let config = Config::from_flags(self.lane.into_file(Vec::new(), vec![listener]))?;
        serve(config)
    }
}
