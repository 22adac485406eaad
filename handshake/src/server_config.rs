//! TLS 1.3 server configurations.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{Error, ServerConfig};

use crate::observation::{AlertFor, Observed, observed_key};
use crate::resumption::ServerTickets;

/// A server that authenticates itself with `identity` and its clients with `verifier`.
///
/// TLS 1.3 only, no 0-RTT. `alpn` in order of preference, in the wire form of RFC 7301 §3.1. Without
/// `tickets` nothing is resumed; with them each handshake whose [`TicketRule`] says so gets one.
///
/// [`TicketRule`]: crate::observation::TicketRule
///
/// # Errors
/// [`Error`] when the provider has no TLS 1.3 suite or no group.
pub fn server_config(
    provider: Arc<CryptoProvider>,
    verifier: Arc<dyn ClientCertVerifier>,
    alert_for: AlertFor,
    identity: &CertifiedKey,
    alpn: &[&[u8]],
    tickets: Option<Arc<ServerTickets>>,
) -> Result<ServerConfig, Error> {
    let verifier = Observed::<dyn ClientCertVerifier> {
        alert_for,
        inner: verifier,
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(observed_key(identity))));
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    // The ticketer stays the one that never makes a ticket, so what a ticket stands for is in this store only.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    if let Some(tickets) = tickets {
        config.session_storage = tickets;
        config.send_tls13_tickets = 1;
    }
    // What a client asks for with RFC 9149 does not change the count.
    config.max_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}
