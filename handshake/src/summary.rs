//! What a finished handshake negotiated.

use std::time::Duration;

use rustls::{CipherSuite, CommonState, HandshakeKind, ProtocolVersion, SignatureScheme};

use crate::flight_meter::FlightMeter;
use crate::kx::{Group, group_name};
use crate::kx_policy::Negotiated;
use crate::observation::Observation;

/// A TLS role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Sent the ClientHello.
    Client,
    /// Answered it.
    Server,
}

/// What one finished handshake negotiated, checked against what was permitted.
#[derive(Debug, Clone)]
pub struct HandshakeSummary {
    /// This side's role.
    pub side: Side,
    /// Group of the key exchange; one that was permitted.
    pub group: &'static Group,
    /// Full, full with a HelloRetryRequest, or resumed (RFC 9846 §2).
    pub kind: HandshakeKind,
    /// Record protection and hash.
    pub suite: CipherSuite,
    /// Scheme this side signed with, unless it resumed.
    pub local_scheme: Option<SignatureScheme>,
    /// Scheme the peer signed with, unless it resumed.
    pub peer_scheme: Option<SignatureScheme>,
    /// Bytes of each flight, the first ClientHello first.
    pub flight_bytes: Vec<u32>,
    /// From the start of the TLS exchange to its end, on this side.
    pub duration: Duration,
}

impl HandshakeSummary {
    /// Reads a finished connection and checks what it negotiated, once more and independently of what was
    /// offered. `permitted` are the groups of the configuration that the connection was made with; what the
    /// policy for this peer says of it is [`KxPolicy::judge`](crate::KxPolicy::judge)'s.
    ///
    /// # Errors
    /// [`NegotiationError`] when the handshake is not finished, is not TLS 1.3, or used a group that is not
    /// permitted. The connection must then be closed.
    pub fn check(
        side: Side,
        connection: &CommonState,
        permitted: &[&'static Group],
        observation: &Observation,
        meter: &FlightMeter,
        duration: Duration,
    ) -> Result<Self, NegotiationError> {
        let unfinished = NegotiationError::Unfinished;
        if connection.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
            return Err(NegotiationError::Version(connection.protocol_version()));
        }
        let negotiated = connection
            .negotiated_key_exchange_group()
            .ok_or(unfinished.clone())?
            .name();
        let group = Group::by_code_point(negotiated)
            .filter(|group| {
                let named_group = group.named_group;
                permitted.iter().any(|one| one.named_group == named_group)
            })
            .ok_or_else(|| NegotiationError::Group {
                negotiated: group_name(negotiated).into_owned(),
            })?;
        Ok(Self {
            side,
            group,
            kind: connection.handshake_kind().ok_or(unfinished.clone())?,
            suite: connection
                .negotiated_cipher_suite()
                .ok_or(unfinished)?
                .suite(),
            local_scheme: observation.local_scheme,
            peer_scheme: observation.peer_scheme,
            flight_bytes: meter.flights().to_vec(),
            duration,
        })
    }

    /// What a policy judges.
    pub fn negotiated(&self) -> Negotiated {
        Negotiated {
            group: self.group,
            suite: self.suite,
            peer_scheme: self.peer_scheme,
        }
    }

    /// Whether the server asked for another ClientHello (RFC 9846 §4.2.4).
    pub fn hello_retry_request(&self) -> HelloRetry {
        match self.kind {
            HandshakeKind::FullWithHelloRetryRequest => HelloRetry::Requested,
            HandshakeKind::Full | HandshakeKind::Resumed => HelloRetry::NotNeeded,
        }
    }

    /// How the handshake was made, as a label: `full`, `full-hrr` or `resumed`.
    pub fn kind_label(&self) -> &'static str {
        match self.kind {
            HandshakeKind::Full => "full",
            HandshakeKind::FullWithHelloRetryRequest => "full-hrr",
            HandshakeKind::Resumed => "resumed",
        }
    }
}

/// Whether a handshake took a HelloRetryRequest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HelloRetry {
    /// The first ClientHello held a share the server took.
    NotNeeded,
    /// It did not; one more round trip was spent.
    Requested,
}

/// The name of a cipher suite in the IANA "TLS Cipher Suites" registry, or `0x….`.
pub fn suite_name(suite: CipherSuite) -> String {
    match suite.as_str() {
        // rustls tells the TLS 1.3 suites apart by their prefix; the registry does not.
        Some(name) => name.replacen("TLS13_", "TLS_", 1),
        None => format!("{:#06x}", u16::from(suite)),
    }
}

/// The name of a signature scheme in the IANA "TLS SignatureScheme" registry, or `0x….`.
pub fn scheme_name(scheme: SignatureScheme) -> String {
    match scheme {
        SignatureScheme::ECDSA_NISTP256_SHA256 => "ecdsa_secp256r1_sha256".to_owned(),
        SignatureScheme::ECDSA_NISTP384_SHA384 => "ecdsa_secp384r1_sha384".to_owned(),
        SignatureScheme::ECDSA_NISTP521_SHA512 => "ecdsa_secp521r1_sha512".to_owned(),
        SignatureScheme::ED25519 => "ed25519".to_owned(),
        SignatureScheme::RSA_PSS_SHA256 => "rsa_pss_rsae_sha256".to_owned(),
        SignatureScheme::RSA_PSS_SHA384 => "rsa_pss_rsae_sha384".to_owned(),
        SignatureScheme::RSA_PSS_SHA512 => "rsa_pss_rsae_sha512".to_owned(),
        SignatureScheme::ML_DSA_44 => "mldsa44".to_owned(),
        SignatureScheme::ML_DSA_65 => "mldsa65".to_owned(),
        SignatureScheme::ML_DSA_87 => "mldsa87".to_owned(),
        other => format!("{:#06x}", u16::from(other)),
    }
}

/// Why a connection that finished its handshake must not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NegotiationError {
    /// A group outside those permitted.
    #[error("the handshake negotiated {negotiated}, which the key-exchange policy does not permit")]
    Group {
        /// Registry name or code point.
        negotiated: String,
    },
    /// Asked too early.
    #[error("the handshake is not finished")]
    Unfinished,
    /// Not TLS 1.3.
    #[error("the handshake negotiated {0:?}; only TLS 1.3 is used")]
    Version(Option<ProtocolVersion>),
}

#[cfg(test)]
mod tests;
