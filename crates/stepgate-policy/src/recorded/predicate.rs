//! Comparisons, of which a record has at most the interval in which the value lies.

use std::cmp::Ordering;

use stepgate_sql::Number;
use stepgate_types::{ColumnName, Use};

use super::range::{Case, Gaps, Range};
use super::{Gap, MAX_BUCKETS, RecordedBucket};
use crate::predicate::{PredicateTest, by_value, by_word};
use crate::truth::Truth;

/// The range of a `predicate`.
pub(super) fn range(case: &Case<'_>, test: &PredicateTest, gaps: &mut Gaps) -> Range {
    let statement = case.unseen.statement;
    let doubt = Range::just(Truth::seen(false, statement.unknown()));
    let touched = statement.columns.iter().filter(|column| test.of.names(column));
    let touched = touched.map(|column| of_column(case, test, column.name, Some(column.uses), gaps));
    let mut all = Range::any(touched.chain([doubt]));
    // A column that the record does not name may have been compared, too; one with thresholds has its buckets.
    let unseen = match &test.of.columns {
        Some(columns) => columns.iter().any(|column| {
            case.unseen.may_be(column) && (thresholds(case, column).is_none() || is_full(case))
        }),
        None => case.unseen.may_fit(&test.of),
    };
    if let Some(columns) = &test.of.columns {
        for column in columns.iter().filter(|column| case.unseen.may_be(column)) {
            if thresholds(case, column).is_some() {
                let seen = of_column(case, test, column, None, gaps);
                all = Range::any([all, seen].into_iter());
            }
        }
    }
    if unseen && all.least != Truth::Yes {
        gaps.insert(Gap::Label);
        all.most = Truth::Yes;
    }
    all
}

fn is_full(case: &Case<'_>) -> bool {
    case.recorded.buckets.len() >= MAX_BUCKETS
}

/// The thresholds that the map of that time had of a column.
fn thresholds<'a>(case: &'a Case<'_>, column: &ColumnName) -> Option<&'a [Number]> {
    case.unseen.then.map?.of(case.unseen.database)?.thresholds(column)
}

fn of_column(
    case: &Case<'_>,
    test: &PredicateTest,
    column: &ColumnName,
    uses: Option<&std::collections::BTreeSet<Use>>,
    gaps: &mut Gaps,
) -> Range {
    if let Some(thresholds) = thresholds(case, column) {
        let buckets = case.recorded.buckets.iter().filter(|bucket| bucket.column == *column);
        let mut told = Range::any(buckets.map(|bucket| of_bucket(test, bucket, thresholds, gaps)));
        if is_full(case) && told.least != Truth::Yes {
            gaps.insert(Gap::Value);
            told.most = Truth::Yes;
        }
        return told;
    }
    if test.op.is_none() && uses.is_some_and(|uses| uses.contains(&Use::Predicate)) {
        // It is compared, and no matter how.
        return Range::just(Truth::Yes);
    }
    gaps.insert(Gap::Value);
    Range::ANY
}

/// The range of one comparison whose value lies between two thresholds.
fn of_bucket(test: &PredicateTest, bucket: &RecordedBucket, thresholds: &[Number], gaps: &mut Gaps) -> Range {
    let asked = match by_word(test.op, bucket.op, test.value.is_some()) {
        Ok(truth) => return Range::just(truth),
        Err(asked) => asked,
    };
    let Some(value) = &test.value else { return Range::just(Truth::Yes) };
    let range = match orders(bucket.bucket, value, thresholds) {
        Some(orders) => {
            let mut truths = orders.iter().map(|order| by_value(asked, bucket.op, *order));
            let first = truths.next().unwrap_or(Truth::Maybe);
            truths.fold(Range::just(first), |range, truth| Range {
                least: range.least.min(truth),
                most: range.most.max(truth),
            })
        }
        None => Range::ANY,
    };
    if !range.is_settled() {
        gaps.insert(Gap::Value);
    }
    range
}

/// How the statement's value may compare with the rule's; `Some([None])` is that the gate itself could not tell.
/// `None`: in any way.
fn orders(bucket: i64, value: &Number, thresholds: &[Number]) -> Option<Vec<Option<Ordering>>> {
    use Ordering::{Equal, Greater, Less};
    let at = usize::try_from(bucket).ok();
    let Some(at) = at else {
        // It was no number that could be read, or one that is close to a threshold: the only one, if that is the rule's.
        return (thresholds == [value.clone()]).then(|| vec![None]);
    };
    if thresholds.iter().any(|it| it != value && it.is_close_to(value)) {
        return None;
    }
    let lower = at.checked_sub(1).and_then(|at| thresholds.get(at));
    let upper = thresholds.get(at);
    if lower.is_none() && at > 0 {
        return None;
    }
    let mut orders = Vec::new();
    if upper.is_none_or(|upper| value < upper) {
        // The value may be above the rule's.
        orders.push(Some(Greater));
    }
    match lower.map(|lower| value.cmp(lower)) {
        Some(Less) => return Some(vec![Some(Greater)]),
        Some(Equal) => orders.push(Some(Equal)),
        Some(Greater) | None => {
            if upper.is_none_or(|upper| value < upper) {
                orders.extend([Some(Equal), None]);
            }
            orders.push(Some(Less));
        }
    }
    Some(orders)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(all: &[&str]) -> Vec<Number> {
        all.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_value_lies_where_its_bucket_says() {
        use Ordering::{Equal, Greater, Less};
        let thresholds = numbers(&["100", "200", "300"]);
        let orders = |bucket, value: &str| super::orders(bucket, &value.parse().unwrap(), &thresholds);
        // Below 100, at 100 up to 200, and so on.
        assert_eq!(orders(0, "100"), Some(vec![Some(Less)]));
        assert_eq!(orders(1, "100"), Some(vec![Some(Greater), Some(Equal)]));
        assert_eq!(orders(2, "100"), Some(vec![Some(Greater)]));
        assert_eq!(orders(2, "300"), Some(vec![Some(Less)]));
        assert_eq!(orders(3, "300"), Some(vec![Some(Greater), Some(Equal)]));
        // Inside an interval anything may be, and the gate itself may not have known.
        assert_eq!(orders(1, "150"), Some(vec![Some(Greater), Some(Equal), None, Some(Less)]));
        assert_eq!(orders(3, "999"), Some(vec![Some(Greater), Some(Equal), None, Some(Less)]));
        // Close to a threshold and not on it, or in no bucket that there is.
        assert_eq!(orders(1, "100.000001"), None);
        assert_eq!(orders(4, "100"), None);
        assert_eq!(orders(-1, "100"), None);
        assert_eq!(super::orders(-1, &"5".parse().unwrap(), &numbers(&["5"])), Some(vec![None]));
    }
}
