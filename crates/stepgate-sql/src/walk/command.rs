//! What commands besides queries and DML do to relations.

use std::collections::HashSet;

use stepgate_types::Use;

use super::Walker;
use super::probe::Probes;
use super::uses::Uses;
use crate::catalog::{Catalog, RelationIndex};
use crate::facts::Facts;
use crate::session::SessionState;
use crate::statement::Context;

/// Adds what COPY of these columns (all, if none) of a relation does.
pub(crate) fn copy(
    name: &[String],
    columns: Option<&[String]>,
    out: bool,
    catalog: &Catalog,
    session: &SessionState,
    facts: &mut Facts,
) {
    let mut walker = Walker::new(catalog, session);
    walker.copy(name, columns, out);
    walker.finish(facts);
}

/// Adds what runs, as in a query, where a command has expressions or converts values: operators and casts that nobody writes
/// out, and casts that are written. `stored`: the table in which it puts what comes of that.
pub(crate) fn computes(casts: bool, stored: Option<&[String]>, context: Context<'_>, facts: &mut Facts) {
    let mut walker = Walker::new(context.catalog, context.session);
    walker.budget = context.budget.clone();
    walker.runs_implied(&context.catalog.implied_operators());
    if casts {
        walker.runs_casts();
    }
    if walker.called.is_empty() && walker.reasons.is_empty() {
        return;
    }
    if let Some(table) = stored.and_then(|name| walker.lookup(name)) {
        walker.flows.entry(table).or_default();
    }
    walker.finish(facts);
}

/// Adds what it means that a command such as CREATE INDEX scans these columns of a relation: nothing is shown, but
/// it may fail by what it finds, and say so with the values.
pub(crate) fn scan(
    name: &[String],
    columns: &[String],
    catalog: &Catalog,
    session: &SessionState,
    facts: &mut Facts,
) {
    let mut walker = Walker::new(catalog, session);
    walker.scan(name, columns);
    walker.finish(facts);
}

/// Adds what it means that a foreign key is made to a relation whose columns are not named: it looks for values in
/// its primary key. Which of its keys that is, is not known, but that no column of it is ever NULL.
pub(crate) fn refers(name: &[String], context: Context<'_>, facts: &mut Facts) {
    let mut walker = Walker::new(context.catalog, context.session);
    walker.refers(name);
    walker.finish(facts);
}

/// Adds what VALIDATE CONSTRAINT does: whichever constraint that is, it scans columns of the relation, and, if it is a
/// foreign key, those referred to.
pub(crate) fn validates(name: &[String], context: Context<'_>, facts: &mut Facts) {
    let mut walker = Walker::new(context.catalog, context.session);
    walker.scan_all(name);
    if let Some(relation) = walker.lookup(name).and_then(|index| context.catalog.relation(index)) {
        let theirs = relation.refers.iter().flat_map(|(_, theirs)| theirs).copied();
        walker.touch_all(theirs, Uses::HIDDEN);
    }
    walker.finish(facts);
}

/// Adds what it means that rows are to be put in the order of an index of a relation.
pub(crate) fn orders(name: &[String], context: Context<'_>, facts: &mut Facts) {
    let mut walker = Walker::new(context.catalog, context.session);
    match walker.lookup(name).and_then(|index| Some((index, context.catalog.relation(index)?))) {
        Some((index, relation)) => {
            walker.touch_all(relation.indexed.iter().map(|at| (index, *at)), Uses::ORDERING);
        }
        None => walker.doubt("unknown-relation"),
    }
    walker.finish(facts);
}

/// Adds what it means that a command may scan a relation by expressions that are not known here.
pub(crate) fn scan_all(name: &[String], context: Context<'_>, facts: &mut Facts) {
    let mut walker = Walker::new(context.catalog, context.session);
    walker.scan_all(name);
    walker.finish(facts);
}

/// Adds what ALTER COLUMN TYPE does: it scans the column and those that USING names, and stores these in it. Expressions
/// that are stored are read anew.
pub(crate) fn converts(
    table: &[String],
    column: &str,
    using: &[String],
    context: Context<'_>,
    facts: &mut Facts,
) {
    let mut walker = Walker::new(context.catalog, context.session);
    walker.scan(table, &[column.to_owned()]);
    walker.scan(table, using);
    if let Some(index) = walker.lookup(table)
        && let Some(relation) = context.catalog.relation(index)
        && let Some(to) = relation.column(column)
    {
        let from = using.iter().filter_map(|name| relation.column(name)).map(|at| (index, at));
        walker.flow((index, to), from);
        // Its constraints and keys are checked anew.
        walker.failures(index, &[to], &[], &Probes::default());
        for member in std::iter::once(index).chain(relation.children.iter().copied()) {
            walker.reads_anew(member);
        }
    }
    walker.finish(facts);
}

/// Adds what a command does that reads literals as values of a relation's columns, and nothing else of it.
pub(crate) fn reads_literals(name: &[String], context: Context<'_>, facts: &mut Facts) {
    let mut walker = Walker::new(context.catalog, context.session);
    walker.reads_literals(name);
    walker.finish(facts);
}

/// Adds what a command does that may write a relation anew: it runs the functions of its indexes and defaults.
pub(crate) fn rewrites(name: &[String], context: Context<'_>, facts: &mut Facts) {
    let mut walker = Walker::new(context.catalog, context.session);
    walker.scan(name, &[]);
    let index = walker.lookup(name);
    let children = walker.relation(index).map_or(&[][..], |relation| relation.children.as_slice()).to_vec();
    for member in index.into_iter().chain(children) {
        walker.builds_anew(member);
    }
    walker.finish(facts);
}

/// What a command on tables computes anew.
#[derive(Clone, Copy)]
pub(crate) struct Anew {
    pub(crate) indexes: bool,
    pub(crate) statistics: bool,
    /// And puts the rows in the order of an index.
    pub(crate) order: bool,
}

/// Adds what a command does that computes indexes or statistics anew, of tables and indexes of these names, in whichever
/// schema, or of all.
pub(crate) fn computes_anew(
    anew: Anew,
    names: Option<&HashSet<&str>>,
    context: Context<'_>,
    facts: &mut Facts,
) {
    let catalog = context.catalog;
    let mut walker = Walker::new(catalog, context.session);
    if anew.order {
        walker.puts_in_order(names);
    }
    for (at, relation) in catalog.fragile() {
        let family = relation.family.iter().filter_map(|member| catalog.relation(*member));
        let tables = std::iter::once(relation).chain(family).map(|it| it.name.0.name.as_str());
        let mut named = tables.chain(relation.invalid.iter().map(String::as_str));
        if names.is_some_and(|names| !named.any(|name| names.contains(name))) {
            continue;
        }
        if anew.indexes {
            walker.builds_anew(at);
        }
        if anew.statistics && !relation.sampled.is_empty() {
            walker.touch_all(relation.sampled.iter().map(|column| (at, *column)), Uses::HIDDEN);
            walker.over("scan");
        }
    }
    walker.finish(facts);
}

impl Walker<'_> {
    /// Expressions of its indexes, checks and statistics are printed and parsed again, by the search path that is in force:
    /// given a value of another type, what they name may be somebody's own.
    fn reads_anew(&mut self, index: RelationIndex) {
        let catalog = self.catalog;
        let Some(relation) = catalog.relation(index) else { return };
        for name in &relation.reread.functions {
            self.called_anew(name);
        }
        self.runs_implied(&relation.reread.operators.iter().map(|name| &**name).collect());
        if relation.reread.casts {
            self.runs_casts();
        }
    }

    /// Tables of these names, or all, are put in the order of one of their indexes, and show it to whoever reads them. Which index
    /// that is, is not looked for.
    fn puts_in_order(&mut self, names: Option<&HashSet<&str>>) {
        let catalog = self.catalog;
        let is_named = |at: RelationIndex| {
            let name = catalog.relation(at).map(|relation| relation.name.0.name.as_str());
            names.is_none_or(|names| name.is_some_and(|name| names.contains(name)))
        };
        for (at, relation) in catalog.base_relations().filter(|(_, relation)| !relation.indexed.is_empty()) {
            if is_named(at) || relation.family.iter().any(|member| is_named(*member)) {
                self.touch_all(relation.indexed.iter().map(|column| (at, *column)), Uses::ORDERING);
            }
        }
    }

    /// Its indexes are built anew: what kept one from being valid may do so again, and be shown.
    fn builds_anew(&mut self, index: RelationIndex) {
        let relation = self.relation(Some(index)).filter(|relation| !relation.invalid.is_empty());
        let Some(columns) = relation.map(|relation| relation.columns.len()) else { return };
        self.touch_all((0..columns).map(|at| (index, at)), Uses::HIDDEN);
        self.over("scan");
    }
}

/// Adds what REFRESH MATERIALIZED VIEW does: it runs the view's query, shows nothing, and may fail by what it finds.
pub(crate) fn refresh(name: &[String], context: Context<'_>, facts: &mut Facts) {
    let mut walker = Walker::new(context.catalog, context.session);
    walker.refresh(name);
    let stores = walker.refreshed(name);
    walker.finish(facts);
    // Like what made it, it is told apart from what puts rows into a table: no command tag tells of how many. It puts out
    // nothing: what counts as put out, functions return, into whichever column.
    if let Some((relation, mut flow)) = stores {
        let returned = facts.columns.iter().filter(|(_, uses)| uses.contains(&Use::Output));
        flow.all.extend(returned.map(|(column, _)| column.clone()));
        facts.flows.entry(relation).or_default().add(flow);
    }
}
