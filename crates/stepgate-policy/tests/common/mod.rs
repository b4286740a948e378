//! Facts, circumstances and rules for the tests.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, reason = "helpers of tests; each file uses some")]

use std::collections::{BTreeMap, BTreeSet};

use stepgate_policy::{Bound, Circumstances, Decision, Ruleset};
use stepgate_sql::{
    Comparison, Doubt, Effect, Facts, Number, Operand, OperandClass, Predicate, Predicates, Reason, Sink,
    SinkKind, ValuePlace, ValueSource, Values,
};
use stepgate_types::{BulkShape, Certainty, ColumnName, Estimator, Kind, RelationName, Use};

pub(crate) const MAP: &str = "\
version: 1
labels:
  email: {class: confidential}
  ssn: {class: restricted}
databases:
  shop:
    public.customers: {columns: {email: email, ssn: ssn}, subject_key: id}
    hr.employees: {columns: {ssn: ssn}, unlisted_columns: confidential}
    public.products: {}
";

pub(crate) const APPROVALS: &str = "\
version: 1
approvals:
  self: {self: true, remember: {for: 15m}}
  owners: {groups: [data-owners], reason: required, expires: 4m}
  four-eyes: {groups: [data-owners, security], count: 2}
  auditors: {groups: [auditors]}
";

/// The rules of `rules` (a YAML list) over [`MAP`] and [`APPROVALS`].
pub(crate) fn rules(rules: &str) -> Ruleset {
    ruleset(MAP, &format!("{APPROVALS}rules:\n{rules}"))
}

pub(crate) fn ruleset(map: &str, policy: &str) -> Ruleset {
    Ruleset::load(("map.yaml", map), ("policy.yaml", policy)).unwrap_or_else(|errors| panic!("{errors}"))
}

pub(crate) fn relation(name: &str) -> RelationName {
    let (schema, name) = name.split_once('.').unwrap();
    RelationName::new(schema, name)
}

pub(crate) fn column(name: &str) -> ColumnName {
    let (table, column) = name.rsplit_once('.').unwrap();
    ColumnName::new(relation(table), column)
}

/// A select of nothing, fully understood, of one row.
pub(crate) fn facts() -> Facts {
    Facts {
        line: 1,
        kind: Kind::Select,
        within: BTreeSet::new(),
        certainty: Certainty::Exact,
        reasons: BTreeSet::new(),
        relations: BTreeSet::new(),
        columns: BTreeMap::new(),
        predicates: Predicates::default(),
        functions: BTreeSet::new(),
        sinks: BTreeSet::new(),
        flows: BTreeMap::new(),
        bulk: BulkShape::None,
        estimate: Some(1),
        estimated_by: Estimator::Catalog,
        scan: None,
        named: 0,
        through_views: false,
        locks: false,
        parsing_reads: false,
        looks_up: false,
        read_only: true,
        effect: Effect::default(),
        goes_on_with: None,
        fingerprint: String::new(),
        normalised: String::new(),
    }
}

pub(crate) trait With: Sized {
    fn kind(self, kind: Kind) -> Self;
    fn touches(self, name: &str, uses: &[Use]) -> Self;
    fn reaches(self, name: &str) -> Self;
    fn doubting(self, doubt: Doubt) -> Self;
    fn rows(self, estimate: Option<u64>) -> Self;
    fn bulk(self) -> Self;
    fn sink(self) -> Self;
    fn compares(self, name: &str, op: Comparison, operand: Operand) -> Self;
}

/// What [`values`] knows as that number.
pub(crate) fn value(number: u32) -> Operand {
    let place = ValuePlace { source: ValueSource::Literal(number), negated: false, rounded: false };
    Operand { class: OperandClass::Number, value: Some(place) }
}

/// What [`Numbers`] does not know.
pub(crate) fn parameter(number: u16) -> Operand {
    let place = ValuePlace { source: ValueSource::Parameter(number), negated: false, rounded: false };
    Operand { class: OperandClass::Parameter(number), value: Some(place) }
}

/// Literals are what their number is; parameters are not known.
pub(crate) struct Numbers;

impl Values for Numbers {
    fn number(&self, place: ValuePlace) -> Option<Number> {
        let number: Number = match place.source {
            ValueSource::Literal(number) => number.to_string().parse().ok()?,
            ValueSource::Parameter(_) => return None,
        };
        Some(if place.negated { number.negated() } else { number })
    }
}

impl With for Facts {
    fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    fn touches(mut self, name: &str, uses: &[Use]) -> Self {
        let name = column(name);
        self.relations.insert(name.relation.clone());
        self.columns.insert(name, uses.iter().copied().collect());
        self
    }

    fn reaches(mut self, name: &str) -> Self {
        self.relations.insert(relation(name));
        self
    }

    fn doubting(mut self, doubt: Doubt) -> Self {
        let code = match doubt {
            Doubt::Nothing => "over",
            Doubt::Statement => "unreadable",
            Doubt::Function => "unknown-function",
            Doubt::DynamicSql => "dynamic-sql",
        };
        self.reasons.insert(Reason { code, doubt });
        self.certainty = if doubt == Doubt::Nothing { Certainty::Over } else { Certainty::Unknown };
        self
    }

    fn rows(mut self, estimate: Option<u64>) -> Self {
        self.estimate = estimate;
        self
    }

    fn bulk(mut self) -> Self {
        self.bulk = BulkShape::WholeTable;
        self
    }

    fn sink(mut self) -> Self {
        self.sinks.insert(Sink { kind: SinkKind::Table, relation: None });
        self
    }

    fn compares(mut self, name: &str, op: Comparison, operand: Operand) -> Self {
        self.predicates.insert(Predicate { column: column(name), op, operand });
        self.touches(name, &[Use::Predicate])
    }
}

pub(crate) fn dana() -> Circumstances {
    Circumstances {
        groups: ["analysts".parse().unwrap()].into(),
        db_user: "stepgate_analyst".to_owned(),
        client: "psql".to_owned(),
        ..Circumstances::of("dana".parse().unwrap(), "shop", "10.1.2.3".parse().unwrap())
    }
}

pub(crate) fn decide(ruleset: &Ruleset, facts: Facts) -> Decision {
    ruleset.decide_by(&dana(), &Bound::default(), &[facts], &Numbers)
}
