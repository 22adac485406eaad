use std::time::Duration;

use super::*;
use crate::kx::{
    GROUPS, MLKEM768, MLKEM1024, SECP256R1, SECP256R1MLKEM768, SECP384R1MLKEM1024, Strength,
    X25519, X25519MLKEM768,
};

const DEFAULTS: Option<&[&str]> = None;

fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

/// 2027-01-01.
const END: u64 = 1_798_761_600;

fn policy(requirement: Requirement) -> KxPolicy {
    KxPolicy::new(requirement, DEFAULTS).unwrap()
}

fn group_names(groups: &[&'static Group]) -> Vec<&'static str> {
    groups.iter().map(|group| group.name).collect()
}

/// A handshake with that group, the suite and the signature of the CNSA 2.0 profile.
fn with(group: &'static Group) -> Negotiated {
    Negotiated {
        group,
        suite: CipherSuite::TLS13_AES_256_GCM_SHA384,
        peer_scheme: Some(SignatureScheme::ML_DSA_87),
    }
}

#[test]
fn default_is_x25519mlkem768_alone() {
    let policy = KxPolicy::require_hybrid();
    assert_eq!(policy.requirement(), Requirement::RequireHybrid);
    assert_eq!(group_names(policy.groups()), ["X25519MLKEM768"]);
    assert!(policy.classical_groups().is_empty());
    policy.prove_available().unwrap();
}

#[test]
fn keeps_the_order_as_written() {
    let names = ["SecP384r1MLKEM1024", "secp256r1mlkem768", "X25519MLKEM768"];
    let policy = KxPolicy::new(Requirement::PreferHybrid, Some(&names)).unwrap();
    let expected = ["SecP384r1MLKEM1024", "SecP256r1MLKEM768", "X25519MLKEM768"];
    assert_eq!(group_names(policy.groups()), expected);
}

#[test]
fn refuses_what_is_not_a_hybrid_group() {
    let requirement = Requirement::AllowClassicalUntil(at(END));
    let refused = |names: &[&str]| KxPolicy::new(requirement, Some(names)).unwrap_err();
    assert_eq!(refused(&[]), KxPolicyError::Empty { requirement });
    for name in ["x25519", "secp256r1", "secp384r1", "MLKEM768", "MLKEM1024"] {
        assert_eq!(refused(&[name]), KxPolicyError::NotHybrid { name });
    }
    let name = "X25519MLKEM768";
    assert_eq!(
        refused(&[name, "x25519mlkem768"]),
        KxPolicyError::Repeated { name }
    );
    assert_eq!(
        refused(&["Kyber768"]).to_string(),
        "\"Kyber768\" is not a known group; hybrid groups are \
         SecP256r1MLKEM768, X25519MLKEM768, SecP384r1MLKEM1024"
    );
}

#[test]
fn cnsa_has_the_two_groups_with_ml_kem_1024_and_refuses_every_other_name() {
    let defaults = policy(Requirement::Cnsa);
    let expected = ["MLKEM1024", "SecP384r1MLKEM1024"];
    assert_eq!(group_names(defaults.groups()), expected);
    let reversed = ["SecP384r1MLKEM1024", "MLKEM1024"];
    let policy = KxPolicy::new(Requirement::Cnsa, Some(&reversed)).unwrap();
    assert_eq!(group_names(policy.groups()), reversed);
    for name in GROUPS.map(|group| group.name) {
        if expected.contains(&name) {
            continue;
        }
        let refused = KxPolicy::new(Requirement::Cnsa, Some(&[name])).unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!(
                "{name} is not in the CNSA 2.0 profile; its groups are MLKEM1024, SecP384r1MLKEM1024"
            )
        );
    }
}

#[test]
fn a_client_offers_classical_groups_last_and_only_while_they_are_permitted() {
    let all = ["X25519MLKEM768", "x25519", "secp256r1", "secp384r1"];
    let until = Requirement::AllowClassicalUntil(at(END));
    for (requirement, now, expected) in [
        (Requirement::RequireHybrid, 0, &all[..1]),
        (Requirement::PreferHybrid, u64::MAX, &all[..]),
        (until, END - 1, &all[..]),
        (until, END, &all[..1]),
        (until, END + 1, &all[..1]),
        (
            Requirement::Cnsa,
            0,
            &["MLKEM1024", "SecP384r1MLKEM1024"][..],
        ),
    ] {
        let offer = policy(requirement).offer(at(now));
        assert_eq!(group_names(&offer), expected, "{requirement} at {now}");
    }
}

/// Every requirement against every group: what is offered is what is accepted, and nothing else.
#[test]
fn accepts_exactly_what_it_offers() {
    let requirements = [
        Requirement::AllowClassicalUntil(at(END)),
        Requirement::Cnsa,
        Requirement::PreferHybrid,
        Requirement::RequireHybrid,
    ];
    for requirement in requirements {
        let policy = policy(requirement);
        for now in [END - 1, END].map(at) {
            let offer = policy.offer(now);
            for group in GROUPS {
                let accepted = policy.judge(&with(group), now).is_ok();
                let offered = offer.iter().any(|offered| offered.name == group.name);
                assert_eq!(accepted, offered, "{requirement} {group:?}");
                let classical = group.strength == Strength::Classical;
                assert!(!(accepted && classical) || policy.allows_classical(now));
            }
        }
    }
}

#[test]
fn a_breach_says_what_was_negotiated_and_what_is_accepted() {
    let breach = |requirement, negotiated: &Negotiated| {
        let judged = policy(requirement).judge(negotiated, at(END));
        judged.unwrap_err().to_string()
    };
    assert_eq!(
        breach(Requirement::RequireHybrid, &with(&X25519)),
        "the handshake negotiated x25519; require-hybrid accepts X25519MLKEM768"
    );
    assert_eq!(
        breach(Requirement::PreferHybrid, &with(&MLKEM768)),
        "the handshake negotiated MLKEM768; prefer-hybrid accepts \
         X25519MLKEM768, x25519, secp256r1, secp384r1"
    );
    assert_eq!(
        breach(Requirement::AllowClassicalUntil(at(END)), &with(&SECP256R1)),
        "the handshake negotiated secp256r1; classical groups were accepted until 2027-01-01, and now \
         X25519MLKEM768"
    );
    assert_eq!(
        breach(Requirement::RequireHybrid, &with(&SECP256R1MLKEM768)),
        "the handshake negotiated SecP256r1MLKEM768; require-hybrid accepts X25519MLKEM768"
    );
    assert_eq!(
        breach(Requirement::Cnsa, &with(&X25519MLKEM768)),
        "the handshake negotiated X25519MLKEM768; cnsa accepts MLKEM1024, SecP384r1MLKEM1024"
    );
}

#[test]
fn cnsa_asks_for_aes_256_and_an_ml_dsa_87_signature() {
    let policy = policy(Requirement::Cnsa);
    for group in [&MLKEM1024, &SECP384R1MLKEM1024] {
        policy.judge(&with(group), at(END)).unwrap();
        let short_key = Negotiated {
            suite: CipherSuite::TLS13_AES_128_GCM_SHA256,
            ..with(group)
        };
        assert_eq!(
            policy.judge(&short_key, at(END)).unwrap_err().to_string(),
            "the handshake negotiated TLS_AES_128_GCM_SHA256; cnsa accepts TLS_AES_256_GCM_SHA384"
        );
        let weaker_signature = Negotiated {
            peer_scheme: Some(SignatureScheme::ML_DSA_65),
            ..with(group)
        };
        assert_eq!(
            policy
                .judge(&weaker_signature, at(END))
                .unwrap_err()
                .to_string(),
            "the peer signed the handshake with mldsa65; cnsa accepts mldsa87"
        );
        let resumed = Negotiated {
            peer_scheme: None,
            ..with(group)
        };
        policy.judge(&resumed, at(END)).unwrap();
    }
}

#[test]
fn the_other_requirements_take_any_suite_and_signature() {
    let negotiated = Negotiated {
        group: &X25519MLKEM768,
        suite: CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
        peer_scheme: Some(SignatureScheme::ED25519),
    };
    for requirement in [
        Requirement::AllowClassicalUntil(at(END)),
        Requirement::PreferHybrid,
        Requirement::RequireHybrid,
    ] {
        policy(requirement).judge(&negotiated, at(END)).unwrap();
    }
}
