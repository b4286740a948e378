//! What rules decide.

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::{APPROVALS, MAP, With, dana, decide, facts, relation, rules, ruleset};
use stepgate_policy::{Alarm, Bound, Circumstances, Columns, InTransaction, Missing, ScopePart};
use stepgate_sql::{Doubt, Facts, NoValues};
use stepgate_types::{Action, Estimator, Kind, Label, RelationName, Strength, Use};

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
    // The catalog's bound is nobody's secret.
    for facts in [read(SSN).rows(Some(18_200)), read(SSN).rows(Some(18_200)).planned(20_000)] {
        let decision = decide(&rules, facts);
        assert_eq!((decision.estimate, decision.estimated_by), (Some(18_200), Estimator::Catalog));
    }
}

#[test]
fn each_doubt_takes_the_action_that_the_map_gives_it() {
    let ruleset = rules("  []\n");
    for (doubt, action, rule) in [
        (Doubt::Function, Action::StepUp, "unknown.functions"),
        (Doubt::DynamicSql, Action::Deny, "unknown.dynamic_sql"),
        (Doubt::Statement, Action::StepUp, "unknown.statements"),
    ] {
        let decision = decide(&ruleset, facts().doubting(doubt));
        assert_eq!((decision.action, decision.rules.as_slice()), (action, &[rule.to_owned()][..]));
        assert!(decision.risky);
        assert_eq!(decision.class.unwrap().name, "restricted");
        assert_eq!(
            decision.approval.map(|approval| approval.name),
            (action == Action::StepUp).then(|| "self".into())
        );
    }
    let map = format!("{MAP}unknown: {{functions: allow, dynamic_sql: monitor, statements: approve}}\n");
    let ruleset = common::ruleset(&map, APPROVALS);
    for (doubt, action, approval) in [
        (Doubt::Function, Action::Allow, None),
        (Doubt::DynamicSql, Action::Monitor, None),
        (Doubt::Statement, Action::Approve, Some("owners".to_owned())),
    ] {
        let decision = decide(&ruleset, facts().doubting(doubt));
        assert_eq!((decision.action, decision.approval.map(|approval| approval.name)), (action, approval));
        assert!(decision.risky, "allowed or not, it is flagged");
    }
}

#[test]
fn unknown_without_a_reason_counts_as_an_unreadable_statement() {
    let ruleset = rules("  []\n");
    let mut nameless = facts();
    nameless.certainty = stepgate_types::Certainty::Unknown;
    for facts in [nameless, facts().kind(Kind::Unknown)] {
        let decision = decide(&ruleset, facts);
        assert_eq!((decision.action, decision.risky), (Action::StepUp, true));
        assert_eq!(decision.rules, ["unknown.statements"]);
    }
}

#[test]
fn the_most_severe_rule_wins_in_whatever_order_they_stand() {
    let list = [
        "  - {name: watch, match: {labels: [ssn]}, action: monitor}\n",
        "  - {name: fine, match: {groups: [analysts]}, action: allow}\n",
        "  - {name: verify, match: {class: restricted}, action: step-up, approval: self}\n",
        "  - {name: ask, match: {labels: [ssn], use: [ordering]}, action: approve, approval: owners}\n",
    ];
    for turn in 0..list.len() {
        let mut list = list;
        list.rotate_left(turn);
        let ruleset = rules(&list.concat());
        let decision = decide(&ruleset, read(SSN));
        assert_eq!(decision.action, Action::StepUp);
        assert_eq!(decision.rules, ["verify", "watch", "fine"]);
        assert_eq!(decision.approval.unwrap().name, "self");
        let decision = decide(&ruleset, read(SSN).touches(SSN, &[Use::Ordering]));
        assert_eq!(decision.action, Action::Approve);
        assert_eq!(decision.rules.first().unwrap(), "ask");
    }
}

#[test]
fn one_severe_statement_makes_the_message_severe() {
    let ruleset = rules("  - {name: verify, match: {class: restricted}, action: step-up, approval: self}\n");
    let message = [facts(), read(SSN), facts().kind(Kind::Transaction).rows(None)];
    let decision = ruleset.decide(&dana(), &Bound::default(), &message);
    assert_eq!(decision.action, Action::StepUp);
    assert_eq!(decision.estimate, Some(2));
    assert_eq!(ruleset.decide(&dana(), &Bound::default(), &[]).action, Action::Allow);
}

#[test]
fn two_rules_that_ask_the_same_groups_need_the_strictest_of_both() {
    let ruleset = rules(
        "  - {name: a, match: {class: restricted}, action: approve, approval: owners}\n  \
         - {name: b, match: {labels: [ssn]}, action: approve, approval: four-eyes}\n",
    );
    let approval = decide(&ruleset, read(SSN)).approval.unwrap();
    assert_eq!(approval.name, "four-eyes+owners");
    assert_eq!(approval.groups, BTreeSet::from(["data-owners".parse().unwrap()]));
    assert_eq!((approval.count, approval.reason_required), (2, true));
    assert_eq!(approval.expires, Duration::from_secs(240));
}

#[test]
fn two_rules_that_ask_different_groups_do_not_let_one_group_answer_for_both() {
    let ruleset = rules(
        "  - {name: a, match: {class: restricted}, action: approve, approval: owners}\n  \
         - {name: b, match: {labels: [ssn]}, action: approve, approval: auditors}\n",
    );
    let decision = decide(&ruleset, read(SSN));
    assert_eq!((decision.action, decision.approval), (Action::Deny, None));
    assert!(decision.hint.unwrap().contains("different groups"));
}

#[test]
fn a_service_never_gets_a_step_up_by_itself() {
    let ruleset = rules(
        "  - {name: verify, match: {labels: [email]}, action: step-up, approval: self}\n  \
         - {name: ask, match: {labels: [ssn]}, action: approve, approval: owners}\n",
    );
    let mut etl = dana();
    etl.service = true;
    let decision = ruleset.decide(&etl, &Bound::default(), &[read(EMAIL)]);
    assert_eq!((decision.action, decision.approval.is_none()), (Action::Deny, true));
    assert_eq!(decision.rules, ["verify"]);
    assert!(decision.hint.unwrap().contains("service"));
    let decision = ruleset.decide(&etl, &Bound::default(), &[facts().doubting(Doubt::Function)]);
    assert_eq!(decision.action, Action::Approve, "it may be the ssn, and others may approve that");
    assert_eq!(ruleset.decide(&etl, &Bound::default(), &[read(SSN)]).action, Action::Approve);
}

#[test]
fn what_a_service_would_have_to_verify_others_may_approve_ahead_where_the_policy_says_who() {
    let list = "rules:\n  - {name: verify, match: {labels: [email]}, action: step-up, approval: self}\n  \
                - {name: ask, match: {labels: [ssn]}, action: approve, approval: owners}\n  \
                - {name: never, match: {tables: [hr.employees]}, action: deny}\n";
    let with = ruleset(MAP, &format!("{APPROVALS}defaults: {{services: four-eyes}}\n{list}"));
    let without = ruleset(MAP, &format!("{APPROVALS}{list}"));
    let etl = Circumstances { service: true, ..dana() };
    let ahead = |rules: &stepgate_policy::Ruleset, who: &Circumstances, facts: Facts| {
        let decision = rules.decide(who, &Bound::default(), &[facts]);
        (decision.action, decision.ahead.map(|approval| approval.name))
    };
    assert_eq!(ahead(&with, &etl, read(EMAIL)), (Action::Deny, Some("four-eyes".to_owned())));
    assert_eq!(ahead(&without, &etl, read(EMAIL)), (Action::Deny, None));
    assert_eq!(ahead(&with, &etl, read(SSN)), (Action::Approve, Some("owners".to_owned())));
    // What is denied is denied, and people are not services.
    assert_eq!(ahead(&with, &etl, read("hr.employees.ssn")), (Action::Deny, None));
    assert_eq!(ahead(&with, &dana(), read(SSN)), (Action::Approve, None));
    assert_eq!(ahead(&with, &etl, facts()), (Action::Allow, None));
}

#[test]
fn of_several_approvals_together_nobody_is_asked_and_nothing_remembered_that_one_of_them_does_not_say() {
    let approvals = "version: 1\napprovals:\n  \
        a: {groups: [x, y], remember: {for: 1h, sink: true}, escalate: {after: 1m, to: [p, q]}}\n  \
        b: {groups: [x], remember: {for: 1h}, escalate: {after: 2m, to: [q]}}\n  \
        c: {groups: [x]}\n  \
        self: {self: true}\n";
    let of = |names: &[&str]| {
        let rule =
            |name: &&str| format!("  - {{name: {name}, match: {{}}, action: approve, approval: {name}}}\n");
        let rules: String = names.iter().map(rule).collect();
        let ruleset = ruleset(MAP, &format!("{approvals}rules:\n{rules}"));
        decide(&ruleset, read(SSN)).approval.unwrap()
    };
    assert!(of(&["a"]).remember.unwrap().sink);
    let both = of(&["a", "b"]);
    assert!(!both.remember.unwrap().sink);
    let escalate = both.escalate.unwrap();
    assert_eq!((escalate.after, escalate.to), (Duration::from_secs(120), ["q".parse().unwrap()].into()));
    assert_eq!(of(&["a", "c"]).escalate, None);
}

#[test]
fn control_is_denied_unless_a_rule_names_it() {
    let control = || facts().kind(Kind::Control);
    for (list, action) in [
        ("  []\n", Action::Deny),
        ("  - {name: all, match: {}, action: allow}\n", Action::Deny),
        ("  - {name: dba, match: {groups: [analysts]}, action: allow}\n", Action::Deny),
        ("  - {name: x, match: {not: {kind: [select]}}, action: allow}\n", Action::Deny),
        ("  - {name: x, match: {not: {kind: [control]}}, action: allow}\n", Action::Deny),
        ("  - {name: x, match: {any: [{kind: [control]}, {}]}, action: allow}\n", Action::Deny),
        ("  - {name: x, match: {kind: [control], groups: [dba]}, action: allow}\n", Action::Deny),
        ("  - {name: x, match: {kind: [control], groups: [analysts]}, action: monitor}\n", Action::Monitor),
        (
            "  - {name: x, match: {kind: [ddl, control]}, action: approve, approval: owners}\n",
            Action::Approve,
        ),
        ("  - {name: x, match: {all: [{kind: [control]}, {as: dana}]}, action: allow}\n", Action::Allow),
    ] {
        let decision = decide(&rules(list), control());
        assert_eq!(decision.action, action, "{list}");
        assert!(decision.risky);
    }
    assert_eq!(decide(&rules("  []\n"), control()).rules, ["control"]);
}

#[test]
fn doubt_does_not_lift_the_denial_of_control() {
    let list = "  - {name: x, match: {kind: [control], tables: [public.products]}, action: allow}\n";
    let decision = decide(&rules(list), facts().kind(Kind::Control).doubting(Doubt::Statement));
    assert_eq!(decision.action, Action::Deny);
    let decision = decide(&rules(list), facts().kind(Kind::Control).reaches("public.products"));
    assert_eq!(decision.action, Action::Allow);
}

#[test]
fn an_allow_for_one_table_does_not_let_an_unreadable_statement_past_a_default_of_deny() {
    let policy = format!(
        "{APPROVALS}defaults: {{action: deny}}\n\
         rules: [{{name: shopfront, match: {{tables: [public.products]}}, action: allow}}]\n"
    );
    let ruleset = ruleset(MAP, &policy);
    assert_eq!(decide(&ruleset, facts().reaches("public.products")).action, Action::Allow);
    assert_eq!(decide(&ruleset, facts().reaches("public.customers")).action, Action::Deny);
    assert_eq!(decide(&ruleset, unreadable()).action, Action::Deny);
    assert_eq!(decide(&ruleset, facts().doubting(Doubt::Function)).action, Action::Deny);
}

#[test]
fn in_monitor_mode_the_decision_is_made_and_not_enforced() {
    let policy =
        format!("{APPROVALS}mode: monitor\nrules: [{{name: no, match: {{labels: [ssn]}}, action: deny}}]\n");
    let decision = decide(&ruleset(MAP, &policy), read(SSN));
    assert_eq!((decision.action, decision.enforced), (Action::Deny, false));
}

#[test]
fn a_decision_names_what_is_touched_most_sensitive_first() {
    let ruleset = rules("  []\n");
    let message = read(EMAIL)
        .touches("public.customers.id", &[Use::Output])
        .touches("hr.employees.title", &[Use::Predicate])
        .touches("hr.employees.ssn", &[Use::Write]);
    let decision = decide(&ruleset, message);
    let touched: Vec<_> = decision
        .touched
        .iter()
        .map(|t| (t.column.to_string(), t.label.as_ref().map(Label::as_str), t.class.name.as_str()))
        .collect();
    assert_eq!(
        touched,
        [
            ("hr.employees.ssn".to_owned(), Some("ssn"), "restricted"),
            ("hr.employees.title".to_owned(), None, "confidential"),
            (EMAIL.to_owned(), Some("email"), "confidential"),
        ]
    );
    assert_eq!(decision.class.unwrap().name, "confidential", "the ssn is only written");
    assert!(decision.risky);
    let written = decide(&ruleset, facts().touches(SSN, &[Use::Write]));
    assert!(!written.risky && written.class.is_none());
    let harmless = decide(&ruleset, read("public.products.price"));
    assert!(!harmless.risky && harmless.touched.is_empty() && harmless.rules.is_empty());
}

#[test]
fn a_wildcard_of_the_map_stands_for_databases_that_have_no_entry_of_their_own() {
    let map = "version: 1
labels: {email: {class: confidential}, ssn: {class: restricted}}
databases:
  \"app_*\": {public.customers: {columns: {ssn: ssn}}}
  \"app_eu_*\": {public.customers: {columns: {email: email}}}
  app_2: {public.customers: {}}
";
    let ruleset = ruleset(map, &format!("{APPROVALS}rules: []\n"));
    let touched = |database: &str| {
        let who = Circumstances { database: database.to_owned(), ..dana() };
        let facts = read(SSN).touches(EMAIL, &[Use::Output]);
        let decision = ruleset.decide(&who, &Bound::default(), &[facts]);
        decision.touched.iter().map(|touched| touched.column.column.clone()).collect::<Vec<_>>()
    };
    assert_eq!(touched("app_1"), ["ssn"]);
    // One entry counts, and it is the one that says the most of the name.
    assert_eq!(touched("app_eu_1"), ["email"]);
    for none in ["app_2", "app", "shop", "other"] {
        assert!(touched(none).is_empty(), "{none}");
    }
}

#[test]
fn columns_of_unlisted_tables_have_the_class_that_the_map_gives_them() {
    let map = format!("{MAP}unknown: {{tables: confidential}}\n");
    let ruleset = ruleset(&map, APPROVALS);
    let class = |name: &str| decide(&ruleset, read(name)).class.map(|class| class.name);
    assert_eq!(class("public.fresh.secret").as_deref(), Some("confidential"));
    assert_eq!(class("pg_toast.pg_toast_1.chunk_data").as_deref(), Some("confidential"));
    assert_eq!(class("pg_catalog.pg_class.relname"), None);
    assert_eq!(class("information_schema.tables.table_name"), None);
    assert_eq!(class("public.products.price"), None, "a listed table says itself what is in it");
    let mut elsewhere = dana();
    elsewhere.database = "crm".to_owned();
    let decision = ruleset.decide(&elsewhere, &Bound::default(), &[read(SSN)]);
    assert_eq!(decision.class.unwrap().name, "confidential", "the map of shop says nothing about crm");
}

#[test]
fn labels_of_a_statement_are_those_it_reads() {
    let map = stepgate_policy::Map::load("map.yaml", MAP).unwrap();
    let labels = |facts: &Facts| {
        let (labels, risky) = map.labels_of("shop", facts);
        (labels.into_iter().map(|label| label.to_string()).collect::<Vec<_>>(), risky)
    };
    assert_eq!(labels(&read(SSN).touches(EMAIL, &[Use::Write])), (vec!["ssn".to_owned()], true));
    assert_eq!(labels(&facts().touches(SSN, &[Use::Write])), (vec![], false));
    assert_eq!(labels(&facts().kind(Kind::Control)), (vec![], true));
    assert_eq!(labels(&facts().doubting(Doubt::Function)), (vec![], true));
    assert_eq!(labels(&facts()), (vec![], false));
    assert_eq!(map.databases().collect::<Vec<_>>(), ["shop"]);
}

struct Catalog;

impl Columns for Catalog {
    fn columns(&self, relation: &RelationName) -> Option<Vec<&str>> {
        match (relation.schema.as_str(), relation.name.as_str()) {
            ("public", "customers") => Some(vec!["email", "national_id"]),
            ("public", "products") => Some(vec![]),
            _ => None,
        }
    }
}

#[test]
fn a_renamed_column_does_not_slip_out_of_the_map() {
    let ruleset = rules("  []\n");
    let bound = ruleset.bind("shop", &Catalog, &BTreeSet::new());
    let alarm =
        |name: &str, missing| Alarm { database: "shop".to_owned(), relation: relation(name), missing };
    assert_eq!(
        bound.alarms(),
        [
            alarm("hr.employees", Missing::Relation),
            alarm("public.customers", Missing::Column("ssn".to_owned())),
            alarm("public.customers", Missing::SubjectKey("id".to_owned())),
        ]
    );
    assert!(bound.alarms()[1].to_string().contains("public.customers.ssn"));
    let renamed = ruleset.decide(&dana(), &bound, &[read("public.customers.national_id")]);
    assert_eq!((renamed.action, renamed.risky), (Action::StepUp, true));
    assert_eq!(renamed.rules, ["unknown.statements"]);
    assert_eq!(renamed.doubts, ["map-entry-missing"].into());
    let counted = ruleset.decide(&dana(), &bound, &[facts().reaches("public.customers")]);
    assert_eq!(counted.action, Action::StepUp);
    let other = ruleset.decide(&dana(), &bound, &[read("public.products.price")]);
    assert_eq!((other.action, other.risky), (Action::Allow, false));
    assert!(ruleset.bind("crm", &Catalog, &BTreeSet::new()).alarms().is_empty());
}

#[test]
fn approvals_have_the_defaults_that_the_sample_describes() {
    let ruleset = rules("  []\n");
    let [itself, owners, ..] = ruleset.approvals() else { panic!() };
    assert!(itself.itself && itself.groups.is_empty());
    assert_eq!((itself.count, itself.strength, itself.reason_required), (1, Strength::Standard, false));
    assert_eq!(itself.expires, ruleset.hold());
    let remember = itself.remember.as_ref().unwrap();
    assert_eq!(remember.for_, Duration::from_secs(900));
    let usual = [ScopePart::Person, ScopePart::Client, ScopePart::Network, ScopePart::Relations];
    assert_eq!(remember.scope, BTreeSet::from(usual));
    assert_eq!(owners.remember, None);
    assert_eq!(owners.expires, Duration::from_secs(240));
}

#[test]
fn an_approval_asks_for_as_much_proof_as_it_says() {
    for (word, expected) in [
        ("standard", Strength::Standard),
        ("phishing-resistant", Strength::PhishingResistant),
        ("device-bound", Strength::DeviceBound),
    ] {
        let text = format!(
            "version: 1\napprovals: {{self: {{self: true}}, owners: {{groups: [a], strength: {word}}}}}\n"
        );
        let ruleset = ruleset(MAP, &text);
        let owners = ruleset.approvals().iter().find(|one| !one.itself).unwrap();
        assert_eq!(owners.strength, expected, "{word}");
    }
}

#[test]
fn a_request_may_outlive_its_hold_and_its_client() {
    let text = |defaults: &str| {
        format!(
            "version: 1\ndefaults: {defaults}\napprovals: {{owners: {{groups: [a], expires: 7d}}, self: {{self: true}}}}\n"
        )
    };
    let usual = ruleset(MAP, &text("{hold: 5m}"));
    assert_eq!((usual.in_transaction(), usual.outlives_client()), (InTransaction::Auto, true));
    assert_eq!(usual.approvals()[0].expires, Duration::from_secs(7 * 24 * 3600));
    for (word, expected) in
        [("auto", InTransaction::Auto), ("hold", InTransaction::Hold), ("defer", InTransaction::Defer)]
    {
        let ruleset = ruleset(MAP, &text(&format!("{{in_transaction: {word}, on_client_gone: withdraw}}")));
        assert_eq!((ruleset.in_transaction(), ruleset.outlives_client()), (expected, false), "{word}");
    }
}

#[test]
fn any_change_of_either_file_changes_the_hash() {
    let hash = |map: &str, policy: &str| ruleset(map, policy).sha256().to_owned();
    let usual = hash(MAP, APPROVALS);
    assert_eq!(usual.len(), 64);
    assert_eq!(usual, hash(MAP, APPROVALS));
    assert_ne!(usual, hash(&format!("{MAP}# a comment\n"), APPROVALS));
    assert_ne!(usual, hash(MAP, &format!("{APPROVALS}# a comment\n")));
}
