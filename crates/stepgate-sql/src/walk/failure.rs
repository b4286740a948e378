//! What a write tells by failing, and what it runs besides.

use std::collections::HashSet;

use super::Walker;
use super::compare::SOMEHOW;
use super::probe::{EQUALS, Probes};
use super::uses::Uses;
use crate::catalog::trigger::{DELETE, UPDATE};
use crate::catalog::{Action, ColumnRef, Referred, RelationIndex};

/// Foreign keys that are followed on and on: no more writes than this are looked at, and what lies beyond is unknown.
const MAX_WRITES: usize = 1_024;

/// What is written to a relation.
#[derive(PartialEq, Eq, Hash)]
enum Write {
    Delete(RelationIndex),
    Update { of: RelationIndex, columns: Vec<usize>, may_be_null: Vec<usize> },
}

/// What foreign keys have led to.
type Reached = HashSet<Write>;

impl Walker<'_> {
    /// What the errors of an UPDATE of these columns can show (`execMain.c`, `ExecConstraints`: `Failing
    /// row contains (…)` prints the whole row), there and in what refers to them.
    pub(super) fn failures(
        &mut self,
        index: RelationIndex,
        written: &[usize],
        may_be_null: &[usize],
        probes: &Probes,
    ) {
        self.updated(index, written, may_be_null, probes, &mut Reached::default());
    }

    fn updated(
        &mut self,
        index: RelationIndex,
        written: &[usize],
        may_be_null: &[usize],
        probes: &Probes,
        reached: &mut Reached,
    ) {
        let catalog = self.catalog;
        let Some(parent) = catalog.relation(index) else { return };
        let write = Write::Update { of: index, columns: written.to_vec(), may_be_null: may_be_null.to_vec() };
        if !self.reaches(reached, write) {
            return;
        }
        // A row may be a child's, with constraints of its own; columns are the same by name.
        for member in std::iter::once(index).chain(parent.children.iter().copied()) {
            let Some(relation) = catalog.relation(member) else { continue };
            let here = |columns: &[usize]| -> Vec<usize> {
                let names = columns.iter().filter_map(|at| parent.columns.get(*at));
                names.filter_map(|column| relation.column(&column.name)).collect()
            };
            let (given, may_be_null) = (here(written), here(may_be_null));
            let mut written = given.clone();
            // What is computed from what is written is written too.
            let computed = (0..relation.columns.len()).filter(|at| {
                let sources = relation.columns.get(*at).map(|column| column.sources.as_slice());
                sources.unwrap_or_default().iter().any(|source| written.contains(source))
            });
            let computed: Vec<usize> = computed.collect();
            written.extend(&computed);
            let touches = |key: &[usize]| key.iter().any(|at| written.contains(at));
            let is_not_null = |at: &usize| relation.columns.get(*at).is_some_and(|column| column.not_null);
            let null_fails = may_be_null.iter().chain(&computed).any(is_not_null);
            let check_fails = relation.checks.iter().any(|check| touches(check));
            if null_fails || check_fails || relation.bounded {
                self.touch_all((0..relation.columns.len()).map(|at| (member, at)), Uses::HIDDEN);
            }
            // What the statement gives is known, and what is computed is made of what has been touched.
            let stays = |at: &&usize| !given.contains(at) && !computed.contains(at);
            for from in relation.computed.iter().filter(|from| touches(from)) {
                self.touch_all(from.iter().filter(stays).map(|at| (member, *at)), Uses::HIDDEN);
            }
            for check in relation.checks.iter().filter(|check| touches(check)) {
                self.probes(check.iter().map(|at| (member, *at)), &[SOMEHOW]);
            }
            for key in relation.unique.iter().filter(|key| touches(&key.columns)) {
                self.probes_key(member, key, parent, probes);
            }
            for (own, theirs) in relation.refers.iter().filter(|(own, _)| touches(own)) {
                // The error shows the whole key, also what is left as it was.
                self.fails_by(member, own);
                self.probes_foreign(member, own, theirs, parent, probes);
            }
            // What must not be NULL has failed here.
            let nullable: Vec<usize> =
                may_be_null.iter().chain(&computed).copied().filter(|at| !is_not_null(at)).collect();
            for key in relation.referred.iter().filter(|key| touches(&key.own)) {
                self.fails_by(member, &key.own);
                self.referring(key, key.on_update, Some(&nullable), reached);
            }
        }
    }

    /// Whether something that may fail is computed from a column. Where that is written, and keeps something of what it held,
    /// the error shows it.
    pub(super) fn is_computed_from(&self, (index, at): ColumnRef) -> bool {
        let catalog = self.catalog;
        let Some(relation) = catalog.relation(index) else { return false };
        let Some(column) = relation.columns.get(at) else { return false };
        let mut members = std::iter::once(&index).chain(&relation.children);
        members.any(|member| {
            let relation = catalog.relation(*member);
            relation
                .and_then(|it| Some((it, it.column(&column.name)?)))
                .is_some_and(|(relation, at)| relation.computed.iter().any(|from| from.contains(&at)))
        })
    }

    /// Rows are written there: which indexes get an entry for them, the number of blocks tells. None of them does where all that
    /// they are made of stays as it was (heapam.c, `heap_update`), and one with a condition only for rows that meet it.
    pub(super) fn indexed_anew(&mut self, index: RelationIndex) {
        let catalog = self.catalog;
        let Some(relation) = catalog.relation(index).filter(|_| self.counts_blocks) else { return };
        for member in std::iter::once(index).chain(relation.children.iter().copied()) {
            let indexed = catalog.relation(member).map_or(&[][..], |it| it.indexed.as_slice());
            self.touch_all(indexed.iter().map(|at| (member, *at)), Uses::HIDDEN);
        }
    }

    /// Rows are deleted: what refers to them is looked for, and written or deleted in turn.
    pub(super) fn deletes(&mut self, index: RelationIndex) {
        self.deleted(index, &mut Reached::default());
    }

    fn deleted(&mut self, index: RelationIndex, reached: &mut Reached) {
        let catalog = self.catalog;
        let Some(parent) = catalog.relation(index) else { return };
        if !self.reaches(reached, Write::Delete(index)) {
            return;
        }
        for member in std::iter::once(index).chain(parent.children.iter().copied()) {
            let keys = catalog.relation(member).map_or(&[][..], |relation| relation.referred.as_slice());
            for key in keys {
                // `Key (…)=(…) is still referenced`: the key of the row that would be gone.
                self.fails_by(member, &key.own);
                self.referring(key, key.on_delete, None, reached);
            }
        }
    }

    /// Whether that is to be looked at: it was not before.
    fn reaches(&mut self, reached: &mut Reached, write: Write) -> bool {
        if reached.contains(&write) {
            return false;
        }
        if reached.len() >= MAX_WRITES {
            self.doubt_function("trigger-or-rule");
            return false;
        }
        reached.insert(write)
    }

    /// The error of a foreign key shows its columns (ri_triggers.c, `ri_ReportViolation`).
    fn fails_by(&mut self, member: RelationIndex, key: &[usize]) {
        self.touch_all(key.iter().map(|at| (member, *at)), Uses::HIDDEN);
    }

    /// Columns that refer to what is deleted, or has another key now, of which these may be NULL.
    fn referring(
        &mut self,
        key: &Referred,
        action: Action,
        updated: Option<&[usize]>,
        reached: &mut Reached,
    ) {
        let columns = key.theirs.as_slice();
        // The keys of those rows are looked for.
        self.probes(columns.iter().copied(), &[EQUALS]);
        let Some((table, _)) = columns.first() else { return };
        self.runs_when_planned(*table);
        let runs_code = |at: &RelationIndex| self.catalog.relation(*at).is_some_and(|it| it.writes_run_code);
        if action != Action::Refuse && runs_code(table) {
            self.doubt_function("trigger-or-rule");
        }
        if action != Action::Refuse {
            self.runs_on_write(*table);
            self.fires(*table, if action == Action::Cascade && updated.is_none() { DELETE } else { UPDATE });
        }
        let written: Vec<usize> = columns.iter().map(|(_, at)| *at).collect();
        match (action, updated) {
            (Action::Refuse, _) => {}
            (Action::Cascade, None) => self.deleted(*table, reached),
            (Action::Cascade, Some(nullable)) => {
                // They get what is in the key.
                let pairs = key.own.iter().zip(&written).filter(|(own, _)| nullable.contains(own));
                let may_be_null: Vec<usize> = pairs.map(|(_, at)| *at).collect();
                self.updated(*table, &written, &may_be_null, &Probes::default(), reached);
            }
            (Action::Set, _) => self.updated(*table, &written, &written, &Probes::default(), reached),
        }
    }
}
