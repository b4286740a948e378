//! From the answers to the catalog queries to a snapshot.

use std::collections::{BTreeSet, HashMap, HashSet};

use std::sync::Arc;

use stepgate_types::RelationName;

use super::functions::Functions;
use super::relation::{Action, Column, Name, Referred, Unique};
use super::routine::{Body, Gathered};
use crate::builtin;
use crate::encoding::ClientEncoding;

use super::{
    Catalog, ColumnRef, Definition, OWN_EVENT_TRIGGERS, Relation, RelationIndex, RelationKind, Rows, code,
    columns, index, pinned, view,
};

/// The answers do not fit [`super::CATALOG_QUERIES`]: a mistake of the loader or an unsupported server.
#[derive(Debug, thiserror::Error)]
#[error("catalog query {query}: its answer is missing or has unexpected columns")]
pub struct CatalogError {
    /// Name of the query.
    pub query: &'static str,
}

/// `TableOidAttributeNumber` (access/sysattr.h).
const TABLEOID: i32 = -6;

/// How deep policies may read what has policies: of what goes deeper, nothing is known.
const MAX_POLICIES_WITHIN: usize = 16;

impl Catalog {
    /// A snapshot from the answers to [`super::CATALOG_QUERIES`], by query name.
    ///
    /// # Errors
    ///
    /// If an answer is missing or a row does not have the columns the query selects.
    pub fn from_rows(results: &[(&str, Rows)]) -> Result<Self, CatalogError> {
        Self::from_rows_after(results, None, None)
    }

    /// The same. Definitions of views that are locked are taken from `before`, a snapshot of the same database with
    /// the same types, functions, operators and schemas, where they and the names in them are the same. What was not
    /// answered since it is the same as in `known`, by [`CatalogQuery::sql_after`](super::CatalogQuery::sql_after), is
    /// taken from there.
    ///
    /// # Errors
    ///
    /// As [`Catalog::from_rows`].
    pub fn from_rows_after(
        results: &[(&str, Rows)],
        before: Option<&Self>,
        known: Option<&Self>,
    ) -> Result<Self, CatalogError> {
        let answers = Answers(results);
        let mut loader = Loader { catalog: Self::default() };
        loader.relations(&answers)?;
        loader.server(&answers)?;
        columns::load(&mut loader, &answers, known)?;
        loader.missing_values(&answers)?;
        loader.families(&answers)?;
        loader.kept_apart(&answers)?;
        loader.generated(&answers)?;
        loader.constraints(&answers)?;
        index::load(&mut loader, &answers)?;
        loader.computed(&answers)?;
        loader.reread(&answers)?;
        loader.defaults(&answers)?;
        loader.functions(&answers, known)?;
        let code = code::load(&mut loader, &answers)?;
        loader.share_code_with_families();
        loader.views(&answers, before)?;
        loader.policies(&answers, &code)?;
        loader.event_triggers(&answers)?;
        loader.policies_beneath_views();
        Ok(loader.catalog)
    }
}

pub(super) struct Answers<'a>(&'a [(&'a str, Rows)]);

impl<'a> Answers<'a> {
    /// The rows of one answer, each of exactly `N` texts that are not NULL.
    pub(super) fn rows<const N: usize>(
        &self,
        query: &'static str,
    ) -> Result<impl Iterator<Item = Result<[&'a str; N], CatalogError>>, CatalogError> {
        let rows = self
            .0
            .iter()
            .find(|(name, _)| *name == query)
            .map(|(_, rows)| rows)
            .ok_or(CatalogError { query })?;
        let texts = rows.of_texts().ok_or(CatalogError { query })?;
        Ok(texts.map(move |row| row.ok_or(CatalogError { query })))
    }
}

pub(super) struct Loader {
    pub(super) catalog: Catalog,
}

pub(super) fn number<T: std::str::FromStr>(text: &str, query: &'static str) -> Result<T, CatalogError> {
    text.parse().map_err(|_| CatalogError { query })
}

/// The numbers of `{1,2}` or `1 2`.
pub(super) fn numbers(text: &str) -> Vec<i32> {
    text.split(['{', '}', ',', ' ']).filter_map(|part| part.parse().ok()).collect()
}

/// `true` of boolean::text.
pub(super) fn truth(text: &str) -> bool {
    matches!(text, "true" | "t")
}

impl Loader {
    pub(super) fn known(&self, oid: &str) -> Option<RelationIndex> {
        self.catalog.by_oid.get(&oid.parse().ok()?).copied()
    }

    fn server(&mut self, answers: &Answers<'_>) -> Result<(), CatalogError> {
        for row in answers.rows::<2>("server")? {
            let [version, encoding] = row?;
            self.catalog.version = number(version, "server")?;
            self.catalog.converts_nothing = ClientEncoding::named(encoding) == ClientEncoding::Ascii;
        }
        Ok(())
    }

    fn relations(&mut self, answers: &Answers<'_>) -> Result<(), CatalogError> {
        for row in answers.rows::<8>("relations")? {
            let [oid, schema, name, kind, rows, pages, bounded, runs_code] = row?;
            let tuples: f64 = number(rows, "relations")?;
            let counted = tuples > 0.0 || (tuples == 0.0 && pages != "0");
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "not negative; saturates"
            )]
            let rows = counted.then_some(tuples as u64);
            let oid = number(oid, "relations")?;
            let relation = Relation {
                oid,
                name: Name(RelationName::new(schema, name)),
                kind: match kind {
                    "v" => RelationKind::View,
                    "m" => RelationKind::MaterialisedView,
                    "S" => RelationKind::Sequence,
                    _ => RelationKind::Table,
                },
                rows,
                bounded: truth(bounded),
                writes_run_code: truth(runs_code),
                ..Relation::default()
            };
            let index = self.catalog.relations.len();
            self.catalog.by_oid.insert(oid, index);
            self.catalog.by_name.entry(schema.to_owned()).or_default().insert(name.to_owned(), index);
            self.catalog.words.insert(name.to_owned());
            self.catalog.relations.push(relation);
        }
        for row in answers.rows::<2>("schemas")? {
            let [schema, rights] = row?;
            if !schema.starts_with("pg_temp_") && !schema.starts_with("pg_toast_temp_") {
                self.catalog.schemas.insert((schema.to_owned(), rights.to_owned()));
            }
            if !schema.is_empty() {
                self.catalog.words.insert(schema.to_owned());
            }
        }
        Ok(())
    }

    /// The next column of a relation.
    pub(super) fn column(&mut self, of: RelationIndex, column: Column) {
        let Some(relation) = self.catalog.relations.get_mut(of) else { return };
        self.catalog.words.insert(column.name.clone());
        relation.column_index.insert(column.name.clone(), relation.columns.len());
        relation.columns.push(column);
    }

    fn generated(&mut self, answers: &Answers<'_>) -> Result<(), CatalogError> {
        for row in answers.rows::<3>("generated")? {
            let [oid, attnum, source] = row?;
            let (attnum, source): (i32, i32) = (number(attnum, "generated")?, number(source, "generated")?);
            let Some(relation) = self.known(oid).and_then(|at| self.catalog.relation(at)) else { continue };
            let sources: Vec<usize> = if source == TABLEOID {
                // Its own columns of those names: which they are apart from, the parent has as well.
                let apart = relation.apart.iter().chain(&relation.parts);
                let named = apart.filter_map(|(of, at)| self.catalog.relation(*of)?.columns.get(*at));
                named.filter_map(|column| relation.column(&column.name)).collect()
            } else {
                relation.columns.iter().position(|column| column.number == source).into_iter().collect()
            };
            let relation = self.known(oid).and_then(|at| self.catalog.relations.get_mut(at));
            let columns = relation.into_iter().flat_map(|relation| &mut relation.columns);
            for column in columns.filter(|column| column.number == attnum) {
                column.sources.extend(&sources);
            }
        }
        Ok(())
    }

    fn computed(&mut self, answers: &Answers<'_>) -> Result<(), CatalogError> {
        for row in answers.rows::<4>("computed")? {
            let [oid, role, columns, index] = row?;
            let Some(relation) = self.known(oid).and_then(|at| self.catalog.relations.get_mut(at)) else {
                continue;
            };
            let columns = relation.positions(&numbers(columns));
            match role {
                "analyze" => relation.sampled.extend(columns),
                _ => relation.computed.push(columns),
            }
            if role == "invalid" {
                relation.invalid.push(index.to_owned());
            }
        }
        Ok(())
    }

    fn reread(&mut self, answers: &Answers<'_>) -> Result<(), CatalogError> {
        for row in answers.rows::<3>("reread")? {
            let [oid, kind, name] = row?;
            let Some(relation) = self.known(oid).and_then(|at| self.catalog.relations.get_mut(at)) else {
                continue;
            };
            match kind {
                "function" => drop(relation.reread.functions.insert(name.into())),
                "operator" => drop(relation.reread.operators.insert(name.into())),
                _ => relation.reread.casts = true,
            }
        }
        Ok(())
    }

    fn defaults(&mut self, answers: &Answers<'_>) -> Result<(), CatalogError> {
        for row in answers.rows::<3>("defaults")? {
            let [oid, attnum, default] = row?;
            let attnum: i32 = number(attnum, "defaults")?;
            let relation = self.known(oid).and_then(|at| self.catalog.relations.get_mut(at));
            let columns = relation.into_iter().flat_map(|relation| &mut relation.columns);
            for column in columns.filter(|column| column.number == attnum) {
                column.default = Some(default.into());
            }
        }
        Ok(())
    }

    fn missing_values(&mut self, answers: &Answers<'_>) -> Result<(), CatalogError> {
        let (relation, column) = builtin::MISSING_VALUES;
        let at = self.catalog.find("pg_catalog", relation);
        let at = at.and_then(|at| Some((at, self.catalog.relation(at)?.column(column)?)));
        let mut columns = Vec::new();
        for row in answers.rows::<2>("missing_values")? {
            let [oid, attnum] = row?;
            let number: i32 = number(attnum, "missing_values")?;
            let Some(of) = self.known(oid) else { continue };
            let known = self.catalog.relation(of).into_iter().flat_map(|relation| &relation.columns);
            columns.extend(known.enumerate().filter(|(_, it)| it.number == number).map(|(at, _)| (of, at)));
        }
        self.catalog.missing_values = (at, columns);
        Ok(())
    }

    fn families(&mut self, answers: &Answers<'_>) -> Result<(), CatalogError> {
        let mut parents: HashMap<RelationIndex, Vec<RelationIndex>> = HashMap::new();
        for row in answers.rows::<2>("inherits")? {
            let [child, parent] = row?;
            if let (Some(child), Some(parent)) = (self.known(child), self.known(parent)) {
                parents.entry(child).or_default().push(parent);
            }
        }
        for child in parents.keys() {
            let mut ancestors = Vec::new();
            let mut open = vec![*child];
            while let Some(at) = open.pop() {
                for parent in parents.get(&at).into_iter().flatten() {
                    if !ancestors.contains(parent) {
                        ancestors.push(*parent);
                        open.push(*parent);
                    }
                }
            }
            for ancestor in ancestors {
                if let Some(relation) = self.catalog.relations.get_mut(ancestor) {
                    relation.family.push(*child);
                    relation.children.push(*child);
                }
                if let Some(relation) = self.catalog.relations.get_mut(*child) {
                    relation.family.push(ancestor);
                }
            }
        }
        Ok(())
    }

    /// Which rows are in which partition or child tells what those are kept apart by.
    fn kept_apart(&mut self, answers: &Answers<'_>) -> Result<(), CatalogError> {
        let mut keys: HashMap<RelationIndex, Vec<ColumnRef>> = HashMap::new();
        let mut checks: HashMap<RelationIndex, Vec<ColumnRef>> = HashMap::new();
        for row in answers.rows::<3>("kept_apart")? {
            let [oid, role, columns] = row?;
            let Some(at) = self.known(oid) else { continue };
            let of = if role == "key" { &mut keys } else { &mut checks };
            of.entry(at).or_default().extend(self.positions(at, columns).into_iter().map(|it| (at, it)));
        }
        for at in 0..self.catalog.relations.len() {
            let Some(relation) = self.catalog.relation(at).filter(|it| !it.family.is_empty()) else {
                continue;
            };
            let children = relation.children.iter();
            let below: HashSet<&RelationIndex> = relation.children.iter().collect();
            let above = relation.family.iter().filter(|member| !below.contains(member));
            let of = |all: &HashMap<RelationIndex, Vec<ColumnRef>>, member: &RelationIndex| {
                all.get(member).cloned().unwrap_or_default()
            };
            let mut parts: BTreeSet<ColumnRef> = BTreeSet::new();
            if !relation.children.is_empty() {
                parts.extend(of(&keys, &at));
            }
            parts.extend(children.flat_map(|child| [of(&keys, child), of(&checks, child)]).flatten());
            let mut apart: BTreeSet<ColumnRef> = of(&checks, &at).into_iter().collect();
            apart.extend(above.flat_map(|member| [of(&keys, member), of(&checks, member)]).flatten());
            let Some(relation) = self.catalog.relations.get_mut(at) else { continue };
            relation.parts.extend(parts);
            relation.apart.extend(apart);
        }
        Ok(())
    }

    fn constraints(&mut self, answers: &Answers<'_>) -> Result<(), CatalogError> {
        for row in answers.rows::<3>("unique_indexes")? {
            let [oid, key, plain] = row?;
            if let Some(relation) = self.known(oid).and_then(|at| self.catalog.relations.get_mut(at)) {
                let columns = relation.positions(&numbers(key));
                relation.unique.push(Unique { columns, plain: truth(plain) });
            }
        }
        for row in answers.rows::<7>("constraints")? {
            let [kind, oid, key, target, target_key, on_delete, on_update] = row?;
            let Some(at) = self.known(oid) else { continue };
            let own = self.positions(at, key);
            if kind == "c" {
                if let Some(relation) = self.catalog.relations.get_mut(at) {
                    relation.checks.push(own);
                }
            } else if let Some(to) = self.known(target) {
                let (own, theirs) = (self.key(at, key), self.key(to, target_key));
                let pair = |of: RelationIndex, columns: &[usize]| -> Vec<ColumnRef> {
                    columns.iter().map(|column| (of, *column)).collect()
                };
                let (mine, yours) = (pair(at, &own), pair(to, &theirs));
                if let Some(relation) = self.catalog.relations.get_mut(at) {
                    relation.refers.push((own, yours));
                }
                if let Some(relation) = self.catalog.relations.get_mut(to) {
                    relation.referred.push(Referred {
                        own: theirs,
                        theirs: mine,
                        on_delete: Action::of(on_delete),
                        on_update: Action::of(on_update),
                    });
                }
            }
        }
        Ok(())
    }

    fn positions(&self, relation: RelationIndex, key: &str) -> Vec<usize> {
        self.catalog.relation(relation).map(|relation| relation.positions(&numbers(key))).unwrap_or_default()
    }

    /// The same in the order of the key: its columns refer one by one.
    fn key(&self, relation: RelationIndex, key: &str) -> Vec<usize> {
        let Some(relation) = self.catalog.relation(relation) else { return Vec::new() };
        let position = |number: &i32| relation.columns.iter().position(|column| column.number == *number);
        let ordered: Option<Vec<usize>> = numbers(key).iter().map(position).collect();
        ordered.filter(|it| !it.is_empty()).unwrap_or_else(|| relation.positions(&numbers(key)))
    }

    /// A write to a parent may reach its children, and with them their code. Planning looks at the expressions of all that
    /// a read may reach, and at the partition keys above.
    fn share_code_with_families(&mut self) {
        let run: HashMap<RelationIndex, Relation> = (0..self.catalog.relations.len())
            .filter_map(|at| Some((at, self.catalog.relation(at)?)))
            .filter(|(_, relation)| relation.runs_code() || !relation.on_read.is_empty())
            .filter(|(_, relation)| !relation.family.is_empty())
            .map(|(at, relation)| (at, relation.clone()))
            .collect();
        for relation in &mut self.catalog.relations {
            let children: Vec<_> = relation.children.iter().filter_map(|child| run.get(child)).collect();
            relation.writes_run_code |= children.iter().any(|child| child.writes_run_code);
            Body::merge(&mut relation.on_write, children.iter().flat_map(|child| &child.on_write));
            Body::merge(&mut relation.on_check, children.iter().flat_map(|child| &child.on_check));
            let family = relation.family.iter().filter_map(|member| run.get(member));
            Body::merge(&mut relation.on_read, family.flat_map(|member| &member.on_read));
            relation.bounded |= !relation.children.is_empty();
        }
    }

    fn functions(&mut self, answers: &Answers<'_>, known: Option<&Catalog>) -> Result<(), CatalogError> {
        self.catalog.functions = Functions::load(answers, known)?;
        Ok(())
    }

    fn event_triggers(&mut self, answers: &Answers<'_>) -> Result<(), CatalogError> {
        for row in answers.rows::<2>("event_triggers")? {
            let [name, has_code] = row?;
            self.catalog.code_on_ddl |= truth(has_code) && !OWN_EVENT_TRIGGERS.contains(&name);
            self.catalog.event_triggers.insert(name.to_owned());
        }
        for row in answers.rows::<2>("others")? {
            let [kind, name] = row?;
            let of_kind = self.catalog.others.entry(kind.to_owned()).or_default();
            of_kind.insert(name.to_owned());
        }
        self.catalog.runs_late = answers.rows::<1>("late_code")?.next().is_some();
        Ok(())
    }

    fn policies(&mut self, answers: &Answers<'_>, known: &code::Code<'_>) -> Result<(), CatalogError> {
        let mut runs: HashMap<RelationIndex, Gathered> = HashMap::new();
        let mut within: BTreeSet<(RelationIndex, RelationIndex)> = BTreeSet::new();
        for row in answers.rows::<6>("policies")? {
            let [oid, on, attnum, function, of, names_rows] = row?;
            let (Some(at), attnum) = (self.known(oid), number::<i32>(attnum, "policies")?) else { continue };
            let read = self.known(on).and_then(|on| Some((on, self.catalog.relation(on)?)));
            // What it runs, or reads that is no table, pg_depend does not tell.
            let calls = on == "0" && function != "0";
            let code = match (calls, of) {
                (true, _) => known.routines.get(function).and_then(|it| it.code.as_deref()),
                (false, "0") => Some(&[][..]),
                (false, of) => known.of_type(of),
            };
            let (reads, doubtful) = match read {
                None => (Vec::new(), code.is_none() || on != "0"),
                Some((on, relation)) => {
                    let columns = relation.columns.iter().enumerate();
                    let is_named = |number: i32| number == attnum || truth(names_rows);
                    let beside = if at == on { &[] } else { relation.apart.as_slice() };
                    let table = if attnum == TABLEOID { relation.parts.as_slice() } else { &[] };
                    let named = columns
                        .filter(|(_, column)| is_named(column.number))
                        .map(|(at, _)| (on, at))
                        .chain(beside.iter().chain(table).copied())
                        .collect();
                    (named, !relation.is_base())
                }
            };
            within.extend(read.map(|(on, _)| (at, on)).filter(|(at, on)| at != on));
            if let Some(relation) = self.catalog.relations.get_mut(at) {
                relation.policy_reads.extend(reads);
                relation.doubtful |= doubtful;
            }
            runs.entry(at).or_default().add(code.into_iter().flatten());
        }
        for (at, code) in runs {
            if let Some(relation) = self.catalog.relations.get_mut(at) {
                relation.on_read.extend(code.bodies().iter().cloned());
                relation.on_policy = code.into_bodies();
            }
        }
        for row in answers.rows::<2>("policy_texts")? {
            let [oid, text] = row?;
            let is_locked = text == "?";
            self.catalog.has_locked |= is_locked;
            if is_locked || !pinned::is_harmless(text, &self.catalog) {
                let relation = self.known(oid).and_then(|at| self.catalog.relations.get_mut(at));
                relation.into_iter().for_each(|relation| relation.doubtful = true);
            }
        }
        // What a policy reads has policies of its own, which apply to whoever it applies to.
        self.policies_within(&within, |it| &it.on_read);
        Ok(())
    }

    /// Policies apply to whatever is made of what they are on. `within`: relations, and what is within them; `runs`: what of that
    /// runs with them.
    fn policies_within(
        &mut self,
        within: &BTreeSet<(RelationIndex, RelationIndex)>,
        runs: fn(&Relation) -> &Vec<Arc<Body>>,
    ) {
        for _ in 0..MAX_POLICIES_WITHIN {
            let mut has_changed = false;
            for (at, on) in within {
                let Some(of) = self.catalog.relation(*on) else { continue };
                let (doubtful, reads, runs) = (of.doubtful, of.policy_reads.clone(), runs(of).clone());
                let Some(relation) = self.catalog.relations.get_mut(*at) else { continue };
                let before = (relation.doubtful, relation.policy_reads.len(), relation.on_read.len());
                relation.doubtful |= doubtful;
                let known: BTreeSet<ColumnRef> = relation.policy_reads.iter().copied().collect();
                let more: BTreeSet<ColumnRef> = reads.into_iter().filter(|it| !known.contains(it)).collect();
                relation.policy_reads.extend(more);
                Body::merge(&mut relation.on_read, &runs);
                Body::merge(&mut relation.on_policy, &runs);
                has_changed |=
                    before != (relation.doubtful, relation.policy_reads.len(), relation.on_read.len());
            }
            if !has_changed {
                return;
            }
        }
        // Whatever more there is: nobody nests them so.
        for (at, _) in within {
            if let Some(relation) = self.catalog.relations.get_mut(*at) {
                relation.doubtful = true;
            }
        }
    }

    /// Policies and checks of what a view is made of apply to whoever reads the view. Of a materialised one, policies decided
    /// which rows it has.
    fn policies_beneath_views(&mut self) {
        let filled = self.catalog.relations.iter().enumerate();
        let filled = filled.filter(|(_, it)| it.kind == RelationKind::MaterialisedView);
        let within = filled.flat_map(|(at, it)| it.reads_relations.iter().map(move |on| (at, *on)));
        self.policies_within(&within.collect(), |it| &it.on_policy);
        for at in 0..self.catalog.relations.len() {
            let Some(view) = self.catalog.relation(at).filter(|it| it.kind == RelationKind::View) else {
                continue;
            };
            let beneath: Vec<&Relation> =
                view.reads_relations.iter().filter_map(|base| self.catalog.relation(*base)).collect();
            let doubtful = beneath.iter().any(|base| base.doubtful);
            let reads: BTreeSet<ColumnRef> =
                beneath.iter().flat_map(|base| &base.policy_reads).copied().collect();
            let mut runs = Vec::new();
            Body::merge(&mut runs, beneath.iter().flat_map(|base| &base.on_read));
            let Some(view) = self.catalog.relations.get_mut(at) else { continue };
            view.doubtful |= doubtful;
            view.policy_reads.extend(reads);
            Body::merge(&mut view.on_read, &runs);
        }
    }

    fn views(&mut self, answers: &Answers<'_>, before: Option<&Catalog>) -> Result<(), CatalogError> {
        let mut depends: HashMap<RelationIndex, Vec<(RelationIndex, i32)>> = HashMap::new();
        for row in answers.rows::<3>("view_columns")? {
            let [oid, on, attnum] = row?;
            let (Some(at), Some(on)) = (self.known(oid), self.known(on)) else { continue };
            depends.entry(at).or_default().push((on, number(attnum, "view_columns")?));
        }
        let mut views: HashMap<RelationIndex, view::View> = HashMap::new();
        for row in answers.rows::<4>("views")? {
            let [oid, version, is_barrier, definition] = row?;
            let Some(at) = self.known(oid) else { continue };
            let depends = depends.remove(&at).unwrap_or_default();
            let mut definition = Definition { version: version.to_owned(), text: definition.into() };
            if definition.text.is_empty() {
                let known =
                    before.and_then(|before| self.catalog.same_definition(at, &definition, &depends, before));
                self.catalog.has_locked |= known.is_none();
                definition.text = known.unwrap_or_default();
            }
            let text = Arc::clone(&definition.text);
            views.insert(at, view::View::new(text, depends, truth(is_barrier), &self.catalog));
            self.catalog.definitions.insert(at, definition);
        }
        let read = view::see_through(&views, &self.catalog);
        for (at, seen) in read {
            if let Some(relation) = self.catalog.relations.get_mut(at) {
                relation.reads = seen.columns.iter().copied().collect();
                relation.reads_relations = seen.relations.iter().copied().collect();
                relation.views = Some(seen.views.clone());
                relation.doubtful = seen.doubtful;
                relation.on_show = seen.code.bodies().to_vec();
                relation.of_session.clone_from(&seen.of_session);
                relation.locks = seen.locks && relation.kind == RelationKind::View;
            }
        }
        view::split(&views, &mut self.catalog);
        Ok(())
    }
}
