//! How a listener answers a ClientHello before it knows the peer.
//!
//! Takes the policies of every peer that may call, and the groups that a client offers; gives the class to
//! answer with. A rustls server follows the order of the client's offer, so a class holds groups of one kind
//! only: a client that can do better never ends with worse, in whatever order it lists its groups. What the
//! policy of the peer says is judged afterwards, by [`KxPolicy::judge`]; nothing here permits anything.

use rustls::NamedGroup;
use rustls::pki_types::UnixTime;

use crate::kx::Group;
use crate::kx_policy::{KxPolicy, Requirement};
use crate::provider::SignatureProfile;

/// A kind of answer, strictest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KxClass {
    /// What policies with [`Requirement::Cnsa`] accept.
    Cnsa,
    /// The post-quantum groups of all other policies.
    PostQuantum,
    /// Classical groups, for clients that have nothing else.
    Classical,
}

impl KxClass {
    /// Every class, strictest first.
    pub const ALL: [Self; 3] = [Self::Cnsa, Self::PostQuantum, Self::Classical];

    /// The class as a label: `cnsa`, `post-quantum` or `classical`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Cnsa => "cnsa",
            Self::PostQuantum => "post-quantum",
            Self::Classical => "classical",
        }
    }

    /// The suites and signatures of its handshakes.
    pub fn signature_profile(self) -> SignatureProfile {
        match self {
            Self::Cnsa => SignatureProfile::Cnsa,
            Self::PostQuantum | Self::Classical => SignatureProfile::Any,
        }
    }
}

/// The classes of one listener, each with its groups.
#[derive(Debug, Clone)]
pub struct KxClasses {
    cnsa: Vec<&'static Group>,
    post_quantum: Vec<&'static Group>,
    classical: Vec<&'static Group>,
    /// Of the policies that permit classical groups, the one that does so for the longest time.
    loosest: Option<Requirement>,
}

impl KxClasses {
    /// The classes that these policies need: all that can apply to a peer of the listener, most important
    /// first. Groups keep the order of the first policy that names them.
    pub fn of(policies: &[&KxPolicy]) -> Self {
        let mut classes = Self {
            cnsa: Vec::new(),
            post_quantum: Vec::new(),
            classical: Vec::new(),
            loosest: None,
        };
        for policy in policies {
            let requirement = policy.requirement();
            let groups = match requirement {
                Requirement::Cnsa => &mut classes.cnsa,
                Requirement::AllowClassicalUntil(_)
                | Requirement::PreferHybrid
                | Requirement::RequireHybrid => &mut classes.post_quantum,
            };
            add(groups, policy.groups());
            add(&mut classes.classical, policy.classical_groups());
            classes.loosest = looser(classes.loosest, requirement);
        }
        classes
    }

    /// The classes there are, strictest first, with their groups, most preferred first.
    pub fn iter(&self) -> impl Iterator<Item = (KxClass, &[&'static Group])> {
        KxClass::ALL
            .into_iter()
            .map(|class| (class, self.groups(class)))
            .filter(|(_, groups)| !groups.is_empty())
    }

    /// The groups of one class, most preferred first; none where no policy needs that class.
    pub fn groups(&self, class: KxClass) -> &[&'static Group] {
        match class {
            KxClass::Cnsa => &self.cnsa,
            KxClass::PostQuantum => &self.post_quantum,
            KxClass::Classical => &self.classical,
        }
    }

    /// Whether any policy permits a classical key exchange at that time.
    pub fn allows_classical(&self, now: UnixTime) -> bool {
        self.loosest
            .is_some_and(|requirement| requirement.allows_classical(now))
    }

    /// The class to answer a client with, and its groups: the strictest of which the client offers a group.
    ///
    /// `offered` is the client's `supported_groups` (RFC 9846 §4.3.7), if it sent any; its order does not
    /// matter. [`KxClass::Classical`] is chosen only while a policy permits it, and so only for a client that
    /// offers no group of the other two. Where nothing fits, the answer is the strictest of the others, whose
    /// handshake then fails for want of a common group.
    pub fn choose(
        &self,
        offered: Option<&[NamedGroup]>,
        now: UnixTime,
    ) -> (KxClass, &[&'static Group]) {
        let offered = offered.unwrap_or_default();
        let fits = |groups: &[&'static Group]| {
            groups
                .iter()
                .any(|group| offered.contains(&group.named_group))
        };
        let permitted = |class| class != KxClass::Classical || self.allows_classical(now);
        self.iter()
            .find(|(class, groups)| permitted(*class) && fits(groups))
            .or_else(|| self.iter().find(|(class, _)| *class != KxClass::Classical))
            .unwrap_or((KxClass::PostQuantum, &[]))
    }
}

fn add(known: &mut Vec<&'static Group>, groups: &[&'static Group]) {
    for group in groups {
        if known.iter().all(|one| one.named_group != group.named_group) {
            known.push(group);
        }
    }
}

fn looser(so_far: Option<Requirement>, requirement: Requirement) -> Option<Requirement> {
    match (so_far, requirement) {
        (_, Requirement::Cnsa | Requirement::RequireHybrid) => so_far,
        (Some(Requirement::PreferHybrid), _) => so_far,
        (Some(Requirement::AllowClassicalUntil(known)), Requirement::AllowClassicalUntil(end)) => {
            Some(Requirement::AllowClassicalUntil(known.max(end)))
        }
        (_, Requirement::AllowClassicalUntil(_) | Requirement::PreferHybrid) => Some(requirement),
    }
}

#[cfg(test)]
mod tests;
