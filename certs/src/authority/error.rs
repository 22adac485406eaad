//! Why a CA cannot be made, taken up, or issue.

use std::time::Duration;

use rustls_pki_types::UnixTime;

use crate::clock::Rfc3339;
use crate::pem_problem::PemProblem;
use crate::spiffe_id::{SpiffeId, TrustDomain};
use crate::svid::SvidError;

/// Why a CA cannot be made, taken up, or issue an SVID.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The CA certificate cannot be read.
    #[error("the CA certificate cannot be read")]
    Certificate(#[source] SvidError),
    /// The CA certificate is no longer valid.
    #[error("the CA certificate expired at {}: create a new authority", Rfc3339(*not_after))]
    Expired {
        /// The last second at which it was valid.
        not_after: UnixTime,
    },
    /// The ID belongs to another trust domain.
    #[error("{id} is not in the trust domain {trust_domain}, for which this authority issues")]
    ForeignId {
        /// The ID.
        id: SpiffeId,
        /// The authority's trust domain.
        trust_domain: TrustDomain,
    },
    /// A key or certificate cannot be made.
    #[error("a key or certificate cannot be made")]
    Generate(#[source] rcgen::Error),
    /// The CA key cannot be used.
    #[error("the CA key cannot be used: a PKCS#8 key is accepted")]
    Key(#[source] rcgen::Error),
    /// The CA key is not the certificate's.
    #[error("the CA key does not belong to the CA certificate")]
    KeyMismatch,
    /// The CA key is not PEM.
    #[error("the CA key is not a PEM section PRIVATE KEY (PKCS#8)")]
    KeyPem(#[source] PemProblem),
    /// The ID has no path. Spec: X509-SVID §3.1.
    #[error("{id} has no path: an SVID is issued for an ID such as {id}/agent")]
    NoPath {
        /// The ID.
        id: SpiffeId,
    },
    /// The CA certificate names no trust domain.
    #[error(
        "the CA certificate names no trust domain: one URI SAN such as spiffe://example.org is needed"
    )]
    NoTrustDomain,
    /// The certificate is not a CA's.
    #[error("the certificate is not a CA: basicConstraints cA and keyUsage keyCertSign are needed")]
    NotCa,
    /// The CA certificate is not valid yet.
    #[error("the CA certificate is not valid before {}", Rfc3339(*not_before))]
    NotYetValid {
        /// The first second at which it will be valid.
        not_before: UnixTime,
    },
    /// The intermediate is below another root.
    #[error("the intermediate CA certificate was not issued by the root")]
    OtherRoot,
    /// The CA is another trust domain's.
    #[error("the CA certificate is that of {found}, not of {expected}")]
    OtherTrustDomain {
        /// Whose it is.
        found: TrustDomain,
        /// Whose it should be.
        expected: TrustDomain,
    },
    /// The CA certificate is not PEM.
    #[error("the CA certificate is not a PEM section CERTIFICATE")]
    Pem(#[source] PemProblem),
    /// The lifetime cannot be written into a certificate.
    #[error("a lifetime of {} s is not accepted: give at least 1 s, ending before the year 10000", ttl.as_secs())]
    Ttl {
        /// The lifetime.
        ttl: Duration,
    },
}
