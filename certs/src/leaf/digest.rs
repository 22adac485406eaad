//! SHA-256, of one string of bytes and of several.

use aws_lc_rs::digest::{self, Context, SHA256};

/// SHA-256 of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    to_array(&digest::digest(&SHA256, bytes))
}

/// SHA-256 over strings of bytes, each preceded by its length as eight bytes, most significant
/// first, so that no two lists of strings run together into the same bytes.
pub(crate) struct LengthPrefixed(Context);

impl LengthPrefixed {
    pub(crate) fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.0.update(&len.to_be_bytes());
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        to_array(&self.0.finish())
    }
}

impl Default for LengthPrefixed {
    fn default() -> Self {
        Self::new()
    }
}

fn to_array(digest: &digest::Digest) -> [u8; 32] {
    let mut sum = [0; 32];
    sum.copy_from_slice(digest.as_ref());
    sum
}
