//! What a client offered, as records and the inventory of refusals tell it.

use std::net::SocketAddr;

use pqlane::deny::DenyReason;
use pqlane_certs::testing::provider;
use pqlane_handshake::summary::scheme_name;
use rustls::crypto::aws_lc_rs::kx_group;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::support::http::{Client, Workload};
use crate::support::tls::{CLASSICAL_FIRST, OLD, Peer};
use crate::support::within;
use crate::support::world::{AGENT, MCP, Setup, Sidecar, World, id};

/// Where the clients of these tests are.
const HERE: [u8; 4] = [127, 0, 0, 1];

/// A listener of this name, with further lines.
fn listener<'w>(setup: Setup<'w>, name: &str, workload: &Workload, lines: &str) -> Setup<'w> {
    setup.towards_workload_with(workload.address, &format!("name = \"{name}\"\n{lines}"))
}

/// The signature schemes that the clients of these tests offer.
fn schemes() -> Vec<String> {
    let algorithms = provider().signature_verification_algorithms;
    let schemes = algorithms.supported_schemes();
    schemes.into_iter().map(scheme_name).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_recorded_with_what_its_client_offered() {
    let world = World::new();
    let workload = Workload::ok().await;
    let ingress = world.ingress(workload.address).await;
    let groups = [
        kx_group::X25519MLKEM768,
        kx_group::SECP384R1,
        kx_group::X25519,
    ];
    let good = world.agent().groups(&groups);
    assert!(good.call(ingress.address()).await.is_ok());
    let opened = ingress.records.opened(&id(AGENT)).await;
    assert_eq!(opened["offered_versions"], json!(["TLS 1.3"]));
    let groups = json!(["X25519MLKEM768", "secp384r1", "x25519"]);
    assert_eq!(opened["offered_groups"], groups);
    assert_eq!(
        opened["offered_shares"],
        json!(["X25519MLKEM768", "x25519"])
    );
    assert_eq!(opened["offered_signatures"], json!(schemes()));
    assert!(schemes().contains(&"mldsa65".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_was_asked_again_is_recorded_with_its_first_offer() {
    let world = World::new();
    let workload = Workload::ok().await;
    let ingress = world.ingress(workload.address).await;
    let agent = world.agent().groups(&CLASSICAL_FIRST);
    assert!(agent.call(ingress.address()).await.is_ok());
    let opened = ingress.records.opened(&id(AGENT)).await;
    assert_eq!(opened["handshake"], "full-hrr");
    let groups = json!(["x25519", "X25519MLKEM768"]);
    assert_eq!(opened["offered_groups"], groups);
    assert_eq!(opened["offered_shares"], json!(["x25519"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_egress_offers_is_recorded_where_it_is_read() {
    let world = World::new();
    let workload = Workload::ok().await;
    let ingress = world.ingress(workload.address).await;
    let egress = world.egress(ingress.address()).await;
    let mut client = Client::http1(egress.address()).await;
    assert_eq!(client.get("/").await.body, "ok");
    let opened = ingress.records.opened(&id(AGENT)).await;
    for member in ["offered_groups", "offered_shares"] {
        assert_eq!(opened[member], json!(["X25519MLKEM768"]));
    }
    let opened = egress.records.opened(&id(MCP)).await;
    assert_eq!(opened["offered_groups"], Value::Null);
}

/// A vector with its length before it, in so many bytes.
fn vector(length_bytes: usize, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    [&length[length.len() - length_bytes..], content].concat()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector(2, content)].concat()
}

fn numbers(numbers: &[u16]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| number.to_be_bytes())
        .collect()
}

/// A ClientHello such as browsers sent before hybrid key exchange, with values that mean nothing (RFC 8701).
fn old_browsers_hello() -> Vec<u8> {
    let shares = [
        numbers(&[0x0a0a]),
        vector(2, &[0]),
        numbers(&[0x001d]),
        vector(2, &[9; 32]),
    ];
    let extensions = [
        extension(0x2a2a, &[]),
        extension(43, &vector(1, &numbers(&[0x7a7a, 0x0304, 0x0303]))),
        extension(10, &vector(2, &numbers(&[0x0a0a, 0x001d, 0x0017, 0x0019]))),
        extension(13, &vector(2, &numbers(&[0x0403, 0x0804, 0x0401, 0x0904]))),
        extension(51, &vector(2, &shares.concat())),
    ];
    let hello = [
        numbers(&[0x0303]),
        vec![7; 32],
        vector(1, &[5; 32]),
        vector(2, &numbers(&[0x3a3a, 0x1301, 0x1302])),
        vector(1, &[0]),
        vector(2, &extensions.concat()),
    ];
    let message = [&[1][..], &vector(3, &hello.concat())].concat();
    [&[0x16, 3, 1][..], &vector(2, &message)].concat()
}

/// Sends bytes from this address, and waits until the other side closes.
async fn sent_from(source: [u8; 4], address: SocketAddr, bytes: &[u8]) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((source, 0).into()).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let _ = within("close", stream.read_to_end(&mut answer)).await;
    assert_eq!(answer[..1], [0x15], "no alert");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_recorded_with_what_the_client_offered_byte_for_byte() {
    let world = World::new();
    let workload = Workload::ok().await;
    let ingress = world.ingress(workload.address).await;
    sent_from(HERE, ingress.address(), &old_browsers_hello()).await;
    let refused = ingress.records.refused(DenyReason::NoHybridGroup).await;
    let versions = json!(["0x7a7a", "TLS 1.3", "TLS 1.2"]);
    assert_eq!(refused["offered_versions"], versions);
    let groups = json!(["0x0a0a", "x25519", "secp256r1", "0x0019"]);
    assert_eq!(refused["offered_groups"], groups);
    assert_eq!(refused["offered_shares"], json!(["0x0a0a", "x25519"]));
    let signatures = json!([
        "ecdsa_secp256r1_sha256",
        "rsa_pss_rsae_sha256",
        "0x0401",
        "mldsa44"
    ]);
    assert_eq!(refused["offered_signatures"], signatures);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_of_a_known_peer_is_recorded_with_what_it_offered() {
    let world = World::new();
    let workload = Workload::ok().await;
    let ingress = world.ingress(workload.address).await;
    let intruder = Peer::new(&world, &world.svid("/intruder"));
    intruder.refused(ingress.address()).await;
    let refused = ingress.records.refused(DenyReason::PeerNotAllowed).await;
    assert_eq!(refused["peer"], id("/intruder"));
    assert_eq!(refused["offered_versions"], json!(["TLS 1.3"]));
    assert_eq!(refused["offered_groups"], json!(["X25519MLKEM768"]));
    assert_eq!(refused["offered_shares"], json!(["X25519MLKEM768"]));
    assert_eq!(refused["offered_signatures"], json!(schemes()));
}

/// The inventory of refusals.
async fn refusals(sidecar: &Sidecar) -> Value {
    let mut admin = Client::http1(sidecar.listener("admin")).await;
    let answer = admin.get("/v1/refusals").await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_before_authentication_are_counted_by_listener_and_address() {
    let world = World::new();
    let workload = Workload::ok().await;
    let rule = format!(
        "kx_policy = \"prefer-hybrid\"\n[[inbound.peer]]\nid = \"{}\"\nkx_policy = \"require-hybrid\"",
        id(AGENT)
    );
    let setup = listener(world.sidecar(MCP).admin(), "strict", &workload, "");
    let sidecar = listener(setup, "mixed", &workload, &rule).start().await;
    let (strict, mixed) = (sidecar.listener("strict"), sidecar.listener("mixed"));
    let none = json!({ "sources": [], "evicted": 0 });
    assert_eq!(refusals(&sidecar).await, none);

    // Who proved its identity is on record by that, and nobody else is served or refused for it here.
    assert!(world.agent().call(mixed).await.is_ok());
    world.agent().groups(&OLD).turned_away(mixed).await;
    sidecar.records.refused(DenyReason::KxPolicy).await;
    Peer::new(&world, &world.svid("/intruder"))
        .refused(strict)
        .await;
    sidecar.records.refused(DenyReason::PeerNotAllowed).await;
    assert_eq!(refusals(&sidecar).await, none);

    sent_from([127, 0, 0, 2], strict, &old_browsers_hello()).await;
    sent_from(HERE, strict, &old_browsers_hello()).await;
    world.agent().groups(&OLD).refused(strict).await;
    world
        .agent()
        .groups(&OLD)
        .without_certificate()
        .refused(mixed)
        .await;
    sidecar.records.refused(DenyReason::NoPeerCertificate).await;
    let seen = refusals(&sidecar).await;
    let sources = seen["sources"].as_array().unwrap();
    let of = |name: &str, address: &str| {
        let row = sources
            .iter()
            .find(|row| row["listener"] == name && row["address"] == address);
        row.unwrap_or_else(|| panic!("no {name} and {address} in {seen}"))
    };
    let browser = json!(["0x0a0a", "x25519", "secp256r1", "0x0019"]);
    let old = json!(["x25519", "secp256r1"]);
    for (name, address, reasons, groups) in [
        ("strict", "127.0.0.1", json!({ "no-hybrid-group": 2 }), &old),
        (
            "strict",
            "127.0.0.2",
            json!({ "no-hybrid-group": 1 }),
            &browser,
        ),
        (
            "mixed",
            "127.0.0.1",
            json!({ "no-peer-certificate": 1 }),
            &old,
        ),
    ] {
        let row = of(name, address);
        assert_eq!(row["refusals"], reasons);
        assert_eq!(row["groups_offered"], *groups);
        let times = [&row["first_seen"], &row["last_seen"]];
        assert!(
            times
                .iter()
                .all(|time| time.as_str().unwrap().ends_with('Z'))
        );
    }
    assert_eq!(sources.len(), 3);
    assert!(!seen.to_string().contains("spiffe"), "{seen}");
}
