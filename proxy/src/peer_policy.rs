//! What key exchange is asked of each peer of a listener or a route.

use pqlane_certs::spiffe_id::{IdPattern, SpiffeId};
use pqlane_handshake::provider::SignatureProfile;
use pqlane_handshake::{KxPolicy, Negotiated, PolicyBreach, Requirement};
use rustls::pki_types::UnixTime;

/// The policy of a listener or route, and its exceptions by SPIFFE ID.
///
/// A hello is answered before anybody knows whose it is, so by the loosest of these; the peer's own is judged once
/// its certificate is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PeerPolicies {
    otherwise: KxPolicy,
    rules: Vec<(IdPattern, KxPolicy)>,
}

impl PeerPolicies {
    pub(crate) fn new(otherwise: KxPolicy, rules: Vec<(IdPattern, KxPolicy)>) -> Self {
        Self { otherwise, rules }
    }

    /// What is asked of this peer: the first rule that matches, or what is asked of all.
    pub(crate) fn of(&self, peer: &SpiffeId) -> &KxPolicy {
        self.rules
            .iter()
            .find_map(|(pattern, policy)| pattern.matches(peer).then_some(policy))
            .unwrap_or(&self.otherwise)
    }

    /// Judges what an authenticated peer negotiated.
    ///
    /// # Errors
    /// [`PolicyBreach`] when its policy asks for more. A listener with a CNSA peer takes whoever can to CNSA's groups,
    /// before it knows who that is; nobody is refused for that.
    pub(crate) fn judge(
        &self,
        peer: &SpiffeId,
        negotiated: &Negotiated,
        now: UnixTime,
    ) -> Result<(), PolicyBreach> {
        let policy = self.of(peer);
        let taken_to_cnsa = policy.requirement() != Requirement::Cnsa
            && self
                .all()
                .filter(|policy| policy.requirement() == Requirement::Cnsa)
                .flat_map(KxPolicy::groups)
                .any(|group| group.named_group == negotiated.group.named_group);
        match taken_to_cnsa {
            true => Ok(()),
            false => policy.judge(negotiated, now),
        }
    }

    /// The suites and signatures of a handshake with any of these peers: CNSA's only if nobody is excepted from it.
    pub(crate) fn profile(&self) -> SignatureProfile {
        let is_cnsa = |policy: &KxPolicy| policy.requirement() == Requirement::Cnsa;
        match self.all().all(is_cnsa) {
            true => SignatureProfile::Cnsa,
            false => SignatureProfile::Any,
        }
    }

    /// What is asked of those without a rule of their own.
    pub(crate) fn otherwise(&self) -> &KxPolicy {
        &self.otherwise
    }

    /// The exceptions, in the order in which they are looked at.
    pub(crate) fn rules(&self) -> &[(IdPattern, KxPolicy)] {
        &self.rules
    }

    /// Every policy that may turn out to hold.
    pub(crate) fn all(&self) -> impl Iterator<Item = &KxPolicy> {
        std::iter::once(&self.otherwise).chain(self.rules.iter().map(|(_, policy)| policy))
    }
}
