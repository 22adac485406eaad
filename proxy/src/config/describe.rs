//! What a configuration means, in words for people.

use std::fmt::Write;

use super::{Config, PeerConfig};
use crate::record::{OnFailure, Sink};

impl Config {
    /// One line for each listener, peer and rule.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        let groups: Vec<&str> = self
            .kx_policy
            .groups()
            .iter()
            .map(|group| group.name)
            .collect();
        let _ = writeln!(text, "key exchange: require hybrid, {}", groups.join(", "));
        let _ = writeln!(text, "own SVID: {}", self.identity.svid_path.display());
        for (domain, path) in &self.identity.bundles {
            let _ = writeln!(text, "trust domain {domain}: {}", path.display());
        }
        for listener in &self.inbound {
            let _ = writeln!(
                text,
                "inbound {}: {} -> {}; allowed: {}",
                listener.name, listener.listen, listener.workload, listener.allow
            );
            if let Some(grpc) = &listener.grpc_workload {
                let _ = writeln!(text, "  gRPC -> {grpc}");
            }
            for (path, allow) in &listener.paths {
                let _ = writeln!(text, "  {path} and below; allowed: {allow}");
            }
        }
        for listener in &self.outbound {
            let _ = writeln!(text, "outbound {}: {}", listener.name, listener.listen);
            if let Some(peer) = &listener.default {
                let _ = writeln!(text, "  default -> {}", described(peer));
            }
            for (authorities, peer) in &listener.routes {
                let _ = writeln!(text, "  {} -> {}", authorities.join(", "), described(peer));
            }
        }
        let on_failure = match self.on_audit_failure {
            OnFailure::Continue => "carried",
            OnFailure::Deny => "denied",
        };
        let sink = match &self.audit {
            Sink::File(path) => path.display().to_string(),
            Sink::Stdout => "standard output".to_owned(),
        };
        let _ = writeln!(text, "audit: {sink}; without it calls are {on_failure}");
        if let Some(admin) = &self.admin {
            let _ = writeln!(text, "admin: {admin}");
        }
        text.truncate(text.trim_end().len());
        text
    }
}

fn described(peer: &PeerConfig) -> String {
    format!("{} where {} answers", peer.connect, peer.allow)
}
