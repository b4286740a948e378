//! Who is asked, and for what proof.

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::{APPROVALS, MAP, With, dana, decide, facts, rules, ruleset};
use stepgate_policy::{Bound, Circumstances, InTransaction, ScopePart};
use stepgate_sql::{Doubt, Facts};
use stepgate_types::{Action, Strength, Use};

const SSN: &str = "public.customers.ssn";
const EMAIL: &str = "public.customers.email";

fn read(name: &str) -> Facts {
    facts().touches(name, &[Use::Output])
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
