//! What a map says, one entry after the other: for tools that compare and extend it.

use std::collections::BTreeMap;

use stepgate_types::{Class, Label, RelationName};

use crate::Map;

/// A map's entry for one relation.
#[derive(Debug, Clone, Copy)]
pub struct Listed<'m> {
    /// The relation.
    pub relation: &'m RelationName,
    /// Its labelled columns.
    pub columns: &'m BTreeMap<String, Label>,
    /// The column that tells whom a row is about.
    pub subject_key: Option<&'m str>,
    /// The class of columns that are not named.
    pub unlisted_columns: Option<&'m Class>,
}

impl Map {
    /// Its classes, the least sensitive first.
    pub fn classes(&self) -> impl Iterator<Item = &Class> {
        self.classes.iter()
    }

    /// Its labels and their classes, by name.
    pub fn labels(&self) -> impl Iterator<Item = (&Label, &Class)> {
        self.labels.iter()
    }

    /// The entries for a database, under its own name or the wildcard that is about it, by name.
    #[must_use]
    pub fn listing(&self, database: &str) -> Vec<Listed<'_>> {
        let relations = self.of(database).into_iter().flat_map(|database| &database.relations);
        let mut listing: Vec<_> = relations
            .map(|(relation, entry)| Listed {
                relation,
                columns: &entry.columns,
                subject_key: entry.subject_key.as_deref(),
                unlisted_columns: entry.unlisted_columns.as_ref(),
            })
            .collect();
        listing.sort_by_key(|listed| listed.relation);
        listing
    }

    /// The class of what a table holds that is not listed; `None` is allowed.
    #[must_use]
    pub fn unknown_tables(&self) -> Option<&Class> {
        self.unknown.tables.as_ref()
    }
}
