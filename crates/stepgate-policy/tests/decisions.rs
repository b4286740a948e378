//! What rules decide.

mod common;

use common::{APPROVALS, MAP, With, dana, decide, facts, rules, ruleset};
use stepgate_policy::{Bound, Ruleset};
use stepgate_sql::{Doubt, Facts, NoValues};
use stepgate_types::{Action, Kind, Use};

const SSN: &str = "public.customers.ssn";

fn read(name: &str) -> Facts {
    facts().touches(name, &[Use::Output])
}

fn unreadable() -> Facts {
    facts().kind(Kind::Unknown).doubting(Doubt::Statement).rows(None)
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

/// A rule about these columns of one table, which the map has.
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
fn over(columns: &[String]) -> Ruleset {
    let (table, _) = columns[0].rsplit_once('.').unwrap();
    let labelled: Vec<String> =
        columns.iter().map(|it| format!("{}: email", it.rsplit_once('.').unwrap().1)).collect();
    let map = format!("{MAP}    {table}: {{columns: {{{}}}}}\n", labelled.join(", "));
    let rule = format!("  - {{name: a, match: {{columns: [{}]}}, action: monitor}}\n", columns.join(", "));
    ruleset(&map, &format!("{APPROVALS}rules:\n{rule}"))
}

#[test]
fn why_a_rule_matched_is_told_in_few_words_however_many_columns_it_names() {
    let name = |at: usize| format!("public.measurements.{}_{at:03}", "reading_of_a_long_name".repeat(2));
    let columns: Vec<String> = (0..120).map(name).collect();
    let rules = over(&columns);
    let all = columns.iter().fold(facts(), |facts, column| facts.touches(column, &[Use::Output]));
    let why = rules.why(&dana(), &Bound::default(), &[all], &NoValues);
    let [why] = why.as_slice() else { panic!("{why:?}") };
    assert!(why.bucket.starts_with(&format!("{} {} ", columns[0], columns[1])), "{}", why.bucket);
    let told = why.bucket.split(' ').filter(|word| word.starts_with("public.")).count();
    assert!(
        (4..=16).contains(&told) && why.bucket.ends_with(&format!(" and {} more", 120 - told)),
        "{}",
        why.bucket
    );
    assert!(why.bucket.len() < 600, "{}", why.bucket.len());
    // Sixteen short ones are told, and of one nobody counts.
    let short = |count: usize| {
        let columns: Vec<String> = (0..count).map(|at| format!("public.t.c{at:02}")).collect();
        let rules = over(&columns);
        let all = columns.iter().fold(facts(), |facts, column| facts.touches(column, &[Use::Output]));
        rules.why(&dana(), &Bound::default(), &[all], &NoValues)[0].bucket.clone()
    };
    assert_eq!(short(1), "public.t.c00");
    assert!(short(16).ends_with("c14 public.t.c15"), "{}", short(16));
    assert!(short(18).ends_with("c15 and 2 more"), "{}", short(18));
}

/// What runs a statement of another kind within it, and what only looks like it.
fn running(kind: Kind, within: &[Kind]) -> Facts {
    Facts { within: within.iter().copied().collect(), ..read(SSN).kind(kind) }
}

#[test]
fn a_rule_by_kind_is_not_evaded_by_running_the_statement_within_another() {
    let ruleset = rules("  - {name: selects, match: {class: restricted, kind: [select]}, action: deny}\n");
    for kind in [Kind::Execute, Kind::Explain, Kind::Cursor, Kind::CopyOut, Kind::Ddl] {
        let decision = decide(&ruleset, running(kind, &[Kind::Select]));
        assert_eq!((decision.action, decision.rules), (Action::Deny, vec!["selects".to_owned()]), "{kind:?}");
        assert_eq!(decide(&ruleset, running(kind, &[])).action, Action::Allow, "{kind:?}");
        assert_eq!(decide(&ruleset, running(kind, &[Kind::Insert])).action, Action::Allow, "{kind:?}");
    }
    // It runs nothing yet.
    assert_eq!(decide(&ruleset, running(Kind::Prepare, &[Kind::Select])).action, Action::Allow);
    let why = ruleset.why(
        &dana(),
        &Bound::default(),
        &[running(Kind::Execute, &[Kind::Select, Kind::Insert])],
        &NoValues,
    );
    assert!(why.iter().any(|it| it.clause == "kind" && it.bucket == "execute select"), "{why:?}");
}

#[test]
fn what_runs_within_lifts_no_denial_and_escapes_none() {
    let denied = "defaults: {action: deny}\n";
    let lets = |rule: &str, facts: Facts| {
        let policy = format!("{APPROVALS}{denied}rules:\n  - {{name: it, match: {rule}, action: allow}}\n");
        decide(&ruleset(MAP, &policy), facts).action
    };
    // An allow by kind lets through what is of that kind itself, as ever, and nothing more.
    assert_eq!(lets("{kind: [select]}", read(SSN)), Action::Allow);
    assert_eq!(lets("{kind: [select]}", running(Kind::Execute, &[Kind::Select])), Action::Deny);
    assert_eq!(lets("{kind: [execute]}", running(Kind::Execute, &[Kind::Select])), Action::Allow);
    // What a rule by other kinds asks of it is still asked.
    let ruleset =
        rules("  - {name: others, match: {class: restricted, not: {kind: [select]}}, action: deny}\n");
    assert_eq!(decide(&ruleset, running(Kind::Execute, &[Kind::Select])).action, Action::Deny);
    assert_eq!(decide(&ruleset, read(SSN)).action, Action::Allow);
}
