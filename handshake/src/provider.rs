//! The cryptographic provider, built explicitly.
//!
//! rustls's default provider offers classical groups, and puts the hybrid one last unless a cargo feature
//! is on; nothing here depends on it.

use std::sync::Arc;

use rustls::SupportedCipherSuite;
use rustls::crypto::{CryptoProvider, aws_lc_rs};

use crate::kx::Group;
use crate::kx_policy::KxPolicy;

/// aws-lc-rs with the policy's groups only, in its order, and the TLS 1.3 suites only.
pub fn provider(policy: &KxPolicy) -> Arc<CryptoProvider> {
    with_groups(policy.groups())
}

/// aws-lc-rs with any groups: for measuring, for probing a peer, and for proving that a classical client
/// is refused. What carries traffic uses [`provider`].
pub fn with_groups(groups: &[&'static Group]) -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: tls13_suites(),
        kx_groups: groups
            .iter()
            .filter_map(|group| group.implementation())
            .collect(),
        ..aws_lc_rs::default_provider()
    })
}

fn tls13_suites() -> Vec<SupportedCipherSuite> {
    aws_lc_rs::ALL_CIPHER_SUITES
        .iter()
        .copied()
        .filter(|suite| suite.tls13().is_some())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::NamedGroup;

    #[test]
    fn holds_the_policy_and_nothing_else() {
        let provider = provider(&KxPolicy::require_hybrid());
        let groups: Vec<_> = provider.kx_groups.iter().map(|g| g.name()).collect();
        assert_eq!(groups, [NamedGroup::X25519MLKEM768]);
        assert_eq!(provider.cipher_suites.len(), 3);
        assert!(provider.cipher_suites.iter().all(|s| s.tls13().is_some()));
    }
}
