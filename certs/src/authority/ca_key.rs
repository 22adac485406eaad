//! The key of a CA, of any kind, fresh or read back.

use aws_lc_rs::signature::{
    KeyPair as _, ML_DSA_44_SIGNING, ML_DSA_65_SIGNING, ML_DSA_87_SIGNING, PqdsaKeyPair,
};
use pem::{EncodeConfig, LineEnding, Pem};
use rcgen::{KeyPair, PublicKeyData, SignatureAlgorithm, SigningKey};
use zeroize::Zeroizing;

use super::{AuthorityError, KeyKind};
use crate::secret::SecretPem;

/// A key that signs certificates and CRLs.
pub(super) struct CaKey {
    pair: Pair,
    pkcs8: Zeroizing<Vec<u8>>,
}

enum Pair {
    Rcgen(Zeroizing<KeyPair>),
    /// rcgen makes ML-DSA keys but reads none back.
    MlDsa(PqdsaKeyPair, &'static SignatureAlgorithm),
}

impl CaKey {
    pub(super) fn generate(kind: KeyKind) -> Result<Self, AuthorityError> {
        let pair = kind.generate()?;
        Ok(Self {
            pkcs8: Zeroizing::new(pair.serialize_der()),
            pair: Pair::Rcgen(pair),
        })
    }

    pub(super) fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, AuthorityError> {
        let read = |pair| Self {
            pair,
            pkcs8: Zeroizing::new(pkcs8.to_vec()),
        };
        for (signing, kind) in [
            (&ML_DSA_44_SIGNING, KeyKind::MlDsa44),
            (&ML_DSA_65_SIGNING, KeyKind::MlDsa65),
            (&ML_DSA_87_SIGNING, KeyKind::MlDsa87),
        ] {
            if let Ok(pair) = PqdsaKeyPair::from_pkcs8(signing, pkcs8) {
                return Ok(read(Pair::MlDsa(pair, kind.algorithm())));
            }
        }
        let pair = KeyPair::try_from(pkcs8).map_err(AuthorityError::Key)?;
        Ok(read(Pair::Rcgen(Zeroizing::new(pair))))
    }

    /// As a `PRIVATE KEY` section with `\n` line ends. Spec: RFC 7468 §10.
    pub(super) fn to_pem(&self) -> SecretPem {
        let section = Pem::new("PRIVATE KEY", self.pkcs8.as_slice());
        let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
        SecretPem::new(pem::encode_config(&section, config))
    }
}

impl PublicKeyData for CaKey {
    fn der_bytes(&self) -> &[u8] {
        match &self.pair {
            Pair::Rcgen(pair) => pair.der_bytes(),
            Pair::MlDsa(pair, _) => pair.public_key().as_ref(),
        }
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match &self.pair {
            Pair::Rcgen(pair) => PublicKeyData::algorithm(&**pair),
            Pair::MlDsa(_, algorithm) => algorithm,
        }
    }
}

impl SigningKey for CaKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        match &self.pair {
            Pair::Rcgen(pair) => pair.sign(message),
            Pair::MlDsa(pair, _) => {
                let mut signature = vec![0; pair.algorithm().signature_len()];
                pair.sign(message, &mut signature)
                    .map_err(|_unspecified| rcgen::Error::RingUnspecified)?;
                Ok(signature)
            }
        }
    }
}
