//! Why a handshake did not end in an established lane.

use std::io;

use pqlane_certs::spiffe_id::SpiffeId;
use pqlane_certs::svid::SvidError;
use pqlane_certs::verifier::PeerError;
use pqlane_handshake::client_hello::ClientHello;
use rustls::PeerIncompatible;

use super::with_causes;
use crate::deny::{Denial, DenyReason};
use crate::ratchet::Downgrade;

/// A handshake that did not end in an established lane.
#[derive(Debug, Clone)]
pub(crate) struct TlsRefusal {
    /// Why, and in the verifier's or rustls's own words.
    pub(crate) denial: Denial,
    /// Who was refused, if that was proved; never an ID that was only claimed.
    pub(crate) peer: Option<SpiffeId>,
    /// How it went back, if that is why.
    pub(crate) downgrade: Option<Box<Downgrade>>,
    /// What the client offered; known only where we are the server and its hello could be read.
    pub(crate) hello: Option<Box<ClientHello>>,
}

impl TlsRefusal {
    /// The verifier's refusal.
    pub(super) fn of_peer(error: &PeerError) -> Self {
        Self {
            denial: refused_peer(error),
            peer: error.proved_id().cloned(),
            downgrade: None,
            hello: None,
        }
    }

    /// A refusal of a peer that went back to classical key exchange.
    pub(super) fn of_downgraded(downgrade: Downgrade, peer: &SpiffeId) -> Self {
        let detail = format!("{peer}: {downgrade}");
        Self {
            downgrade: Some(Box::new(downgrade)),
            ..Self::of_proved(Denial::with_detail(DenyReason::Downgraded, detail), peer)
        }
    }

    /// A refusal of somebody who proved who it is.
    pub(crate) fn of_proved(denial: Denial, peer: &SpiffeId) -> Self {
        Self {
            denial,
            peer: Some(peer.clone()),
            downgrade: None,
            hello: None,
        }
    }
}

impl From<Denial> for TlsRefusal {
    fn from(denial: Denial) -> Self {
        Self {
            denial,
            peer: None,
            downgrade: None,
            hello: None,
        }
    }
}

impl From<DenyReason> for TlsRefusal {
    fn from(reason: DenyReason) -> Self {
        Denial::from(reason).into()
    }
}

/// Finds the reason in a failed handshake: what our verifier said, or else what rustls says.
pub(super) fn refusal(failed: &io::Error, verifier_said: Option<&rustls::Error>) -> TlsRefusal {
    if let Some(error) = verifier_said.and_then(PeerError::from_rustls) {
        return TlsRefusal::of_peer(error);
    }
    let Some(error) = failed
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
    else {
        return Denial::with_detail(DenyReason::HandshakeAborted, failed.to_string()).into();
    };
    let reason = match error {
        rustls::Error::NoCertificatesPresented => DenyReason::NoPeerCertificate,
        rustls::Error::PeerIncompatible(incompatible) => match incompatible {
            PeerIncompatible::NoKxGroupsInCommon
            | PeerIncompatible::NamedGroupsExtensionRequired => DenyReason::NoHybridGroup,
            PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled => DenyReason::TlsVersion,
            _ => DenyReason::TlsProtocol,
        },
        rustls::Error::AlertReceived(_) => DenyReason::PeerAlert,
        _ => DenyReason::TlsProtocol,
    };
    Denial::with_detail(reason, error.to_string()).into()
}

/// Sorts the verifier's refusals into reasons. Only a proved ID is ever named as the one refused.
pub(super) fn refused_peer(error: &PeerError) -> Denial {
    use DenyReason as R;
    let reason = match error {
        PeerError::ChainTooLong { .. } => R::ChainTooLong,
        PeerError::CrlExpired { .. } | PeerError::CrlUnusable { .. } => R::CrlUnusable,
        PeerError::Denied { .. } => R::PeerDenied,
        PeerError::Revoked { .. } => R::SvidRevoked,
        PeerError::UriNameConstraints { .. } => R::IssuerConstrainsUris,
        PeerError::Expired { .. } => R::SvidExpired,
        PeerError::NotYetValid { .. } => R::SvidNotYetValid,
        PeerError::Leaf(leaf) => refused_leaf(leaf),
        PeerError::MalformedCertificate { .. } | PeerError::MalformedIssuer { .. } => {
            R::SvidMalformed
        }
        PeerError::NoCertificate => R::NoPeerCertificate,
        PeerError::NotAllowed { .. } => R::PeerNotAllowed,
        PeerError::Signature(_) => R::PeerSignature,
        PeerError::Tls12 => R::TlsVersion,
        PeerError::UnknownTrustDomain { .. } => R::TrustDomainUnknown,
        PeerError::WrongPurpose { .. } => R::SvidKeyUsage,
        PeerError::InvalidPath { .. }
        | PeerError::IssuerExpired { .. }
        | PeerError::IssuerKeyUsage { .. }
        | PeerError::IssuerNotYetValid { .. }
        | PeerError::UnhandledExtension { .. }
        | PeerError::Untrusted { .. } => R::IssuerUntrusted,
    };
    Denial::with_detail(reason, with_causes(error))
}

fn refused_leaf(error: &SvidError) -> DenyReason {
    use DenyReason as R;
    match error {
        SvidError::Expired { .. } => R::SvidExpired,
        SvidError::NotYetValid { .. } => R::SvidNotYetValid,
        SvidError::LeafIsCa => R::SvidLeafIsCa,
        SvidError::ManyUriSans { .. } => R::SvidManyUriSans,
        SvidError::NoUriSan => R::SvidNoUriSan,
        SvidError::NoPath { .. } | SvidError::NotSpiffeId(_) | SvidError::UriNotText => {
            R::SvidNotSpiffeId
        }
        SvidError::LeafSignsCertificates
        | SvidError::LeafSignsCrls
        | SvidError::NoDigitalSignature
        | SvidError::NoKeyUsage => R::SvidKeyUsage,
        // The rest concerns reading: files of our own, or a leaf that is no certificate.
        _ => R::SvidMalformed,
    }
}
