//! Certificates as PEM text.

use pem::{EncodeConfig, LineEnding, Pem};
use rustls_pki_types::CertificateDer;

/// One `CERTIFICATE` section with `\n` line ends. Spec: RFC 7468 §5.
pub(crate) fn certificate(der: &CertificateDer<'_>) -> String {
    let section = Pem::new("CERTIFICATE", der.as_ref());
    pem::encode_config(
        &section,
        EncodeConfig::new().set_line_ending(LineEnding::LF),
    )
}
