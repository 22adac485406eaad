//! TLS 1.3 with X25519MLKEM768 alone, HTTP/2 by ALPN, certificates on both sides.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::{PlainError, Settings};

/// The ALPN protocol of the lane.
const ALPN_H2: &[u8] = b"h2";

/// The egress side: verifies the ingress by CA and name, shows its own certificate.
pub(super) fn client(settings: &Settings) -> Result<Arc<ClientConfig>, PlainError> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots(&settings.ca)?)
        .with_client_auth_cert(chain(&settings.certificate)?, key(&settings.key)?)?;
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    Ok(Arc::new(config))
}

/// The ingress side: requires a client certificate of the CA.
pub(super) fn server(settings: &Settings) -> Result<Arc<ServerConfig>, PlainError> {
    let roots = Arc::new(roots(&settings.ca)?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build()?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain(&settings.certificate)?, key(&settings.key)?)?;
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    Ok(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        kx_groups: vec![aws_lc_rs::kx_group::X25519MLKEM768],
        ..aws_lc_rs::default_provider()
    })
}

fn roots(path: &Path) -> Result<RootCertStore, PlainError> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(path)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, PlainError> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|source| PlainError::Pem {
            path: path.to_owned(),
            source,
        })
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, PlainError> {
    PrivateKeyDer::from_pem_file(path).map_err(|source| PlainError::Pem {
        path: path.to_owned(),
        source,
    })
}
