//! Fixtures for tests: trust domains, SVIDs, and certificates that break one rule each.
//!
//! Takes names. Gives certificates made on the spot, valid from 2024 to 2099 unless a test says
//! otherwise, so that they serve a [`crate::clock::FixedClock`] at [`NOW`] and the system clock
//! alike. Never part of a production build: the feature `testing` brings it in.
//!
//! Everything here panics when a certificate cannot be made, since then the test is at fault.

#![allow(
    clippy::expect_used,
    reason = "fixtures: a certificate that cannot be made is a broken test"
)]

mod certificate;

use std::sync::Arc;
use std::time::Duration;

use rcgen::KeyPair;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::authority::KeyKind;
use crate::bundle::{TrustBundle, TrustBundles};
use crate::secret::SecretPem;
use crate::spiffe_id::{AllowList, TrustDomain};
use crate::svid::X509Svid;

pub use certificate::{TestIssuer, TestLeaf, TestSvid};

/// The time at which tests with a fixed clock begin: 2026-06-01T00:00:00Z.
pub const NOW: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(1_780_272_000));

/// [`NOW`] moved by a number of seconds, backwards if negative.
pub fn now_plus(secs: i64) -> UnixTime {
    let at = NOW.as_secs().saturating_add_signed(secs);
    UnixTime::since_unix_epoch(Duration::from_secs(at))
}

/// A TLS provider that speaks X25519MLKEM768 and nothing else.
pub fn provider() -> CryptoProvider {
    CryptoProvider {
        kx_groups: vec![kx_group::X25519MLKEM768],
        ..default_provider()
    }
}

/// The allow-list of these patterns.
pub fn allow(patterns: &[&str]) -> AllowList {
    let patterns: Vec<_> = patterns
        .iter()
        .map(|pattern| pattern.parse().expect("pattern"))
        .collect();
    AllowList::from(patterns)
}

/// These bundles, each for its own trust domain.
pub fn bundles(domains: &[&TestDomain]) -> Arc<TrustBundles> {
    let mut bundles = TrustBundles::new();
    for domain in domains {
        bundles.insert(domain.bundle()).expect("one bundle each");
    }
    Arc::new(bundles)
}

/// A trust domain with a root CA.
#[derive(Debug)]
pub struct TestDomain {
    trust_domain: TrustDomain,
    root: TestIssuer,
}

impl TestDomain {
    /// A trust domain whose root has an ECDSA P-256 key.
    pub fn new(name: &str) -> Self {
        Self::with_key(name, KeyKind::EcdsaP256)
    }

    /// A trust domain whose root has a key of this kind.
    pub fn with_key(name: &str, kind: KeyKind) -> Self {
        let trust_domain: TrustDomain = name.parse().expect("trust domain");
        let root = TestIssuer::root(&trust_domain, &generate(kind));
        Self { trust_domain, root }
    }

    /// The name.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The root CA, for intermediates and hostile leaves.
    pub fn root(&self) -> &TestIssuer {
        &self.root
    }

    /// The trust bundle: the one root.
    pub fn bundle(&self) -> TrustBundle {
        let pem = self.bundle_pem();
        TrustBundle::from_pem(self.trust_domain.clone(), pem.as_bytes()).expect("bundle")
    }

    /// The trust bundle as PEM text.
    pub fn bundle_pem(&self) -> String {
        self.root.certificate_pem()
    }

    /// A leaf with this path, such as `/agent`, to be changed before it is made.
    pub fn leaf(&self, path: &str) -> TestLeaf<'_> {
        self.root
            .leaf(&format!("spiffe://{}{path}", self.trust_domain))
    }

    /// A good SVID with this path, such as `/agent`.
    pub fn svid(&self, path: &str) -> X509Svid {
        self.leaf(path).issue().svid()
    }

    /// A good SVID with this path, as PEM text: the chain and the key.
    pub fn svid_pem(&self, path: &str) -> (String, SecretPem) {
        let svid = self.leaf(path).issue();
        (svid.chain_pem(), svid.key_pem())
    }
}

fn generate(kind: KeyKind) -> Arc<KeyPair> {
    Arc::new(KeyPair::generate_for(kind.algorithm()).expect("key"))
}

fn pem(chain: &[CertificateDer<'_>]) -> String {
    chain
        .iter()
        .map(crate::authority::certificate_pem)
        .collect()
}
