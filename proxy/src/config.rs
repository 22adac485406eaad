//! Configuration: as written in `file.rs`, as resolved here.
//!
//! A [`Config`] is checked whole before anything starts; what is wrong is said with file, line, field and what
//! would be accepted.

pub mod address;
mod describe;
pub mod file;
mod origin;
mod problem;

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::path::Path;

use http::uri::Authority;
use pqlane_certs::source::FileSource;
use pqlane_certs::spiffe_id::AllowList;
use pqlane_handshake::KxPolicy;
use rustls::pki_types::ServerName;
use toml::Spanned;

use crate::limits::Limits;
use crate::record::{OnFailure, Sink};
pub use address::{AddressError, ListenAddress, PeerAddress, WorkloadAddress};
use file::{AuditTarget, FileConfig, FileInbound, FileOutbound, FilePathRoute, FilePeer};
use origin::Origin;
pub use problem::{ConfigError, FieldProblem, Place};

/// A configuration that can be started.
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) identity: FileSource,
    pub(crate) kx_policy: KxPolicy,
    pub(crate) audit: Sink,
    pub(crate) on_audit_failure: OnFailure,
    pub(crate) admin: Option<ListenAddress>,
    pub(crate) limits: Limits,
    pub(crate) workers: Option<NonZeroUsize>,
    pub(crate) inbound: Vec<InboundConfig>,
    pub(crate) outbound: Vec<OutboundConfig>,
}

/// One inbound listener.
#[derive(Debug, Clone)]
pub(crate) struct InboundConfig {
    pub(crate) name: String,
    pub(crate) listen: ListenAddress,
    pub(crate) workload: WorkloadAddress,
    pub(crate) grpc_workload: Option<WorkloadAddress>,
    pub(crate) allow: AllowList,
    pub(crate) preserve_host: bool,
    pub(crate) paths: Vec<(String, AllowList)>,
}

/// One outbound listener.
#[derive(Debug, Clone)]
pub(crate) struct OutboundConfig {
    pub(crate) name: String,
    pub(crate) listen: ListenAddress,
    pub(crate) default: Option<PeerConfig>,
    /// With the authorities that lead there.
    pub(crate) routes: Vec<(Vec<String>, PeerConfig)>,
}

/// A peer to call.
#[derive(Debug, Clone)]
pub(crate) struct PeerConfig {
    pub(crate) label: String,
    pub(crate) connect: PeerAddress,
    pub(crate) server_name: ServerName<'static>,
    pub(crate) authority: Authority,
    pub(crate) allow: AllowList,
}

impl Config {
    /// Reads and checks a file. Paths in it are relative to it.
    ///
    /// # Errors
    /// [`ConfigError`] for the first thing that is wrong.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_path_buf(),
            source,
        })?;
        Self::from_text(&text, path)
    }

    /// Checks the text of a file.
    ///
    /// # Errors
    /// [`ConfigError`] for the first thing that is wrong.
    pub(crate) fn from_text(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let file = toml::from_str(text).map_err(|source| ConfigError::Parse {
            path: path.to_path_buf(),
            source: Box::new(source),
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
            trust,
            tls,
            audit,
            admin,
            workers,
            limits,
            inbound,
            outbound,
        } = file;
        if inbound.is_empty() && outbound.is_empty() {
            return Err(origin.error(0, "inbound", FieldProblem::NoListener));
        }
        if let Some((field, accepted)) = limits.as_ref().first_unusable() {
            let problem = FieldProblem::Limit { accepted };
            return Err(origin.error(origin.find(limits.span(), field), field, problem));
        }
        let kx_policy = match tls.kx_groups {
            None => KxPolicy::require_hybrid(),
            Some(names) => KxPolicy::from_names(names.as_ref())
                .map_err(|error| origin.at(&names, "kx_groups", error.into()))?,
        };
        if let Some(admin) = &admin
            && !admin.listen.as_ref().is_local()
        {
            let problem = FieldProblem::RemoteAdmin(admin.listen.as_ref().clone());
            return Err(origin.at(&admin.listen, "listen", problem));
        }
        let mut names = Names::default();
        Ok(Self {
            identity: FileSource {
                svid_path: origin.resolve(identity.svid),
                key_path: origin.resolve(identity.key),
                bundles: trust
                    .into_iter()
                    .map(|(domain, path)| (domain, origin.resolve(path)))
                    .collect(),
            },
            kx_policy,
            audit: match audit.to {
                AuditTarget::Stdout => Sink::Stdout,
                AuditTarget::File(path) => Sink::File(origin.resolve(path)),
            },
            on_audit_failure: audit.on_failure,
            admin: admin.map(|admin| admin.listen.into_inner()),
            limits: limits.into_inner(),
            workers,
            inbound: inbound
                .into_iter()
                .map(|listener| resolve_inbound(&origin, &mut names, listener))
                .collect::<Result<_, _>>()?,
            outbound: outbound
                .into_iter()
                .map(|listener| resolve_outbound(&origin, &mut names, listener))
                .collect::<Result<_, _>>()?,
        })
    }
}

/// Names of listeners, which label metrics and records.
#[derive(Default)]
struct Names(HashSet<String>);

impl Names {
    fn take(
        &mut self,
        origin: &Origin<'_>,
        written: Option<Spanned<String>>,
        otherwise: &str,
        offset: usize,
    ) -> Result<String, ConfigError> {
        let (name, offset) = match written {
            Some(name) => (name.as_ref().clone(), name.span().start),
            None => (otherwise.to_owned(), offset),
        };
        match self.0.insert(name.clone()) {
            true => Ok(name),
            false => Err(origin.error(offset, "name", FieldProblem::Repeated(name))),
        }
    }
}

fn resolve_inbound(
    origin: &Origin<'_>,
    names: &mut Names,
    listener: FileInbound,
) -> Result<InboundConfig, ConfigError> {
    let FileInbound {
        name,
        listen,
        workload,
        grpc_workload,
        insecure_remote_workload,
        allow,
        preserve_host,
        route,
    } = listener;
    for workload in [Some(&workload), grpc_workload.as_ref()]
        .into_iter()
        .flatten()
    {
        if !insecure_remote_workload && !workload.as_ref().is_local() {
            let problem = FieldProblem::RemoteWorkload {
                address: workload.as_ref().clone(),
                option: origin.option("insecure_remote_workload"),
            };
            return Err(origin.at(workload, "workload", problem));
        }
    }
    Ok(InboundConfig {
        name: names.take(origin, name, "inbound", listen.span().start)?,
        listen: listen.into_inner(),
        workload: workload.into_inner(),
        grpc_workload: grpc_workload.map(Spanned::into_inner),
        allow: somebody(origin, allow, "allow")?,
        preserve_host,
        paths: route
            .into_iter()
            .map(|FilePathRoute { path, allow }| {
                let plain =
                    path.as_ref().starts_with('/') && crate::routes::is_plain(path.as_ref());
                if !plain {
                    let problem = FieldProblem::NotAPath(path.as_ref().clone());
                    return Err(origin.at(&path, "path", problem));
                }
                Ok((path.into_inner(), somebody(origin, allow, "allow")?))
            })
            .collect::<Result<_, _>>()?,
    })
}

fn resolve_outbound(
    origin: &Origin<'_>,
    names: &mut Names,
    listener: FileOutbound,
) -> Result<OutboundConfig, ConfigError> {
    let FileOutbound {
        name,
        listen,
        insecure_remote_listen,
        connect,
        peers,
        authority,
        route,
    } = listener;
    local_listen(origin, &listen, insecure_remote_listen)?;
    let offset = listen.span().start;
    let name = names.take(origin, name, "outbound", offset)?;
    let default = match (connect, peers) {
        (Some(connect), Some(peers)) => {
            Some(resolve_peer(origin, &name, connect, peers, authority)?)
        }
        (None, None) => None,
        _ => return Err(origin.error(offset, "connect", FieldProblem::Incomplete)),
    };
    if default.is_none() && route.is_empty() {
        return Err(origin.error(offset, "outbound", FieldProblem::NoRoute));
    }
    let mut taken = HashSet::new();
    let mut routes = Vec::new();
    for peer in route {
        routes.push(resolve_route(origin, &name, &mut taken, peer)?);
    }
    Ok(OutboundConfig {
        name,
        listen: listen.into_inner(),
        default,
        routes,
    })
}

fn resolve_route(
    origin: &Origin<'_>,
    listener: &str,
    taken: &mut HashSet<String>,
    peer: FilePeer,
) -> Result<(Vec<String>, PeerConfig), ConfigError> {
    let FilePeer {
        name,
        authority,
        connect,
        peers,
    } = peer;
    let mut authorities = Vec::new();
    if let Some(name) = &name {
        if !is_label(name.as_ref()) {
            let problem = FieldProblem::NotALabel(name.as_ref().clone());
            return Err(origin.at(name, "name", problem));
        }
        authorities.push(format!("{}.localhost", name.as_ref().to_ascii_lowercase()));
    }
    authorities.extend(
        authority
            .as_ref()
            .map(|written| written.as_str().to_ascii_lowercase()),
    );
    let Some(label) = authorities.first() else {
        let problem = FieldProblem::RouteWithoutName;
        return Err(origin.at(&connect, "route", problem));
    };
    let label = format!("{listener}/{label}");
    for authority in &authorities {
        if !taken.insert(authority.clone()) {
            let problem = FieldProblem::Repeated(authority.clone());
            return Err(origin.at(&connect, "route", problem));
        }
    }
    let authority = authority.map(|written| written.0);
    let peer = resolve_peer(origin, &label, connect, peers, authority)?;
    Ok((authorities, peer))
}

fn resolve_peer(
    origin: &Origin<'_>,
    label: &str,
    connect: Spanned<PeerAddress>,
    peers: Spanned<Vec<pqlane_certs::spiffe_id::IdPattern>>,
    authority: Option<Authority>,
) -> Result<PeerConfig, ConfigError> {
    let allow = somebody(origin, peers, "peers")?;
    let connect = connect.into_inner();
    Ok(PeerConfig {
        label: label.to_owned(),
        server_name: connect.server_name().clone(),
        authority: authority.unwrap_or_else(|| connect.authority().clone()),
        connect,
        allow,
    })
}

fn somebody(
    origin: &Origin<'_>,
    allow: Spanned<Vec<pqlane_certs::spiffe_id::IdPattern>>,
    field: &str,
) -> Result<AllowList, ConfigError> {
    match allow.as_ref().is_empty() {
        true => Err(origin.at(&allow, field, FieldProblem::NobodyAllowed)),
        false => Ok(AllowList::from(allow.into_inner())),
    }
}

fn local_listen(
    origin: &Origin<'_>,
    listen: &Spanned<ListenAddress>,
    insecure: bool,
) -> Result<(), ConfigError> {
    match insecure || listen.as_ref().is_local() {
        true => Ok(()),
        false => {
            let problem = FieldProblem::RemoteListen {
                address: listen.as_ref().clone(),
                option: origin.option("insecure_remote_listen"),
            };
            Err(origin.at(listen, "listen", problem))
        }
    }
}

/// A label of a host name (RFC 1123 §2.1).
fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests;
