//! How much a query returns, from its shape and the catalog's statistics.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, Expr, Function, GroupByExpr, LimitClause, ObjectName, Query, Select, SelectItem, SetExpr,
    TableFactor, Value, visit_expressions,
};
use stepgate_types::{BulkShape, Estimator};

use super::Walker;
use super::scope::folded;
use crate::builtin;
use crate::catalog::{RelationIndex, RelationKind};

/// A LIMIT above this many rows does not make a query small.
const LARGE_LIMIT: u64 = 1_000;

/// An upper bound of rows, and whose it is: what somebody typed is a literal, of which records tell no more than the size.
#[derive(Debug, Clone, Copy)]
pub(super) struct AtMost {
    pub(super) rows: u64,
    pub(super) by: Estimator,
}

impl AtMost {
    const fn counted(rows: u64) -> Self {
        Self { rows, by: Estimator::Catalog }
    }

    const fn typed(rows: u64) -> Self {
        Self { rows, by: Estimator::Statement }
    }

    fn and(self, other: Self) -> Self {
        Self { rows: self.rows.saturating_add(other.rows), by: self.by.max(other.by) }
    }
}

impl Walker<'_> {
    /// How many relations it names, where no row of one can be another's as well; else 0.
    pub(super) fn named_apart(&self) -> usize {
        let children =
            |index: &RelationIndex| self.catalog.relation(*index).map_or(&[][..], |it| &it.children);
        let mut seen = BTreeSet::new();
        let mut all = self.named.iter().flat_map(|index| std::iter::once(index).chain(children(index)));
        if all.all(|index| seen.insert(*index)) { self.named.len() } else { 0 }
    }

    /// The bulk shape of a whole query and an upper bound of its rows. To be asked after walking it.
    pub(super) fn size(&self, query: &Query) -> (BulkShape, Option<AtMost>) {
        let limit = limit(query);
        let (whole, rows) = self.body_size(&query.body);
        // A CTE may hide a table of its name.
        let rows = rows.filter(|_| query.with.is_none());
        let estimate = match (rows, limit) {
            (Some(bound), Some(limit)) if bound.rows <= limit => Some(bound),
            (_, Some(limit)) => Some(AtMost::typed(limit)),
            (bound, None) => bound,
        };
        let limit = limit.filter(|_| !collects(&query.body));
        let shape = match limit {
            Some(limit) if limit <= LARGE_LIMIT => BulkShape::None,
            Some(_) if !self.relations.is_empty() => BulkShape::LargeLimit,
            _ if whole => BulkShape::WholeTable,
            _ => BulkShape::None,
        };
        (shape, estimate)
    }

    /// Whether it returns a table unrestricted, and an upper bound of its rows.
    fn body_size(&self, body: &SetExpr) -> (bool, Option<AtMost>) {
        match body {
            SetExpr::Select(select) => self.select_size(select),
            SetExpr::Query(query) => {
                let (shape, rows) = self.size(query);
                (shape == BulkShape::WholeTable, rows)
            }
            SetExpr::SetOperation { left, right, .. } => {
                let (left_whole, left) = self.body_size(left);
                let (right_whole, right) = self.body_size(right);
                let sum = left.zip(right).map(|(left, right)| left.and(right));
                (left_whole || right_whole, sum)
            }
            SetExpr::Values(values) => (false, u64::try_from(values.rows.len()).ok().map(AtMost::typed)),
            _ => (false, None),
        }
    }

    fn select_size(&self, select: &Select) -> (bool, Option<AtMost>) {
        let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(exprs, _) if exprs.is_empty());
        let aggregates = |name: &ObjectName| self.aggregates(name);
        let collected = select.projection.iter().any(|item| is_item(item, &collects_by_name));
        // In groups of its own values, or in one value, a table is shown as a whole all the same.
        let shown = collected || !select.projection.iter().any(|item| is_item(item, &aggregates));
        let all = select.selection.as_ref().is_none_or(lets_all_through) && !self.relations.is_empty();
        if !grouped && !self.returns_sets && select.projection.iter().any(|item| is_item(item, &aggregates)) {
            return (all && collected && !select.from.is_empty(), Some(AtMost::counted(1)));
        }
        let whole = all && (!grouped || shown);
        let rows = match select.from.as_slice() {
            _ if self.returns_sets => None,
            [] => Some(AtMost::counted(1)),
            [table] if table.joins.is_empty() => self.table_rows(&table.relation).map(AtMost::counted),
            _ => None,
        };
        (whole && !select.from.is_empty(), rows)
    }

    /// Whether a call is surely of an aggregate: of one of somebody's by the name of a server's, if all of them are.
    fn aggregates(&self, name: &ObjectName) -> bool {
        let parts: Vec<_> = name.0.iter().filter_map(|part| part.as_ident()).map(folded).collect();
        let Some((name, schema)) = parts.split_last() else { return false };
        let of_server = match schema.last() {
            Some(schema) => schema == "pg_catalog",
            None => self.is_of_server(name),
        };
        let users = self.catalog.routines(name);
        let of_users = !self.catalog.is_user_type(name) && !users.is_empty();
        builtin::aggregates(name) && (of_server || (of_users && users.iter().all(|(_, it)| it.goes_on)))
    }

    /// Statistics of a base table that is the only thing in FROM, with no CTE that could hide it.
    fn table_rows(&self, factor: &TableFactor) -> Option<u64> {
        let TableFactor::Table { name, args: None, .. } = factor else { return None };
        let parts: Option<Vec<String>> =
            name.0.iter().map(|part| part.as_ident().map(|ident| folded(ident).into_owned())).collect();
        let index = self.lookup(&parts?)?;
        let relation = self.catalog.relation(index)?;
        if !self.relations.contains(&index) || relation.kind == RelationKind::View {
            return None;
        }
        relation
            .children
            .iter()
            .try_fold(relation.rows.or((!relation.children.is_empty()).then_some(0))?, |sum, child| {
                Some(sum.saturating_add(self.catalog.relation(*child)?.rows?))
            })
    }
}

/// The rows that a literal LIMIT or FETCH lets through.
fn limit(query: &Query) -> Option<u64> {
    let limit = match &query.limit_clause {
        Some(LimitClause::LimitOffset { limit: Some(Expr::Value(value)), .. }) => literal(&value.value),
        _ => None,
    };
    let fetch =
        query.fetch.as_ref().filter(|fetch| !fetch.with_ties).and_then(|fetch| match &fetch.quantity {
            None => Some(1),
            Some(Expr::Value(value)) => literal(&value.value),
            Some(_) => None,
        });
    limit.or(fetch)
}

fn literal(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number, _) => number.parse().ok(),
        _ => None,
    }
}

/// Whether a condition surely, or most likely, lets every row through: one that names no column (`true`, `1 = 1`), that
/// compares a column with itself or with null. How much any other lets through is a matter of the estimate.
fn lets_all_through(condition: &Expr) -> bool {
    match condition {
        Expr::Nested(inner) => lets_all_through(inner),
        Expr::IsNotNull(_) => true,
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            lets_all_through(left) && lets_all_through(right)
        }
        Expr::BinaryOp { left, op: BinaryOperator::Or, right } => {
            lets_all_through(left) || lets_all_through(right)
        }
        Expr::BinaryOp { left, right, .. } if left == right => true,
        _ => !names_columns(condition),
    }
}

fn names_columns(expr: &Expr) -> bool {
    let names = |expr: &Expr| match expr {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    visit_expressions(expr, names).is_break()
}

/// Whether a query puts all values of a column into one: what LIMIT leaves of its rows may be everything.
fn collects(body: &SetExpr) -> bool {
    let SetExpr::Select(select) = body else { return false };
    select.projection.iter().any(|item| is_item(item, &collects_by_name))
}

/// Whatever else has that name.
fn collects_by_name(name: &ObjectName) -> bool {
    name.0.last().and_then(|part| part.as_ident()).is_some_and(|name| builtin::collects(&folded(name)))
}

/// Whether a select item is an aggregate of these over all rows, or an expression around one.
fn is_item(item: &SelectItem, of: &impl Fn(&ObjectName) -> bool) -> bool {
    let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, alias: _ }) = item else {
        return false;
    };
    is_aggregate(expr, of)
}

fn is_aggregate(expr: &Expr, of: &impl Fn(&ObjectName) -> bool) -> bool {
    match expr {
        Expr::Function(Function { name, over: None, .. }) => of(name),
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => is_aggregate(inner, of),
        _ => false,
    }
}
