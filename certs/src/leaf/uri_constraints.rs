//! Name constraints on URIs, which path validation here cannot judge.
//!
//! webpki has no rule for URIs in name constraints and therefore refuses every chain with a URI SAN
//! below such a certificate, which is every X.509-SVID. Spec: RFC 5280 §4.2.1.10.

use x509_parser::certificate::X509Certificate;
use x509_parser::oid_registry::OID_X509_EXT_NAME_CONSTRAINTS;

use super::element::{self, SEQUENCE};

/// `permittedSubtrees [0]`, `excludedSubtrees [1]`.
const SUBTREES: [u8; 2] = [0xa0, 0xa1];

/// `uniformResourceIdentifier [6]`. Spec: RFC 5280 §4.2.1.6.
const URI: u8 = 0x86;

/// Whether nameConstraints permits or excludes subtrees of URIs. What cannot be read is left to
/// path validation, which refuses it.
pub(crate) fn constrains_uris(certificate: &X509Certificate<'_>) -> bool {
    certificate
        .extensions()
        .iter()
        .filter(|extension| extension.oid == OID_X509_EXT_NAME_CONSTRAINTS)
        .filter_map(|extension| element::expect(SEQUENCE, extension.value))
        .flat_map(|constraints| element::each(constraints.contents))
        .filter(|subtrees| SUBTREES.contains(&subtrees.identifier))
        .flat_map(|subtrees| element::each(subtrees.contents))
        .filter_map(|subtree| element::first(subtree.contents))
        .any(|base| base.identifier == URI)
}
