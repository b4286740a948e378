//! Triggers, and what they do with the row that is written.
//!
//! Its values may be stored elsewhere: that is a flow, and shown to nobody. Where they may be seen, by RAISE, NOTIFY,
//! an error, or which way the trigger went, they are read (`hidden`). The row of an INSERT is the client's own.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Insert, SelectItem,
    SetExpr, Statement, TableObject, Value,
};
use stepgate_types::{RelationName, Use};

use super::Walker;
use super::null::{has_value, is_never_null, stays, takes_as_server};
use super::probe::Probes;
use super::scope::folded;
use super::uses::Uses;
use crate::catalog::trigger::{Act, DELETE, INSERT, UPDATE, is_set_variable};
use crate::catalog::{ColumnType, Path, Relation, RelationIndex, Trigger};
use crate::facts::{Doubt, Facts, Reason};
use crate::taint::{Flow, remembered};

/// The most triggers that one statement fires.
const MAX_FIRED: usize = 32;

/// How often flows are followed on.
const MAX_ROUNDS: usize = 8;

/// The row whose trigger a step is of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row<'c> {
    pub(super) relation: RelationIndex,
    /// What the step takes of it may be seen.
    shows: bool,
    /// There is a new row for certain, or an old one.
    has_new: bool,
    has_old: bool,
    /// The step is of a trigger after the fact: then columns that are NOT NULL are not, in the new row too.
    is_after: bool,
    /// It may be of an UPDATE, which foreign keys follow.
    is_updated: bool,
    /// The column in which the step's value is stored.
    assigns: Option<&'c str>,
}

/// A trigger that is fired, by these events on a relation.
pub(super) struct Fired<'c> {
    on: RelationIndex,
    trigger: &'c Trigger,
    events: u16,
}

impl<'c> Walker<'c> {
    /// A relation is written so: notes the triggers, of partitions and children too.
    pub(super) fn fires(&mut self, index: RelationIndex, events: u16) {
        let catalog = self.catalog;
        let Some(relation) = catalog.relation(index) else { return };
        // UPDATE moves rows from one partition to another.
        let moves = events == UPDATE && !relation.children.is_empty();
        let events = if moves { INSERT | UPDATE | DELETE } else { events };
        let own = relation.triggers.iter().map(|trigger| (index, trigger));
        let of_children = relation.children.iter().flat_map(|child| {
            let triggers = catalog.relation(*child).map_or(&[][..], |child| child.triggers.as_slice());
            // A partition has its parent's once more.
            let others = triggers.iter().filter(|one| !relation.triggers.iter().any(|it| it.is(one)));
            others.map(|trigger| (*child, trigger))
        });
        for (on, trigger) in own.chain(of_children).filter(|(_, trigger)| trigger.fires(events)) {
            self.fire(on, trigger, events);
        }
    }

    fn fire(&mut self, on: RelationIndex, trigger: &'c Trigger, events: u16) {
        let fresh = match self.fired.iter_mut().find(|it| it.on == on && std::ptr::eq(it.trigger, trigger)) {
            Some(known) => {
                let fresh = events & !known.events;
                known.events |= events;
                fresh
            }
            None => {
                self.fired.push(Fired { on, trigger, events });
                events
            }
        };
        if self.fired.len() > MAX_FIRED {
            return self.doubt_function("trigger-or-rule");
        }
        let Some(relation) = self.catalog.relation(on).filter(|_| fresh & UPDATE != 0) else { return };
        // What a trigger puts into the row is checked like what the statement does.
        let mut written = Vec::new();
        let mut may_be_null = Vec::new();
        for step in trigger.steps() {
            let Act::Assigns { column, never_null, keeps } = &step.act else { continue };
            let Some(at) = relation.column(column) else { continue };
            if *keeps && self.is_computed_from((on, at)) {
                self.touch((on, at), Uses::HIDDEN);
            }
            written.push(at);
            let of = relation.columns.get(at).map(|column| column.of);
            let is_set = *never_null && of.is_some_and(|of| takes_as_server(of, self.catalog));
            may_be_null.extend((!is_set).then_some(at));
        }
        if !written.is_empty() {
            self.failures(on, &written, &may_be_null, &Probes::default());
        }
    }

    /// Adds what the triggers do. Tells whether one changes the session, and whether one depends on the search path.
    pub(super) fn triggers(&self, facts: &mut Facts) -> (bool, bool) {
        let (mut moves, mut by_path) = (false, false);
        let written = self.names_written();
        for Fired { on, trigger, events } in &self.fired {
            for step in trigger.steps().filter(|step| step.events & events != 0) {
                let events = step.events & events;
                let is_clients_row = events & (UPDATE | DELETE) == 0;
                let (shows, assigns) = match &step.act {
                    Act::LeavesOut => continue,
                    Act::Compares { columns, tells_null } => {
                        if !is_clients_row && trigger.tells(events) {
                            self.compares((*on, columns, *tells_null), &written, trigger.is_after(), facts);
                        }
                        continue;
                    }
                    // A condition may fail, and say with what.
                    Act::Decides | Act::Sql | Act::Tells => (true, None),
                    Act::Assigns { column, keeps, never_null: _ } => (!keeps, Some(column.as_str())),
                };
                let shows = shows && !is_clients_row;
                let (has_new, has_old) = (events & DELETE == 0, events & INSERT == 0);
                let is_after = trigger.is_after();
                let is_updated = events & UPDATE != 0;
                let row = Row { relation: *on, shows, has_new, has_old, is_after, is_updated, assigns };
                let done = self.body_facts(&step.body, Some(row));
                moves |= done.effect.session;
                by_path |= step.body.path == Path::Caller;
                facts.also(&done);
            }
            facts.doubt(Reason { code: "trigger", doubt: Doubt::Nothing });
        }
        (moves, by_path)
    }

    /// Names of the columns that the statement or a trigger writes, of whatever relation.
    fn names_written(&self) -> HashSet<&str> {
        let by_statement = self.columns.iter().filter(|(_, uses)| uses.are_write());
        let by_statement = by_statement.filter_map(|((relation, at), _)| {
            Some(self.catalog.relation(*relation)?.columns.get(*at)?.name.as_str())
        });
        let steps = self.fired.iter().flat_map(|fired| fired.trigger.steps());
        let by_triggers = steps.filter_map(|step| match &step.act {
            Act::Assigns { column, .. } => Some(column.as_str()),
            _ => None,
        });
        by_statement.chain(by_triggers).collect()
    }

    /// Whether the new value is the old one: of a column that is written, that is a guess. Of others it may tell whether there
    /// is one.
    fn compares(
        &self,
        (on, columns, tells_null): (RelationIndex, &[String], bool),
        written: &HashSet<&str>,
        is_after: bool,
        facts: &mut Facts,
    ) {
        let Some(relation) = self.catalog.relation(on) else { return };
        let is_compared = |name: &String| columns.is_empty() || columns.contains(name);
        let is_written =
            |at: &usize| relation.columns.get(*at).is_some_and(|it| written.contains(it.name.as_str()));
        let guessed = (0..relation.columns.len()).filter(|at| {
            relation.columns.get(*at).is_some_and(|it| {
                // Before the fact, what is computed has no new value.
                let computed = !it.sources.is_empty() && (!is_after || it.sources.iter().any(is_written));
                let null = tells_null && !it.not_null;
                is_compared(&it.name) && (is_written(at) || computed || null)
            })
        });
        for column in self.base_columns(guessed.map(|at| (on, at))) {
            facts.columns.entry(column).or_default().insert(Use::Hidden);
        }
    }

    /// Accounts for `NEW`, `OLD`, or a column of them. Says whether the name is one of them.
    pub(super) fn row_of_trigger(&mut self, name: &str, column: Option<&str>) -> bool {
        let Some(row) = self.body.row.filter(|_| matches!(name, "new" | "old")) else { return false };
        let uses = if row.shows { Uses::ROW | Uses::HIDDEN } else { Uses::ROW };
        let Some(relation) = self.catalog.relation(row.relation) else { return false };
        match column.map(|column| relation.column(column)) {
            Some(Some(at)) => self.touch((row.relation, at), uses),
            Some(None) => self.doubt("unresolved-name"),
            None => self.touch_all((0..relation.columns.len()).map(|at| (row.relation, at)), uses),
        }
        true
    }

    /// Before a step is walked: an INSERT that cannot show what it stores does not.
    pub(super) fn begins_step(&mut self, statement: &Statement) {
        let Some(row) = self.body.row else { return };
        if let Statement::Insert(insert) = statement
            && self.only_stores(insert, row).is_some()
        {
            self.body.row = Some(Row { shows: false, ..row });
        }
    }

    /// After it.
    pub(super) fn ends_step(&mut self) {
        let Some(row) = self.body.row else { return };
        let Some(column) = row.assigns else { return };
        match self.catalog.relation(row.relation).and_then(|relation| relation.column(column)) {
            Some(at) => {
                let given = self.given();
                self.flow((row.relation, at), given.iter().copied());
                if row.is_updated {
                    self.flow_on(row.relation, at, &given);
                }
            }
            None => self.doubt("unresolved-name"),
        }
    }

    /// Whether no error of an INSERT can show anything of the row: it is taken as it is, there are no constraints to
    /// fail but NOT NULL, and that does not.
    fn only_stores(&self, insert: &Insert, row: Row<'_>) -> Option<()> {
        let TableObject::TableName(name) = &insert.table else { return None };
        let parts: Option<Vec<String>> =
            name.0.iter().map(|part| Some(folded(part.as_ident()?).into_owned())).collect();
        let index = self.lookup(&parts?)?;
        let target = self.catalog.relation(index)?;
        let query = insert.source.as_ref().filter(|_| insert.on.is_none() && insert.returning.is_none())?;
        let values: Vec<&Expr> = match query.body.as_ref() {
            _ if query.with.is_some() => return None,
            SetExpr::Values(values) => match values.rows.as_slice() {
                [row] => row.content.iter().collect(),
                _ => return None,
            },
            SetExpr::Select(select) if select.from.is_empty() && select.selection.is_none() => {
                let each = select.projection.iter().map(|item| match item {
                    SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, alias: _ } => {
                        Some(expr)
                    }
                    _ => None,
                });
                each.collect::<Option<_>>()?
            }
            _ => return None,
        };
        let computes = target.computes || target.columns.iter().any(|column| !column.sources.is_empty());
        let bare = target.checks.is_empty()
            && !target.bounded
            && target.on_write.is_empty()
            && target.on_check.is_empty();
        (bare && !computes && target.triggers.is_empty() && !target.writes_run_code).then_some(())?;
        let named: Option<Vec<Vec<String>>> = insert
            .columns
            .iter()
            .map(|name| name.0.iter().map(|part| Some(folded(part.as_ident()?).into_owned())).collect())
            .collect();
        let into = self.positions(index, &named?);
        let left_out = into.get(values.len()..)?;
        let is_left_out = |at: &usize| left_out.contains(at) || !into.contains(at);
        let has_default = |at: usize| target.columns.get(at).is_some_and(|it| has_value(it, self.catalog));
        (0..target.columns.len()).filter(is_left_out).all(has_default).then_some(())?;
        let keys =
            target.unique.iter().map(|key| &key.columns).chain(target.refers.iter().map(|(own, _)| own));
        let keys: HashSet<usize> = keys.flatten().copied().collect();
        let own = self.catalog.relation(row.relation)?;
        for (value, at) in values.into_iter().zip(into) {
            let column = target.columns.get(at)?;
            let is_set = || self.is_set(value, own, row) && self.stays(value, own, column.of);
            let fails = column.not_null && !is_set();
            // An error of a key shows the key.
            let shows = fails
                || (keys.contains(&at) && !is_constant(value))
                || !self.is_bare(value)
                || !self.fits(value, own, column.of);
            (!shows).then_some(())?;
        }
        Some(())
    }

    /// Whether a value that a trigger stores is certainly not NULL.
    fn is_set(&self, value: &Expr, own: &Relation, row: Row<'_>) -> bool {
        match value {
            Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => self.is_set(inner, own, row),
            Expr::BinaryOp { left, op: BinaryOperator::StringConcat, right } => {
                self.is_set(left, own, row) && self.is_set(right, own, row)
            }
            Expr::Identifier(name) => {
                let name = folded(name);
                matches!(name.as_ref(), "current_user" | "session_user" | "user") || is_set_variable(&name)
            }
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [of, column] => {
                    let column = own.column(&folded(column)).and_then(|at| own.columns.get(at));
                    let is_new = folded(of) == "new";
                    let is_set = if is_new { row.has_new && row.is_after } else { row.has_old };
                    is_set && column.is_some_and(|column| column.not_null)
                }
                _ => false,
            },
            Expr::Function(function) => match self.plain_name(function).as_deref() {
                Some("clock_timestamp" | "statement_timestamp" | "current_user") => true,
                Some("coalesce") => arguments(function).iter().flatten().any(|it| self.is_set(it, own, row)),
                // Of a value that is NULL they make NULL; a row is never that.
                Some(name) if MAKE_JSON.contains(&name) => match arguments(function).as_deref() {
                    Some([Expr::Identifier(of)]) => match folded(of).as_ref() {
                        "new" => row.has_new,
                        "old" => row.has_old,
                        _ => false,
                    },
                    _ => false,
                },
                _ => is_never_null(value, None, self.catalog),
            },
            _ => is_never_null(value, None, self.catalog),
        }
    }

    /// The name of a function that nobody can have put another in place of.
    fn plain_name(&self, function: &Function) -> Option<String> {
        let [part] = function.name.0.as_slice() else { return None };
        let name = folded(part.as_ident()?).into_owned();
        self.is_of_server(&name).then_some(name)
    }

    /// Whether computing a value cannot fail in a way that shows what it is computed from.
    fn is_bare(&self, value: &Expr) -> bool {
        match value {
            Expr::Nested(inner) => self.is_bare(inner),
            Expr::Identifier(_) => true,
            Expr::CompoundIdentifier(parts) => parts.len() == 2,
            Expr::Value(value) => !matches!(value.value, Value::Placeholder(_)),
            Expr::Function(function) if self.makes_json(function) => {
                let values = arguments(function);
                // `row_to_json(new.*)`: the whole row.
                values.is_none_or(|values| values.iter().all(|value| self.is_bare(value)))
            }
            Expr::Function(function) if self.plain_name(function).as_deref() == Some("coalesce") => {
                arguments(function).is_some_and(|values| values.iter().all(|value| self.is_bare(value)))
            }
            // To text anything goes, and from JSON of the server's making to JSON.
            Expr::Cast { expr, data_type, .. } => match data_type.to_string().to_ascii_lowercase().as_str() {
                "text" => self.is_bare(expr),
                "json" | "jsonb" => {
                    matches!(expr.as_ref(), Expr::Function(it) if self.makes_json(it)) && self.is_bare(expr)
                }
                _ => is_constant(expr),
            },
            _ => is_constant(value),
        }
    }

    /// Whether a value that a trigger stores is of the column's type already, or goes into it whatever it is: a value
    /// may be too long for it, or too great.
    fn fits(&self, value: &Expr, own: &Relation, into: ColumnType) -> bool {
        match value {
            _ if is_constant(value) || into.is_text() => true,
            Expr::Nested(inner) => self.fits(inner, own, into),
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [_, column] => {
                    let column = own.column(&folded(column)).and_then(|at| own.columns.get(at));
                    column.is_some_and(|column| column.of == into)
                }
                _ => false,
            },
            Expr::Function(function) if self.makes_json(function) => into.is_json(),
            Expr::Function(function) => arguments(function)
                .is_some_and(|values| values.iter().all(|value| self.fits(value, own, into))),
            Expr::Cast { .. } => into.is_json(),
            _ => false,
        }
    }

    /// Whether no cast of somebody's own makes a value one of that type.
    fn stays(&self, value: &Expr, own: &Relation, into: ColumnType) -> bool {
        let is_of_it = match value {
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [_, column] => {
                    let column = own.column(&folded(column)).and_then(|at| own.columns.get(at));
                    column.is_some_and(|column| column.of.0 == into.0)
                }
                _ => false,
            },
            Expr::Identifier(name) => is_set_variable(&folded(name)) && into.is_text(),
            Expr::Function(function) => self.makes_json(function) && into.is_json(),
            _ => false,
        };
        is_of_it || stays(value, into, None, self.catalog)
    }

    fn makes_json(&self, function: &Function) -> bool {
        self.plain_name(function).is_some_and(|name| MAKE_JSON.contains(&name.as_str()))
    }
}

/// Functions that take anything and do not fail.
const MAKE_JSON: [&str; 3] = ["to_json", "to_jsonb", "row_to_json"];

/// The arguments of a function; `None` where they are not plain expressions.
pub(super) fn arguments(function: &Function) -> Option<Vec<&Expr>> {
    match &function.args {
        FunctionArguments::None => Some(Vec::new()),
        FunctionArguments::List(list) => list
            .args
            .iter()
            .map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
                _ => None,
            })
            .collect(),
        FunctionArguments::Subquery(_) => None,
    }
}

/// Whether a value takes nothing of the row.
fn is_constant(value: &Expr) -> bool {
    match value {
        Expr::Value(_) => true,
        Expr::Identifier(name) => !matches!(folded(name).as_ref(), "new" | "old"),
        Expr::Function(function) => {
            arguments(function).is_some_and(|values| values.into_iter().all(is_constant))
        }
        Expr::BinaryOp { left, op: _, right } => is_constant(left) && is_constant(right),
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => is_constant(inner),
        _ => false,
    }
}

impl Trigger {
    /// Whether it is another's copy.
    fn is(&self, other: &Self) -> bool {
        let texts = |it: &Self| it.when.iter().map(|step| step.body.text.clone()).collect::<Vec<_>>();
        self.kind == other.kind && Arc::ptr_eq(&self.does, &other.does) && texts(self) == texts(other)
    }
}

/// Follows flows on: what is stored in a row, its trigger stores elsewhere. None: there is no end to it.
pub(crate) fn close(flows: &mut BTreeMap<RelationName, Flow>) -> Option<()> {
    for _ in 0..MAX_ROUNDS {
        let before = flows.clone();
        // A temporary one goes by two names.
        let stored = |of: &RelationName| {
            let own = RelationName::new(remembered(&of.schema), &of.name);
            let other = before.get(&own).filter(|_| own != *of);
            before.get(of).into_iter().chain(other)
        };
        for flow in flows.values_mut() {
            let sources: BTreeSet<_> = flow.all.iter().chain(flow.each.values().flatten()).collect();
            let sources: Vec<RelationName> = sources.into_iter().map(|it| it.relation.clone()).collect();
            flow.unknown |= sources.iter().flat_map(&stored).any(|it| it.unknown);
            let onward = |from: &mut BTreeSet<stepgate_types::ColumnName>| {
                let more: Vec<_> = from
                    .iter()
                    .flat_map(|source| stored(&source.relation).map(move |flow| (flow, source)))
                    .flat_map(|(flow, source)| {
                        flow.all.iter().chain(flow.each.get(&source.column).into_iter().flatten())
                    })
                    .cloned()
                    .collect();
                from.extend(more);
            };
            onward(&mut flow.all);
            flow.each.values_mut().for_each(onward);
        }
        if *flows == before {
            return Some(());
        }
    }
    None
}
