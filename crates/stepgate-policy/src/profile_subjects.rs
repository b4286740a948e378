//! How many different subjects somebody has seen the data of.

use serde::{Deserialize, Serialize};

/// How many are kept; of more, every second, fourth, eighth …
const MOST: usize = 1024;
/// Seconds after which one does not count any more: the longest window.
const DAY: u32 = 86_400;

/// Subjects seen in the last day: an adaptive sample (Wegman), of which the number of all is estimated, exactly up to 1,024.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// Hash, and the minute since the epoch in which it was seen last; in order of hashes.
    sample: Vec<(u32, u32)>,
    /// Only hashes whose so many last bits are 0 are kept.
    level: u8,
    /// The last minute in which any was seen.
    last: u32,
}

impl Seen {
    /// A subject was seen at that second; `hash` is evenly distributed.
    pub(crate) fn add(&mut self, hash: u32, at: u32) {
        let minute = at / 60;
        if minute.saturating_sub(self.last) > DAY / 60 {
            self.sample.clear();
            self.level = 0;
        }
        self.last = minute.max(self.last);
        if !self.wants(hash) {
            return;
        }
        match self.sample.binary_search_by_key(&hash, |(hash, _)| *hash) {
            Ok(at) => {
                if let Some((_, last)) = self.sample.get_mut(at) {
                    *last = minute.max(*last);
                }
            }
            Err(place) => {
                if self.sample.len() >= MOST {
                    self.shrink(at);
                    if self.wants(hash) {
                        let place = self.sample.partition_point(|(known, _)| *known < hash);
                        self.sample.insert(place, (hash, minute));
                    }
                } else {
                    self.sample.insert(place, (hash, minute));
                }
            }
        }
    }

    /// About how many were seen in the last `per` seconds.
    pub(crate) fn within(&self, now: u32, per: u32) -> u64 {
        let since = now.saturating_sub(per) / 60;
        let there = self.sample.iter().filter(|(_, minute)| *minute >= since).count();
        u64::try_from(there).unwrap_or(u64::MAX).checked_shl(self.level.into()).unwrap_or(u64::MAX)
    }

    fn wants(&self, hash: u32) -> bool {
        hash.trailing_zeros() >= u32::from(self.level)
    }

    fn shrink(&mut self, now: u32) {
        let since = now.saturating_sub(DAY) / 60;
        self.sample.retain(|(_, minute)| *minute >= since);
        if self.sample.is_empty() {
            self.level = 0;
        }
        while self.sample.len() >= MOST && self.level < 31 {
            self.level += 1;
            let level = u32::from(self.level);
            self.sample.retain(|(hash, _)| hash.trailing_zeros() >= level);
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.sample.capacity() * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u32) -> u32 {
        // The finisher of MurmurHash3.
        let h = (number ^ number >> 16).wrapping_mul(0x85eb_ca6b);
        let h = (h ^ h >> 13).wrapping_mul(0xc2b2_ae35);
        h ^ h >> 16
    }

    #[test]
    fn the_same_subject_counts_once_and_a_window_ends() {
        let mut seen = Seen::default();
        for at in [86_400, 90_000, 93_600] {
            (0..100).for_each(|number| seen.add(hash(number), at));
        }
        (100..150).for_each(|number| seen.add(hash(number), 97_200));
        assert_eq!(seen.within(97_200, 600), 50);
        assert_eq!(seen.within(97_200, 7_200), 150);
    }

    #[test]
    fn of_very_many_the_number_is_estimated_in_bounded_memory() {
        let mut seen = Seen::default();
        (0..200_000).for_each(|number| seen.add(hash(number), 86_400));
        let about = seen.within(86_400, 3600);
        assert!((170_000..230_000).contains(&about), "{about}");
        assert!(seen.bytes() <= 16 * 1024);
        // A day later it is exact again.
        (0..2_000).for_each(|number| seen.add(hash(number), 3 * 86_400));
        let about = seen.within(3 * 86_400, 3600);
        assert!((1_700..2_300).contains(&about), "{about}");
    }
}
