//! What others can bring about as often as they like, on its way into the log: one by one while it is seldom, counted while
//! it is often. Whoever guesses passwords, or asks for what is not there, as fast as the network allows does not fill the
//! disk with records of it; and none goes uncounted.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long those of one kind are counted together.
const MINUTE: Duration = Duration::from_secs(60);

/// How many kinds are told apart in a minute; the others are counted together.
const MAX_KINDS: usize = 1_024;

/// Those of one kind since it began.
struct Minute<T> {
    began: Duration,
    recorded: usize,
    /// The last one without a record of its own, and how many came before it.
    last: Option<(T, u64)>,
}

/// Those of the last minute, by kind. Times are of a monotonic clock.
pub struct Ration<K, T> {
    /// How many of one kind have records of their own in a minute.
    each: usize,
    minutes: Mutex<HashMap<Option<K>, Minute<T>>>,
}

impl<K: Hash + Eq, T> Ration<K, T> {
    /// So many of one kind have records of their own in a minute.
    #[must_use]
    pub fn new(each: usize) -> Self {
        Self { each, minutes: Mutex::default() }
    }

    fn minutes(&self) -> MutexGuard<'_, HashMap<Option<K>, Minute<T>>> {
        self.minutes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one in; gives it back if it is to have a record of its own now.
    pub fn take(&self, kind: K, one: T, now: Duration) -> Option<T> {
        let mut minutes = self.minutes();
        let kind = Some(kind);
        let known = minutes.len() < MAX_KINDS || minutes.contains_key(&kind);
        let fresh = || Minute { began: now, recorded: 0, last: None };
        let minute = minutes.entry(kind.filter(|_| known)).or_insert_with(fresh);
        if minute.recorded < self.each {
            minute.recorded += 1;
            return Some(one);
        }
        let before = minute.last.take().map_or(0, |(_, before)| before.saturating_add(1));
        minute.last = Some((one, before));
        None
    }

    /// Those that were only counted in minutes that are over by now, one of each kind, and how many more it stands for;
    /// `all`: of those under way too.
    pub fn due(&self, now: Duration, all: bool) -> Vec<(T, u64)> {
        let mut minutes = self.minutes();
        let is_over = |minute: &Minute<T>| all || now.saturating_sub(minute.began) >= MINUTE;
        let over = minutes.extract_if(|_, minute| is_over(minute));
        over.filter_map(|(_, minute)| minute.last).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EACH: usize = 10;

    fn stands_for<T>(counted: &[(T, u64)]) -> u64 {
        counted.iter().map(|(_, more)| 1 + more).sum()
    }

    #[test]
    fn few_have_records_of_their_own_and_of_many_none_goes_uncounted() {
        let (ration, begin) = (Ration::new(EACH), MINUTE * 5);
        let mut own = 0;
        for number in 0..10_000 {
            own += u64::from(ration.take("one", number, begin + MINUTE / 10_000 * number).is_some());
        }
        assert_eq!(own, 10);
        // Others are not affected.
        assert!(ration.take("another", 0, begin).is_some());
        assert!(ration.due(begin + MINUTE - Duration::from_secs(1), false).is_empty());
        let counted = ration.due(begin + MINUTE, false);
        assert_eq!((counted.len(), counted[0].0, own + stands_for(&counted)), (1, 9_999, 10_000));
        assert!(ration.due(begin + 2 * MINUTE, false).is_empty());
        assert!(ration.take("one", 0, begin + 2 * MINUTE).is_some());
    }

    #[test]
    fn what_was_counted_is_told_at_the_end_and_memory_is_bounded() {
        let (ration, kinds) = (Ration::new(EACH), 3 * MAX_KINDS);
        let own = (0..kinds).filter(|kind| ration.take(*kind, (), MINUTE).is_some()).count();
        assert!(ration.minutes().len() <= MAX_KINDS + 1);
        assert!(own <= MAX_KINDS + EACH);
        let counted = ration.due(MINUTE, true);
        assert_eq!(u64::try_from(own).unwrap() + stands_for(&counted), u64::try_from(kinds).unwrap());
        assert!(ration.minutes().is_empty());
    }
}
