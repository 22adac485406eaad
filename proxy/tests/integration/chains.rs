//! Mutual TLS between two sidecars with certificates of every kind that issuers use.

use std::sync::Arc;

use pqlane_certs::authority::KeyKind;
use pqlane_certs::testing::{TestDomain, TestSvid, key_pair};

use crate::support::http::{Client, Workload};
use crate::support::world::{AGENT, MCP, World, id};

/// A call through two sidecars, each with an SVID that this makes; gives the signatures of the handshake.
async fn call(world: &World, svid: impl Fn(&str) -> TestSvid) -> [String; 2] {
    let workload = Workload::ok().await;
    let ingress = world.sidecar_with(&svid(MCP));
    let ingress = ingress.towards_workload(workload.address).start().await;
    let egress = world.sidecar_with(&svid(AGENT));
    let egress = egress.towards_peer(ingress.address()).start().await;
    let mut client = Client::http1(egress.address()).await;
    let answer = client.get("/").await;
    assert_eq!(answer.status, 200, "{:#?}", egress.records.all());
    assert_eq!(workload.count(), 1);
    let open = ingress.records.event("connection.open").await;
    assert_eq!(open["peer"], id(AGENT));
    assert_eq!(open["group"], "X25519MLKEM768");
    ["local_signature", "peer_signature"].map(|member| open[member].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sidecars_meet_with_every_kind_of_chain() {
    for (kind, signature) in [
        (KeyKind::Rsa2048, "rsa_pss"),
        (KeyKind::EcdsaP256, "ecdsa_secp256r1"),
        (KeyKind::EcdsaP384, "ecdsa_secp384r1"),
        (KeyKind::Ed25519, "ed25519"),
        (KeyKind::MlDsa44, "mldsa44"),
        (KeyKind::MlDsa65, "mldsa65"),
        (KeyKind::MlDsa87, "mldsa87"),
    ] {
        let world = World::of(TestDomain::with_key("example.org", kind));
        let issuer = world.domain.root();
        let key = Arc::new(rcgen::KeyPair::generate_for(algorithm(kind)).unwrap());
        let below = issuer.intermediate_with_key("issuing CA", key, |_| {});
        for issuer in [issuer, &below] {
            let made = call(&world, |path| issuer.leaf(&id(path)).key(kind).issue()).await;
            for own in made {
                let own = own.to_ascii_lowercase();
                assert!(own.starts_with(signature), "{own} and not {signature}");
            }
        }
    }
}

fn algorithm(kind: KeyKind) -> &'static rcgen::SignatureAlgorithm {
    match kind {
        KeyKind::Rsa2048 => &rcgen::PKCS_RSA_SHA256,
        KeyKind::EcdsaP256 => &rcgen::PKCS_ECDSA_P256_SHA256,
        KeyKind::EcdsaP384 => &rcgen::PKCS_ECDSA_P384_SHA384,
        KeyKind::Ed25519 => &rcgen::PKCS_ED25519,
        KeyKind::MlDsa44 => &rcgen::PKCS_ML_DSA_44,
        KeyKind::MlDsa65 => &rcgen::PKCS_ML_DSA_65,
        KeyKind::MlDsa87 => &rcgen::PKCS_ML_DSA_87,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sidecars_meet_with_mixed_chains() {
    for (root, issuing, leaf) in [
        (KeyKind::MlDsa65, KeyKind::MlDsa65, KeyKind::EcdsaP256),
        (KeyKind::MlDsa87, KeyKind::EcdsaP384, KeyKind::MlDsa65),
        (KeyKind::Rsa2048, KeyKind::EcdsaP384, KeyKind::Ed25519),
        (KeyKind::EcdsaP384, KeyKind::Rsa2048, KeyKind::EcdsaP256),
    ] {
        let world = World::of(TestDomain::with_key("example.org", root));
        let below = world.domain.root().intermediate_with_key(
            "issuing CA",
            key_pair(algorithm(issuing)),
            |_| {},
        );
        call(&world, |path| world.domain.leaf(path).key(leaf).issue()).await;
        call(&world, |path| below.leaf(&id(path)).key(leaf).issue()).await;
    }
}
