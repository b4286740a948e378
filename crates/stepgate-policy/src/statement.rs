//! A statement as rules see it: its facts with the map laid over them.

use std::collections::BTreeSet;

use stepgate_sql::{Doubt, Facts, Values};
use stepgate_types::{Certainty, ColumnName, Kind, Use};

use crate::map::{Classified, Map};
use crate::policy::Rule;
use crate::truth::Truth;
use crate::{Bound, Circumstances};

/// The code of the doubt that an entry of the map which names nothing casts on its table.
pub(crate) const MAP_ENTRY_MISSING: &str = "map-entry-missing";

/// A statement with the map laid over its facts.
pub(crate) struct Statement<'a> {
    pub(crate) facts: &'a Facts,
    /// In order of their names.
    pub(crate) columns: Vec<Column<'a>>,
    /// What it compares with.
    pub(crate) values: &'a dyn Values,
    /// Its estimate is only an upper bound: whether that reaches a threshold is then open.
    pub(crate) at_most: bool,
    /// What is in doubt: `None` nothing.
    pub(crate) doubt: Option<Doubts>,
    /// The truth of each rule's condition, where it is told and not found out (`recorded`).
    pub(crate) told: Option<&'a [Truth]>,
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
        let column = |(name, uses): (&'a ColumnName, &'a BTreeSet<Use>)| Column {
            name,
            uses,
            classified: map.classify(database, name),
        };
        let columns = facts.columns.iter().map(column).collect();
        Self { facts, columns, values, at_most: false, doubt: doubts(bound, facts), told: None }
    }

    /// The same once more.
    pub(crate) fn again(&self) -> Self {
        Self { facts: self.facts, columns: self.columns.clone(), doubt: self.doubt.clone(), ..*self }
    }

    /// Whether the rule at this place holds.
    pub(crate) fn meets(&self, index: usize, rule: &Rule, who: &Circumstances) -> Truth {
        match self.told {
            Some(told) => told.get(index).copied().unwrap_or(Truth::Maybe),
            None => rule.condition.holds(self, who),
        }
    }

    pub(crate) fn column(&self, name: &ColumnName) -> Option<&Column<'a>> {
        let at = self.columns.binary_search_by(|column| column.name.cmp(name)).ok()?;
        self.columns.get(at)
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
