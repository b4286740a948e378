//! Columns that tell whose a row is (`subject_key`), and whether what they hold is still what tells that.
//!
//! Somebody who may write the key, or owns the table, could have all rows look like one person's: for a transaction, or for
//! as long as a cursor or another session's snapshot shows them so. So a key that was written through the gate, or whose
//! name another column has got, tells of nobody until the gate is started anew.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use stepgate_sql::{Catalog, Place};
use stepgate_types::{ColumnName, RelationName};

/// The keys of one database.
#[derive(Debug, Default)]
pub(crate) struct Keys(Mutex<State>);

/// Keys that a session's statements under way may write, by the statements' numbers.
#[derive(Debug, Default)]
pub(crate) struct Writing(Vec<(u64, Vec<ColumnName>)>);

#[derive(Debug, Default)]
struct State {
    /// Where each was when it was first relied on.
    places: BTreeMap<RelationName, Place>,
    /// And how often it was, or is about to be, written.
    written: BTreeMap<ColumnName, u64>,
}

impl Keys {
    /// A statement may be about to write these in rows that are there.
    pub(crate) fn may_write(&self, number: u64, keys: Vec<ColumnName>, writing: &mut Writing) {
        self.has_ended(number, true, writing);
        if keys.is_empty() {
            return;
        }
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for key in &keys {
            let times = state.written.entry(key.clone()).or_default();
            *times = times.saturating_add(1);
        }
        writing.0.push((number, keys));
    }

    /// It has ended; `failed`: it has written nothing, or it was not let through. Who may not write a key must not make
    /// everybody somebody new.
    pub(crate) fn has_ended(&self, number: u64, failed: bool, writing: &mut Writing) {
        let Some(at) = writing.0.iter().position(|(of, _)| *of == number) else { return };
        let (_, keys) = writing.0.swap_remove(at);
        if !failed {
            return;
        }
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for key in &keys {
            if let Some(times) = state.written.get_mut(key) {
                *times = times.saturating_sub(1);
            }
        }
        state.written.retain(|_, times| *times > 0);
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
        (is_new || first == place) && !state.written.contains_key(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_or_was_refused_has_written_no_key() {
        let key = ColumnName { relation: RelationName::new("public", "t"), column: "id".to_owned() };
        let (keys, mut one, mut other) = (Keys::default(), Writing::default(), Writing::default());
        let is_written = || keys.0.lock().unwrap().written.contains_key(&key);
        keys.may_write(1, vec![key.clone()], &mut one);
        keys.may_write(1, vec![key.clone()], &mut other);
        keys.has_ended(1, true, &mut one);
        assert!(is_written(), "by the other session, it may be");
        // Decided anew, it is still one.
        keys.may_write(1, vec![key.clone()], &mut other);
        keys.has_ended(1, true, &mut other);
        assert!(!is_written());
        keys.may_write(2, vec![key.clone()], &mut one);
        keys.has_ended(2, false, &mut one);
        keys.has_ended(2, true, &mut one);
        assert!(is_written());
    }
}
