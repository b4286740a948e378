//! With what keys are compared that a write looks up: what they tell, they tell by failing.

use std::collections::HashMap;

use sqlparser::ast::{Expr, Values};

use super::Walker;
use super::compare::{Comparing, SOMEHOW};
use super::query::is_expanded;
use super::uses::Uses;
use crate::catalog::{ColumnRef, Relation, RelationIndex, Unique};
use crate::predicate::{Comparison, MAX_OF_COLUMN, Operand, Pair, ValuePlace};

/// Equal to something that is not known.
pub(super) const EQUALS: Pair = (Comparison::Eq, Operand::EXPRESSION);

/// How keys are compared with what columns are given.
#[derive(Default)]
pub(super) struct Probes {
    /// By their positions in the relation that is written.
    given: HashMap<usize, Vec<Pair>>,
    /// A trigger may give them something else.
    altered: bool,
}

impl Probes {
    /// Of a column of the relation or of one of its children.
    fn of(&self, column: usize, of: &Relation, parent: &Relation) -> &[Pair] {
        let name = of.columns.get(column).map(|column| column.name.as_str());
        let at = name.and_then(|name| parent.column(name));
        at.and_then(|at| self.given.get(&at)).map_or(&[EQUALS], Vec::as_slice)
    }
}

impl Walker<'_> {
    /// What an INSERT of VALUES gives the columns named (all, if none).
    pub(super) fn given_by(
        &self,
        index: RelationIndex,
        named: &[Vec<String>],
        values: Option<&Values>,
    ) -> Probes {
        let mut probes = self.none_given(index);
        let Some(values) = values else { return probes };
        let rows = || values.rows.iter().map(|row| row.content.as_slice());
        if rows().any(|row| row.iter().any(is_expanded)) {
            return probes;
        }
        for (at, column) in self.positions(index, named).into_iter().enumerate() {
            let whole = named.get(at).is_none_or(|parts| parts.len() == 1);
            let given = rows().filter_map(|row| row.get(at)).take(MAX_OF_COLUMN + 1);
            for value in given {
                self.given_one(index, column, whole.then_some(value), &mut probes);
            }
        }
        probes
    }

    /// Nothing is known yet of what a write gives.
    pub(super) fn none_given(&self, index: RelationIndex) -> Probes {
        let fires = |at: RelationIndex| self.catalog.relation(at).is_some_and(|it| !it.triggers.is_empty());
        let children = self.catalog.relation(index).map_or(&[][..], |relation| relation.children.as_slice());
        let altered = fires(index) || children.iter().any(|child| fires(*child));
        Probes { given: HashMap::new(), altered }
    }

    /// A column is given a value, or something that is made of it.
    pub(super) fn given_one(
        &self,
        index: RelationIndex,
        column: usize,
        value: Option<&Expr>,
        probes: &mut Probes,
    ) {
        let Some(relation) = self.catalog.relation(index) else { return };
        let value = value.filter(|_| !probes.altered);
        let keeps = relation.columns.get(column).is_some_and(|column| column.of.keeps_numbers());
        let mut operand = value.map_or(Operand::EXPRESSION, |value| self.operand(value));
        operand.value = operand.value.filter(|_| keeps).map(|place| ValuePlace { rounded: true, ..place });
        probes.given.entry(column).or_default().push((Comparison::Eq, operand));
    }

    /// Columns are compared so, and what they hold shows in an error only.
    pub(super) fn probes(&mut self, columns: impl IntoIterator<Item = ColumnRef>, pairs: &[Pair]) {
        for column in columns {
            self.comparing(Comparing::By(pairs.to_vec()), |walker| {
                walker.touch_all([column], Uses::HIDDEN | Uses::PREDICATE);
            });
        }
    }

    /// A unique key of the relation that is written or of one of its children.
    pub(super) fn probes_key(
        &mut self,
        member: RelationIndex,
        key: &Unique,
        parent: &Relation,
        probes: &Probes,
    ) {
        let Some(relation) = self.catalog.relation(member) else { return };
        for at in &key.columns {
            let pairs = if key.plain { probes.of(*at, relation, parent) } else { &[SOMEHOW] };
            self.probes([(member, *at)], pairs);
        }
    }

    /// A foreign key of it.
    pub(super) fn probes_foreign(
        &mut self,
        member: RelationIndex,
        own: &[usize],
        theirs: &[ColumnRef],
        parent: &Relation,
        probes: &Probes,
    ) {
        let Some(relation) = self.catalog.relation(member) else { return };
        // It is compared as the key that it refers to is.
        let all_in = |key: &&Unique| theirs.iter().all(|(_, at)| key.columns.contains(at));
        theirs.iter().for_each(|(target, _)| self.runs_when_planned(*target));
        let target = theirs.first().and_then(|(target, _)| self.catalog.relation(*target));
        let mut keys = target.into_iter().flat_map(|it| &it.unique).filter(all_in).peekable();
        let plain = keys.peek().is_some() && keys.all(|key| key.plain);
        if own.len() != theirs.len() || !plain {
            return self.probes(theirs.iter().copied(), &[SOMEHOW]);
        }
        for (at, target) in own.iter().zip(theirs) {
            self.probes([*target], probes.of(*at, relation, parent));
        }
    }
}
