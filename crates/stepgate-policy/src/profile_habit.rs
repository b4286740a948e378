//! What somebody does again and again, and what they have only begun to do.

use serde::{Deserialize, Serialize};

/// The weight of one day of use.
pub(crate) const ONE: u16 = 256;
/// The most that a habit weighs: what was used daily is forgotten seven half-lives after the last time.
const MOST: u16 = 32 * ONE;
/// What weighs less is forgotten: two half-lives after something was used once.
const LEAST: u16 = ONE / 4;
/// Days in which a weight halves.
const HALF_LIFE: u16 = 30;
/// 2^(-days / 30) in 65,536ths: whole numbers, so that a profile that is made anew is the same to the last bit.
const FACTORS: [u32; HALF_LIFE as usize] = [
    65536, 64039, 62576, 61147, 59751, 58386, 57052, 55749, 54476, 53232, 52016, 50828, 49667, 48533, 47424,
    46341, 45283, 44248, 43238, 42250, 41285, 40342, 39421, 38520, 37641, 36781, 35941, 35120, 34318, 33534,
];

/// What is left of a weight after so many days.
pub(crate) fn decayed(weight: u16, days: u16) -> u16 {
    let halves = u32::from(days / HALF_LIFE);
    let factor = FACTORS.get(usize::from(days % HALF_LIFE)).copied().unwrap_or_default();
    let left = (u32::from(weight) * factor) >> 16;
    u16::try_from(left.checked_shr(halves).unwrap_or(0)).unwrap_or(u16::MAX)
}

/// Things somebody uses, by their tokens, and how much they do: a day of use counts once, however often that was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Habits(Vec<Habit>);

/// Token, weight on that day, and that day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Habit(u64, u16, u16);

impl Habit {
    fn weight(self, day: u16) -> u16 {
        decayed(self.1, day.saturating_sub(self.2))
    }
}

impl Habits {
    /// Whether it was used, and that is not forgotten.
    pub(crate) fn knows(&self, token: u64, day: u16) -> bool {
        let at = self.0.binary_search_by_key(&token, |habit| habit.0).ok();
        at.and_then(|at| self.0.get(at)).is_some_and(|habit| habit.weight(day) >= LEAST)
    }

    /// It is used on that day. At most `most` are kept: beyond, the one that weighs the least is forgotten.
    pub(crate) fn add(&mut self, token: u64, day: u16, most: usize) {
        match self.0.binary_search_by_key(&token, |habit| habit.0) {
            Ok(at) => {
                if let Some(habit) = self.0.get_mut(at).filter(|habit| habit.2 < day) {
                    let weight = habit.weight(day).saturating_add(ONE).min(MOST);
                    *habit = Habit(token, weight, day);
                }
            }
            Err(at) => {
                self.0.insert(at, Habit(token, ONE, day));
                if self.0.len() > most {
                    // Not the new one, or nothing new would ever be learned.
                    let others = self.0.iter().enumerate().filter(|(_, habit)| habit.0 != token);
                    let least =
                        others.min_by_key(|(_, habit)| (habit.weight(day), habit.0)).map(|(at, _)| at);
                    least.map(|at| self.0.remove(at));
                }
            }
        }
    }

    /// It is as if it had never been used.
    pub(crate) fn forget(&mut self, token: u64) {
        self.0.retain(|habit| habit.0 != token);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<Habit>()
    }
}

/// New things that become habits by being used undisturbed for long enough.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trials(Vec<Trial>);

/// Most things on trial at a time: beyond, the one that was not used for longest begins anew.
const MAX_TRIALS: usize = 8;

/// On so many days at least something must be used before it is a habit.
const TRIAL_DAYS: u8 = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Trial {
    token: u64,
    since: u16,
    last: u16,
    days: u8,
}

impl Trials {
    /// It is used on that day; returns whether it has been for `probation` days, undisturbed, and is on trial no more.
    pub(crate) fn used(&mut self, token: u64, day: u16, probation: u16) -> bool {
        let Some(at) = self.0.iter().position(|trial| trial.token == token) else {
            if self.0.len() >= MAX_TRIALS {
                let oldest = self.0.iter().enumerate().min_by_key(|(_, trial)| trial.last).map(|(at, _)| at);
                oldest.map(|at| self.0.remove(at));
            }
            self.0.push(Trial { token, since: day, last: day, days: 1 });
            return false;
        };
        let Some(trial) = self.0.get_mut(at) else { return false };
        if trial.last < day {
            (trial.last, trial.days) = (day, trial.days.saturating_add(1));
        }
        let passed = trial.days >= TRIAL_DAYS && day.saturating_sub(trial.since) >= probation;
        if passed {
            self.0.remove(at);
        }
        passed
    }

    /// Something happened that speaks against it: it begins anew.
    pub(crate) fn disturbed(&mut self, token: u64) {
        self.0.retain(|trial| trial.token != token);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<Trial>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_halves_in_thirty_days() {
        assert_eq!([0, 15, 30, 60, 300].map(|days| decayed(1024, days)), [1024, 724, 512, 256, 1]);
        assert_eq!(decayed(u16::MAX, u16::MAX), 0);
    }

    #[test]
    fn what_was_used_once_is_forgotten_before_what_was_used_daily() {
        let mut habits = Habits::default();
        habits.add(1, 100, 8);
        (100..140).for_each(|day| habits.add(2, day, 8));
        assert!(habits.knows(1, 160) && !habits.knows(1, 161));
        assert!(habits.knows(2, 250) && !habits.knows(2, 400));
    }

    #[test]
    fn thousands_of_uses_on_one_day_count_as_one() {
        let mut habits = Habits::default();
        (0..10_000).for_each(|_| habits.add(7, 100, 8));
        assert!(!habits.knows(7, 161));
    }

    #[test]
    fn a_full_list_keeps_what_is_used_most() {
        let mut habits = Habits::default();
        (90..100).for_each(|day| habits.add(0, day, 4));
        (1..1_000).for_each(|token| habits.add(token, 100, 4));
        assert!(habits.0.len() == 4 && habits.knows(0, 100) && habits.knows(999, 100));
    }

    #[test]
    fn a_trial_takes_its_time_and_its_days_and_begins_anew_when_disturbed() {
        let mut trials = Trials::default();
        // Thousands of uses on the first and last day are two days of use.
        assert!(!(0..5_000).any(|use_| trials.used(1, 100 + use_ / 2_500 * 20, 14)));
        let days = |trials: &mut Trials, from: u16| (from..from + 30).find(|day| trials.used(2, *day, 14));
        assert_eq!(days(&mut trials, 100), Some(114));
        let mut disturbed = Trials::default();
        assert!(!(100..113).any(|day| disturbed.used(2, day, 14)));
        disturbed.disturbed(2);
        assert_eq!(days(&mut disturbed, 113), Some(127));
        // Many things on trial at once are bounded.
        (0..10_000).for_each(|token| assert!(!disturbed.used(token, 500, 14)));
        assert!(disturbed.bytes() < 1_000);
    }
}
