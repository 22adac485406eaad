//! Listeners, as resolved.

use std::collections::HashSet;

use http::uri::Authority;
use pqlane_certs::spiffe_id::{AllowList, IdPattern};
use toml::Spanned;

use super::address::{ListenAddress, PeerAddress};
use super::file::{
    FileBackend, FileInbound, FileKxPolicy, FileOutbound, FilePathRoute, FilePeer, FileProcess,
};
use super::identity::Identities;
use super::kx::{Kx, ListenerKx};
use super::origin::Origin;
use super::problem::{ConfigError, FieldProblem};
use super::{Callers, InboundConfig, OutboundConfig, PeerConfig, SessionIds};
use crate::caller::ProcessRule;
use crate::mcp_session::DEFAULT_BACKEND;

/// Names of listeners, which label metrics and records.
#[derive(Default)]
pub(super) struct Names(HashSet<String>);

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

pub(super) fn resolve_inbound(
    origin: &Origin<'_>,
    identities: &Identities,
    kx: &Kx<'_>,
    names: &mut Names,
    listener: FileInbound,
) -> Result<InboundConfig, ConfigError> {
    let FileInbound {
        name,
        listen,
        workload,
        grpc_workload,
        seal_sessions,
        backend,
        insecure_remote_workload,
        allow,
        identity,
        kx_policy,
        peer,
        authorities,
        preserve_host,
        route,
    } = listener;
    let backends = backend.iter().map(|backend| &backend.workload);
    for workload in [Some(&workload), grpc_workload.as_ref()]
        .into_iter()
        .flatten()
        .chain(backends)
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
        identity: identities.choose(origin, identity.as_ref())?,
        kx: kx.listener(kx_policy, peer).policies(None)?,
        workload: workload.into_inner(),
        grpc_workload: grpc_workload.map(Spanned::into_inner),
        session_ids: session_ids(origin, seal_sessions, backend)?,
        allow: somebody(origin, allow, "allow")?,
        authorities: authorities
            .iter()
            .map(|authority| authority.as_str().to_ascii_lowercase())
            .collect(),
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

/// What happens to session ids, and which workloads hold sessions beside the listener's own.
fn session_ids(
    origin: &Origin<'_>,
    seal: bool,
    backends: Vec<FileBackend>,
) -> Result<SessionIds, ConfigError> {
    if let (false, Some(backend)) = (seal, backends.first()) {
        return Err(origin.at(&backend.name, "backend", FieldProblem::BackendUnsealed));
    }
    if !seal {
        return Ok(SessionIds::Pass);
    }
    let mut taken = HashSet::from([DEFAULT_BACKEND.to_owned()]);
    backends
        .into_iter()
        .map(|FileBackend { name, workload }| {
            if !is_label(name.as_ref()) {
                let problem = FieldProblem::NotALabel(name.as_ref().clone());
                return Err(origin.at(&name, "name", problem));
            }
            if !taken.insert(name.as_ref().clone()) {
                let problem = FieldProblem::Repeated(name.as_ref().clone());
                return Err(origin.at(&name, "name", problem));
            }
            Ok((name.into_inner(), workload.into_inner()))
        })
        .collect::<Result<_, _>>()
        .map(SessionIds::Seal)
}

pub(super) fn resolve_outbound(
    origin: &Origin<'_>,
    identities: &Identities,
    kx: &Kx<'_>,
    names: &mut Names,
    listener: FileOutbound,
) -> Result<OutboundConfig, ConfigError> {
    let FileOutbound {
        name,
        listen,
        insecure_remote_listen,
        identity,
        uid,
        process,
        kx_policy,
        peer,
        connect,
        peers,
        authority,
        route,
    } = listener;
    local_listen(origin, &listen, insecure_remote_listen)?;
    let offset = listen.span().start;
    let name = names.take(origin, name, "outbound", offset)?;
    let kx = kx.listener(kx_policy, peer);
    let default = match (connect, peers) {
        (Some(connect), Some(peers)) => {
            let dialled = Dialled {
                connect,
                peers,
                authority,
                kx_policy: None,
            };
            Some(resolve_peer(origin, &kx, &name, dialled)?)
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
        routes.push(resolve_route(origin, &kx, &name, &mut taken, peer)?);
    }
    let identity = Named { identity, offset };
    Ok(OutboundConfig {
        name,
        callers: callers(origin, identities, &listen, identity, uid, process)?,
        listen: listen.into_inner(),
        default,
        routes,
    })
}

/// The identity that a listener names, if it does.
struct Named {
    identity: Option<Spanned<String>>,
    offset: usize,
}

/// Who may call, and in whose name.
fn callers(
    origin: &Origin<'_>,
    identities: &Identities,
    listen: &Spanned<ListenAddress>,
    named: Named,
    uid: Option<Spanned<u32>>,
    process: Vec<FileProcess>,
) -> Result<Callers, ConfigError> {
    let on_socket = matches!(listen.as_ref(), ListenAddress::Unix(_));
    if let Some(uid) = &uid
        && !on_socket
    {
        return Err(origin.at(uid, "uid", FieldProblem::NeedsUnixSocket));
    }
    let choice = identities.choose(origin, named.identity.as_ref())?;
    if process.is_empty() {
        return Ok(match on_socket {
            true => Callers::Socket(choice, uid.map(Spanned::into_inner)),
            false => Callers::Port(choice),
        });
    }
    if !on_socket {
        return Err(origin.error(named.offset, "process", FieldProblem::NeedsUnixSocket));
    }
    process
        .into_iter()
        .map(|process| {
            let path = process.executable.as_ref();
            if !path.is_absolute() {
                let problem = FieldProblem::NotAbsolute(path.clone());
                return Err(origin.at(&process.executable, "executable", problem));
            }
            let choice = identities.choose(origin, Some(&process.identity))?;
            let rule = ProcessRule {
                executable: Some(process.executable.into_inner()),
                uid: process.uid,
            };
            Ok((rule, choice))
        })
        .collect::<Result<_, _>>()
        .map(Callers::Processes)
}

fn resolve_route(
    origin: &Origin<'_>,
    kx: &ListenerKx<'_>,
    listener: &str,
    taken: &mut HashSet<String>,
    peer: FilePeer,
) -> Result<(Vec<String>, PeerConfig), ConfigError> {
    let FilePeer {
        name,
        authority,
        connect,
        peers,
        kx_policy,
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
    let dialled = Dialled {
        connect,
        peers,
        authority,
        kx_policy,
    };
    let peer = resolve_peer(origin, kx, &label, dialled)?;
    Ok((authorities, peer))
}

/// A peer to call, as written.
struct Dialled {
    connect: Spanned<PeerAddress>,
    peers: Spanned<Vec<IdPattern>>,
    authority: Option<Authority>,
    kx_policy: Option<FileKxPolicy>,
}

fn resolve_peer(
    origin: &Origin<'_>,
    kx: &ListenerKx<'_>,
    label: &str,
    dialled: Dialled,
) -> Result<PeerConfig, ConfigError> {
    let allow = somebody(origin, dialled.peers, "peers")?;
    let connect = dialled.connect.into_inner();
    Ok(PeerConfig {
        label: label.to_owned(),
        server_name: connect.server_name().clone(),
        authority: dialled
            .authority
            .unwrap_or_else(|| connect.authority().clone()),
        connect,
        allow,
        kx: kx.policies(dialled.kx_policy)?,
    })
}

fn somebody(
    origin: &Origin<'_>,
    allow: Spanned<Vec<IdPattern>>,
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
