//! The JSON Schema of stepgate.yaml says what its loader says.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::{Config, SCHEMA};

/// Where the schema has each mapping, and a file with an unknown key in it there.
const FILES: [(&str, &str); 18] = [
    ("", "qqqqqqqqq: 1"),
    ("/$defs/console", "console: {qqqqqqqqq: 1}"),
    ("/$defs/metrics", "metrics: {qqqqqqqqq: 1}"),
    ("/$defs/keys", "keys: {qqqqqqqqq: 1}"),
    ("/$defs/tls", "tls: {qqqqqqqqq: 1}"),
    ("/$defs/database", "databases: {shop: {qqqqqqqqq: 1}}"),
    ("/$defs/role", "databases: {shop: {users: [{qqqqqqqqq: 1}]}}"),
    ("/$defs/policies", "policies: {qqqqqqqqq: 1}"),
    ("/$defs/audit", "audit: {qqqqqqqqq: 1}"),
    ("/$defs/retention", "audit: {retention: {qqqqqqqqq: 1}}"),
    ("/$defs/factors", "factors: {qqqqqqqqq: 1}"),
    ("/$defs/oidc", "oidc: {qqqqqqqqq: 1, acr: {}}"),
    ("/$defs/limits", "limits: {qqqqqqqqq: 1}"),
    ("/$defs/ldap", "ldap: {qqqqqqqqq: 1}"),
    ("/$defs/ldap_people", "ldap: {people: {qqqqqqqqq: 1}}"),
    ("/$defs/ldap_groups", "ldap: {groups: {qqqqqqqqq: 1}}"),
    ("/$defs/break_glass", "break_glass: {qqqqqqqqq: 1}"),
    ("/$defs/approvers/anyOf/1", "policies: {two_person: {qqqqqqqqq: 1}}"),
];

#[test]
fn every_key_that_the_loader_knows_is_in_the_schema_and_none_besides() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    for (pointer, text) in FILES {
        let text = format!("version: 1\n{text}\n");
        let said = Config::parse(Path::new("stepgate.yaml"), &text).unwrap_err().to_string();
        let mut lines =
            said.lines().skip_while(|line| !line.contains("unknown key") || !line.contains("qqqqqqqqq"));
        let known = lines.find_map(|line| line.trim().strip_prefix("help: known here: "));
        let known: BTreeSet<&str> = known.unwrap_or_else(|| panic!("{said}")).split(", ").collect();
        let there = schema.pointer(pointer).unwrap();
        assert_eq!(there["additionalProperties"], false, "{pointer}");
        let keys: BTreeSet<&str> =
            there["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, known, "{pointer}");
    }
}
