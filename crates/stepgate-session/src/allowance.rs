//! What a person may still be shown by a limit that all of their statements draw on, whichever session they are sent in.
//!
//! One for each limit over a session or window of time; sessions share it. It never lets out more than is on disk as let
//! out: whoever owns it adds to it, and only once that is so. Time is not known here: the owner begins a new *part* of
//! the window when one is over, and what is taken belongs to the part that it is taken in.
//!
//! Subjects are counted by keyed hashes of 64 bits, each with the part that it was last seen in. Ten thousand of them
//! have a collision, by which one person would be counted less, with a probability of 3 in 10^12.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stepgate_types::{Amount, Limit};

use crate::shown::Shown;

/// The most hashes of subjects that a process holds for all limits together, some 32 MiB. Beyond it everybody is somebody
/// new, who has to be asked about: a limit that cannot be counted is a limit that is reached.
pub const MAX_HASHES: u64 = 1 << 20;

/// How many hashes all allowances hold.
pub type Hashes = Arc<AtomicU64>;

/// See the module.
#[derive(Debug)]
pub struct Allowance {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The part of the window that is taken from now.
    part: u64,
    /// What may be taken in it without asking the owner. Where the limit has none, `None`.
    left: Limit,
    /// What was taken in it.
    used: Amount,
    subjects: Option<Subjects>,
}

/// Whom rows were about, within the window.
#[derive(Debug)]
struct Subjects {
    most: u64,
    /// When each was last seen.
    last: HashMap<u64, u64>,
    /// Those of each part that are known by number only: rows without a key, and all from before a restart.
    others: BTreeMap<u64, u64>,
    hashes: Hashes,
}

/// What a row would take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Takes {
    /// Of what is left in this part: of subjects, all that were not seen in it.
    pub amount: Amount,
    /// It shows more subjects than the limit has room for.
    pub too_many: bool,
}

impl Allowance {
    /// From which nothing can be taken yet, in a window that has seen so many subjects in each of its parts.
    #[must_use]
    pub fn new(limit: Limit, part: u64, seen: BTreeMap<u64, u64>, hashes: &Hashes) -> Self {
        let subjects = limit.subjects.map(|most| Subjects {
            most,
            last: HashMap::new(),
            others: seen,
            hashes: Arc::clone(hashes),
        });
        let state = State { part, left: nothing_of(limit), used: Amount::NOTHING, subjects };
        Self { state: Mutex::new(state) }
    }

    /// A new part begins, and the window with `first`. Gives what was taken in the part before.
    pub fn begin(&self, part: u64, first: u64) -> Amount {
        let mut state = self.state();
        state.part = part;
        state.left = nothing_of(state.left);
        if let Some(subjects) = &mut state.subjects {
            subjects.forget_before(first);
        }
        std::mem::take(&mut state.used)
    }

    /// So much more may be taken in this part.
    pub fn add(&self, more: Amount) {
        let mut state = self.state();
        state.left = state.left.plus(more);
    }

    /// Another limit of the same rule is in force.
    pub fn limit_to(&self, limit: Limit, hashes: &Hashes) {
        let mut state = self.state();
        // What is left was given out by the limit before.
        state.left = nothing_of(limit);
        match (&mut state.subjects, limit.subjects) {
            (Some(subjects), Some(most)) => subjects.most = most,
            (subjects @ None, Some(most)) => {
                let (last, others) = (HashMap::new(), BTreeMap::new());
                *subjects = Some(Subjects { most, last, others, hashes: Arc::clone(hashes) });
            }
            (subjects, None) => *subjects = None,
        }
    }

    /// What was taken in this part, and what may be yet.
    #[must_use]
    pub fn now(&self) -> (Amount, Limit) {
        let state = self.state();
        (state.used, state.left)
    }

    /// How many subjects were seen in the window.
    #[must_use]
    pub fn subjects(&self) -> u64 {
        self.state().subjects.as_ref().map_or(0, Subjects::distinct)
    }

    /// How many of them each of its parts was the last to see.
    #[must_use]
    pub fn subjects_of_parts(&self) -> BTreeMap<u64, u64> {
        let state = self.state();
        let Some(subjects) = &state.subjects else { return BTreeMap::new() };
        let mut parts = subjects.others.clone();
        for part in subjects.last.values() {
            let count = parts.entry(*part).or_default();
            *count = count.saturating_add(1);
        }
        parts
    }

    /// What a row would take now.
    #[must_use]
    pub(crate) fn takes(&self, shown: &Shown) -> Takes {
        self.state().takes(shown)
    }

    /// Whether there is so much.
    pub(crate) fn has(&self, shown: &Shown) -> bool {
        let state = self.state();
        let Takes { amount, too_many } = state.takes(shown);
        !too_many && state.left.has(amount)
    }

    /// Takes what a row shows, if there is so much.
    pub(crate) fn take(&self, shown: &Shown) -> bool {
        let mut state = self.state();
        let Takes { amount, too_many } = state.takes(shown);
        let takes = !too_many && state.left.has(amount);
        if takes {
            state.count(shown, amount);
        }
        takes
    }

    /// A row that was taken is not shown yet. Who is in it stays seen.
    pub(crate) fn put_back(&self, shown: &Shown) {
        let mut state = self.state();
        let back = Amount::of(shown.rows, shown.bytes);
        state.left = state.left.plus(back);
        state.used = state.used.beyond(back);
    }

    /// Counts what a row shows, however much is left.
    pub(crate) fn count(&self, shown: &Shown) {
        let mut state = self.state();
        let Takes { amount, .. } = state.takes(shown);
        state.count(shown, amount);
    }

    /// Counts rows that nobody saw, of which only the number is known, of so many that were `stored`: each may be about
    /// somebody else.
    pub(crate) fn count_stored(&self, rows: u64, stored: u64) {
        let mut state = self.state();
        let bytes = state.left.bytes.unwrap_or(0);
        let subjects = if state.subjects.is_some() { stored } else { 0 };
        let shown = Shown { rows, bytes, others: subjects, ..Shown::default() };
        state.count(&shown, Amount { rows, bytes, subjects });
    }

    /// Counts all that may be taken: nobody knows how much was stored, nor about whom.
    pub(crate) fn count_all(&self) {
        let mut state = self.state();
        let amount = state.left.amount();
        let room = |subjects: &Subjects| subjects.most.saturating_sub(subjects.distinct());
        let others = state.subjects.as_ref().map_or(0, room);
        let shown = Shown { rows: amount.rows, bytes: amount.bytes, others, ..Shown::default() };
        state.count(&shown, amount);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn takes(&self, shown: &Shown) -> Takes {
        let plain = Amount::of(shown.rows, shown.bytes);
        let Some(subjects) = &self.subjects else { return Takes { amount: plain, too_many: false } };
        let (mut new, mut moved) = (shown.others, 0_u64);
        for hash in shown.hashes() {
            match subjects.last.get(hash) {
                Some(part) if *part == self.part => {}
                Some(_) => moved = moved.saturating_add(1),
                None => new = new.saturating_add(1),
            }
        }
        let room = subjects.most.saturating_sub(subjects.distinct());
        // Each that is seen before may be told from others as long as there is room for its hash.
        let crowded = new > shown.others && subjects.hashes.load(Relaxed) >= MAX_HASHES;
        let too_many = new > 0 && (new > room || crowded);
        Takes { amount: Amount { subjects: new.saturating_add(moved), ..plain }, too_many }
    }

    fn count(&mut self, shown: &Shown, amount: Amount) {
        self.left = self.left.minus(amount);
        self.used = self.used.and(amount);
        let part = self.part;
        let Some(subjects) = &mut self.subjects else { return };
        for hash in shown.hashes() {
            subjects.see(*hash, part);
        }
        if shown.others > 0 {
            let others = subjects.others.entry(part).or_default();
            *others = others.saturating_add(shown.others);
        }
    }
}

impl Subjects {
    fn distinct(&self) -> u64 {
        let known = u64::try_from(self.last.len()).unwrap_or(u64::MAX);
        self.others.values().fold(known, |sum, others| sum.saturating_add(*others))
    }

    fn see(&mut self, hash: u64, part: u64) {
        if let Some(last) = self.last.get_mut(&hash) {
            *last = part;
        } else if self.hashes.load(Relaxed) < MAX_HASHES {
            self.hashes.fetch_add(1, Relaxed);
            self.last.insert(hash, part);
        } else {
            let others = self.others.entry(part).or_default();
            *others = others.saturating_add(1);
        }
    }

    fn forget_before(&mut self, first: u64) {
        let before = self.last.len();
        self.last.retain(|_, part| *part >= first);
        self.give_back(before.saturating_sub(self.last.len()));
        if self.last.capacity() > self.last.len().saturating_mul(4) {
            self.last.shrink_to_fit();
        }
        self.others.retain(|part, _| *part >= first);
    }

    fn give_back(&self, hashes: usize) {
        self.hashes.fetch_sub(u64::try_from(hashes).unwrap_or(0), Relaxed);
    }
}

impl Drop for Subjects {
    fn drop(&mut self) {
        self.give_back(self.last.len());
    }
}

/// Nothing of what it limits.
fn nothing_of(limit: Limit) -> Limit {
    let nothing = |of: Option<u64>| of.map(|_| 0);
    Limit { rows: nothing(limit.rows), bytes: nothing(limit.bytes), subjects: nothing(limit.subjects) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(hashes: &[u64]) -> Shown {
        let mut row = Shown { rows: 1, bytes: 10, ..Shown::default() };
        hashes.iter().for_each(|hash| row.add(*hash));
        row
    }

    fn subjects(most: u64) -> Allowance {
        let limit = Limit { subjects: Some(most), ..Limit::NONE };
        Allowance::new(limit, 7, BTreeMap::new(), &Hashes::default())
    }

    const MUCH: Amount = Amount { rows: 1_000, bytes: 1_000_000, subjects: 1_000 };

    #[test]
    fn nothing_is_taken_before_it_was_added_and_nothing_twice() {
        let allowance = Allowance::new(Limit::of(Some(9), Some(90)), 1, BTreeMap::new(), &Hashes::default());
        assert!(!allowance.take(&row(&[])));
        allowance.add(Amount::of(2, 25));
        assert!(allowance.take(&row(&[])) && allowance.take(&row(&[])) && !allowance.take(&row(&[])));
        assert_eq!(allowance.now(), (Amount::of(2, 20), Limit::of(Some(0), Some(5))));
        allowance.put_back(&row(&[]));
        assert_eq!(allowance.now(), (Amount::of(1, 10), Limit::of(Some(1), Some(15))));
        assert_eq!(allowance.begin(2, 1), Amount::of(1, 10));
        assert!(!allowance.take(&row(&[])), "what was left is the part's before");
    }

    #[test]
    fn two_at_once_never_take_more_than_there_is() {
        let allowance = Allowance::new(Limit::of(Some(9), None), 1, BTreeMap::new(), &Hashes::default());
        allowance.add(Amount::of(1_000, 0));
        let taken = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    while allowance.take(&row(&[])) {
                        taken.fetch_add(1, Relaxed);
                    }
                });
            }
        });
        assert_eq!(taken.into_inner(), 1_000);
    }

    #[test]
    fn somebody_seen_before_is_nobody_new_and_rows_without_a_key_are_one_each() {
        let allowance = subjects(3);
        allowance.add(MUCH);
        assert!(allowance.take(&row(&[1])) && allowance.take(&row(&[1])) && allowance.take(&row(&[2])));
        assert_eq!(allowance.subjects(), 2);
        let without = Shown { others: 1, ..row(&[]) };
        assert!(allowance.take(&without) && !allowance.take(&without) && !allowance.take(&row(&[3])));
        assert!(allowance.take(&row(&[2])) && allowance.subjects() == 3);
        assert!(!allowance.take(&row(&[1, 4])), "a row that shows two has one who is new");
    }

    #[test]
    fn who_is_seen_again_stays_in_the_window_and_who_is_not_leaves_it() {
        let allowance = subjects(2);
        allowance.add(MUCH);
        assert!(allowance.take(&row(&[1])) && allowance.take(&row(&[2])) && !allowance.take(&row(&[3])));
        allowance.begin(8, 1);
        assert!(!allowance.take(&row(&[1])), "seen in this part, it must be on disk as that");
        allowance.add(MUCH);
        assert!(allowance.take(&row(&[1])));
        assert_eq!(allowance.subjects_of_parts(), BTreeMap::from([(7, 1), (8, 1)]));
        allowance.begin(9, 8);
        allowance.add(MUCH);
        assert!(allowance.take(&row(&[3])) && !allowance.take(&row(&[4])) && allowance.subjects() == 2);
    }

    #[test]
    fn those_from_before_a_restart_count_by_number_until_they_leave_the_window() {
        let limit = Limit { subjects: Some(5), ..Limit::NONE };
        let allowance = Allowance::new(limit, 9, BTreeMap::from([(3, 3), (8, 1)]), &Hashes::default());
        allowance.add(MUCH);
        assert!(allowance.take(&row(&[1])) && !allowance.take(&row(&[2])));
        allowance.begin(10, 4);
        allowance.add(MUCH);
        assert!(allowance.take(&row(&[2])) && allowance.subjects() == 3);
    }

    #[test]
    fn where_no_hash_has_room_everybody_is_too_many() {
        let hashes = Hashes::default();
        let limit = Limit { subjects: Some(5), ..Limit::NONE };
        let allowance = Allowance::new(limit, 1, BTreeMap::new(), &hashes);
        allowance.add(MUCH);
        assert!(allowance.take(&row(&[1])));
        hashes.store(MAX_HASHES, Relaxed);
        assert!(allowance.take(&row(&[1])) && !allowance.take(&row(&[2])));
        hashes.store(1, Relaxed);
        assert!(allowance.take(&row(&[2])));
        drop(allowance);
        assert_eq!(hashes.load(Relaxed), 0);
    }
}
