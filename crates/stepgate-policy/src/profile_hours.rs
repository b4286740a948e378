//! When somebody works.

use serde::{Deserialize, Serialize};

use crate::profile_habit::{ONE, decayed};

/// Hours of a week.
const WEEK: u32 = 168;

/// Days that somebody must have worked, in weights, before it is known when they do.
const ENOUGH: u16 = 5 * ONE;

/// The epoch was a Thursday.
const EPOCH_HOUR: u32 = 3 * 24;

/// On how many days somebody has worked at each hour of the week, by UTC, decayed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hours {
    /// From Monday, 00:00; empty where nothing was learned.
    weights: Vec<u16>,
    day: u16,
    /// The last hour that was counted, since the epoch.
    last: u32,
}

/// How usual an hour is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usual {
    /// On so many days they have worked at that hour, or the one before or after it, …
    pub(crate) at: u16,
    /// … of so many such days (of the week, or of the weekend) on which they have worked.
    pub(crate) of: u16,
}

impl Usual {
    /// Less than two days, or one in twenty: one night makes no habit of it.
    pub(crate) const fn is_rare(self) -> bool {
        (self.at as u32) * 20 < self.of as u32 || self.at < ONE + ONE / 2
    }
}

impl Hours {
    /// They work at that second. An hour of a day counts once.
    pub(crate) fn add(&mut self, at: u32) {
        let hour = at / 3600;
        if hour <= self.last {
            return;
        }
        self.last = hour;
        let day = u16::try_from(hour / 24).unwrap_or(u16::MAX);
        if self.day < day {
            let days = day.saturating_sub(self.day);
            self.weights.iter_mut().for_each(|weight| *weight = decayed(*weight, days));
            self.day = day;
        }
        if self.weights.is_empty() {
            self.weights = vec![0; usize::try_from(WEEK).unwrap_or_default()];
        }
        if let Some(weight) = self.weights.get_mut(index(hour_of_week(at))) {
            *weight = weight.saturating_add(ONE);
        }
    }

    /// How usual it is to work at that second, by the clocks of a zone that are `offset` seconds ahead of UTC now. `None`
    /// while too little is known.
    pub(crate) fn usual(&self, at: u32, offset: i32) -> Option<Usual> {
        let local = i64::from(at).saturating_add(i64::from(offset));
        let local = u32::try_from(local).unwrap_or(0);
        let (day, hour) = (hour_of_week(local) / 24, hour_of_week(local) % 24);
        // By local hour, those of Mondays to Fridays and those of weekends, in one walk over the week.
        let (mut week, mut weekend) = ([0_u16; 24], [0_u16; 24]);
        let ahead = offset.div_euclid(3600).rem_euclid(168);
        let mut at = u32::try_from(ahead).unwrap_or(0);
        for weight in &self.weights {
            let days = if at / 24 < 5 { &mut week } else { &mut weekend };
            if let Some(sum) = days.get_mut(index(at % 24)) {
                *sum = sum.saturating_add(*weight);
            }
            at = if at + 1 == WEEK { 0 } else { at + 1 };
        }
        let most = |days: &[u16; 24]| days.iter().copied().max().unwrap_or(0);
        let (of_week, of_weekend) = (most(&week), most(&weekend));
        if of_week.saturating_add(of_weekend) < ENOUGH {
            return None;
        }
        let (days, of) = if day < 5 { (&week, of_week) } else { (&weekend, of_weekend) };
        let near = [hour, (hour + 23) % 24, (hour + 1) % 24];
        let at = near.into_iter().filter_map(|hour| days.get(index(hour))).copied().max().unwrap_or(0);
        // Whoever never works on weekends has no usual hour there, nor has who does so now and then.
        Some(Usual { at, of: of.max(if day < 5 { 0 } else { of_week.saturating_add(of_weekend) / 5 }) })
    }

    pub(crate) fn bytes(&self) -> usize {
        self.weights.capacity() * 2
    }
}

fn hour_of_week(at: u32) -> u32 {
    (at / 3600 + EPOCH_HOUR) % WEEK
}

fn index(hour: u32) -> usize {
    usize::try_from(hour).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Monday, 00:00 UTC.
    const MONDAY: u32 = 1_767_571_200;
    const HOUR: u32 = 3600;
    const DAY: u32 = 24 * HOUR;

    /// Eight to sixteen UTC on working days, for four weeks.
    fn office() -> Hours {
        let mut hours = Hours::default();
        for day in (0..28).filter(|day| day % 7 < 5) {
            for hour in 8..16 {
                (0..50).for_each(|second| hours.add(MONDAY + day * DAY + hour * HOUR + second));
            }
        }
        hours
    }

    #[test]
    fn the_hours_at_which_somebody_works_are_usual_on_working_days() {
        let hours = office();
        let monday = MONDAY + 28 * DAY;
        let rare = |hour: u32, day: u32| hours.usual(monday + day * DAY + hour * HOUR, 0).unwrap().is_rare();
        assert!((7..17).all(|hour| !rare(hour, 0)));
        assert!([0, 3, 6, 17, 23].iter().all(|hour| rare(*hour, 0)));
        assert!((0..24).all(|hour| rare(hour, 5)), "never on weekends");
    }

    #[test]
    fn the_clocks_of_the_zone_tell_weekend_from_week() {
        let hours = office();
        // Friday, 23:30 in UTC is Saturday in Berlin, and Saturday 23:00 is Sunday.
        let friday = MONDAY + (28 + 4) * DAY;
        assert!(hours.usual(friday + 23 * HOUR + 1800, 3600).unwrap().is_rare());
        assert!(!hours.usual(friday + 12 * HOUR, 3600).unwrap().is_rare());
        assert!(!hours.usual(friday + 12 * HOUR, -5 * 3600).unwrap().is_rare());
    }

    #[test]
    fn nothing_is_unusual_before_enough_is_known() {
        let mut hours = Hours::default();
        for day in 0..4 {
            hours.add(MONDAY + day * DAY + 9 * HOUR);
        }
        assert_eq!(hours.usual(MONDAY + 4 * DAY + 3 * HOUR, 0), None);
    }

    #[test]
    fn thousands_of_statements_in_one_night_do_not_make_it_usual() {
        let mut hours = office();
        let night = MONDAY + 28 * DAY + 3 * HOUR;
        (0..3_000).for_each(|second| hours.add(night + second));
        assert!(hours.usual(night + DAY, 0).unwrap().is_rare());
        // On most days of two weeks they do.
        (1..12).for_each(|day| hours.add(night + day * DAY));
        assert!(!hours.usual(night + 14 * DAY, 0).unwrap().is_rare());
    }
}
