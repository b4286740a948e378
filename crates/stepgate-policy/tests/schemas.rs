//! The JSON Schemas for editors say what the loaders say.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod common;
#[path = "common/json_schema.rs"]
mod json_schema;

use std::collections::BTreeSet;

use common::{APPROVALS, MAP};
use serde_json::Value;
use stepgate_policy::{Errors, MAP_SCHEMA, Map, POLICY_SCHEMA, Ruleset};

const SAMPLE_MAP: &str = include_str!("../../../policies/pii-map.yaml");
const SAMPLE_POLICY: &str = include_str!("../../../policies/policy.yaml");

/// A key that nothing is like.
const UNKNOWN: &str = "qqqqqqqqq";

/// Where the schema has each mapping of the policy, and a policy with an unknown key in it there.
const POLICIES: [(&str, &str); 22] = [
    ("", "qqqqqqqqq: 1"),
    ("/properties/defaults", "defaults: {qqqqqqqqq: 1}"),
    ("/$defs/approval", "approvals: {a: {qqqqqqqqq: 1, self: true}}"),
    (
        "/$defs/approval/properties/remember",
        "approvals: {a: {self: true, remember: {qqqqqqqqq: 1, for: 1m}}}",
    ),
    ("/$defs/approval/properties/escalate", "approvals: {a: {groups: [b], escalate: {qqqqqqqqq: 1}}}"),
    ("/properties/budget", "budget: {qqqqqqqqq: 1}"),
    ("/$defs/rule", "rules: [{qqqqqqqqq: 1}]"),
    ("/$defs/match", "rules: [{match: {qqqqqqqqq: 1}}]"),
    ("/$defs/predicate", "rules: [{match: {predicate: {qqqqqqqqq: 1}}}]"),
    ("/$defs/time", "rules: [{match: {time: {qqqqqqqqq: 1}}}]"),
    ("/$defs/limit", "rules: [{action: allow, limit: {qqqqqqqqq: 1}}]"),
    ("/$defs/risk", "risk: {qqqqqqqqq: 1}"),
    (
        "/$defs/risk/properties/impossible_travel",
        "risk: {signals: {velocity: 1}, impossible_travel: {qqqqqqqqq: 1}}",
    ),
    ("/$defs/risk/properties/unusual_hour", "risk: {signals: {velocity: 1}, unusual_hour: {qqqqqqqqq: 1}}"),
    ("/$defs/risk/properties/volume", "risk: {signals: {velocity: 1}, volume: {qqqqqqqqq: 1}}"),
    (
        "/$defs/risk/properties/dormant_account",
        "risk: {signals: {velocity: 1}, dormant_account: {qqqqqqqqq: 1}}",
    ),
    (
        "/$defs/risk/properties/failed_factors",
        "risk: {signals: {velocity: 1}, failed_factors: {qqqqqqqqq: 1}}",
    ),
    ("/$defs/risk/properties/new_factor", "risk: {signals: {velocity: 1}, new_factor: {qqqqqqqqq: 1}}"),
    ("/$defs/risk/properties/far_sessions", "risk: {signals: {velocity: 1}, far_sessions: {qqqqqqqqq: 1}}"),
    (
        "/$defs/risk/properties/interactive_service",
        "risk: {signals: {velocity: 1}, interactive_service: {qqqqqqqqq: 1}}",
    ),
    ("/$defs/test", "tests: [{qqqqqqqqq: 1}]"),
    ("/$defs/past", "tests: [{history: [{qqqqqqqqq: 1}]}]"),
];

const MAPS: [(&str, &str); 4] = [
    ("", "qqqqqqqqq: 1"),
    ("/$defs/label", "labels: {a: {qqqqqqqqq: 1}}"),
    ("/$defs/table", "databases: {a: {public.b: {qqqqqqqqq: 1}}}"),
    ("/properties/unknown", "unknown: {qqqqqqqqq: 1}"),
];

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

fn check(schema: &Value, text: &str) -> Vec<String> {
    json_schema::errors(schema, schema, &yaml(text), "")
}

/// The keys that the loader knows there, as its message tells them.
fn known(errors: &Errors) -> BTreeSet<String> {
    let error = errors.iter().find(|error| error.message.contains(&format!("`{UNKNOWN}`")));
    let error = error.unwrap_or_else(|| panic!("{errors}"));
    let help = error.help.as_deref().unwrap_or_else(|| panic!("{error}"));
    help.strip_prefix("known here: ").unwrap().split(", ").map(str::to_owned).collect()
}

fn keys(schema: &Value, pointer: &str) -> BTreeSet<String> {
    let at = schema.pointer(pointer).unwrap_or_else(|| panic!("{pointer}"));
    assert_eq!(at["additionalProperties"], false, "{pointer}");
    at["properties"].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn every_key_that_the_policys_loader_knows_is_in_its_schema_and_none_besides() {
    let schema = json(POLICY_SCHEMA);
    for (pointer, text) in POLICIES {
        let text = format!("version: 1\n{text}\n");
        let errors = Ruleset::load(("m", MAP), ("p", &text)).map(|_| ()).unwrap_err();
        assert_eq!(keys(&schema, pointer), known(&errors), "{pointer}");
    }
    // Each mapping with keys of its own is among them, or is one of a kind with another.
    let same = ["/$defs/nested", "/$defs/risk/properties/many_denials", "/$defs/risk/properties/signals"];
    let mut closed = Vec::new();
    closed_mappings(&schema, "", &mut closed);
    let probed: BTreeSet<_> = POLICIES.iter().map(|(pointer, _)| *pointer).chain(same).collect();
    assert_eq!(closed.iter().map(String::as_str).collect::<BTreeSet<_>>(), probed);
}

#[test]
fn every_key_that_the_maps_loader_knows_is_in_its_schema_and_none_besides() {
    let schema = json(MAP_SCHEMA);
    for (pointer, text) in MAPS {
        let errors = Map::load("m", &format!("version: 1\n{text}\n")).map(|_| ()).unwrap_err();
        assert_eq!(keys(&schema, pointer), known(&errors), "{pointer}");
    }
    let mut closed = Vec::new();
    closed_mappings(&schema, "", &mut closed);
    assert_eq!(
        closed.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        MAPS.iter().map(|(pointer, _)| *pointer).collect()
    );
}

fn closed_mappings(value: &Value, at: &str, found: &mut Vec<String>) {
    if value.get("additionalProperties") == Some(&Value::Bool(false)) {
        found.push(at.to_owned());
    }
    match value {
        Value::Object(entries) => {
            for (name, value) in entries {
                closed_mappings(value, &format!("{at}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                closed_mappings(value, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn what_loads_is_valid_by_the_schemas() {
    let (map, policy) = (json(MAP_SCHEMA), json(POLICY_SCHEMA));
    for text in [MAP, SAMPLE_MAP] {
        assert_eq!(check(&map, text), Vec::<String>::new());
    }
    let all = include_str!("wrong/right.yaml");
    for text in [APPROVALS, SAMPLE_POLICY, all] {
        assert!(Ruleset::load(("m", SAMPLE_MAP), ("p", text)).is_ok() || text == APPROVALS);
        assert_eq!(check(&policy, text), Vec::<String>::new());
    }
}

#[test]
fn what_does_not_load_for_its_types_is_not_valid_either() {
    let policy = json(POLICY_SCHEMA);
    for text in [
        "mode: monitr",
        "version: 2",
        "rules: {}",
        "rules: [{name: a, match: {}, action: mask}]",
        "rules: [{name: a, match: {kind: selct}, action: deny}]",
        "rules: [{name: a, match: {any: []}, action: deny}]",
        "rules: [{name: a, match: {any: [{delivered_rows: \">5\"}]}, action: deny}]",
        "rules: [{name: a, match: {bulk: 5}, action: deny}]",
        "rules: [{name: a, match: {signal: new_cleint}, action: deny}]",
        "risk: {signals: {new_client: 101}}",
        "risk: {signals: {new_cleint: 10}}",
        "tests: [{as: dana, sql: select 1}]",
    ] {
        let text = if text.contains("version") { text.to_owned() } else { format!("version: 1\n{text}\n") };
        assert!(!check(&policy, &text).is_empty(), "{text}");
        assert!(Ruleset::load(("m", MAP), ("p", &text)).is_err(), "{text}");
    }
}
