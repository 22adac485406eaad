//! Configuration: as written in `file.rs`, as resolved here.
//!
//! A [`Config`] is checked whole before anything starts; what is wrong is said with file, line, field and what
//! would be accepted.

pub mod address;
mod describe;
pub mod file;
mod identity;
mod kx;
mod listener;
mod origin;
mod problem;
mod schema;

use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use http::uri::Authority;
use pqlane_certs::spiffe_id::AllowList;
use rustls::pki_types::ServerName;

use crate::caller::ProcessRule;
use crate::limits::Limits;
use crate::peer_policy::PeerPolicies;
use crate::ratchet::OnDowngrade;
use crate::read_file::read_file;
use crate::record::{OnFailure, Sink};
pub use address::{AddressError, ListenAddress, PeerAddress, WorkloadAddress};
use file::{AuditTarget, FileConfig};
use identity::Identities;
pub(crate) use identity::{Choice, SourceConfig};
use kx::Kx;
use listener::{Names, resolve_inbound, resolve_outbound};
use origin::Origin;
pub use problem::{ConfigError, FieldProblem, Place};
pub use schema::schema;

/// The most bytes of a file that are read.
const MAX_FILE_LEN: usize = 1024 * 1024;

/// A configuration that can be started.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file that it was read from; it is read again when it changes.
    pub(crate) file: Option<PathBuf>,
    pub(crate) source: SourceConfig,
    pub(crate) ratchet: OnDowngrade,
    pub(crate) resumption: Resumption,
    pub(crate) deny_list: Option<PathBuf>,
    /// Master keys for ids that leave sealed.
    pub(crate) sealing_keys: Option<PathBuf>,
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) audit: Sink,
    pub(crate) on_audit_failure: OnFailure,
    pub(crate) admin: Option<AdminConfig>,
    pub(crate) limits: Limits,
    pub(crate) workers: Option<NonZeroUsize>,
    pub(crate) inbound: Vec<InboundConfig>,
    pub(crate) outbound: Vec<OutboundConfig>,
}

/// The admin listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AdminConfig {
    pub(crate) listen: ListenAddress,
    /// The token that calls over TCP must bear if they change something.
    pub(crate) token_file: Option<PathBuf>,
}

/// Whether TLS sessions are resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resumption {
    Off,
    On,
}

/// One inbound listener.
#[derive(Debug, Clone)]
pub(crate) struct InboundConfig {
    pub(crate) name: String,
    pub(crate) listen: ListenAddress,
    pub(crate) identity: Choice,
    pub(crate) kx: PeerPolicies,
    pub(crate) workload: WorkloadAddress,
    pub(crate) grpc_workload: Option<WorkloadAddress>,
    pub(crate) session_ids: SessionIds,
    pub(crate) allow: AllowList,
    /// In lower case; any when there are none.
    pub(crate) authorities: Vec<String>,
    pub(crate) preserve_host: bool,
    pub(crate) paths: Vec<(String, AllowList)>,
}

/// What happens to MCP session ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SessionIds {
    /// They pass as the workload gave them.
    Pass,
    /// They leave sealed; with the workloads, by name, that hold sessions beside the listener's own.
    Seal(Vec<(String, WorkloadAddress)>),
}

/// One outbound listener.
#[derive(Debug, Clone)]
pub(crate) struct OutboundConfig {
    pub(crate) name: String,
    pub(crate) listen: ListenAddress,
    pub(crate) callers: Callers,
    pub(crate) default: Option<PeerConfig>,
    /// With the authorities that lead there.
    pub(crate) routes: Vec<(Vec<String>, PeerConfig)>,
}

/// Who may call on an outbound listener, and in whose name each calls.
#[derive(Debug, Clone)]
pub(crate) enum Callers {
    /// Whoever connects to the port.
    Port(Choice),
    /// The programs named, told apart by the kernel.
    Processes(Vec<(ProcessRule, Choice)>),
    /// Whoever connects to the Unix socket and runs as this user; as we do, if none is named.
    Socket(Choice, Option<u32>),
}

/// A peer to call.
#[derive(Debug, Clone)]
pub(crate) struct PeerConfig {
    pub(crate) label: String,
    pub(crate) connect: PeerAddress,
    pub(crate) server_name: ServerName<'static>,
    pub(crate) authority: Authority,
    pub(crate) allow: AllowList,
    pub(crate) kx: PeerPolicies,
}

impl Config {
    /// Reads and checks a file. Paths in it are relative to it.
    ///
    /// # Errors
    /// [`ConfigError`] for the first thing that is wrong.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Read {
            path: path.to_path_buf(),
            source,
        };
        let bytes = read_file(path, MAX_FILE_LEN).map_err(unreadable)?;
        let text = String::from_utf8(bytes)
            .map_err(|not_text| unreadable(io::Error::new(io::ErrorKind::InvalidData, not_text)))?;
        let config = Self::from_text(&text, path)?;
        Ok(Self {
            file: Some(path.to_path_buf()),
            ..config
        })
    }

    /// Checks the text of a file.
    ///
    /// # Errors
    /// [`ConfigError`] for the first thing that is wrong.
    pub(crate) fn from_text(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let file = toml::from_str(text).map_err(|problem| ConfigError::Parse {
            path: path.to_path_buf(),
            problem: Box::new(problem),
        })?;
        Self::resolve(file, Origin::File { path, text })
    }

    /// Checks what was given by flags. Paths in it are relative to the working directory.
    ///
    /// # Errors
    /// [`ConfigError`] for the first thing that is wrong.
    pub fn from_flags(flags: FileConfig) -> Result<Self, ConfigError> {
        Self::resolve(flags, Origin::CommandLine)
    }

    /// Threads for the runtime, where configured.
    pub fn workers(&self) -> Option<NonZeroUsize> {
        self.workers
    }

    fn resolve(file: FileConfig, origin: Origin<'_>) -> Result<Self, ConfigError> {
        let FileConfig {
            identity,
            identities,
            trust,
            tls,
            revocation,
            sealing,
            state_dir,
            audit,
            admin,
            workers,
            limits,
            inbound,
            outbound,
        } = file;
        if let Some((field, accepted)) = limits.as_ref().first_unusable() {
            let problem = FieldProblem::Limit { accepted };
            return Err(origin.error(origin.find(limits.span(), field), field, problem));
        }
        if let Some(admin) = &admin
            && !admin.listen.as_ref().is_local()
        {
            let problem = FieldProblem::RemoteAdmin(admin.listen.as_ref().clone());
            return Err(origin.at(&admin.listen, "listen", problem));
        }
        let ratchet = tls.ratchet;
        let resumption = match tls.resumption {
            true => Resumption::On,
            false => Resumption::Off,
        };
        let kx = Kx::resolve(&origin, tls)?;
        let identities = Identities::resolve(&origin, identity, identities, trust)?;
        if inbound.is_empty() && outbound.is_empty() {
            return Err(origin.error(0, "inbound", FieldProblem::NoListener));
        }
        let mut names = Names::default();
        Ok(Self {
            file: None,
            ratchet,
            resumption,
            deny_list: revocation.deny_list.map(|path| origin.resolve(path)),
            sealing_keys: sealing.keys.map(|path| origin.resolve(path)),
            state_dir: state_dir.map(|path| origin.resolve(path)),
            audit: match audit.to {
                AuditTarget::Stdout => Sink::Stdout,
                AuditTarget::File(path) => Sink::File(origin.resolve(path)),
            },
            on_audit_failure: audit.on_failure,
            admin: admin.map(|admin| AdminConfig {
                listen: admin.listen.into_inner(),
                token_file: admin.token_file.map(|path| origin.resolve(path)),
            }),
            limits: limits.into_inner(),
            workers,
            inbound: inbound
                .into_iter()
                .map(|listener| resolve_inbound(&origin, &identities, &kx, &mut names, listener))
                .collect::<Result<_, _>>()?,
            outbound: outbound
                .into_iter()
                .map(|listener| resolve_outbound(&origin, &identities, &kx, &mut names, listener))
                .collect::<Result<_, _>>()?,
            source: identities.source,
        })
    }
}

#[cfg(test)]
mod tests;
