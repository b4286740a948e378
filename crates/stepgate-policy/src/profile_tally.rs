//! How much somebody has done lately: what goes to windows of any length, up to a day.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Seconds of the slots of the last hour …
const MINUTE: u32 = 60;
/// … of which there are so many; …
const MINUTES: u32 = 60;
/// … and of those before it, …
const QUARTER: u32 = 900;
/// … of which there are so many: a day.
const QUARTERS: u32 = 96;
/// Most tallies of each kind: beyond, the two oldest become one, of the classes of both.
const MAX_TALLIES: usize = 320;

/// Classes by their bits in one profile; the last bit stands for all that have none of their own.
pub(crate) type Mask = u8;
/// Classes with a bit of their own.
const CLASSES: usize = 7;
/// Those without one.
const OTHER: Mask = 1 << CLASSES;

/// What was done in one slot by statements that touched just these classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Tally {
    /// Seconds since the epoch by the slot's length.
    slot: u32,
    mask: Mask,
    done: Done,
}

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) statements: u32,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

impl Done {
    const fn and(self, more: Self) -> Self {
        Self {
            statements: self.statements.saturating_add(more.statements),
            rows: self.rows.saturating_add(more.rows),
            bytes: self.bytes.saturating_add(more.bytes),
        }
    }
}

/// What was done in the last day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tallies {
    /// Tokens of classes, in the order of their bits.
    classes: Vec<u32>,
    minutes: VecDeque<Tally>,
    quarters: VecDeque<Tally>,
}

impl Tallies {
    /// The bits of these classes; each gets one while there are some left. `None`: it may have touched any.
    pub(crate) fn mask(&mut self, classes: Option<&[u32]>) -> Mask {
        let Some(classes) = classes else { return Mask::MAX };
        classes.iter().fold(0, |mask, class| {
            if !self.classes.contains(class) && self.classes.len() < CLASSES {
                self.classes.push(*class);
            }
            mask | self.bit(*class)
        })
    }

    fn bit(&self, class: u32) -> Mask {
        let at = self.classes.iter().position(|known| *known == class);
        at.map_or(OTHER, |at| 1 << at)
    }

    /// Something was done at that second.
    pub(crate) fn add(&mut self, at: u32, mask: Mask, done: Done) {
        let slot = at / MINUTE;
        // What is older than the last hour goes into slots of a quarter.
        while let Some(old) = self.minutes.front().filter(|old| slot.saturating_sub(old.slot) >= MINUTES) {
            let old = Tally { slot: old.slot / (QUARTER / MINUTE), ..*old };
            self.minutes.pop_front();
            count(&mut self.quarters, old);
        }
        let day = at / QUARTER;
        while self.quarters.front().is_some_and(|old| day.saturating_sub(old.slot) > QUARTERS) {
            self.quarters.pop_front();
        }
        count(&mut self.minutes, Tally { slot, mask, done });
    }

    /// What statements that touched one of these classes have done in the last `per` seconds, rounded up to whole slots;
    /// `None`: all statements.
    pub(crate) fn within(&self, now: u32, per: u32, classes: Option<&[u32]>) -> Done {
        let wanted = classes.map(|all| all.iter().fold(0, |mask, class| mask | self.bit(*class)));
        let counts = |tally: &&Tally| wanted.is_none_or(|mask| tally.mask & mask != 0);
        let since = now.saturating_sub(per);
        let minutes = self.minutes.iter().rev().take_while(|tally| tally.slot >= since / MINUTE);
        // While nothing is done, nothing is moved: quarters are looked at whatever the window.
        let quarters = self.quarters.iter().rev().take_while(|tally| {
            let over = tally.slot.saturating_add(1).saturating_mul(QUARTER);
            over > since && (per > MINUTES * MINUTE)
        });
        minutes.chain(quarters).filter(counts).fold(Done::default(), |sum, tally| sum.and(tally.done))
    }

    pub(crate) fn bytes(&self) -> usize {
        (self.minutes.capacity() + self.quarters.capacity()) * size_of::<Tally>()
    }
}

/// Adds to the tally of that slot and mask, or begins it.
fn count(tallies: &mut VecDeque<Tally>, new: Tally) {
    // A clock that steps back counts in the last slot there is.
    let slot = tallies.back().map_or(new.slot, |last| last.slot.max(new.slot));
    let same = tallies.iter_mut().rev().take_while(|tally| tally.slot == slot).find(|it| it.mask == new.mask);
    if let Some(tally) = same {
        tally.done = tally.done.and(new.done);
        return;
    }
    if tallies.len() >= MAX_TALLIES
        && let (Some(oldest), Some(next)) = (tallies.pop_front(), tallies.front_mut())
    {
        next.mask |= oldest.mask;
        next.done = next.done.and(oldest.done);
    }
    tallies.push_back(Tally { slot, ..new });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: u64) -> Done {
        Done { statements: 1, rows, bytes: 10 * rows }
    }

    #[test]
    fn windows_of_any_length_up_to_a_day_count_what_was_done_in_them() {
        let mut tallies = Tallies::default();
        let (restricted, none) = (tallies.mask(Some(&[1])), tallies.mask(Some(&[])));
        let start = 1_000_000 * QUARTER;
        for hour in 0..48_u32 {
            tallies.add(start + hour * 3600, restricted, rows(10));
            tallies.add(start + hour * 3600 + 1, none, rows(5));
        }
        let now = start + 47 * 3600 + 60;
        let within = |per, classes| tallies.within(now, per, classes).rows;
        assert_eq!(within(600, None), 15);
        assert_eq!(within(600, Some(&[1][..])), 10);
        assert_eq!(within(600, Some(&[2][..])), 0);
        assert_eq!(within(3600, None), 15);
        // The slot in which a window begins counts in whole.
        assert_eq!(within(2 * 3600, None), 45);
        assert_eq!(within(24 * 3600, None), 25 * 15);
        assert!(tallies.within(now + 86_400 * 2, 86_400, None) == Done::default());
    }

    #[test]
    fn what_may_have_touched_anything_counts_for_every_class() {
        let mut tallies = Tallies::default();
        let all = tallies.mask(None);
        tallies.add(100, all, rows(10));
        assert_eq!(tallies.within(100, 60, Some(&[1])).rows, 10);
        // Of more classes than there are bits, those that share one count for each other.
        (1..100).for_each(|class| {
            let mask = tallies.mask(Some(&[class]));
            tallies.add(100, mask, rows(1));
        });
        assert_eq!(tallies.within(100, 60, Some(&[1])).rows, 11);
        assert_eq!(tallies.within(100, 60, Some(&[99])).rows, 10 + 92);
    }

    #[test]
    fn memory_is_bounded_and_nothing_is_lost_at_the_bound() {
        let mut tallies = Tallies::default();
        let start = 1_000_000 * QUARTER;
        (0..3_000_u32).for_each(|second| {
            for class in 0..7 {
                let mask = tallies.mask(Some(&[class]));
                tallies.add(start + second, mask, rows(1));
            }
        });
        assert_eq!(tallies.within(start + 3_000, 3600, None).rows, 21_000);
        assert!(tallies.bytes() < 32 * 1024);
    }

    #[test]
    fn a_clock_that_steps_back_loses_nothing() {
        let mut tallies = Tallies::default();
        tallies.add(10_000, 1, rows(1));
        tallies.add(9_000, 1, rows(1));
        assert_eq!(tallies.within(10_000, 60, None).rows, 2);
    }
}
