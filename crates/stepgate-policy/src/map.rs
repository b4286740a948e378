use std::collections::BTreeSet;

use stepgate_sql::Facts;
use stepgate_types::Label;

use crate::{Bound, Columns, Errors};

/// The DBA's PII map (DESIGN §6): which columns hold what, and how sensitive that is.
#[derive(Debug, Clone)]
pub struct Map {}

impl Map {
    /// Reads a map. `file` is the name that errors show.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn load(file: &str, _text: &str) -> Result<Self, Errors> {
        Err(crate::not_yet(file))
    }

    /// The databases it names.
    pub fn databases(&self) -> impl Iterator<Item = &str> {
        std::iter::empty()
    }

    /// Labels that the statement touches by other uses than `write` alone, and whether it is risky:
    /// that, or its certainty is unknown, or its kind is `control`.
    #[must_use]
    pub fn labels_of(&self, _database: &str, _facts: &Facts) -> (BTreeSet<Label>, bool) {
        (BTreeSet::new(), true)
    }

    /// Holds the entries for `database` against its catalog.
    #[must_use]
    pub fn bind(&self, _database: &str, _catalog: &impl Columns) -> Bound {
        Bound::default()
    }
}
