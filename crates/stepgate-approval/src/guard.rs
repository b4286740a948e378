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
}

impl Guard {
    /// Whether this person may try now, from this address. `now` is monotonic time.
    ///
    /// # Errors
    /// [`Throttled`].
    pub fn check(&self, person: &PersonName, source: IpAddr, now: Duration) -> Result<(), Throttled> {
        let until =
            self.failures.get(&self.counter(person, source)).map_or(Duration::ZERO, |entry| entry.until);
        match until.checked_sub(now) {
            Some(wait) if !wait.is_zero() => Err(Throttled { wait }),
            _ => Ok(()),
        }
    }

    /// A wrong code was offered.
    pub fn failed(&mut self, person: &PersonName, source: IpAddr, now: Duration) {
        self.make_room(now);
        let entry = self
            .failures
            .entry(self.counter(person, source))
            .or_insert(Failures { count: 0, until: Duration::ZERO });
        entry.count = entry.count.saturating_add(1);
        entry.until = now.saturating_add(delay(entry.count));
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
