//! What conditions hold of.

mod common;

use common::{MAP, With, dana, decide, facts, rules, ruleset};
use stepgate_policy::Bound;
use stepgate_sql::{Doubt, Facts, NoValues};
use stepgate_types::{Action, Estimator, Kind, Use};

const SSN: &str = "public.customers.ssn";
const EMAIL: &str = "public.customers.email";

fn read(name: &str) -> Facts {
    facts().touches(name, &[Use::Output])
}

fn unreadable() -> Facts {
    facts().kind(Kind::Unknown).doubting(Doubt::Statement).rows(None)
}

/// Whether a rule with this `match` fires.
fn fires(condition: &str, facts: Facts) -> bool {
    let ruleset = rules(&format!("  - {{name: probe, action: monitor, match: {condition}}}\n"));
    decide(&ruleset, facts).rules.iter().any(|rule| rule == "probe")
}

#[test]
fn each_condition_fires_where_it_holds_and_only_there() {
    let customers = || facts().reaches("public.customers");
    let cases: Vec<(&str, Facts, bool)> = vec![
        ("{}", facts(), true),
        ("{class: restricted}", read(SSN), true),
        ("{class: restricted}", read(EMAIL), false),
        ("{class: confidential}", read(SSN), false),
        ("{class: \">=confidential\"}", read(SSN), true),
        ("{class: \">=confidential\"}", read("public.customers.id"), false),
        ("{class: confidential}", read("hr.employees.title"), true),
        ("{class: \">=internal\"}", read("public.products.price"), false),
        ("{labels: [ssn]}", read(SSN), true),
        ("{labels: ssn}", read("hr.employees.ssn"), true),
        ("{labels: [ssn]}", read(EMAIL), false),
        ("{labels: [ssn, email]}", read(EMAIL), true),
        ("{labels: [ssn], tables: [hr.employees]}", read(SSN), false),
        // Both hold, but not of the same column.
        (
            "{labels: [ssn], tables: [hr.employees]}",
            read(SSN).touches("hr.employees.title", &[Use::Output]),
            false,
        ),
        ("{tables: [public.customers]}", customers(), true),
        ("{tables: [public.customers]}", facts().reaches("public.products"), false),
        ("{tables: [public.customers], use: [output]}", customers(), false),
        ("{columns: [public.customers.ssn]}", read(SSN), true),
        ("{columns: [public.customers.ssn]}", read("hr.employees.ssn"), false),
        ("{columns: [hr.employees.title]}", read("hr.employees.title"), true),
        ("{columns: [public.customers.ssn]}", facts().touches(SSN, &[Use::Write]), true),
        ("{class: restricted}", facts().touches(SSN, &[Use::Write]), false),
        ("{labels: [ssn]}", facts().touches(SSN, &[Use::Write]), false),
        ("{labels: [ssn]}", facts().touches(SSN, &[Use::Write, Use::Predicate]), true),
        ("{labels: [ssn]}", facts().touches(SSN, &[Use::Hidden]), true),
        ("{labels: [ssn], use: [write]}", facts().touches(SSN, &[Use::Write]), true),
        ("{labels: [ssn], use: [write]}", read(SSN), false),
        ("{labels: [ssn], use: [predicate, ordering]}", facts().touches(SSN, &[Use::Ordering]), true),
        ("{use: predicate}", facts().touches("public.products.id", &[Use::Predicate]), true),
        ("{kind: [copy-out]}", facts().kind(Kind::CopyOut), true),
        ("{kind: [copy-out, cursor]}", facts(), false),
        ("{bulk: true}", facts().bulk(), true),
        ("{bulk: true}", facts(), false),
        ("{bulk: false}", facts().bulk(), false),
        ("{bulk: false}", facts(), true),
        ("{sink: true}", facts().sink(), true),
        ("{sink: true}", facts(), false),
        ("{estimate_rows: \">10\"}", facts().rows(Some(10)), false),
        ("{estimate_rows: \">10\"}", facts().rows(Some(11)), true),
        ("{estimate_rows: \">=10\"}", facts().rows(Some(10)), true),
        ("{certainty: over}", facts().doubting(Doubt::Nothing), true),
        ("{certainty: [exact, over]}", facts().doubting(Doubt::Function), false),
        ("{certainty: unknown}", facts().doubting(Doubt::Function), true),
        ("{as: [dana]}", facts(), true),
        ("{person: omar}", facts(), false),
        ("{groups: [analysts, dba]}", facts(), true),
        ("{groups: [dba]}", facts(), false),
        ("{database: shop}", facts(), true),
        ("{database: [crm]}", facts(), false),
        ("{client: [psql]}", facts(), true),
        ("{client: [PSQL]}", facts(), false),
        ("{network: [10.0.0.0/8]}", facts(), true),
        ("{network: 10.1.2.3}", facts(), true),
        ("{network: [192.168.0.0/16, \"::/0\"]}", facts(), false),
        ("{any: [{labels: [ssn]}, {bulk: true}]}", facts().bulk(), true),
        ("{any: [{labels: [ssn]}, {bulk: true}]}", facts(), false),
        ("{all: [{labels: [ssn]}, {labels: [email]}]}", read(SSN), false),
        ("{all: [{labels: [ssn]}, {labels: [email]}]}", read(SSN).touches(EMAIL, &[Use::Ordering]), true),
        ("{not: {groups: [dba]}}", facts(), true),
        ("{not: {groups: [analysts]}}", facts(), false),
        ("{class: restricted, not: {use: [output]}}", facts().touches(SSN, &[Use::Predicate]), true),
        ("{kind: select, groups: [dba]}", facts(), false),
    ];
    for (condition, facts, expected) in cases {
        assert_eq!(fires(condition, facts.clone()), expected, "{condition} {facts:?}");
    }
}

#[test]
fn a_peer_on_a_dual_stack_listener_is_on_its_ipv4_network() {
    let ruleset = rules("  - {name: away, action: deny, match: {not: {network: [10.0.0.0/8]}}}\n");
    let mut who = dana();
    who.address = "::ffff:10.1.2.3".parse().unwrap();
    assert_eq!(ruleset.decide(&who, &Bound::default(), &[facts()]).action, Action::Allow);
}

#[test]
fn a_network_of_ipv4_that_is_written_as_ipv6_has_it_holds_its_peers() {
    for (network, holds) in [
        ("::ffff:10.0.0.0/104", true),
        ("::ffff:10.1.2.3", true),
        ("::ffff:0:0/96", true),
        ("::ffff:192.168.0.0/112", false),
    ] {
        let rule = format!("  - {{name: away, action: deny, match: {{network: [\"{network}\"]}}}}\n");
        let mut who = dana();
        for address in ["10.1.2.3", "::ffff:10.1.2.3"] {
            who.address = address.parse().unwrap();
            let action = rules(&rule).decide(&who, &Bound::default(), &[facts()]).action;
            assert_eq!(action == Action::Deny, holds, "{network} {address}");
        }
    }
}

#[test]
fn an_unreadable_statement_matches_whatever_it_could_touch() {
    for condition in [
        "{class: restricted}",
        "{class: confidential}",
        "{labels: [ssn]}",
        "{tables: [public.customers]}",
        "{columns: [public.customers.ssn]}",
        "{labels: [ssn], use: [predicate]}",
        "{kind: [copy-out]}",
        "{bulk: true}",
        "{sink: true}",
        "{estimate_rows: \">1000000\"}",
    ] {
        assert!(fires(condition, unreadable()), "{condition}");
        assert!(fires(&format!("{{groups: [analysts], all: [{condition}]}}"), unreadable()), "{condition}");
        assert!(!fires(&format!("{{groups: [dba], all: [{condition}]}}"), unreadable()), "{condition}");
    }
}

#[test]
fn not_around_a_label_does_not_let_an_unreadable_statement_pass() {
    for condition in [
        "{not: {labels: [ssn]}}",
        "{not: {class: restricted}}",
        "{not: {tables: [public.products]}}",
        "{not: {not: {labels: [ssn]}}}",
        "{not: {any: [{labels: [ssn]}, {bulk: true}]}}",
        "{not: {all: [{labels: [ssn]}, {groups: [analysts]}]}}",
        "{not: {kind: [select]}}",
        "{not: {bulk: true}}",
        "{bulk: false}",
        "{not: {sink: true}}",
        "{not: {estimate_rows: \">10\"}}",
    ] {
        assert!(fires(condition, unreadable()), "{condition}");
    }
    // What is known stays known: the person does not become doubtful with the statement.
    assert!(!fires("{not: {groups: [analysts]}}", unreadable()));
    assert!(!fires("{not: {any: [{labels: [ssn]}, {groups: [analysts]}]}}", unreadable()));
}

#[test]
fn a_function_that_cannot_be_known_may_return_a_table_in_one_row() {
    let call = facts().doubting(Doubt::Function).rows(Some(1));
    assert!(fires("{estimate_rows: \">10000\"}", call.clone()));
    assert!(fires("{bulk: true}", call.clone()));
    // Its kind, though, can be read.
    assert!(!fires("{kind: [copy-out]}", call));
}

#[test]
fn an_unknown_estimate_reaches_every_threshold() {
    assert!(fires("{estimate_rows: \">1000000\"}", read(SSN).rows(None)));
    assert!(!fires("{estimate_rows: \">1\"}", facts().kind(Kind::Transaction).rows(None)));
}

#[test]
fn an_estimate_is_worth_asking_for_where_a_rule_hangs_on_it() {
    const MORE: &str = "{estimate_rows: \">10\"}";
    const APPROVE: &str = "approve, approval: owners";
    let hangs = |default: &str, rules: &[(&str, &str)], facts: &Facts| {
        let lines = rules.iter().enumerate();
        let lines = lines.map(|(at, (condition, action))| {
            format!("  - {{name: r{at}, match: {condition}, action: {action}}}\n")
        });
        let ruleset = ruleset(
            MAP,
            &format!(
                "version: 1\ndefaults: {{action: {default}}}\n\
                 approvals: {{self: {{self: true}}, owners: {{groups: [data-owners]}}}}\nrules:\n{}",
                lines.collect::<String>()
            ),
        );
        assert!(!ruleset.hangs_on_estimate(&dana(), &Bound::default(), &unreadable(), &NoValues));
        ruleset.hangs_on_estimate(&dana(), &Bound::default(), facts, &NoValues)
    };
    let (some, not) = (read(SSN).rows(Some(11)), format!("{{not: {MORE}}}"));
    let within = format!("{{any: [{{bulk: true}}, {{all: [{MORE}]}}]}}");
    let of_copies = "{kind: [copy-out], estimate_rows: \">10\"}";
    for rules in [
        &[(MORE, APPROVE)] as &[_],
        &[(MORE, "step-up, approval: self")],
        &[(&not, APPROVE)],
        &[(&within, APPROVE)],
        &[("{labels: [ssn]}", APPROVE), (MORE, "deny")],
        &[("{labels: [ssn]}", "step-up, approval: self"), (MORE, APPROVE)],
    ] {
        assert!(hangs("allow", rules, &some), "{rules:?}");
    }
    assert!(hangs("allow", &[(MORE, APPROVE)], &read(SSN).rows(None)));
    for rules in [
        &[(MORE, "monitor")] as &[_],
        &[(of_copies, "deny")],
        &[("{labels: [ssn]}", APPROVE)],
        &[("{labels: [ssn]}", "deny"), (MORE, APPROVE)],
        &[("{labels: [ssn]}", APPROVE), (MORE, "step-up, approval: self")],
        &[("{estimate_rows: \">11\"}", "deny")],
    ] {
        assert!(!hangs("allow", rules, &some), "{rules:?}");
    }
    // An allowance under a standing denial may hang on it too.
    assert!(hangs("deny", &[(&not, "allow")], &some));
}

#[test]
fn of_the_planners_estimate_only_the_size_is_shown() {
    let rules = ruleset(MAP, "version: 1\napprovals: {self: {self: true}}\nrules: []\n");
    for (planned, shown) in
        [(0, 1), (1, 1), (2, 10), (10, 10), (11, 100), (999, 1000), (1000, 1000), (1001, 10_000)]
    {
        let decision = decide(&rules, read(SSN).rows(Some(18_200)).planned(planned));
        assert_eq!(
            (decision.estimate, decision.estimated_by),
            (Some(shown), Estimator::Planner),
            "{planned}"
        );
    }
    // A bound that somebody typed is a literal, though it takes no planner to know it.
    for (typed, shown) in [(0, 1), (1, 1), (50, 100), (7_770_001_239, 10_000_000_000)] {
        let facts = Facts { estimated_by: Estimator::Statement, ..read(SSN).rows(Some(typed)) };
        let decision = decide(&rules, facts);
        assert_eq!((decision.estimate, decision.estimated_by), (Some(shown), Estimator::Statement));
    }
    // Nor does it stand beside a number that is none.
    let unknown = Facts { estimated_by: Estimator::Statement, ..read(SSN).rows(None) };
    assert_eq!(decide(&rules, unknown).estimated_by, Estimator::Catalog);
    // The catalog's bound is nobody's secret.
    for facts in [read(SSN).rows(Some(18_200)), read(SSN).rows(Some(18_200)).planned(20_000)] {
        let decision = decide(&rules, facts);
        assert_eq!((decision.estimate, decision.estimated_by), (Some(18_200), Estimator::Catalog));
    }
}
