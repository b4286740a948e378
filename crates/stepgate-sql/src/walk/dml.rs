//! INSERT, UPDATE, DELETE and COPY: what they write, what they read on the way, and what their errors tell.

use std::cell::{LazyCell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use sqlparser::ast::{
    Assignment, AssignmentTarget, ConflictTarget, Delete, DoUpdate, FromTable, Insert, ObjectName,
    OnConflict, OnConflictAction, OnInsert, SelectItem, SetExpr, Statement, TableFactor, TableObject, Update,
    UpdateTableFromKind,
};
use stepgate_types::{ColumnName, Kind, RelationName};

use super::Walker;
use super::compare::SOMEHOW;
use super::null::gives_never_null;
use super::probe::Probes;
use super::routine::Cause;
use super::scope::{Item, Output, Place, Scope, Source, folded};
use super::uses::Uses;
use crate::catalog::trigger;
use crate::catalog::{ColumnRef, Relation, RelationIndex, RelationKind};
use crate::facts::{Sink, SinkKind};
use crate::grammar;
use crate::marker;
use crate::taint::Flow;

impl Walker<'_> {
    /// An INSERT, UPDATE or DELETE, on its own or within a WITH.
    pub(super) fn write(&mut self, statement: &Statement, place: Place<'_>) -> Output {
        self.writes = true;
        self.marks |= !matches!(statement, Statement::Insert(_));
        match statement {
            Statement::Insert(insert) => self.insert(insert, place),
            Statement::Update(update) => self.update(update, place),
            Statement::Delete(delete) => self.delete(delete, place),
            Statement::Merge(merge) => self.merge(merge, place),
            _ => {
                self.doubt("unsupported-statement");
                Output::default()
            }
        }
    }

    /// The relation that a write names; CTEs cannot stand for it.
    fn target(&mut self, name: &ObjectName, events: u16) -> Option<RelationIndex> {
        let parts = self.parts(name);
        let Some(index) = self.lookup(&parts) else {
            self.doubt("unknown-relation");
            return None;
        };
        self.written(index, events);
        Some(index)
    }

    fn written(&mut self, index: RelationIndex, events: u16) {
        let Some(relation) = self.catalog.relation(index) else { return };
        if relation.is_system() || relation.kind != RelationKind::Table {
            // A write through a view may fail on its CHECK OPTION, with an error that shows the row.
            self.doubt("write-to-view");
        }
        if relation.writes_run_code {
            self.doubt_function("trigger-or-rule");
        }
        self.runs_on_write(index);
        self.indexed_anew(index);
        self.fires(index, events);
        if relation.doubtful {
            self.doubt_function("view-or-policy-with-unknown-parts");
        }
        let policy: Vec<ColumnRef> = relation.policy_reads.clone();
        self.touch_all(policy, Uses::PREDICATE);
        self.relations.insert(index);
    }

    pub(super) fn relation(&self, index: Option<RelationIndex>) -> Option<&Relation> {
        self.catalog.relation(index?)
    }

    pub(super) fn returning(
        &mut self,
        returning: Option<&[SelectItem]>,
        items: &[Rc<Item>],
        place: Place<'_>,
    ) -> Output {
        let Some(returning) = returning else { return Output::default() };
        // `old` and `new` (PostgreSQL 18) are the row that is written, before and after.
        let mut named = items.to_vec();
        for (item, alias) in items.first().into_iter().flat_map(|item| [(item, "old"), (item, "new")]) {
            if let Source::Relation { index, renamed, aliased: _ } = &item.source {
                let source = Source::Relation { index: *index, renamed: renamed.clone(), aliased: true };
                named.push(Rc::new(Item { alias: Some(alias.to_owned()), source, star: RefCell::default() }));
            }
        }
        let scope = Scope { items: &named, outer: place.scope };
        self.projection(returning, items, place.within(&scope), Uses::OUTPUT)
    }

    fn insert(&mut self, insert: &Insert, place: Place<'_>) -> Output {
        let Insert {
            insert_token: _,
            optimizer_hints,
            or,
            ignore,
            into,
            table,
            table_alias,
            columns,
            overwrite,
            source,
            assignments,
            partitioned,
            after_columns,
            has_table_keyword,
            on,
            returning,
            output,
            replace_into,
            priority,
            insert_alias,
            settings,
            format_clause,
            multi_table_insert_type,
            multi_table_into_clauses,
            multi_table_when_clauses,
            multi_table_else_clause,
        } = insert;
        if !optimizer_hints.is_empty()
            || or.is_some()
            || *ignore
            || !*into
            || *overwrite
            || !assignments.is_empty()
            || partitioned.is_some()
            || !after_columns.is_empty()
            || *has_table_keyword
            || output.is_some()
            || *replace_into
            || priority.is_some()
            || insert_alias.is_some()
            || settings.is_some()
            || format_clause.is_some()
            || multi_table_insert_type.is_some()
            || !multi_table_into_clauses.is_empty()
            || !multi_table_when_clauses.is_empty()
            || multi_table_else_clause.is_some()
        {
            self.doubt("unsupported-statement");
        }
        if let Some(query) = source {
            self.split(query);
            self.query(query, place, Uses::OUTPUT);
            if !matches!(query.body.as_ref(), SetExpr::Values(_)) || query.with.is_some() {
                self.sinks.insert(Sink { kind: SinkKind::Rows, relation: None });
            }
        }
        let from = self.taken_apart();
        let given = self.given();
        let TableObject::TableName(name) = table else {
            self.doubt("unsupported-statement");
            return Output::default();
        };
        let Some(index) = self.target(name, trigger::INSERT) else { return Output::default() };
        self.name_sink(index);
        let named: Vec<Vec<String>> = columns.iter().map(|column| self.parts(column)).collect();
        let values = source.as_deref().and_then(|query| match query.body.as_ref() {
            SetExpr::Values(values) => Some(values),
            _ => None,
        });
        let probes = self.given_by(index, &named, values);
        self.inserts(index, &named, &probes);
        for (at, column) in self.positions(index, &named).into_iter().enumerate() {
            let taken = from.as_ref().map_or(Some(&given), |each| each.get(at));
            self.flow((index, column), taken.into_iter().flatten().copied());
        }
        let alias = match table_alias {
            Some(alias) => folded(&alias.alias).into_owned(),
            None => self.parts(name).pop().unwrap_or_default(),
        };
        let source = Source::Relation { index, renamed: Vec::new(), aliased: table_alias.is_some() };
        let mut items = vec![Rc::new(Item { alias: Some(alias), source, star: RefCell::default() })];
        match on {
            None => {}
            Some(OnInsert::OnConflict(conflict)) => self.on_conflict(conflict, index, &items, place),
            Some(_) => self.doubt("unsupported-statement"),
        }
        let output = self.returning(returning.as_deref(), &items, place);
        items.clear();
        output
    }

    /// Where these columns are (all, if none are named).
    pub(super) fn positions(&self, index: RelationIndex, named: &[Vec<String>]) -> Vec<usize> {
        let Some(relation) = self.catalog.relation(index) else { return Vec::new() };
        if named.is_empty() {
            return (0..relation.columns.len()).collect();
        }
        named.iter().filter_map(|name| relation.column(name.first()?)).collect()
    }

    /// The sink of INSERT … SELECT gets its name.
    pub(super) fn name_sink(&mut self, index: RelationIndex) {
        let unnamed = Sink { kind: SinkKind::Rows, relation: None };
        if self.sinks.remove(&unnamed) {
            let relation = self.catalog.relation(index).map(|relation| relation.name.0.clone());
            self.sinks.insert(Sink { kind: SinkKind::Rows, relation });
        }
    }

    /// Writes new rows: the columns named (all, if none), and what unique and foreign keys tell by failing.
    pub(super) fn inserts(&mut self, index: RelationIndex, named: &[Vec<String>], probes: &Probes) {
        let catalog = self.catalog;
        let Some(relation) = catalog.relation(index) else { return };
        if named.is_empty() {
            self.touch_all((0..relation.columns.len()).map(|at| (index, at)), Uses::WRITE);
        }
        for name in named {
            // `a[1]` and `a.b` assign part of a column.
            match name.first().and_then(|name| relation.column(name)) {
                Some(at) => self.touch((index, at), Uses::WRITE),
                None => self.doubt("unresolved-name"),
            }
        }
        for member in std::iter::once(index).chain(relation.children.iter().copied()) {
            let Some(own) = catalog.relation(member) else { continue };
            for key in &own.unique {
                self.probes_key(member, key, relation, probes);
            }
            for (columns, theirs) in &own.refers {
                self.probes_foreign(member, columns, theirs, relation, probes);
            }
        }
    }

    fn on_conflict(
        &mut self,
        conflict: &OnConflict,
        index: RelationIndex,
        items: &[Rc<Item>],
        place: Place<'_>,
    ) {
        let OnConflict { conflict_target, action } = conflict;
        match conflict_target {
            None | Some(ConflictTarget::OnConstraint(_)) => {}
            Some(ConflictTarget::Columns(columns)) => {
                for column in columns {
                    let column = folded(column);
                    // Functions of its expressions, as constants may be given to them.
                    if let Some(function) = marker::named(&column) {
                        self.function_name(&[function.to_owned()]);
                        continue;
                    }
                    match self.relation(Some(index)).and_then(|it| it.column(&column)) {
                        // The keys that it may mean have been looked at.
                        Some(at) => self.touch_again((index, at), Uses::HIDDEN | Uses::PREDICATE),
                        None => self.doubt("unresolved-name"),
                    }
                }
            }
        }
        let OnConflictAction::DoUpdate(DoUpdate { assignments, selection }) = action else { return };
        self.fires(index, trigger::UPDATE);
        let mut items = items.to_vec();
        items.push(Rc::new(Item {
            alias: Some("excluded".to_owned()),
            source: Source::Excluded(index),
            star: RefCell::default(),
        }));
        let around = self.given();
        self.assignments(assignments, index, &items, &around, place);
        let scope = Scope { items: &items, outer: place.scope };
        self.conditions(selection, place.within(&scope));
    }

    fn update(&mut self, update: &Update, place: Place<'_>) -> Output {
        let Update {
            update_token: _,
            optimizer_hints,
            table,
            assignments,
            from,
            selection,
            returning,
            output,
            or,
            order_by,
            limit,
        } = update;
        if !optimizer_hints.is_empty()
            || output.is_some()
            || or.is_some()
            || !order_by.is_empty()
            || limit.is_some()
            || !table.joins.is_empty()
        {
            self.doubt("unsupported-statement");
        }
        let start = self.scanned();
        let Some((index, mut items)) = self.target_item(&table.relation, trigger::UPDATE) else {
            return Output::default();
        };
        match from {
            None => {}
            Some(UpdateTableFromKind::AfterSet(from)) => {
                let more = self.from(from, &items, place);
                items.extend(more);
            }
            Some(UpdateTableFromKind::BeforeSet(_)) => self.doubt("unsupported-statement"),
        }
        // Rows are stored in the order in which they are found.
        let more = match from {
            Some(UpdateTableFromKind::AfterSet(from)) => from.as_slice(),
            _ => &[],
        };
        self.ends_target(more, selection.as_ref(), &items, start, true);
        let around = self.given();
        self.assignments(assignments, index, &items, &around, place);
        let scope = Scope { items: &items, outer: place.scope };
        self.conditions(selection, place.within(&scope));
        self.estimate = self.relation(Some(index)).and_then(|relation| relation.rows);
        self.returning(returning.as_deref(), &items, place)
    }

    pub(super) fn target_item(
        &mut self,
        factor: &TableFactor,
        events: u16,
    ) -> Option<(RelationIndex, Vec<Rc<Item>>)> {
        let TableFactor::Table {
            name,
            alias,
            args: None,
            with_hints,
            version: None,
            with_ordinality: false,
            partitions,
            json_path: None,
            sample: None,
            index_hints,
        } = factor
        else {
            self.doubt("unsupported-statement");
            return None;
        };
        if !with_hints.is_empty() || !partitions.is_empty() || !index_hints.is_empty() {
            self.doubt("unsupported-statement");
        }
        let (alias, renamed) = self.alias(alias.as_ref());
        let index = self.target(name, events)?;
        self.apart(index);
        self.waits_apart(index);
        self.scans(index, true);
        let aliased = alias.is_some();
        let alias = alias.or_else(|| self.parts(name).pop());
        let source = Source::Relation { index, renamed, aliased };
        Some((index, vec![Rc::new(Item { alias, source, star: RefCell::default() })]))
    }

    /// SET: writes the targets, reads the values, and tells by failing what unique and foreign keys hold. `around`:
    /// what subqueries of the statement have put out, which the values may take.
    pub(super) fn assignments(
        &mut self,
        assignments: &[Assignment],
        index: RelationIndex,
        items: &[Rc<Item>],
        around: &[ColumnRef],
        place: Place<'_>,
    ) {
        let scope = Scope { items, outer: place.scope };
        let node = self.node;
        let writes_parts = LazyCell::new(|| node.is_none_or(grammar::writes_parts));
        let mut written = Vec::new();
        let mut may_be_null = Vec::new();
        let mut probes = self.none_given(index);
        for Assignment { target, value } in assignments {
            let mut given = self.gives(|walker| walker.expr(value, place.within(&scope), Uses::OUTPUT));
            given.extend(around);
            let names = match target {
                AssignmentTarget::ColumnName(name) => std::slice::from_ref(name),
                AssignmentTarget::Tuple(names) => names.as_slice(),
            };
            for name in names {
                let parts = self.parts(name);
                let at = parts.first().and_then(|name| self.relation(Some(index))?.column(name));
                let Some(at) = at else {
                    self.doubt("unresolved-name");
                    continue;
                };
                self.touch((index, at), Uses::WRITE);
                self.flow((index, at), given.iter().copied());
                self.flow_on(index, at, &given);
                written.push(at);
                if self.is_computed_from((index, at)) && *writes_parts {
                    self.touch((index, at), Uses::HIDDEN);
                }
                let whole = parts.len() == 1 && matches!(target, AssignmentTarget::ColumnName(_));
                self.given_one(index, at, whole.then_some(value), &mut probes);
                let alone = (items.len() == 1).then(|| self.catalog.relation(index)).flatten();
                let of = self.relation(Some(index)).and_then(|it| it.columns.get(at)).map(|column| column.of);
                if !of.is_some_and(|of| gives_never_null(value, of, alone, self.catalog)) {
                    may_be_null.push(at);
                }
            }
        }
        self.failures(index, &written, &may_be_null, &probes);
    }

    fn delete(&mut self, delete: &Delete, place: Place<'_>) -> Output {
        let Delete {
            delete_token: _,
            optimizer_hints,
            tables,
            from,
            using,
            selection,
            returning,
            output,
            order_by,
            limit,
        } = delete;
        if !optimizer_hints.is_empty()
            || !tables.is_empty()
            || output.is_some()
            || !order_by.is_empty()
            || limit.is_some()
        {
            self.doubt("unsupported-statement");
        }
        let table = match from {
            FromTable::WithFromKeyword(tables) => match tables.as_slice() {
                [table] if table.joins.is_empty() => table,
                _ => {
                    self.doubt("unsupported-statement");
                    return Output::default();
                }
            },
            FromTable::WithoutKeyword(_) => {
                self.doubt("unsupported-statement");
                return Output::default();
            }
        };
        let start = self.scanned();
        let Some((index, mut items)) = self.target_item(&table.relation, trigger::DELETE) else {
            return Output::default();
        };
        if let Some(using) = using {
            let more = self.from(using, &items, place);
            items.extend(more);
        }
        let seen = returning.is_some() || self.relation(Some(index)).is_some_and(Relation::runs_code);
        self.ends_target(using.as_deref().unwrap_or_default(), selection.as_ref(), &items, start, seen);
        let scope = Scope { items: &items, outer: place.scope };
        self.conditions(selection, place.within(&scope));
        self.deletes(index);
        self.estimate = self.relation(Some(index)).and_then(|relation| relation.rows);
        self.returning(returning.as_deref(), &items, place)
    }

    /// COPY of a relation by name.
    pub(super) fn copy(&mut self, name: &[String], columns: Option<&[String]>, out: bool) {
        self.kind = if out { Kind::CopyOut } else { Kind::CopyIn };
        let catalog = self.catalog;
        let Some(index) = self.lookup(name) else { return self.doubt("unknown-relation") };
        let Some(relation) = catalog.relation(index) else { return };
        if !out {
            self.writes = true;
            self.written(index, trigger::INSERT);
            // Of foreign keys.
            self.runs_implied(&catalog.implied_operators());
            let named: Vec<_> = columns.unwrap_or_default().iter().map(|name| vec![name.clone()]).collect();
            return self.inserts(index, &named, &Probes::default());
        }
        self.read_relation(index);
        self.apart(index);
        self.estimate = relation.rows;
        match columns {
            None => self.touch_all((0..relation.columns.len()).map(|at| (index, at)), Uses::OUTPUT),
            Some(columns) => {
                for column in columns {
                    match relation.column(column) {
                        Some(at) => self.touch((index, at), Uses::OUTPUT),
                        None => self.doubt("unresolved-name"),
                    }
                }
            }
        }
    }

    pub(super) fn scan(&mut self, name: &[String], columns: &[String]) {
        let Some(index) = self.lookup(name) else { return self.doubt("unknown-relation") };
        self.read_relation(index);
        if self.relation(Some(index)).is_some_and(|relation| relation.writes_run_code) {
            self.doubt_function("trigger-or-rule");
        }
        self.runs_on_write(index);
        for column in columns {
            match self.relation(Some(index)).and_then(|relation| relation.column(column)) {
                Some(at) => {
                    self.touch((index, at), Uses::HIDDEN);
                    self.merge_compared([(&(index, at), &vec![SOMEHOW])]);
                }
                None => self.doubt("unresolved-name"),
            }
        }
    }

    /// Any of its columns may be scanned.
    pub(super) fn scan_all(&mut self, name: &[String]) {
        self.scan(name, &[]);
        let Some(index) = self.lookup(name) else { return };
        let columns = self.relation(Some(index)).map_or(0, |relation| relation.columns.len());
        self.touch_all((0..columns).map(|at| (index, at)), Uses::HIDDEN);
        self.over("scan");
    }

    pub(super) fn refers(&mut self, name: &[String]) {
        self.scan(name, &[]);
        let catalog = self.catalog;
        let Some(index) = self.lookup(name) else { return };
        let Some(relation) = catalog.relation(index) else { return };
        let is_key = |key: &&Vec<usize>| {
            key.iter().all(|at| relation.columns.get(*at).is_some_and(|column| column.not_null))
        };
        let keys: Vec<&Vec<usize>> = relation.unique.iter().map(|key| &key.columns).filter(is_key).collect();
        match keys.as_slice() {
            [] => self.doubt("unresolved-name"),
            [_] => {}
            _ => self.over("scan"),
        }
        self.touch_all(keys.into_iter().flatten().map(|at| (index, *at)), Uses::HIDDEN);
    }

    pub(super) fn refresh(&mut self, name: &[String]) {
        let Some(index) = self.lookup(name) else { return self.doubt("unknown-relation") };
        self.read_relation(index);
        self.runs_on_write(index);
        // As the statement that made it.
        self.sinks.insert(Sink { kind: SinkKind::Table, relation: None });
        let columns = self.relation(Some(index)).map_or(0, |relation| relation.columns.len());
        self.touch_all((0..columns).map(|at| (index, at)), Uses::HIDDEN);
        // What it is made of is read, too: by policies, where the owner of that is another, and by plans.
        let catalog = self.catalog;
        let beneath = catalog.relation(index).map_or(&[][..], |relation| relation.reads_relations.as_slice());
        for (at, base) in beneath.iter().filter_map(|at| Some((at, catalog.relation(*at)?))) {
            if base.doubtful {
                self.doubt_function("view-or-policy-with-unknown-parts");
            }
            self.touch_all(base.policy_reads.iter().copied(), Uses::PREDICATE);
            self.runs(Cause::Reading(*at), &base.on_read);
        }
    }

    /// What REFRESH stores: what the columns are taken from now. They keep it though a view that they are made of is
    /// replaced by another before any catalog has shown it.
    pub(super) fn refreshed(&self, name: &[String]) -> Option<(RelationName, Flow)> {
        let relation = self.relation(self.lookup(name))?;
        let whole = if relation.split { &[][..] } else { relation.reads.as_slice() };
        let by = |base: &dyn Fn(&[ColumnRef]) -> BTreeSet<ColumnName>| {
            let each = relation.columns.iter().map(|column| (column.name.clone(), base(&column.reads)));
            Flow { each: each.collect(), all: base(whole), unknown: false }
        };
        let led = by(&|columns| self.base_columns(columns.iter().copied()));
        // Of a hundred partitions, there is no room for each: then as the definition names them.
        let flow = if led.is_narrow() {
            led
        } else {
            by(&|columns| columns.iter().filter_map(|column| self.catalog.base_column(*column)).collect())
        };
        Some((relation.name.0.clone(), flow.only(|_| true).unwrap_or_default()))
    }
}
