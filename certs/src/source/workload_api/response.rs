//! From one message of the Workload API to material.

#[cfg(test)]
mod tests;

use bytes::Buf;
use prost::Message;
use prost::encoding::{DecodeContext, WireType, check_wire_type, decode_key, skip_field};
use rustls::crypto::CryptoProvider;
use rustls_pki_types::CertificateRevocationListDer;

use crate::bundle::{
    BundleError, BundleWarning, TrustBundle, TrustBundles, split_der_certificates,
};
use crate::clock::Clock;
use crate::revocation::MAX_CRLS;
use crate::source::material::{MAX_BUNDLES, MAX_SVIDS, Unchecked};
use crate::source::{Material, MaterialError, NamedSvid, SourceWarning};
use crate::spiffe_id::{SpiffeId, TrustDomain};
use crate::svid::X509Svid;
use crate::workload_api::{SvidMessage, X509SvidResponse};

/// The most characters of a foreign name that a warning repeats.
const MAX_NAME_LEN: usize = 256;

/// Reads an `X509SVIDResponse` and checks everything in it.
///
/// Shape: protobuf; 1 to [`MAX_SVIDS`] SVIDs, at most [`MAX_BUNDLES`] bundles and [`MAX_CRLS`] CRLs, counted
/// before any is read. A bundle of a foreign trust domain that is not one is left out with a warning: what
/// another domain publishes must not stop our own rotation.
/// Spec: Workload API §5.2.1.
///
/// # Errors
/// [`MaterialError`], one variant for each rule.
pub fn read_response(
    message: &[u8],
    provider: &CryptoProvider,
    clock: &dyn Clock,
) -> Result<Material, MaterialError> {
    check_counts(message)?;
    let mut response = X509SvidResponse::decode(message).map_err(MaterialError::Undecodable)?;
    let crls: Vec<_> = std::mem::take(&mut response.crl)
        .into_iter()
        .map(CertificateRevocationListDer::from)
        .collect();
    let mut read = Unchecked::default();
    let mut own_bundles: Vec<(TrustDomain, &[u8])> = Vec::new();
    for (index, message) in response.svids.iter().enumerate() {
        let position = index + 1;
        let named = read_svid(message, position, provider)?;
        let trust_domain = named.svid().id().trust_domain().clone();
        read.svids.push(named);
        match own_bundles.iter().find(|(name, _)| *name == trust_domain) {
            Some((_, bundle)) if *bundle == message.bundle => continue,
            Some(_) => return Err(MaterialError::BundlesDiffer { trust_domain }),
            None => own_bundles.push((trust_domain.clone(), &message.bundle)),
        }
        insert(&mut read.bundles, &crls, &trust_domain, &message.bundle).map_err(|source| {
            MaterialError::Bundle {
                trust_domain,
                source,
            }
        })?;
    }
    for (name, bundle) in &response.federated_bundles {
        if let Err(problem) = federate(&mut read.bundles, &crls, &own_bundles, name, bundle) {
            read.warnings.push(SourceWarning::FederatedBundle {
                trust_domain: name.chars().take(MAX_NAME_LEN).collect(),
                problem,
            });
        }
    }
    if read.bundles.trust_domains().count() > MAX_BUNDLES {
        return Err(MaterialError::TooManyBundles);
    }
    warn_of_bundles(&mut read);
    read.check(provider, clock)
}

/// What the bundles say of themselves. That a list is about no root of theirs is so for all but one.
fn warn_of_bundles(read: &mut Unchecked) {
    for bundle in read.bundles.iter() {
        let about = |warning: &BundleWarning| SourceWarning::Bundle {
            trust_domain: bundle.trust_domain().clone(),
            warning: warning.clone(),
        };
        let constraints =
            |warning: &&BundleWarning| matches!(warning, BundleWarning::UriNameConstraints { .. });
        read.warnings
            .extend(bundle.warnings().iter().filter(constraints).map(about));
    }
}

/// Counts the repeated fields: a message of 4 MiB can hold two million empty ones, and each takes a hundred
/// times its size once it is decoded.
fn check_counts(mut message: &[u8]) -> Result<(), MaterialError> {
    let [mut svids, mut crls, mut bundles] = [0_usize; 3];
    while message.has_remaining() {
        let (tag, wire_type) = decode_key(&mut message).map_err(MaterialError::Undecodable)?;
        if let 1..=3 = tag {
            // prost reads the entry of a map as one whatever its wire type says.
            check_wire_type(WireType::LengthDelimited, wire_type)
                .map_err(MaterialError::Undecodable)?;
        }
        skip_field(wire_type, tag, &mut message, DecodeContext::default())
            .map_err(MaterialError::Undecodable)?;
        match tag {
            1 => svids += 1,
            2 => crls += 1,
            3 => bundles += 1,
            _ => {}
        }
    }
    if svids > MAX_SVIDS {
        return Err(MaterialError::TooManySvids);
    }
    if crls > MAX_CRLS {
        return Err(MaterialError::TooManyCrls);
    }
    if bundles > MAX_BUNDLES {
        return Err(MaterialError::TooManyBundles);
    }
    Ok(())
}

fn read_svid(
    message: &SvidMessage,
    position: usize,
    provider: &CryptoProvider,
) -> Result<NamedSvid, MaterialError> {
    let chain = split_der_certificates(&message.x509_svid)
        .map_err(|source| MaterialError::Certificates { position, source })?;
    let svid = X509Svid::from_der(chain, &message.x509_svid_key, provider)
        .map_err(|source| MaterialError::Svid { position, source })?;
    let stated: SpiffeId = message
        .spiffe_id
        .parse()
        .map_err(|source| MaterialError::Id { position, source })?;
    if stated != *svid.id() {
        return Err(MaterialError::IdDiffers {
            position,
            stated,
            found: svid.id().clone(),
        });
    }
    Ok(NamedSvid::new(svid, Some(message.hint.clone())))
}

/// Adds a foreign bundle, or says why not.
fn federate(
    bundles: &mut TrustBundles,
    crls: &[CertificateRevocationListDer<'_>],
    own: &[(TrustDomain, &[u8])],
    name: &str,
    bundle: &[u8],
) -> Result<(), String> {
    let trust_domain = foreign_trust_domain(name)?;
    // Some servers repeat the own bundle among the foreign ones.
    match own.iter().find(|(own, _)| *own == trust_domain) {
        Some((_, of_svid)) if *of_svid == bundle => return Ok(()),
        Some(_) => return Err("it is our own trust domain, and not its bundle".to_owned()),
        None => {}
    }
    insert(bundles, crls, &trust_domain, bundle).map_err(|error| with_causes(&error))
}

/// The proto file names foreign bundles by the ID of their trust domain; some servers write the bare name.
fn foreign_trust_domain(name: &str) -> Result<TrustDomain, String> {
    if !name.starts_with("spiffe://") {
        return name.parse().map_err(|error| with_causes(&error));
    }
    let id: SpiffeId = name.parse().map_err(|error| with_causes(&error))?;
    match id.path() {
        "" => Ok(id.trust_domain().clone()),
        _ => Err("its name has a path: the ID of a trust domain has none".to_owned()),
    }
}

/// Adds a bundle with all revocation lists there are: a list is used for what its issuer signed, and the API does
/// not say whose it is.
fn insert(
    bundles: &mut TrustBundles,
    crls: &[CertificateRevocationListDer<'_>],
    trust_domain: &TrustDomain,
    bundle: &[u8],
) -> Result<(), BundleError> {
    let roots = split_der_certificates(bundle)?;
    let bundle = TrustBundle::from_ders(trust_domain.clone(), roots)?;
    bundles.insert(bundle.with_crls(crls.iter().cloned())?)
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
