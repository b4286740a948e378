//! How long things took, in buckets.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::{Text, add, count, seconds};

/// Counts in buckets.
pub(super) struct Histogram<const N: usize> {
    bounds: &'static [u64; N],
    pub(super) buckets: [AtomicU64; N],
    beyond: AtomicU64,
    sum: AtomicU64,
}

impl<const N: usize> Histogram<N> {
    pub(super) fn new(bounds: &'static [u64; N]) -> Self {
        Self {
            bounds,
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            beyond: AtomicU64::new(0),
            sum: AtomicU64::new(0),
        }
    }

    pub(super) fn observe(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let place = self.bounds.partition_point(|bound| *bound < micros);
        count(self.buckets.get(place).unwrap_or(&self.beyond));
        add(&self.sum, micros);
    }

    /// All of these as one.
    pub(super) fn write<'h>(all: impl Iterator<Item = &'h Self>, text: &mut Text, name: &str, help: &str) {
        text.head(name, "histogram", help);
        let (mut bounds, mut buckets, mut beyond, mut sum) = (None, [0; N], 0, 0);
        for one in all {
            bounds = Some(one.bounds);
            for (bucket, counted) in buckets.iter_mut().zip(&one.buckets) {
                *bucket += counted.load(Relaxed);
            }
            beyond += one.beyond.load(Relaxed);
            sum += one.sum.load(Relaxed);
        }
        let mut below = 0;
        for (bound, bucket) in bounds.into_iter().flatten().zip(buckets) {
            below += bucket;
            text.line(&format!("{name}_bucket{{le=\"{}\"}}", seconds(*bound)), below);
        }
        let count = below + beyond;
        text.line(&format!("{name}_bucket{{le=\"+Inf\"}}"), count);
        text.line(&format!("{name}_sum"), seconds(sum));
        text.line(&format!("{name}_count"), count);
    }
}

#[cfg(test)]
mod tests {
    use super::super::FAST;
    use super::*;

    #[test]
    fn buckets_are_cumulative_and_their_bounds_belong_to_them() {
        let histograms = [Histogram::new(&FAST), Histogram::new(&FAST)];
        for (at, micros) in [9, 10, 11, 1_000, 6_000_000].into_iter().enumerate() {
            histograms[at % 2].observe(Duration::from_micros(micros));
        }
        let mut text = Text::default();
        Histogram::write(histograms.iter(), &mut text, "x", "help");
        for line in [
            "x_bucket{le=\"0.00001\"} 2",
            "x_bucket{le=\"0.001\"} 4",
            "x_bucket{le=\"5\"} 4",
            "x_bucket{le=\"+Inf\"} 5",
            "x_count 5",
            "x_sum 6.00103",
        ] {
            assert!(text.0.lines().any(|one| one == line), "{line} is not in:\n{}", text.0);
        }
    }
}
