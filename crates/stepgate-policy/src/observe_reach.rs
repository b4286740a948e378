//! What a message reaches, as profiles know it: tokens of tables, labels and classes.

use stepgate_sql::Facts;
use stepgate_types::{Certainty, Kind};

use crate::map::reads;
use crate::observe_origin::token;
use crate::{Bound, Ruleset};

/// What a message reaches. Made once for its facts, by [`Ruleset::reach`], and for a record of it by [`Reach::new`]: both
/// are the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Base relations, other than the server's own.
    pub(crate) tables: Box<[u64]>,
    /// Labels read.
    pub(crate) labels: Box<[u64]>,
    /// Classes read; `None`: it may read any.
    pub(crate) classes: Option<Box<[u32]>>,
    /// How many rows it is thought to return; `None`: any number.
    pub(crate) estimate: Option<u64>,
    /// That is the catalog's upper bound, and somebody who knows better has not been asked.
    pub(crate) at_most: bool,
}

impl Reach {
    /// Of relations, as `schema.name`; of labels and classes that it reads, where all are known (`exact`).
    #[must_use]
    pub fn new<'a>(
        database: &str,
        relations: impl IntoIterator<Item = &'a str>,
        labels: impl IntoIterator<Item = &'a str>,
        classes: impl IntoIterator<Item = &'a str>,
        exact: bool,
        estimate: Option<u64>,
    ) -> Self {
        // Each name once: a hash takes longer than to find that out.
        let tables = each(
            relations,
            |name| !is_servers_own(name),
            |name| token(&[b"table", database.as_bytes(), &[0], name.as_bytes()]),
        );
        let labels = each(labels, |_| true, |label| token(&[b"label", label.as_bytes()]));
        let classes = each(classes, |_| true, class_token);
        Self { tables, labels, classes: exact.then_some(classes), estimate, at_most: false }
    }

    /// The same, where the estimate is only an upper bound: what hangs on it is open.
    #[must_use]
    pub fn at_most(self) -> Self {
        Self { at_most: true, ..self }
    }
}

/// The tokens of these names, in order, each once.
fn each<'a, T: Ord>(
    names: impl IntoIterator<Item = &'a str>,
    counts: impl Fn(&str) -> bool,
    token: impl Fn(&'a str) -> T,
) -> Box<[T]> {
    let mut names: Vec<&str> = names.into_iter().filter(|name| counts(name)).collect();
    names.sort_unstable();
    names.dedup();
    let mut tokens: Vec<T> = names.into_iter().map(token).collect();
    tokens.sort_unstable();
    tokens.into()
}

/// A class by its name.
pub(crate) fn class_token(name: &str) -> u32 {
    // Half of it is enough for the few classes of a map.
    let [a, b, c, d, ..] = token(&[b"class", name.as_bytes()]).to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// Every client reads the catalog, and what a session makes for itself has names that nobody knows.
fn is_servers_own(relation: &str) -> bool {
    ["pg_catalog.", "information_schema.", "pg_temp", "pg_toast"]
        .iter()
        .any(|schema| relation.starts_with(schema))
}

impl Ruleset {
    /// What a message reaches before it is decided about. `asked`: nobody knows more of how many rows it returns than its
    /// facts say.
    #[must_use]
    pub fn reach_of_message(&self, database: &str, bound: &Bound, message: &[Facts], asked: bool) -> Reach {
        let mut rows = message.iter().map(|facts| facts.estimate);
        let estimate = rows.try_fold(0_u64, |sum, rows| rows.map(|rows| sum.saturating_add(rows)));
        let reach = self.reach(database, bound, message, estimate);
        if asked { reach } else { reach.at_most() }
    }

    /// What a message reaches, as signals and profiles know it. `estimate` is that of its decision or record, in whole.
    #[must_use]
    pub fn reach(&self, database: &str, bound: &Bound, message: &[Facts], estimate: Option<u64>) -> Reach {
        let map = self.map();
        let mut relations: Vec<String> = Vec::new();
        let (mut labels, mut classes) = (Vec::new(), Vec::new());
        let mut exact = true;
        for facts in message {
            relations.extend(facts.relations.iter().map(ToString::to_string));
            exact &= facts.certainty != Certainty::Unknown && facts.kind != Kind::Unknown;
            exact &= !facts.relations.iter().any(|relation| bound.doubtful.contains(relation));
            for (column, _) in facts.columns.iter().filter(|(_, uses)| reads(uses)) {
                let Some(classified) = map.classify(database, column) else { continue };
                labels.extend(classified.label.map(stepgate_types::Label::as_str));
                classes.push(classified.class.name.as_str());
            }
        }
        Reach::new(database, relations.iter().map(String::as_str), labels, classes, exact, estimate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_repetition_do_not_matter_and_the_catalog_is_nobodys_table() {
        let one =
            Reach::new("shop", ["a.x", "a.y", "pg_catalog.pg_class"], ["ssn"], ["restricted"], true, None);
        let other = Reach::new("shop", ["a.y", "a.x", "a.x"], ["ssn", "ssn"], ["restricted"], true, None);
        assert_eq!(one, other);
        assert_eq!(one.tables.len(), 2);
        assert_ne!(one.tables, Reach::new("crm", ["a.x", "a.y"], [], [], true, None).tables);
        assert_eq!(Reach::new("shop", [], [], [], false, None).classes, None);
    }
}
