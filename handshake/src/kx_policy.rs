//! Which key-exchange groups may protect a connection.
//!
//! Takes group names; gives a policy that has been run once, so that a group that cannot work fails
//! start-up instead of the first call. It never falls back.

use rustls::NamedGroup;

use crate::kx::{GROUPS, Group, Strength, X25519MLKEM768};

/// The groups offered and accepted on both sides, every time, in order of preference.
///
/// Under this policy every group is hybrid: a connection that would be classical is not made.
#[derive(Debug, Clone)]
pub struct KxPolicy {
    groups: Vec<&'static Group>,
}

impl KxPolicy {
    /// X25519MLKEM768 and nothing else.
    pub fn require_hybrid() -> Self {
        Self {
            groups: vec![&X25519MLKEM768],
        }
    }

    /// The hybrid groups named, in that order.
    ///
    /// # Errors
    /// [`KxPolicyError`] when the list is empty, or a name is unknown, repeated, not hybrid, or of a
    /// group that this build cannot run.
    pub fn from_names<N: AsRef<str>>(names: &[N]) -> Result<Self, KxPolicyError> {
        let mut groups: Vec<&'static Group> = Vec::with_capacity(names.len());
        for name in names {
            let name = name.as_ref();
            let group = Group::by_name(name).ok_or_else(|| KxPolicyError::Unknown {
                name: name.to_owned(),
            })?;
            if group.strength != Strength::Hybrid {
                return Err(KxPolicyError::NotHybrid { name: group.name });
            }
            if groups.iter().any(|known| std::ptr::eq(*known, group)) {
                return Err(KxPolicyError::Repeated { name: group.name });
            }
            groups.push(group);
        }
        if groups.is_empty() {
            return Err(KxPolicyError::Empty);
        }
        let policy = Self { groups };
        policy.prove_available()?;
        Ok(policy)
    }

    /// The groups, most preferred first.
    pub fn groups(&self) -> &[&'static Group] {
        &self.groups
    }

    /// Whether a negotiated group is one of these.
    pub fn permits(&self, named_group: NamedGroup) -> bool {
        self.groups
            .iter()
            .any(|group| group.named_group == named_group)
    }

    /// Runs each group once against itself.
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

/// Why a list of group names is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KxPolicyError {
    /// No group at all.
    #[error("no key-exchange group is named; hybrid groups are {}", hybrid_names())]
    Empty,
    /// A classical or a pure post-quantum group.
    #[error("{name} is not a hybrid group; hybrid groups are {}", hybrid_names())]
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
    #[error("{name:?} is not a known group; hybrid groups are {}", hybrid_names())]
    Unknown {
        /// The name as written.
        name: String,
    },
}

fn hybrid_names() -> String {
    let names: Vec<&str> = GROUPS
        .iter()
        .filter(|group| group.strength == Strength::Hybrid && group.implementation().is_some())
        .map(|group| group.name)
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_is_x25519mlkem768_alone() {
        let policy = KxPolicy::require_hybrid();
        assert!(policy.permits(NamedGroup::X25519MLKEM768));
        assert!(!policy.permits(NamedGroup::X25519));
        assert_eq!(policy.groups().len(), 1);
        policy.prove_available().unwrap();
    }

    #[test]
    fn keeps_the_order_as_written() {
        let policy = KxPolicy::from_names(&["SecP256r1MLKEM768", "X25519MLKEM768"]).unwrap();
        let names: Vec<_> = policy.groups().iter().map(|g| g.name).collect();
        assert_eq!(names, ["SecP256r1MLKEM768", "X25519MLKEM768"]);
    }

    #[test]
    fn refuses_what_is_not_a_working_hybrid_group() {
        let refused = |names: &[&str]| KxPolicy::from_names(names).unwrap_err();
        assert_eq!(refused(&[]), KxPolicyError::Empty);
        assert_eq!(
            refused(&["X25519"]),
            KxPolicyError::NotHybrid { name: "x25519" }
        );
        assert_eq!(
            refused(&["MLKEM1024"]),
            KxPolicyError::NotHybrid { name: "MLKEM1024" }
        );
        assert_eq!(
            refused(&["SecP384r1MLKEM1024"]),
            KxPolicyError::Unavailable {
                name: "SecP384r1MLKEM1024"
            }
        );
        assert_eq!(
            refused(&["X25519MLKEM768", "x25519mlkem768"]),
            KxPolicyError::Repeated {
                name: "X25519MLKEM768"
            }
        );
        let unknown = refused(&["Kyber768"]);
        assert!(
            unknown
                .to_string()
                .contains("SecP256r1MLKEM768, X25519MLKEM768")
        );
    }
}
