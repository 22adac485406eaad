//! Steps 1 to 3: from certificates to a [`PeerIdentity`].

use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};

use super::{MAX_PEER_CHAIN, PeerError};
use crate::bundle::{RootFacts, TrustBundle, TrustBundles};
use crate::leaf::{self, Leaf, Validity};
use crate::revocation::{CrlIssuer, next_update_of};
use crate::spiffe_id::SpiffeId;

/// A peer whose certificate chain verified. Made here and nowhere else; cloning is cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerIdentity {
    leaf: Arc<Leaf>,
}

impl PeerIdentity {
    /// The holder of a leaf whose chain has verified.
    pub(super) fn of_verified(leaf: Leaf) -> Self {
        Self {
            leaf: Arc::new(leaf),
        }
    }

    /// The peer's SPIFFE ID. Its path is not empty.
    pub fn spiffe_id(&self) -> &SpiffeId {
        self.leaf.spiffe_id()
    }

    /// The serial number of the leaf.
    /// Shape: the contents of the DER integer, most significant octet first, without leading zeros;
    /// one zero for the number zero. Spec: RFC 5280 §4.1.2.2.
    pub fn serial(&self) -> &[u8] {
        self.leaf.serial()
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

/// The TLS role in which the holder of a chain acts: the peer's, not ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The peer called us.
    Client,
    /// We called the peer.
    Server,
}

impl fmt::Display for Role {
    /// `client` or `server`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Server => "server",
        })
    }
}

/// A verified chain: whose it is, and while what time every certificate in it is valid and every
/// revocation list that was consulted is up to date.
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
    Verification {
        chain,
        leaf: &leaf,
        role,
        bundle,
        algorithms,
        now,
    }
    .run()
}

/// Verifies a chain of our own for `role`, and gives what revocation lists hold against it.
///
/// A list that revokes us must not be kept out for that: it revokes others too, and they would go on.
pub(crate) fn verify_own(
    chain: &PresentedChain<'_>,
    role: Role,
    bundles: &TrustBundles,
    algorithms: &WebPkiSupportedAlgorithms,
    now: UnixTime,
) -> Result<Option<PeerError>, PeerError> {
    match verify(chain, role, bundles, algorithms, now) {
        Ok(_) => Ok(None),
        Err(listed) if listed.is_about_revocation() => {
            let without = bundles.without_crls();
            verify(chain, role, &without, algorithms, now).map(|_| Some(listed))
        }
        Err(refused) => Err(refused),
    }
}

/// X509-SVID §5.2: the issuer must be authorised for the ID, that is, be of its trust domain.
pub(super) fn choose_bundle<'a>(
    leaf: &Leaf,
    bundles: &'a TrustBundles,
) -> Result<&'a TrustBundle, PeerError> {
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

/// What a chain is judged by, once its leaf follows the rules and its bundle is chosen.
#[derive(Clone, Copy)]
pub(super) struct Verification<'a> {
    pub(super) chain: &'a PresentedChain<'a>,
    pub(super) leaf: &'a Leaf,
    pub(super) role: Role,
    pub(super) bundle: &'a TrustBundle,
    pub(super) algorithms: &'a WebPkiSupportedAlgorithms,
    pub(super) now: UnixTime,
}

impl Verification<'_> {
    pub(super) fn run(&self) -> Result<VerifiedChain, PeerError> {
        check_leaf_time(self.leaf, self.now)?;
        let validity = self.verify_path()?;
        Ok(VerifiedChain {
            identity: PeerIdentity::of_verified(self.leaf.clone()),
            validity,
        })
    }

    /// RFC 5280 §6: builds a path to a root of the bundle. Gives the time while all of it is valid.
    fn verify_path(&self) -> Result<Validity, PeerError> {
        let end_entity = EndEntityCert::try_from(self.chain.leaf)
            .map_err(|source| PeerError::of_path(self.leaf.spiffe_id(), self.role, source))?;
        // X509-SVID §4.4, RFC 5280 §4.2.1.12: a purpose is needed only if the extension is there.
        let usage = match self.role {
            Role::Client => KeyUsage::client_auth(),
            Role::Server => KeyUsage::server_auth(),
        };

        // A path that breaks a rule of ours is not the end: a renewed root may offer a better one.
        let validity = Cell::new(self.leaf.validity());
        let refusal = RefCell::new(None);
        let check_issuers = |path: &VerifiedPath<'_>| match self.check_issuers(path) {
            Ok(issuers) => {
                validity.set(self.leaf.validity().intersect(issuers));
                Ok(())
            }
            Err(error) => {
                refusal.replace(Some(error));
                Err(webpki::Error::UnknownIssuer)
            }
        };
        let built = end_entity.verify_for_usage(
            self.algorithms.all,
            self.bundle.roots(),
            self.chain.intermediates,
            self.now,
            usage,
            // Revocation is looked up in `check_issuers`; see there.
            None,
            Some(&check_issuers),
        );
        match built {
            Ok(_) => Ok(validity.get()),
            Err(source) => Err(refusal.take().unwrap_or_else(|| self.refused_by(source))),
        }
    }

    /// What path building said, or what is behind it.
    fn refused_by(&self, source: webpki::Error) -> PeerError {
        let constrains_uris = |der: &CertificateDer<'_>| {
            leaf::parse_certificate(der).is_ok_and(|issuer| leaf::constrains_uris(&issuer))
        };
        let intermediates = self.chain.intermediates;
        if matches!(source, webpki::Error::NameConstraintViolation)
            && intermediates.iter().any(constrains_uris)
        {
            return PeerError::UriNameConstraints {
                claimed: self.claimed(),
            };
        }
        PeerError::of_path(self.leaf.spiffe_id(), self.role, source)
    }

    /// The time while all issuers in a path and all revocation lists about it are valid, if the root
    /// is valid now, the others may sign certificates, and nothing in the path is revoked. webpki
    /// has judged the dates of the others already.
    ///
    /// webpki could look into revocation lists itself; it takes the first that has the issuer's
    /// name, although another of that name may have signed the certificate.
    fn check_issuers(&self, path: &VerifiedPath<'_>) -> Result<Validity, PeerError> {
        let unusable = |source| PeerError::MalformedIssuer {
            claimed: self.claimed(),
            source,
        };
        let root = self.root_of(path)?;
        let mut all = root.validity;
        // From the leaf up: each certificate meets its issuer.
        let mut certificate: &webpki::Cert<'_> = path.end_entity();
        for intermediate in path.intermediate_certificates() {
            let der = intermediate.der();
            let parsed = leaf::parse_certificate(&der).map_err(unusable)?;
            // X509-SVID §4.3, RFC 5280 §6.1.4 (n).
            let usage = leaf::key_usage(&parsed).map_err(unusable)?;
            if !usage.is_some_and(|usage| usage.key_cert_sign()) {
                return Err(PeerError::IssuerKeyUsage {
                    claimed: self.claimed(),
                });
            }
            let issuer = CrlIssuer::of(&parsed).map_err(unusable)?;
            all = all
                .intersect(Validity::of(&parsed))
                .intersect(self.check_revocation(certificate, &issuer)?);
            certificate = intermediate;
        }
        Ok(all.intersect(self.check_revocation(certificate, &root.crl_issuer())?))
    }

    /// RFC 5280 §6.3. Gives the time until which the answer holds.
    fn check_revocation(
        &self,
        certificate: &webpki::Cert<'_>,
        issuer: &CrlIssuer<'_>,
    ) -> Result<Validity, PeerError> {
        let crls = self.bundle.crls();
        let next_update = next_update_of(certificate, issuer, crls, self.algorithms, self.now)
            .map_err(|revocation| PeerError::of_revocation(self.claimed(), revocation))?;
        // At nextUpdate itself the list is out of date.
        let until = next_update.map_or(u64::MAX, |time| time.as_secs().saturating_sub(1));
        Ok(Validity {
            not_before: UnixTime::since_unix_epoch(Duration::ZERO),
            not_after: UnixTime::since_unix_epoch(Duration::from_secs(until)),
        })
    }

    /// The root that a path ends in, if it is valid now. Roots come from configuration, but one that
    /// has expired vouches for nobody.
    fn root_of(&self, path: &VerifiedPath<'_>) -> Result<&RootFacts, PeerError> {
        let claimed = self.claimed();
        let Some(root) = self.bundle.facts_of(path.anchor()) else {
            let source = webpki::Error::UnknownIssuer;
            return Err(PeerError::Untrusted { claimed, source });
        };
        let Validity {
            not_before,
            not_after,
        } = root.validity;
        if self.now < not_before {
            return Err(PeerError::IssuerNotYetValid {
                claimed,
                not_before,
            });
        }
        if self.now > not_after {
            return Err(PeerError::IssuerExpired { claimed, not_after });
        }
        Ok(root)
    }

    fn claimed(&self) -> SpiffeId {
        self.leaf.spiffe_id().clone()
    }
}
