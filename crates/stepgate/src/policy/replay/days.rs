//! Requests of each person on each day.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// How many requests each person had on each day (UTC) on which they did anything.
#[derive(Debug, Default)]
pub(crate) struct Days {
    counts: HashMap<(u32, i64), u32>,
}

/// How many requests people have a day, over all days on which they did anything.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Spread {
    /// All of them.
    pub(crate) total: u64,
    /// Days of people.
    pub(crate) person_days: u64,
    /// Half of these days have at most so many.
    pub(crate) p50: u32,
    /// And 95 of a hundred.
    pub(crate) p95: u32,
    /// The most.
    pub(crate) worst: u32,
    /// Whose, and when.
    pub(crate) worst_person: Option<String>,
    pub(crate) worst_day: Option<String>,
    /// On so many of these days it was more than the budget; `None`: there is no budget.
    pub(crate) over_budget: Option<u64>,
}

impl Days {
    /// Somebody did something then, and was asked so often.
    pub(crate) fn count(&mut self, person: u32, at_us: i64, asked: u32) {
        let count = self.counts.entry((person, at_us.div_euclid(DAY))).or_default();
        *count = count.saturating_add(asked);
    }

    /// How they are spread. `name` tells who a number is.
    pub(crate) fn spread(&self, budget: Option<u32>, name: impl Fn(u32) -> Option<String>) -> Spread {
        let mut counts: Vec<u32> = self.counts.values().copied().collect();
        counts.sort_unstable();
        // Of those who share the most, the earliest, so that it is the same each time.
        let worst = self.counts.iter().max_by_key(|((person, day), count)| {
            (**count, std::cmp::Reverse(*day), std::cmp::Reverse(*person))
        });
        let worst = worst.filter(|(_, count)| **count > 0);
        Spread {
            total: counts.iter().map(|count| u64::from(*count)).sum(),
            person_days: u64::try_from(counts.len()).unwrap_or(u64::MAX),
            p50: percentile(&counts, 50),
            p95: percentile(&counts, 95),
            worst: counts.last().copied().unwrap_or(0),
            worst_person: worst.and_then(|((person, _), _)| name(*person)),
            worst_day: worst.map(|((_, day), _)| date(*day)),
            over_budget: budget.map(|budget| {
                let over = counts.iter().filter(|count| **count > budget).count();
                u64::try_from(over).unwrap_or(u64::MAX)
            }),
        }
    }

    /// All requests by day.
    pub(crate) fn by_day(&self) -> BTreeMap<i64, u64> {
        let mut days = BTreeMap::new();
        for ((_, day), count) in &self.counts {
            let sum: &mut u64 = days.entry(*day).or_default();
            *sum = sum.saturating_add(u64::from(*count));
        }
        days
    }
}

/// The least of these that at least so many of a hundred do not exceed (nearest rank); they are in order.
fn percentile(ordered: &[u32], of_a_hundred: usize) -> u32 {
    let rank = ordered.len().saturating_mul(of_a_hundred).div_ceil(100);
    rank.checked_sub(1).and_then(|at| ordered.get(at)).copied().unwrap_or(0)
}

/// `2026-01-31`.
pub(crate) fn date(day: i64) -> String {
    let at = jiff::Timestamp::from_microsecond(day.saturating_mul(DAY));
    at.map_or_else(|_| String::new(), |at| at.strftime("%Y-%m-%d").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let twenty: Vec<u32> = (1..=20).collect();
        assert_eq!(
            (percentile(&twenty, 50), percentile(&twenty, 95), percentile(&twenty, 100)),
            (10, 19, 20)
        );
        assert_eq!((percentile(&[7], 50), percentile(&[7], 95)), (7, 7));
        assert_eq!(percentile(&[], 50), 0);
    }

    #[test]
    fn days_without_a_request_count_and_days_without_a_statement_do_not() {
        let mut days = Days::default();
        for (person, day, asked) in [(0, 0, 3), (0, 0, 2), (0, 1, 0), (1, 1, 5), (1, 2, 0), (2, 20, 1)] {
            days.count(person, day * DAY + 5, asked);
        }
        let spread = days.spread(Some(4), |person| Some(format!("p{person}")));
        assert_eq!((spread.total, spread.person_days), (11, 5));
        assert_eq!((spread.p50, spread.p95, spread.worst), (1, 5, 5));
        assert_eq!(spread.worst_person.as_deref(), Some("p0"));
        assert_eq!(spread.worst_day.as_deref(), Some("1970-01-01"));
        assert_eq!(spread.over_budget, Some(2));
        assert_eq!(days.by_day(), [(0, 5), (1, 5), (2, 0), (20, 1)].into());
        assert_eq!(Days::default().spread(None, |_| None), Spread::default());
    }
}
