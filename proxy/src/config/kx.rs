//! What key exchange is asked of whom, from the widest rule to the narrowest: `[tls]`, listener, route, peer.

use std::time::Duration;

use pqlane_handshake::{KxPolicy, Requirement};
use rustls::pki_types::UnixTime;
use toml::Spanned;

use super::file::{FileKxPolicy, FilePeerRule, FileTls};
use super::origin::Origin;
use super::problem::ConfigError;
use crate::peer_policy::PeerPolicies;

/// The table `[tls]`.
pub(super) struct Kx<'a> {
    origin: &'a Origin<'a>,
    otherwise: FileKxPolicy,
    groups: Option<Spanned<Vec<String>>>,
}

/// The rules of one listener.
pub(super) struct ListenerKx<'a> {
    kx: &'a Kx<'a>,
    otherwise: FileKxPolicy,
    peers: Vec<FilePeerRule>,
}

impl<'a> Kx<'a> {
    pub(super) fn resolve(origin: &'a Origin<'a>, tls: FileTls) -> Result<Self, ConfigError> {
        let kx = Self {
            origin,
            otherwise: tls.kx_policy,
            groups: tls.kx_groups,
        };
        // Wrong groups are wrong even if no listener uses them.
        kx.policy(kx.otherwise)?;
        Ok(kx)
    }

    pub(super) fn listener(
        &'a self,
        kx_policy: Option<FileKxPolicy>,
        peers: Vec<FilePeerRule>,
    ) -> ListenerKx<'a> {
        ListenerKx {
            kx: self,
            otherwise: kx_policy.unwrap_or(self.otherwise),
            peers,
        }
    }

    fn policy(&self, written: FileKxPolicy) -> Result<KxPolicy, ConfigError> {
        let requirement = match written {
            FileKxPolicy::AllowClassicalUntil(date) => {
                let midnight = date.0.midnight().assume_utc().unix_timestamp();
                let seconds = u64::try_from(midnight).unwrap_or_default();
                let until = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
                Requirement::AllowClassicalUntil(until)
            }
            FileKxPolicy::Cnsa => Requirement::Cnsa,
            FileKxPolicy::PreferHybrid => Requirement::PreferHybrid,
            FileKxPolicy::RequireHybrid => Requirement::RequireHybrid,
        };
        // The groups of [tls] are hybrid ones in order of preference; CNSA has its own.
        let groups = match (&self.groups, written) {
            (Some(groups), FileKxPolicy::Cnsa) if self.otherwise == FileKxPolicy::Cnsa => {
                Some(groups)
            }
            (_, FileKxPolicy::Cnsa) => None,
            (groups, _) if self.otherwise != FileKxPolicy::Cnsa => groups.as_ref(),
            _ => None,
        };
        let names = groups.map(|names| names.as_ref().as_slice());
        KxPolicy::new(requirement, names).map_err(|error| match groups {
            Some(groups) => self.origin.at(groups, "kx_groups", error.into()),
            None => self.origin.error(0, "kx_policy", error.into()),
        })
    }
}

impl ListenerKx<'_> {
    /// The rules of one listener, or of one of its routes that has a policy of its own.
    pub(super) fn policies(
        &self,
        route: Option<FileKxPolicy>,
    ) -> Result<PeerPolicies, ConfigError> {
        let rules = self
            .peers
            .iter()
            .map(|rule| Ok((rule.id.clone(), self.kx.policy(rule.kx_policy)?)))
            .collect::<Result<_, ConfigError>>()?;
        let otherwise = self.kx.policy(route.unwrap_or(self.otherwise))?;
        Ok(PeerPolicies::new(otherwise, rules))
    }
}
