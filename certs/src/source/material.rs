//! SVIDs and bundles that belong together.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls_pki_types::UnixTime;

use super::SourceWarning;
use crate::bundle::{BundleError, TrustBundles};
use crate::clock::Clock;
use crate::revocation::MAX_CRLS;
use crate::spiffe_id::{SpiffeId, SpiffeIdError, TrustDomain};
use crate::svid::{SvidError, X509Svid};
use crate::verifier::{PeerError, PresentedChain, Role, verify_own};

/// The most SVIDs in one material.
pub const MAX_SVIDS: usize = 256;
/// The most bundles in one material, our own among them.
pub const MAX_BUNDLES: usize = 1_024;

/// One of our own SVIDs, and what the operator calls it.
#[derive(Clone, Debug)]
pub struct NamedSvid {
    svid: X509Svid,
    hint: Option<String>,
}

impl NamedSvid {
    /// An SVID with its hint. An empty hint is none.
    pub fn new(svid: X509Svid, hint: Option<String>) -> Self {
        Self {
            svid,
            hint: hint.filter(|hint| !hint.is_empty()),
        }
    }

    /// The SVID.
    pub fn svid(&self) -> &X509Svid {
        &self.svid
    }

    /// Tells SVIDs of one workload apart. Spec: Workload API §5.2.1.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

/// Our own SVIDs and the bundles by which peers are judged, checked together. Cloning is cheap but for the list
/// of SVIDs. `Debug` shows IDs, hints and names.
#[derive(Clone)]
pub struct Material {
    // Not empty.
    svids: Vec<NamedSvid>,
    bundles: Arc<TrustBundles>,
    warnings: Vec<SourceWarning>,
}

/// Material before it is checked.
#[derive(Debug, Default)]
pub(super) struct Unchecked {
    pub(super) svids: Vec<NamedSvid>,
    pub(super) bundles: TrustBundles,
    pub(super) warnings: Vec<SourceWarning>,
}

impl Material {
    /// The SVIDs, in the order in which they came; at least one.
    pub fn svids(&self) -> &[NamedSvid] {
        &self.svids
    }

    /// The SVID for whoever does not choose: the first. Spec: Workload API §5.3.
    #[expect(clippy::indexing_slicing, reason = "there is at least one")]
    pub fn default_svid(&self) -> &X509Svid {
        &self.svids[0].svid
    }

    /// The SVID with this hint.
    pub fn by_hint(&self, hint: &str) -> Option<&X509Svid> {
        self.find(|named| named.hint() == Some(hint))
    }

    /// The SVID with this ID; the first if there are several.
    pub fn by_id(&self, id: &SpiffeId) -> Option<&X509Svid> {
        self.find(|named| named.svid.id() == id)
    }

    /// One bundle for each trust domain, with its revocation lists.
    pub fn bundles(&self) -> &Arc<TrustBundles> {
        &self.bundles
    }

    /// What the caller should tell the operator about; nothing here stops the material from use.
    pub fn warnings(&self) -> &[SourceWarning] {
        &self.warnings
    }

    /// Material of which all has been checked.
    pub(super) fn checked(
        svids: Vec<NamedSvid>,
        bundles: TrustBundles,
        warnings: Vec<SourceWarning>,
    ) -> Self {
        Self {
            svids,
            bundles: Arc::new(bundles),
            warnings,
        }
    }

    fn find(&self, wanted: impl Fn(&NamedSvid) -> bool) -> Option<&X509Svid> {
        let found = self.svids.iter().find(|named| wanted(named));
        found.map(NamedSvid::svid)
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Material")
            .field("svids", &self.svids)
            .field("bundles", &self.bundles)
            .field("warnings", &self.warnings)
            .finish()
    }
}

impl Unchecked {
    /// The material, if all of it can be used now: at least one SVID, no hint twice, and each SVID accepted by
    /// our own verifier, in both TLS roles, under the bundle of its own trust domain. What revocation lists hold
    /// against one is a warning.
    pub(super) fn check(
        mut self,
        provider: &CryptoProvider,
        clock: &dyn Clock,
    ) -> Result<Material, MaterialError> {
        check_hints(&self.svids)?;
        for named in &self.svids {
            let listed = check_own(&named.svid, &self.bundles, provider, clock.now());
            let listed = listed.map_err(|source| MaterialError::Refused {
                id: named.svid.id().clone(),
                source: Box::new(source),
            })?;
            self.warnings.extend(listed);
        }
        Ok(Material {
            svids: self.svids,
            bundles: Arc::new(self.bundles),
            warnings: self.warnings,
        })
    }
}

fn check_hints(svids: &[NamedSvid]) -> Result<(), MaterialError> {
    if svids.is_empty() {
        return Err(MaterialError::NoSvid);
    }
    let mut hints = BTreeSet::new();
    let mut all = svids.iter().filter_map(NamedSvid::hint);
    match all.find(|hint| !hints.insert(*hint)) {
        Some(twice) => Err(MaterialError::HintTwice {
            hint: twice.to_owned(),
        }),
        None => Ok(()),
    }
}

/// Whether peers with `bundles` accept an SVID of ours, in both TLS roles; with a warning if they do so only until
/// they have the revocation lists.
pub(super) fn check_own(
    svid: &X509Svid,
    bundles: &TrustBundles,
    provider: &CryptoProvider,
    now: UnixTime,
) -> Result<Option<SourceWarning>, PeerError> {
    let chain = PresentedChain::split(&svid.certified_key().cert)?;
    let algorithms = &provider.signature_verification_algorithms;
    let mut warning = None;
    for role in [Role::Client, Role::Server] {
        let listed = verify_own(&chain, role, bundles, algorithms, now)?;
        warning = listed.map(|listed| SourceWarning::OwnRevocation {
            id: svid.id().clone(),
            problem: listed.to_string(),
        });
    }
    Ok(warning)
}

/// Why material cannot be used. Positions count from 1.
#[derive(Debug, thiserror::Error)]
pub enum MaterialError {
    /// A trust domain's bundle is not one.
    #[error("not the trust bundle of {trust_domain}")]
    Bundle {
        /// Whose bundle it should be.
        trust_domain: TrustDomain,
        /// Why.
        #[source]
        source: BundleError,
    },
    /// A trust domain has two bundles that differ.
    #[error(
        "{trust_domain} has two bundles that differ: one bundle for each trust domain is accepted"
    )]
    BundlesDiffer {
        /// Whose.
        trust_domain: TrustDomain,
    },
    /// Certificates that stand one after another cannot be told apart.
    #[error("SVID {position}: its chain is not DER certificates one after another")]
    Certificates {
        /// Which SVID.
        position: usize,
        /// Why.
        #[source]
        source: BundleError,
    },
    /// Two SVIDs have one hint.
    #[error("two SVIDs have the hint {hint:?}: each hint is accepted once")]
    HintTwice {
        /// The hint.
        hint: String,
    },
    /// What the source calls an SVID is not a SPIFFE ID.
    #[error("SVID {position}: its name is not a SPIFFE ID")]
    Id {
        /// Which SVID.
        position: usize,
        /// Why.
        #[source]
        source: SpiffeIdError,
    },
    /// The leaf has another ID than the source says.
    #[error("SVID {position} is called {stated}, and its certificate is that of {found}")]
    IdDiffers {
        /// Which SVID.
        position: usize,
        /// The ID that the source states.
        stated: SpiffeId,
        /// The ID in the leaf.
        found: SpiffeId,
    },
    /// There is no SVID.
    #[error("there is no SVID: at least one is needed")]
    NoSvid,
    /// Our own verifier would refuse an SVID under the bundle of its own trust domain.
    #[error("a peer would refuse the SVID of {id}")]
    Refused {
        /// Whose.
        id: SpiffeId,
        /// Why it would be refused.
        #[source]
        source: Box<PeerError>,
    },
    /// A chain with its key is not an X.509-SVID.
    #[error("SVID {position} is not an X.509-SVID with its key")]
    Svid {
        /// Which one.
        position: usize,
        /// Why.
        #[source]
        source: SvidError,
    },
    /// There are more bundles than [`MAX_BUNDLES`].
    #[error("more than {MAX_BUNDLES} bundles, the most that are read")]
    TooManyBundles,
    /// There are more lists than [`MAX_CRLS`].
    #[error("more than {MAX_CRLS} certificate revocation lists, the most that are read")]
    TooManyCrls,
    /// There are more SVIDs than [`MAX_SVIDS`].
    #[error("more than {MAX_SVIDS} SVIDs, the most that are read")]
    TooManySvids,
    /// The message is not what `workload.proto` says.
    #[error("the message is not an X509SVIDResponse")]
    Undecodable(#[source] prost::DecodeError),
}
