//! Where a Workload API is.

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::str::FromStr;

/// The environment variable that names the endpoint. Spec: SPIFFE Workload Endpoint §4.
pub const ENDPOINT_VARIABLE: &str = "SPIFFE_ENDPOINT_SOCKET";

/// The address of a Workload API.
///
/// Shape: `unix:/run/spire/agent.sock`, `unix:///run/spire/agent.sock` or `tcp://127.0.0.1:8000`. A path may
/// be percent-encoded; a host is an IP address, never a name.
/// Spec: SPIFFE Workload Endpoint §4.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// TCP, without encryption: for a loopback or link-local address.
    Tcp(SocketAddr),
    /// A Unix socket by its absolute path.
    Unix(PathBuf),
}

impl Endpoint {
    /// Reads the value of [`ENDPOINT_VARIABLE`]. Reading the variable itself is the caller's.
    ///
    /// # Errors
    /// [`EndpointError`], which says what is accepted.
    pub fn from_environment_value(value: &str) -> Result<Self, EndpointError> {
        value.parse()
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        // The components that the standard forbids in both schemes.
        if text.contains(['?', '#']) {
            return Err(EndpointError::QueryOrFragment);
        }
        match text.split_once(':') {
            Some(("unix", rest)) => unix(rest),
            Some(("tcp", rest)) => tcp(rest),
            Some(_) | None => Err(EndpointError::Scheme),
        }
    }
}

fn unix(rest: &str) -> Result<Endpoint, EndpointError> {
    let path = match rest.strip_prefix("//") {
        Some(after) if after.starts_with('/') => after,
        Some(_authority) => return Err(EndpointError::UnixAuthority),
        None => rest,
    };
    if !path.starts_with('/') || path.len() == 1 {
        return Err(EndpointError::UnixPath);
    }
    let path = percent_decode(path.as_bytes()).ok_or(EndpointError::PercentEncoding)?;
    Ok(Endpoint::Unix(OsString::from_vec(path).into()))
}

fn tcp(rest: &str) -> Result<Endpoint, EndpointError> {
    let address: SocketAddr = rest
        .strip_prefix("//")
        .and_then(|address| address.parse().ok())
        .ok_or(EndpointError::TcpAddress)?;
    match address.port() {
        0 => Err(EndpointError::TcpAddress),
        _ => Ok(Endpoint::Tcp(address)),
    }
}

/// Spec: RFC 3986 §2.1. A NUL cannot be part of a path.
fn percent_decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            byte => byte,
        };
        if byte == 0 {
            return None;
        }
        decoded.push(byte);
    }
    Some(decoded)
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = match self {
            Self::Tcp(address) => return write!(f, "tcp://{address}"),
            Self::Unix(path) => path.as_os_str().as_bytes(),
        };
        f.write_str("unix://")?;
        for byte in path {
            match byte {
                b'%' | b'?' | b'#' => write!(f, "%{byte:02X}")?,
                0x21..=0x7e => write!(f, "{}", char::from(*byte))?,
                _ => write!(f, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}

/// Why a text is not the address of a Workload API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// A percent sign is not followed by two hexadecimal digits, or they mean NUL.
    #[error(
        "a % in the path of the endpoint must be followed by two hexadecimal digits that are not 00"
    )]
    PercentEncoding,
    /// There is a query or a fragment.
    #[error("the endpoint has a query or a fragment: unix:///PATH or tcp://IP:PORT is accepted")]
    QueryOrFragment,
    /// The scheme is neither of the two.
    #[error("the endpoint is neither unix:///PATH nor tcp://IP:PORT")]
    Scheme,
    /// The address is not an IP address and a port.
    #[error(
        "the endpoint is not tcp://IP:PORT: an IP address and a port, and nothing after them, are accepted"
    )]
    TcpAddress,
    /// A host precedes the path.
    #[error(
        "the endpoint names a host: unix:///PATH, with three slashes, or unix:/PATH is accepted"
    )]
    UnixAuthority,
    /// The path is relative or empty.
    #[error("the endpoint has no absolute path: unix:///run/spire/agent.sock is an accepted one")]
    UnixPath,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_forms_of_a_unix_socket() {
        let expected = Endpoint::Unix("/run/spire/agent.sock".into());
        for text in ["unix:/run/spire/agent.sock", "unix:///run/spire/agent.sock"] {
            assert_eq!(Endpoint::from_environment_value(text), Ok(expected.clone()));
        }
        assert_eq!(expected.to_string(), "unix:///run/spire/agent.sock");
    }

    #[test]
    fn reads_an_ip_address_and_a_port() {
        for text in ["tcp://127.0.0.1:8000", "tcp://[::1]:8000"] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!(endpoint.to_string(), text);
        }
    }

    #[test]
    fn what_it_writes_it_reads_again() {
        let text = "unix:///tmp/a%20b%25c%23d%3Fe";
        let endpoint: Endpoint = text.parse().unwrap();
        assert_eq!(endpoint, Endpoint::Unix("/tmp/a b%c#d?e".into()));
        assert_eq!(endpoint.to_string(), text);
    }

    #[test]
    fn refuses_what_the_standard_does_not_allow() {
        for (text, expected) in [
            ("", EndpointError::Scheme),
            ("/run/agent.sock", EndpointError::Scheme),
            ("http://127.0.0.1:8000", EndpointError::Scheme),
            ("unix://host/agent.sock", EndpointError::UnixAuthority),
            ("unix:agent.sock", EndpointError::UnixPath),
            ("unix:///", EndpointError::UnixPath),
            ("unix:", EndpointError::UnixPath),
            ("unix:///a?b", EndpointError::QueryOrFragment),
            ("unix:///a#b", EndpointError::QueryOrFragment),
            ("unix:///a%2", EndpointError::PercentEncoding),
            ("unix:///a%00", EndpointError::PercentEncoding),
            ("unix:///a%+1", EndpointError::PercentEncoding),
            ("tcp://localhost:8000", EndpointError::TcpAddress),
            ("tcp://127.0.0.1", EndpointError::TcpAddress),
            ("tcp://127.0.0.1:0", EndpointError::TcpAddress),
            ("tcp://user@127.0.0.1:1", EndpointError::TcpAddress),
            ("tcp://127.0.0.1:8000/path", EndpointError::TcpAddress),
            ("tcp:127.0.0.1:8000", EndpointError::TcpAddress),
        ] {
            assert_eq!(text.parse::<Endpoint>(), Err(expected), "{text}");
        }
    }
}
