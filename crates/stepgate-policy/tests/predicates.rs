//! Rules on how columns are compared, and with what.

mod common;
use std::collections::BTreeSet;

use common::{With, decide, facts, rules};
use stepgate_policy::Columns;
use stepgate_sql::{Comparison, Doubt, Facts, Operand, OperandClass, ValuePlace, ValueSource};
use stepgate_types::{Kind, RelationName, Use};

const SSN: &str = "public.customers.ssn";
fn read(name: &str) -> Facts {
    facts().touches(name, &[Use::Output])
}

fn unreadable() -> Facts {
    facts().kind(Kind::Unknown).doubting(Doubt::Statement).rows(None)
}

fn fires(condition: &str, facts: Facts) -> bool {
    let ruleset = rules(&format!("  - {{name: probe, action: monitor, match: {condition}}}\n"));
    decide(&ruleset, facts).rules.iter().any(|rule| rule == "probe")
}

#[test]
fn a_predicate_fires_by_operator_and_by_value() {
    use Comparison::{Eq, Ge, Gt, In, IsNull, Le, Like, Lt, Ne, Other};
    // A column of no label, in no table of the map.
    let amount = |op, value| facts().compares("public.payments.amount", op, common::value(value));
    let high = "{predicate: {column: public.payments.amount, op: \">\", value: 30000}}";
    for (op, number, expected) in [
        (Gt, 50_000, true),
        (Gt, 30_000, true),
        (Gt, 29_999, false),
        (Ge, 30_001, true),
        (Ge, 30_000, true),
        (Ge, 10, false),
        (Eq, 30_001, true),
        (Eq, 30_000, false),
        (In, 50_000, true),
        (In, 10, false),
        (Lt, 50_000, false),
        (Le, 50_000, false),
        (Ne, 50_000, false),
        (IsNull, 50_000, false),
        (Like, 10, true),
        (Other, 10, true),
    ] {
        assert_eq!(fires(high, amount(op, number)), expected, "{op:?} {number}");
    }
    for (asked, value, op, number, expected) in [
        (">=", "30000", Eq, 30_000, true),
        (">=", "30000", Gt, 29_999, false),
        ("<", "100", Lt, 100, true),
        ("<", "100", Le, 99, true),
        ("<", "100", Lt, 101, false),
        ("<", "100", Eq, 99, true),
        ("<", "100", Eq, 100, false),
        ("<=", "100", Eq, 100, true),
        ("<=", "100", Gt, 5, false),
        ("=", "7", Eq, 7, true),
        ("=", "7.0", In, 7, true),
        ("=", "\"7e0\"", Eq, 7, true),
        ("=", "7", Eq, 8, false),
        ("=", "7", Le, 7, true),
        ("=", "7", Ge, 6, false),
        ("<>", "7", Ne, 7, true),
        ("!=", "7", Ne, 8, false),
        (">", "-1", Gt, 0, true),
        (">", "0.5", Gt, 0, false),
        (">", "99999999999999999999", Gt, 4_000_000_000, false),
        // A float makes the same of both.
        ("=", "47.000000000000001", Eq, 47, true),
        ("<", "\"46.999999999999999\"", Eq, 47, true),
        ("=", "47.01", Eq, 47, false),
    ] {
        let rule =
            format!("{{predicate: {{column: public.payments.amount, op: \"{asked}\", value: {value}}}}}");
        assert_eq!(fires(&rule, amount(op, number)), expected, "{rule} {op:?} {number}");
    }
    let ssn = |op| facts().compares(SSN, op, Operand { class: OperandClass::Parameter(1), value: None });
    for (condition, op, expected) in [
        ("{labels: [ssn], op: \"<\"}", Lt, true),
        ("{labels: [ssn], op: \"<\"}", Le, true),
        ("{labels: [ssn], op: \"<\"}", Eq, false),
        ("{labels: [ssn], op: \"<\"}", Like, true),
        ("{labels: [ssn], op: \"<\"}", IsNull, false),
        ("{labels: [ssn], op: \"=\"}", Eq, true),
        ("{labels: [ssn], op: \"=\"}", In, true),
        ("{labels: [ssn], op: \"=\"}", Lt, false),
        ("{labels: [ssn], op: \"<>\"}", Ne, true),
        ("{labels: ssn, op: like}", Like, true),
        ("{labels: ssn, op: like}", Eq, false),
        ("{labels: ssn, op: is-null}", IsNull, true),
        ("{labels: ssn, op: is-null}", Lt, false),
        ("{labels: [ssn]}", IsNull, true),
        ("{labels: [email]}", Eq, false),
        ("{class: \">=confidential\", op: \">\"}", Ge, true),
        ("{class: confidential, op: \">\"}", Ge, false),
        ("{column: public.customers.ssn}", Eq, true),
        ("{column: [hr.employees.ssn, public.customers.ssn]}", Eq, true),
        ("{column: hr.employees.ssn}", Eq, false),
        ("{column: public.customers.ssn, labels: [email]}", Eq, false),
    ] {
        assert_eq!(fires(&format!("{{predicate: {condition}}}"), ssn(op)), expected, "{condition} {op:?}");
    }
    assert!(!fires("{predicate: {labels: [ssn]}}", read(SSN)), "read, and not compared");
}

#[test]
fn a_predicate_that_may_match_does_with_not_and_without() {
    let high = "{predicate: {column: public.payments.amount, op: \">\", value: 30000}}";
    let parameter = Operand {
        class: OperandClass::Parameter(1),
        value: Some(ValuePlace { source: ValueSource::Parameter(1), negated: false, rounded: false }),
    };
    for unsure in [
        facts().compares("public.payments.amount", Comparison::Gt, parameter),
        facts().compares("public.payments.amount", Comparison::Eq, Operand::EXPRESSION),
        facts().compares("public.payments.amount", Comparison::Other, Operand::EXPRESSION),
        unreadable(),
    ] {
        assert!(fires(high, unsure.clone()));
        assert!(fires(&format!("{{not: {high}}}"), unsure.clone()));
        assert!(fires(&format!("{{all: [{high}, {{groups: [analysts]}}]}}"), unsure.clone()));
        assert!(!fires(&format!("{{all: [{high}, {{groups: [dba]}}]}}"), unsure.clone()));
    }
    let low = facts().compares("public.payments.amount", Comparison::Lt, parameter);
    assert!(!fires(high, low.clone()), "whatever the value, it is the other way");
    assert!(fires(&format!("{{not: {high}}}"), low.clone()));
    // One comparison of several is enough, and it is of one and the same column.
    let both = low.clone().compares("public.payments.amount", Comparison::Gt, common::value(50_000));
    assert!(fires(high, both));
    assert!(!fires(high, low.compares("public.payments.tax", Comparison::Gt, common::value(50_000))));
}

#[test]
fn a_predicate_on_a_column_that_is_not_there_raises_an_alarm() {
    struct Catalog;
    impl Columns for Catalog {
        fn columns(&self, relation: &RelationName) -> Option<Vec<&str>> {
            match relation.name.as_str() {
                "customers" => Some(vec!["id", "email", "ssn"]),
                "employees" => Some(vec!["ssn"]),
                "products" => Some(vec!["price"]),
                _ => None,
            }
        }
    }
    let of = |column: &str| {
        let rule = format!(
            "  - {{name: r, match: {{not: {{predicate: {{column: {column}}}}}}}, action: monitor}}\n"
        );
        let bound = rules(&rule).bind("shop", &Catalog, &BTreeSet::new());
        bound.alarms().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(of("public.products.price"), [""; 0]);
    for column in ["public.products.prise", "public.payments.amount"] {
        let alarms = of(column);
        assert!(
            alarms.len() == 1 && alarms[0].contains("rule r") && alarms[0].contains(column),
            "{alarms:?}"
        );
    }
}

/// Whoever has a rule on one column does not pay for it at every other `WHERE`.
#[test]
fn a_rule_on_one_columns_values_leaves_statements_that_compare_others_settled_by_their_facts() {
    let compares = |name: &str| [facts().compares(name, Comparison::Eq, common::value(7))];
    let settled = |rule: &str, name: &str| {
        let rules = rules(&format!("  - {{name: probe, action: monitor, match: {rule}}}\n"));
        rules.is_settled_by_facts("shop", &compares(name))
    };
    let amount = "{predicate: {column: public.payments.amount, op: \">\", value: 30000}}";
    assert!(!settled(amount, "public.payments.amount"));
    assert!(settled(amount, "public.payments.id"));
    assert!(settled(amount, "public.other.amount"));
    // The columns of a label are those of the map, in that database.
    let labelled = "{predicate: {labels: [ssn], op: \"=\", value: 7}}";
    assert!(!settled(labelled, SSN));
    assert!(!settled(labelled, "hr.employees.ssn"));
    assert!(settled(labelled, "public.customers.email"));
    assert!(settled(labelled, "public.payments.id"));
    // However deep it is.
    for nested in [format!("{{not: {amount}}}"), format!("{{any: [{{kind: select}}, {{all: [{amount}]}}]}}")]
    {
        assert!(!settled(&nested, "public.payments.amount"), "{nested}");
        assert!(settled(&nested, "public.payments.id"), "{nested}");
    }
    // How a column is compared is in the facts.
    assert!(settled("{predicate: {column: public.payments.amount, op: \">\"}}", "public.payments.amount"));
}
