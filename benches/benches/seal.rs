//! What a sealed id costs a call: `seal` for a response that brings a new one, `open` for every request that
//! carries one, `open/refused` for one of another peer, and `sealer` for the keys of one route, derived once.
//!
//!     cargo bench -p pqlane-benches --bench seal

#![allow(
    clippy::expect_used,
    reason = "a bench that cannot make its own keys has nothing to measure"
)]

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use pqlane::seal::{Age, Contents, Holder, Keyring, Purpose, Scope, Subject};
use pqlane_certs::spiffe_id::SpiffeId;
use rustls::pki_types::UnixTime;

const NOW: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(1_795_253_400));

fn bench_seal(criterion: &mut Criterion) {
    let id = |text: &str| text.parse::<SpiffeId>().expect("SPIFFE ID");
    let (own, peer) = (
        id("spiffe://example.org/mcp/weather"),
        id("spiffe://example.org/agent/planner"),
    );
    let stranger = id("spiffe://example.org/agent/stranger");
    let keyring = Keyring::random().expect("keyring");
    let scope = Scope {
        purpose: Purpose::McpSession,
        own: &own,
        route: "inbound",
    };
    let sealer = keyring.sealer(&scope).expect("sealer");
    let of = |peer| Holder {
        peer,
        subject: Subject::None,
    };
    let contents = Contents {
        backend: "default",
        original: b"1868a90c-7a2f-4f1e-9d53-0d1c2b3a4e5f",
        at: NOW,
    };
    let age = Age {
        now: NOW,
        at_most: Duration::from_secs(24 * 3_600),
    };
    let sealed = sealer.seal(&of(&peer), &contents).expect("sealed");
    let mut group = criterion.benchmark_group("seal");
    group.bench_function("seal", |bencher| {
        bencher.iter(|| sealer.seal(&of(&peer), &contents).expect("sealed"));
    });
    group.bench_function("open", |bencher| {
        bencher.iter(|| {
            let opened = sealer.open(&of(&peer), sealed.as_bytes(), &age);
            opened.expect("opened")
        });
    });
    group.bench_function("open/refused", |bencher| {
        bencher.iter(|| {
            let opened = sealer.open(&of(&stranger), sealed.as_bytes(), &age);
            opened.expect_err("refused")
        });
    });
    group.bench_function("sealer", |bencher| {
        bencher.iter(|| keyring.sealer(&scope).expect("sealer"));
    });
    group.finish();
}

criterion_group!(benches, bench_seal);
criterion_main!(benches);
