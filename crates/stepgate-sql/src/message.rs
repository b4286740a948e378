//! The facts of a whole message: what a decision is about.

use std::collections::{BTreeMap, BTreeSet};

use stepgate_types::{BulkShape, Certainty, ColumnName, Kind, RelationName, Use};

use crate::{Effect, Facts, Reason, Sink};

/// The union of the facts of a message's statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Kinds of its statements.
    pub kinds: BTreeSet<Kind>,
    /// The worst certainty.
    pub certainty: Certainty,
    /// Every reason.
    pub reasons: BTreeSet<Reason>,
    /// Every base relation.
    pub relations: BTreeSet<RelationName>,
    /// Every base column with all its uses.
    pub columns: BTreeMap<ColumnName, BTreeSet<Use>>,
    /// Every function.
    pub functions: BTreeSet<String>,
    /// Every sink.
    pub sinks: BTreeSet<Sink>,
    /// The most severe shape.
    pub bulk: BulkShape,
    /// The sum of the statements' estimates; `None` if any is unknown.
    pub estimate: Option<u64>,
    /// Whether every statement is proven to change nothing.
    pub read_only: bool,
    /// Effects of any statement.
    pub effect: Effect,
}

impl Message {
    /// The union of these. Of none: an empty message, exact and read-only.
    #[must_use]
    pub fn of(statements: &[Facts]) -> Self {
        let mut message = Self {
            kinds: BTreeSet::new(),
            certainty: Certainty::Exact,
            reasons: BTreeSet::new(),
            relations: BTreeSet::new(),
            columns: BTreeMap::new(),
            functions: BTreeSet::new(),
            sinks: BTreeSet::new(),
            bulk: BulkShape::None,
            estimate: Some(0),
            read_only: true,
            effect: Effect::default(),
        };
        for facts in statements {
            message.add(facts);
        }
        message
    }

    fn add(&mut self, facts: &Facts) {
        self.kinds.insert(facts.kind);
        self.certainty = self.certainty.max(facts.certainty);
        self.reasons.extend(facts.reasons.iter().copied());
        self.relations.extend(facts.relations.iter().cloned());
        for (column, uses) in &facts.columns {
            self.columns.entry(column.clone()).or_default().extend(uses.iter().copied());
        }
        self.functions.extend(facts.functions.iter().cloned());
        self.sinks.extend(facts.sinks.iter().cloned());
        self.bulk = self.bulk.max(facts.bulk);
        self.estimate = self.estimate.zip(facts.estimate).map(|(sum, more)| sum.saturating_add(more));
        self.read_only &= facts.read_only;
        self.effect.session |= facts.effect.session;
        self.effect.catalog |= facts.effect.catalog;
        self.effect.transaction |= facts.effect.transaction;
        self.effect.moves |= facts.effect.moves;
        self.effect.names.extend(facts.effect.names.iter().cloned());
    }
}
