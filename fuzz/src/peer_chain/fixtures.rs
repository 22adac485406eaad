//! A trust domain that stays the same, so that what a fuzzer finds can be replayed.
//!
//! Test material: the keys were thrown away when the certificates were made, with `pqlane_certs::testing`.

#![allow(
    clippy::expect_used,
    reason = "fixtures: a certificate that cannot be read is a broken test"
)]

use std::sync::Arc;

use pqlane_certs::bundle::{TrustBundle, TrustBundles};
use rustls_pki_types::CertificateDer;

/// What seeds name by index. All certificates have ECDSA P-256 keys and are valid from 2024 to 2099 unless said.
pub(super) const FIXTURES: [&[u8]; 13] = [
    // 0, 1: the root of example.org, and its intermediate.
    include_bytes!("../../fixtures/root.der"),
    include_bytes!("../../fixtures/intermediate.der"),
    // 2, 3: leaves of the root and of the intermediate, for both roles.
    include_bytes!("../../fixtures/direct.der"),
    include_bytes!("../../fixtures/planner.der"),
    // 4, 5: leaves of the root for one role each.
    include_bytes!("../../fixtures/client_only.der"),
    include_bytes!("../../fixtures/server_only.der"),
    // 6: a leaf of the root that the allow-list does not name.
    include_bytes!("../../fixtures/operator.der"),
    // 7: a leaf of the root that expired in 2025.
    include_bytes!("../../fixtures/expired.der"),
    // 8, 9: the root of another CA, and its leaf for an ID of example.org.
    include_bytes!("../../fixtures/stranger_root.der"),
    include_bytes!("../../fixtures/stranger.der"),
    // 10: a leaf of the root for an ID of example.com, which has the stranger for its root.
    include_bytes!("../../fixtures/other_domain.der"),
    // 11, 12: an intermediate that may not sign certificates, and its leaf.
    include_bytes!("../../fixtures/no_cert_sign.der"),
    include_bytes!("../../fixtures/below_no_cert_sign.der"),
];

/// The leaf that is genuine and not allowed.
pub(super) const OPERATOR: u8 = 6;

/// A leaf that is genuine and allowed, with what it needs to be verified.
#[derive(Debug)]
pub(super) struct Genuine {
    pub(super) leaf: u8,
    pub(super) intermediates: &'static [u8],
    pub(super) id: &'static str,
}

/// All of them.
pub(super) const CHAINS: [Genuine; 4] = [
    genuine(2, &[], "spiffe://example.org/agent/direct"),
    genuine(3, &[1], "spiffe://example.org/agent/planner"),
    genuine(4, &[], "spiffe://example.org/agent/client"),
    genuine(5, &[], "spiffe://example.org/agent/server"),
];

const fn genuine(leaf: u8, intermediates: &'static [u8], id: &'static str) -> Genuine {
    Genuine {
        leaf,
        intermediates,
        id,
    }
}

/// A certificate by its index, modulo their number.
pub(crate) fn fixture(index: u8) -> CertificateDer<'static> {
    CertificateDer::from(FIXTURES[usize::from(index) % FIXTURES.len()])
}

/// example.org with its root, example.com with the stranger's.
pub(crate) fn bundles() -> Arc<TrustBundles> {
    let mut bundles = TrustBundles::new();
    for (trust_domain, root) in [
        ("example.org", ROOT_PEM),
        ("example.com", STRANGER_ROOT_PEM),
    ] {
        let trust_domain = trust_domain.parse().expect("trust domain");
        let bundle = TrustBundle::from_pem(trust_domain, root).expect("bundle");
        bundles.insert(bundle).expect("one bundle each");
    }
    Arc::new(bundles)
}

/// The roots once more, as bundles have them.
const ROOT_PEM: &[u8] = include_bytes!("../../fixtures/root.pem");
const STRANGER_ROOT_PEM: &[u8] = include_bytes!("../../fixtures/stranger_root.pem");
