//! The same handshake with certificates of each kind, in chains of one and of two.

use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion};
use pqlane_certs::svid::X509Svid;
use pqlane_certs::testing::{TestDomain, TestIssuer, key_pair, rsa_key_pair};
use pqlane_handshake::kx::X25519MLKEM768;
use rcgen::{KeyPair, RsaKeySize, SignatureAlgorithm};
use rustls::HandshakeKind;

use crate::ends::{Ends, Fixture};

/// Whose certificates both ends have.
struct Kind {
    name: &'static str,
    ca: Key,
    leaf: Key,
}

#[derive(Clone, Copy)]
enum Key {
    Of(&'static SignatureAlgorithm),
    Rsa2048,
}

impl Key {
    fn generate(self) -> Arc<KeyPair> {
        match self {
            Self::Of(algorithm) => key_pair(algorithm),
            Self::Rsa2048 => rsa_key_pair(RsaKeySize::_2048),
        }
    }
}

const P256: Key = Key::Of(&rcgen::PKCS_ECDSA_P256_SHA256);
const ED25519: Key = Key::Of(&rcgen::PKCS_ED25519);
const ML_DSA_65: Key = Key::Of(&rcgen::PKCS_ML_DSA_65);

const KINDS: [Kind; 5] = [
    Kind::of("p256", P256, P256),
    Kind::of("ed25519", ED25519, ED25519),
    Kind::of("rsa-2048", Key::Rsa2048, Key::Rsa2048),
    Kind::of("ml-dsa-65-over-p256", ML_DSA_65, P256),
    Kind::of("ml-dsa-65", ML_DSA_65, ML_DSA_65),
];

impl Kind {
    const fn of(name: &'static str, ca: Key, leaf: Key) -> Self {
        Self { name, ca, leaf }
    }

    /// Leaves issued by the root itself.
    fn chain_of_one(&self) -> Fixture {
        let domain = self.domain();
        let client = self.svid(domain.root(), "client");
        let server = self.svid(domain.root(), "server");
        Fixture::new(domain, client, server)
    }

    /// Leaves issued by an intermediate CA, which each end sends along.
    fn chain_of_two(&self) -> Fixture {
        let domain = self.domain();
        let root = domain.root();
        let intermediate = root.intermediate_with_key("second floor", self.ca.generate(), |_| {});
        let client = self.svid(&intermediate, "client");
        let server = self.svid(&intermediate, "server");
        Fixture::new(domain, client, server)
    }

    fn domain(&self) -> TestDomain {
        TestDomain::with_root("example.org", self.ca.generate(), |_| {})
    }

    fn svid(&self, issuer: &TestIssuer, name: &str) -> X509Svid {
        let leaf = issuer.leaf(&format!("spiffe://example.org/{name}"));
        leaf.key_pair(self.leaf.generate()).issue().svid()
    }
}

/// What is measured with each kind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Measured {
    /// Verifiers remember the peer's chain.
    Cached,
    /// Verifiers meet the chain for the first time.
    Uncached,
    /// Both ends go on with a session.
    Resumed,
}

pub(crate) fn full_with_chain_cache(criterion: &mut Criterion) {
    each(criterion, "full-cached", Measured::Cached);
}

pub(crate) fn full_without_chain_cache(criterion: &mut Criterion) {
    each(criterion, "full-uncached", Measured::Uncached);
}

pub(crate) fn resumed(criterion: &mut Criterion) {
    each(criterion, "resumed", Measured::Resumed);
}

fn each(criterion: &mut Criterion, name: &str, measured: Measured) {
    let group = &X25519MLKEM768;
    let mut benches = criterion.benchmark_group(name);
    for kind in KINDS {
        for (chain, make) in [
            ("chain-1", Kind::chain_of_one as fn(&Kind) -> Fixture),
            ("chain-2", Kind::chain_of_two),
        ] {
            let id = BenchmarkId::new(kind.name, chain);
            // Made only for what the filter lets run.
            benches.bench_function(id, |bencher| {
                let fixture = make(&kind);
                match measured {
                    Measured::Cached => {
                        let ends = fixture.ends(group);
                        expect(&ends, HandshakeKind::Full, Ends::shake_hands);
                        bencher.iter_with_large_drop(|| ends.shake_hands());
                    }
                    Measured::Uncached => bencher.iter_batched(
                        || fixture.ends(group),
                        |ends| {
                            let connections = ends.shake_hands();
                            // Given back, so that dropping them is not measured.
                            (connections, ends)
                        },
                        BatchSize::SmallInput,
                    ),
                    Measured::Resumed => {
                        let ends = fixture.resuming_ends(group);
                        expect(&ends, HandshakeKind::Full, Ends::resume);
                        expect(&ends, HandshakeKind::Resumed, Ends::resume);
                        bencher.iter_with_large_drop(|| ends.resume());
                        // Still so: no run before had to fall back.
                        expect(&ends, HandshakeKind::Resumed, Ends::resume);
                    }
                }
            });
        }
    }
    benches.finish();
}

fn expect<C>(ends: &Ends, kind: HandshakeKind, shake: fn(&Ends) -> (rustls::Connection, C)) {
    let (client, _server) = shake(ends);
    assert_eq!(client.handshake_kind(), Some(kind));
}
