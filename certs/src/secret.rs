//! Private keys in PEM form and tokens, kept out of logs and wiped when dropped.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
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

/// A token that somebody must show. Zeroized on drop; `Debug` never shows it.
pub struct SecretToken(Zeroizing<Vec<u8>>);

impl SecretToken {
    /// Takes over `token`; the bytes are wiped when this is dropped.
    pub fn new(token: Vec<u8>) -> Self {
        Self(Zeroizing::new(token))
    }

    /// Whether this is what was shown. The time that takes tells the length of the token and nothing else.
    pub fn matches(&self, shown: &[u8]) -> bool {
        verify_slices_are_equal(&self.0, shown).is_ok()
    }
}

impl fmt::Debug for SecretToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretToken(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_matches_itself_alone_and_is_not_shown() {
        let token = SecretToken::new(b"c2VzYW1l".to_vec());
        assert!(token.matches(b"c2VzYW1l"));
        for other in [&b"c2VzYW1m"[..], b"c2VzYW1", b"c2VzYW1lIQ", b""] {
            assert!(!token.matches(other));
        }
        assert_eq!(format!("{token:?}"), "SecretToken(..)");
    }

    #[test]
    fn debug_does_not_show_the_key() {
        let secret = SecretPem::new("MIGHAgEAMBMG".to_owned());
        assert_eq!(format!("{secret:?}"), "SecretPem(..)");
        assert_eq!(secret.as_str(), "MIGHAgEAMBMG");
    }
}
