use super::*;
use crate::config::Config;

const LISTENER: &str = "identity = { svid = \"a\", key = \"b\" }\ntrust = { \"example.org\" = \"c\" }\n\
                        [[outbound]]\nlisten = \"127.0.0.1:1\"\nconnect = \"peer:1\"\n\
                        peers = [\"spiffe://example.org/peer\"]\n";

/// Whether the reader takes a file with this limit.
fn is_usable(field: &str, value: u64) -> bool {
    let text = format!("{LISTENER}[limits]\n{field} = {value}\n");
    Config::from_text(&text, "lane.toml".as_ref()).is_ok()
}

#[test]
fn limits_are_bounded_and_preset_as_the_reader_has_them() {
    let schema = schema();
    let fields = schema["$defs"]["Limits"]["properties"].as_object().unwrap();
    assert!(fields.len() > 20, "{fields:?}");
    for (field, about) in fields {
        let least = about["minimum"].as_u64().unwrap();
        assert!(is_usable(field, least), "{field} = {least}");
        assert!(least == 0 || !is_usable(field, least - 1), "{field}");
        let preset = about["default"].as_u64().unwrap();
        assert!(is_usable(field, preset), "{field} = {preset}");
    }
}

#[test]
fn every_field_says_what_it_means() {
    let schema = schema();
    let tables = schema["$defs"].as_object().unwrap().values();
    let mut fields = 0;
    for table in tables.chain([&schema]) {
        let Some(properties) = table.get("properties") else {
            continue;
        };
        assert_eq!(table["additionalProperties"], false, "{table:#}");
        for (name, about) in properties.as_object().unwrap() {
            fields += 1;
            assert!(about["description"].is_string(), "{name}: {about:#}");
            let known = ["type", "$ref"].iter().any(|key| about.get(key).is_some());
            assert!(known, "{name}: {about:#}");
        }
    }
    assert!(fields > 60, "{fields}");
    assert!(!schema.to_string().contains("null"), "TOML has no null");
}

#[test]
fn names_of_groups_are_those_that_a_policy_may_have() {
    let schema = schema();
    for name in schema["$defs"]["KxGroup"]["enum"].as_array().unwrap() {
        let usable = ["require-hybrid", "cnsa"].map(|policy| {
            let tls = format!("[tls]\nkx_policy = \"{policy}\"\nkx_groups = [{name}]\n");
            Config::from_text(&format!("{LISTENER}{tls}"), "lane.toml".as_ref()).is_ok()
        });
        assert!(usable.contains(&true), "{name}");
    }
}
