//! On which side of the map's thresholds the values lie that a statement compares a column with.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use stepgate_sql::{Comparison, Facts, Number, Predicate, Values};
use stepgate_types::ColumnName;

use crate::map::Map;

/// The most of them that are told of a message.
const MAX: usize = 16;

/// It cannot be told.
const UNTOLD: i64 = -1;

/// A comparison of a column that has thresholds. Never with what value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bucket {
    /// The column.
    pub column: ColumnName,
    /// How it is compared, with the column on the left.
    pub op: Comparison,
    /// How many of its thresholds the value is at or above; -1 where that cannot be told: it is no number, it is not one
    /// plain literal or parameter, or a type that rounds might put it on the other side.
    pub bucket: i64,
}

/// Each once, the most telling first: whoever wants something left out must say that, or something higher, sixteen times.
pub(crate) fn buckets(map: &Map, database: &str, message: &[Facts], values: &dyn Values) -> Vec<Bucket> {
    if message.iter().all(|facts| facts.predicates.is_empty()) {
        return Vec::new();
    }
    let Some(entries) = map.of(database).filter(|entries| entries.has_thresholds) else { return Vec::new() };
    let mut all = BTreeSet::new();
    for predicate in message.iter().flat_map(|facts| facts.predicates.iter()) {
        if let Some(thresholds) = entries.thresholds(&predicate.column) {
            let bucket = place(predicate, thresholds, values).unwrap_or(UNTOLD);
            all.insert(Bucket { column: predicate.column.clone(), op: predicate.op, bucket });
        }
    }
    let mut all: Vec<Bucket> = all.into_iter().collect();
    // What cannot be told may be anything: below what is at a threshold, above what is at none.
    all.sort_by_key(|it| Reverse(if it.bucket <= 0 { UNTOLD - it.bucket } else { it.bucket }));
    all.truncate(MAX);
    all
}

fn place(predicate: &Predicate, thresholds: &[Number], values: &dyn Values) -> Option<i64> {
    // A pattern is none, whatever it looks like.
    if matches!(predicate.op, Comparison::Like | Comparison::IsNull | Comparison::Other) {
        return None;
    }
    let number = values.number(predicate.operand.value?)?;
    // Where both are rounded to a float, 29999.9999999 is 30000.
    if thresholds.iter().any(|it| *it != number && it.is_close_to(&number)) {
        return None;
    }
    i64::try_from(thresholds.partition_point(|it| *it <= number)).ok()
}
