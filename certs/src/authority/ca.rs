//! One CA certificate with its key: the root, or an intermediate below it.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyUsagePurpose, PublicKeyData,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use zeroize::Zeroize;

use super::ca_key::CaKey;
use super::{AuthorityError, pem_text, uri_san};
use crate::leaf::{self, Validity};
use crate::secret::SecretPem;
use crate::spiffe_id::{SpiffeId, TrustDomain};
use crate::svid::SvidError;

/// One certificate that signs others, with its key.
pub(super) struct Ca {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) validity: Validity,
    pub(super) key: CaKey,
}

impl Ca {
    pub(super) fn decode(
        certificate_pem: &[u8],
        key_pem: &[u8],
    ) -> Result<(TrustDomain, Self), AuthorityError> {
        let certificate = CertificateDer::from_pem_slice(certificate_pem)
            .map_err(|error| AuthorityError::Pem(error.into()))?;
        let parsed = leaf::parse_certificate(&certificate).map_err(AuthorityError::Certificate)?;
        check_is_ca(&parsed)?;
        let trust_domain = read_trust_domain(&parsed)?;
        let validity = Validity::of(&parsed);

        let mut pkcs8 = PrivatePkcs8KeyDer::from_pem_slice(key_pem)
            .map_err(|error| AuthorityError::KeyPem(error.into()))?;
        let key = CaKey::from_pkcs8(pkcs8.secret_pkcs8_der());
        pkcs8.zeroize();
        let key = key?;
        if key.subject_public_key_info() != parsed.public_key().raw {
            return Err(AuthorityError::KeyMismatch);
        }
        let ca = Self {
            certificate: certificate.clone().into_owned(),
            validity,
            key,
        };
        Ok((trust_domain, ca))
    }

    /// Whether the key that signed this certificate is that of `root`, going by the key identifiers: every
    /// root of a domain has the same name, so the name says nothing.
    pub(super) fn is_below(&self, root: &Self) -> Result<bool, AuthorityError> {
        let parse = |ca| leaf::parse_certificate(ca).map_err(AuthorityError::Certificate);
        let (below, above) = (parse(&self.certificate)?, parse(&root.certificate)?);
        let key = subject_key(&above);
        Ok(key.is_some() && issuer_key(&below) == key)
    }

    pub(super) fn to_pem(&self) -> (String, SecretPem) {
        (pem_text::certificate(&self.certificate), self.key.to_pem())
    }

    pub(super) fn issuer(&self) -> Result<Issuer<'static, &CaKey>, AuthorityError> {
        Issuer::from_ca_cert_der(&self.certificate, &self.key).map_err(AuthorityError::Generate)
    }
}

/// A CA certificate with so many levels of CAs below it.
pub(super) fn ca_params(
    trust_domain: &TrustDomain,
    name: &str,
    (not_before, not_after): (OffsetDateTime, OffsetDateTime),
    levels_below: u8,
) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    (params.not_before, params.not_after) = (not_before, not_after);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(
        DnType::OrganizationName,
        format!("pqlane development {name}"),
    );
    params
        .distinguished_name
        .push(DnType::CommonName, trust_domain.as_str());
    params.subject_alt_names = vec![uri_san(&trust_domain.id())?];
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(levels_below));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

/// X509-SVID §3.2, §4.3.
fn check_is_ca(certificate: &X509Certificate<'_>) -> Result<(), AuthorityError> {
    let is_ca = leaf::is_ca(certificate).map_err(AuthorityError::Certificate)?;
    let usage = leaf::key_usage(certificate).map_err(AuthorityError::Certificate)?;
    if !is_ca || !usage.is_some_and(|usage| usage.key_cert_sign()) {
        return Err(AuthorityError::NotCa);
    }
    Ok(())
}

/// RFC 5280 §4.2.1.2.
fn subject_key<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a [u8]> {
    let mut extensions = certificate.extensions().iter();
    extensions.find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(key) => Some(key.0),
        _ => None,
    })
}

/// RFC 5280 §4.2.1.1.
fn issuer_key<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a [u8]> {
    let mut extensions = certificate.extensions().iter();
    extensions.find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(key) => Some(key.key_identifier.as_ref()?.0),
        _ => None,
    })
}

/// X509-SVID §3.2: the SPIFFE ID of a signing certificate has no path.
pub(super) fn read_trust_domain(
    certificate: &X509Certificate<'_>,
) -> Result<TrustDomain, AuthorityError> {
    let names = certificate
        .subject_alternative_name()
        .map_err(SvidError::Malformed)
        .map_err(AuthorityError::Certificate)?;
    let uris: Vec<&GeneralName<'_>> = names
        .iter()
        .flat_map(|names| &names.value.general_names)
        .filter(|name| matches!(name, GeneralName::URI(_)))
        .collect();
    let [GeneralName::URI(uri)] = *uris.as_slice() else {
        return Err(AuthorityError::NoTrustDomain);
    };
    match uri.parse::<SpiffeId>() {
        Ok(id) if id.path().is_empty() => Ok(id.trust_domain().clone()),
        Ok(_) | Err(_) => Err(AuthorityError::NoTrustDomain),
    }
}
