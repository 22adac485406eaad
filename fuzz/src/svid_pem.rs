//! Our own chain and key, from PEM.
//!
//! Input: the chain, a zero byte, the key. Without a zero byte both are read from the same text.

use std::sync::{Arc, LazyLock};

use pqlane_certs::leaf::Leaf;
use pqlane_certs::svid::{MAX_OWN_CHAIN, X509Svid};
use pqlane_handshake::KxPolicy;
use pqlane_handshake::provider::provider;
use rustls::crypto::CryptoProvider;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::message::whole_message;
use crate::{Verdict, leaf};

static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| provider(&KxPolicy::require_hybrid()));

/// Reads an SVID; one that is accepted has the key of its leaf, and no refusal repeats a key.
///
/// # Panics
/// When an invariant does not hold.
pub fn run(bytes: &[u8]) -> Verdict {
    let (chain_pem, key_pem) = match bytes.iter().position(|byte| *byte == 0) {
        Some(zero) => (&bytes[..zero], &bytes[zero + 1..]),
        None => (bytes, bytes),
    };
    let read = X509Svid::from_pem(chain_pem, key_pem, &PROVIDER);
    match &read {
        Ok(svid) => check(svid, chain_pem),
        Err(error) => {
            let message = whole_message(error);
            check_keeps_secrets(&message, key_pem);
            check_keeps_secrets(&format!("{error:?}"), key_pem);
        }
    }
    Verdict::of(&read)
}

fn check(svid: &X509Svid, chain_pem: &[u8]) {
    let chain = &svid.certified_key().cert;
    assert!((1..=MAX_OWN_CHAIN).contains(&chain.len()));
    let sections = CertificateDer::pem_slice_iter(chain_pem);
    let sections: Vec<_> = sections.filter_map(Result::ok).collect();
    assert_eq!(*chain, sections);
    for der in chain.iter().take(1) {
        assert_eq!(Leaf::parse(der).ok().as_ref(), Some(svid.leaf()));
        leaf::check(svid.leaf(), der);
    }
    assert_eq!(svid.id(), svid.leaf().spiffe_id());
    assert_eq!(svid.certified_key().keys_match(), Ok(()));
    let shown = format!("{svid:?}");
    assert!(
        shown.starts_with(&format!("X509Svid({}, until ", svid.id())),
        "{shown}"
    );
}

/// Asserts that no long run of base64 in the key file is repeated, as text or byte for byte in numbers.
fn check_keeps_secrets(message: &str, key_pem: &[u8]) {
    // Longer than any word of an error.
    const SECRET_LEN: usize = 32;
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
    for run in key_pem.split(|byte| !is_base64(byte)) {
        let Some(secret) = run.get(..SECRET_LEN) else {
            continue;
        };
        let text = String::from_utf8_lossy(secret);
        let numbers: Vec<String> = secret.iter().map(u8::to_string).collect();
        assert!(!message.contains(&*text), "{message}");
        assert!(!message.contains(&numbers.join(", ")), "{message}");
    }
}
