//! What tells of a row in which partition or child it is, and so of the columns by which those are kept apart: `tableoid`, a
//! partition's own name, what EXPLAIN ANALYZE counts in each, and errors of waiting for a row, which say where it is.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::Walker;
use super::scope::{Hit, Item, Source};
use super::uses::Uses;
use crate::catalog::{ColumnRef, RelationIndex, RelationKind};

/// The column that all tables have.
const TABLE: &str = "tableoid";

impl Walker<'_> {
    /// A name was looked for among these items.
    pub(super) fn kept_apart(&mut self, name: &str, items: &[Rc<Item>], uses: Uses) {
        if name != TABLE {
            return;
        }
        let catalog = self.catalog;
        for item in items.iter().filter(|item| item.hit(name, catalog) == Hit::System) {
            let Source::Relation { index, .. } = item.source else { continue };
            let Some(relation) = catalog.relation(index) else { continue };
            self.tells_of(&relation.parts, uses);
        }
    }

    /// Rows are read of what was named.
    pub(super) fn apart(&mut self, index: RelationIndex) {
        let catalog = self.catalog;
        let Some(relation) = catalog.relation(index) else { return };
        self.tells_of(&relation.apart, Uses::PREDICATE);
        if !self.explains {
            return;
        }
        self.tells_of(&relation.parts, Uses::PREDICATE);
        // Views and policies become part of the plan.
        let views = relation.reads_relations.iter().filter(|_| relation.kind == RelationKind::View);
        let policies = relation.policy_reads.iter().map(|(on, _)| on);
        let beneath: BTreeSet<RelationIndex> = views.chain(policies).copied().collect();
        for base in beneath.into_iter().filter_map(|base| catalog.relation(base)) {
            self.tells_of(&base.parts, Uses::PREDICATE);
        }
    }

    /// A name was looked for in the code of a trigger, which knows the table of its row.
    pub(super) fn apart_from_row(&mut self, name: &str) {
        let catalog = self.catalog;
        let row = self.body.row.filter(|_| matches!(name, "tg_relid" | "tg_relname" | "tg_table_name"));
        let Some(relation) = row.and_then(|row| catalog.relation(row.relation)) else { return };
        self.tells_of(&relation.apart, Uses::ROW);
        self.tells_of(&relation.parts, Uses::ROW);
    }

    /// Rows there are waited for: who is kept waiting too long is told in which table (lmgr.c, `XactLockTableWaitErrorCb`).
    pub(super) fn waits_apart(&mut self, index: RelationIndex) {
        let catalog = self.catalog;
        let Some(relation) = catalog.relation(index) else { return };
        self.tells_of(&relation.parts, Uses::HIDDEN);
    }

    /// The same of all that is read, where rows are locked.
    pub(super) fn locked_apart(&mut self) {
        if self.locks {
            self.relations.clone().into_iter().for_each(|index| self.waits_apart(index));
        }
    }

    fn tells_of(&mut self, columns: &[ColumnRef], uses: Uses) {
        for column in columns {
            if !self.budget.spend(1) {
                return self.doubt("too-complex");
            }
            self.touch_again(*column, uses);
            self.named(*column, uses, false);
        }
    }
}
