//! Certificates that break one rule each.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, UnixTime};
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
    pub(super) fn root(trust_domain: &TrustDomain, key: &Arc<KeyPair>) -> Self {
        let mut params = ca_params(&format!("{trust_domain} root"));
        params.subject_alt_names = vec![uri(trust_domain.id().as_str())];
        let certificate = params.self_signed(&**key).expect("root");
        Self {
            params,
            key: Arc::clone(key),
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
        let key = generate(KeyKind::EcdsaP256);
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

    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }
}

/// A leaf certificate to be. Unchanged it follows every X509-SVID rule.
#[derive(Debug)]
pub struct TestLeaf<'a> {
    issuer: &'a TestIssuer,
    params: CertificateParams,
    key: KeyKind,
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
            key: KeyKind::EcdsaP256,
        }
    }

    /// A key of this kind instead of ECDSA P-256.
    pub fn key(mut self, kind: KeyKind) -> Self {
        self.key = kind;
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
        let key = generate(self.key);
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
