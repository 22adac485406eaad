//! What a lane does around a handshake: it reads the raw ClientHello and looks the peer up in the deny-list.

use std::fmt::Write;
use std::hint::black_box;
use std::sync::Arc;

use criterion::Criterion;
use pqlane_certs::clock::SystemClock;
use pqlane_certs::revocation::{DenyList, MAX_DENY_ENTRIES};
use pqlane_certs::testing::{TestDomain, allow, bundles, verifier_config};
use pqlane_certs::verifier::{PeerIdentity, PeerVerifier, Role};
use pqlane_handshake::client_hello;
use pqlane_handshake::kx::X25519MLKEM768;

use crate::p256;

/// A list with as many entries as it may have: this one, and then half SPIFFE IDs, half serial numbers.
fn deny_list(first: &str) -> DenyList {
    let mut text = format!("{first}\n");
    for number in 1..MAX_DENY_ENTRIES {
        match number % 2 {
            0 => writeln!(text, "spiffe://example.org/agent/{number}"),
            _ => writeln!(text, "serial:{number:040X}"),
        }
        .expect("a String takes everything");
    }
    let list = DenyList::parse(text.as_bytes()).expect("a deny-list");
    assert_eq!(list.len(), MAX_DENY_ENTRIES);
    list
}

fn peer() -> PeerIdentity {
    let domain = TestDomain::new("example.org");
    let svid = domain.svid("/agent");
    let allowed = allow(&["spiffe://example.org/agent"]);
    let config = verifier_config(bundles(&[&domain]), allowed, Arc::new(SystemClock));
    let verifier = PeerVerifier::new(config);
    let chain = &svid.certified_key().cert;
    verifier
        .identify(chain, Role::Client)
        .expect("the peer is allowed")
}

pub(crate) fn deny_list_lookup(criterion: &mut Criterion) {
    let peer = peer();
    let mut benches = criterion.benchmark_group("deny-list-100000");
    benches.bench_function("not-denied", |bencher| {
        let list = deny_list("spiffe://example.org/somebody-else");
        assert!(list.denies(&peer).is_none());
        bencher.iter(|| list.denies(black_box(&peer)));
    });
    benches.bench_function("denied-by-id", |bencher| {
        let list = deny_list("spiffe://example.org/agent");
        assert!(list.denies(&peer).is_some());
        bencher.iter(|| list.denies(black_box(&peer)));
    });
    benches.finish();
}

pub(crate) fn client_hello_read(criterion: &mut Criterion) {
    let mut benches = criterion.benchmark_group("client-hello");
    benches.bench_function("read", |bencher| {
        let hello = p256().ends(&X25519MLKEM768).hello();
        assert!(client_hello::read(&hello).is_ok());
        bencher.iter(|| client_hello::read(black_box(&hello)));
    });
    benches.finish();
}
