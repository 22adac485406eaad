use proptest::prelude::*;

use super::*;

fn id(uri: &str) -> SpiffeId {
    uri.parse().unwrap()
}

fn pattern(text: &str) -> IdPattern {
    text.parse().unwrap()
}

#[test]
fn reads_trust_domain_and_path() {
    let planner = id("spiffe://example.org/agent/Planner_1.0-b");
    assert_eq!(planner.trust_domain().as_str(), "example.org");
    assert_eq!(planner.path(), "/agent/Planner_1.0-b");
    assert_eq!(planner.as_str(), "spiffe://example.org/agent/Planner_1.0-b");

    let domain = id("spiffe://example.org");
    assert_eq!(domain.path(), "");
    assert_eq!(domain, domain.trust_domain().id());
}

#[test]
fn rejects_what_is_not_a_spiffe_id() {
    use SpiffeIdError as E;
    let bad = [
        ("", E::Scheme),
        ("example.org/agent", E::Scheme),
        ("https://example.org/agent", E::Scheme),
        ("SPIFFE://example.org/agent", E::Scheme),
        ("spiffe:/example.org/agent", E::Scheme),
        (" spiffe://example.org/agent", E::Scheme),
        ("spiffe://", E::NoTrustDomain),
        ("spiffe:///agent", E::NoTrustDomain),
        ("spiffe://Example.org/agent", character_in_domain('E', 9)),
        (
            "spiffe://example.org:443/agent",
            character_in_domain(':', 20),
        ),
        (
            "spiffe://user@example.org/agent",
            character_in_domain('@', 13),
        ),
        ("spiffe://example.org?q", character_in_domain('?', 20)),
        ("spiffe://exämple.org/agent", character_in_domain('ä', 11)),
        ("spiffe://[::1]/agent", character_in_domain('[', 9)),
        ("spiffe://example.org/agent?q=1", character_in_path('?', 26)),
        ("spiffe://example.org/agent#f", character_in_path('#', 26)),
        ("spiffe://example.org/a%2Fb", character_in_path('%', 22)),
        ("spiffe://example.org/a b", character_in_path(' ', 22)),
        ("spiffe://example.org/a/ü", character_in_path('ü', 23)),
        ("spiffe://example.org/a\0", character_in_path('\0', 22)),
        ("spiffe://example.org/", E::EmptySegment { at: 21 }),
        ("spiffe://example.org/a/", E::EmptySegment { at: 23 }),
        ("spiffe://example.org//a", E::EmptySegment { at: 21 }),
        ("spiffe://example.org/a/./b", dot_segment(".", 23)),
        ("spiffe://example.org/../b", dot_segment("..", 21)),
    ];
    for (uri, error) in bad {
        assert_eq!(uri.parse::<SpiffeId>(), Err(error), "{uri:?}");
    }
}

fn character_in_domain(found: char, at: usize) -> SpiffeIdError {
    SpiffeIdError::TrustDomainCharacter { found, at }
}

fn character_in_path(found: char, at: usize) -> SpiffeIdError {
    SpiffeIdError::PathCharacter { found, at }
}

fn dot_segment(segment: &'static str, at: usize) -> SpiffeIdError {
    SpiffeIdError::DotSegment { segment, at }
}

#[test]
fn accepts_dots_within_a_segment() {
    assert_eq!(id("spiffe://example.org/...").path(), "/...");
    assert_eq!(
        id("spiffe://example.org/.well-known").path(),
        "/.well-known"
    );
}

#[test]
fn accepts_2048_bytes_and_no_more() {
    let prefix = "spiffe://example.org/";
    let longest = format!("{prefix}{}", "a".repeat(2048 - prefix.len()));
    assert_eq!(id(&longest).as_str(), longest);
    assert_eq!(
        format!("{longest}a").parse::<SpiffeId>(),
        Err(SpiffeIdError::TooLong { len: 2049 })
    );
    assert_eq!(
        format!("{longest}*").parse::<IdPattern>(),
        Err(IdPatternError::SpiffeId(SpiffeIdError::TooLong {
            len: 2049
        }))
    );
}

#[test]
fn accepts_trust_domains_of_255_bytes_and_no_more() {
    let longest = "a".repeat(255);
    assert_eq!(longest.parse::<TrustDomain>().unwrap().as_str(), longest);
    let error = SpiffeIdError::TrustDomainTooLong { len: 256 };
    assert_eq!(format!("{longest}a").parse::<TrustDomain>(), Err(error));
}

#[test]
fn rejects_trust_domains_written_as_uris() {
    assert_eq!(
        "spiffe://example.org".parse::<TrustDomain>(),
        Err(character_in_domain(':', 6))
    );
    assert_eq!("".parse::<TrustDomain>(), Err(SpiffeIdError::NoTrustDomain));
}

#[test]
fn exact_pattern_matches_its_id_only() {
    let exact = pattern("spiffe://example.org/agent/a");
    assert!(exact.matches(&id("spiffe://example.org/agent/a")));
    for other in [
        "spiffe://example.org",
        "spiffe://example.org/agent",
        "spiffe://example.org/agent/A",
        "spiffe://example.org/agent/ab",
        "spiffe://example.org/agent/a/b",
        "spiffe://example.org/b/agent/a",
        "spiffe://example.com/agent/a",
        "spiffe://sub.example.org/agent/a",
    ] {
        assert!(!exact.matches(&id(other)), "{other}");
    }
}

#[test]
fn star_stands_for_exactly_one_segment() {
    let star = pattern("spiffe://example.org/agent/*/tool");
    assert!(star.matches(&id("spiffe://example.org/agent/a/tool")));
    assert!(!star.matches(&id("spiffe://example.org/agent/tool")));
    assert!(!star.matches(&id("spiffe://example.org/agent/a/b/tool")));
    assert!(!star.matches(&id("spiffe://example.org/agent/a/tool/b")));
}

#[test]
fn double_star_stands_for_one_segment_or_more() {
    let all = pattern("spiffe://example.org/agent/**");
    assert!(all.matches(&id("spiffe://example.org/agent/a")));
    assert!(all.matches(&id("spiffe://example.org/agent/a/b/c")));
    assert!(!all.matches(&id("spiffe://example.org/agent")));
    assert!(!all.matches(&id("spiffe://example.org/agents/a")));

    let domain = pattern("spiffe://example.org/**");
    assert!(domain.matches(&id("spiffe://example.org/a")));
    assert!(!domain.matches(&id("spiffe://example.org")));
    assert!(!domain.matches(&id("spiffe://example.org.evil.example/a")));
}

#[test]
fn rejects_what_is_not_a_pattern() {
    use IdPatternError as E;
    let bad = [
        ("spiffe://example.org", E::NoPath),
        ("spiffe://*/agent", E::TrustDomainWildcard),
        ("spiffe://*.example.org/agent", E::TrustDomainWildcard),
        (
            "spiffe://example.org/agent-*",
            E::PartialWildcard { at: 21 },
        ),
        ("spiffe://example.org/a/***", E::PartialWildcard { at: 23 }),
        ("spiffe://example.org/**/a", E::DoubleStarNotLast),
        ("spiffe://example.org/**/**", E::DoubleStarNotLast),
        ("spiffe://example.org/**/", E::DoubleStarNotLast),
        (
            "spiffe://example.org/a/",
            SpiffeIdError::EmptySegment { at: 23 }.into(),
        ),
        ("spiffe://example.org/a?", character_in_path('?', 22).into()),
        ("**", SpiffeIdError::Scheme.into()),
    ];
    for (text, error) in bad {
        assert_eq!(text.parse::<IdPattern>(), Err(error), "{text:?}");
    }
}

#[test]
fn empty_allow_list_allows_nobody() {
    let nobody = AllowList::default();
    assert!(nobody.is_empty());
    assert!(!nobody.allows(&id("spiffe://example.org/agent")));
    assert_eq!(nobody.to_string(), "");
}

#[test]
fn allow_list_allows_what_one_pattern_matches() {
    let list = AllowList::from(vec![
        pattern("spiffe://example.org/a"),
        pattern("spiffe://example.com/*"),
    ]);
    assert!(!list.is_empty());
    assert!(list.allows(&id("spiffe://example.org/a")));
    assert!(list.allows(&id("spiffe://example.com/b")));
    assert!(!list.allows(&id("spiffe://example.org/b")));
    assert_eq!(list.patterns().len(), 2);
    assert_eq!(
        list.to_string(),
        "spiffe://example.org/a, spiffe://example.com/*"
    );
}

#[test]
fn configuration_reads_all_three_and_says_what_it_accepts() {
    #[derive(Deserialize)]
    struct Written {
        domain: TrustDomain,
        peer: SpiffeId,
        allow: IdPattern,
    }
    let good = r#"{"domain":"example.org","peer":"spiffe://example.org/a","allow":"spiffe://example.org/*"}"#;
    let written: Written = serde_json::from_str(good).unwrap();
    assert_eq!(written.domain.as_str(), "example.org");
    assert!(written.allow.matches(&written.peer));

    let error = serde_json::from_str::<SpiffeId>(r#""spiffe://Example.org/a""#).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("'E' at byte 9"), "{message}");
    assert!(message.contains("no upper case"), "{message}");
}

fn segment() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9._-]{1,12}".prop_filter("relative segment", |s| s != "." && s != "..")
}

fn valid_id() -> impl Strategy<Value = String> {
    ("[a-z0-9._-]{1,24}", prop::collection::vec(segment(), 1..6))
        .prop_map(|(domain, path)| format!("spiffe://{domain}/{}", path.join("/")))
}

fn valid_pattern() -> impl Strategy<Value = String> {
    let part = prop_oneof![segment(), Just("*".to_owned())];
    (
        "[a-z0-9._-]{1,24}",
        prop::collection::vec(part, 1..6),
        prop::option::of(Just("/**")),
    )
        .prop_map(|(domain, path, tail)| {
            format!("spiffe://{domain}/{}{}", path.join("/"), tail.unwrap_or(""))
        })
}

proptest! {
    #[test]
    fn every_valid_id_reads_back_as_written(uri in valid_id()) {
        let id: SpiffeId = uri.parse().unwrap();
        prop_assert_eq!(id.to_string(), uri.as_str());
        prop_assert_eq!(format!("spiffe://{}{}", id.trust_domain(), id.path()), uri.as_str());
        prop_assert!(uri.parse::<IdPattern>().unwrap().matches(&id));
    }

    #[test]
    fn every_valid_pattern_reads_back_as_written(text in valid_pattern()) {
        let pattern: IdPattern = text.parse().unwrap();
        prop_assert_eq!(pattern.to_string(), text.as_str());
        // With each wildcard filled in, the pattern is an ID that it matches.
        let filled = text.replace("**", "x/y").replace('*', "z");
        prop_assert!(pattern.matches(&filled.parse().unwrap()));
    }

    #[test]
    fn garbage_is_refused_or_kept_as_it_is(text in ".{0,60}") {
        for text in [text.clone(), format!("spiffe://{text}"), format!("spiffe://a/{text}")] {
            if let Ok(id) = text.parse::<SpiffeId>() {
                prop_assert_eq!(id.as_str(), text.as_str());
                prop_assert!(text.is_ascii());
            }
            if let Ok(pattern) = text.parse::<IdPattern>() {
                prop_assert_eq!(pattern.as_str(), text.as_str());
            }
            if let Ok(domain) = text.parse::<TrustDomain>() {
                prop_assert_eq!(domain.as_str(), text.as_str());
            }
        }
    }
}
