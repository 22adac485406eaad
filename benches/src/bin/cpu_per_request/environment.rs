//! What the figures were taken on and with.

use std::fs;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::process::output;

const LOCK_FILE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock"));
const CRATES: [&str; 7] = [
    "aws-lc-rs",
    "h2",
    "hyper",
    "hyper-util",
    "rustls",
    "tokio",
    "tokio-rustls",
];
const UNKNOWN: &str = "unknown";

/// Machine, kernel, compiler and versions.
#[derive(Debug)]
pub(crate) struct Environment {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) rustc: String,
    pub(crate) profile: &'static str,
    pub(crate) pqlane: Option<String>,
    pub(crate) envoy: Option<String>,
    pub(crate) crates: Vec<(&'static str, String)>,
}

impl Environment {
    /// Reads what can be read; the rest is "unknown".
    pub(crate) async fn read(pqlane: Option<String>, envoy: Option<String>) -> Self {
        let mut rustc = Command::new("rustc");
        rustc.arg("--version");
        Self {
            cpu: cpu_model().unwrap_or_else(|| UNKNOWN.to_owned()),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .map_or_else(|_| UNKNOWN.to_owned(), |text| text.trim().to_owned()),
            rustc: output(rustc).await.unwrap_or_else(|_| UNKNOWN.to_owned()),
            profile: if cfg!(debug_assertions) {
                "debug"
            } else {
                "optimised"
            },
            pqlane,
            envoy,
            crates: CRATES
                .iter()
                .map(|name| (*name, locked_version(name)))
                .collect(),
        }
    }

    /// One fact a line.
    pub(crate) fn lines(&self) -> Vec<String> {
        let crates: Vec<String> = self
            .crates
            .iter()
            .map(|(name, version)| format!("{name} {version}"))
            .collect();
        let mut lines = vec![
            format!("cpu      {} ({} cores)", self.cpu, self.cores),
            format!("kernel   {}", self.kernel),
            format!("built    {} build, {}", self.profile, self.rustc),
            format!("crates   {}", crates.join(", ")),
        ];
        lines.extend(
            self.pqlane
                .iter()
                .map(|version| format!("pqlane   {version}")),
        );
        lines.extend(
            self.envoy
                .iter()
                .map(|version| format!("envoy    {version}")),
        );
        lines
    }

    /// The same for the JSON file.
    pub(crate) fn json(&self) -> Value {
        json!({
            "cpu": self.cpu,
            "cores": self.cores,
            "kernel": self.kernel,
            "rustc": self.rustc,
            "profile": self.profile,
            "pqlane": self.pqlane,
            "envoy": self.envoy,
            "crates": self.crates.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
        })
    }
}

fn cpu_model() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The version of a crate in the lock file that this program was built with.
fn locked_version(name: &str) -> String {
    let entry = format!("\nname = \"{name}\"\nversion = \"");
    LOCK_FILE
        .split_once(&entry)
        .and_then(|(_, rest)| rest.split_once('"'))
        .map_or_else(|| UNKNOWN.to_owned(), |(version, _)| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_each_crate_in_the_lock_file() {
        for name in CRATES {
            assert_ne!(locked_version(name), UNKNOWN, "{name}");
        }
        assert_eq!(locked_version("no-such-crate"), UNKNOWN);
    }
}
