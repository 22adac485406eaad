//! A mutual TLS 1.3 handshake in memory: both sides, without sockets.
//!
//! `handshake/<group>` has P-256 SVIDs on both sides, each issued by the root itself, and verifiers that
//! remember the peer's chain, as they do in a lane whose peers come back. `handshake/cold-chain-cache/…` has
//! verifiers that meet the chain for the first time. A run ends, as in the lane, with both sides knowing who
//! the peer is. Never measured: sockets, and the making of configurations.
//!
//! With X25519MLKEM768, by certificate algorithm and length of the chain: `full-cached`, `full-uncached` and
//! `resumed`. Around a handshake: `deny-list-100000` and `client-hello`. Each group can be run alone:
//!
//!     cargo bench -p pqlane-benches --bench handshake -- handshake/X25519MLKEM768
//!     cargo bench -p pqlane-benches --bench handshake -- resumed/ml-dsa-65

#![allow(
    clippy::expect_used,
    reason = "a bench that cannot make its own fixtures has nothing to measure"
)]

mod around;
mod by_algorithm;
mod ends;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use pqlane_certs::testing::TestDomain;
use pqlane_handshake::kx::{Group, MLKEM1024, SECP256R1MLKEM768, X25519, X25519MLKEM768};

use ends::Fixture;

/// What is compared, the classical group first.
const GROUPS: [&Group; 4] = [&X25519, &X25519MLKEM768, &SECP256R1MLKEM768, &MLKEM1024];

/// P-256 SVIDs, issued by the root itself.
fn p256() -> Fixture {
    let domain = TestDomain::new("example.org");
    let (client, server) = (domain.svid("/client"), domain.svid("/server"));
    Fixture::new(domain, client, server)
}

fn handshake(criterion: &mut Criterion) {
    let fixture = p256();
    let mut benches = criterion.benchmark_group("handshake");
    for group in GROUPS {
        let ends = fixture.ends(group);
        let (client, _server) = ends.shake_hands();
        let negotiated = client.negotiated_key_exchange_group();
        let negotiated = negotiated.map(rustls::crypto::SupportedKxGroup::name);
        assert_eq!(negotiated, Some(group.named_group));
        benches.bench_function(group.name, |bencher| {
            bencher.iter_with_large_drop(|| ends.shake_hands());
        });
    }
    let default = &X25519MLKEM768;
    let cold = BenchmarkId::new("cold-chain-cache", default.name);
    benches.bench_function(cold, |bencher| {
        bencher.iter_batched(
            || fixture.ends(default),
            |ends| {
                let connections = ends.shake_hands();
                // Given back, so that dropping them is not measured.
                (connections, ends)
            },
            BatchSize::SmallInput,
        );
    });
    benches.finish();
}

criterion_group!(
    benches,
    handshake,
    by_algorithm::full_with_chain_cache,
    by_algorithm::full_without_chain_cache,
    by_algorithm::resumed,
    around::deny_list_lookup,
    around::client_hello_read,
);
criterion_main!(benches);
