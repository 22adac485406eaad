//! Peers that may not come in, each beside a good one that keeps working.

use std::net::SocketAddr;

use pqlane::deny::DenyReason;
use pqlane_certs::testing::{NOW, TestDomain, TestSvid, now_plus};
use rcgen::{ExtendedKeyUsagePurpose, KeyUsagePurpose};
use rustls::AlertDescription;
use rustls::crypto::aws_lc_rs::kx_group;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Duration, interval};

use crate::support::http::{Client, Workload};
use crate::support::tls::Peer;
use crate::support::within;
use crate::support::world::{AGENT, MCP, Sidecar, World};

/// A sidecar with a good peer connected, to be tried by others.
struct Tried {
    world: World,
    workload: Workload,
    ingress: Sidecar,
    good: Client,
    calls: usize,
}

impl Tried {
    async fn new() -> Self {
        Self::with("").await
    }

    async fn with(limits: &str) -> Self {
        let world = World::new();
        let workload = Workload::ok().await;
        let ingress = world.sidecar(MCP).limit(limits);
        let ingress = ingress.towards_workload(workload.address).start().await;
        let good = world.agent().http2(ingress.address()).await;
        let mut tried = Self {
            world,
            workload,
            ingress,
            good,
            calls: 0,
        };
        tried.holds().await;
        tried
    }

    fn address(&self) -> SocketAddr {
        self.ingress.address()
    }

    /// The good peer is served, on its old connection and on a new one, and nobody else was.
    async fn holds(&mut self) {
        assert_eq!(self.good.get("/good").await.body, "ok");
        let mut another = self.world.agent().http2(self.address()).await;
        assert_eq!(another.get("/good").await.body, "ok");
        self.calls += 2;
        assert_eq!(self.workload.count(), self.calls, "calls of others");
    }

    /// A certificate is refused with an alert, on record, and nobody else notices.
    async fn refuses(mut self, svid: &TestSvid, reason: DenyReason) -> (AlertDescription, Value) {
        let peer = Peer::new(&self.world, svid);
        let alert = peer.refused(self.address()).await;
        let record = self.ingress.records.refused(reason).await;
        assert_eq!(record["direction"], "inbound");
        self.holds().await;
        (alert, record)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refuses_an_svid_without_uri_san() {
    let tried = Tried::new().await;
    let svid = tried.world.domain.leaf(AGENT).uri_sans(&[]).issue();
    tried.refuses(&svid, DenyReason::SvidNoUriSan).await;

    let tried = Tried::new().await;
    let named = tried.world.domain.leaf(AGENT).uri_sans(&[]);
    let named = named.dns_san("agent.example.org").issue();
    tried.refuses(&named, DenyReason::SvidNoUriSan).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refuses_an_svid_with_two_uri_sans() {
    let tried = Tried::new().await;
    let leaf = tried.world.domain.leaf(AGENT);
    let ids = [
        "spiffe://example.org/agent/alice",
        "spiffe://example.org/agent/bob",
    ];
    let svid = leaf.uri_sans(&ids).issue();
    tried.refuses(&svid, DenyReason::SvidManyUriSans).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refuses_an_svid_whose_uri_is_no_workloads_id() {
    for uri in [
        "https://example.org/agent/alice",
        "spiffe://example.org",
        "spiffe://example.org/agent//alice",
        "spiffe://example.org/agent/../agent/alice",
    ] {
        let tried = Tried::new().await;
        let svid = tried.world.domain.leaf(AGENT).uri_sans(&[uri]).issue();
        tried.refuses(&svid, DenyReason::SvidNotSpiffeId).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refuses_a_ca_as_a_leaf() {
    let tried = Tried::new().await;
    let svid = tried.world.domain.leaf(AGENT).ca().issue();
    tried.refuses(&svid, DenyReason::SvidLeafIsCa).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refuses_an_expired_svid() {
    let tried = Tried::new().await;
    let leaf = tried.world.domain.leaf(AGENT);
    let svid = leaf.valid(now_plus(-86_400), NOW).issue();
    let (alert, _) = tried.refuses(&svid, DenyReason::SvidExpired).await;
    assert_eq!(alert, AlertDescription::CertificateExpired);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refuses_an_svid_of_the_future() {
    let tried = Tried::new().await;
    let years = 40 * 365 * 86_400;
    let leaf = tried.world.domain.leaf(AGENT);
    let svid = leaf
        .valid(now_plus(years), now_plus(years + 86_400))
        .issue();
    tried.refuses(&svid, DenyReason::SvidNotYetValid).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refuses_another_authority_that_claims_our_trust_domain() {
    let tried = Tried::new().await;
    let impostor = TestDomain::new("example.org");
    let svid = impostor.leaf(AGENT).issue();
    let (alert, _) = tried.refuses(&svid, DenyReason::IssuerUntrusted).await;
    assert_eq!(alert, AlertDescription::UnknownCA);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refuses_a_federated_domains_authority_that_claims_ours() {
    let world = World::new();
    let workload = Workload::ok().await;
    let friend = TestDomain::new("friend.org");
    let ingress = world.sidecar(MCP).trust(&friend);
    let lines = "name = \"lane\"";
    let ingress = ingress
        .towards_workload_with(workload.address, lines)
        .start()
        .await;
    // The friend's authority is trusted for its own domain, and for no other.
    let svid = friend
        .root()
        .leaf("spiffe://example.org/agent/alice")
        .issue();
    Peer::new(&world, &svid).refused(ingress.address()).await;
    let record = ingress.records.refused(DenyReason::IssuerUntrusted).await;
    assert_eq!(record["listener"], "lane");
    assert_eq!(workload.count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refuses_a_trust_domain_nobody_told_it_of() {
    let tried = Tried::new().await;
    let stranger = TestDomain::new("stranger.org");
    let svid = stranger.leaf(AGENT).issue();
    let (_, record) = tried.refuses(&svid, DenyReason::TrustDomainUnknown).await;
    assert!(record.to_string().contains("stranger.org"), "{record}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refuses_an_svid_that_is_not_for_signing() {
    let tried = Tried::new().await;
    let leaf = tried.world.domain.leaf(AGENT);
    let svid = leaf.key_usages(&[KeyUsagePurpose::KeyEncipherment]).issue();
    tried.refuses(&svid, DenyReason::SvidKeyUsage).await;

    let tried = Tried::new().await;
    let leaf = tried.world.domain.leaf(AGENT);
    let usages = [
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyCertSign,
    ];
    let svid = leaf.key_usages(&usages).issue();
    tried.refuses(&svid, DenyReason::SvidKeyUsage).await;

    let tried = Tried::new().await;
    let leaf = tried.world.domain.leaf(AGENT);
    let svid = leaf
        .extended_key_usages(&[ExtendedKeyUsagePurpose::ServerAuth])
        .issue();
    tried.refuses(&svid, DenyReason::SvidKeyUsage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refuses_a_chain_that_is_too_long() {
    let tried = Tried::new().await;
    let mut issuer = tried.world.domain.root().intermediate("0");
    for depth in 1..8 {
        issuer = issuer.intermediate(&depth.to_string());
    }
    let svid = issuer.leaf("spiffe://example.org/agent/alice").issue();
    assert_eq!(svid.chain().len(), 9);
    tried.refuses(&svid, DenyReason::ChainTooLong).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refuses_who_copied_an_svid_without_its_key() {
    let tried = Tried::new().await;
    let svid = tried
        .world
        .svid(AGENT)
        .with_key_of(&tried.world.svid(AGENT));
    let (alert, _) = tried.refuses(&svid, DenyReason::PeerSignature).await;
    assert_eq!(alert, AlertDescription::DecryptError);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refuses_an_id_that_is_not_allowed() {
    let tried = Tried::new().await;
    let svid = tried.world.svid("/intruder/alice");
    let (alert, record) = tried.refuses(&svid, DenyReason::PeerNotAllowed).await;
    assert_eq!(alert, AlertDescription::AccessDenied);
    assert!(record.to_string().contains("/intruder/alice"), "{record}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pattern_of_one_segment_allows_no_deeper_path() {
    let tried = Tried::new().await;
    let svid = tried.world.svid("/agent/alice/tool");
    tried.refuses(&svid, DenyReason::PeerNotAllowed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refuses_a_peer_without_certificate() {
    let mut tried = Tried::new().await;
    let peer = tried.world.agent().without_certificate();
    let alert = peer.refused(tried.address()).await;
    assert_eq!(alert, AlertDescription::CertificateRequired);
    tried
        .ingress
        .records
        .refused(DenyReason::NoPeerCertificate)
        .await;
    tried.holds().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refuses_a_certificate_that_cannot_be_read() {
    for bytes in [&b"not a certificate"[..], &[0x30, 0x82, 0xff, 0xff, 0x30]] {
        let mut tried = Tried::new().await;
        let peer = tried.world.agent().showing_bytes(bytes);
        peer.refused(tried.address()).await;
        tried
            .ingress
            .records
            .refused(DenyReason::SvidMalformed)
            .await;
        tried.holds().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refuses_a_classical_client_and_records_what_it_offered() {
    let mut tried = Tried::new().await;
    let groups = [kx_group::X25519, kx_group::SECP256R1];
    let peer = tried.world.agent().groups(&groups);
    let alert = peer.refused(tried.address()).await;
    assert_eq!(alert, AlertDescription::HandshakeFailure);
    let record = tried
        .ingress
        .records
        .refused(DenyReason::NoHybridGroup)
        .await;
    let offered = record["offered_groups"].to_string().to_lowercase();
    assert!(
        offered.contains("x25519") && offered.contains("secp256r1"),
        "{record}"
    );
    assert!(!offered.contains("mlkem"), "{record}");
    assert!(
        record["from"].as_str().unwrap().starts_with("127.0.0.1"),
        "{record}"
    );
    tried.holds().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refuses_pure_post_quantum_where_hybrid_is_required() {
    let mut tried = Tried::new().await;
    let peer = tried.world.agent().groups(&[kx_group::MLKEM768]);
    let alert = peer.refused(tried.address()).await;
    assert_eq!(alert, AlertDescription::HandshakeFailure);
    tried
        .ingress
        .records
        .refused(DenyReason::NoHybridGroup)
        .await;
    tried.holds().await;
}

/// A ClientHello of a client that knows nothing after TLS 1.2.
fn client_hello_of_tls12() -> Vec<u8> {
    let extensions = [
        // supported_groups: secp256r1, x25519
        &[0x00, 0x0a, 0x00, 0x06, 0x00, 0x04, 0x00, 0x17, 0x00, 0x1d][..],
        // ec_point_formats: uncompressed
        &[0x00, 0x0b, 0x00, 0x02, 0x01, 0x00],
        // signature_algorithms: ecdsa_secp256r1_sha256, rsa_pss_rsae_sha256
        &[0x00, 0x0d, 0x00, 0x06, 0x00, 0x04, 0x04, 0x03, 0x08, 0x04],
    ]
    .concat();
    let mut hello = vec![0x03, 0x03];
    hello.extend_from_slice(&[7; 32]);
    hello.push(0);
    // TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    hello.extend_from_slice(&[0x00, 0x04, 0xc0, 0x2b, 0xc0, 0x2f, 0x01, 0x00]);
    hello.extend_from_slice(&u16::try_from(extensions.len()).unwrap().to_be_bytes());
    hello.extend_from_slice(&extensions);
    let mut message = vec![0x01, 0x00];
    message.extend_from_slice(&u16::try_from(hello.len()).unwrap().to_be_bytes());
    message.extend_from_slice(&hello);
    let mut record = vec![0x16, 0x03, 0x01];
    record.extend_from_slice(&u16::try_from(message.len()).unwrap().to_be_bytes());
    record.extend_from_slice(&message);
    record
}

/// Everything the other side sends until it closes.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = within("close", stream.read_to_end(&mut bytes)).await;
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refuses_a_client_of_tls_1_2() {
    let mut tried = Tried::new().await;
    let mut stream = TcpStream::connect(tried.address()).await.unwrap();
    stream.write_all(&client_hello_of_tls12()).await.unwrap();
    let answer = rest(&mut stream).await;
    // alert, TLS 1.2, two bytes: fatal, protocol_version
    assert_eq!(answer, [0x15, 3, 3, 0, 2, 2, 70]);
    tried.ingress.records.refused(DenyReason::TlsVersion).await;
    tried.holds().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refuses_what_is_no_tls() {
    let mut tried = Tried::new().await;
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..],
        &[0; 512],
        &[0xff; 70_000],
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
    ] {
        let mut stream = TcpStream::connect(tried.address()).await.unwrap();
        let _ = stream.write_all(bytes).await;
        let answer = rest(&mut stream).await;
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
        tried.holds().await;
    }
    tried.ingress.records.refused(DenyReason::TlsProtocol).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_stops_or_drips_is_cut() {
    let mut tried = Tried::with("tls_handshake_seconds = 1").await;
    let hello = client_hello_of_tls12();
    let mut silent = TcpStream::connect(tried.address()).await.unwrap();
    silent.write_all(&hello[..20]).await.unwrap();
    let mut slow = TcpStream::connect(tried.address()).await.unwrap();
    tried.holds().await;
    assert_eq!(rest(&mut silent).await, b"");
    let mut often = interval(Duration::from_millis(100));
    within("cut of who drips", async {
        let (mut from, mut to) = slow.split();
        let drip = async {
            for byte in &hello {
                often.tick().await;
                if to.write_all(&[*byte]).await.is_err() {
                    return;
                }
            }
            panic!(
                "a handshake of {} bytes at 10 bytes a second was let in",
                hello.len()
            );
        };
        let mut bytes = Vec::new();
        tokio::select! {
            () = drip => {}
            _ = from.read_to_end(&mut bytes) => {}
        }
    })
    .await;
    tried
        .ingress
        .records
        .refused(DenyReason::HandshakeTimeout)
        .await;
    tried.holds().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_never_says_a_word_is_cut() {
    let mut tried = Tried::with("tls_handshake_seconds = 1").await;
    let mut silent = TcpStream::connect(tried.address()).await.unwrap();
    assert_eq!(rest(&mut silent).await, b"");
    tried.holds().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_broken_off_is_on_record() {
    let mut tried = Tried::new().await;
    let mut stream = TcpStream::connect(tried.address()).await.unwrap();
    stream
        .write_all(&client_hello_of_tls12()[..20])
        .await
        .unwrap();
    drop(stream);
    tried
        .ingress
        .records
        .refused(DenyReason::HandshakeAborted)
        .await;
    tried.holds().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_reset_by_the_peer_is_on_record() {
    let mut tried = Tried::new().await;
    let mut stream = TcpStream::connect(tried.address()).await.unwrap();
    stream
        .write_all(&client_hello_of_tls12()[..20])
        .await
        .unwrap();
    let socket = socket2::SockRef::from(&stream);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    tried
        .ingress
        .records
        .refused(DenyReason::HandshakeAborted)
        .await;
    tried.holds().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_refuses_us_is_on_record() {
    let mut tried = Tried::new().await;
    let peer = tried.world.agent();
    let peer = peer.accepting(&tried.world.domain, "spiffe://example.org/mcp/other");
    assert!(peer.connect(tried.address()).await.is_err());
    tried.ingress.records.refused(DenyReason::PeerAlert).await;
    tried.holds().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_handshake_costs_who_comes_next_no_more_than_a_wait() {
    let limits = "tls_handshake_seconds = 1\nhandshakes_in_flight = 1";
    let mut tried = Tried::with(limits).await;
    let mut stalled = TcpStream::connect(tried.address()).await.unwrap();
    stalled.write_all(&[0x16, 3, 1]).await.unwrap();
    tried.holds().await;
    rest(&mut stalled).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_are_counted_by_listener_and_reason() {
    let world = World::new();
    let workload = Workload::ok().await;
    let ingress = world
        .sidecar(MCP)
        .admin()
        .towards_workload(workload.address)
        .start()
        .await;
    let admin = ingress.listener("admin");
    world
        .agent()
        .groups(&[kx_group::X25519])
        .refused(ingress.address())
        .await;
    Peer::new(&world, &world.svid("/intruder"))
        .refused(ingress.address())
        .await;
    ingress.records.refused(DenyReason::PeerNotAllowed).await;
    let metrics = Client::http1(admin).await.get("/metrics").await;
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    for reason in [DenyReason::NoHybridGroup, DenyReason::PeerNotAllowed] {
        let label = format!("reason=\"{}\"", reason.code());
        let line = text.lines().find(|line| line.contains(&label));
        let line = line.unwrap_or_else(|| panic!("no {label} in {text}"));
        assert!(
            line.ends_with(" 1") && line.contains("listener=\""),
            "{line}"
        );
    }
}
