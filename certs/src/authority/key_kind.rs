//! The kinds of key that an SVID or a CA can have.

use std::fmt;
use std::str::FromStr;

use rcgen::{KeyPair, SignatureAlgorithm};
use zeroize::Zeroizing;

use super::AuthorityError;

/// The kind of a key.
///
/// Spec: FIPS 186-5 for ECDSA, Ed25519 and RSA; FIPS 204 and RFC 9881 for ML-DSA.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// ECDSA on P-256 with SHA-256, `ecdsa-p256`.
    #[default]
    EcdsaP256,
    /// ECDSA on P-384 with SHA-384, `ecdsa-p384`.
    EcdsaP384,
    /// Ed25519, `ed25519`.
    Ed25519,
    /// ML-DSA-44, `ml-dsa-44`.
    MlDsa44,
    /// ML-DSA-65, `ml-dsa-65`.
    MlDsa65,
    /// ML-DSA-87, `ml-dsa-87`.
    MlDsa87,
    /// RSA with a modulus of 2048 bits, certificates signed with PKCS#1 v1.5 and SHA-256, `rsa-2048`.
    Rsa2048,
}

impl KeyKind {
    /// Every kind, the classical ones first.
    pub const ALL: [Self; 7] = [
        Self::EcdsaP256,
        Self::EcdsaP384,
        Self::Rsa2048,
        Self::Ed25519,
        Self::MlDsa44,
        Self::MlDsa65,
        Self::MlDsa87,
    ];

    /// The name by which a user chooses it, in kebab-case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ecdsa-p256",
            Self::EcdsaP384 => "ecdsa-p384",
            Self::Ed25519 => "ed25519",
            Self::MlDsa44 => "ml-dsa-44",
            Self::MlDsa65 => "ml-dsa-65",
            Self::MlDsa87 => "ml-dsa-87",
            Self::Rsa2048 => "rsa-2048",
        }
    }

    /// A fresh key.
    pub(crate) fn generate(self) -> Result<Zeroizing<KeyPair>, AuthorityError> {
        let pair = KeyPair::generate_for(self.algorithm())
            .map(Zeroizing::new)
            .map_err(AuthorityError::Generate)?;
        if self == Self::Ed25519 {
            return without_public_key(&pair);
        }
        Ok(pair)
    }

    pub(crate) fn algorithm(self) -> &'static SignatureAlgorithm {
        match self {
            Self::EcdsaP256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Self::EcdsaP384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            Self::Ed25519 => &rcgen::PKCS_ED25519,
            Self::MlDsa44 => &rcgen::PKCS_ML_DSA_44,
            Self::MlDsa65 => &rcgen::PKCS_ML_DSA_65,
            Self::MlDsa87 => &rcgen::PKCS_ML_DSA_87,
            Self::Rsa2048 => &rcgen::PKCS_RSA_SHA256,
        }
    }
}

/// An Ed25519 key as PKCS#8 of version 1, which every reader knows: what generated it appends the public key, as
/// version 2 does. Spec: RFC 8410 §7, RFC 5958 §2.
fn without_public_key(pair: &KeyPair) -> Result<Zeroizing<KeyPair>, AuthorityError> {
    const PREFIX: [u8; 16] = *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
    const SEED: std::ops::Range<usize> = 16..48;
    let written = Zeroizing::new(pair.serialize_der());
    let unreadable = || AuthorityError::Generate(rcgen::Error::CouldNotParseKeyPair);
    let seed = written.get(SEED).ok_or_else(unreadable)?;
    let short = Zeroizing::new([&PREFIX, seed].concat());
    KeyPair::try_from(short.as_slice())
        .map(Zeroizing::new)
        .map_err(AuthorityError::Generate)
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for KeyKind {
    type Err = KeyKindError;

    fn from_str(name: &str) -> Result<Self, KeyKindError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == name)
            .ok_or_else(|| KeyKindError {
                name: name.to_owned(),
            })
    }
}

/// A name that is not that of a [`KeyKind`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown key kind {name:?}: ecdsa-p256, ecdsa-p384, rsa-2048, ed25519, ml-dsa-44, ml-dsa-65 or \
     ml-dsa-87 is accepted"
)]
pub struct KeyKindError {
    name: String,
}
