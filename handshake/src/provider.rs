//! The cryptographic provider, built explicitly.
//!
//! rustls's default provider offers classical groups, and puts the hybrid one last unless a cargo feature
//! is on; nothing here depends on it.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::{CipherSuite, SupportedCipherSuite};

use crate::kx::Group;
use crate::kx_policy::{CNSA_SCHEME, CNSA_SUITE, KxPolicy, Requirement};

/// The suites and the signatures that a provider has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureProfile {
    /// Every TLS 1.3 suite and every signature algorithm of aws-lc-rs.
    Any,
    /// TLS_AES_256_GCM_SHA384, and ML-DSA-87 for handshakes and for certificates.
    Cnsa,
}

impl SignatureProfile {
    fn permits(self, suite: CipherSuite) -> bool {
        match self {
            Self::Any => true,
            Self::Cnsa => suite == CNSA_SUITE,
        }
    }
}

impl From<Requirement> for SignatureProfile {
    fn from(requirement: Requirement) -> Self {
        match requirement {
            Requirement::Cnsa => Self::Cnsa,
            Requirement::AllowClassicalUntil(_)
            | Requirement::PreferHybrid
            | Requirement::RequireHybrid => Self::Any,
        }
    }
}

/// aws-lc-rs with the policy's post-quantum groups only, in its order, and the suites and signatures of its
/// profile.
pub fn provider(policy: &KxPolicy) -> Arc<CryptoProvider> {
    provider_for(policy.groups(), policy.requirement().into())
}

/// aws-lc-rs with these groups only, in this order, and the suites and signatures of the profile. TLS 1.3 only.
///
/// The profile is about what a peer sends. The keys this side loads and signs with are not narrowed by it.
pub fn provider_for(groups: &[&'static Group], profile: SignatureProfile) -> Arc<CryptoProvider> {
    let all = aws_lc_rs::default_provider();
    Arc::new(CryptoProvider {
        cipher_suites: tls13_suites(profile),
        kx_groups: groups
            .iter()
            .filter_map(|group| group.implementation())
            .collect(),
        signature_verification_algorithms: signatures(
            all.signature_verification_algorithms,
            profile,
        ),
        ..all
    })
}

/// aws-lc-rs with any groups: for measuring, for probing a peer, and for proving that a classical client
/// is refused. What carries traffic uses [`provider`] or [`provider_for`].
pub fn with_groups(groups: &[&'static Group]) -> Arc<CryptoProvider> {
    provider_for(groups, SignatureProfile::Any)
}

fn tls13_suites(profile: SignatureProfile) -> Vec<SupportedCipherSuite> {
    aws_lc_rs::ALL_CIPHER_SUITES
        .iter()
        .copied()
        .filter(|suite| suite.tls13().is_some() && profile.permits(suite.suite()))
        .collect()
}

/// The part of `all` that the profile has: for [`SignatureProfile::Cnsa`], the one row of ML-DSA-87.
fn signatures(
    all: WebPkiSupportedAlgorithms,
    profile: SignatureProfile,
) -> WebPkiSupportedAlgorithms {
    match profile {
        SignatureProfile::Any => all,
        SignatureProfile::Cnsa => {
            let is_cnsa = |rows: &&[(_, _)]| rows.iter().all(|(scheme, _)| *scheme == CNSA_SCHEME);
            let mapping = all.mapping.chunks(1).find(is_cnsa).unwrap_or_default();
            WebPkiSupportedAlgorithms {
                all: mapping
                    .first()
                    .map(|(_, algorithms)| *algorithms)
                    .unwrap_or_default(),
                mapping,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kx::{MLKEM1024, X25519MLKEM768};
    use crate::summary::Side;
    use crate::testing::{Pair, World};
    use rustls::{Error, NamedGroup, PeerIncompatible, SignatureScheme};

    #[test]
    fn holds_the_policy_and_nothing_else() {
        let provider = provider(&KxPolicy::require_hybrid());
        let groups: Vec<_> = provider.kx_groups.iter().map(|g| g.name()).collect();
        assert_eq!(groups, [NamedGroup::X25519MLKEM768]);
        assert_eq!(provider.cipher_suites.len(), 3);
        assert!(provider.cipher_suites.iter().all(|s| s.tls13().is_some()));
    }

    #[test]
    fn cnsa_has_one_suite_and_one_signature_algorithm() {
        let policy = KxPolicy::new::<&str>(Requirement::Cnsa, None).unwrap();
        let provider = provider(&policy);
        let groups: Vec<_> = provider.kx_groups.iter().map(|g| g.name()).collect();
        assert_eq!(groups, [NamedGroup::MLKEM1024, NamedGroup::from(0x11ED)]);
        let suites: Vec<_> = provider.cipher_suites.iter().map(|s| s.suite()).collect();
        assert_eq!(suites, [CipherSuite::TLS13_AES_256_GCM_SHA384]);
        let signatures = provider.signature_verification_algorithms;
        assert_eq!(signatures.supported_schemes(), [SignatureScheme::ML_DSA_87]);
        // id-ml-dsa-87, 2.16.840.1.101.3.4.3.19 (RFC 9881 §2).
        let [algorithm] = signatures.all else {
            panic!("{} algorithms", signatures.all.len());
        };
        let oid = [
            0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 19,
        ];
        assert_eq!(algorithm.public_key_alg_id().as_ref(), oid);
        assert_eq!(algorithm.signature_alg_id().as_ref(), oid);
    }

    #[test]
    fn a_cnsa_handshake_passes_its_policy() {
        let world = World::signing_with(&rcgen::PKCS_ML_DSA_87);
        let policy = KxPolicy::new::<&str>(Requirement::Cnsa, None).unwrap();
        let (client, server) = (
            world.client_of(provider(&policy)),
            world.server_of(provider(&policy)),
        );
        let pair = Pair::run(client, server).unwrap();
        let now = rustls::pki_types::UnixTime::since_unix_epoch(std::time::Duration::ZERO);
        for side in [Side::Client, Side::Server] {
            let summary = pair.summary(side, policy.groups()).unwrap();
            assert_eq!(summary.group.name, "MLKEM1024");
            assert_eq!(summary.peer_scheme, Some(SignatureScheme::ML_DSA_87));
            policy.judge(&summary.negotiated(), now).unwrap();
        }
    }

    #[test]
    fn cnsa_refuses_another_signature_and_another_suite_in_the_handshake() {
        let cnsa = || provider_for(&[&MLKEM1024], SignatureProfile::Cnsa);
        let any = || with_groups(&[&MLKEM1024, &X25519MLKEM768]);
        let meet = |client, server| Pair::run(client, server).err().unwrap();
        // A key of ML-DSA-65 fits no scheme that is asked for: a client with one presents nothing, a server
        // has no answer.
        let weaker = World::signing_with(&rcgen::PKCS_ML_DSA_65);
        assert_eq!(
            meet(weaker.client_of(any()), weaker.server_of(cnsa())),
            (Side::Server, Error::NoCertificatesPresented)
        );
        let no_scheme = PeerIncompatible::NoSignatureSchemesInCommon;
        assert_eq!(
            meet(weaker.client_of(cnsa()), weaker.server_of(any())),
            (Side::Server, Error::PeerIncompatible(no_scheme))
        );

        let mut short_keys = CryptoProvider::clone(&any());
        let aes_128 = CipherSuite::TLS13_AES_128_GCM_SHA256;
        short_keys.cipher_suites.retain(|s| s.suite() == aes_128);
        let strong = World::signing_with(&rcgen::PKCS_ML_DSA_87);
        let no_suite = PeerIncompatible::NoCipherSuitesInCommon;
        assert_eq!(
            meet(
                strong.client_of(Arc::new(short_keys)),
                strong.server_of(cnsa())
            ),
            (Side::Server, Error::PeerIncompatible(no_suite))
        );
    }
}
