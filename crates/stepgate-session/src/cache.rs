//! Facts of texts, remembered for as long as catalog and state stay as they are.

use std::collections::HashMap;
use std::sync::Arc;

use stepgate_sql::{Facts, cache_key, may_share};

use crate::registry::bytes_of;

/// The most that is remembered, counted in bytes of SQL and of facts.
const MAX_BYTES: usize = 4 << 20;

/// The most texts whose facts are remembered.
const MAX_TEXTS: usize = 512;

/// The longest text that is remembered as it is, in bytes.
const MAX_LAST: usize = 512;

/// A longer text is not remembered, in bytes: it is too long to be understood, and its key would stay.
const MAX_TEXT: usize = 1 << 20;

/// Facts by text, literals folded where they cannot change them.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    known: HashMap<Vec<u8>, Arc<[Facts]>>,
    bytes: usize,
    /// Kept for its memory.
    key: Vec<u8>,
    /// The last text asked for, and its facts: each is asked for several times.
    last: Option<(Vec<u8>, Arc<[Facts]>)>,
}

impl Cache {
    /// What is remembered, in bytes.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn clear(&mut self) {
        self.known.clear();
        self.bytes = 0;
        self.last = None;
    }

    pub(crate) fn get(&mut self, sql: &[u8]) -> Option<Arc<[Facts]>> {
        if let Some((last, facts)) = &self.last
            && last == sql
        {
            return Some(Arc::clone(facts));
        }
        if sql.len() > MAX_TEXT {
            return None;
        }
        cache_key(sql, &mut self.key);
        let known = match self.known.get(&self.key) {
            Some(known) => Arc::clone(known),
            None => {
                exact_key(sql, &mut self.key);
                Arc::clone(self.known.get(&self.key)?)
            }
        };
        self.was_asked_for(sql, &known);
        Some(known)
    }

    fn was_asked_for(&mut self, sql: &[u8], facts: &Arc<[Facts]>) {
        if sql.len() > MAX_LAST {
            return;
        }
        match &mut self.last {
            Some((last, known)) => {
                last.clear();
                last.extend_from_slice(sql);
                known.clone_from(facts);
            }
            None => self.last = Some((sql.to_vec(), Arc::clone(facts))),
        }
    }

    pub(crate) fn insert(&mut self, sql: &[u8], facts: &Arc<[Facts]>) {
        if sql.len() > MAX_TEXT {
            return;
        }
        if may_share(facts) {
            cache_key(sql, &mut self.key);
        } else {
            exact_key(sql, &mut self.key);
        }
        let bytes = self.key.len().saturating_add(bytes_of(facts));
        if self.bytes.saturating_add(bytes) > MAX_BYTES || self.known.len() >= MAX_TEXTS {
            self.clear();
        }
        self.bytes = self.bytes.saturating_add(bytes);
        // A copy with memory of its own, as long as it must be.
        self.known.insert(self.key.as_slice().to_vec(), Arc::clone(facts));
        self.was_asked_for(sql, facts);
    }
}

/// The key of a text that shares its facts with no other.
fn exact_key(sql: &[u8], key: &mut Vec<u8>) {
    key.clear();
    key.push(0);
    key.extend_from_slice(sql);
}
