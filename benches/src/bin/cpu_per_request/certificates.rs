//! A CA and two leaves for the contenders that do not bring their own authority.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use pqlane_benches::plain::SERVER_NAME;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

/// The trust domain of every contender.
pub(crate) const TRUST_DOMAIN: &str = "example.org";
/// The SPIFFE ID of the calling side.
pub(crate) const EGRESS_ID: &str = "spiffe://example.org/egress";
/// The SPIFFE ID of the answering side.
pub(crate) const INGRESS_ID: &str = "spiffe://example.org/ingress";

/// Where the PEM files are.
#[derive(Debug)]
pub(crate) struct Certificates {
    pub(crate) ca: PathBuf,
    pub(crate) egress: Leaf,
    pub(crate) ingress: Leaf,
}

/// One leaf and its key (ECDSA P-256, as pqlane's development authority issues by default).
#[derive(Debug)]
pub(crate) struct Leaf {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Certificates {
    /// Issues all of them into `dir`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn issue(dir: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(dir)?;
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "cpu_per_request CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let ca = dir.join("ca.pem");
        write(&ca, &params.self_signed(&key)?.pem())?;
        let issuer = Issuer::new(params, key);
        Ok(Self {
            egress: leaf(dir, "egress", vec![uri(EGRESS_ID)?], &issuer)?,
            ingress: leaf(
                dir,
                "ingress",
                vec![uri(INGRESS_ID)?, dns(SERVER_NAME)?],
                &issuer,
            )?,
            ca,
        })
    }
}

fn leaf(
    dir: &Path,
    name: &str,
    subject_alt_names: Vec<SanType>,
    issuer: &Issuer<'_, KeyPair>,
) -> anyhow::Result<Leaf> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.subject_alt_names = subject_alt_names;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ClientAuth,
        ExtendedKeyUsagePurpose::ServerAuth,
    ];
    let key = KeyPair::generate()?;
    let files = Leaf {
        certificate: dir.join(format!("{name}.pem")),
        key: dir.join(format!("{name}.key.pem")),
    };
    write(&files.certificate, &params.signed_by(&key, issuer)?.pem())?;
    write(&files.key, &key.serialize_pem())?;
    Ok(files)
}

fn uri(id: &str) -> anyhow::Result<SanType> {
    Ok(SanType::URI(id.try_into()?))
}

fn dns(name: &str) -> anyhow::Result<SanType> {
    Ok(SanType::DnsName(name.try_into()?))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
