//! The certificates that a peer shows.
//!
//! Input: a list of certificates, each in one of three forms.
//! Shape: `0 || length (2 B) || DER`, or `1 || index` for a certificate of `fixtures`, or
//! `2 || index || offset (2 B) || mask` for one with a byte changed. Numbers are big-endian; what is out of range
//! is taken modulo. The first byte counts modulo 3.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::digest::{SHA256, digest};
use pqlane_certs::bundle::TrustBundles;
use pqlane_certs::clock::FixedClock;
use pqlane_certs::testing::{NOW, allow, verifier_config};
use pqlane_certs::verifier::{MAX_PEER_CHAIN, PeerError, PeerIdentity, PeerVerifier, Role};
use rustls::client::danger::ServerCertVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::{CertificateDer, ServerName};

use crate::Verdict;
use crate::message::whole_message;

pub(crate) mod fixtures;

use fixtures::{CHAINS, OPERATOR, fixture};

/// More certificates than a chain may have, so that too long ones are tried, too.
const MAX_INPUT_CHAIN: usize = MAX_PEER_CHAIN + 3;

static BUNDLES: LazyLock<Arc<TrustBundles>> = LazyLock::new(fixtures::bundles);

/// Judges a chain in every way there is.
///
/// # Panics
/// When an invariant does not hold.
pub fn run(bytes: &[u8]) -> Verdict {
    let chain = read_chain(bytes);
    let verifier = new_verifier();
    let identified = [Role::Client, Role::Server].map(|role| {
        let identified = verifier.identify(&chain, role);
        match &identified {
            Ok(peer) => check_is_genuine(&chain, peer),
            Err(error) => check_refusal(&chain, error),
        }
        // What is remembered from the first time must not change the second, nor what was
        // remembered for the other role.
        for verifier in [&verifier, &new_verifier()] {
            let again = verifier.identify(&chain, role);
            assert_eq!(reason(&identified), reason(&again));
            assert_eq!(identified.as_ref().ok(), again.as_ref().ok());
        }
        if identified.is_ok() {
            assert!(verifier.judge_open(&chain, role).is_ok());
        }
        identified
    });
    check_roles(&chain, &identified);
    match identified.iter().any(Result::is_ok) {
        true => Verdict::Accepted,
        false => Verdict::Refused,
    }
}

fn new_verifier() -> PeerVerifier {
    let clock = Arc::new(FixedClock::new(NOW));
    let allowed = allow(&["spiffe://example.org/agent/*"]);
    PeerVerifier::new(verifier_config(Arc::clone(&BUNDLES), allowed, clock))
}

fn read_chain(mut bytes: &[u8]) -> Vec<CertificateDer<'_>> {
    let mut chain = Vec::new();
    while let Some((certificate, rest)) = read_certificate(bytes)
        && chain.len() < MAX_INPUT_CHAIN
    {
        chain.push(certificate);
        bytes = rest;
    }
    chain
}

fn read_certificate(bytes: &[u8]) -> Option<(CertificateDer<'_>, &[u8])> {
    let (form, rest) = bytes.split_first()?;
    match (form % 3, rest) {
        (0, [high, low, rest @ ..]) => {
            let len = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
            let (der, rest) = rest.split_at(len);
            Some((CertificateDer::from(der), rest))
        }
        (1, [index, rest @ ..]) => Some((fixture(*index), rest)),
        (2, [index, high, low, mask, rest @ ..]) => {
            let mut der = fixture(*index).to_vec();
            let offset = usize::from(u16::from_be_bytes([*high, *low])) % der.len();
            der[offset] ^= mask;
            Some((CertificateDer::from(der), rest))
        }
        _ => None,
    }
}

/// Only the chains that the fixture's CA made are anybody's, and each is whose the CA says.
fn check_is_genuine(chain: &[CertificateDer<'_>], peer: &PeerIdentity) {
    let id = peer.spiffe_id().as_str();
    assert!((1..=MAX_PEER_CHAIN).contains(&chain.len()), "{id}");
    let shows = |index: &u8| chain.contains(&fixture(*index));
    let genuine = CHAINS.iter().find(|genuine| {
        chain.first() == Some(&fixture(genuine.leaf)) && genuine.intermediates.iter().all(shows)
    });
    assert_eq!(genuine.map(|genuine| genuine.id), Some(id));
    for leaf in chain.iter().take(1) {
        assert_eq!(peer.leaf_thumbprint(), digest(&SHA256, leaf).as_ref());
    }
    assert!(peer.not_before() <= NOW && NOW <= peer.not_after());
}

/// A refusal names nobody as proved who did not show the certificate of a CA we trust.
fn check_refusal(chain: &[CertificateDer<'_>], error: &PeerError) {
    let message = whole_message(error);
    assert!(!error.reason().is_empty(), "{message}");
    if let Some(id) = error.proved_id() {
        assert_eq!(chain.first(), Some(&fixture(OPERATOR)), "{message}");
        assert_eq!(id.as_str(), "spiffe://example.org/operator");
        assert_eq!(error.claimed_id(), None);
    }
    // Through rustls and back.
    let wrapped = rustls::Error::from(error.clone());
    let found = PeerError::from_rustls(&wrapped).map(PeerError::reason);
    assert_eq!(found, Some(error.reason()));
}

/// As rustls asks, a chain passes in a role just when `identify` passes it in that role.
fn check_roles(chain: &[CertificateDer<'_>], identified: &[Result<PeerIdentity, PeerError>; 2]) {
    // The lists are only asked once possession is proved.
    let verified = identified
        .each_ref()
        .map(|identified| identified.is_ok() || reason(identified) == "peer-not-allowed");
    let Some((leaf, intermediates)) = chain.split_first() else {
        let reasons = identified.each_ref().map(reason);
        assert_eq!(reasons, ["no-certificate"; 2]);
        return;
    };
    let name = ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into());
    let as_client = new_verifier().verify_client_cert(leaf, intermediates, NOW);
    let as_server = new_verifier().verify_server_cert(leaf, intermediates, &name, &[], NOW);
    assert_eq!([as_client.is_ok(), as_server.is_ok()], verified);
}

fn reason(identified: &Result<PeerIdentity, PeerError>) -> &'static str {
    match identified {
        Ok(_) => "",
        Err(error) => error.reason(),
    }
}
