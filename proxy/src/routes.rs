//! Where a call may go: the allow-lists of inbound routes, the names of outbound ones.
//!
//! Takes who calls and what is called; gives the upstream, which only a permitted call can have.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use http::Uri;
use http::header::ORIGIN;
use http::request::Parts;
use http::uri::Authority;
use pqlane_certs::spiffe_id::{AllowList, SpiffeId};

use crate::call::{Binding, Call, TargetForm};
use crate::deny::{Denial, DenyReason};
use crate::gather::GrpcTo;
use crate::pool::Upstream;

/// What an inbound listener forwards to.
#[derive(Debug)]
pub(crate) struct InboundRoutes {
    /// What may be asked for, in lower case: a host with any port, or with one; anything when there are none.
    pub(crate) authorities: Vec<String>,
    pub(crate) workload: Arc<Upstream>,
    /// Takes calls with `content-type: application/grpc`, where the workload serves them apart.
    pub(crate) grpc_workload: Option<Arc<Upstream>>,
    /// Whether that is a server of its own.
    pub(crate) grpc_to: GrpcTo,
    pub(crate) paths: Vec<PathRoute>,
}

/// Who may call the paths below a prefix, of those who may use the listener at all.
#[derive(Debug)]
pub(crate) struct PathRoute {
    pub(crate) prefix: String,
    pub(crate) allow: AllowList,
}

impl PathRoute {
    /// Whether a path is the prefix or lies below it, segment by segment.
    fn covers(&self, path: &str) -> bool {
        let prefix = self.prefix.trim_end_matches('/');
        path.strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl InboundRoutes {
    /// The upstream for a call of an authenticated peer.
    ///
    /// # Errors
    /// [`Denial`] when the authority is not served here, when a path route does not allow the peer, or cannot tell
    /// what the path means.
    pub(crate) fn permit(
        &self,
        peer: Option<&SpiffeId>,
        call: &Call<'_>,
        authority: &Authority,
    ) -> Result<&Arc<Upstream>, Denial> {
        if call.http_method == "CONNECT" {
            return Err(DenyReason::ConnectMethod.into());
        }
        self.check_authority(authority)?;
        if !self.paths.is_empty() {
            self.permit_path(peer, call.path)?;
        }
        if call.is_unread_grpc() && self.grpc_to == GrpcTo::TheSame {
            // It began under other rules, by which nobody could take it for anything else.
            return Err(DenyReason::AmbiguousCall.into());
        }
        Ok(match (&self.grpc_workload, call.binding) {
            (Some(grpc), Binding::Grpc) => grpc,
            _ => &self.workload,
        })
    }

    /// RFC 9110 §7.4: a request that is for somebody else is misdirected.
    fn check_authority(&self, authority: &Authority) -> Result<(), Denial> {
        let is = |listed: &String, name: &str| listed.eq_ignore_ascii_case(name);
        let serves = |listed| is(listed, authority.as_str()) || is(listed, authority.host());
        match self.authorities.is_empty() || self.authorities.iter().any(serves) {
            true => Ok(()),
            false => Err(Denial::with_detail(
                DenyReason::RouteUnknown,
                format!("authority {authority}"),
            )),
        }
    }

    fn permit_path(&self, peer: Option<&SpiffeId>, path: &str) -> Result<(), Denial> {
        if !is_plain(path) {
            return Err(DenyReason::AmbiguousPath.into());
        }
        let longest = self
            .paths
            .iter()
            .filter(|route| route.covers(path))
            .max_by_key(|route| route.prefix.len());
        let Some(route) = longest else {
            return Ok(());
        };
        match peer.is_some_and(|peer| route.allow.allows(peer)) {
            true => Ok(()),
            false => Err(Denial::with_detail(
                DenyReason::RouteNotAllowed,
                format!("path {}; allowed: {}", route.prefix, route.allow),
            )),
        }
    }
}

/// Whether every program reads a path alike: no empty or dot segments, no parameters, no backslash, and
/// nothing percent-encoded that could stand for itself or for a delimiter (RFC 3986 §6.2.2).
pub(crate) fn is_plain(path: &str) -> bool {
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let inner = segments.peek().is_some();
        if matches!(segment, "." | "..") || (segment.is_empty() && inner) {
            return false;
        }
    }
    if path.contains([';', '\\']) {
        return false;
    }
    decoded_where_needed(path).is_some_and(|bytes| String::from_utf8(bytes).is_ok())
}

/// A path with its percent-encoding taken off, if only such bytes are encoded as have to be: a space, and what
/// is not ASCII. What that makes of it must be UTF-8, or two programs could read it as two things.
fn decoded_where_needed(path: &str) -> Option<Vec<u8>> {
    let mut parts = path.split('%');
    let mut decoded = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (hex, rest) = part.split_at_checked(2)?;
        let is_hex = hex.bytes().all(|digit| digit.is_ascii_hexdigit());
        let byte = u8::from_str_radix(hex, 16).ok().filter(|_| is_hex)?;
        if byte.is_ascii() && byte != b' ' {
            return None;
        }
        decoded.push(byte);
        decoded.extend_from_slice(rest.as_bytes());
    }
    Some(decoded)
}

/// Who may use a local listener, and so which `Host` and `Origin` are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LocalSide {
    /// A Unix socket: only programs can reach it, a web page cannot.
    Socket,
    /// A TCP port: a web page can send to it under a name of its own (DNS rebinding).
    Port,
}

/// What an outbound listener forwards to.
#[derive(Debug)]
pub(crate) struct OutboundRoutes {
    pub(crate) side: LocalSide,
    /// For calls to the listener's own loopback name.
    pub(crate) default: Option<Arc<Upstream>>,
    /// By `NAME.localhost`, or by the authority as a client that uses a proxy names it.
    pub(crate) by_authority: HashMap<String, Arc<Upstream>>,
}

impl OutboundRoutes {
    /// The upstream for a call of the local workload.
    ///
    /// # Errors
    /// [`Denial`] when the caller seems to be a web page, or nothing is configured for the authority.
    pub(crate) fn permit(
        &self,
        head: &Parts,
        call: &Call<'_>,
        authority: &Authority,
    ) -> Result<&Arc<Upstream>, Denial> {
        if call.http_method == "CONNECT" {
            return Err(DenyReason::ConnectMethod.into());
        }
        self.check_origin(head)?;
        if let Some(upstream) = self.named(authority) {
            return Ok(upstream);
        }
        // In absolute form the caller chose this authority, as clients do that use a proxy (RFC 9112 §3.2.2).
        let chosen = call.form == TargetForm::Absolute;
        let own_name = match self.side {
            LocalSide::Port => is_own_loopback(authority.host()),
            // A client of a Unix socket has to write some Host; it means nothing.
            LocalSide::Socket => !chosen,
        };
        match &self.default {
            Some(upstream) if own_name => Ok(upstream),
            _ => {
                let believed = chosen || self.side == LocalSide::Socket;
                let reason = match believed || is_loopback(authority.host()) {
                    true => DenyReason::RouteUnknown,
                    false => DenyReason::HostNotLocal,
                };
                Err(Denial::with_detail(
                    reason,
                    format!("authority {authority}"),
                ))
            }
        }
    }

    fn named(&self, authority: &Authority) -> Option<&Arc<Upstream>> {
        if self.by_authority.is_empty() {
            return None;
        }
        let name = authority.as_str().to_ascii_lowercase();
        let host = authority.host().to_ascii_lowercase();
        self.by_authority
            .get(&name)
            .or_else(|| self.by_authority.get(&host))
    }

    fn check_origin(&self, head: &Parts) -> Result<(), Denial> {
        if self.side == LocalSide::Socket {
            return Ok(());
        }
        let foreign = head.headers.get_all(ORIGIN).iter().find(|origin| {
            let host = Uri::try_from(origin.as_bytes()).ok();
            !host.as_ref().and_then(Uri::host).is_some_and(is_loopback)
        });
        match foreign {
            None => Ok(()),
            Some(origin) => Err(Denial::with_detail(
                DenyReason::OriginNotLocal,
                format!("origin {}", String::from_utf8_lossy(origin.as_bytes())),
            )),
        }
    }
}

/// `localhost` and all below it (RFC 6761 §6.3), 127.0.0.0/8 and `[::1]`.
pub(crate) fn is_loopback(host: &str) -> bool {
    is_own_loopback(host)
        || host
            .rsplit_once('.')
            .is_some_and(|(_, last)| last.eq_ignore_ascii_case("localhost"))
}

/// A loopback name that names no route.
fn is_own_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests;
