//! Large objects: one table of the server's own holds them all, `pg_catalog.pg_largeobject`, and a label can stand on its
//! column `data` as on any other: by the map, or since a statement stored there what it took from a labelled column.
//!
//! Which large object a call is about is not told apart. Descriptors are the transaction's, and OIDs are values.

use std::collections::BTreeSet;

use stepgate_types::{ColumnName, RelationName, Use};

use super::Walker;
use crate::facts::{Doubt, Facts, Reason, Sink, SinkKind};
use crate::session::SessionState;

/// Those that give something of a large object, be it its length.
const READ: [&str; 6] = ["lo_get", "lo_lseek", "lo_lseek64", "lo_tell", "lo_tell64", "loread"];

/// Those that make, change or end one. What they are given may be seen by others afterwards: as contents, as a length, or
/// as an OID that exists.
const WRITE: [&str; 10] = [
    "lo_close",
    "lo_creat",
    "lo_create",
    "lo_from_bytea",
    "lo_open",
    "lo_put",
    "lo_truncate",
    "lo_truncate64",
    "lo_unlink",
    "lowrite",
];

/// What a statement does with large objects.
#[derive(Default)]
pub(super) struct Large {
    /// This is a statement or the body of a function, and not a definition of which only columns are told.
    pub(super) followed: bool,
    reads: bool,
    writes: bool,
    /// Something is sent to whoever listens, who need not be let see it.
    pub(super) notifies: bool,
}

/// The table that has large objects.
#[must_use]
pub fn large_objects() -> RelationName {
    RelationName::new("pg_catalog", "pg_largeobject")
}

/// And its column.
const DATA: &str = "data";

impl Walker<'_> {
    /// Accounts for a call of one of the server's functions of large objects; `false`: it is none of them. Server-side
    /// `lo_import` and `lo_export` are not among them, since they read and write files of the server.
    pub(super) fn large_object(&mut self, name: &str) -> bool {
        let (reads, writes) = (READ.contains(&name), WRITE.contains(&name));
        // What a trigger stores is told from its row by other means.
        if !(reads || writes) || !self.large.followed || self.body.row.is_some() {
            return false;
        }
        self.large.reads |= reads;
        self.large.writes |= writes;
        // All but one move a position, or what else the session has.
        self.writes |= name != "lo_get";
        self.functions.insert(format!("pg_catalog.{name}"));
        true
    }

    /// Which large objects there are is read.
    pub(super) fn large_objects_listed(&mut self) {
        if self.large.followed {
            self.large.reads = true;
        } else {
            self.doubt("catalog-relation");
        }
    }
}

impl Large {
    /// Adds what was done with them, once all else is known.
    pub(super) fn finish(&self, session: &SessionState, facts: &mut Facts) {
        let Self { reads, writes, notifies, followed: _ } = *self;
        let is_shown = |uses: &BTreeSet<Use>| uses.iter().any(|it| !matches!(it, Use::Write | Use::Hidden));
        // What a trigger takes of the row that is there already is hidden from the statement, and sent all the same.
        let is_read = |uses: &BTreeSet<Use>| uses.iter().any(|it| *it != Use::Write);
        if facts.columns.values().any(is_read) {
            let shown: Vec<_> = facts.shown_in().chain(notifies.then_some(SinkKind::Notification)).collect();
            facts.sinks.extend(shown.into_iter().map(|kind| Sink { kind, relation: None }));
        }
        if !reads && !writes {
            return;
        }
        let data = ColumnName::new(large_objects(), DATA);
        facts.relations.insert(large_objects());
        if writes {
            let given = facts.columns.iter().filter(|(column, _)| **column != data);
            let given = given.filter(|(_, uses)| is_shown(uses)).map(|(column, _)| column.clone());
            let given: BTreeSet<_> = given.collect();
            if !given.is_empty() {
                facts
                    .flows
                    .entry(large_objects())
                    .or_default()
                    .each
                    .entry(DATA.to_owned())
                    .or_default()
                    .extend(given);
                facts.sinks.insert(Sink { kind: SinkKind::LargeObject, relation: Some(large_objects()) });
            }
            facts.columns.entry(data.clone()).or_default().insert(Use::Write);
        }
        if !reads {
            return;
        }
        let read: BTreeSet<_> = session.held_by(&data).cloned().chain([data.clone()]).collect();
        // Whatever is stored elsewhere may be what is read here.
        let written =
            facts.columns.iter().filter(|(column, uses)| **column != data && uses.contains(&Use::Write));
        for (column, _) in written {
            let flow = facts.flows.entry(column.relation.clone()).or_default();
            flow.each.entry(column.column.clone()).or_default().extend(read.iter().cloned());
            facts.sinks.insert(Sink { kind: SinkKind::Rows, relation: Some(column.relation.clone()) });
        }
        for column in read {
            facts.columns.entry(column).or_default().insert(Use::Output);
        }
        if session.tainted(&large_objects()).any(|flow| flow.unknown) {
            facts.doubt(Reason { code: "unknown-contents", doubt: Doubt::Statement });
        }
    }
}
