//! Whether the rows of one level of a query are in an order that the query itself settles.

use std::collections::HashSet;
use std::rc::Rc;

use sqlparser::ast::{
    BinaryOperator, Distinct, Expr, GroupByExpr, Join, JoinConstraint, JoinOperator, OrderBy, OrderByKind,
    Select, SelectItem, SelectItemQualifiedWildcardKind, TableFactor, TableWithJoins,
};

use super::{PLAIN, conjuncts, is_comparison, is_given, is_literal, is_value, makes_one_row};
use crate::catalog::{ColumnRef, Relation, RelationKind};
use crate::walk::Walker;
use crate::walk::query::ordinal;
use crate::walk::scope::{Hit, Item, Source, folded};

/// A column of one of the items of FROM.
type At = (usize, usize);

/// What is equal for the rows of a level: a column, and another, or what is the same for all.
struct Equal(At, Option<At>);

/// One level of a query.
pub(super) struct Level<'l, 'c> {
    pub(super) walker: &'l Walker<'c>,
    pub(super) items: &'l [Rc<Item>],
}

impl Level<'_, '_> {
    /// The column that an expression is.
    fn at(&self, expr: &Expr) -> Option<At> {
        let catalog = self.walker.catalog;
        let column = |hit: Hit| match hit {
            Hit::Columns(columns) => <[ColumnRef; 1]>::try_from(columns).ok().map(|[(_, at)]| at),
            _ => None,
        };
        match expr {
            Expr::Nested(inner) => self.at(inner),
            Expr::Identifier(name) => {
                let name = folded(name);
                let mut hits =
                    self.items.iter().enumerate().map(|(at, item)| (at, item.bare(&name, catalog)));
                let (at, hit) = hits.find(|(_, hit)| *hit != Hit::Miss)?;
                if hits.any(|(_, hit)| hit != Hit::Miss) { None } else { Some((at, column(hit)?)) }
            }
            Expr::CompoundIdentifier(parts) => {
                let [alias, name] = parts.as_slice() else { return None };
                let alias = folded(alias);
                let at = self.items.iter().position(|item| item.alias.as_deref() == Some(&*alias))?;
                Some((at, column(self.items.get(at)?.hit(&folded(name), catalog))?))
            }
            _ => None,
        }
    }

    fn relation(&self, item: usize) -> Option<&Relation> {
        match self.items.get(item)?.source {
            Source::Relation { index, .. } => {
                self.walker.catalog.relation(index).filter(|it| it.kind != RelationKind::View)
            }
            _ => None,
        }
    }

    fn type_of(&self, (item, at): At) -> Option<u32> {
        Some(self.relation(item)?.columns.get(at)?.of.0)
    }

    /// Columns without which the rows cannot be had: those that are compared with what does not hang on them, and those put
    /// out where nobody can leave them out.
    pub(super) fn needs(&self, select: &Select, outermost: bool) -> Vec<HashSet<usize>> {
        let mut needs: Vec<HashSet<usize>> = vec![HashSet::new(); self.items.len()];
        let mut add = |(item, at): At| {
            if let Some(needs) = needs.get_mut(item) {
                let _: bool = needs.insert(at);
            }
        };
        for condition in conjuncts(select.selection.as_ref()) {
            let Expr::BinaryOp { left, op, right } = condition else { continue };
            if !is_comparison(op) {
                continue;
            }
            match (self.at(left), self.at(right)) {
                (Some(at), None) if is_value(right) => add(at),
                (None, Some(at)) if is_value(left) => add(at),
                _ => {}
            }
        }
        let whole =
            |item: usize| (0..self.relation(item).map_or(0, |it| it.columns.len())).map(move |at| (item, at));
        for item in select.projection.iter().filter(|_| outermost) {
            match item {
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, alias: _ } => {
                    self.at(expr).into_iter().for_each(&mut add);
                }
                SelectItem::Wildcard(_) => (0..self.items.len()).flat_map(whole).for_each(&mut add),
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                    let [part] = name.0.as_slice() else { continue };
                    let alias = part.as_ident().map(folded);
                    let of = self.items.iter().position(|item| item.alias.as_deref() == alias.as_deref());
                    of.into_iter().flat_map(whole).for_each(&mut add);
                }
                _ => {}
            }
        }
        needs
    }

    /// Whether the order of what the level puts out is the statement's own: one row, or sorted by what no two of them share.
    pub(super) fn settles(
        &self,
        from: &[TableWithJoins],
        selection: Option<&Expr>,
        order: Option<&OrderBy>,
        select: &Select,
    ) -> bool {
        if makes_one_row(select) {
            return true;
        }
        let sorted: Vec<At> = self.sorted(order, select);
        let GroupByExpr::Expressions(groups, _) = &select.group_by else { return false };
        let listed = |item: &SelectItem| match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, alias: _ } => {
                Some(expr.clone())
            }
            _ => None,
        };
        let keys: Option<Vec<Expr>> = match &select.distinct {
            Some(Distinct::Distinct) => select.projection.iter().map(listed).collect(),
            _ => Some(groups.clone()),
        };
        let Some(keys) = keys else { return false };
        if keys.is_empty() {
            return self.is_determined(from, selection, &sorted, self.items.len());
        }
        keys.iter().all(|key| self.meant(key, select).is_some_and(|at| sorted.contains(&at)))
    }

    /// The columns by which ORDER BY sorts.
    fn sorted(&self, order: Option<&OrderBy>, select: &Select) -> Vec<At> {
        let Some(OrderBy { kind: OrderByKind::Expressions(exprs), .. }) = order else { return Vec::new() };
        exprs.iter().filter_map(|order| self.meant(&order.expr, select)).collect()
    }

    /// The column that an item of ORDER BY or GROUP BY means: a number or name of the output, or one of FROM.
    fn meant(&self, expr: &Expr, select: &Select) -> Option<At> {
        match expr {
            Expr::Value(value) => self.at(ordinal(&value.value, &select.projection)?),
            Expr::Identifier(name) => {
                let name = folded(name);
                let renamed = select.projection.iter().find_map(|item| match item {
                    SelectItem::ExprWithAlias { expr, alias } if folded(alias) == name => Some(expr),
                    _ => None,
                });
                let meant = self.at(expr);
                // By either way it must be the same.
                renamed.map_or(meant, |renamed| {
                    self.at(renamed).filter(|at| meant.is_none_or(|other| other == *at))
                })
            }
            other => self.at(other),
        }
    }

    /// Whether, given what rows are sorted by, there is one row at most. `count`: of so many of the items.
    pub(super) fn is_determined(
        &self,
        from: &[TableWithJoins],
        selection: Option<&Expr>,
        sorted: &[At],
        count: usize,
    ) -> bool {
        let Some(equal) = self.equalities(from, selection) else { return false };
        let mut fixed: HashSet<At> = sorted.iter().copied().collect();
        let mut done: HashSet<usize> = HashSet::new();
        loop {
            let before = (fixed.len(), done.len());
            for Equal(at, to) in &equal {
                if to.is_none_or(|to| fixed.contains(&to) || done.contains(&to.0)) {
                    fixed.insert(*at);
                }
            }
            for item in 0..self.items.len() {
                let Some(relation) = self.relation(item) else { continue };
                let children: Vec<_> = relation
                    .children
                    .iter()
                    .filter_map(|child| self.walker.catalog.relation(*child))
                    .collect();
                if relation.row_keys(&children).any(|key| key.iter().all(|at| fixed.contains(&(item, *at)))) {
                    done.insert(item);
                }
            }
            if before == (fixed.len(), done.len()) {
                return count > 0 && self.items.len() == done.len();
            }
        }
    }

    /// What conditions make equal; `None` where joins keep rows of their left side that have no match, or are not understood.
    fn equalities(&self, from: &[TableWithJoins], selection: Option<&Expr>) -> Option<Vec<Equal>> {
        let mut equal = Vec::new();
        let mut next = 0;
        let is_table = |factor: &TableFactor| matches!(factor, TableFactor::Table { args: None, .. });
        // Of UPDATE and DELETE the target comes first.
        let own: usize = from.iter().map(|it| 1 + it.joins.len()).sum();
        next += self.items.len().checked_sub(own)?;
        for TableWithJoins { relation, joins } in from {
            is_table(relation).then_some(())?;
            next += 1;
            for Join { relation, join_operator, global: _ } in joins {
                is_table(relation).then_some(())?;
                let (constraint, only) = match join_operator {
                    JoinOperator::Join(it) | JoinOperator::Inner(it) | JoinOperator::CrossJoin(it) => {
                        (it, None)
                    }
                    JoinOperator::Left(it) | JoinOperator::LeftOuter(it) => (it, Some(next)),
                    _ => return None,
                };
                if let JoinConstraint::On(condition) = constraint {
                    let more = self.equal(Some(condition));
                    equal.extend(more.filter(|Equal((item, _), _)| only.is_none_or(|only| only == *item)));
                }
                next += 1;
            }
        }
        equal.extend(self.equal(selection));
        Some(equal)
    }

    fn equal(&self, condition: Option<&Expr>) -> impl Iterator<Item = Equal> {
        let mut equal = Vec::new();
        for condition in conjuncts(condition) {
            let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = condition else { continue };
            for (one, other) in [(left, right), (right, left)] {
                let Some(at) = self.at(one) else { continue };
                let of = self.type_of(at);
                match self.at(other) {
                    Some(to) if of.is_some() && of == self.type_of(to) => equal.push(Equal(at, Some(to))),
                    None if is_literal(other)
                        || is_given(other) && of.is_some_and(|of| PLAIN.contains(&of)) =>
                    {
                        equal.push(Equal(at, None));
                    }
                    _ => {}
                }
            }
        }
        equal.into_iter()
    }
}
