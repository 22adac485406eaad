//! Sealing and opening.
//!
//! Form: `pq1.` and base64url without padding of `key id (8 B) || nonce (12 B) || ciphertext || tag (16 B)`.
//! Plaintext: `version (1 B) || seconds since 1970 (8 B) || length of the backend's name (1 B) || that name ||
//! the backend's id`. Associated data: key id, purpose and peer, each after its length, then the subject.

use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rustls::pki_types::UnixTime;

use super::keyring::{KEY_ID_LEN, KeyId, Secret};
use super::{Holder, Purpose, Subject, push_part};

/// The most characters of a sealed id.
pub const MAX_SEALED_LEN: usize = 512;

/// What every sealed id begins with.
const PREFIX: &str = "pq1.";

/// The form of the plaintext.
const VERSION: u8 = 1;

/// Length of the tag (RFC 8452 §4).
const TAG_LEN: usize = 16;

/// What stands before the ciphertext.
const CLEAR_LEN: usize = KEY_ID_LEN + NONCE_LEN;

/// How far the clocks of two replicas may be apart: an id of the one may come back to the other at once.
const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// What a sealed id holds.
#[derive(Debug, Clone, Copy)]
pub struct Contents<'a> {
    /// Name of the configured backend that gave the id; at most 255 bytes.
    pub backend: &'a str,
    /// The id as the backend gave it.
    pub original: &'a [u8],
    /// When it is sealed.
    pub at: UnixTime,
}

/// What was in a sealed id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Name of the backend that gave the id. It may have been taken from the configuration since.
    pub backend: String,
    /// The id as the backend gave it.
    pub original: Vec<u8>,
    /// When it was sealed.
    pub sealed_at: UnixTime,
}

/// How old an id may be.
#[derive(Debug, Clone, Copy)]
pub struct Age {
    /// The time.
    pub now: UnixTime,
    /// The oldest that still opens.
    pub at_most: Duration,
}

/// Why an id cannot be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The cryptographic library refused.
    #[error("the cryptographic library refused")]
    Crypto(#[from] Unspecified),
    /// It would not fit.
    #[error(
        "an id of {original} bytes and a backend's name of {backend} do not fit into {MAX_SEALED_LEN} characters"
    )]
    TooLong {
        /// Length of the backend's id.
        original: usize,
        /// Length of the backend's name.
        backend: usize,
    },
}

/// An id that is not one of ours, or not this caller's, or not any more. Its message is the same for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid id")]
pub struct NotOpened(Cause);

impl NotOpened {
    /// The cause, as far as it can be known. For our own record, never for the caller.
    pub const fn cause(self) -> &'static str {
        match self.0 {
            Cause::FromTheFuture => "sealed later than now",
            Cause::NotAuthentic => "forged, cut short, or sealed for somebody or something else",
            Cause::NotSealed => "not a sealed id",
            Cause::TooOld => "sealed too long ago",
            Cause::UnknownKey => "sealed with a key that is not on the keyring",
            Cause::UnknownVersion => "sealed by another version",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    FromTheFuture,
    NotAuthentic,
    NotSealed,
    TooOld,
    UnknownKey,
    UnknownVersion,
}

/// Seals and opens the ids of one scope.
#[derive(Debug)]
pub struct Sealer {
    purpose: Purpose,
    seals: DerivedKey,
    opens: Vec<DerivedKey>,
}

/// A key of one scope, with the id of the master key it comes from.
#[derive(Debug)]
struct DerivedKey {
    id: KeyId,
    key: LessSafeKey,
}

/// Key and id as derived.
type Derived = (KeyId, Secret);

impl Sealer {
    pub(super) fn new(
        purpose: Purpose,
        seals: Derived,
        opens: Vec<Derived>,
    ) -> Result<Self, Unspecified> {
        Ok(Self {
            purpose,
            seals: DerivedKey::new(&seals)?,
            opens: opens
                .iter()
                .map(DerivedKey::new)
                .collect::<Result<_, _>>()?,
        })
    }

    /// Seals an id for whom it is given to. The same id is sealed differently every time.
    ///
    /// Shape: at most [`MAX_SEALED_LEN`] visible ASCII characters, as `Mcp-Session-Id` asks for.
    /// # Errors
    /// [`SealError::TooLong`] when it would be longer, [`SealError::Crypto`] without randomness.
    pub fn seal(&self, holder: &Holder<'_>, contents: &Contents<'_>) -> Result<String, SealError> {
        let mut nonce = [0; NONCE_LEN];
        aws_lc_rs::rand::fill(&mut nonce)?;
        self.seal_with(nonce, holder, contents)
    }

    /// As [`Sealer::seal`], with a nonce that was drawn.
    pub(super) fn seal_with(
        &self,
        nonce: [u8; NONCE_LEN],
        holder: &Holder<'_>,
        contents: &Contents<'_>,
    ) -> Result<String, SealError> {
        let Contents {
            backend,
            original,
            at,
        } = contents;
        let too_long = SealError::TooLong {
            original: original.len(),
            backend: backend.len(),
        };
        let name_len = u8::try_from(backend.len()).map_err(|_beyond| too_long)?;
        let plain_len = 1 + 8 + 1 + backend.len() + original.len();
        let len = CLEAR_LEN + plain_len + TAG_LEN;
        if PREFIX.len() + text_len(len) > MAX_SEALED_LEN {
            return Err(too_long);
        }
        let mut plaintext = Vec::with_capacity(plain_len + TAG_LEN);
        plaintext.push(VERSION);
        plaintext.extend_from_slice(&at.as_secs().to_be_bytes());
        plaintext.push(name_len);
        plaintext.extend_from_slice(backend.as_bytes());
        plaintext.extend_from_slice(original);
        let key = &self.seals;
        let bound = self.bound_to(key.id, holder);
        let ciphertext = encrypt(&key.key, nonce, &bound, plaintext)?;

        let mut bytes = Vec::with_capacity(len);
        bytes.extend_from_slice(&key.id.0);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&ciphertext);
        let mut sealed = String::with_capacity(PREFIX.len() + text_len(len));
        sealed.push_str(PREFIX);
        BASE64_URL_SAFE_NO_PAD.encode_string(&bytes, &mut sealed);
        Ok(sealed)
    }

    /// Opens what a caller sent.
    ///
    /// # Errors
    /// [`NotOpened`], always the same, unless it was sealed in this scope for this very holder, with a key that is
    /// on the keyring, not too long ago.
    pub fn open(&self, holder: &Holder<'_>, sealed: &[u8], age: &Age) -> Result<Opened, NotOpened> {
        self.read(holder, sealed, age).map_err(NotOpened)
    }

    fn read(&self, holder: &Holder<'_>, sealed: &[u8], age: &Age) -> Result<Opened, Cause> {
        if sealed.len() > MAX_SEALED_LEN {
            return Err(Cause::NotSealed);
        }
        let encoded = sealed.strip_prefix(PREFIX.as_bytes());
        // Strict: no padding, no other alphabet, unused bits zero. So no two texts are the same id.
        let mut bytes = encoded
            .and_then(|encoded| BASE64_URL_SAFE_NO_PAD.decode(encoded).ok())
            .ok_or(Cause::NotSealed)?;
        let (key_id, rest) = bytes
            .split_first_chunk_mut::<KEY_ID_LEN>()
            .ok_or(Cause::NotSealed)?;
        let (nonce, ciphertext) = rest
            .split_first_chunk_mut::<NONCE_LEN>()
            .ok_or(Cause::NotSealed)?;
        let key = std::iter::once(&self.seals)
            .chain(&self.opens)
            .find(|key| key.id.0 == *key_id)
            .ok_or(Cause::UnknownKey)?;
        let bound = self.bound_to(key.id, holder);
        let plaintext = decrypt(&key.key, *nonce, &bound, ciphertext)
            .map_err(|Unspecified| Cause::NotAuthentic)?;
        let opened = read_plaintext(plaintext).ok_or(Cause::UnknownVersion)?;
        let (sealed_at, now) = (opened.sealed_at.as_secs(), age.now.as_secs());
        if sealed_at > now.saturating_add(CLOCK_SKEW.as_secs()) {
            return Err(Cause::FromTheFuture);
        }
        if now.saturating_sub(sealed_at) > age.at_most.as_secs() {
            return Err(Cause::TooOld);
        }
        Ok(opened)
    }

    /// The associated data.
    fn bound_to(&self, key: KeyId, holder: &Holder<'_>) -> Vec<u8> {
        let mut bound = Vec::with_capacity(256);
        push_part(&mut bound, &key.0);
        push_part(&mut bound, self.purpose.as_str().as_bytes());
        push_part(&mut bound, holder.peer.as_str().as_bytes());
        match holder.subject {
            Subject::None => bound.push(0),
            Subject::Named(name) => {
                bound.push(1);
                push_part(&mut bound, name.as_bytes());
            }
        }
        bound
    }
}

impl DerivedKey {
    fn new((id, key): &Derived) -> Result<Self, Unspecified> {
        Ok(Self {
            id: *id,
            key: cipher(&***key)?,
        })
    }
}

fn read_plaintext(plaintext: &[u8]) -> Option<Opened> {
    let (version, rest) = plaintext.split_first()?;
    if *version != VERSION {
        return None;
    }
    let (seconds, rest) = rest.split_first_chunk::<8>()?;
    let (name_len, rest) = rest.split_first()?;
    let (backend, original) = rest.split_at_checked((*name_len).into())?;
    Some(Opened {
        backend: str::from_utf8(backend).ok()?.to_owned(),
        original: original.to_vec(),
        sealed_at: UnixTime::since_unix_epoch(Duration::from_secs(u64::from_be_bytes(*seconds))),
    })
}

/// Characters of base64 without padding for so many bytes (RFC 4648 §4).
const fn text_len(bytes: usize) -> usize {
    (bytes * 4).div_ceil(3)
}

/// AEAD_AES_256_GCM_SIV (RFC 8452 §4).
pub(super) fn cipher(key: &[u8]) -> Result<LessSafeKey, Unspecified> {
    UnboundKey::new(&AES_256_GCM_SIV, key).map(LessSafeKey::new)
}

/// Gives ciphertext and tag.
pub(super) fn encrypt(
    key: &LessSafeKey,
    nonce: [u8; NONCE_LEN],
    bound: &[u8],
    mut text: Vec<u8>,
) -> Result<Vec<u8>, Unspecified> {
    let nonce = Nonce::assume_unique_for_key(nonce);
    key.seal_in_place_append_tag(nonce, Aad::from(bound), &mut text)?;
    Ok(text)
}

/// Takes ciphertext and tag, gives the plaintext in their place.
pub(super) fn decrypt<'a>(
    key: &LessSafeKey,
    nonce: [u8; NONCE_LEN],
    bound: &[u8],
    text: &'a mut [u8],
) -> Result<&'a [u8], Unspecified> {
    let nonce = Nonce::assume_unique_for_key(nonce);
    let plaintext = key.open_in_place(nonce, Aad::from(bound), text)?;
    Ok(plaintext)
}
