//! How often people were asked today, beside what the policy's `budget` has as too often. Nothing hangs on it.

use std::collections::BTreeMap;

use stepgate_types::{PersonName, Timestamp};

use super::Desk;

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// Requests that people's statements opened in a day (UTC); those of a day before are forgotten.
#[derive(Debug, Default)]
pub(super) struct Asked {
    budget: Option<u32>,
    day: i64,
    counts: BTreeMap<PersonName, u32>,
}

/// The budget, and how many people were asked more often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverBudget {
    /// Requests a person and day.
    pub budget: u32,
    /// People who have had more today.
    pub people: u64,
}

impl Asked {
    /// Somebody is asked; whether that is the first time today that is too often.
    pub(super) fn note(&mut self, person: &PersonName, at: Timestamp) -> bool {
        self.turn(at);
        let count = self.counts.entry(person.clone()).or_default();
        *count = count.saturating_add(1);
        self.budget.is_some_and(|budget| *count == budget.saturating_add(1))
    }

    fn turn(&mut self, at: Timestamp) {
        let day = at.micros().div_euclid(DAY);
        if day > self.day {
            self.day = day;
            self.counts.clear();
        }
    }

    fn over(&mut self, now: Timestamp) -> Option<OverBudget> {
        self.turn(now);
        let budget = self.budget?;
        let people = self.counts.values().filter(|count| **count > budget).count();
        Some(OverBudget { budget, people: u64::try_from(people).unwrap_or(u64::MAX) })
    }
}

impl Desk {
    /// From how many requests a person and day on it is said that they are too many; `None`: never.
    pub fn set_budget(&self, budget: Option<u32>) {
        self.0.state().asked.budget = budget;
    }

    /// How many people were asked more often today than the budget has it; `None`: there is none.
    #[must_use]
    pub fn over_budget(&self) -> Option<OverBudget> {
        let now = self.0.clock.now();
        self.0.state().asked.over(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_often_is_said_once_a_person_and_day() {
        let (dana, eve): (PersonName, PersonName) = ("dana".parse().unwrap(), "eve".parse().unwrap());
        let at = |day: i64| Timestamp::from_micros(day * DAY + 5);
        let mut asked = Asked::default();
        assert!((0..9).all(|_| !asked.note(&dana, at(1))));
        assert_eq!(asked.over(at(1)), None);
        asked.budget = Some(2);
        let said: Vec<bool> = (0..4).map(|_| asked.note(&eve, at(2))).collect();
        assert_eq!(said, [false, false, true, false]);
        asked.note(&dana, at(2));
        assert_eq!(asked.over(at(2)), Some(OverBudget { budget: 2, people: 1 }));
        // A clock that is set back a little is of the same day; the next one begins anew.
        asked.note(&eve, at(1));
        assert_eq!(asked.over(at(2)).map(|over| over.people), Some(1));
        assert_eq!(asked.over(at(3)), Some(OverBudget { budget: 2, people: 0 }));
    }
}
