//! Which columns a message may have touched without its record saying so.

use std::collections::BTreeSet;

use stepgate_types::{ColumnName, RelationName, Use};

use super::Then;
use crate::condition::Touch;
use crate::map::{Classified, Map, is_system};
use crate::statement::{Column, Statement};

/// Relations reached, and what of their columns the record is silent about.
pub(super) struct Unseen<'a> {
    pub(super) map: &'a Map,
    pub(super) database: &'a str,
    pub(super) then: Then<'a>,
    pub(super) statement: &'a Statement<'a>,
}

impl Unseen<'_> {
    /// Whether a column that the record does not name may have been touched and be one that `touch` is about.
    pub(super) fn may_fit(&self, touch: &Touch) -> bool {
        self.reached().into_iter().any(|relation| self.may_fit_in(relation, touch))
    }

    /// Whether this column may have been touched without its record saying so.
    pub(super) fn may_be(&self, column: &ColumnName) -> bool {
        self.statement.column(column).is_none()
            && self.reached().contains(&column.relation)
            && !self.was_classified(column)
    }

    fn reached(&self) -> BTreeSet<&RelationName> {
        let facts = self.statement.facts;
        facts.relations.iter().chain(facts.columns.keys().map(|column| &column.relation)).collect()
    }

    fn may_fit_in(&self, relation: &RelationName, touch: &Touch) -> bool {
        if self.all_were_classified(relation)
            || touch.tables.as_ref().is_some_and(|tables| !tables.contains(relation))
        {
            return false;
        }
        let fits = |name: &ColumnName| {
            let uses = BTreeSet::new();
            let classified = self.map.classify(self.database, name);
            self.may_be(name) && touch.names(&Column { name, uses: &uses, classified })
        };
        if let Some(columns) = &touch.columns {
            return columns.iter().filter(|column| column.relation == *relation).any(fits);
        }
        if touch.class.is_none() && touch.labels.is_none() {
            // Columns without a class count as well, and those are never recorded.
            return true;
        }
        let entry = self.map.of(self.database).and_then(|database| database.relations.get(relation));
        let rest = match entry {
            Some(entry) => {
                let mut listed = entry.columns.keys().map(|name| ColumnName::new(relation.clone(), name));
                if listed.any(|column| fits(&column)) {
                    return true;
                }
                entry.unlisted_columns.as_ref()
            }
            None => self.map.unknown.tables.as_ref().filter(|_| !is_system(relation)),
        };
        rest.is_some_and(|class| {
            let (name, uses) = (ColumnName::new(relation.clone(), String::new()), BTreeSet::<Use>::new());
            let classified = Some(Classified { label: None, class });
            touch.names(&Column { name: &name, uses: &uses, classified })
        })
    }

    /// Whether the map of that time classified this column: then it stands in the record, if it was touched.
    fn was_classified(&self, column: &ColumnName) -> bool {
        self.then.map.is_some_and(|then| then.classify(self.database, column).is_some())
    }

    fn all_were_classified(&self, relation: &RelationName) -> bool {
        let Some(then) = self.then.map else { return false };
        match then.of(self.database).and_then(|database| database.relations.get(relation)) {
            Some(entry) => entry.unlisted_columns.is_some(),
            None => then.unknown.tables.is_some() && !is_system(relation),
        }
    }
}
