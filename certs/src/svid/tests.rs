use aws_lc_rs::encoding::{AsDer, EcPrivateKeyRfc5915Der};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rcgen::RsaKeySize;

use super::*;
use crate::authority::KeyKind;
use crate::leaf::element;
use crate::testing::{TestDomain, now_plus, provider, rsa_key_pair};

fn reason(chain_pem: &str, key_pem: &str) -> &'static str {
    X509Svid::from_pem(chain_pem.as_bytes(), key_pem.as_bytes(), &provider())
        .unwrap_err()
        .reason()
}

#[test]
fn reads_every_kind_of_key() {
    let domain = TestDomain::new("example.org");
    for kind in KeyKind::ALL {
        let issued = domain.leaf("/agent").key(kind).issue();
        let svid = issued.svid();
        assert_eq!(svid.id().as_str(), "spiffe://example.org/agent");
        assert_eq!(svid.certified_key().cert, issued.chain(), "{kind}");
    }
}

/// The same key as SEC1, `EC PRIVATE KEY`. Spec: RFC 5915.
fn sec1(key_pem: &str) -> String {
    let pkcs8 = pem::parse(key_pem).unwrap();
    let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
    let key = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.contents()).unwrap();
    let der: EcPrivateKeyRfc5915Der<'_> = key.private_key().as_der().unwrap();
    pem::encode(&pem::Pem::new("EC PRIVATE KEY", der.as_ref()))
}

#[test]
fn reads_sec1_keys() {
    let (chain, key) = TestDomain::new("example.org").svid_pem("/agent");
    let sec1 = sec1(key.as_str());
    let svid = X509Svid::from_pem(chain.as_bytes(), sec1.as_bytes(), &provider()).unwrap();
    assert_eq!(svid.id().path(), "/agent");
}

/// The same key as PKCS#1, `RSA PRIVATE KEY`, which is the PKCS#8 one without its wrapping.
/// Spec: RFC 8017 §A.1.2; RFC 5958 §2 for the wrapping.
fn pkcs1(key_pem: &str) -> String {
    let pkcs8 = pem::parse(key_pem).unwrap();
    let wrapping = element::first(pkcs8.contents()).unwrap();
    let octet_string = element::each(wrapping.contents).nth(2).unwrap();
    assert_eq!(octet_string.identifier, 0x04);
    pem::encode(&pem::Pem::new("RSA PRIVATE KEY", octet_string.contents))
}

#[test]
fn reads_rsa_keys_in_both_encodings() {
    let domain = TestDomain::new("example.org");
    let issued = domain
        .leaf("/agent")
        .key_pair(rsa_key_pair(RsaKeySize::_2048))
        .issue();
    let (chain, key) = (issued.chain_pem(), issued.key_pem());
    for key in [key.as_str().to_owned(), pkcs1(key.as_str())] {
        let svid = X509Svid::from_pem(chain.as_bytes(), key.as_bytes(), &provider()).unwrap();
        assert_eq!(svid.id().path(), "/agent");
        let other = domain.leaf("/agent").issue().chain_pem();
        assert_eq!(reason(&other, &key), "key-mismatch");
    }
}

#[test]
fn keeps_intermediates_in_the_chain() {
    let domain = TestDomain::new("example.org");
    let intermediate = domain.root().intermediate("issuing");
    let issued = intermediate.leaf("spiffe://example.org/agent").issue();
    assert_eq!(issued.svid().certified_key().cert.len(), 2);
}

#[test]
fn rejects_a_key_that_does_not_belong_to_the_leaf() {
    let domain = TestDomain::new("example.org");
    for kind in KeyKind::ALL {
        let (a, b) = (domain.leaf("/a").key(kind), domain.leaf("/b").key(kind));
        let chain = a.issue().chain_pem();
        let reason = reason(&chain, b.issue().key_pem().as_str());
        assert_eq!(reason, "key-mismatch", "{kind}");
    }
    let chain = domain.leaf("/a").issue().chain_pem();
    let other = sec1(domain.leaf("/b").issue().key_pem().as_str());
    assert_eq!(reason(&chain, &other), "key-mismatch");
}

#[test]
fn rejects_a_chain_whose_first_certificate_is_not_the_leaf() {
    let domain = TestDomain::new("example.org");
    let intermediate = domain.root().intermediate("issuing");
    let issued = intermediate.leaf("spiffe://example.org/agent").issue();
    let reversed = intermediate.certificate_pem() + &issued.chain_pem();
    assert_eq!(reason(&reversed, issued.key_pem().as_str()), "leaf-is-ca");
}

#[test]
fn rejects_files_without_certificate_or_key() {
    let (chain, key) = TestDomain::new("example.org").svid_pem("/agent");
    assert_eq!(reason("", key.as_str()), "no-certificate");
    assert_eq!(reason("no PEM in here", key.as_str()), "no-certificate");
    assert_eq!(reason(key.as_str(), key.as_str()), "no-certificate");
    assert_eq!(reason(&chain, ""), "no-key");
    assert_eq!(reason(&chain, &chain), "no-key");
    let encrypted = key.as_str().replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    assert_eq!(reason(&chain, &encrypted), "no-key");
}

#[test]
fn rejects_more_than_ten_certificates() {
    let (chain, key) = TestDomain::new("example.org").svid_pem("/agent");
    assert_eq!(reason(&chain.repeat(11), key.as_str()), "chain-too-long");
    let ten = chain.repeat(10);
    assert!(X509Svid::from_pem(ten.as_bytes(), key.as_bytes(), &provider()).is_ok());
}

#[test]
fn rejects_several_keys() {
    let (chain, key) = TestDomain::new("example.org").svid_pem("/agent");
    assert_eq!(reason(&chain, &key.as_str().repeat(2)), "many-keys");
}

#[test]
fn rejects_keys_that_are_not_what_their_label_says() {
    let (chain, key) = TestDomain::new("example.org").svid_pem("/agent");
    let pkcs1 = key.as_str().replace("PRIVATE KEY", "RSA PRIVATE KEY");
    assert_eq!(reason(&chain, &pkcs1), "key-unusable");
    let unusable = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
    assert_eq!(reason(&chain, unusable), "key-unusable");
}

#[test]
fn rejects_damaged_pem() {
    let (chain, key) = TestDomain::new("example.org").svid_pem("/agent");
    let cut = &chain[..chain.len() / 2];
    assert_eq!(reason(cut, key.as_str()), "malformed-certificate");
    let cut = &key.as_str()[..key.as_str().len() / 2];
    assert_eq!(reason(&chain, cut), "malformed-key");
}

#[test]
fn tells_errors_of_the_key_from_errors_of_the_chain() {
    assert!(SvidError::NoKey.is_about_the_key());
    assert!(!SvidError::NoCertificate.is_about_the_key());
}

#[test]
fn both_ends_of_the_period_are_valid() {
    let domain = TestDomain::new("example.org");
    let svid = domain
        .leaf("/agent")
        .valid(now_plus(0), now_plus(60))
        .issue()
        .svid();
    assert!(svid.check_valid_at(now_plus(0)).is_ok());
    assert!(svid.check_valid_at(now_plus(60)).is_ok());
    let early = svid.check_valid_at(now_plus(-1)).unwrap_err();
    assert_eq!(early.reason(), "not-yet-valid");
    let late = svid.check_valid_at(now_plus(61)).unwrap_err();
    assert_eq!(late.to_string(), "the SVID expired at 2026-06-01T00:01:00Z");
}

#[test]
fn debug_shows_id_and_expiry_only() {
    let domain = TestDomain::new("example.org");
    let svid = domain
        .leaf("/agent")
        .valid(now_plus(0), now_plus(60))
        .issue()
        .svid();
    assert_eq!(
        format!("{svid:?}"),
        "X509Svid(spiffe://example.org/agent, until 2026-06-01T00:01:00Z)"
    );
}

#[test]
fn takes_der_as_it_reads_pem() {
    let domain = TestDomain::new("example.org");
    let issued = domain.leaf("/agent").issue();
    let key = pem::parse(issued.key_pem().as_str()).unwrap();
    let from_der = |chain: &[CertificateDer<'_>], key: &[u8]| {
        X509Svid::from_der(chain.to_vec(), key, &provider()).map_err(|error| error.reason())
    };
    let svid = from_der(issued.chain(), key.contents()).unwrap();
    assert_eq!(svid.leaf(), issued.svid().leaf());
    assert_eq!(svid.certified_key().cert, issued.chain());

    let leaf = issued.chain()[0].clone();
    for (count, expected) in [
        (0, Err("no-certificate")),
        (MAX_OWN_CHAIN, Ok(())),
        (MAX_OWN_CHAIN + 1, Err("chain-too-long")),
    ] {
        let chain = vec![leaf.clone(); count];
        assert_eq!(from_der(&chain, key.contents()).map(drop), expected);
    }
    let cut = &key.contents()[1..];
    assert_eq!(from_der(issued.chain(), cut).map(drop), Err("key-unusable"));
    let other = domain.leaf("/agent").issue().key_pem();
    let other = pem::parse(other.as_str()).unwrap();
    let foreign = from_der(issued.chain(), other.contents());
    assert_eq!(foreign.map(drop), Err("key-mismatch"));
}
