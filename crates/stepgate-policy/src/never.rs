//! Rules that can never match a statement that is understood: only what is certain is reported.

use std::collections::BTreeSet;

use stepgate_types::{Class, Label};

use crate::condition::{ClassTest, Condition, Touch};
use crate::map::{Map, Relation};
use crate::never_left::{Left, Why, items};
use crate::report::Report;
use crate::yaml::{Node, Place, Value};

/// Reports what contradicts itself, and warns of what nothing in the map fits.
pub(crate) fn check(report: &mut Report<'_>, node: &Node, condition: &Condition, map: &Map) {
    let left = Left::of(node, condition);
    if let Some((why, within)) = never(&left) {
        report.error_with_help(
            key(within.unwrap_or(node), why.key),
            match within {
                None => format!("{}, so that the rule would never match", why.says),
                Some(_) => format!(
                    "no alternative of `any` can hold (of this one: {}), so that the rule would never match",
                    why.says
                ),
            },
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
    warn_of_the_idle(report, &left);
}

/// Why nothing meets all of it, and where that stands: a contradiction, or an `any` of which no alternative is left.
fn never<'c>(left: &Left<'c>) -> Option<(Why, Option<&'c Node>)> {
    if let Some(why) = left.contradiction() {
        return Some((why, None));
    }
    left.anys.iter().find_map(|(node, conditions)| {
        let dead = dead(left, node, conditions);
        let first = dead.len() == conditions.len();
        dead.into_iter().next().filter(|_| first).map(|(node, why)| (why, Some(node)))
    })
}

/// The alternatives that never hold beside the rest.
fn dead<'c>(left: &Left<'c>, node: &'c Node, conditions: &'c [Condition]) -> Vec<(&'c Node, Why)> {
    let each = items(node).iter().zip(conditions);
    each.filter_map(|(node, condition)| {
        let (why, within) = never(&left.with(node, condition))?;
        Some((within.unwrap_or(node), why))
    })
    .collect()
}

/// Warns of alternatives that never hold where others do, and of what `not` excludes although it never is.
fn warn_of_the_idle(report: &mut Report<'_>, left: &Left<'_>) {
    for (node, conditions) in &left.anys {
        for (node, why) in dead(left, node, conditions) {
            report.warning(
                key(node, why.key),
                &format!("{}, so that this alternative of `any` never holds", why.says),
                "remove it, or mend what contradicts itself",
            );
        }
    }
    for (node, condition) in &left.nots {
        if let Some((why, within)) = never(&Left::of(node, condition)) {
            report.warning(
                key(within.unwrap_or(node), why.key),
                &format!("{}, so that `not` excludes nothing", why.says),
                "remove it, or mend what contradicts itself",
            );
        }
    }
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

/// Keys that may be written otherwise.
const ALSO: [(&str, &str); 2] = [("person", "as"), ("db_user", "role")];

/// Where that key of the condition stands, or the condition itself.
fn key(node: &Node, name: &str) -> Place {
    fn find(node: &Node, name: &str) -> Option<Place> {
        match &node.value {
            Value::Map(entries) => {
                let own = entries
                    .iter()
                    .find(|(key, _)| key.name == name || ALSO.contains(&(name, key.name.as_str())));
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
