//! What a SPIFFE Workload API streams.
//!
//! Input: one `X509SVIDResponse`, protobuf.

mod message;

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use pqlane_certs::clock::FixedClock;
use pqlane_certs::revocation::MAX_CRLS;
use pqlane_certs::source::workload_api::read_response;
use pqlane_certs::source::{MAX_BUNDLES, MAX_SVIDS, Material, MaterialError, SourceWarning};
use pqlane_certs::spiffe_id::SpiffeId;
use pqlane_certs::svid::MAX_OWN_CHAIN;
use pqlane_certs::testing::{NOW, allow, verifier_config};
use pqlane_certs::verifier::{PeerVerifier, Role};
use pqlane_handshake::KxPolicy;
use pqlane_handshake::provider::provider;
use rustls::crypto::CryptoProvider;

use crate::Verdict;
use crate::message::whole_message;
use message::{Response, Svid, Unread};

static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| provider(&KxPolicy::require_hybrid()));

/// Reads a message; material that is accepted is what a second reader finds there, and our own verifier takes it.
///
/// # Panics
/// When an invariant does not hold.
pub fn run(bytes: &[u8]) -> Verdict {
    let read = read_response(bytes, &PROVIDER, &FixedClock::new(NOW));
    let again = Response::read(bytes);
    match (&read, &again) {
        (Ok(material), Ok(response)) => check(material, response),
        // The second reader knows no groups, which were given up before the first proto3.
        (Ok(_), Err(unread)) => assert_eq!(*unread, Unread::Group),
        (Err(error), Ok(response)) => check_refusal(error, response),
        (Err(error), Err(_)) => assert!(!whole_message(error).is_empty()),
    }
    Verdict::of(&read)
}

fn check(material: &Material, response: &Response<'_>) {
    assert!((1..=MAX_SVIDS).contains(&response.svids.len()));
    assert!(response.crls.len() <= MAX_CRLS);
    assert_eq!(material.svids().len(), response.svids.len());
    let mut hints = BTreeSet::new();
    for (named, written) in material.svids().iter().zip(&response.svids) {
        let svid = named.svid();
        assert_eq!(svid.id().as_str(), written.id);
        assert_eq!(named.hint().unwrap_or_default(), written.hint);
        if let Some(hint) = named.hint() {
            assert!(hints.insert(hint), "{hint:?} twice");
            let found = material.by_hint(hint).map(|svid| svid.leaf());
            assert_eq!(found, Some(svid.leaf()));
        }
        let chain = &svid.certified_key().cert;
        assert!((1..=MAX_OWN_CHAIN).contains(&chain.len()));
        let whole: Vec<u8> = chain.iter().flat_map(|one| one.to_vec()).collect();
        assert_eq!(whole, written.chain);
        assert_eq!(svid.certified_key().keys_match(), Ok(()));
        assert!(svid.check_valid_at(NOW).is_ok());
    }
    check_default(material);
    check_bundles(material, response);
    check_peers(material);
}

fn check_default(material: &Material) {
    let first = material.svids().first().map(|named| named.svid().leaf());
    assert_eq!(Some(material.default_svid().leaf()), first);
    let by_id = material.by_id(material.default_svid().id());
    assert_eq!(by_id.map(|svid| svid.leaf()), first);
}

/// Bundles are those of our own domains, once for each domain and always the same, and those that others
/// published; a foreign one that is missing is warned of.
fn check_bundles(material: &Material, response: &Response<'_>) {
    let known: BTreeSet<&str> = material
        .bundles()
        .trust_domains()
        .map(|name| name.as_str())
        .collect();
    assert!(known.len() <= MAX_BUNDLES);
    let mut named = BTreeSet::new();
    for svid in &response.svids {
        let domain = domain_of(svid.id);
        assert!(known.contains(domain), "{domain} has no bundle");
        named.insert(domain);
        for other in response
            .svids
            .iter()
            .filter(|one| domain_of(one.id) == domain)
        {
            assert_eq!(other.bundle, svid.bundle, "{domain}");
        }
    }
    let own = named.clone();
    let mut left_out = 0;
    for (name, bundle) in &response.federated {
        let domain = domain_of(name);
        let is_own = own.contains(domain) && is_name(name, domain);
        let repeats = response
            .svids
            .iter()
            .any(|svid| is_own && domain_of(svid.id) == domain && svid.bundle == *bundle);
        let taken = is_name(name, domain) && known.contains(domain) && !is_own;
        left_out += usize::from(!taken && !repeats);
        if taken {
            named.insert(domain);
        }
    }
    assert_eq!(known, named);
    let warned = material.warnings().iter();
    let warned = warned.filter(|one| matches!(one, SourceWarning::FederatedBundle { .. }));
    // Of two names of one domain, the ID and the bare name, one can be left out as well.
    assert!(warned.count() >= left_out);
    for bundle in material.bundles().iter() {
        assert!(!bundle.roots().is_empty());
    }
}

/// Our own verifier takes our own SVIDs, unless the lists that came along say something.
fn check_peers(material: &Material) {
    let listed: BTreeSet<&SpiffeId> = material
        .warnings()
        .iter()
        .filter_map(|warning| match warning {
            SourceWarning::OwnRevocation { id, .. } => Some(id),
            SourceWarning::Bundle { .. }
            | SourceWarning::FederatedBundle { .. }
            | SourceWarning::KeyReadableByOthers { .. } => None,
        })
        .collect();
    for named in material.svids() {
        let id = named.svid().id();
        let clock = Arc::new(FixedClock::new(NOW));
        let bundles = Arc::clone(material.bundles());
        let verifier = PeerVerifier::new(verifier_config(bundles, allow(&[id.as_str()]), clock));
        for role in [Role::Client, Role::Server] {
            match verifier.identify(&named.svid().certified_key().cert, role) {
                Ok(peer) => assert_eq!(peer.spiffe_id(), id),
                Err(error) => {
                    let reason = error.reason();
                    let by_list = ["revoked", "crl-expired", "crl-unusable"].contains(&reason);
                    assert!(by_list && listed.contains(id), "{id}: {reason}");
                }
            }
        }
    }
}

fn check_refusal(error: &MaterialError, response: &Response<'_>) {
    let message = whole_message(error);
    let shown = format!("{message}{error:?}");
    for Svid { key, .. } in &response.svids {
        // Longer than what an error of a parser repeats.
        if let Some(secret) = key.get(..32) {
            let numbers: Vec<String> = secret.iter().map(u8::to_string).collect();
            assert!(!shown.contains(&numbers.join(", ")), "{message}");
        }
    }
    if matches!(error, MaterialError::Undecodable(_)) {
        // The first reader is the stricter one.
        return;
    }
    let too_many = [
        (
            response.svids.len() > MAX_SVIDS,
            matches!(error, MaterialError::TooManySvids),
        ),
        (
            response.crls.len() > MAX_CRLS,
            matches!(error, MaterialError::TooManyCrls),
        ),
        (
            response.entries > MAX_BUNDLES,
            matches!(error, MaterialError::TooManyBundles),
        ),
    ];
    // The first of them is what is said.
    if let Some((_, said)) = too_many.into_iter().find(|(exceeded, _)| *exceeded) {
        assert!(said, "{message}");
    }
    if response.svids.is_empty() && too_many.iter().all(|(exceeded, _)| !exceeded) {
        assert!(matches!(error, MaterialError::NoSvid), "{message}");
    }
}

/// The trust domain in an ID, or a bare name as it stands.
fn domain_of(id: &str) -> &str {
    let rest = id.strip_prefix("spiffe://").unwrap_or(id);
    rest.split('/').next().unwrap_or_default()
}

/// Whether a foreign bundle is named as it may be: by the ID of its trust domain, or by the bare name.
fn is_name(name: &str, domain: &str) -> bool {
    name == domain || name.strip_prefix("spiffe://") == Some(domain)
}
