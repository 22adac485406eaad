use std::time::Duration;

use rustls::HandshakeKind;

use super::*;
use crate::kx::{
    GROUPS, MLKEM1024, SECP256R1, SECP256R1MLKEM768, SECP384R1MLKEM1024, X25519, X25519MLKEM768,
};
use crate::testing::{Pair, World};

/// 2027-01-01.
const END: u64 = 1_798_761_600;

fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

fn policy(requirement: Requirement, groups: &[&str]) -> KxPolicy {
    KxPolicy::new(requirement, Some(groups)).unwrap()
}

fn named_groups(groups: &[&'static Group]) -> Vec<NamedGroup> {
    groups.iter().map(|group| group.named_group).collect()
}

fn group_names(groups: &[&'static Group]) -> Vec<&'static str> {
    groups.iter().map(|group| group.name).collect()
}

/// One policy of each kind.
fn policies() -> [KxPolicy; 4] {
    [
        policy(Requirement::RequireHybrid, &["X25519MLKEM768"]),
        policy(Requirement::Cnsa, &["SecP384r1MLKEM1024", "MLKEM1024"]),
        policy(
            Requirement::AllowClassicalUntil(at(END)),
            &["SecP256r1MLKEM768", "X25519MLKEM768"],
        ),
        policy(Requirement::PreferHybrid, &["SecP384r1MLKEM1024"]),
    ]
}

#[test]
fn a_class_has_the_groups_of_its_policies_in_their_order_and_once() {
    let [strict, cnsa, until, prefer] = &policies();
    let classes = KxClasses::of(&[strict, cnsa, until, prefer]);
    let listed: Vec<_> = classes
        .iter()
        .map(|(class, groups)| (class.label(), group_names(groups)))
        .collect();
    assert_eq!(
        listed,
        [
            ("cnsa", vec!["SecP384r1MLKEM1024", "MLKEM1024"]),
            (
                "post-quantum",
                vec!["X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024"]
            ),
            ("classical", vec!["x25519", "secp256r1", "secp384r1"]),
        ]
    );
    let classes = KxClasses::of(&[strict]);
    assert_eq!(classes.iter().count(), 1);
    assert!(classes.groups(KxClass::Classical).is_empty());
}

#[test]
fn chooses_by_what_a_client_can_do() {
    let [strict, cnsa, until, prefer] = &policies();
    let (before, after) = (at(END - 1), at(END));
    let table: [(&[&KxPolicy], &[&'static Group], UnixTime, KxClass); 12] = [
        (&[strict], &[&X25519MLKEM768], after, KxClass::PostQuantum),
        (&[strict], &[&X25519], after, KxClass::PostQuantum),
        (&[strict], &[], after, KxClass::PostQuantum),
        (&[cnsa], &[&X25519MLKEM768], after, KxClass::Cnsa),
        (
            &[prefer, cnsa],
            &[&X25519, &MLKEM1024],
            after,
            KxClass::Cnsa,
        ),
        (&[prefer, cnsa], &[&X25519], after, KxClass::Classical),
        (&[prefer, cnsa], &[], after, KxClass::Cnsa),
        (
            &[until],
            &[&X25519, &X25519MLKEM768],
            before,
            KxClass::PostQuantum,
        ),
        (&[until], &[&X25519], before, KxClass::Classical),
        (&[until], &[&X25519], after, KxClass::PostQuantum),
        (&[until, prefer], &[&X25519], after, KxClass::Classical),
        // A group that no class has is no reason to refuse a client that also has a classical one.
        (
            &[prefer],
            &[&X25519, &X25519MLKEM768],
            after,
            KxClass::Classical,
        ),
    ];
    for (policies, offered, now, expected) in table {
        let classes = KxClasses::of(policies);
        let (class, groups) = classes.choose(Some(&named_groups(offered)), now);
        assert_eq!(class, expected, "{offered:?}");
        assert_eq!(named_groups(groups), named_groups(classes.groups(class)));
    }
}

#[test]
fn without_an_offer_or_without_a_policy_the_answer_is_one_that_fails() {
    let [strict, _, until, prefer] = &policies();
    let classes = KxClasses::of(&[strict, until, prefer]);
    let (class, _) = classes.choose(None, at(0));
    assert_eq!(class, KxClass::PostQuantum);
    let offered = named_groups(&GROUPS);
    let none = KxClasses::of(&[]);
    let (class, groups) = none.choose(Some(&offered), at(0));
    assert_eq!((class, groups.len()), (KxClass::PostQuantum, 0));
}

/// Every set of policies, every set of groups a client may offer, in several orders, on both sides of the date.
#[test]
fn whatever_is_offered_the_class_is_the_strictest_that_can_work() {
    let all = policies();
    let mut points = named_groups(&GROUPS);
    points.push(NamedGroup::Unknown(0x0A0A));
    for some in 1..1_u32 << all.len() {
        let policies = chosen(&all.each_ref(), some);
        let classes = KxClasses::of(&policies);
        for offer in 0..1_u32 << points.len() {
            let offered = chosen(&points, offer);
            for now in [END - 1, END].map(at) {
                check(&policies, &classes, &offered, now);
            }
        }
    }
}

fn chosen<T: Copy>(all: &[T], bits: u32) -> Vec<T> {
    let is_chosen = |(index, _): &(usize, &T)| bits >> index & 1 == 1;
    let some = all.iter().enumerate().filter(is_chosen);
    some.map(|(_, one)| *one).collect()
}

fn check(policies: &[&KxPolicy], classes: &KxClasses, offered: &[NamedGroup], now: UnixTime) {
    let (class, groups) = classes.choose(Some(offered), now);
    assert!(!groups.is_empty());
    let reversed: Vec<_> = offered.iter().rev().copied().collect();
    assert_eq!(classes.choose(Some(&reversed), now).0, class);

    let offers = |groups: &[&'static Group]| {
        let points = named_groups(groups);
        offered.iter().any(|group| points.contains(group))
    };
    let is_cnsa = |policy: &&&KxPolicy| policy.requirement() == Requirement::Cnsa;
    let can_cnsa = policies
        .iter()
        .filter(is_cnsa)
        .any(|policy| offers(policy.groups()));
    let can_post_quantum = policies.iter().any(|policy| offers(policy.groups()));
    let can_classical = policies
        .iter()
        .any(|policy| policy.allows_classical(now) && offers(policy.classical_groups()));
    match class {
        KxClass::Cnsa => assert!(can_cnsa || !(can_post_quantum || can_classical)),
        KxClass::PostQuantum => assert!(!can_cnsa && (can_post_quantum || !can_classical)),
        KxClass::Classical => assert!(!can_post_quantum && can_classical),
    }
    assert_eq!(
        offers(groups),
        can_post_quantum || can_classical,
        "{offered:?}"
    );
}

/// The trap: a rustls server follows the order of the client.
#[test]
fn a_classical_first_offer_lands_on_hybrid() {
    let world = World::new();
    let [_, _, until, _] = &policies();
    let classes = KxClasses::of(&[until]);
    let offer: [&Group; 3] = [&X25519, &SECP256R1, &X25519MLKEM768];
    let (_, groups) = classes.choose(Some(&named_groups(&offer)), at(0));
    let pair = Pair::run(world.client(&offer), world.server(groups)).unwrap();
    let summary = pair.summary(crate::Side::Server, groups).unwrap();
    assert_eq!(summary.group.name, "X25519MLKEM768");
    assert_eq!(summary.kind, HandshakeKind::FullWithHelloRetryRequest);
    until.judge(&summary.negotiated(), at(0)).unwrap();

    // Had one configuration held both kinds, it would not have.
    let mixed = [&SECP256R1MLKEM768, &X25519MLKEM768, &X25519];
    let pair = Pair::run(world.client(&offer), world.server(&mixed)).unwrap();
    let summary = pair.summary(crate::Side::Server, &mixed).unwrap();
    assert_eq!(summary.group.name, "x25519");
}

#[test]
fn the_strictest_group_is_last_in_the_offer_and_taken() {
    let [strict, cnsa, _, _] = &policies();
    let classes = KxClasses::of(&[strict, cnsa]);
    let offer: [&Group; 2] = [&X25519MLKEM768, &SECP384R1MLKEM1024];
    let (class, groups) = classes.choose(Some(&named_groups(&offer)), at(0));
    assert_eq!(class, KxClass::Cnsa);
    assert_eq!(group_names(groups), ["SecP384r1MLKEM1024", "MLKEM1024"]);
}
