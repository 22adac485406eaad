//! Certificates that break one rule each.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension,
    DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SanType, SerialNumber,
};
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivatePkcs8KeyDer, UnixTime,
};
use time::OffsetDateTime;

use super::{generate, pem, provider};
use crate::authority::KeyKind;
use crate::secret::SecretPem;
use crate::spiffe_id::TrustDomain;
use crate::svid::X509Svid;

/// 2024-01-01 and 2099-01-01, in seconds since the Unix epoch.
const VALIDITY: (i64, i64) = (1_704_067_200, 4_070_908_800);

/// A CA: a root or an intermediate.
#[derive(Debug)]
pub struct TestIssuer {
    params: CertificateParams,
    key: Arc<KeyPair>,
    certificate: CertificateDer<'static>,
    // What a leaf of this issuer sends along: itself and up, without the root.
    chain: Vec<CertificateDer<'static>>,
}

impl TestIssuer {
    pub(super) fn root(
        trust_domain: &TrustDomain,
        key: Arc<KeyPair>,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        let mut params = ca_params(&format!("{trust_domain} root"));
        params.subject_alt_names = vec![uri(trust_domain.id().as_str())];
        change(&mut params);
        let certificate = params.self_signed(&*key).expect("root");
        Self {
            params,
            key,
            certificate: certificate.der().clone(),
            chain: Vec::new(),
        }
    }

    /// The same root in a new certificate of another validity period: same name and key.
    pub fn renewed(&self, not_before: UnixTime, not_after: UnixTime) -> Self {
        let mut params = self.params.clone();
        params.not_before = date(not_before);
        params.not_after = date(not_after);
        let certificate = params.self_signed(&*self.key).expect("root");
        Self {
            params,
            key: Arc::clone(&self.key),
            certificate: certificate.der().clone(),
            chain: self.chain.clone(),
        }
    }

    /// The same CA in a certificate of another issuer, changed before it is signed: same name and
    /// key.
    pub fn reissued_by(&self, issuer: &Self, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = self.params.clone();
        change(&mut params);
        let certificate = params
            .signed_by(&*self.key, &issuer.issuer())
            .expect("intermediate");
        let mut chain = vec![certificate.der().clone()];
        chain.extend(issuer.chain.iter().cloned());
        Self {
            params,
            key: Arc::clone(&self.key),
            certificate: certificate.der().clone(),
            chain,
        }
    }

    /// An intermediate CA that may sign certificates.
    pub fn intermediate(&self, name: &str) -> Self {
        self.intermediate_with(name, |_| {})
    }

    /// An intermediate CA, changed before it is signed.
    pub fn intermediate_with(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        self.intermediate_with_key(name, generate(KeyKind::EcdsaP256), change)
    }

    /// An intermediate CA with this key, changed before it is signed.
    pub fn intermediate_with_key(
        &self,
        name: &str,
        key: Arc<KeyPair>,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        let mut params = ca_params(name);
        change(&mut params);
        let certificate = params
            .signed_by(&*key, &self.issuer())
            .expect("intermediate");
        let mut chain = vec![certificate.der().clone()];
        chain.extend(self.chain.iter().cloned());
        Self {
            params,
            key,
            certificate: certificate.der().clone(),
            chain,
        }
    }

    /// A leaf with this one URI SAN, which may be of any domain, to be changed before it is made.
    pub fn leaf(&self, uri_san: &str) -> TestLeaf<'_> {
        TestLeaf::new(self, uri_san)
    }

    /// The CA certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The CA certificate as PEM text.
    pub fn certificate_pem(&self) -> String {
        pem(std::slice::from_ref(&self.certificate))
    }

    /// A revocation list with these serial numbers, from `this_update` until `next_update`.
    pub fn crl(
        &self,
        serials: &[&[u8]],
        this_update: UnixTime,
        next_update: UnixTime,
    ) -> CertificateRevocationListDer<'static> {
        self.crl_with(serials, this_update, next_update, |_| {})
    }

    /// A revocation list, changed before it is signed.
    pub fn crl_with(
        &self,
        serials: &[&[u8]],
        this_update: UnixTime,
        next_update: UnixTime,
        change: impl FnOnce(&mut CertificateRevocationListParams),
    ) -> CertificateRevocationListDer<'static> {
        let revoked = |serial: &&[u8]| RevokedCertParams {
            serial_number: SerialNumber::from_slice(serial),
            revocation_time: date(this_update),
            reason_code: None,
            invalidity_date: None,
        };
        let mut params = CertificateRevocationListParams {
            this_update: date(this_update),
            next_update: date(next_update),
            crl_number: SerialNumber::from(this_update.as_secs()),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: self.params.key_identifier_method.clone(),
        };
        change(&mut params);
        params.signed_by(&self.issuer()).expect("CRL").into()
    }

    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }
}

/// A leaf certificate to be. Unchanged it follows every X509-SVID rule.
#[derive(Debug)]
pub struct TestLeaf<'a> {
    issuer: &'a TestIssuer,
    params: CertificateParams,
    key: Arc<KeyPair>,
}

impl<'a> TestLeaf<'a> {
    fn new(issuer: &'a TestIssuer, uri_san: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![uri(uri_san)];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        set_validity(&mut params);
        Self {
            issuer,
            params,
            key: generate(KeyKind::EcdsaP256),
        }
    }

    /// A key of this kind instead of ECDSA P-256.
    pub fn key(self, kind: KeyKind) -> Self {
        self.key_pair(generate(kind))
    }

    /// This key, of any kind.
    pub fn key_pair(mut self, key: Arc<KeyPair>) -> Self {
        self.key = key;
        self
    }

    /// This serial number, most significant octet first.
    pub fn serial(mut self, serial: &[u8]) -> Self {
        self.params.serial_number = Some(SerialNumber::from_slice(serial));
        self
    }

    /// These URI SANs instead of the one; none, two, or not SPIFFE IDs at all.
    pub fn uri_sans(mut self, uris: &[&str]) -> Self {
        self.params.subject_alt_names = uris.iter().map(|name| uri(name)).collect();
        self
    }

    /// One more DNS SAN, which X509-SVID §2 permits.
    pub fn dns_san(mut self, name: &str) -> Self {
        let name = name.try_into().expect("DNS name");
        self.params.subject_alt_names.push(SanType::DnsName(name));
        self
    }

    /// basicConstraints with cA true.
    pub fn ca(mut self) -> Self {
        self.params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        self
    }

    /// No basicConstraints at all.
    pub fn without_basic_constraints(mut self) -> Self {
        self.params.is_ca = IsCa::NoCa;
        self
    }

    /// These key usages; none leaves the extension out.
    pub fn key_usages(mut self, usages: &[KeyUsagePurpose]) -> Self {
        self.params.key_usages = usages.to_vec();
        self
    }

    /// These extended key usages; none leaves the extension out.
    pub fn extended_key_usages(mut self, usages: &[ExtendedKeyUsagePurpose]) -> Self {
        self.params.extended_key_usages = usages.to_vec();
        self
    }

    /// For TLS servers only.
    pub fn server_auth_only(self) -> Self {
        self.extended_key_usages(&[ExtendedKeyUsagePurpose::ServerAuth])
    }

    /// For TLS clients only.
    pub fn client_auth_only(self) -> Self {
        self.extended_key_usages(&[ExtendedKeyUsagePurpose::ClientAuth])
    }

    /// Valid from and until these times, both included.
    pub fn valid(mut self, not_before: UnixTime, not_after: UnixTime) -> Self {
        self.params.not_before = date(not_before);
        self.params.not_after = date(not_after);
        self
    }

    /// One more extension that is critical and that nobody knows.
    pub fn unknown_critical_extension(mut self) -> Self {
        let mut extension =
            CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 32_473, 1], vec![5, 0]);
        extension.set_criticality(true);
        self.params.custom_extensions.push(extension);
        self
    }

    /// Any other change.
    pub fn change(mut self, change: impl FnOnce(&mut CertificateParams)) -> Self {
        change(&mut self.params);
        self
    }

    /// Makes the key and signs the certificate.
    pub fn issue(self) -> TestSvid {
        let key = self.key;
        let leaf = self
            .params
            .signed_by(&*key, &self.issuer.issuer())
            .expect("leaf");
        let mut chain = vec![leaf.der().clone()];
        chain.extend(self.issuer.chain.iter().cloned());
        TestSvid { chain, key }
    }
}

/// A leaf with its key and intermediates, which may break any rule.
#[derive(Clone, Debug)]
pub struct TestSvid {
    chain: Vec<CertificateDer<'static>>,
    key: Arc<KeyPair>,
}

impl TestSvid {
    /// The chain, leaf first, without the root.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The chain as PEM text.
    pub fn chain_pem(&self) -> String {
        pem(&self.chain)
    }

    /// The private key as PEM text, PKCS#8.
    pub fn key_pem(&self) -> SecretPem {
        SecretPem::new(self.key.serialize_pem())
    }

    /// Chain and key as rustls takes them, whatever rule they break.
    pub fn certified_key(&self, provider: &CryptoProvider) -> Arc<CertifiedKey> {
        let der = PrivatePkcs8KeyDer::from(self.key.serialize_der());
        let key = provider
            .key_provider
            .load_private_key(der.into())
            .expect("key");
        Arc::new(CertifiedKey::new(self.chain.clone(), key))
    }

    /// This chain with the key of another: what somebody has who copied the certificates.
    pub fn with_key_of(&self, other: &Self) -> Self {
        Self {
            chain: self.chain.clone(),
            key: Arc::clone(&other.key),
        }
    }

    /// This chain with more certificates after it.
    pub fn with_more(&self, certificates: &[CertificateDer<'static>]) -> Self {
        let mut chain = self.chain.clone();
        chain.extend_from_slice(certificates);
        Self {
            chain,
            key: Arc::clone(&self.key),
        }
    }

    /// The SVID, which must be a good one.
    pub fn svid(&self) -> X509Svid {
        let key = self.key_pem();
        X509Svid::from_pem(self.chain_pem().as_bytes(), key.as_bytes(), &provider())
            .expect("a good SVID")
    }
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params);
    params
}

fn set_validity(params: &mut CertificateParams) {
    let date = |secs| OffsetDateTime::from_unix_timestamp(secs).expect("date");
    params.not_before = date(VALIDITY.0);
    params.not_after = date(VALIDITY.1);
}

fn date(time: UnixTime) -> OffsetDateTime {
    let secs = i64::try_from(time.as_secs()).expect("date");
    OffsetDateTime::from_unix_timestamp(secs).expect("date")
}

fn uri(uri: &str) -> SanType {
    SanType::URI(uri.try_into().expect("URI"))
}
