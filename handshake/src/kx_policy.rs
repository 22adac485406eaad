//! Which key-exchange groups may protect a connection.
//!
//! Takes a requirement and group names; gives a policy that has been run once, so that a group that cannot
//! work fails start-up instead of the first call. It says what to offer, and judges what was negotiated once
//! the peer is known. It never falls back, and never reads a clock.

use rustls::pki_types::UnixTime;
use rustls::{CipherSuite, SignatureScheme};

use crate::kx::Group;
use crate::summary::{scheme_name, suite_name};

mod requirement;

use requirement::Date;
pub use requirement::Requirement;

/// The one cipher suite of the CNSA 2.0 profile that TLS 1.3 has.
pub(crate) const CNSA_SUITE: CipherSuite = CipherSuite::TLS13_AES_256_GCM_SHA384;
/// The one signature scheme of the CNSA 2.0 profile that TLS has.
pub(crate) const CNSA_SCHEME: SignatureScheme = SignatureScheme::ML_DSA_87;

/// What may be offered and accepted, on both sides.
#[derive(Debug, Clone)]
pub struct KxPolicy {
    requirement: Requirement,
    groups: Vec<&'static Group>,
}

/// What an authenticated handshake ended with.
#[derive(Debug, Clone, Copy)]
pub struct Negotiated {
    /// Group of the key exchange.
    pub group: &'static Group,
    /// Record protection and hash.
    pub suite: CipherSuite,
    /// Scheme of the peer's CertificateVerify; none in a resumed handshake, which has no such message.
    pub peer_scheme: Option<SignatureScheme>,
}

impl PartialEq for KxPolicy {
    fn eq(&self, other: &Self) -> bool {
        let points = |policy: &Self| -> Vec<_> {
            let groups = policy.groups.iter();
            groups.map(|group| group.named_group).collect()
        };
        self.requirement == other.requirement && points(self) == points(other)
    }
}

impl Eq for KxPolicy {}

impl KxPolicy {
    /// X25519MLKEM768 and nothing else.
    pub fn require_hybrid() -> Self {
        let requirement = Requirement::RequireHybrid;
        Self {
            requirement,
            groups: requirement.default_groups().to_vec(),
        }
    }

    /// A policy with the post-quantum groups named, most preferred first, or with the requirement's own.
    ///
    /// # Errors
    /// [`KxPolicyError`] when the list is empty, or a name is unknown, repeated, outside
    /// [`Requirement::nameable_groups`], or of a group that this build cannot run.
    pub fn new<N: AsRef<str>>(
        requirement: Requirement,
        groups: Option<&[N]>,
    ) -> Result<Self, KxPolicyError> {
        let groups = match groups {
            None => requirement.default_groups().to_vec(),
            Some(names) => named(requirement, names)?,
        };
        let policy = Self {
            requirement,
            groups,
        };
        policy.prove_available()?;
        Ok(policy)
    }

    /// [`KxPolicy::new`] with [`Requirement::RequireHybrid`].
    ///
    /// # Errors
    /// As [`KxPolicy::new`].
    pub fn from_names<N: AsRef<str>>(names: &[N]) -> Result<Self, KxPolicyError> {
        Self::new(Requirement::RequireHybrid, Some(names))
    }

    /// What is asked.
    pub fn requirement(&self) -> Requirement {
        self.requirement
    }

    /// The post-quantum groups, most preferred first; never empty.
    pub fn groups(&self) -> &[&'static Group] {
        &self.groups
    }

    /// The classical groups that are permitted while any is, most preferred first.
    pub fn classical_groups(&self) -> &'static [&'static Group] {
        self.requirement.classical_groups()
    }

    /// Whether a peer may be met with a classical key exchange at that time.
    pub fn allows_classical(&self, now: UnixTime) -> bool {
        self.requirement.allows_classical(now)
    }

    /// What a client offers at that time, in that order: the post-quantum groups, then the classical ones if
    /// they are permitted.
    pub fn offer(&self, now: UnixTime) -> Vec<&'static Group> {
        let mut offer = self.groups.clone();
        if self.allows_classical(now) {
            offer.extend(self.classical_groups());
        }
        offer
    }

    /// Judges a handshake whose peer has been authenticated, and before any byte of a request is read.
    ///
    /// A resumed handshake shows no signature: under [`Requirement::Cnsa`] the caller must have judged the full
    /// handshake that it goes back to.
    ///
    /// # Errors
    /// [`PolicyBreach`]; the connection must then be closed.
    pub fn judge(&self, negotiated: &Negotiated, now: UnixTime) -> Result<(), PolicyBreach> {
        self.judge_group(negotiated.group, now)?;
        match self.requirement {
            Requirement::Cnsa => judge_cnsa(negotiated),
            Requirement::AllowClassicalUntil(_)
            | Requirement::PreferHybrid
            | Requirement::RequireHybrid => Ok(()),
        }
    }

    fn judge_group(&self, group: &'static Group, now: UnixTime) -> Result<(), PolicyBreach> {
        if contains(&self.groups, group) {
            return Ok(());
        }
        let classical = contains(self.classical_groups(), group);
        if classical && self.allows_classical(now) {
            return Ok(());
        }
        Err(match self.requirement {
            Requirement::AllowClassicalUntil(end) if classical => PolicyBreach::ClassicalEnded {
                negotiated: group.name,
                end,
                accepted: names(&self.groups),
            },
            requirement => PolicyBreach::Group {
                negotiated: group.name,
                requirement,
                accepted: names(&self.offer(now)),
            },
        })
    }

    /// Runs each post-quantum group once against itself.
    ///
    /// # Errors
    /// [`KxPolicyError::Unavailable`] for the first group whose key share cannot be made, or has
    /// another length than the specification gives.
    pub fn prove_available(&self) -> Result<(), KxPolicyError> {
        for group in &self.groups {
            let unavailable = || KxPolicyError::Unavailable { name: group.name };
            let implementation = group.implementation().ok_or_else(unavailable)?;
            let client = implementation.start().map_err(|_cause| unavailable())?;
            let server = implementation
                .start_and_complete(client.pub_key())
                .map_err(|_cause| unavailable())?;
            let as_specified = implementation.name() == group.named_group
                && client.pub_key().len() == group.client_share_len
                && server.pub_key.len() == group.server_share_len;
            if !as_specified {
                return Err(unavailable());
            }
        }
        Ok(())
    }
}

fn named<N: AsRef<str>>(
    requirement: Requirement,
    names: &[N],
) -> Result<Vec<&'static Group>, KxPolicyError> {
    let mut groups: Vec<&'static Group> = Vec::new();
    for name in names {
        let name = name.as_ref();
        let group = Group::by_name(name).ok_or_else(|| KxPolicyError::Unknown {
            name: name.to_owned(),
            requirement,
        })?;
        if !contains(requirement.nameable_groups(), group) {
            return Err(match requirement {
                Requirement::Cnsa => KxPolicyError::NotCnsa { name: group.name },
                Requirement::AllowClassicalUntil(_)
                | Requirement::PreferHybrid
                | Requirement::RequireHybrid => KxPolicyError::NotHybrid { name: group.name },
            });
        }
        if contains(&groups, group) {
            return Err(KxPolicyError::Repeated { name: group.name });
        }
        groups.push(group);
    }
    if groups.is_empty() {
        return Err(KxPolicyError::Empty { requirement });
    }
    Ok(groups)
}

fn judge_cnsa(negotiated: &Negotiated) -> Result<(), PolicyBreach> {
    if negotiated.suite != CNSA_SUITE {
        return Err(PolicyBreach::Suite {
            negotiated: negotiated.suite,
        });
    }
    match negotiated.peer_scheme {
        Some(scheme) if scheme != CNSA_SCHEME => Err(PolicyBreach::Scheme { negotiated: scheme }),
        Some(_) | None => Ok(()),
    }
}

fn contains(groups: &[&'static Group], group: &Group) -> bool {
    groups
        .iter()
        .any(|known| known.named_group == group.named_group)
}

fn names(groups: &[&'static Group]) -> String {
    let names: Vec<&str> = groups.iter().map(|group| group.name).collect();
    names.join(", ")
}

/// Why a requirement with a list of group names is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KxPolicyError {
    /// No group at all.
    #[error("no key-exchange group is named; {}", accepted(*requirement))]
    Empty {
        /// What was asked for.
        requirement: Requirement,
    },
    /// A group outside the CNSA 2.0 profile.
    #[error(
        "{name} is not in the CNSA 2.0 profile; {}",
        accepted(Requirement::Cnsa)
    )]
    NotCnsa {
        /// Registry name of the group.
        name: &'static str,
    },
    /// A classical or a pure post-quantum group.
    #[error(
        "{name} is not a hybrid group; {}",
        accepted(Requirement::RequireHybrid)
    )]
    NotHybrid {
        /// Registry name of the group.
        name: &'static str,
    },
    /// The same group twice.
    #[error("{name} is named twice")]
    Repeated {
        /// Registry name of the group.
        name: &'static str,
    },
    /// Known, but this build has no working code for it.
    #[error("{name} is not available in this build")]
    Unavailable {
        /// Registry name of the group.
        name: &'static str,
    },
    /// No such group.
    #[error("{name:?} is not a known group; {}", accepted(*requirement))]
    Unknown {
        /// The name as written.
        name: String,
        /// What was asked for.
        requirement: Requirement,
    },
}

fn accepted(requirement: Requirement) -> String {
    let kind = match requirement {
        Requirement::Cnsa => "its groups",
        Requirement::AllowClassicalUntil(_)
        | Requirement::PreferHybrid
        | Requirement::RequireHybrid => "hybrid groups",
    };
    format!("{kind} are {}", names(requirement.nameable_groups()))
}

/// How a finished handshake with a known peer breaks the policy for that peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyBreach {
    /// A classical group, after the time until which they were permitted.
    #[error(
        "the handshake negotiated {negotiated}; classical groups were accepted until {}, and now {accepted}",
        Date(*end)
    )]
    ClassicalEnded {
        /// Registry name of the group.
        negotiated: &'static str,
        /// The first second at which it was not accepted any more.
        end: UnixTime,
        /// Registry names of the groups that are.
        accepted: String,
    },
    /// A group that the policy does not have.
    #[error("the handshake negotiated {negotiated}; {requirement} accepts {accepted}")]
    Group {
        /// Registry name of the group.
        negotiated: &'static str,
        /// What was asked for.
        requirement: Requirement,
        /// Registry names of the groups that are accepted.
        accepted: String,
    },
    /// A signature scheme outside the CNSA 2.0 profile.
    #[error(
        "the peer signed the handshake with {}; cnsa accepts {}",
        scheme_name(*negotiated),
        scheme_name(CNSA_SCHEME)
    )]
    Scheme {
        /// The scheme of the peer's CertificateVerify.
        negotiated: SignatureScheme,
    },
    /// A cipher suite outside the CNSA 2.0 profile.
    #[error(
        "the handshake negotiated {}; cnsa accepts {}",
        suite_name(*negotiated),
        suite_name(CNSA_SUITE)
    )]
    Suite {
        /// The suite of the connection.
        negotiated: CipherSuite,
    },
}

#[cfg(test)]
mod tests;
