//! Rules that can never match a statement that is understood: only what is certain is reported.

use std::collections::BTreeSet;

use stepgate_types::{Certainty, Class, Kind, Label};

use crate::condition::{ClassTest, Condition, Part, Touch};
use crate::map::{Map, Relation};
use crate::report::Report;
use crate::yaml::{Node, Place, Value};

/// Kinds that touch nothing: no column, no table, and store nothing.
const TOUCH_NOTHING: [Kind; 3] = [Kind::Transaction, Kind::Session, Kind::Empty];

/// What the parts of a condition that must hold together leave of each.
#[derive(Default)]
struct Left<'c> {
    kinds: Option<BTreeSet<Kind>>,
    certainties: Option<BTreeSet<Certainty>>,
    people: Option<BTreeSet<&'c str>>,
    databases: Option<BTreeSet<&'c str>>,
    bulk: (bool, bool),
    sink: (bool, bool),
    touches: Vec<&'c Touch>,
    compared: Vec<&'c Touch>,
}

/// Reports what contradicts itself, and warns of what nothing in the map fits.
pub(crate) fn check(report: &mut Report<'_>, node: &Node, condition: &Condition, map: &Map) {
    let mut left = Left::default();
    left.add(condition);
    if let Some(why) = left.contradiction() {
        report.error_with_help(
            key(node, why.key),
            format!("{}, so that the rule would never match", why.says),
            "what stands side by side must hold together; alternatives go into `any`",
        );
        return;
    }
    let compared = left.compared.iter().find_map(|touch| labels_below_class(touch, map));
    if let Some((_, says)) = compared {
        report.error_with_help(
            key(node, "predicate"),
            format!("{says}, so that the rule would never match"),
            "leave `class` out where `labels` say it already",
        );
        return;
    }
    for touch in &left.touches {
        if let Some((key_of, says)) = labels_below_class(touch, map) {
            report.error_with_help(
                key(node, key_of),
                format!("{says}, so that the rule would never match"),
                "leave `class` out where `labels` say it already",
            );
            return;
        }
        if !fits_anything(touch, map, left.databases.as_ref()) {
            let key_of = if touch.labels.is_some() { "labels" } else { "class" };
            report.warning(
                key(node, key_of),
                "nothing in the map fits this, so that the rule matches only what cannot be understood",
                "label a column of the map so, or remove the rule",
            );
            return;
        }
    }
}

/// What is contradictory, and where to say so.
struct Why {
    key: &'static str,
    says: String,
}

impl<'c> Left<'c> {
    fn add(&mut self, condition: &'c Condition) {
        for part in &condition.parts {
            match part {
                Part::Kind(kinds) => keep(&mut self.kinds, kinds.iter().copied()),
                Part::Certainty(wanted) => keep(&mut self.certainties, wanted.iter().copied()),
                Part::Person(people) => keep(&mut self.people, people.iter().map(|it| it.as_str())),
                Part::Database(names) => keep(&mut self.databases, names.iter().map(String::as_str)),
                Part::Bulk(true) | Part::BulkShape(_) => self.bulk.0 = true,
                Part::Bulk(false) => self.bulk.1 = true,
                Part::Sink(true) | Part::SinkKind(_) => self.sink.0 = true,
                Part::Sink(false) => self.sink.1 = true,
                Part::Touch(touch) => self.touches.push(touch),
                Part::Predicate(test) => self.compared.push(&test.of),
                Part::All(conditions) => conditions.iter().for_each(|condition| self.add(condition)),
                _ => {}
            }
        }
    }

    fn contradiction(&self) -> Option<Why> {
        let none = |set: &Option<BTreeSet<_>>| set.as_ref().is_some_and(BTreeSet::is_empty);
        let why = |key, says: &str| Some(Why { key, says: says.to_owned() });
        if none(&self.people) {
            return why("person", "nobody is all of these people");
        }
        if none(&self.databases) {
            return why("database", "no database has all of these names");
        }
        if self.kinds.as_ref().is_some_and(BTreeSet::is_empty) {
            return why("kind", "no statement is of all of these kinds");
        }
        if self.certainties.as_ref().is_some_and(BTreeSet::is_empty) {
            return why("certainty", "no statement is of all of these certainties");
        }
        if self.bulk == (true, true) {
            return why("bulk", "no statement is a bulk export and none");
        }
        if self.sink == (true, true) {
            return why("sink", "no statement stores what it reads and does not");
        }
        let kinds = self.kinds.as_ref()?;
        let nothing = kinds.iter().all(|kind| TOUCH_NOTHING.contains(kind));
        let what = if !self.touches.is_empty() {
            "touch no column and no table"
        } else if self.sink.0 {
            "store nothing"
        } else if self.bulk.0 {
            "export nothing"
        } else {
            return None;
        };
        let names = kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ");
        nothing.then(|| Why { key: "kind", says: format!("statements of kind {names} {what}") })
    }
}

fn keep<T: Ord>(left: &mut Option<BTreeSet<T>>, these: impl Iterator<Item = T>) {
    let these: BTreeSet<T> = these.collect();
    *left = Some(match left.take() {
        Some(before) => before.into_iter().filter(|it| these.contains(it)).collect(),
        None => these,
    });
}

/// Labels of which none is of the class that is asked for.
fn labels_below_class(touch: &Touch, map: &Map) -> Option<(&'static str, String)> {
    let (labels, test) = (touch.labels.as_ref()?, touch.class?);
    let fits = |label: &Label| map.labels.get(label).is_some_and(|class| test_fits(test, class));
    if labels.is_empty() || labels.iter().any(fits) {
        return None;
    }
    let in_order: BTreeSet<&Label> = labels.iter().collect();
    let says = in_order.iter().filter_map(|label| Some(format!("{label} is {}", map.labels.get(*label)?)));
    Some(("class", format!("none of the labels is of that class ({})", says.collect::<Vec<_>>().join(", "))))
}

fn test_fits(test: ClassTest, class: &Class) -> bool {
    match test {
        ClassTest::Is(wanted) => class.rank == wanted,
        ClassTest::AtLeast(least) => class.rank >= least,
    }
}

/// Whether any column that the map knows of, or may come to know of, is asked for.
fn fits_anything(touch: &Touch, map: &Map, databases: Option<&BTreeSet<&str>>) -> bool {
    // Tables and columns alone are checked one by one, where they are read.
    if touch.class.is_none() && touch.labels.is_none() {
        return true;
    }
    let class_fits = |class: &Class| touch.class.is_none_or(|test| test_fits(test, class));
    if touch.labels.is_none() && map.unknown.tables.as_ref().is_some_and(class_fits) {
        return true;
    }
    let of_relation = |(name, entry): (&stepgate_types::RelationName, &Relation)| {
        if touch.tables.as_ref().is_some_and(|tables| !tables.contains(name)) {
            return false;
        }
        let named = |column: &str| {
            let mut columns = touch.columns.iter().flatten();
            touch.columns.is_none() || columns.any(|it| it.relation == *name && it.column == column)
        };
        let labelled = entry.columns.iter().any(|(column, label)| {
            named(column)
                && touch.labels.as_ref().is_none_or(|labels| labels.contains(label))
                && map.labels.get(label).is_some_and(class_fits)
        });
        let of_columns = touch.columns.as_ref();
        let others = || of_columns.is_none_or(|columns| columns.iter().any(|it| it.relation == *name));
        let unlisted =
            touch.labels.is_none() && entry.unlisted_columns.as_ref().is_some_and(class_fits) && others();
        labelled || unlisted
    };
    let own = databases.map(|names| names.iter().filter_map(|name| map.of(name)).collect::<Vec<_>>());
    match own {
        Some(own) => own.iter().flat_map(|database| &database.relations).any(of_relation),
        None => map.databases.values().flat_map(|database| &database.relations).any(of_relation),
    }
}

/// Where that key of the condition stands, or the condition itself.
fn key(node: &Node, name: &str) -> Place {
    fn find(node: &Node, name: &str) -> Option<Place> {
        match &node.value {
            Value::Map(entries) => {
                let own = entries
                    .iter()
                    .find(|(key, _)| key.name == name || (name == "person" && key.name == "as"));
                own.map(|(key, _)| key.at).or_else(|| {
                    let mut all = entries.iter().filter(|(key, _)| key.name == "all");
                    all.find_map(|(_, node)| find(node, name))
                })
            }
            Value::List(list) => list.iter().find_map(|node| find(node, name)),
            _ => None,
        }
    }
    find(node, name).unwrap_or(node.at)
}
