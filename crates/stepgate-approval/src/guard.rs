//! Slows down guessing of codes without letting an attacker lock anybody out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use stepgate_types::PersonName;

/// Failures in a row that cost nothing: people mistype.
const FREE_FAILURES: u32 = 5;

/// The first delay.
const FIRST_DELAY: Duration = Duration::from_secs(30);

/// The longest delay: four guesses an hour at three codes in a million each, some 1 % in a month of
/// unbroken, loudly recorded attack.
const LONGEST_DELAY: Duration = Duration::from_secs(15 * 60);

/// Addresses remembered for a person as those they have succeeded from: home, office, VPN, phone.
const MAX_TRUSTED: usize = 8;

/// Counters and trusted lists kept at most; each is some 100 bytes. Only known people have any.
const MAX_ENTRIES: usize = 20_000;

/// Too many wrong codes; try again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many wrong codes; try again in {} s", .wait.as_secs() + 1)]
pub struct Throttled {
    /// How long from now on.
    pub wait: Duration,
    /// Whether this is the first refusal of this delay, and worth recording.
    pub first: bool,
}

/// Counts failures for each person, apart for each address they have succeeded from and for all others
/// together (after OWASP's device cookies). Who guesses from elsewhere, from however many addresses,
/// shares one counter, and the person goes on undisturbed from where they usually are.
#[derive(Debug, Default)]
pub struct Guard {
    failures: BTreeMap<Counter, Failures>,
    trusted: BTreeMap<PersonName, BTreeSet<IpAddr>>,
}

/// `None`: all addresses that are not trusted.
type Counter = (PersonName, Option<IpAddr>);

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    /// On the monotonic clock.
    until: Duration,
    /// Whether a try has been refused during this delay.
    refused: bool,
}

impl Guard {
    /// Whether this person may try now, from this address. `now` is monotonic time.
    ///
    /// # Errors
    /// [`Throttled`].
    pub fn check(&mut self, person: &PersonName, source: IpAddr, now: Duration) -> Result<(), Throttled> {
        let counter = self.counter(person, source);
        let Some(entry) = self.failures.get_mut(&counter) else { return Ok(()) };
        match entry.until.checked_sub(now) {
            Some(wait) if !wait.is_zero() => {
                let first = !std::mem::replace(&mut entry.refused, true);
                Err(Throttled { wait, first })
            }
            _ => Ok(()),
        }
    }

    /// A wrong code was offered.
    pub fn failed(&mut self, person: &PersonName, source: IpAddr, now: Duration) {
        self.make_room(now);
        let entry = self.failures.entry(self.counter(person, source)).or_insert(Failures {
            count: 0,
            until: Duration::ZERO,
            refused: false,
        });
        entry.count = entry.count.saturating_add(1);
        entry.until = now.saturating_add(delay(entry.count));
        entry.refused = false;
    }

    /// A right code was offered: the address is trusted from now on.
    pub fn succeeded(&mut self, person: &PersonName, source: IpAddr) {
        self.failures.remove(&self.counter(person, source));
        if self.trusted.len() >= MAX_ENTRIES && !self.trusted.contains_key(person) {
            return;
        }
        let addresses = self.trusted.entry(person.clone()).or_default();
        if addresses.len() < MAX_TRUSTED {
            addresses.insert(source);
        }
    }

    fn counter(&self, person: &PersonName, source: IpAddr) -> Counter {
        let is_trusted = self.trusted.get(person).is_some_and(|addresses| addresses.contains(&source));
        (person.clone(), is_trusted.then_some(source))
    }

    /// Forgets counters whose delay is over, when there are too many, and if all are running the one
    /// that ends first.
    fn make_room(&mut self, now: Duration) {
        if self.failures.len() < MAX_ENTRIES {
            return;
        }
        self.failures.retain(|_, entry| entry.until > now);
        if self.failures.len() >= MAX_ENTRIES {
            let soonest =
                self.failures.iter().min_by_key(|(_, entry)| entry.until).map(|(key, _)| key.clone());
            soonest.map(|key| self.failures.remove(&key));
        }
    }
}

fn delay(failures: u32) -> Duration {
    match failures.checked_sub(FREE_FAILURES) {
        None => Duration::ZERO,
        Some(beyond) => FIRST_DELAY.saturating_mul(2_u32.saturating_pow(beyond)).min(LONGEST_DELAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::person;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn wait(guard: &mut Guard, source: IpAddr, now: Duration) -> Duration {
        guard.check(&person("dana"), source, now).map_or_else(|throttled| throttled.wait, |()| Duration::ZERO)
    }

    #[test]
    fn mistyping_costs_nothing_and_guessing_ever_more() {
        let (mut guard, dana, source) = (Guard::default(), person("dana"), address(1));
        let mut now = Duration::ZERO;
        let mut waits = Vec::new();
        for _ in 0..12 {
            guard.failed(&dana, source, now);
            let wait = wait(&mut guard, source, now);
            waits.push(wait.as_secs());
            now += wait;
        }
        assert_eq!(waits, [0, 0, 0, 0, 30, 60, 120, 240, 480, 900, 900, 900]);
    }

    #[test]
    fn guessing_from_many_addresses_counts_as_one() {
        let (mut guard, dana) = (Guard::default(), person("dana"));
        for last in 1..=5 {
            guard.failed(&dana, address(last), Duration::ZERO);
        }
        assert_eq!(wait(&mut guard, address(99), Duration::ZERO), FIRST_DELAY);
    }

    #[test]
    fn an_attacker_cannot_lock_the_victim_out() {
        let (mut guard, dana, home) = (Guard::default(), person("dana"), address(1));
        guard.succeeded(&dana, home);
        for _ in 0..1000 {
            guard.failed(&dana, address(66), Duration::ZERO);
        }
        assert_eq!(wait(&mut guard, address(66), Duration::ZERO), LONGEST_DELAY);
        assert_eq!(wait(&mut guard, home, Duration::ZERO), Duration::ZERO);
        assert!(guard.check(&person("omar"), address(66), Duration::ZERO).is_ok());
        let again = guard.check(&dana, address(66), Duration::ZERO);
        assert_eq!(again, Err(Throttled { wait: LONGEST_DELAY, first: false }));
    }

    #[test]
    fn a_trusted_address_is_guarded_too() {
        let (mut guard, dana, home) = (Guard::default(), person("dana"), address(1));
        guard.succeeded(&dana, home);
        for _ in 0..5 {
            guard.failed(&dana, home, Duration::ZERO);
        }
        assert_eq!(wait(&mut guard, home, Duration::ZERO), FIRST_DELAY);
        assert_eq!(wait(&mut guard, address(2), Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn a_success_starts_the_count_anew() {
        let (mut guard, dana, source) = (Guard::default(), person("dana"), address(1));
        for _ in 0..4 {
            guard.failed(&dana, source, Duration::ZERO);
        }
        guard.succeeded(&dana, source);
        guard.failed(&dana, source, Duration::ZERO);
        assert_eq!(wait(&mut guard, source, Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn the_tables_stay_bounded() {
        let mut guard = Guard::default();
        for number in 0..MAX_ENTRIES + 10 {
            let name = person(&format!("p{number}"));
            guard.failed(&name, address(1), Duration::ZERO);
            guard.succeeded(&name, address(1));
            guard.failed(&name, address(2), Duration::ZERO);
        }
        assert!(guard.failures.len() <= MAX_ENTRIES && guard.trusted.len() <= MAX_ENTRIES);
        for last in 0..20 {
            guard.succeeded(&person("p0"), address(last));
        }
        assert_eq!(guard.trusted[&person("p0")].len(), MAX_TRUSTED);
    }
}
