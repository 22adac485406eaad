//! Master keys, and the keys that are derived from them.

use std::collections::HashSet;
use std::fmt;

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::{Scope, Sealer, push_part};

/// The most bytes of a key file that are read.
pub const MAX_KEY_FILE_LEN: usize = 4096;

/// The most keys of a key file.
pub const MAX_KEYS: usize = 16;

/// Length of a master key, and of every key derived from it, in bytes.
pub(super) const KEY_LEN: usize = 32;

/// Length of a key's id, in bytes.
pub(super) const KEY_ID_LEN: usize = 8;

/// A key. On the heap, since what moves between places on the stack leaves copies behind.
pub(super) type Secret = Box<Zeroizing<[u8; KEY_LEN]>>;

/// RFC 5869 §3.1: a salt need not be secret; a fixed one sets these keys apart from other uses of the secret.
const SALT: &[u8] = b"pqlane sealed ids, version 1";

/// Names a master key, and is derived from it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId(pub(super) [u8; KEY_ID_LEN]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why there is no keyring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// The cryptographic library refused.
    #[error("the cryptographic library refused")]
    Crypto(#[from] Unspecified),
    /// Nothing but comments.
    #[error("no key: one a line is expected, the first one to seal with")]
    Empty,
    /// A line that is no key.
    #[error(
        "line {line}: not a key; accepted are 32 bytes as 64 hexadecimal digits or 43 characters of base64url, \
         and comments that begin with #"
    )]
    NotAKey {
        /// Counted from 1.
        line: usize,
    },
    /// The same key twice.
    #[error("line {line}: a key that stands above already")]
    Repeated {
        /// Counted from 1.
        line: usize,
    },
    /// Longer than a key file may be.
    #[error("{len} bytes; at most {MAX_KEY_FILE_LEN} are read")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// More keys than there may be.
    #[error("line {line}: more than {MAX_KEYS} keys")]
    TooManyKeys {
        /// Counted from 1.
        line: usize,
    },
}

/// Master keys: the first seals, all open, so that keys overlap when they are rotated.
pub struct Keyring {
    seals: MasterKey,
    opens: Vec<MasterKey>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keyring").field(&self.key_ids()).finish()
    }
}

impl Keyring {
    /// Reads keys, one a line; see [`KeyringError::NotAKey`] for their form.
    ///
    /// # Errors
    /// [`KeyringError`] for the first line that is wrong.
    pub fn parse(text: &[u8]) -> Result<Self, KeyringError> {
        if text.len() > MAX_KEY_FILE_LEN {
            return Err(KeyringError::TooLong { len: text.len() });
        }
        let mut known = HashSet::new();
        let mut keys = Vec::with_capacity(MAX_KEYS);
        for (line, written) in (1..).zip(text.split(|byte| *byte == b'\n')) {
            let written = written.trim_ascii();
            if written.is_empty() || written.starts_with(b"#") {
                continue;
            }
            if keys.len() == MAX_KEYS {
                return Err(KeyringError::TooManyKeys { line });
            }
            let bytes = read_key(written).ok_or(KeyringError::NotAKey { line })?;
            let key = MasterKey::new(bytes)?;
            if !known.insert(key.id) {
                return Err(KeyringError::Repeated { line });
            }
            keys.push(key);
        }
        let mut keys = keys.into_iter();
        let seals = keys.next().ok_or(KeyringError::Empty)?;
        Ok(Self {
            seals,
            opens: keys.collect(),
        })
    }

    /// One new key, which only this value holds.
    ///
    /// # Errors
    /// [`KeyringError::Crypto`] without randomness.
    pub fn random() -> Result<Self, KeyringError> {
        Ok(Self {
            seals: MasterKey::new(random_key()?)?,
            opens: Vec::new(),
        })
    }

    /// The ids of its keys, the sealing one first.
    pub fn key_ids(&self) -> Vec<KeyId> {
        self.keys().map(|key| key.id).collect()
    }

    /// What seals and opens within a scope. It holds derived keys, so that an id costs one run of the cipher:
    /// make it once.
    ///
    /// # Errors
    /// [`KeyringError::Crypto`] when a key cannot be derived.
    pub fn sealer(&self, scope: &Scope<'_>) -> Result<Sealer, KeyringError> {
        let derive = |key: &MasterKey| Ok::<_, KeyringError>((key.id, key.derive(scope)?));
        let opens = self.opens.iter().map(derive).collect::<Result<_, _>>()?;
        Ok(Sealer::new(scope.purpose, derive(&self.seals)?, opens)?)
    }

    fn keys(&self) -> impl Iterator<Item = &MasterKey> {
        std::iter::once(&self.seals).chain(&self.opens)
    }
}

/// A key with its id.
struct MasterKey {
    id: KeyId,
    bytes: Secret,
}

impl MasterKey {
    fn new(bytes: Secret) -> Result<Self, Unspecified> {
        let mut info = Vec::new();
        push_part(&mut info, b"key id");
        let mut id = [0; KEY_ID_LEN];
        hkdf(SALT, &**bytes, &info, &mut id)?;
        Ok(Self {
            id: KeyId(id),
            bytes,
        })
    }

    fn derive(&self, scope: &Scope<'_>) -> Result<Secret, Unspecified> {
        let mut info = Vec::new();
        let own = scope.own.as_str();
        for part in ["key", scope.purpose.as_str(), own, scope.route] {
            push_part(&mut info, part.as_bytes());
        }
        push_part(&mut info, &self.id.0);
        let mut key = Secret::default();
        hkdf(SALT, &**self.bytes, &info, &mut **key)?;
        Ok(key)
    }
}

/// A new key.
///
/// # Errors
/// Without randomness.
pub(super) fn random_key() -> Result<Secret, Unspecified> {
    let mut bytes = Secret::default();
    aws_lc_rs::rand::fill(&mut **bytes)?;
    Ok(bytes)
}

/// 64 hexadecimal digits, or 43 characters of base64url (RFC 4648 §5) whose unused bits are zero.
fn read_key(written: &[u8]) -> Option<Secret> {
    let mut key = Secret::default();
    if written.len() == 2 * KEY_LEN {
        for (octet, digits) in key.iter_mut().zip(written.chunks_exact(2)) {
            let mut digits = digits.iter().map(|digit| (*digit as char).to_digit(16));
            let (high, low) = (digits.next()??, digits.next()??);
            *octet = u8::try_from(high << 4 | low).ok()?;
        }
        return Some(key);
    }
    // Room for whole groups of base64, of which a key does not fill the last.
    let mut decoded = Zeroizing::new([0; KEY_LEN + 3]);
    let len = BASE64_URL_SAFE_NO_PAD
        .decode_slice(written, &mut *decoded)
        .ok()?;
    let (read, _) = decoded.split_first_chunk::<KEY_LEN>()?;
    key.copy_from_slice(read);
    (len == KEY_LEN).then_some(key)
}

/// HKDF-SHA-256, extract and expand (RFC 5869 §2).
pub(super) fn hkdf(
    salt: &[u8],
    input: &[u8],
    info: &[u8],
    output: &mut [u8],
) -> Result<(), Unspecified> {
    Salt::new(HKDF_SHA256, salt)
        .extract(input)
        .expand(&[info], OutputLen(output.len()))?
        .fill(output)
}

struct OutputLen(usize);

impl KeyType for OutputLen {
    fn len(&self) -> usize {
        self.0
    }
}
