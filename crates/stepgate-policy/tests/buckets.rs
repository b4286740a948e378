//! Which side of the map's thresholds a statement asks for, without the value.

mod common;
use std::collections::BTreeSet;

use common::{With, facts, relation, ruleset, value};
use stepgate_policy::{Alarm, Columns, Missing, Ruleset};
use stepgate_sql::{Comparison, Facts, Operand, OperandClass};
use stepgate_types::{RelationName, Use};

const MAP: &str = "\
version: 1
databases:
  shop:
    public.payments: {threshold: {amount: [-5, 10000, 30000], fee: [0.5]}}
  \"*\":
    public.payments: {threshold: {amount: [1]}}
";

const POLICY: &str = "version: 1\napprovals: {self: {self: true}}\nrules: []\n";
const AMOUNT: &str = "public.payments.amount";
const FEE: &str = "public.payments.fee";

fn rules() -> Ruleset {
    ruleset(MAP, POLICY)
}

fn buckets_in(database: &str, facts: Facts) -> Vec<(String, &'static str, i64)> {
    let found = rules().buckets(database, &[facts], &common::Numbers);
    found.into_iter().map(|it| (it.column.to_string(), it.op.as_str(), it.bucket)).collect()
}

fn buckets(facts: Facts) -> Vec<(String, &'static str, i64)> {
    buckets_in("shop", facts)
}

fn negated(number: u32) -> Operand {
    let mut operand = value(number);
    operand.value = operand.value.map(|place| stepgate_sql::ValuePlace { negated: true, ..place });
    operand
}

#[test]
fn a_value_is_told_by_how_many_thresholds_it_reaches() {
    for (operand, expected) in [
        (negated(6), 0),
        (negated(5), 1),
        (value(0), 1),
        (value(9_999), 1),
        (value(10_000), 2),
        (value(29_990), 2),
        (value(30_000), 3),
        (value(4_000_000_000), 3),
        (Operand::EXPRESSION, -1),
        (Operand { class: OperandClass::Column, value: None }, -1),
    ] {
        let found = buckets(facts().compares(AMOUNT, Comparison::Gt, operand));
        assert_eq!(found, [(AMOUNT.to_owned(), ">", expected)], "{operand:?}");
    }
    // A parameter of which nothing is known.
    let parameter = common::parameter(1);
    assert_eq!(buckets(facts().compares(AMOUNT, Comparison::Eq, parameter)), [(AMOUNT.to_owned(), "=", -1)]);
    for op in [Comparison::Like, Comparison::IsNull, Comparison::Other] {
        let found = buckets(facts().compares(AMOUNT, op, value(7)));
        assert_eq!(found, [(AMOUNT.to_owned(), op.as_str(), -1)]);
    }
}

#[test]
fn what_a_float_makes_the_same_as_a_threshold_cannot_be_told() {
    let map = MAP.replace("30000", "\"30000.0000001\"");
    let rules = ruleset(&map, POLICY);
    for (number, expected) in [(30_000, -1), (30_001, 3), (29_999, 2)] {
        let facts = facts().compares(AMOUNT, Comparison::Lt, value(number));
        let found = rules.buckets("shop", &[facts], &common::Numbers);
        assert_eq!(found.iter().map(|it| it.bucket).collect::<Vec<_>>(), [expected], "{number}");
    }
}

#[test]
fn only_columns_with_thresholds_are_told_and_the_entries_of_their_database() {
    let both = || {
        facts()
            .compares(AMOUNT, Comparison::Ge, value(10))
            .compares(AMOUNT, Comparison::Le, value(40_000))
            .compares(AMOUNT, Comparison::In, value(1))
            .compares(AMOUNT, Comparison::In, value(2))
            .compares("public.payments.id", Comparison::Eq, value(7))
            .compares("hr.payments.amount", Comparison::Eq, value(7))
    };
    let amount = |op, bucket| (AMOUNT.to_owned(), op, bucket);
    assert_eq!(buckets(both()), [amount("<=", 3), amount(">=", 1), amount("in", 1)]);
    assert_eq!(buckets_in("crm", both()), [amount("<=", 1), amount(">=", 1), amount("in", 1)]);
    assert!(buckets(facts().touches(AMOUNT, &[Use::Output])).is_empty());
    let none = ruleset(common::MAP, POLICY);
    assert!(none.buckets("shop", &[both()], &common::Numbers).is_empty());
}

#[test]
fn sixteen_are_told_and_the_highest_first() {
    use Comparison::{Eq, Ge, Gt, In, IsNull, Le, Like, Lt, Ne, Other};
    let mut many = facts();
    for op in [Eq, Ne, Lt, Le, Gt, Ge, In] {
        many = many.compares(AMOUNT, op, value(1)).compares(FEE, op, value(0));
    }
    for op in [Like, IsNull, Other] {
        many = many.compares(AMOUNT, op, value(1));
    }
    let found = buckets(many.compares(AMOUNT, Gt, value(50_000)));
    assert_eq!(found.len(), 16);
    assert_eq!(found.first(), Some(&(AMOUNT.to_owned(), ">", 3)));
    let buckets: Vec<_> = found.iter().map(|it| it.2).collect();
    assert_eq!(buckets, [3, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, 0, 0, 0, 0, 0]);
}

#[test]
fn what_compares_such_a_column_is_not_settled_by_its_facts() {
    let rules = rules();
    assert!(!rules.is_settled_by_facts("shop", &[facts().compares(AMOUNT, Comparison::Eq, value(1))]));
    assert!(
        rules
            .is_settled_by_facts("shop", &[facts().compares("public.payments.id", Comparison::Eq, value(1))])
    );
    assert!(rules.is_settled_by_facts("shop", &[facts().touches(AMOUNT, &[Use::Output])]));
    let none = ruleset(common::MAP, POLICY);
    assert!(none.is_settled_by_facts("shop", &[facts().compares(AMOUNT, Comparison::Eq, value(1))]));
}

struct Catalog;

impl Columns for Catalog {
    fn columns(&self, name: &RelationName) -> Option<Vec<&str>> {
        (*name == relation("public.payments")).then(|| vec!["id", "amount"])
    }
}

#[test]
fn a_threshold_of_no_column_is_an_alarm_and_no_doubt() {
    let bound = rules().bind("shop", &Catalog, &BTreeSet::new());
    let alarm = Alarm {
        database: "shop".to_owned(),
        relation: relation("public.payments"),
        missing: Missing::Threshold("fee".to_owned()),
    };
    assert_eq!(bound.alarms(), [alarm]);
    assert!(bound.alarms().iter().all(|it| it.to_string().contains("threshold of public.payments.fee")));
    let read = facts().touches(AMOUNT, &[Use::Output]);
    assert!(rules().decide(&common::dana(), &bound, &[read]).doubts.is_empty());
}
