//! An identity from PEM files.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustls::crypto::CryptoProvider;
use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject;
use zeroize::Zeroizing;

use super::material::check_own;
use super::{Material, NamedSvid, SourceError, SourceWarning};
use crate::bundle::{BundleError, BundleWarning, TrustBundle, TrustBundles};
use crate::clock::Clock;
use crate::spiffe_id::TrustDomain;
use crate::svid::{SvidError, X509Svid};

/// The most bytes that are read from one file.
pub const MAX_FILE_LEN: u64 = 1024 * 1024;

/// The mode bits that let group or others read a file.
const READABLE_BY_OTHERS: u32 = 0o044;

/// The permission bits of a file mode.
const PERMISSIONS: u32 = 0o7777;

/// PEM files that hold an SVID, its key and the trust bundles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSource {
    /// One or more SVIDs; the first is for whoever does not choose.
    pub svids: Vec<SvidFiles>,
    /// The roots of each trust domain, our own among them if its peers are to be trusted. A file may hold the
    /// revocation lists of its domain too, as `X509 CRL` sections.
    pub bundles: Vec<(TrustDomain, PathBuf)>,
}

/// The two files of one SVID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SvidFiles {
    /// What it is called, in place of a hint.
    pub name: Option<String>,
    /// The certificate chain, leaf first.
    pub svid_path: PathBuf,
    /// The private key of the leaf, PKCS#8, SEC1 or PKCS#1.
    pub key_path: PathBuf,
}

impl FileSource {
    /// Reads and checks everything, or nothing.
    ///
    /// Each SVID has to be valid now. If there is a bundle for its own trust domain, our own
    /// verifier has to accept the SVID under it in both TLS roles. What revocation lists hold against one is a
    /// warning.
    ///
    /// # Errors
    /// [`SourceError`], which names the file. While an issuer replaces the files one by one, a
    /// load can see a new chain with an old key and fail; the next one passes.
    pub fn load(
        &self,
        provider: &CryptoProvider,
        clock: &dyn Clock,
    ) -> Result<Material, SourceError> {
        let mut warnings = Vec::new();
        let bundles = self.load_bundles(&mut warnings)?;
        let mut svids = Vec::with_capacity(self.svids.len());
        for files in &self.svids {
            let svid = files.load(provider, &mut warnings)?;
            warnings.extend(self.check_svid(files, &svid, &bundles, provider, clock)?);
            svids.push(NamedSvid::new(svid, files.name.clone()));
        }
        match svids.is_empty() {
            true => Err(SourceError::NoSvid),
            false => Ok(Material::checked(svids, bundles, warnings)),
        }
    }

    fn load_bundles(&self, warnings: &mut Vec<SourceWarning>) -> Result<TrustBundles, SourceError> {
        let mut bundles = TrustBundles::new();
        for (trust_domain, path) in &self.bundles {
            let failed = |source| SourceError::Bundle {
                path: path.clone(),
                trust_domain: trust_domain.clone(),
                source,
            };
            let file = read(path)?;
            let crls = CertificateRevocationListDer::pem_slice_iter(&file.bytes)
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| failed(BundleError::Pem(error.into())))?;
            let bundle = TrustBundle::from_pem(trust_domain.clone(), &file.bytes)
                .and_then(|bundle| bundle.with_crls(crls))
                .map_err(failed)?;
            let about = |warning: &BundleWarning| SourceWarning::Bundle {
                trust_domain: trust_domain.clone(),
                warning: warning.clone(),
            };
            warnings.extend(bundle.warnings().iter().map(about));
            bundles.insert(bundle).map_err(failed)?;
        }
        Ok(bundles)
    }

    fn check_svid(
        &self,
        files: &SvidFiles,
        svid: &X509Svid,
        bundles: &TrustBundles,
        provider: &CryptoProvider,
        clock: &dyn Clock,
    ) -> Result<Option<SourceWarning>, SourceError> {
        let now = clock.now();
        svid.check_valid_at(now)
            .map_err(|source| files.time_error(svid, source))?;
        let own = svid.id().trust_domain();
        let Some((_, bundle_path)) = self.bundles.iter().find(|(name, _)| name == own) else {
            return Ok(None);
        };
        let refused = |source| SourceError::Refused {
            path: files.svid_path.clone(),
            bundle_path: bundle_path.clone(),
            source: Box::new(source),
        };
        check_own(svid, bundles, provider, now).map_err(refused)
    }
}

impl SvidFiles {
    fn load(
        &self,
        provider: &CryptoProvider,
        warnings: &mut Vec<SourceWarning>,
    ) -> Result<X509Svid, SourceError> {
        let svid_file = read(&self.svid_path)?;
        let key_file = read(&self.key_path)?;
        if key_file.mode & READABLE_BY_OTHERS != 0 {
            warnings.push(SourceWarning::KeyReadableByOthers {
                path: self.key_path.clone(),
                mode: key_file.mode,
            });
        }
        X509Svid::from_pem(&svid_file.bytes, &key_file.bytes, provider)
            .map_err(|source| self.svid_error(source))
    }

    fn svid_error(&self, source: SvidError) -> SourceError {
        if source.is_about_the_key() {
            return SourceError::Key {
                path: self.key_path.clone(),
                svid_path: self.svid_path.clone(),
                source,
            };
        }
        SourceError::Svid {
            path: self.svid_path.clone(),
            source,
        }
    }

    fn time_error(&self, svid: &X509Svid, source: SvidError) -> SourceError {
        let (path, id) = (self.svid_path.clone(), svid.id().clone());
        match source {
            SvidError::Expired { not_after } => SourceError::Expired {
                path,
                id,
                not_after,
            },
            SvidError::NotYetValid { not_before } => SourceError::NotYetValid {
                path,
                id,
                not_before,
            },
            source => SourceError::Svid { path, source },
        }
    }
}

struct ReadFile {
    bytes: Zeroizing<Vec<u8>>,
    mode: u32,
}

/// Reads a regular file of at most [`MAX_FILE_LEN`] bytes. Its length is checked before reading
/// and again while reading, since it can grow in between.
fn read(path: &Path) -> Result<ReadFile, SourceError> {
    let failed = |source| SourceError::Read {
        path: path.to_owned(),
        source,
    };
    // Before opening: opening a pipe would wait for its writer.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(SourceError::NotAFile {
            path: path.to_owned(),
        });
    }
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let too_long = || SourceError::TooLong {
        path: path.to_owned(),
    };
    if metadata.len() > MAX_FILE_LEN {
        return Err(too_long());
    }
    // The whole capacity at once: a buffer that grows leaves copies of the key behind.
    let capacity = usize::try_from(metadata.len() + 1).unwrap_or_default();
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    let mut bounded = file.take(MAX_FILE_LEN + 1);
    bounded.read_to_end(&mut bytes).map_err(failed)?;
    if bounded.limit() == 0 {
        return Err(too_long());
    }
    Ok(ReadFile {
        bytes,
        mode: metadata.permissions().mode() & PERMISSIONS,
    })
}
