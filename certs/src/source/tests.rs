use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use super::*;
use crate::clock::FixedClock;
use crate::testing::{
    NOW, TestDomain, TestSvid, allow, key_pair, now_plus, provider, uri_name_constraints,
    verifier_config,
};
use crate::verifier::{PeerVerifier, Role};

const ANYBODY: &str = "spiffe://example.org/**";

struct Files {
    dir: TempDir,
    source: FileSource,
}

impl Files {
    fn new(svid: &TestSvid, bundles: &[&TestDomain]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let source = FileSource {
            svids: vec![SvidFiles {
                name: None,
                svid_path: path("svid.pem"),
                key_path: path("key.pem"),
            }],
            bundles: bundles
                .iter()
                .map(|domain| {
                    let name = domain.trust_domain();
                    (name.clone(), path(&format!("{name}.pem")))
                })
                .collect(),
        };
        fs::write(&source.svids[0].svid_path, svid.chain_pem()).unwrap();
        fs::write(&source.svids[0].key_path, svid.key_pem().as_bytes()).unwrap();
        fs::set_permissions(&source.svids[0].key_path, fs::Permissions::from_mode(0o600)).unwrap();
        for (domain, (_, path)) in bundles.iter().zip(&source.bundles) {
            fs::write(path, domain.bundle_pem()).unwrap();
        }
        Self { dir, source }
    }

    fn load(&self) -> Result<Material, SourceError> {
        self.source.load(&provider(), &FixedClock::new(NOW))
    }

    /// The error, which must name this file.
    fn error_in(&self, path: &Path) -> SourceError {
        let error = self.load().unwrap_err();
        let message = error.to_string();
        assert!(message.starts_with(path.to_str().unwrap()), "{message}");
        error
    }
}

#[test]
fn loads_svid_and_bundles() {
    let (ours, theirs) = (
        TestDomain::new("example.org"),
        TestDomain::new("example.com"),
    );
    let files = Files::new(&ours.leaf("/agent").issue(), &[&ours, &theirs]);
    let identity = files.load().unwrap();
    assert_eq!(
        identity.default_svid().id().as_str(),
        "spiffe://example.org/agent"
    );
    for domain in [&ours, &theirs] {
        let roots = identity.bundles().roots(domain.trust_domain()).unwrap();
        assert_eq!(roots, domain.bundle().roots());
    }
    assert_eq!(identity.warnings(), []);
}

#[test]
fn loads_an_svid_whose_own_trust_domain_has_no_bundle_here() {
    let (ours, theirs) = (
        TestDomain::new("example.org"),
        TestDomain::new("example.com"),
    );
    let files = Files::new(&ours.leaf("/agent").issue(), &[&theirs]);
    let identity = files.load().unwrap();
    assert!(identity.bundles().roots(ours.trust_domain()).is_none());
}

#[test]
fn warns_of_a_key_that_others_can_read() {
    let domain = TestDomain::new("example.org");
    let files = Files::new(&domain.leaf("/agent").issue(), &[]);
    let key = &files.source.svids[0].key_path;
    for (mode, open) in [(0o640, true), (0o604, true), (0o600, false), (0o400, false)] {
        fs::set_permissions(key, fs::Permissions::from_mode(mode)).unwrap();
        let expected = SourceWarning::KeyReadableByOthers {
            path: key.clone(),
            mode,
        };
        let expected = if open { vec![expected] } else { vec![] };
        assert_eq!(files.load().unwrap().warnings(), expected);
    }
}

#[test]
fn warns_of_a_root_that_is_left_out_of_a_bundle() {
    let domain = TestDomain::new("example.org");
    let files = Files::new(&domain.leaf("/agent").issue(), &[&domain]);
    let key = key_pair(&rcgen::PKCS_ECDSA_P256_SHA256);
    let constrained = TestDomain::with_root("example.org", key, |params| {
        params.custom_extensions = vec![uri_name_constraints()];
    });
    let (_, path) = &files.source.bundles[0];
    fs::write(path, domain.bundle_pem() + &constrained.bundle_pem()).unwrap();
    let identity = files.load().unwrap();
    let [warning] = identity.warnings() else {
        panic!("{:?}", identity.warnings());
    };
    let expected = "the bundle of example.org: certificate 2 of the bundle, ";
    assert!(warning.to_string().starts_with(expected), "{warning}");

    fs::write(path, constrained.bundle_pem()).unwrap();
    let error = files.error_in(path);
    let SourceError::Bundle { source, .. } = error else {
        panic!("{error:?}");
    };
    assert!(matches!(
        source,
        BundleError::UriNameConstraints { position: 1, .. }
    ));
}

#[test]
fn refuses_an_svid_that_is_not_valid_now() {
    let domain = TestDomain::new("example.org");
    let past = domain.leaf("/agent").valid(now_plus(-60), now_plus(-1));
    let files = Files::new(&past.issue(), &[&domain]);
    let error = files.error_in(&files.source.svids[0].svid_path);
    assert!(matches!(error, SourceError::Expired { .. }), "{error:?}");

    let future = domain.leaf("/agent").valid(now_plus(1), now_plus(60));
    let files = Files::new(&future.issue(), &[&domain]);
    let error = files.error_in(&files.source.svids[0].svid_path);
    assert!(
        matches!(error, SourceError::NotYetValid { .. }),
        "{error:?}"
    );
}

#[test]
fn refuses_an_svid_that_peers_would_refuse() {
    let (ours, impostor) = (
        TestDomain::new("example.org"),
        TestDomain::new("example.org"),
    );
    let hostile = [
        (impostor.leaf("/agent"), "untrusted-issuer"),
        (ours.leaf("/agent").client_auth_only(), "wrong-purpose"),
        (ours.leaf("/agent").server_auth_only(), "wrong-purpose"),
    ];
    for (leaf, reason) in hostile {
        let files = Files::new(&leaf.issue(), &[&ours]);
        match files.error_in(&files.source.svids[0].svid_path) {
            SourceError::Refused {
                source,
                bundle_path,
                ..
            } => {
                assert_eq!(source.reason(), reason);
                assert_eq!(bundle_path, files.source.bundles[0].1);
            }
            error => panic!("{error:?}"),
        }
    }
}

#[test]
fn refuses_a_chain_longer_than_peers_accept() {
    let domain = TestDomain::new("example.org");
    let root = domain.root().certificate().clone();
    let long = domain.leaf("/agent").issue().with_more(&vec![root; 8]);
    let files = Files::new(&long, &[&domain]);
    match files.error_in(&files.source.svids[0].svid_path) {
        SourceError::Refused { source, .. } => assert_eq!(source.reason(), "chain-too-long"),
        error => panic!("{error:?}"),
    }
}

#[test]
fn names_the_key_file_when_the_key_is_at_fault() {
    let domain = TestDomain::new("example.org");
    let (a, b) = (domain.leaf("/a").issue(), domain.leaf("/b").issue());
    let files = Files::new(&a.with_key_of(&b), &[&domain]);
    let error = files.error_in(&files.source.svids[0].key_path);
    assert!(matches!(
        error,
        SourceError::Key {
            source: SvidError::KeyMismatch(_),
            ..
        }
    ));
}

#[test]
fn names_the_svid_file_when_the_leaf_is_at_fault() {
    let domain = TestDomain::new("example.org");
    let files = Files::new(&domain.leaf("/agent").ca().issue(), &[&domain]);
    let error = files.error_in(&files.source.svids[0].svid_path);
    assert!(matches!(
        error,
        SourceError::Svid {
            source: SvidError::LeafIsCa,
            ..
        }
    ));
}

#[test]
fn names_the_bundle_file_when_a_bundle_is_at_fault() {
    let domain = TestDomain::new("example.org");
    let mut files = Files::new(&domain.leaf("/agent").issue(), &[&domain]);
    let path = files.source.bundles[0].1.clone();

    files
        .source
        .bundles
        .push((domain.trust_domain().clone(), path.clone()));
    let error = files.error_in(&path);
    let twice = matches!(
        &error,
        SourceError::Bundle {
            source: BundleError::Twice { .. },
            ..
        }
    );
    assert!(twice, "{error:?}");

    files.source.bundles.pop();
    fs::write(&path, "").unwrap();
    let error = files.error_in(&path);
    let empty = matches!(
        &error,
        SourceError::Bundle {
            source: BundleError::Empty { .. },
            ..
        }
    );
    assert!(empty, "{error:?}");
}

#[test]
fn refuses_what_is_not_a_regular_file_of_bounded_length() {
    let domain = TestDomain::new("example.org");
    let mut files = Files::new(&domain.leaf("/agent").issue(), &[]);
    let svid = files.source.svids[0].svid_path.clone();

    let longest = usize::try_from(MAX_FILE_LEN).unwrap();
    let mut text = fs::read(&svid).unwrap();
    text.resize(longest, b'\n');
    fs::write(&svid, &text).unwrap();
    assert!(files.load().is_ok());
    text.push(b'\n');
    fs::write(&svid, &text).unwrap();
    assert!(matches!(files.error_in(&svid), SourceError::TooLong { .. }));

    files.source.svids[0].svid_path = files.dir.path().to_owned();
    let error = files.error_in(files.dir.path());
    assert!(matches!(error, SourceError::NotAFile { .. }));

    files.source.svids[0].svid_path = files.dir.path().join("missing");
    let error = files.error_in(&files.source.svids[0].svid_path);
    assert!(matches!(error, SourceError::Read { .. }));
}

#[test]
fn a_list_that_revokes_our_own_svid_is_used_and_said() {
    let domain = TestDomain::new("example.org");
    let files = Files::new(&domain.leaf("/agent").serial(&[7]).issue(), &[&domain]);
    let (_, path) = &files.source.bundles[0];
    let crl = domain.root().crl(&[&[7], &[8]], NOW, now_plus(60));
    let crl = pem::encode(&pem::Pem::new("X509 CRL", crl.to_vec()));
    fs::write(path, domain.bundle_pem() + &crl).unwrap();
    let material = files.load().unwrap();
    let [SourceWarning::OwnRevocation { id, .. }] = material.warnings() else {
        panic!("{:?}", material.warnings());
    };
    assert_eq!(id.as_str(), "spiffe://example.org/agent");
    let clock = Arc::new(FixedClock::new(NOW));
    let config = verifier_config(Arc::clone(material.bundles()), allow(&[ANYBODY]), clock);
    let other = domain.leaf("/other").serial(&[8]).issue();
    let refusal = PeerVerifier::new(config).identify(other.chain(), Role::Client);
    assert_eq!(refusal.unwrap_err().reason(), "revoked");
}
