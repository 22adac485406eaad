//! Steps 1 to 3: from certificates to a [`PeerIdentity`].

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};

use super::{MAX_PEER_CHAIN, PeerError};
use crate::bundle::{TrustBundle, TrustBundles};
use crate::leaf::{self, Leaf, Validity};
use crate::spiffe_id::SpiffeId;
use crate::svid::SvidError;

/// A peer whose certificate chain verified. Made here and nowhere else; cloning is cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerIdentity {
    leaf: Arc<Leaf>,
}

impl PeerIdentity {
    /// The peer's SPIFFE ID. Its path is not empty.
    pub fn spiffe_id(&self) -> &SpiffeId {
        self.leaf.spiffe_id()
    }

    /// SHA-256 of the DER leaf certificate, as in `x5t#S256`. Spec: RFC 8705 §3.1.
    pub fn leaf_thumbprint(&self) -> &[u8; 32] {
        self.leaf.thumbprint_ref()
    }

    /// The first second at which the leaf is valid.
    pub fn not_before(&self) -> UnixTime {
        self.leaf.not_before()
    }

    /// The last second at which the leaf is valid.
    pub fn not_after(&self) -> UnixTime {
        self.leaf.not_after()
    }
}

/// The TLS role in which the holder of a chain acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    Client,
    Server,
}

/// A verified chain: whose it is, and while what time every certificate in it is valid.
#[derive(Clone, Debug)]
pub(crate) struct VerifiedChain {
    pub(crate) identity: PeerIdentity,
    pub(crate) validity: Validity,
}

/// A chain of 1 to [`MAX_PEER_CHAIN`] certificates, leaf first, not yet parsed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PresentedChain<'a> {
    pub(super) leaf: &'a CertificateDer<'a>,
    pub(super) intermediates: &'a [CertificateDer<'a>],
}

impl<'a> PresentedChain<'a> {
    pub(super) fn new(
        leaf: &'a CertificateDer<'_>,
        intermediates: &'a [CertificateDer<'_>],
    ) -> Result<Self, PeerError> {
        let count = intermediates.len().saturating_add(1);
        if count > MAX_PEER_CHAIN {
            return Err(PeerError::ChainTooLong { count });
        }
        Ok(Self {
            leaf,
            intermediates,
        })
    }

    pub(crate) fn split(chain: &'a [CertificateDer<'_>]) -> Result<Self, PeerError> {
        let (leaf, intermediates) = chain.split_first().ok_or(PeerError::NoCertificate)?;
        Self::new(leaf, intermediates)
    }
}

/// Verifies a chain for `role` at `now` against the bundle of the leaf's own trust domain.
pub(crate) fn verify(
    chain: &PresentedChain<'_>,
    role: Role,
    bundles: &TrustBundles,
    algorithms: &WebPkiSupportedAlgorithms,
    now: UnixTime,
) -> Result<VerifiedChain, PeerError> {
    let leaf = Leaf::parse(chain.leaf)?;
    let bundle = choose_bundle(&leaf, bundles)?;
    check_leaf_time(&leaf, now)?;
    let validity = verify_path(chain, &leaf, role, bundle, algorithms, now)?;
    Ok(VerifiedChain {
        identity: PeerIdentity {
            leaf: Arc::new(leaf),
        },
        validity,
    })
}

/// X509-SVID §5.2: the issuer must be authorised for the ID, that is, be of its trust domain.
fn choose_bundle<'a>(leaf: &Leaf, bundles: &'a TrustBundles) -> Result<&'a TrustBundle, PeerError> {
    bundles
        .bundle(leaf.spiffe_id().trust_domain())
        .ok_or_else(|| PeerError::UnknownTrustDomain {
            claimed: leaf.spiffe_id().clone(),
            known: join(bundles),
        })
}

fn join(bundles: &TrustBundles) -> String {
    let names: Vec<&str> = bundles.trust_domains().map(|name| name.as_str()).collect();
    names.join(", ")
}

/// RFC 5280 §6.1.3 (a)(2), ahead of path building so that the refusal is the leaf's own.
fn check_leaf_time(leaf: &Leaf, now: UnixTime) -> Result<(), PeerError> {
    let claimed = || leaf.spiffe_id().clone();
    if now < leaf.not_before() {
        return Err(PeerError::NotYetValid {
            claimed: claimed(),
            not_before: leaf.not_before(),
        });
    }
    if now > leaf.not_after() {
        return Err(PeerError::Expired {
            claimed: claimed(),
            not_after: leaf.not_after(),
        });
    }
    Ok(())
}

/// RFC 5280 §6: builds a path to a root of `bundle`. Gives the time while all of it is valid.
fn verify_path(
    chain: &PresentedChain<'_>,
    leaf: &Leaf,
    role: Role,
    bundle: &TrustBundle,
    algorithms: &WebPkiSupportedAlgorithms,
    now: UnixTime,
) -> Result<Validity, PeerError> {
    let end_entity = EndEntityCert::try_from(chain.leaf)
        .map_err(|source| PeerError::of_path(leaf.spiffe_id(), role, source))?;
    // X509-SVID §4.4, RFC 5280 §4.2.1.12: a purpose is needed only if the extension is there.
    let usage = match role {
        Role::Client => KeyUsage::client_auth(),
        Role::Server => KeyUsage::server_auth(),
    };

    // A path that breaks a rule of ours is not the end: a renewed root may offer a better one.
    let validity = Cell::new(leaf.validity());
    let refusal = RefCell::new(None);
    let check_issuers = |path: &VerifiedPath<'_>| match issuer_validity(path, bundle, leaf, now) {
        Ok(issuers) => {
            validity.set(leaf.validity().intersect(issuers));
            Ok(())
        }
        Err(error) => {
            refusal.replace(Some(error));
            Err(webpki::Error::UnknownIssuer)
        }
    };
    let built = end_entity.verify_for_usage(
        algorithms.all,
        bundle.roots(),
        chain.intermediates,
        now,
        usage,
        None,
        Some(&check_issuers),
    );
    match built {
        Ok(_) => Ok(validity.get()),
        Err(source) => Err(refusal
            .take()
            .unwrap_or_else(|| PeerError::of_path(leaf.spiffe_id(), role, source))),
    }
}

/// The time while all issuers in a path are valid, if the root is valid now and the others may sign
/// certificates. webpki has judged the dates of those already.
fn issuer_validity(
    path: &VerifiedPath<'_>,
    bundle: &TrustBundle,
    leaf: &Leaf,
    now: UnixTime,
) -> Result<Validity, PeerError> {
    let claimed = || leaf.spiffe_id().clone();
    let unusable = |source| PeerError::MalformedIssuer {
        claimed: claimed(),
        source,
    };
    let mut all = root_validity(path, bundle, leaf, now)?;
    for intermediate in path.intermediate_certificates() {
        let der = intermediate.der();
        let certificate = leaf::parse_certificate(&der).map_err(unusable)?;
        // X509-SVID §4.3, RFC 5280 §6.1.4 (n).
        let usage = certificate
            .key_usage()
            .map_err(SvidError::Malformed)
            .map_err(unusable)?;
        if !usage.is_some_and(|usage| usage.value.key_cert_sign()) {
            return Err(PeerError::IssuerKeyUsage { claimed: claimed() });
        }
        all = all.intersect(Validity::of(&certificate));
    }
    Ok(all)
}

/// The validity period of the root that a path ends in, if it is valid now. Roots come from
/// configuration, but one that has expired vouches for nobody.
fn root_validity(
    path: &VerifiedPath<'_>,
    bundle: &TrustBundle,
    leaf: &Leaf,
    now: UnixTime,
) -> Result<Validity, PeerError> {
    let claimed = leaf.spiffe_id().clone();
    let Some(root) = bundle.validity_of(path.anchor()) else {
        let source = webpki::Error::UnknownIssuer;
        return Err(PeerError::Untrusted { claimed, source });
    };
    let Validity {
        not_before,
        not_after,
    } = root;
    if now < not_before {
        return Err(PeerError::IssuerNotYetValid {
            claimed,
            not_before,
        });
    }
    if now > not_after {
        return Err(PeerError::IssuerExpired { claimed, not_after });
    }
    Ok(root)
}
