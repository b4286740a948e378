//! What each column of a view shows, and what the view reads whichever of them is asked for.

use std::collections::HashSet;

use sqlparser::ast::{GroupByExpr, Query, Select, SelectItem, SetExpr, Statement};
use stepgate_types::Kind;

use super::Walker;
use super::compare::{Compared, SOMEHOW, note};
use super::query::is_bare;
use super::scope::Place;
use crate::catalog::{Catalog, ColumnRef};
use crate::facts::Doubt;
use crate::grammar::Tree;
use crate::lexer::{self, Numbers};
use crate::predicate::Pair;
use crate::read;
use crate::session::SessionState;

/// The columns that a view names, of tables and of other views.
pub(crate) struct ViewColumns {
    /// Outside its select list: conditions, joins, groups, orders, subqueries of FROM.
    pub(crate) always: Vec<ColumnRef>,
    /// How these are compared.
    pub(crate) compared: Vec<(ColumnRef, Vec<Pair>)>,
    /// In each item of its select list.
    pub(crate) each: Vec<ViewColumn>,
    /// One of them is a column of the server's own that shows what others do, a password, or values.
    pub(crate) shows_secrets: bool,
    /// The server makes it part of the query that reads it, if it is no security barrier.
    pub(crate) merges: bool,
}

impl ViewColumns {
    /// How many columns and comparisons there are in it.
    pub(crate) fn size(&self) -> usize {
        let pairs =
            |compared: &[(ColumnRef, Vec<Pair>)]| compared.iter().map(|it| it.1.len() + 1).sum::<usize>();
        let each = self.each.iter().map(|it| it.reads.len() + pairs(&it.compared));
        self.always.len() + pairs(&self.compared) + each.sum::<usize>()
    }
}

/// The columns that an item of a view's select list names.
pub(crate) struct ViewColumn {
    pub(crate) reads: Vec<ColumnRef>,
    /// How these are compared in it.
    pub(crate) compared: Vec<(ColumnRef, Vec<Pair>)>,
    /// It is a name and nothing else.
    pub(crate) bare: bool,
}

/// Reads a definition as `pg_get_viewdef` prints it under `search_path = pg_catalog`. None: it is one of those of
/// which only the whole can be told (set operations, DISTINCT, WITH), or not everything in it is understood.
pub(crate) fn view(definition: &str, catalog: &Catalog) -> Option<ViewColumns> {
    let tokens = lexer::tokens(definition, Numbers::Decimal).ok()?;
    let tokens = tokens.split(|token| token.kind.is_punct(b';')).next()?;
    let tree = Tree::parse(definition).ok()?;
    let [command] = *tree.commands().as_slice() else { return None };
    let (statement, _) = read::statement(tokens, Some(command.node)).ok()?;
    let Statement::Query(query) = &statement else { return None };
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    if query.with.is_some() || select.distinct.is_some() {
        return None;
    }
    let session = SessionState::with_search_path(["pg_catalog"]);
    let mut walker = Walker::new(catalog, &session);
    walker.split(query);
    walker.statement(&statement, Place::default());
    walker.marked();
    walker.computed_always();
    let understood = walker.reasons.iter().all(|reason| reason.doubt == Doubt::Nothing);
    // A function that returns sets multiplies the rows whichever column is asked for.
    if !understood || walker.returns_sets || !walker.called.is_empty() || walker.kind != Kind::Select {
        return None;
    }
    // What a subquery puts out may be what the view shows, and compared through it. What groups counts as a predicate.
    let given = walker.given().into_iter().collect::<HashSet<_>>();
    for column in walker.columns.keys() {
        if given.contains(column) || !walker.compared.contains_key(column) {
            note(&mut walker.compared, *column, &[SOMEHOW]);
        }
    }
    let (each, compared) = (walker.split.each.take()?, std::mem::take(&mut walker.split.compared));
    if each.len() != select.projection.len() || each.len() != compared.len() {
        return None;
    }
    let is_computed_apart = walker.has_windows || walker.is_volatile;
    let is_bare = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, alias: _ } => is_bare(expr),
        _ => false,
    };
    let named = each.iter().flat_map(|touched| touched.keys()).chain(walker.columns.keys());
    let is_secret =
        |column: &ColumnRef| walker.is_secret(*column) || catalog.missing_values(*column).is_some();
    let shows_secrets = named.into_iter().any(is_secret);
    let each = each.into_iter().zip(compared).zip(&select.projection).map(|((touched, compared), item)| {
        let reads: Vec<_> = touched.into_keys().collect();
        ViewColumn { compared: below(compared, &reads, catalog), reads, bare: is_bare(item) }
    });
    let each: Vec<ViewColumn> = each.collect();
    // Where a column stands as it is, and nothing is grouped, there are no aggregates.
    let has_rows = each.iter().any(|column| column.bare && !column.reads.is_empty());
    let merges = has_rows && !is_computed_apart && is_simple(query, select);
    let always: Vec<_> = walker.columns.into_keys().collect();
    Some(ViewColumns {
        compared: below(walker.compared, &always, catalog),
        always,
        each,
        shows_secrets,
        merges,
    })
}

/// Whether it has nothing but a list, FROM and WHERE (prepjointree.c, `is_simple_subquery`).
fn is_simple(query: &Query, select: &Select) -> bool {
    let is_grouped = !matches!(&select.group_by, GroupByExpr::Expressions(exprs, _) if exprs.is_empty());
    let is_cut = query.order_by.is_some() || query.limit_clause.is_some() || query.fetch.is_some();
    !select.from.is_empty() && !is_grouped && select.having.is_none() && !is_cut && query.locks.is_empty()
}

/// With what views compare that these are columns of. The text is the view's: its values are nowhere else.
fn below(mut compared: Compared, columns: &[ColumnRef], catalog: &Catalog) -> Vec<(ColumnRef, Vec<Pair>)> {
    for (column, pairs) in columns.iter().flat_map(|column| catalog.compared(*column)) {
        note(&mut compared, *column, pairs);
    }
    let elsewhere =
        |pairs: Vec<Pair>| pairs.into_iter().map(|(op, operand)| (op, operand.elsewhere())).collect();
    compared.into_iter().map(|(column, pairs)| (column, elsewhere(pairs))).collect()
}
