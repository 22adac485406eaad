//! Private keys in PEM form, kept out of logs and wiped when dropped.

use std::fmt;

use zeroize::Zeroizing;

/// A private key as PEM text.
///
/// Zeroized on drop. Copies that the key generator made on the way here are beyond its reach.
/// `Debug` never shows the key.
#[derive(Clone)]
pub struct SecretPem(Zeroizing<String>);

impl SecretPem {
    /// Takes over `pem`; the text is wiped when this is dropped.
    pub fn new(pem: String) -> Self {
        Self(Zeroizing::new(pem))
    }

    /// The PEM text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The PEM text as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for SecretPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretPem(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_show_the_key() {
        let secret = SecretPem::new("MIGHAgEAMBMG".to_owned());
        assert_eq!(format!("{secret:?}"), "SecretPem(..)");
        assert_eq!(secret.as_str(), "MIGHAgEAMBMG");
    }
}
