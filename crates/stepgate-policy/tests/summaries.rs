//! The line that people see.

mod common;

use common::{MAP, With, dana, decide, facts, rules, ruleset};
use stepgate_policy::Bound;
use stepgate_sql::{Doubt, Facts};
use stepgate_types::{Kind, Use};

const RULES: &str =
    "  - {name: restricted-read, match: {class: \">=restricted\"}, action: step-up, approval: self}\n";

fn summary(facts: Facts) -> String {
    decide(&rules(RULES), facts).summary()
}

#[test]
fn a_summary_says_what_is_read_of_which_class_how_many_rows_and_by_which_rule() {
    let ssn = || facts().touches("public.customers.ssn", &[Use::Output]);
    for (facts, says) in [
        (
            ssn().rows(Some(18_200)),
            "Reads public.customers.ssn (restricted), about 18,200 rows. Rule: restricted-read.",
        ),
        (ssn(), "Reads public.customers.ssn (restricted), about 1 row. Rule: restricted-read."),
        (
            ssn().rows(None),
            "Reads public.customers.ssn (restricted), an unknown number of rows. Rule: restricted-read.",
        ),
        (
            ssn()
                .rows(Some(1_234_567))
                .touches("public.customers.email", &[Use::Predicate])
                .touches("hr.employees.ssn", &[Use::Ordering])
                .touches("hr.employees.title", &[Use::Output])
                .touches("hr.employees.pay", &[Use::Write]),
            "Reads hr.employees.ssn (restricted), public.customers.ssn (restricted), hr.employees.title \
             (confidential) and 1 more, about 1,234,567 rows. Rule: restricted-read.",
        ),
        (facts().touches("public.customers.ssn", &[Use::Write]), "Writes public.customers.ssn (restricted)."),
        (
            facts().doubting(Doubt::Function),
            "Cannot be fully understood (unknown-function), so it is treated as reading restricted data. \
             Rules: restricted-read, unknown.functions.",
        ),
        (
            ssn().doubting(Doubt::Function),
            "Cannot be fully understood (unknown-function), so it is treated as reading restricted data. \
             Reads public.customers.ssn (restricted), an unknown number of rows. \
             Rules: restricted-read, unknown.functions.",
        ),
        (facts().kind(Kind::Control), "Changes who may do what. Rule: control."),
        (facts(), ""),
    ] {
        assert_eq!(summary(facts), says);
    }
}

#[test]
fn a_name_of_the_catalog_cannot_dress_up_a_notice() {
    let map =
        format!("{MAP}    'public.\"gr\u{f6}\u{df}e\u{1b}[2J\"': {{columns: {{\"\u{202e}x\": ssn}}}}\n")
            .replace("\u{1b}", "\\x1b");
    let map = map.replace("'public.\"", "\"public.\\\"").replace("[2J\"'", "[2J\\\"\"");
    let ruleset = ruleset(&map, &format!("{}rules:\n{RULES}", common::APPROVALS));
    let facts = facts().touches("public.gr\u{f6}\u{df}e\u{1b}[2J.\u{202e}x", &[Use::Output]);
    let summary = ruleset.decide(&dana(), &Bound::default(), &[facts]).summary();
    assert!(summary.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{summary:?}");
    assert!(summary.contains("\\u{202e}x") && summary.contains("(restricted)"), "{summary}");
}
