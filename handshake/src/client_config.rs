//! TLS 1.3 client configurations.

use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, Tls12Resumption};
use rustls::crypto::CryptoProvider;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, Error};

use crate::observation::{AlertFor, Observed, observed_key};
use crate::resumption::ClientAttempt;

/// A client that authenticates itself with `identity` and its server with `verifier`.
///
/// TLS 1.3 only, no resumption, no 0-RTT. `alpn` in order of preference, in the wire form of RFC 7301 §3.1.
///
/// # Errors
/// [`Error`] when the provider has no TLS 1.3 suite or no group.
pub fn client_config(
    provider: Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
    alert_for: AlertFor,
    identity: &CertifiedKey,
    alpn: &[&[u8]],
) -> Result<ClientConfig, Error> {
    let verifier = Observed::<dyn ServerCertVerifier> {
        alert_for,
        inner: verifier,
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(observed_key(identity))));
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Ok(config)
}

/// `config` for one connection, which may resume a session and leaves its tickets with `attempt`.
///
/// The clone shares verifier and identity with `config`, and rustls resumes only between configurations
/// that share both: a ticket never reaches another identity or another set of trust bundles. No 0-RTT.
pub fn with_tickets(config: &ClientConfig, attempt: Arc<ClientAttempt>) -> ClientConfig {
    let mut config = config.clone();
    config.resumption = Resumption::store(attempt).tls12_resumption(Tls12Resumption::Disabled);
    config.enable_early_data = false;
    config
}
