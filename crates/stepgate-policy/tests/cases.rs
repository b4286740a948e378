//! What a policy's `tests:` say, as whoever runs them reads it.

mod common;

use std::time::Duration;

use common::{APPROVALS, MAP, ruleset};
use stepgate_policy::{Past, PastEvent, Signal};
use stepgate_types::Action;

const RULES: &str =
    "rules:\n  - {name: verify, match: {class: restricted}, action: step-up, approval: self}\n";

#[test]
fn a_case_says_who_asks_when_from_where_and_what_comes_of_it() {
    let tests = "tests:
  - {as: dana, sql: select 1, expect: allow}
  - name: at night
    as: dana
    groups: [analysts]
    from: 10.1.2.3
    at: 2026-07-06T03:00:00+02:00
    client: psql
    database: shop
    db_user: analyst
    purpose: support-4711
    signals: [unusual_hour]
    history:
      - {ago: 20d, every: 1d, times: 20, sql: select 1, rows: 5, client: pgcli, from: 10.1.2.4}
      - {ago: 10m, event: factor-failed, times: 3}
    sql: select ssn from hr.employees
    expect: step-up
    rule: verify
";
    let ruleset = ruleset(MAP, &format!("{APPROVALS}{RULES}{tests}"));
    let [plain, night] = ruleset.tests() else { panic!() };
    assert_eq!((plain.expect, plain.rules.len(), plain.signals.as_ref()), (Action::Allow, 0, None));
    assert_eq!(night.name.as_deref(), Some("at night"));
    assert_eq!(night.at.unwrap().to_string(), "2026-07-06T01:00:00.000000Z");
    assert_eq!(night.signals, Some([Signal::UnusualHour].into()));
    assert_eq!((night.expect, night.rules.as_slice()), (Action::StepUp, &["verify".to_owned()][..]));
    let day = Duration::from_secs(86_400);
    assert_eq!(
        night.history,
        [
            Past {
                ago: 20 * day,
                times: 20,
                every: day,
                from: Some("10.1.2.4".parse().unwrap()),
                client: Some("pgcli".to_owned()),
                what: PastEvent::Statement { sql: "select 1".to_owned(), rows: 5, bytes: 0 },
            },
            Past {
                ago: Duration::from_secs(600),
                times: 3,
                every: Duration::ZERO,
                from: None,
                client: None,
                what: PastEvent::FactorFailed,
            },
        ]
    );
}

#[test]
fn a_file_of_cases_may_name_the_policys_rules_and_the_gates_own() {
    let ruleset = ruleset(MAP, &format!("{APPROVALS}{RULES}"));
    let file = |rule: &str| {
        format!("version: 1\ntests:\n  - {{as: dana, sql: grant x to y, expect: deny, rule: {rule}}}\n")
    };
    for rule in ["control", "verify", "unknown.statements", "[control, verify]"] {
        assert_eq!(ruleset.read_tests("t.yaml", &file(rule)).unwrap().len(), 1);
    }
    let errors = ruleset.read_tests("t.yaml", &file("verfy")).unwrap_err().to_string();
    assert!(errors.contains("t.yaml:3:") && errors.contains("did you mean `verify`?"), "{errors}");
    assert!(ruleset.read_tests("t.yaml", "version: 1\n").is_err());
}
