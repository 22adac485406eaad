//! The kinds of key that an SVID can have.

use std::fmt;
use std::str::FromStr;

use rcgen::{KeyPair, SignatureAlgorithm};
use zeroize::Zeroizing;

use super::AuthorityError;

/// The kind of an SVID's key.
///
/// Spec: FIPS 186-5 for ECDSA and Ed25519; FIPS 204 and RFC 9881 for ML-DSA.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// ECDSA on P-256 with SHA-256, `ecdsa-p256`.
    #[default]
    EcdsaP256,
    /// Ed25519, `ed25519`.
    Ed25519,
    /// ML-DSA-44, `ml-dsa-44`.
    MlDsa44,
    /// ML-DSA-65, `ml-dsa-65`.
    MlDsa65,
    /// ML-DSA-87, `ml-dsa-87`.
    MlDsa87,
}

impl KeyKind {
    /// Every kind, the classical ones first.
    pub const ALL: [Self; 5] = [
        Self::EcdsaP256,
        Self::Ed25519,
        Self::MlDsa44,
        Self::MlDsa65,
        Self::MlDsa87,
    ];

    /// The name by which a user chooses it, in kebab-case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ecdsa-p256",
            Self::Ed25519 => "ed25519",
            Self::MlDsa44 => "ml-dsa-44",
            Self::MlDsa65 => "ml-dsa-65",
            Self::MlDsa87 => "ml-dsa-87",
        }
    }

    /// A fresh key.
    pub(crate) fn generate(self) -> Result<Zeroizing<KeyPair>, AuthorityError> {
        KeyPair::generate_for(self.algorithm())
            .map(Zeroizing::new)
            .map_err(AuthorityError::Generate)
    }

    pub(crate) fn algorithm(self) -> &'static SignatureAlgorithm {
        match self {
            Self::EcdsaP256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Self::Ed25519 => &rcgen::PKCS_ED25519,
            Self::MlDsa44 => &rcgen::PKCS_ML_DSA_44,
            Self::MlDsa65 => &rcgen::PKCS_ML_DSA_65,
            Self::MlDsa87 => &rcgen::PKCS_ML_DSA_87,
        }
    }
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
    "unknown key kind {name:?}: ecdsa-p256, ed25519, ml-dsa-44, ml-dsa-65 or ml-dsa-87 is accepted"
)]
pub struct KeyKindError {
    name: String,
}
