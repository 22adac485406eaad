//! Chains as SPIRE makes them under the CAs that companies have: RSA and P-384, with intermediates.

use std::sync::Arc;

use pqlane_certs::testing::{TestDomain, TestIssuer, TestSvid, key_pair, rsa_key_pair};
use rcgen::{
    BasicConstraints, CertificateParams, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P384_SHA384, RsaKeySize, SanType,
};

use crate::support::{End, shake_hands};

const CLIENT: &str = "spiffe://example.org/client";
const SERVER: &str = "spiffe://example.org/server";

/// An upstream root: a name, and nothing about SPIFFE.
fn without_san(params: &mut CertificateParams) {
    params.subject_alt_names.clear();
}

/// A CA of SPIRE: the ID of the trust domain, and no CA below.
fn of_spire(params: &mut CertificateParams) {
    let id = "spiffe://example.org".try_into().unwrap();
    params.subject_alt_names = vec![SanType::URI(id)];
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
}

/// A handshake between two leaves of this issuer with keys like this one; both ends must accept.
fn check(domain: &TestDomain, issuer: &TestIssuer, key: &Arc<KeyPair>, what: &str) {
    let svid = |id: &str| -> TestSvid { issuer.leaf(id).key_pair(Arc::clone(key)).issue() };
    let client = End::new(svid(CLIENT), &[domain], &[SERVER]);
    let server = End::new(svid(SERVER), &[domain], &[CLIENT]);
    let (at_client, at_server) = shake_hands(&client, &server);
    assert_eq!(
        (at_client.result, at_server.result),
        (Ok(()), Ok(())),
        "{what}"
    );
}

#[test]
fn rsa_and_p384_leaves_are_accepted_under_rsa_and_p384_roots_with_up_to_two_intermediates() {
    let keys = [
        ("RSA-2048", rsa_key_pair(RsaKeySize::_2048)),
        ("RSA-3072", rsa_key_pair(RsaKeySize::_3072)),
        ("RSA-4096", rsa_key_pair(RsaKeySize::_4096)),
        ("P-384", key_pair(&PKCS_ECDSA_P384_SHA384)),
        ("P-256", key_pair(&PKCS_ECDSA_P256_SHA256)),
    ];
    for (index, (root_name, root_key)) in keys.iter().enumerate() {
        let domain = TestDomain::with_root("example.org", Arc::clone(root_key), without_san);
        // The next ones in the row, so that every kind of key signs every other kind somewhere.
        let next = |by: usize| &keys[(index + by) % keys.len()];
        let ((upper_name, upper_key), (spire_name, spire_key)) = (next(1), next(2));
        let upper =
            domain
                .root()
                .intermediate_with_key("upstream", Arc::clone(upper_key), without_san);
        let below_upper = upper.intermediate_with_key("SPIRE", Arc::clone(spire_key), of_spire);
        let below_root =
            domain
                .root()
                .intermediate_with_key("SPIRE", Arc::clone(spire_key), of_spire);
        for (leaf_name, leaf_key) in &keys {
            let what = |path: &str| format!("{leaf_name} under {path}{root_name}");
            check(&domain, domain.root(), leaf_key, &what(""));
            let path = format!("{spire_name} under ");
            check(&domain, &below_root, leaf_key, &what(&path));
            let path = format!("{spire_name} under {upper_name} under ");
            check(&domain, &below_upper, leaf_key, &what(&path));
        }
    }
}

/// SPIRE leaves the path length of its CA open unless told otherwise.
#[test]
fn a_spire_ca_without_a_path_length_is_accepted_with_a_leaf_of_its_own() {
    let root = key_pair(&PKCS_ECDSA_P384_SHA384);
    let domain = TestDomain::with_root("example.org", root, without_san);
    let spire = domain.root().intermediate_with("SPIRE", |params| {
        of_spire(params);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    let key = key_pair(&PKCS_ECDSA_P256_SHA256);
    check(&domain, &spire, &key, "no path length");
}

#[test]
fn rsa_pss_signatures_of_the_handshake_are_the_leaf_s_own() {
    let domain = TestDomain::new("example.org");
    let leaf = |key: &Arc<KeyPair>| domain.leaf("/client").key_pair(Arc::clone(key)).issue();
    let victim = leaf(&rsa_key_pair(RsaKeySize::_2048));
    let attacker = leaf(&rsa_key_pair(RsaKeySize::_2048));
    let client = End::new(victim.with_key_of(&attacker), &[&domain], &[SERVER]);
    let server = End::new(domain.leaf("/server").issue(), &[&domain], &[CLIENT]);
    let (_, at_server) = shake_hands(&client, &server);
    assert_eq!(at_server.reason(), "bad-signature");
}
