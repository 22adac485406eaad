//! Addresses as configuration writes them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use http::Uri;
use http::uri::Authority;
use rustls::pki_types::ServerName;
use serde::{Deserialize, Deserializer, de};

/// What an address should have looked like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not where a listener can be.
    #[error("not an address to listen on; accepted are IP:PORT, localhost:PORT and unix:PATH")]
    Listen,
    /// Not where a peer can be.
    #[error("not an address to connect to; accepted is HOST:PORT")]
    Peer,
    /// Not where a workload can be.
    #[error("not a workload; accepted are http://IP:PORT, http://localhost:PORT and unix:PATH")]
    Workload,
}

/// Where a listener is: `IP:PORT`, `localhost:PORT` or `unix:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl ListenAddress {
    /// Whether only this machine can reach it.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl FromStr for ListenAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.is_empty() {
                true => Err(AddressError::Listen),
                false => Ok(Self::Unix(path.into())),
            };
        }
        let address = match text.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}").parse(),
            None => text.parse(),
        };
        address
            .map(Self::Tcp)
            .map_err(|_not_a_socket_address| AddressError::Listen)
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Where a workload is: `http://HOST:PORT` or `unix:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkloadAddress {
    /// Plaintext HTTP over TCP.
    Http(Authority),
    /// Plaintext HTTP over a Unix socket.
    Unix(PathBuf),
}

impl WorkloadAddress {
    /// Whether it is on this machine.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Http(authority) => {
                let host = authority.host().trim_matches(['[', ']']);
                host.eq_ignore_ascii_case("localhost")
                    || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
            }
            Self::Unix(_) => true,
        }
    }
}

impl FromStr for WorkloadAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(path.into()));
        }
        let uri: Uri = text.parse().map_err(|_no_uri| AddressError::Workload)?;
        let plain = uri.scheme_str() == Some("http") && uri.path() == "/" && uri.query().is_none();
        match uri.authority() {
            Some(authority) if plain && !authority.as_str().contains('@') => {
                let port = authority.port_u16().unwrap_or(80);
                format!("{}:{port}", authority.host())
                    .parse()
                    .map(Self::Http)
                    .map_err(|_never| AddressError::Workload)
            }
            _ => Err(AddressError::Workload),
        }
    }
}

impl fmt::Display for WorkloadAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(authority) => write!(f, "http://{authority}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Where a peer's lane is: `HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerAddress {
    authority: Authority,
    server_name: ServerName<'static>,
}

impl PeerAddress {
    /// `HOST:PORT`.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// What the ClientHello names. The peer is not known by it.
    pub fn server_name(&self) -> &ServerName<'static> {
        &self.server_name
    }
}

impl FromStr for PeerAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let authority: Authority = text.parse().map_err(|_invalid| AddressError::Peer)?;
        let usable = authority.port_u16().is_some_and(|port| port > 0) && !text.contains('@');
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        match (usable, ServerName::try_from(host)) {
            (true, Ok(server_name)) => Ok(Self {
                authority,
                server_name,
            }),
            _ => Err(AddressError::Peer),
        }
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.authority)
    }
}

macro_rules! deserialize_from_str {
    ($($kind:ty),*) => {$(
        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from)?.parse().map_err(de::Error::custom)
            }
        }
    )*};
}

deserialize_from_str!(ListenAddress, PeerAddress, WorkloadAddress);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_told_local_from_remote() {
        let local = |text: &str| text.parse::<ListenAddress>().map(|a| a.is_local());
        assert_eq!(local("127.0.0.1:1"), Ok(true));
        assert_eq!(local("localhost:1"), Ok(true));
        assert_eq!(local("[::1]:1"), Ok(true));
        assert_eq!(local("unix:/run/a.sock"), Ok(true));
        assert_eq!(local("0.0.0.0:1"), Ok(false));
        for bad in ["", "unix:", "1234", "example.org:1", "127.0.0.1"] {
            assert_eq!(local(bad), Err(AddressError::Listen), "{bad}");
        }
    }

    #[test]
    fn workloads_are_plain_http_without_a_path() {
        let read = |text: &str| text.parse::<WorkloadAddress>();
        assert_eq!(
            read("http://127.0.0.1:3110").unwrap().to_string(),
            "http://127.0.0.1:3110"
        );
        assert_eq!(
            read("http://localhost/").unwrap().to_string(),
            "http://localhost:80"
        );
        assert!(read("http://[::1]:1").unwrap().is_local());
        assert!(!read("http://10.0.0.1:1").unwrap().is_local());
        for bad in [
            "https://127.0.0.1:1",
            "http://127.0.0.1:1/mcp",
            "127.0.0.1:1",
            "http://a@b:1",
            "unix:",
        ] {
            assert_eq!(read(bad), Err(AddressError::Workload), "{bad}");
        }
    }

    #[test]
    fn peers_need_a_port() {
        let peer: PeerAddress = "mcp.internal:8443".parse().unwrap();
        assert_eq!(peer.server_name().to_str(), "mcp.internal");
        assert!("[::1]:8443".parse::<PeerAddress>().is_ok());
        for bad in ["mcp.internal", "mcp.internal:0", "a@b:1", ":1", "b c:1"] {
            assert_eq!(bad.parse::<PeerAddress>(), Err(AddressError::Peer), "{bad}");
        }
    }
}
