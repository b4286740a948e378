//! `threshold:` of a table in the map, read and checked.

use std::collections::BTreeMap;

use stepgate_sql::Number;

use crate::predicate_load::decimal;
use crate::read;
use crate::report::Report;
use crate::yaml::{Node, Place};

/// The most thresholds of a column. More would tell the value itself.
const MAX: usize = 16;

const EXAMPLE: &str = "for example threshold: {amount: [10000, 30000]}";

/// `{COLUMN: [ascending numbers]}` of the relation `what`.
pub(crate) fn load(report: &mut Report<'_>, node: &Node, what: &str) -> BTreeMap<String, Vec<Number>> {
    let columns = read::map(report, node, &format!("`threshold` of {what}")).unwrap_or_default();
    let read = columns.into_iter().filter_map(|(key, node)| {
        let thresholds = of_column(report, node, &format!("`threshold` of column `{}`", key.name))?;
        Some((key.name.clone(), thresholds))
    });
    read.collect()
}

/// It stands in a column's own entry.
pub(crate) fn misplaced(report: &mut Report<'_>, at: Place) {
    report.error_with_help(at, "`threshold` stands beside `columns`, not in it", EXAMPLE);
}

fn of_column(report: &mut Report<'_>, node: &Node, what: &str) -> Option<Vec<Number>> {
    let items = read::items(report, node, what)?;
    if items.len() > MAX {
        report
            .error(node.at, format!("{what} has {} numbers, and at most {MAX} are told apart", items.len()));
        return None;
    }
    let mut thresholds: Vec<Number> = Vec::with_capacity(items.len());
    for item in items {
        let Some(number) = decimal(item) else {
            report.error_with_help(item.at, format!("{what} is a list of numbers"), EXAMPLE);
            return None;
        };
        if thresholds.last().is_some_and(|last| *last >= number) {
            report.error_with_help(item.at, format!("{what} must ascend"), EXAMPLE);
            return None;
        }
        thresholds.push(number);
    }
    Some(thresholds)
}
