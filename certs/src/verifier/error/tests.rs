use std::time::Duration;

use super::*;
use crate::revocation::DenyEntry;

/// One certificate after another for every variant that a chain can provoke, and the words that
/// TLS has for them.
#[test]
fn refusals_map_to_the_alert_that_fits() {
    use rustls::AlertDescription as Alert;
    let id: SpiffeId = "spiffe://example.org/agent".parse().unwrap();
    let at = UnixTime::since_unix_epoch(Duration::ZERO);
    let claimed = || id.clone();
    let cases = [
        (
            PeerError::Leaf(crate::svid::SvidError::NoUriSan),
            Alert::BadCertificate,
        ),
        (
            PeerError::Expired {
                claimed: claimed(),
                not_after: at,
            },
            Alert::CertificateExpired,
        ),
        (
            PeerError::NotYetValid {
                claimed: claimed(),
                not_before: at,
            },
            Alert::CertificateExpired,
        ),
        (
            PeerError::UnknownTrustDomain {
                claimed: claimed(),
                known: String::new(),
            },
            Alert::UnknownCA,
        ),
        (
            PeerError::Untrusted {
                claimed: claimed(),
                source: webpki::Error::UnknownIssuer,
            },
            Alert::UnknownCA,
        ),
        (
            PeerError::NotAllowed {
                id: claimed(),
                allowed: String::new(),
            },
            Alert::AccessDenied,
        ),
        (
            PeerError::Signature(rustls::Error::DecryptError),
            Alert::DecryptError,
        ),
        (
            PeerError::WrongPurpose {
                claimed: claimed(),
                role: Role::Client,
            },
            Alert::UnsupportedCertificate,
        ),
    ];
    for (error, alert) in cases {
        assert_eq!(alert_for(&error), alert, "{error}");
    }
    assert_eq!(
        PeerError::NoCertificate.alert_error(),
        rustls::Error::NoCertificatesPresented
    );
}

#[test]
fn refusals_of_who_was_trusted_map_to_the_alert_that_fits() {
    use rustls::AlertDescription as Alert;
    let id: SpiffeId = "spiffe://example.org/agent".parse().unwrap();
    let claimed = || id.clone();
    let at = UnixTime::since_unix_epoch(Duration::ZERO);
    let unusable = webpki::Error::InvalidCrlSignatureForPublicKey;
    let cases = [
        (
            PeerError::Revoked { claimed: claimed() },
            Alert::CertificateRevoked,
        ),
        (
            PeerError::CrlExpired {
                claimed: claimed(),
                next_update: at,
            },
            Alert::UnknownCA,
        ),
        (
            PeerError::Denied {
                id: claimed(),
                entry: DenyEntry::Id(claimed()),
            },
            Alert::AccessDenied,
        ),
        (
            PeerError::CrlUnusable {
                claimed: claimed(),
                source: unusable,
            },
            Alert::UnknownCA,
        ),
    ];
    for (error, alert) in cases {
        assert_eq!(alert_for(&error), alert, "{error}");
    }
}

fn alert_for(error: &PeerError) -> rustls::AlertDescription {
    let rustls::Error::InvalidCertificate(certificate_error) = error.alert_error() else {
        panic!("{error} is no certificate error");
    };
    certificate_error.into()
}

#[test]
fn refusals_are_found_again_in_rustls_errors() {
    let error = rustls::Error::from(PeerError::ChainTooLong { count: 9 });
    assert!(matches!(
        PeerError::from_rustls(&error),
        Some(PeerError::ChainTooLong { count: 9 })
    ));
    let none = rustls::Error::NoCertificatesPresented;
    assert!(matches!(
        PeerError::from_rustls(&none),
        Some(PeerError::NoCertificate)
    ));
    assert!(PeerError::from_rustls(&rustls::Error::DecryptError).is_none());
}
