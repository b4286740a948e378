//! A policy of a hundred rules of all sorts, over a map of fifty tables.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests and benchmarks"
)]

use std::fmt::Write as _;

use stepgate_policy::Ruleset;

use crate::common::ruleset;

/// The map: `app.t0` to `app.t49`, each with a label of its own class in turn.
pub(crate) fn map() -> String {
    let mut map = "version: 1\nlabels:\n".to_owned();
    for label in 0..20 {
        let class = ["internal", "confidential", "restricted"][label % 3];
        writeln!(map, "  label-{label}: {{class: {class}}}").unwrap();
    }
    map.push_str("databases:\n  shop:\n");
    for table in 0..50 {
        let (one, two) = (table % 20, (table + 7) % 20);
        writeln!(map, "    app.t{table}: {{columns: {{a: label-{one}, b: label-{two}}}}}").unwrap();
    }
    map
}

/// The policy: labels, classes, tables, columns, predicates, hours, risk, people.
pub(crate) fn policy() -> String {
    let mut policy = "version: 1\napprovals: {self: {self: true}, owners: {groups: [data-owners]}}\n\
                      risk: {signals: {new_network: 30, new_client: 15, unusual_hour: 20}}\nrules:\n"
        .to_owned();
    for rule in 0..100 {
        let (label, table) = (rule % 20, rule % 50);
        let matches = match rule % 10 {
            0 => format!("labels: [label-{label}, label-{}]", (label + 3) % 20),
            1 => "class: \">=restricted\", kind: [copy-out]".to_owned(),
            2 => format!("tables: [app.t{table}], bulk: true"),
            3 => format!("columns: [app.t{table}.a], estimate_rows: \">10000\""),
            4 => format!("predicate: {{column: app.t{table}.a, op: \">\", value: 30000}}"),
            5 => format!("labels: [label-{label}], time: {{outside: \"07:00-20:00\", tz: Europe/Berlin}}"),
            6 => format!("labels: [label-{label}], any: [{{estimate_rows: \">1000\"}}, {{risk: \">=40\"}}]"),
            7 => format!("groups: [group-{rule}], class: \">=confidential\""),
            8 => format!("client: [\"tool-{rule}*\"], sink: true"),
            _ => format!("as: [person-{rule}], network: [192.168.{rule}.0/24]"),
        };
        writeln!(policy, "  - {{name: r{rule}, match: {{{matches}}}, action: step-up, approval: self}}")
            .unwrap();
    }
    policy
}

/// Both.
pub(crate) fn hundred() -> Ruleset {
    ruleset(&map(), &policy())
}
