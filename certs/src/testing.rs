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

use rcgen::{CertificateParams, CustomExtension, KeyPair, RsaKeySize, SignatureAlgorithm};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};

use crate::authority::KeyKind;
use crate::bundle::{TrustBundle, TrustBundles};
use crate::clock::Clock;
use crate::revocation::DenyList;
use crate::secret::SecretPem;
use crate::spiffe_id::{AllowList, TrustDomain};
use crate::svid::X509Svid;
use crate::verifier::PeerVerifierConfig;

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

/// What a verifier needs that trusts these bundles and accepts these peers: nobody is denied, every
/// algorithm of [`provider`] is accepted, and what it remembers it shares with nobody.
pub fn verifier_config(
    bundles: Arc<TrustBundles>,
    allowed: AllowList,
    clock: Arc<dyn Clock>,
) -> PeerVerifierConfig {
    PeerVerifierConfig {
        bundles,
        allowed,
        denied: Arc::new(DenyList::default()),
        algorithms: provider().signature_verification_algorithms,
        clock,
        cache: Arc::default(),
    }
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
        Self::with_root(name, generate(kind), |_| {})
    }

    /// A trust domain whose root has this key, changed before it is signed.
    pub fn with_root(
        name: &str,
        key: Arc<KeyPair>,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        let trust_domain: TrustDomain = name.parse().expect("trust domain");
        let root = TestIssuer::root(&trust_domain, key, change);
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

    /// The trust bundle with these revocation lists.
    pub fn bundle_with(
        &self,
        crls: impl IntoIterator<Item = CertificateRevocationListDer<'static>>,
    ) -> TrustBundle {
        self.bundle().with_crls(crls).expect("CRLs")
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

/// A critical nameConstraints with one permitted subtree, the URIs of one host.
/// Spec: RFC 5280 §4.2.1.10.
pub fn uri_name_constraints() -> CustomExtension {
    let host = b"example.org";
    let len = |more: usize| u8::try_from(host.len() + more).expect("a short host");
    // NameConstraints { permittedSubtrees [0] { GeneralSubtree { uniformResourceIdentifier [6] } } }.
    let mut der = vec![0x30, len(6), 0xa0, len(4), 0x30, len(2), 0x86, len(0)];
    der.extend(host);
    let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, 30], der);
    extension.set_criticality(true);
    extension
}

/// A key of an algorithm that the development authority does not issue, ECDSA P-384 for one.
pub fn key_pair(algorithm: &'static SignatureAlgorithm) -> Arc<KeyPair> {
    Arc::new(KeyPair::generate_for(algorithm).expect("key"))
}

/// An RSA key of this size; its certificates are signed with PKCS#1 v1.5 and SHA-256.
pub fn rsa_key_pair(size: RsaKeySize) -> Arc<KeyPair> {
    Arc::new(KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size).expect("key"))
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
