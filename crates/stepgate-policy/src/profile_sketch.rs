//! How much somebody does in an hour, as a rule.

use serde::{Deserialize, Serialize};

use crate::profile_habit::{ONE, decayed};

/// Buckets: the last holds 2^38 and more.
const BUCKETS: usize = 40;

/// Hours that somebody must have worked, in weights, before there is a rule.
const ENOUGH: u32 = 8 * ONE as u32;

/// Distribution of numbers in buckets of powers of two, decayed: its quantiles are right within a factor of two.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sketch {
    /// Weights; bucket 0 holds 0, bucket n numbers from 2^(n-1) on.
    weights: Vec<u16>,
    day: u16,
}

impl Sketch {
    pub(crate) fn add(&mut self, number: u64, day: u16) {
        if self.day < day {
            let days = day.saturating_sub(self.day);
            self.weights.iter_mut().for_each(|weight| *weight = decayed(*weight, days));
            self.day = day;
        }
        let bucket = bucket(number);
        if self.weights.len() <= bucket {
            self.weights.reserve_exact(bucket + 1 - self.weights.len());
            self.weights.resize(bucket + 1, 0);
        }
        if let Some(weight) = self.weights.get_mut(bucket) {
            *weight = weight.saturating_add(ONE);
        }
    }

    /// A number that 95 of 100 do not exceed; `None` while there are too few to tell.
    pub(crate) fn p95(&self) -> Option<u64> {
        let sum = |weights: &[u16]| weights.iter().map(|weight| u32::from(*weight)).sum::<u32>();
        let all = sum(&self.weights);
        if all < ENOUGH {
            return None;
        }
        let mut above = 0;
        let reaches = |weight: &u16| {
            above += u32::from(*weight);
            above * 20 > all
        };
        let at = self.weights.iter().rev().position(reaches)?;
        let bucket = self.weights.len().checked_sub(at + 1)?;
        Some(1_u64.checked_shl(u32::try_from(bucket).ok()?).unwrap_or(u64::MAX).saturating_sub(1))
    }

    fn bytes(&self) -> usize {
        self.weights.capacity() * 2
    }
}

fn bucket(number: u64) -> usize {
    let bits = u64::BITS - number.leading_zeros();
    usize::try_from(bits).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// What somebody does in an hour in which they work. An hour counts once, however much that was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Volumes {
    pub(crate) rows: Sketch,
    pub(crate) bytes: Sketch,
    /// The greatest estimate of a statement.
    pub(crate) estimates: Sketch,
    /// Whether a statement was of an unknown number of rows: 1 where one was, else 0.
    pub(crate) unknowns: Sketch,
    /// The hour that is under way, since the epoch, and what it has seen.
    hour: u32,
    now: [Option<u64>; 4],
}

impl Volumes {
    /// So much went to the client at that second.
    pub(crate) fn delivered(&mut self, at: u32, rows: u64, bytes: u64) {
        self.begin(at);
        let [now_rows, now_bytes, ..] = &mut self.now;
        *now_rows = Some(now_rows.unwrap_or(0).saturating_add(rows));
        *now_bytes = Some(now_bytes.unwrap_or(0).saturating_add(bytes));
    }

    /// A statement was thought to return so many rows; `None`: nobody could tell.
    pub(crate) fn estimated(&mut self, at: u32, rows: Option<u64>) {
        self.begin(at);
        let [_, _, estimate, unknown] = &mut self.now;
        if let Some(rows) = rows {
            *estimate = Some(estimate.unwrap_or(0).max(rows));
        }
        *unknown = Some(unknown.unwrap_or(0).max(u64::from(rows.is_none())));
    }

    /// Whether statements of an unknown number of rows are nothing out of the ordinary; `None` while there are too few
    /// hours to tell.
    pub(crate) fn is_unknown_usual(&self) -> Option<bool> {
        self.unknowns.p95().map(|unknown| unknown > 0)
    }

    fn begin(&mut self, at: u32) {
        let hour = at / 3600;
        if hour <= self.hour {
            return;
        }
        let day = u16::try_from(self.hour / 24).unwrap_or(u16::MAX);
        let sketches = [&mut self.rows, &mut self.bytes, &mut self.estimates, &mut self.unknowns];
        for (sketch, seen) in sketches.into_iter().zip(std::mem::take(&mut self.now)) {
            seen.into_iter().for_each(|seen| sketch.add(seen, day));
        }
        self.hour = hour;
    }

    pub(crate) fn heap(&self) -> usize {
        self.rows.bytes() + self.bytes.bytes() + self.estimates.bytes() + self.unknowns.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_95th_of_a_hundred_is_told_within_a_factor_of_two() {
        let mut sketch = Sketch::default();
        (0..7).for_each(|_| sketch.add(100, 50));
        assert_eq!(sketch.p95(), None);
        (0..93).for_each(|_| sketch.add(100, 50));
        assert_eq!(sketch.p95(), Some(127));
        // One in twenty does not shift it, and more do.
        (0..5).for_each(|_| sketch.add(1_000_000, 50));
        assert_eq!(sketch.p95(), Some(127));
        (0..5).for_each(|_| sketch.add(1_000_000, 50));
        assert_eq!(sketch.p95(), Some((1 << 20) - 1));
        sketch.add(u64::MAX, 50);
        sketch.add(0, 50);
        assert!(sketch.bytes() <= 2 * BUCKETS);
    }

    #[test]
    fn an_hour_counts_once_however_much_is_done_in_it() {
        let mut volumes = Volumes::default();
        (0..20).for_each(|hour| volumes.delivered(1_000_000 * 3600 + hour * 3600, 100, 1_000));
        (0..10_000).for_each(|_| volumes.delivered(1_000_020 * 3600, 1_000_000, 1 << 30));
        volumes.delivered(1_000_021 * 3600, 1, 1);
        assert_eq!(volumes.rows.p95(), Some(127));
        assert_eq!(volumes.bytes.p95(), Some(1023));
    }

    #[test]
    fn statements_of_any_number_of_rows_are_usual_where_more_than_one_hour_in_twenty_has_some() {
        let mut volumes = Volumes::default();
        let mut hour = |rows: &[Option<u64>]| {
            volumes.begin(volumes.hour * 3600 + 3600);
            let at = volumes.hour * 3600;
            rows.iter().for_each(|rows| volumes.estimated(at, *rows));
            volumes.is_unknown_usual()
        };
        assert_eq!(hour(&[Some(1), None]), None);
        let told: Vec<_> = (0..38).map(|_| hour(&[Some(1), Some(2)])).collect();
        assert_eq!(told.last(), Some(&Some(false)));
        let told: Vec<_> = (0..4).map(|_| hour(&[Some(1), None])).collect();
        assert_eq!(told.last(), Some(&Some(true)));
    }
}
