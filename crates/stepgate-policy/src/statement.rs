//! A statement as rules see it: its facts with the map laid over them.

use std::collections::BTreeSet;

use stepgate_sql::{Doubt, Facts, Values};
use stepgate_types::{Certainty, ColumnName, Kind, RelationName, Use};

use crate::Bound;
use crate::map::{Classified, Map, Relation};
use crate::sketch::{Sketch, class_bit, kind_bit, label_bit, relation_bit};

/// The code of the doubt that an entry of the map which names nothing casts on its table.
pub(crate) const MAP_ENTRY_MISSING: &str = "map-entry-missing";

/// A statement with the map laid over its facts.
pub(crate) struct Statement<'a> {
    pub(crate) facts: &'a Facts,
    /// In order of their names.
    pub(crate) columns: Touches<'a>,
    pub(crate) sketch: Sketch,
    /// What it compares with.
    pub(crate) values: &'a dyn Values,
    /// Its estimate is only an upper bound: whether that reaches a threshold is then open.
    pub(crate) at_most: bool,
    /// What is in doubt: `None` nothing.
    pub(crate) doubt: Option<Doubts>,
}

/// So many columns of a statement are kept without asking for memory: nearly all statements are ordinary.
const FEW: usize = 24;

/// The columns that a statement touches.
pub(crate) struct Touches<'a> {
    few: [Option<Column<'a>>; FEW],
    more: Vec<Column<'a>>,
}

impl<'a> Touches<'a> {
    pub(crate) fn of(columns: impl Iterator<Item = Column<'a>>) -> Self {
        let mut columns = columns;
        let mut few = [None; FEW];
        for (slot, column) in few.iter_mut().zip(columns.by_ref()) {
            *slot = Some(column);
        }
        Self { few, more: columns.collect() }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Column<'a>> {
        self.few.iter().map_while(Option::as_ref).chain(&self.more)
    }
}

/// A base column that the statement touches.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column<'a> {
    pub(crate) name: &'a ColumnName,
    pub(crate) uses: &'a BTreeSet<Use>,
    pub(crate) classified: Option<Classified<'a>>,
}

/// Which entries of the map's `unknown:` apply; at least one does.
#[derive(Debug, Clone, Default)]
pub(crate) struct Doubts {
    pub(crate) functions: bool,
    pub(crate) dynamic_sql: bool,
    pub(crate) statements: bool,
    pub(crate) codes: BTreeSet<&'static str>,
}

impl<'a> Statement<'a> {
    pub(crate) fn new(
        map: &'a Map,
        database: &str,
        bound: &Bound,
        facts: &'a Facts,
        values: &'a dyn Values,
    ) -> Self {
        let entries = map.of(database);
        // In order of their names, so that those of a relation follow each other.
        let mut last: Option<(&RelationName, Option<&Relation>)> = None;
        let kinds = facts.runs().fold(kind_bit(facts.kind), |bits, kind| bits | kind_bit(kind));
        let mut sketch = Sketch { kind: kinds, ..Sketch::default() };
        for relation in &facts.relations {
            sketch.relations |= relation_bit(relation);
        }
        let column = |(name, uses): (&'a ColumnName, &'a BTreeSet<Use>)| {
            let entry = match last {
                Some((relation, entry)) if *relation == name.relation => entry,
                _ => {
                    sketch.relations |= relation_bit(&name.relation);
                    entries.and_then(|entries| entries.relations.get(&name.relation))
                }
            };
            last = Some((&name.relation, entry));
            let classified = map.classify_by(entry, name);
            if let Some(Classified { label, class }) = classified {
                sketch.classes |= class_bit(class.rank);
                sketch.labels |= label.map_or(0, label_bit);
            }
            Column { name, uses, classified }
        };
        let columns = Touches::of(facts.columns.iter().map(column));
        Self { facts, columns, sketch, values, at_most: false, doubt: doubts(bound, facts) }
    }

    pub(crate) fn column(&self, name: &ColumnName) -> Option<&Column<'a>> {
        self.columns.iter().find(|column| column.name == name)
    }

    pub(crate) fn unknown(&self) -> bool {
        self.doubt.is_some()
    }

    /// Whether it cannot return rows nor touch tables, so that its missing estimate says nothing.
    pub(crate) fn without_rows(&self) -> bool {
        !self.unknown() && matches!(self.facts.kind, Kind::Transaction | Kind::Session | Kind::Empty)
    }
}

fn doubts(bound: &Bound, facts: &Facts) -> Option<Doubts> {
    let mut doubts = Doubts::default();
    for reason in &facts.reasons {
        match reason.doubt {
            Doubt::Nothing => continue,
            Doubt::Function => doubts.functions = true,
            Doubt::DynamicSql => doubts.dynamic_sql = true,
            Doubt::Statement => doubts.statements = true,
        }
        doubts.codes.insert(reason.code);
    }
    let mut reached = facts.relations.iter().chain(facts.columns.keys().map(|column| &column.relation));
    if !bound.doubtful.is_empty() && reached.any(|relation| bound.doubtful.contains(relation)) {
        doubts.statements = true;
        doubts.codes.insert(MAP_ENTRY_MISSING);
    }
    let unknown = facts.certainty == Certainty::Unknown || facts.kind == Kind::Unknown;
    if unknown && doubts.codes.is_empty() {
        // Unknown without a word on why: the whole statement is in doubt.
        doubts.statements = true;
        doubts.codes.extend(facts.reasons.iter().map(|reason| reason.code));
    }
    (unknown || !doubts.codes.is_empty()).then_some(doubts)
}
