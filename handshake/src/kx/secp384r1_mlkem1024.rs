//! `SecP384r1MLKEM1024`, composed from the two groups of rustls that it combines.
//!
//! Takes and gives key shares and the combined secret. It adds no cryptography: lengths, and what is joined in
//! which order. For the hybrids with a NIST curve, RFC 10024 §4 puts the curve first everywhere.

use rustls::crypto::aws_lc_rs::kx_group;
use rustls::crypto::{ActiveKeyExchange, CompletedKeyExchange, SharedSecret, SupportedKxGroup};
use rustls::ffdhe_groups::FfdheGroup;
use rustls::{Error, NamedGroup, PeerMisbehaved, ProtocolVersion};

/// Code point in the IANA "TLS Supported Groups" registry.
pub(super) const CODE_POINT: u16 = 0x11ED;
/// An uncompressed point of P-384.
pub(super) const POINT_LEN: usize = 97;
/// An encapsulation key of ML-KEM-1024, and as many bytes of ciphertext (FIPS 203 table 3).
pub(super) const ML_KEM_LEN: usize = 1568;
/// Both key shares are as long.
const SHARE_LEN: usize = POINT_LEN + ML_KEM_LEN;
/// An x-coordinate of P-384, then an ML-KEM shared secret.
const SECRET_LEN: usize = 48 + 32;

const INVALID_KEY_SHARE: Error = Error::PeerMisbehaved(PeerMisbehaved::InvalidKeyShare);

/// Client share `point (97 B) || ek (1568 B)`, server share `point (97 B) || ct (1568 B)`, secret
/// `ecdh (48 B) || mlkem (32 B)`.
///
/// Spec: RFC 10024 §4.
#[derive(Debug)]
pub(super) struct SecP384r1MlKem1024;

impl SupportedKxGroup for SecP384r1MlKem1024 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let curve = kx_group::SECP384R1.start()?;
        let ml_kem = kx_group::MLKEM1024.start()?;
        let share = [curve.pub_key(), ml_kem.pub_key()].concat();
        Ok(Box::new(Started {
            curve,
            ml_kem,
            share,
        }))
    }

    // The server's share of a KEM depends on the client's.
    fn start_and_complete(&self, client_share: &[u8]) -> Result<CompletedKeyExchange, Error> {
        let (point, encapsulation_key) = split(client_share)?;
        let curve = kx_group::SECP384R1.start_and_complete(point)?;
        let ml_kem = kx_group::MLKEM1024.start_and_complete(encapsulation_key)?;
        Ok(CompletedKeyExchange {
            group: self.name(),
            pub_key: [curve.pub_key.as_slice(), &ml_kem.pub_key].concat(),
            secret: join(&curve.secret, &ml_kem.secret),
        })
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::from(CODE_POINT)
    }

    fn fips(&self) -> bool {
        kx_group::SECP384R1.fips() && kx_group::MLKEM1024.fips()
    }

    fn usable_for_version(&self, version: ProtocolVersion) -> bool {
        version == ProtocolVersion::TLSv1_3
    }
}

/// A client's exchange between its hello and the server's.
struct Started {
    curve: Box<dyn ActiveKeyExchange>,
    ml_kem: Box<dyn ActiveKeyExchange>,
    share: Vec<u8>,
}

impl ActiveKeyExchange for Started {
    fn complete(self: Box<Self>, server_share: &[u8]) -> Result<SharedSecret, Error> {
        let (point, ciphertext) = split(server_share)?;
        let curve = self.curve.complete(point)?;
        let ml_kem = self.ml_kem.complete(ciphertext)?;
        Ok(join(&curve, &ml_kem))
    }

    /// The point may be offered as a share of its own, where the client also offers `secp384r1`.
    fn hybrid_component(&self) -> Option<(NamedGroup, &[u8])> {
        Some((self.curve.group(), self.curve.pub_key()))
    }

    fn complete_hybrid_component(
        self: Box<Self>,
        server_share: &[u8],
    ) -> Result<SharedSecret, Error> {
        self.curve.complete(server_share)
    }

    fn pub_key(&self) -> &[u8] {
        &self.share
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::from(CODE_POINT)
    }
}

/// The point and the rest of a share of exactly the right length.
fn split(share: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    if share.len() != SHARE_LEN {
        return Err(INVALID_KEY_SHARE);
    }
    share.split_at_checked(POINT_LEN).ok_or(INVALID_KEY_SHARE)
}

/// One allocation, which [`SharedSecret`] wipes; its parts wipe themselves.
fn join(curve: &SharedSecret, ml_kem: &SharedSecret) -> SharedSecret {
    let mut secret = Vec::with_capacity(SECRET_LEN);
    secret.extend_from_slice(curve.secret_bytes());
    secret.extend_from_slice(ml_kem.secret_bytes());
    SharedSecret::from(secret)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kx::{SECP384R1, SECP384R1MLKEM1024};
    use crate::testing::{Pair, World};

    /// What a client or a server makes of a share: the secret's bytes.
    fn client_takes(exchange: Box<dyn ActiveKeyExchange>, share: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(exchange.complete(share)?.secret_bytes().to_vec())
    }

    fn server_takes(share: &[u8]) -> Result<Vec<u8>, Error> {
        let server = SecP384r1MlKem1024.start_and_complete(share)?;
        Ok(server.secret.secret_bytes().to_vec())
    }

    #[test]
    fn both_sides_agree_on_the_curve_secret_and_then_the_ml_kem_secret() {
        // The two halves, run apart by their own groups.
        let curve = kx_group::SECP384R1.start().unwrap();
        let ml_kem = kx_group::MLKEM1024.start().unwrap();
        let share = [curve.pub_key(), ml_kem.pub_key()].concat();
        assert_eq!(share.len(), 1665);
        let server = SecP384r1MlKem1024.start_and_complete(&share).unwrap();
        assert_eq!(server.group, NamedGroup::Unknown(0x11ED));
        assert_eq!(server.pub_key.len(), 1665);
        let (point, ciphertext) = server.pub_key.split_at(97);
        let by_parts = [
            curve.complete(point).unwrap().secret_bytes(),
            ml_kem.complete(ciphertext).unwrap().secret_bytes(),
        ]
        .concat();
        assert_eq!(by_parts.len(), 80);
        assert_eq!(server.secret.secret_bytes(), by_parts);

        let client = SecP384r1MlKem1024.start().unwrap();
        let server = SecP384r1MlKem1024
            .start_and_complete(client.pub_key())
            .unwrap();
        let secret = client_takes(client, &server.pub_key).unwrap();
        assert_eq!(secret, server.secret.secret_bytes());
    }

    #[test]
    fn a_share_of_another_length_is_refused_by_both_sides() {
        let share = SecP384r1MlKem1024.start().unwrap().pub_key().to_vec();
        let longer = [share.as_slice(), &[0]].concat();
        for wrong in [&share[..1664], &share[..97], &share[97..], &[], &longer] {
            assert_eq!(server_takes(wrong).err(), Some(INVALID_KEY_SHARE));
            let client = SecP384r1MlKem1024.start().unwrap();
            assert_eq!(client_takes(client, wrong).err(), Some(INVALID_KEY_SHARE));
        }
    }

    #[test]
    fn a_point_off_the_curve_and_a_key_that_is_not_reduced_are_refused() {
        let share = SecP384r1MlKem1024.start().unwrap().pub_key().to_vec();
        let mut off_the_curve = share.clone();
        off_the_curve[96] ^= 1;
        assert!(server_takes(&off_the_curve).is_err());
        // FIPS 203 §7.2: coefficients are below 3329.
        let mut not_reduced = share;
        not_reduced[97..100].fill(0xFF);
        assert!(server_takes(&not_reduced).is_err());

        let client = SecP384r1MlKem1024.start().unwrap();
        let server = SecP384r1MlKem1024
            .start_and_complete(client.pub_key())
            .unwrap();
        let mut off_the_curve = server.pub_key;
        off_the_curve[96] ^= 1;
        assert!(client_takes(client, &off_the_curve).is_err());
    }

    #[test]
    fn a_changed_ciphertext_gives_another_secret() {
        let client = SecP384r1MlKem1024.start().unwrap();
        let server = SecP384r1MlKem1024
            .start_and_complete(client.pub_key())
            .unwrap();
        let mut changed = server.pub_key;
        changed[97] ^= 1;
        let secret = client_takes(client, &changed).unwrap();
        // The curve's half is the same, ML-KEM rejects implicitly (FIPS 203 §6.3).
        assert_eq!(secret[..48], server.secret.secret_bytes()[..48]);
        assert_ne!(secret[48..], server.secret.secret_bytes()[48..]);
    }

    #[test]
    fn a_handshake_negotiates_it() {
        let world = World::new();
        let groups = [&SECP384R1MLKEM1024];
        let pair = Pair::run(world.client(&groups), world.server(&groups)).unwrap();
        for negotiated in [
            pair.client.negotiated_key_exchange_group(),
            pair.server.negotiated_key_exchange_group(),
        ] {
            assert_eq!(negotiated.unwrap().name(), SECP384R1MLKEM1024.named_group);
        }
    }

    #[test]
    fn its_point_serves_a_server_that_only_has_the_curve() {
        let world = World::new();
        let client = world.client(&[&SECP384R1MLKEM1024, &SECP384R1]);
        let pair = Pair::run(client, world.server(&[&SECP384R1])).unwrap();
        let negotiated = pair.client.negotiated_key_exchange_group().unwrap();
        assert_eq!(negotiated.name(), NamedGroup::secp384r1);
        // Its share was in the first hello already.
        assert_eq!(
            pair.client.handshake_kind(),
            Some(rustls::HandshakeKind::Full)
        );
    }
}
