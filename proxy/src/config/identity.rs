//! Whose identity is used, and where it comes from.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pqlane_certs::source::{Endpoint, FileSource, SvidFiles};
use pqlane_certs::spiffe_id::{SpiffeId, TrustDomain};
use toml::Spanned;

use super::file::FileIdentity;
use super::origin::Origin;
use super::problem::{ConfigError, FieldProblem};

/// The variable that names the Workload API. Spec: SPIFFE Workload Endpoint §4.
const ENDPOINT_VARIABLE: &str = "SPIFFE_ENDPOINT_SOCKET";

/// Where SVIDs and bundles come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SourceConfig {
    /// PEM files, read again when they change.
    Files(FileSource),
    /// The SPIFFE Workload API.
    WorkloadApi(Endpoint),
}

/// Which of the SVIDs that a source gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The first.
    #[default]
    Default,
    /// The one with this hint, or from the files of this name.
    Hint(String),
    /// The one with this ID.
    Id(SpiffeId),
}

impl std::fmt::Display for Choice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("the default SVID"),
            Self::Hint(hint) => write!(f, "the SVID with hint {hint:?}"),
            Self::Id(id) => write!(f, "the SVID of {id}"),
        }
    }
}

/// The identities of a configuration, by name.
#[derive(Debug)]
pub(super) struct Identities {
    pub(super) source: SourceConfig,
    default: Choice,
    named: BTreeMap<String, Choice>,
}

impl Identities {
    pub(super) fn resolve(
        origin: &Origin<'_>,
        identity: FileIdentity,
        identities: BTreeMap<String, Spanned<FileIdentity>>,
        trust: BTreeMap<TrustDomain, PathBuf>,
    ) -> Result<Self, ConfigError> {
        match (&identity.svid, &identity.key) {
            (None, None) => Self::of_workload_api(origin, identity, identities, &trust),
            _ => Self::of_files(origin, identity, identities, trust),
        }
    }

    fn of_files(
        origin: &Origin<'_>,
        identity: FileIdentity,
        identities: BTreeMap<String, Spanned<FileIdentity>>,
        trust: BTreeMap<TrustDomain, PathBuf>,
    ) -> Result<Self, ConfigError> {
        let mut files = vec![svid_files(origin, None, 0, identity)?];
        let mut named = BTreeMap::new();
        for (name, identity) in identities {
            let offset = identity.span().start;
            let identity = identity.into_inner();
            files.push(svid_files(origin, Some(name.clone()), offset, identity)?);
            named.insert(name.clone(), Choice::Hint(name));
        }
        let bundles = trust
            .into_iter()
            .map(|(domain, path)| (domain, origin.resolve(path)))
            .collect();
        Ok(Self {
            source: SourceConfig::Files(FileSource {
                svids: files,
                bundles,
            }),
            default: Choice::Default,
            named,
        })
    }

    fn of_workload_api(
        origin: &Origin<'_>,
        identity: FileIdentity,
        identities: BTreeMap<String, Spanned<FileIdentity>>,
        trust: &BTreeMap<TrustDomain, PathBuf>,
    ) -> Result<Self, ConfigError> {
        if !trust.is_empty() {
            return Err(origin.error(0, "trust", FieldProblem::TrustTwice));
        }
        let endpoint = match &identity.workload_api {
            Some(written) => written.as_ref().0.clone(),
            None => endpoint_of_environment(origin)?,
        };
        let mut named = BTreeMap::new();
        for (name, identity) in identities {
            let offset = identity.span().start;
            let identity = identity.into_inner();
            if identity.workload_api.is_some() {
                return Err(origin.error(offset, "identities", FieldProblem::IdentitySource));
            }
            named.insert(name, choice(origin, offset, identity)?);
        }
        Ok(Self {
            source: SourceConfig::WorkloadApi(endpoint),
            default: choice(origin, 0, identity)?,
            named,
        })
    }

    /// The identity that a listener names, or the default one.
    pub(super) fn choose(
        &self,
        origin: &Origin<'_>,
        name: Option<&Spanned<String>>,
    ) -> Result<Choice, ConfigError> {
        let Some(name) = name else {
            return Ok(self.default.clone());
        };
        self.named.get(name.as_ref()).cloned().ok_or_else(|| {
            let problem = FieldProblem::UnknownIdentity(name.as_ref().clone());
            origin.at(name, "identity", problem)
        })
    }
}

fn svid_files(
    origin: &Origin<'_>,
    name: Option<String>,
    offset: usize,
    identity: FileIdentity,
) -> Result<SvidFiles, ConfigError> {
    match identity {
        FileIdentity {
            svid: Some(svid),
            key: Some(key),
            workload_api: None,
            spiffe_id: None,
            hint: None,
        } => Ok(SvidFiles {
            name,
            svid_path: origin.resolve(svid.into_inner()),
            key_path: origin.resolve(key),
        }),
        FileIdentity { svid, .. } => {
            let offset = svid.map_or(offset, |svid| svid.span().start);
            Err(origin.error(offset, "identity", FieldProblem::IdentitySource))
        }
    }
}

fn choice(
    origin: &Origin<'_>,
    offset: usize,
    identity: FileIdentity,
) -> Result<Choice, ConfigError> {
    match identity {
        FileIdentity {
            svid: None,
            key: None,
            workload_api: _,
            spiffe_id,
            hint,
        } => match (spiffe_id, hint) {
            (None, None) => Ok(Choice::Default),
            (None, Some(hint)) => Ok(Choice::Hint(hint)),
            (Some(id), None) => Ok(Choice::Id(id.into_inner())),
            (Some(id), Some(_)) => Err(origin.at(&id, "identity", FieldProblem::IdentitySource)),
        },
        _ => Err(origin.error(offset, "identity", FieldProblem::IdentitySource)),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "configuration is the one place that reads the environment"
)]
fn endpoint_of_environment(origin: &Origin<'_>) -> Result<Endpoint, ConfigError> {
    let problem = match std::env::var(ENDPOINT_VARIABLE) {
        Ok(text) => match text.parse::<Endpoint>() {
            Ok(endpoint) => return Ok(endpoint),
            Err(error) => FieldProblem::EndpointVariable(error.to_string()),
        },
        Err(_not_set) => FieldProblem::NoIdentity,
    };
    Err(origin.error(0, "identity", problem))
}
