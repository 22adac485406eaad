//! One leaf certificate, read by the rules of the X509-SVID standard.
//!
//! Takes one DER certificate. Gives a [`Leaf`]: the SPIFFE ID, the validity period and the
//! thumbprint. Never judges who signed it: a `Leaf` says what a certificate claims, and only
//! [`crate::verifier`] says whether the claim holds.

mod digest;
pub(crate) mod element;
#[cfg(test)]
mod tests;
mod uri_constraints;

use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::error::X509Error;
use x509_parser::extensions::{GeneralName, KeyUsage, ParsedExtension};
use x509_parser::oid_registry::{OID_X509_EXT_BASIC_CONSTRAINTS, OID_X509_EXT_KEY_USAGE};
use x509_parser::prelude::FromDer;

use crate::spiffe_id::SpiffeId;
use crate::svid::SvidError;

pub(crate) use digest::{LengthPrefixed, sha256};
pub(crate) use uri_constraints::constrains_uris;

/// The longest certificate that is read, in bytes.
pub const MAX_CERTIFICATE_LEN: usize = 64 * 1024;

/// The context-specific tag of a URI in a subjectAltName. Spec: RFC 5280 §4.2.1.6.
const URI_TAG: u32 = 6;

/// What a leaf certificate that follows the X509-SVID rules says about its holder.
///
/// A claim, not a proof: anybody can make a certificate that parses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    spiffe_id: SpiffeId,
    serial: Box<[u8]>,
    validity: Validity,
    thumbprint: [u8; 32],
}

/// A validity period; both ends belong to it. Spec: RFC 5280 §4.1.2.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) not_before: UnixTime,
    pub(crate) not_after: UnixTime,
}

impl Leaf {
    /// Reads a leaf certificate by the X509-SVID rules.
    ///
    /// Critical extensions that are unknown here are left to path validation.
    /// Spec: X509-SVID §2, §3.1, §4.1, §4.3, §5.2.
    ///
    /// # Errors
    /// One [`SvidError`] variant for each rule; see there.
    pub fn parse(der: &CertificateDer<'_>) -> Result<Self, SvidError> {
        let certificate = parse_certificate(der)?;
        check_basic_constraints(&certificate)?;
        check_key_usage(&certificate)?;
        let spiffe_id = read_spiffe_id(&certificate)?;
        check_encoding(der, &spiffe_id)?;
        Ok(Self {
            spiffe_id,
            serial: significant(certificate.raw_serial()).into(),
            validity: Validity::of(&certificate),
            thumbprint: sha256(der),
        })
    }

    /// The SPIFFE ID that the certificate claims. Its path is not empty.
    pub fn spiffe_id(&self) -> &SpiffeId {
        &self.spiffe_id
    }

    /// The serial number, which its issuer gave once.
    /// Shape: the contents of the DER integer, most significant octet first, without leading zeros;
    /// one zero for the number zero. Spec: RFC 5280 §4.1.2.2.
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// The first second at which the certificate is valid.
    pub fn not_before(&self) -> UnixTime {
        self.validity.not_before
    }

    /// The last second at which the certificate is valid.
    pub fn not_after(&self) -> UnixTime {
        self.validity.not_after
    }

    /// SHA-256 of the DER certificate, as in `x5t#S256`. Spec: RFC 8705 §3.1.
    pub fn thumbprint(&self) -> [u8; 32] {
        self.thumbprint
    }

    pub(crate) fn thumbprint_ref(&self) -> &[u8; 32] {
        &self.thumbprint
    }

    pub(crate) fn validity(&self) -> Validity {
        self.validity
    }
}

impl Validity {
    /// The period of a certificate. Times before 1970 read as 1970.
    pub(crate) fn of(certificate: &X509Certificate<'_>) -> Self {
        let unix = |secs: i64| {
            let secs = u64::try_from(secs).unwrap_or_default();
            UnixTime::since_unix_epoch(std::time::Duration::from_secs(secs))
        };
        Self {
            not_before: unix(certificate.validity().not_before.timestamp()),
            not_after: unix(certificate.validity().not_after.timestamp()),
        }
    }

    pub(crate) fn contains(self, now: UnixTime) -> bool {
        self.not_before <= now && now <= self.not_after
    }

    /// The time in both periods.
    pub(crate) fn intersect(self, other: Self) -> Self {
        Self {
            not_before: self.not_before.max(other.not_before),
            not_after: self.not_after.min(other.not_after),
        }
    }
}

/// Parses one whole DER certificate of bounded size.
pub(crate) fn parse_certificate<'a>(
    der: &'a CertificateDer<'_>,
) -> Result<X509Certificate<'a>, SvidError> {
    let len = der.len();
    if len > MAX_CERTIFICATE_LEN {
        return Err(SvidError::CertificateTooLong { len });
    }
    let (rest, certificate) = X509Certificate::from_der(der)
        .map_err(X509Error::from)
        .map_err(SvidError::Malformed)?;
    if !rest.is_empty() {
        return Err(SvidError::TrailingBytes { len: rest.len() });
    }
    Ok(certificate)
}

/// Whether basicConstraints is there and sets cA. An unreadable one is an error, not a `false`.
///
/// The parser looks at the number of a tag only; DER has one form of each (X.690 §8.1.2).
pub(crate) fn is_ca(certificate: &X509Certificate<'_>) -> Result<bool, SvidError> {
    let unreadable = || SvidError::Malformed(X509Error::InvalidExtensions);
    let extension = certificate
        .get_extension_unique(&OID_X509_EXT_BASIC_CONSTRAINTS)
        .map_err(SvidError::Malformed)?;
    let Some(extension) = extension else {
        return Ok(false);
    };
    let ParsedExtension::BasicConstraints(constraints) = extension.parsed_extension() else {
        return Err(unreadable());
    };
    let sequence = element::expect(element::SEQUENCE, extension.value).ok_or_else(unreadable)?;
    let flag = element::expect(element::BOOLEAN, sequence.contents);
    let is_ca = flag.is_some_and(|flag| flag.contents == element::TRUE);
    match is_ca == constraints.ca {
        true => Ok(is_ca),
        false => Err(unreadable()),
    }
}

/// What keyUsage permits; none without one. An unreadable one is an error, as in [`is_ca`].
pub(crate) fn key_usage(certificate: &X509Certificate<'_>) -> Result<Option<KeyUsage>, SvidError> {
    let extension = certificate
        .get_extension_unique(&OID_X509_EXT_KEY_USAGE)
        .map_err(SvidError::Malformed)?;
    match extension.map(|extension| (extension.parsed_extension(), extension.value)) {
        None => Ok(None),
        Some((ParsedExtension::KeyUsage(usage), value))
            if element::expect(element::BIT_STRING, value).is_some() =>
        {
            Ok(Some(*usage))
        }
        Some(_) => Err(SvidError::Malformed(X509Error::InvalidExtensions)),
    }
}

/// A number in octets without its leading zeros; one octet at least is kept.
pub(crate) fn significant(mut number: &[u8]) -> &[u8] {
    while let [0, rest @ ..] = number
        && !rest.is_empty()
    {
        number = rest;
    }
    number
}

/// X509-SVID §4.1 and §5.2: cA is false in a leaf. RFC 5280 §4.2.1.9 makes false the default of an
/// absent extension.
fn check_basic_constraints(certificate: &X509Certificate<'_>) -> Result<(), SvidError> {
    match is_ca(certificate)? {
        true => Err(SvidError::LeafIsCa),
        false => Ok(()),
    }
}

/// X509-SVID §4.3: keyUsage is there with digitalSignature, without keyCertSign and cRLSign.
fn check_key_usage(certificate: &X509Certificate<'_>) -> Result<(), SvidError> {
    let Some(usage) = key_usage(certificate)? else {
        return Err(SvidError::NoKeyUsage);
    };
    if !usage.digital_signature() {
        return Err(SvidError::NoDigitalSignature);
    }
    if usage.key_cert_sign() {
        return Err(SvidError::LeafSignsCertificates);
    }
    if usage.crl_sign() {
        return Err(SvidError::LeafSignsCrls);
    }
    Ok(())
}

/// Path validation reads the certificate with another parser, which is stricter. It must be able to, and must
/// take the same for the URI; a critical extension that it does not know it names itself, later.
fn check_encoding(der: &CertificateDer<'_>, id: &SpiffeId) -> Result<(), SvidError> {
    match webpki::EndEntityCert::try_from(der) {
        Ok(certificate) if certificate.valid_uri_names().eq([id.as_str()]) => Ok(()),
        Err(webpki::Error::UnsupportedCriticalExtension) => Ok(()),
        Ok(_) | Err(_) => Err(SvidError::NotDer),
    }
}

/// X509-SVID §2: exactly one URI among the alternative names; §3.1: its path is not empty.
fn read_spiffe_id(certificate: &X509Certificate<'_>) -> Result<SpiffeId, SvidError> {
    let names = certificate
        .subject_alternative_name()
        .map_err(SvidError::Malformed)?;
    let uris: Vec<Option<&str>> = names
        .iter()
        .flat_map(|names| &names.value.general_names)
        .filter_map(uri)
        .collect();
    let uri = match *uris.as_slice() {
        [] => return Err(SvidError::NoUriSan),
        [Some(uri)] => uri,
        [None] => return Err(SvidError::UriNotText),
        [..] => return Err(SvidError::ManyUriSans { count: uris.len() }),
    };
    let id: SpiffeId = uri.parse().map_err(SvidError::NotSpiffeId)?;
    if id.path().is_empty() {
        return Err(SvidError::NoPath { id });
    }
    Ok(id)
}

/// The URI in an alternative name: none for a name of another kind, `Some(None)` for a URI that is
/// not text. The latter counts as a URI, or two of them could pass for one.
fn uri<'a>(name: &GeneralName<'a>) -> Option<Option<&'a str>> {
    match name {
        GeneralName::URI(uri) => Some(Some(uri)),
        GeneralName::Invalid(tag, _) if tag.0 == URI_TAG => Some(None),
        _ => None,
    }
}
