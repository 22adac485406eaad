//! A full mutual TLS 1.3 handshake in memory: both sides, without sockets.
//!
//! `handshake/<group>` has P-256 SVIDs on both sides, each issued by the root itself, and verifiers that
//! remember the peer's chain, as they do in a lane whose peers come back. `handshake/cold-chain-cache/…` has
//! verifiers that meet the chain for the first time. A run ends, as in the lane, with both sides knowing who
//! the peer is. Never measured: sockets, and the making of configurations.
//!
//!     cargo bench -p pqlane-benches --bench handshake -- handshake/X25519MLKEM768

#![allow(
    clippy::expect_used,
    reason = "a bench that cannot make its own fixtures has nothing to measure"
)]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use pqlane_certs::clock::SystemClock;
use pqlane_certs::svid::X509Svid;
use pqlane_certs::testing::{TestDomain, allow, bundles, verifier_config};
use pqlane_certs::verifier::{PeerVerifier, Role};
use pqlane_handshake::client_config::client_config;
use pqlane_handshake::kx::{Group, MLKEM1024, SECP256R1MLKEM768, X25519, X25519MLKEM768};
use pqlane_handshake::provider::with_groups;
use pqlane_handshake::server_config::server_config;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, Error, ServerConfig, ServerConnection};

/// What is compared, the classical group first.
const GROUPS: [&Group; 4] = [&X25519, &X25519MLKEM768, &SECP256R1MLKEM768, &MLKEM1024];

/// What lanes speak.
const ALPN: [&[u8]; 1] = [b"h2"];

/// A trust domain and its two ends.
struct Fixture {
    domain: TestDomain,
    client: X509Svid,
    server: X509Svid,
}

impl Fixture {
    fn new() -> Self {
        let domain = TestDomain::new("example.org");
        Self {
            client: domain.svid("/client"),
            server: domain.svid("/server"),
            domain,
        }
    }

    /// Both ends with this group and no other, and with verifiers that have met nobody yet.
    fn ends(&self, group: &'static Group) -> Ends {
        let provider = with_groups(&[group]);
        let roots = bundles(&[&self.domain]);
        let verifier = |peer: &X509Svid| {
            let allowed = allow(&[peer.id().as_str()]);
            let clock = Arc::new(SystemClock);
            let config = verifier_config(Arc::clone(&roots), allowed, clock);
            Arc::new(PeerVerifier::new(config))
        };
        let (at_client, at_server) = (verifier(&self.server), verifier(&self.client));
        let client = client_config(
            Arc::clone(&provider),
            at_client.clone(),
            Error::clone,
            self.client.certified_key(),
            &ALPN,
        );
        let server = server_config(
            Arc::clone(&provider),
            at_server.clone(),
            Error::clone,
            self.server.certified_key(),
            &ALPN,
            None,
        );
        Ends {
            client: Arc::new(client.expect("client configuration")),
            server: Arc::new(server.expect("server configuration")),
            at_client,
            at_server,
        }
    }
}

/// The configurations of both ends, and the verifiers in them.
struct Ends {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    at_client: Arc<PeerVerifier>,
    at_server: Arc<PeerVerifier>,
}

impl Ends {
    /// Runs one handshake to its end, until both sides know their peer.
    fn shake_hands(&self) -> (Connection, Connection) {
        let name = ServerName::try_from("peer.invalid").expect("server name");
        let client = ClientConnection::new(Arc::clone(&self.client), name).expect("client");
        let server = ServerConnection::new(Arc::clone(&self.server)).expect("server");
        let (mut client, mut server) = (Connection::from(client), Connection::from(server));
        let mut wire = Vec::with_capacity(8 * 1024);
        while client.is_handshaking() || server.is_handshaking() {
            deliver(&mut client, &mut server, &mut wire);
            deliver(&mut server, &mut client, &mut wire);
        }
        identify(&self.at_client, &client, Role::Server);
        identify(&self.at_server, &server, Role::Client);
        (client, server)
    }
}

/// Takes what one end has to say to the other.
fn deliver(from: &mut Connection, to: &mut Connection, wire: &mut Vec<u8>) {
    wire.clear();
    while from.wants_write() {
        from.write_tls(wire).expect("a Vec takes everything");
    }
    let mut unread = wire.as_slice();
    while !unread.is_empty() {
        to.read_tls(&mut unread).expect("a slice can be read");
        to.process_new_packets().expect("the peer is in order");
    }
}

fn identify(verifier: &PeerVerifier, end: &Connection, role: Role) {
    let chain = end.peer_certificates().expect("a certificate");
    black_box(verifier.identify(chain, role).expect("the peer is allowed"));
}

fn handshake(criterion: &mut Criterion) {
    let fixture = Fixture::new();
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

criterion_group!(benches, handshake);
criterion_main!(benches);
