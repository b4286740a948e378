//! How much a statement may deliver, and who is asked then.

mod common;

use common::{With, dana, facts, rules};
use stepgate_policy::{Bound, Circumstances, Decision, Ruleset};
use stepgate_sql::{Doubt, Facts};
use stepgate_types::{Action, Kind, Limit, Use};

fn ssn() -> Facts {
    facts().touches("public.customers.ssn", &[Use::Output])
}

fn by(ruleset: &Ruleset, who: &Circumstances, facts: Facts) -> Decision {
    ruleset.decide(who, &Bound::default(), &[facts])
}

fn decide(text: &str, facts: Facts) -> Decision {
    by(&rules(text), &dana(), facts)
}

const STEP_UP: &str = "  - {name: a, match: {class: restricted}, action: step-up, approval: self, limit: {rows: 1000, bytes: 5MiB}}\n";
const ALLOW: &str = "  - {name: b, match: {labels: [ssn]}, action: allow, limit: {rows: 10}}\n";
const OWNERS: &str = "  - {name: c, match: {}, action: monitor, limit: {bytes: 1GB}, approval: four-eyes}\n";

const fn limit(rows: Option<u64>, bytes: Option<u64>) -> Limit {
    Limit::of(rows, bytes)
}

#[test]
fn the_least_limit_of_all_rules_that_match_counts_whatever_their_order() {
    for text in [format!("{STEP_UP}{ALLOW}"), format!("{ALLOW}{STEP_UP}")] {
        let decision = decide(&text, ssn());
        assert_eq!((decision.action, decision.limit), (Action::StepUp, limit(Some(10), Some(5 << 20))));
        assert_eq!(decision.beyond.unwrap().0, Action::StepUp);
    }
    let elsewhere =
        decide(&format!("{STEP_UP}{ALLOW}"), facts().touches("public.customers.email", &[Use::Output]));
    assert_eq!((elsewhere.limit, elsewhere.beyond), (Limit::NONE, None));
}

/// As they stand in a list; in words of the policy.
#[test]
fn limits_over_sessions_and_windows_are_kept_apart_by_rule_and_length() {
    let listed = "  - {name: w, match: {labels: [ssn]}, action: allow, limit: [{rows: 70}, {rows: 50, per: session}, \
                  {bytes: 1MiB, per: 1h}]}\n";
    let other = "  - {name: x, match: {}, action: monitor, limit: {rows: 500, per: 60m}}\n";
    let decision = decide(&format!("{listed}{other}"), ssn());
    assert_eq!(decision.limit, limit(Some(70), None));
    let meters: Vec<_> =
        decision.meters.iter().map(|it| (&*it.rule, it.per.to_string(), it.limit.to_string())).collect();
    let expected = [("w", "session", "50 rows"), ("w", "1h", "1 MiB"), ("x", "1h", "500 rows")];
    assert_eq!(meters, expected.map(|(rule, per, limit)| (rule, per.to_owned(), limit.to_owned())));
    assert_eq!(decision.more_at_once(), limit(Some(50), Some(1 << 20)));
    assert_eq!(decision.beyond.as_ref().unwrap().0, Action::StepUp);
    let summary = decision.summary();
    let said = "Limits: 70 rows, 50 rows per session, 1 MiB per 1h and 1 more.";
    assert!(summary.ends_with(said), "{summary}");
    // What returns nothing has none of them.
    assert!(!decide(other, facts().kind(Kind::Transaction)).is_limited());
    assert!(decide(other, facts()).is_limited());
}

#[test]
fn a_rule_that_lets_pass_asks_the_first_own_approval_at_its_limit_or_the_one_it_names() {
    let decision = decide(ALLOW, ssn());
    assert_eq!((decision.action, decision.approval), (Action::Allow, None));
    let (action, approval) = decision.beyond.unwrap();
    assert_eq!((action, approval.itself, &*approval.name), (Action::StepUp, true, "self"));
    // The most severe of those that ask, now or then.
    let decision = decide(&format!("{STEP_UP}{OWNERS}"), ssn());
    assert_eq!(decision.action, Action::StepUp);
    let (action, approval) = decision.beyond.unwrap();
    assert_eq!((action, &*approval.name), (Action::Approve, "four-eyes"));
}

#[test]
fn what_returns_nothing_has_no_limit_and_what_is_not_understood_has() {
    for (facts, limited) in [
        (facts().kind(Kind::Transaction), false),
        (facts().kind(Kind::Session), false),
        (facts().kind(Kind::Unknown).doubting(Doubt::Statement), true),
        (facts().kind(Kind::Transaction).doubting(Doubt::Function), true),
        (facts(), true),
    ] {
        assert_eq!(!decide(OWNERS, facts.clone()).limit.is_none(), limited, "{facts:?}");
    }
}

#[test]
fn a_service_is_asked_at_no_limit_of_its_own() {
    let etl = Circumstances { service: true, ..dana() };
    let decision = by(&rules(ALLOW), &etl, ssn());
    assert_eq!((decision.action, decision.limit), (Action::Allow, limit(Some(10), None)));
    assert_eq!(decision.beyond, None);
    assert!(by(&rules(OWNERS), &etl, ssn()).beyond.is_some());
}

#[test]
fn people_are_told_of_the_limit() {
    let summary = decide(STEP_UP, ssn()).summary();
    assert!(summary.ends_with("Rule: a. Limit: 1,000 rows or 5 MiB."), "{summary}");
    let deny = "  - {name: d, match: {labels: [ssn]}, action: deny}\n";
    let summary = decide(&format!("{STEP_UP}{deny}"), ssn()).summary();
    assert!(!summary.contains("Limit"), "{summary}");
}
