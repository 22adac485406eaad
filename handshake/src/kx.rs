//! The key-exchange groups this project knows, one row each.
//!
//! A group is a data row; the code that uses it is generic. A row without an implementation is a group
//! that a peer may offer and that configuration may name, but that this build cannot run.

use std::borrow::Cow;

use rustls::NamedGroup;
use rustls::crypto::SupportedKxGroup;
use rustls::crypto::aws_lc_rs::kx_group;

mod secp384r1_mlkem1024;

/// What a group resists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Strength {
    /// Elliptic curves only: readable by whoever records it now and has a quantum computer later.
    Classical,
    /// ML-KEM combined with an elliptic curve: both must fall (RFC 9954 §1).
    Hybrid,
    /// ML-KEM alone.
    PostQuantum,
}

/// One key-exchange group.
pub struct Group {
    /// Name in the IANA "TLS Supported Groups" registry.
    pub name: &'static str,
    /// Code point in the same registry.
    pub named_group: NamedGroup,
    /// What it resists.
    pub strength: Strength,
    /// Bytes of the client's `KeyShareEntry.key_exchange`.
    pub client_share_len: usize,
    /// Bytes of the server's `KeyShareEntry.key_exchange`.
    pub server_share_len: usize,
    /// Where code point and layout are specified.
    pub source: &'static str,
    implementation: Option<&'static dyn SupportedKxGroup>,
}

impl Group {
    /// The code that runs this group, if this build has any.
    pub fn implementation(&self) -> Option<&'static dyn SupportedKxGroup> {
        self.implementation
    }

    /// Finds a row by its registry name, in any letter case.
    pub fn by_name(name: &str) -> Option<&'static Group> {
        GROUPS
            .into_iter()
            .find(|group| group.name.eq_ignore_ascii_case(name))
    }

    /// Finds a row by its code point.
    pub fn by_code_point(named_group: NamedGroup) -> Option<&'static Group> {
        GROUPS
            .into_iter()
            .find(|group| group.named_group == named_group)
    }
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// `X25519MLKEM768`, the default.
///
/// Client share `ek (1184 B) || x25519 (32 B)`, server share `ct (1088 B) || x25519 (32 B)`.
/// Spec: RFC 10024 §4.1, with ML-KEM-768 as in FIPS 203 table 3.
pub static X25519MLKEM768: Group = Group {
    name: "X25519MLKEM768",
    named_group: NamedGroup::X25519MLKEM768,
    strength: Strength::Hybrid,
    client_share_len: 1184 + 32,
    server_share_len: 1088 + 32,
    source: "RFC 10024",
    implementation: Some(kx_group::X25519MLKEM768),
};

/// `SecP256r1MLKEM768`: client share `point (65 B) || ek (1184 B)`, server share `point || ct (1088 B)`.
pub static SECP256R1MLKEM768: Group = Group {
    name: "SecP256r1MLKEM768",
    named_group: NamedGroup::secp256r1MLKEM768,
    strength: Strength::Hybrid,
    client_share_len: 65 + 1184,
    server_share_len: 65 + 1088,
    source: "RFC 10024",
    implementation: Some(kx_group::SECP256R1MLKEM768),
};

/// `SecP384r1MLKEM1024`: client share `point (97 B) || ek (1568 B)`, server share `point || ct (1568 B)`.
/// Spec: RFC 10024 §4; composed here from rustls's own two groups.
pub static SECP384R1MLKEM1024: Group = Group {
    name: "SecP384r1MLKEM1024",
    named_group: NamedGroup::Unknown(secp384r1_mlkem1024::CODE_POINT),
    strength: Strength::Hybrid,
    client_share_len: secp384r1_mlkem1024::POINT_LEN + secp384r1_mlkem1024::ML_KEM_LEN,
    server_share_len: secp384r1_mlkem1024::POINT_LEN + secp384r1_mlkem1024::ML_KEM_LEN,
    source: "RFC 10024",
    implementation: Some(&secp384r1_mlkem1024::SecP384r1MlKem1024),
};

/// `MLKEM768` alone: encapsulation key 1184 B, ciphertext 1088 B (FIPS 203 table 3).
pub static MLKEM768: Group = Group {
    name: "MLKEM768",
    named_group: NamedGroup::MLKEM768,
    strength: Strength::PostQuantum,
    client_share_len: 1184,
    server_share_len: 1088,
    source: "draft-ietf-tls-mlkem-07",
    implementation: Some(kx_group::MLKEM768),
};

/// `MLKEM1024` alone: encapsulation key and ciphertext 1568 B each (FIPS 203 table 3).
pub static MLKEM1024: Group = Group {
    name: "MLKEM1024",
    named_group: NamedGroup::MLKEM1024,
    strength: Strength::PostQuantum,
    client_share_len: 1568,
    server_share_len: 1568,
    source: "draft-ietf-tls-mlkem-07",
    implementation: Some(kx_group::MLKEM1024),
};

/// `x25519`: 32 B each way.
pub static X25519: Group = Group {
    name: "x25519",
    named_group: NamedGroup::X25519,
    strength: Strength::Classical,
    client_share_len: 32,
    server_share_len: 32,
    source: "RFC 9846 §4.3.8.2",
    implementation: Some(kx_group::X25519),
};

/// `secp256r1`: an uncompressed point, 65 B each way.
pub static SECP256R1: Group = Group {
    name: "secp256r1",
    named_group: NamedGroup::secp256r1,
    strength: Strength::Classical,
    client_share_len: 65,
    server_share_len: 65,
    source: "RFC 9846 §4.3.8.2",
    implementation: Some(kx_group::SECP256R1),
};

/// `secp384r1`: an uncompressed point, 97 B each way.
pub static SECP384R1: Group = Group {
    name: "secp384r1",
    named_group: NamedGroup::secp384r1,
    strength: Strength::Classical,
    client_share_len: 97,
    server_share_len: 97,
    source: "RFC 9846 §4.3.8.2",
    implementation: Some(kx_group::SECP384R1),
};

/// Every row, in the order of code points.
pub static GROUPS: [&Group; 8] = [
    &SECP256R1,
    &SECP384R1,
    &X25519,
    &MLKEM768,
    &MLKEM1024,
    &SECP256R1MLKEM768,
    &X25519MLKEM768,
    &SECP384R1MLKEM1024,
];

/// The registry name of any code point a peer may offer, or `0x….` for one without a row.
pub fn group_name(named_group: NamedGroup) -> Cow<'static, str> {
    match Group::by_code_point(named_group) {
        Some(group) => Cow::Borrowed(group.name),
        None => Cow::Owned(format!("{:#06x}", u16::from(named_group))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_have_the_lengths_the_table_states() {
        for group in GROUPS {
            let Some(implementation) = group.implementation() else {
                continue;
            };
            assert_eq!(implementation.name(), group.named_group);
            let client = implementation.start().unwrap();
            assert_eq!(client.pub_key().len(), group.client_share_len, "{group:?}");
            let server = implementation.start_and_complete(client.pub_key()).unwrap();
            assert_eq!(server.pub_key.len(), group.server_share_len, "{group:?}");
            let secret = client.complete(&server.pub_key).unwrap();
            assert_eq!(secret.secret_bytes(), server.secret.secret_bytes());
        }
    }

    #[test]
    fn code_points_are_those_of_the_registry() {
        let points: Vec<u16> = GROUPS.iter().map(|g| u16::from(g.named_group)).collect();
        let registry = [
            0x0017, 0x0018, 0x001D, 0x0201, 0x0202, 0x11EB, 0x11EC, 0x11ED,
        ];
        assert_eq!(points, registry);
    }

    #[test]
    fn names_are_found_in_any_case_and_unknown_points_are_shown_in_hex() {
        let group = Group::by_name("x25519mlkem768").unwrap();
        assert_eq!(group.named_group, NamedGroup::X25519MLKEM768);
        assert_eq!(group_name(NamedGroup::Unknown(0x0A0A)), "0x0a0a");
    }
}
