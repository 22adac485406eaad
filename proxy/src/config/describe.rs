//! What a configuration means, in words for people.

use std::fmt::Write;
use std::path::Path;

use pqlane_certs::source::FileSource;
use pqlane_handshake::KxPolicy;
use pqlane_handshake::kx::Group;

use super::{AdminConfig, Callers, Config, ListenAddress, PeerConfig, SessionIds, SourceConfig};
use crate::app::SEALING_KEYS_FILE;
use crate::peer_policy::PeerPolicies;
use crate::ratchet::OnDowngrade;
use crate::record::{OnFailure, Sink};

impl Config {
    /// One line for each listener, peer and rule.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        let _ = match &self.source {
            SourceConfig::Files(files) => self.describe_files(&mut text, files),
            SourceConfig::WorkloadApi(endpoint) => {
                writeln!(text, "identity: SPIFFE Workload API at {endpoint}")
            }
        };
        if let Some(path) = &self.deny_list {
            let _ = writeln!(text, "deny-list: {}", path.display());
        }
        let _ = writeln!(text, "ratchet: {}", self.describe_ratchet());
        let _ = writeln!(text, "sealing keys: {}", self.describe_sealing());
        for listener in &self.inbound {
            let _ = writeln!(
                text,
                "inbound {}: {} -> {}; allowed: {}",
                listener.name, listener.listen, listener.workload, listener.allow
            );
            let _ = writeln!(text, "  as {}", listener.identity);
            describe_kx(&mut text, &listener.kx);
            if let Some(grpc) = &listener.grpc_workload {
                let _ = writeln!(text, "  gRPC -> {grpc}");
            }
            if !listener.authorities.is_empty() {
                let _ = writeln!(text, "  asked for as {}", listener.authorities.join(", "));
            }
            describe_sessions(&mut text, &listener.session_ids);
            for (path, allow) in &listener.paths {
                let _ = writeln!(text, "  {path} and below; allowed: {allow}");
            }
        }
        for listener in &self.outbound {
            let _ = writeln!(text, "outbound {}: {}", listener.name, listener.listen);
            describe_callers(&mut text, &listener.callers);
            if let Some(peer) = &listener.default {
                let _ = writeln!(text, "  default -> {}", described(peer));
                describe_kx(&mut text, &peer.kx);
            }
            for (authorities, peer) in &listener.routes {
                let _ = writeln!(text, "  {} -> {}", authorities.join(", "), described(peer));
                describe_kx(&mut text, &peer.kx);
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
            let _ = writeln!(text, "admin: {}; {}", admin.listen, changers(admin));
        }
        text.truncate(text.trim_end().len());
        text
    }

    fn describe_files(&self, text: &mut String, files: &FileSource) -> std::fmt::Result {
        for svid in &files.svids {
            let name = svid.name.as_deref().unwrap_or("default");
            writeln!(text, "identity {name}: {}", svid.svid_path.display())?;
        }
        for (domain, path) in &files.bundles {
            writeln!(text, "trust domain {domain}: {}", path.display())?;
        }
        Ok(())
    }

    fn describe_sealing(&self) -> String {
        match (&self.sealing_keys, &self.state_dir) {
            (Some(path), _) => path.display().to_string(),
            (None, Some(dir)) => dir.join(SEALING_KEYS_FILE).display().to_string(),
            (None, None) => "until the process ends (no [sealing] keys, no state_dir)".to_owned(),
        }
    }

    fn describe_ratchet(&self) -> String {
        let then = match self.ratchet {
            OnDowngrade::Alarm => "alarm",
            OnDowngrade::Refuse => "refuse",
        };
        match &self.state_dir {
            Some(dir) => format!("{then}, remembered in {}", dir.display()),
            None => format!("{then}, remembered until the process ends (no state_dir)"),
        }
    }
}

fn describe_sessions(text: &mut String, session_ids: &SessionIds) {
    let _ = match session_ids {
        SessionIds::Pass => writeln!(text, "  MCP session ids pass unsealed"),
        SessionIds::Seal(backends) => backends.iter().try_for_each(|(name, workload)| {
            writeln!(text, "  MCP sessions, {name} -> {workload}")
        }),
    };
}

/// Who may change something.
fn changers(admin: &AdminConfig) -> String {
    match (&admin.listen, &admin.token_file) {
        (ListenAddress::Unix(_), _) => "changes by our own user".to_owned(),
        (ListenAddress::Tcp(_), Some(path)) => {
            format!("changes with the token in {}", path.display())
        }
        (ListenAddress::Tcp(_), None) => "no changes (no token_file)".to_owned(),
    }
}

fn describe_callers(text: &mut String, callers: &Callers) {
    let _ = match callers {
        Callers::Port(choice) => {
            writeln!(text, "  as {choice}, for whoever connects (asserted)")
        }
        Callers::Socket(choice, uid) => {
            let user = uid.map_or_else(|| "our own user".to_owned(), |uid| format!("uid {uid}"));
            writeln!(text, "  as {choice}, for {user} (listener)")
        }
        Callers::Processes(processes) => processes.iter().try_for_each(|(rule, choice)| {
            let path = rule.executable.as_deref().unwrap_or(Path::new("?"));
            let path = path.display();
            match rule.uid {
                Some(uid) => writeln!(
                    text,
                    "  as {choice}, for {path} of uid {uid} (attested-process)"
                ),
                None => writeln!(text, "  as {choice}, for {path} (attested-process)"),
            }
        }),
    };
}

/// The effective policy, peer by peer.
fn describe_kx(text: &mut String, kx: &PeerPolicies) {
    for (pattern, policy) in kx.rules() {
        let _ = writeln!(
            text,
            "  key exchange with {pattern}: {}",
            policy_in_words(policy)
        );
    }
    let others = match kx.rules().is_empty() {
        true => "",
        false => " with others",
    };
    let _ = writeln!(
        text,
        "  key exchange{others}: {}",
        policy_in_words(kx.otherwise())
    );
}

fn policy_in_words(policy: &KxPolicy) -> String {
    let names = |groups: &[&'static Group]| {
        let names: Vec<&str> = groups.iter().map(|group| group.name).collect();
        names.join(", ")
    };
    let hybrid = names(policy.groups());
    match policy.classical_groups() {
        [] => format!("{}: {hybrid}", policy.requirement()),
        classical => format!(
            "{}: {hybrid}; else {}",
            policy.requirement(),
            names(classical)
        ),
    }
}

fn described(peer: &PeerConfig) -> String {
    format!("{} where {} answers", peer.connect, peer.allow)
}
