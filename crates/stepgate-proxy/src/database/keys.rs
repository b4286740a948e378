//! Columns that tell whose a row is (`subject_key`), and whether what they hold is still what tells that.
//!
//! Somebody who may write the key, or owns the table, could have all rows look like one person's: for a transaction, or for
//! as long as a cursor or another session's snapshot shows them so. So a key that was written through the gate, or whose
//! name another column has got, tells of nobody until the gate is started anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use stepgate_sql::{Catalog, Place};
use stepgate_types::{ColumnName, RelationName};

/// The keys of one database.
#[derive(Debug, Default)]
pub(crate) struct Keys(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Where each was when it was first relied on.
    places: BTreeMap<RelationName, Place>,
    written: BTreeSet<ColumnName>,
}

impl Keys {
    /// A statement is about to write this key in rows that are there.
    pub(crate) fn writes(&self, key: ColumnName) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).written.insert(key);
    }

    /// Whether it tells whose a row is.
    pub(crate) fn tells(&self, key: &ColumnName, catalog: &Catalog) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(place) = catalog.place_of(key) else { return false };
        let first = *state.places.entry(key.relation.clone()).or_insert(place);
        // A table that is made anew, in place of one that is no more.
        let is_new = first.0 != place.0 && catalog.name_of(first.0).is_none();
        if is_new {
            state.places.insert(key.relation.clone(), place);
        }
        (is_new || first == place) && !state.written.contains(key)
    }
}
