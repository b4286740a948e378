//! What each column of a view shows, and what the view reads whichever of them is asked for.

use sqlparser::ast::{SelectItem, SetExpr, Statement};
use stepgate_types::Kind;

use super::Walker;
use super::query::is_bare;
use super::scope::Place;
use crate::catalog::{Catalog, ColumnRef};
use crate::facts::Doubt;
use crate::grammar::Tree;
use crate::session::SessionState;
use crate::{lexer, read};

/// The columns that a view names, of tables and of other views.
pub(crate) struct ViewColumns {
    /// Outside its select list: conditions, joins, groups, orders, subqueries of FROM.
    pub(crate) always: Vec<ColumnRef>,
    /// In each item of its select list.
    pub(crate) each: Vec<Vec<ColumnRef>>,
    /// Whether each of them is a name and nothing else.
    pub(crate) bare: Vec<bool>,
}

/// Reads a definition as `pg_get_viewdef` prints it under `search_path = pg_catalog`. None: it is one of those of
/// which only the whole can be told (set operations, DISTINCT, WITH), or not everything in it is understood.
pub(crate) fn view(definition: &str, catalog: &Catalog) -> Option<ViewColumns> {
    let tokens = lexer::tokens(definition).ok()?;
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
    let understood = walker.reasons.iter().all(|reason| reason.doubt == Doubt::Nothing);
    // A function that returns sets multiplies the rows whichever column is asked for.
    if !understood || walker.returns_sets || !walker.called.is_empty() || walker.kind != Kind::Select {
        return None;
    }
    let each: Vec<_> = walker.split.each?.into_iter().map(|columns| columns.into_keys().collect()).collect();
    let is_bare = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, alias: _ } => is_bare(expr),
        _ => false,
    };
    let mut bare: Vec<bool> = select.projection.iter().map(is_bare).collect();
    if bare.len() != each.len() {
        bare = vec![false; each.len()];
    }
    Some(ViewColumns { always: walker.columns.into_keys().collect(), each, bare })
}
