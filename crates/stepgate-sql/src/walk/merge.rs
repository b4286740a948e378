//! MERGE: the writes of its actions, each over the rows of target and source.

use std::rc::Rc;

use sqlparser::ast::{
    Merge, MergeAction, MergeClause, MergeClauseKind, MergeInsertExpr, MergeInsertKind, MergeUpdateExpr,
    MergeUpdateKind, OutputClause, TableWithJoins,
};

use super::Walker;
use super::scope::{Item, Output, Place, Scope};
use super::uses::Uses;
use crate::catalog::trigger::{DELETE, INSERT, UPDATE};
use crate::catalog::{ColumnRef, RelationIndex};
use crate::facts::{Sink, SinkKind};

impl Walker<'_> {
    /// In WHEN NOT MATCHED the target has no row and its columns no meaning (parse_merge.c,
    /// `setNamespaceForMergeWhen`); they are counted where a name may mean them.
    pub(super) fn merge(&mut self, merge: &Merge, place: Place<'_>) -> Output {
        let Merge { merge_token: _, optimizer_hints, into: _, table, source, on, clauses, output } = merge;
        let returning = match output {
            None => None,
            Some(OutputClause::Returning { returning_token: _, select_items }) => {
                Some(select_items.as_slice())
            }
            Some(OutputClause::Output { .. }) => {
                self.doubt("unsupported-statement");
                None
            }
        };
        if !optimizer_hints.is_empty() {
            self.doubt("unsupported-statement");
        }
        let Some((index, mut items)) = self.target_item(table, INSERT | UPDATE | DELETE) else {
            return Output::default();
        };
        let source = TableWithJoins { relation: source.clone(), joins: Vec::new() };
        let sources = self.from(&[source], &[], place);
        if clauses.iter().any(|clause| clause.clause_kind == MergeClauseKind::NotMatchedBySource) {
            // Whether there is one is asked of its whole row (prepjointree.c, `transform_MERGE_to_join`).
            let rows: Vec<_> = sources.iter().flat_map(|item| item.whole(self.catalog)).collect();
            self.computes(rows);
        }
        items.extend(sources);
        let scope = Scope { items: &items, outer: place.scope };
        // Of rows that are not matched there are conditions too.
        self.turned(|walker| walker.conditions([&**on], place.within(&scope)));
        let around = self.given();
        for clause in clauses {
            self.merge_clause(clause, index, &items, &around, place);
        }
        self.estimate = self.relation(Some(index)).and_then(|relation| relation.rows);
        self.returning(returning, &items, place)
    }

    fn merge_clause(
        &mut self,
        clause: &MergeClause,
        index: RelationIndex,
        items: &[Rc<Item>],
        around: &[ColumnRef],
        place: Place<'_>,
    ) {
        let MergeClause { when_token: _, clause_kind: _, predicate, action } = clause;
        let scope = Scope { items, outer: place.scope };
        let within = place.within(&scope);
        self.conditions(predicate, within);
        match action {
            MergeAction::DoNothing { .. } => {}
            MergeAction::Delete { .. } => self.deletes(index),
            MergeAction::Update(MergeUpdateExpr {
                update_token: _,
                kind: MergeUpdateKind::Set(assignments),
                update_predicate: None,
                delete_predicate: None,
            }) => self.assignments(assignments, index, items, around, place),
            MergeAction::Insert(MergeInsertExpr {
                insert_token: _,
                columns,
                kind_token: _,
                kind: MergeInsertKind::Values(values),
                insert_predicate: None,
            }) => {
                let mut given = self.gives(|walker| {
                    values.rows.iter().for_each(|row| walker.exprs(&row.content, within, Uses::OUTPUT));
                });
                given.extend(around);
                let named: Vec<Vec<String>> = columns.iter().map(|column| self.parts(column)).collect();
                let probes = self.given_by(index, &named, Some(values));
                self.inserts(index, &named, &probes);
                for column in self.positions(index, &named) {
                    self.flow((index, column), given.iter().copied());
                }
                self.sinks.insert(Sink { kind: SinkKind::Rows, relation: None });
                self.name_sink(index);
            }
            MergeAction::Update(_) | MergeAction::Insert(_) => self.doubt("unsupported-statement"),
        }
    }
}
