use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::ca::read_trust_domain;
use super::*;
use crate::bundle::{TrustBundle, TrustBundles};
use crate::clock::FixedClock;
use crate::leaf::Leaf;
use crate::testing::{NOW, TestDomain, allow, now_plus, provider, verifier_config};
use crate::verifier::{PeerVerifier, Role};

const DAY: Duration = Duration::from_secs(86_400);

fn clock() -> FixedClock {
    FixedClock::new(NOW)
}

fn authority() -> Authority {
    Authority::create("example.org".parse().unwrap(), DAY, &clock()).unwrap()
}

fn agent() -> SpiffeId {
    "spiffe://example.org/agent".parse().unwrap()
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

#[test]
fn its_svids_verify_under_its_bundle_for_every_kind_of_key() {
    let authority = authority();
    let bundle = authority.bundle_pem();
    let bundle = TrustBundle::from_pem("example.org".parse().unwrap(), bundle.as_bytes()).unwrap();
    let mut bundles = TrustBundles::new();
    bundles.insert(bundle).unwrap();
    let allowed = allow(&["spiffe://example.org/agent"]);
    let verifier = PeerVerifier::new(verifier_config(
        Arc::new(bundles),
        allowed,
        Arc::new(clock()),
    ));
    for key in KeyKind::ALL {
        let options = IssueOptions {
            key,
            ..IssueOptions::default()
        };
        let issued = authority.issue(&agent(), &options, &clock()).unwrap();
        let svid = issued.to_svid(&provider()).unwrap();
        let peer = verifier
            .identify(&svid.certified_key().cert, Role::Client)
            .unwrap();
        assert_eq!(*peer.spiffe_id(), agent(), "{key}");
    }
}

#[test]
fn a_ca_of_every_kind_reads_back_and_issues_what_verifies() {
    for key in KeyKind::ALL {
        for intermediate in [None, Some(key), Some(KeyKind::EcdsaP256)] {
            let options = CreateOptions {
                ttl: DAY,
                key,
                intermediate,
            };
            let domain: TrustDomain = "example.org".parse().unwrap();
            let made = Authority::create_with(domain.clone(), &options, &clock()).unwrap();
            let dir = tempfile::tempdir().unwrap();
            made.save(dir.path()).unwrap();
            let authority = Authority::open(dir.path(), &clock()).unwrap();
            assert_eq!(authority.bundle_pem(), made.bundle_pem());

            let bundle = TrustBundle::from_pem(domain, made.bundle_pem().as_bytes()).unwrap();
            let mut bundles = TrustBundles::new();
            bundles.insert(bundle).unwrap();
            let allowed = allow(&["spiffe://example.org/agent"]);
            let config = verifier_config(Arc::new(bundles), allowed, Arc::new(clock()));
            let verifier = PeerVerifier::new(config);
            let issued = authority.issue(&agent(), &IssueOptions::default(), &clock());
            let svid = issued.unwrap().to_svid(&provider()).unwrap();
            let chain = &svid.certified_key().cert;
            assert_eq!(chain.len(), 1 + usize::from(intermediate.is_some()));
            let peer = verifier.identify(chain, Role::Client).unwrap();
            assert_eq!(*peer.spiffe_id(), agent(), "{key} {intermediate:?}");
        }
    }
}

#[test]
fn refuses_an_intermediate_of_another_authority() {
    let with_intermediate = |domain: &str| {
        let options = CreateOptions {
            intermediate: Some(KeyKind::EcdsaP256),
            ..CreateOptions::default()
        };
        Authority::create_with(domain.parse().unwrap(), &options, &clock()).unwrap()
    };
    let foreign = with_intermediate("example.com").to_pem();
    let (certificate, key) = foreign.intermediate.unwrap();
    let taken = authority().with_intermediate_pem(certificate.as_bytes(), key.as_bytes());
    let error = taken.unwrap_err();
    assert!(
        matches!(error, AuthorityError::OtherTrustDomain { .. }),
        "{error:?}"
    );

    let own = with_intermediate("example.org").to_pem();
    let (certificate, own_key) = own.intermediate.unwrap();
    let other_root = authority();
    let taken = other_root.with_intermediate_pem(certificate.as_bytes(), own_key.as_bytes());
    let error = taken.unwrap_err();
    assert!(matches!(error, AuthorityError::OtherRoot), "{error:?}");

    let taken = authority().with_intermediate_pem(certificate.as_bytes(), key.as_bytes());
    let error = taken.unwrap_err();
    assert!(matches!(error, AuthorityError::KeyMismatch), "{error:?}");
}

#[test]
fn its_certificate_is_that_of_a_signing_certificate() {
    let ca = der(&authority().bundle_pem());
    let (_, ca) = X509Certificate::from_der(&ca).unwrap();
    let constraints = ca.basic_constraints().unwrap().unwrap();
    assert!(constraints.critical && constraints.value.ca);
    assert_eq!(constraints.value.path_len_constraint, Some(0));
    let usage = ca.key_usage().unwrap().unwrap();
    assert!(usage.critical && usage.value.key_cert_sign());
    assert!(!usage.value.digital_signature());
    assert_eq!(read_trust_domain(&ca).unwrap().as_str(), "example.org");
}

#[test]
fn its_leaves_have_the_fields_of_an_svid() {
    let issued = authority()
        .issue(&agent(), &IssueOptions::default(), &clock())
        .unwrap();
    let leaf = der(&issued.chain_pem);
    let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
    let constraints = leaf.basic_constraints().unwrap().unwrap();
    assert!(!constraints.value.ca);
    let usage = leaf.key_usage().unwrap().unwrap();
    assert!(usage.critical);
    assert_eq!(usage.value.flags, 1, "digitalSignature and nothing else");
    let purposes = leaf.extended_key_usage().unwrap().unwrap();
    assert!(purposes.value.server_auth && purposes.value.client_auth);
    let names = leaf.subject_alternative_name().unwrap().unwrap();
    assert!(names.critical, "the subject is empty");
    assert_eq!(
        names.value.general_names,
        [GeneralName::URI("spiffe://example.org/agent")]
    );
}

#[test]
fn its_leaves_begin_earlier_and_never_outlive_the_ca() {
    let authority = authority();
    let issue = |ttl, clock: &FixedClock| {
        let options = IssueOptions {
            ttl,
            ..IssueOptions::default()
        };
        let issued = authority.issue(&agent(), &options, clock).unwrap();
        Leaf::parse(&der(&issued.chain_pem)).unwrap()
    };
    let short = issue(Duration::from_secs(60), &FixedClock::new(now_plus(100)));
    assert_eq!(short.not_before(), now_plus(70));
    assert_eq!(short.not_after(), now_plus(160));
    let long = issue(DAY * 7, &clock());
    assert_eq!(long.not_after(), authority.not_after());
    assert_eq!(authority.not_after(), now_plus(86_400));
}

#[test]
fn refuses_to_issue_once_the_ca_has_expired() {
    let authority = authority();
    let issue = |at| authority.issue(&agent(), &IssueOptions::default(), &FixedClock::new(at));
    assert!(issue(now_plus(86_400)).is_ok());
    let late = issue(now_plus(86_401)).unwrap_err();
    assert!(matches!(late, AuthorityError::Expired { .. }));
    let early = issue(now_plus(-31)).unwrap_err();
    assert!(matches!(early, AuthorityError::NotYetValid { .. }));
}

#[test]
fn refuses_ids_of_other_domains_and_without_path() {
    let authority = authority();
    let issue = |id: &str| {
        let id = id.parse().unwrap();
        let issued = authority.issue(&id, &IssueOptions::default(), &clock());
        issued.unwrap_err()
    };
    let foreign = issue("spiffe://example.com/agent");
    assert!(matches!(foreign, AuthorityError::ForeignId { .. }));
    let sub = issue("spiffe://sub.example.org/agent");
    assert!(matches!(sub, AuthorityError::ForeignId { .. }));
    let pathless = issue("spiffe://example.org");
    assert!(matches!(pathless, AuthorityError::NoPath { .. }));
}

#[test]
fn refuses_lifetimes_that_x509_cannot_write() {
    for ttl in [
        Duration::ZERO,
        Duration::from_millis(999),
        Duration::MAX,
        DAY * 4_000_000,
    ] {
        let error = Authority::create("example.org".parse().unwrap(), ttl, &clock()).unwrap_err();
        assert!(matches!(error, AuthorityError::Ttl { ttl: refused } if refused == ttl));
    }
}

#[test]
fn reads_back_from_pem() {
    let authority = authority();
    let pem = authority.to_pem();
    let read = |trust_domain: &str| {
        Authority::from_pem(
            pem.certificate_pem.as_bytes(),
            pem.key_pem.as_bytes(),
            trust_domain.parse().unwrap(),
        )
    };
    let again = read("example.org").unwrap();
    assert_eq!(again.bundle_pem(), authority.bundle_pem());
    assert_eq!(again.not_after(), authority.not_after());
    let error = read("example.com").unwrap_err();
    assert!(matches!(error, AuthorityError::OtherTrustDomain { .. }));
}

#[test]
fn rejects_pem_that_is_not_a_ca_with_its_key() {
    let (one, other) = (authority().to_pem(), authority().to_pem());
    let error = |certificate: &str, key: &str| {
        let name = "example.org".parse().unwrap();
        Authority::from_pem(certificate.as_bytes(), key.as_bytes(), name).unwrap_err()
    };
    let (certificate, key) = (&one.certificate_pem, one.key_pem.as_str());
    let mismatch = error(certificate, other.key_pem.as_str());
    assert!(matches!(mismatch, AuthorityError::KeyMismatch));
    assert!(matches!(error("", key), AuthorityError::Pem(_)));
    assert!(matches!(error(certificate, ""), AuthorityError::KeyPem(_)));

    let domain = TestDomain::new("example.org");
    let (leaf, leaf_key) = domain.svid_pem("/agent");
    let not_ca = error(&leaf, leaf_key.as_str());
    assert!(matches!(not_ca, AuthorityError::NotCa));
    let nameless = domain.root().intermediate("no URI").certificate_pem();
    assert!(matches!(
        error(&nameless, key),
        AuthorityError::NoTrustDomain
    ));
}

#[test]
fn saves_into_a_new_directory_and_opens_again() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("a/ca");
    let authority = authority();
    authority.save(&home).unwrap();
    let read = |name| fs::read_to_string(home.join(name)).unwrap();
    assert_eq!(read("bundle.pem"), authority.bundle_pem());
    assert_eq!(read("ca.pem"), authority.to_pem().certificate_pem);
    assert_eq!(mode(&home.join("ca.key")), 0o600);

    let again = Authority::open(&home, &clock()).unwrap();
    assert_eq!(again.trust_domain().as_str(), "example.org");
    let issued = again.issue(&agent(), &IssueOptions::default(), &clock());
    assert!(issued.unwrap().to_svid(&provider()).is_ok());

    let late = Authority::open(&home, &FixedClock::new(now_plus(86_401))).unwrap_err();
    let expired = matches!(
        &late,
        AuthorityFileError::Authority {
            source: AuthorityError::Expired { .. },
            ..
        }
    );
    assert!(expired, "{late:?}");
    let missing = Authority::open(dir.path(), &clock()).unwrap_err();
    assert!(matches!(missing, AuthorityFileError::Read { .. }));
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn overwrites_no_file_of_another_authority() {
    for name in [KEY_FILE, CERTIFICATE_FILE, BUNDLE_FILE] {
        let dir = tempfile::tempdir().unwrap();
        let kept = dir.path().join(name);
        fs::write(&kept, "precious").unwrap();
        match authority().save(dir.path()).unwrap_err() {
            AuthorityFileError::AlreadyExists { path } => assert_eq!(path, kept),
            error => panic!("{error:?}"),
        }
        assert_eq!(fs::read_to_string(&kept).unwrap(), "precious");
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "nothing is left of the attempt");
    }
}

#[test]
fn saves_an_svid_over_an_older_one() {
    let dir = tempfile::tempdir().unwrap();
    let prefix = dir.path().join("agent.v1");
    let issue = || {
        authority()
            .issue(&agent(), &IssueOptions::default(), &clock())
            .unwrap()
    };
    issue().save(&prefix).unwrap();
    let second = issue();
    let (svid_path, key_path) = second.save(&prefix).unwrap();
    assert_eq!(svid_path, dir.path().join("agent.v1.svid.pem"));
    assert_eq!(key_path, dir.path().join("agent.v1.key.pem"));
    assert_eq!(fs::read_to_string(&svid_path).unwrap(), second.chain_pem);
    let key = fs::read_to_string(&key_path).unwrap();
    assert_eq!(key, second.key_pem.as_str());
    assert_eq!(mode(&key_path), 0o600);
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(left.len(), 2, "no temporary file is left");

    let nowhere = second.save(&dir.path().join("missing/agent")).unwrap_err();
    assert!(matches!(nowhere, AuthorityFileError::Write { .. }));
}

#[test]
fn key_kinds_read_back_from_their_names() {
    for kind in KeyKind::ALL {
        assert_eq!(kind.to_string().parse(), Ok(kind));
    }
    let error = "rsa".parse::<KeyKind>().unwrap_err().to_string();
    for kind in KeyKind::ALL {
        assert!(error.contains(kind.as_str()), "{error}");
    }
}

#[test]
fn debug_never_shows_a_key() {
    let authority = authority();
    let issued = authority
        .issue(&agent(), &IssueOptions::default(), &clock())
        .unwrap();
    let secret = |pem: &SecretPem| pem.as_str().lines().nth(1).unwrap().to_owned();
    let shown = format!("{authority:?} {:?} {issued:?}", authority.to_pem());
    assert!(!shown.contains(&secret(&issued.key_pem)));
    assert!(!shown.contains(&secret(&authority.to_pem().key_pem)));
}
