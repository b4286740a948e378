//! The files in `policies/` load, and do what their comments say.

mod common;

use common::{With, dana, facts, ruleset};
use stepgate_policy::{Bound, Decision, Ruleset};
use stepgate_sql::{Doubt, Facts};
use stepgate_types::{Action, Kind, Use};

const MAP: &str = include_str!("../../../policies/pii-map.yaml");
const POLICY: &str = include_str!("../../../policies/policy.yaml");

fn decide(facts: Facts) -> Decision {
    sample().decide(&dana(), &Bound::default(), &[facts])
}

fn sample() -> Ruleset {
    ruleset(MAP, POLICY)
}

fn customers() -> Facts {
    let columns = ["id", "full_name", "email", "phone", "ssn", "street", "city", "country", "birth_date"];
    columns
        .iter()
        .fold(facts(), |facts, column| facts.touches(&format!("public.customers.{column}"), &[Use::Output]))
}

#[test]
fn the_sample_policies_do_what_the_demo_plays() {
    let decision = decide(customers().rows(Some(5)));
    assert_eq!(decision.action, Action::StepUp);
    assert_eq!(decision.rules, ["restricted-read", "confidential-read"]);
    assert_eq!(
        decision.summary(),
        "Reads public.customers.birth_date (restricted), public.customers.ssn (restricted), \
         public.customers.city (confidential) and 4 more, about 5 rows. \
         Rules: restricted-read, confidential-read."
    );
    let approval = decision.approval.unwrap();
    assert!(approval.itself && approval.remember.is_some());

    let decision = decide(customers().kind(Kind::CopyOut).bulk().rows(Some(50_000)));
    assert_eq!(decision.action, Action::Approve);
    let approval = decision.approval.unwrap();
    assert_eq!(approval.name, "data-owners");
    assert!(approval.reason_required && approval.count == 1 && approval.remember.is_none());

    let orders = facts().touches("public.orders.total", &[Use::Output]);
    let decision = decide(orders);
    assert_eq!((decision.action, decision.risky), (Action::Allow, false));

    let decision = decide(facts().touches("public.customers.email", &[Use::Output]));
    assert_eq!(decision.action, Action::Monitor);
}

#[test]
fn the_sample_policies_do_not_let_the_unknown_pass() {
    assert_eq!(decide(facts().doubting(Doubt::Function)).action, Action::StepUp);
    assert_eq!(decide(facts().kind(Kind::Do).doubting(Doubt::DynamicSql)).action, Action::Deny);
    assert_eq!(decide(facts().kind(Kind::Unknown).doubting(Doubt::Statement)).action, Action::Approve);
    assert_eq!(decide(facts().kind(Kind::Control)).action, Action::Deny);
    assert_eq!(decide(customers().kind(Kind::Insert).sink()).action, Action::Approve);
}

/// Its own cases are decided by `stepgate policy test` (crates/stepgate/tests/cases.rs).
#[test]
fn the_sample_policy_with_risk_loads_and_nothing_in_it_is_without_use() {
    let rules = ruleset(MAP, include_str!("../../../policies/policy-risk.yaml"));
    assert!(rules.warnings().is_empty(), "{:?}", rules.warnings());
    assert_eq!(rules.signals_asked_for().len(), rules.risk().unwrap().signals().count());
    assert!(rules.looks_at_clock() && rules.tests().iter().any(|case| !case.history.is_empty()));
    // Each rule is one that some case is about.
    let mut told = rules.tests().iter().flat_map(|case| &case.rules).map(String::as_str);
    let told: std::collections::BTreeSet<_> = told.by_ref().chain(["restricted-read"]).collect();
    assert!(rules.rule_names().all(|name| told.contains(name)), "{told:?}");
}

#[test]
fn the_commented_rule_of_the_sample_policy_is_right_as_well() {
    let policy = POLICY.replace("#  - {name: dba-control", "  - {name: dba-control");
    assert_ne!(policy, POLICY);
    let ruleset = ruleset(MAP, &policy);
    let control = [facts().kind(Kind::Control)];
    assert_eq!(ruleset.decide(&dana(), &Bound::default(), &control).action, Action::Deny);
    let mut dba = dana();
    dba.groups.insert("dba".parse().unwrap());
    assert_eq!(ruleset.decide(&dba, &Bound::default(), &control).action, Action::Approve);
}
