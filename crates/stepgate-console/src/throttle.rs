//! Slows down those who guess passwords, without locking anybody out: delays are counted for a name
//! together with the address they come from.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::rates::network;

/// Failures that cost nothing, for a name from one address: people mistype.
const FREE_OF_NAME: u32 = 5;

/// Failures that cost nothing for an address, over all names: an office behind one address.
const FREE_OF_ADDRESS: u32 = 50;

/// Failures of a name where it has logged in before, beyond which it waits with the others there: what a neighbour does
/// wrong keeps nobody out, and who tries all neighbours' names has little more of it.
const FREE_OF_KNOWN: u32 = 2;

/// How long it is remembered that somebody has logged in from somewhere.
const KNOWN: Duration = Duration::from_secs(30 * 24 * 3600);

/// The longest delay.
const LONGEST: Duration = Duration::from_secs(60);

/// How long failures are remembered after the last.
const MEMORY: Duration = Duration::from_secs(15 * 60);

/// Counters kept at most; each is some 100 bytes. Those that failed longest ago go first.
const MAX_COUNTERS: usize = 10_000;

/// A name (`None`: any) and a network.
type Key = (Option<String>, IpAddr);

#[derive(Clone, Copy)]
struct Counter {
    failures: u32,
    last: Duration,
}

/// Counts failed logins. Names that nobody has are counted like others, so that they cannot be told apart.
#[derive(Default)]
pub(crate) struct Throttle {
    counters: Mutex<HashMap<Key, Counter>>,
    /// When names have last logged in from there. Only who succeeds is here: no attacker pushes anybody out.
    known: Mutex<HashMap<Key, Duration>>,
}

impl Throttle {
    /// How long this name must wait from this address; `now` is monotonic time.
    pub(crate) fn wait(&self, name: &str, address: IpAddr, now: Duration) -> Option<Duration> {
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = |key: &Key, free| {
            let counter = counters.get(key)?;
            (counter.last + delay(counter.failures, free)).checked_sub(now).filter(|wait| !wait.is_zero())
        };
        let [of_name, of_address] = keys(name, address);
        let failures =
            counters.get(&of_name).filter(|counter| now < counter.last + MEMORY).map_or(0, |it| it.failures);
        if failures < FREE_OF_KNOWN && self.knows(&of_name, now) {
            return None;
        }
        wait(&of_name, FREE_OF_NAME).max(wait(&of_address, FREE_OF_ADDRESS))
    }

    /// Whether that name has logged in from there of late.
    fn knows(&self, of_name: &Key, now: Duration) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(of_name).is_some_and(|last| now < *last + KNOWN)
    }

    /// A login failed.
    pub(crate) fn failed(&self, name: &str, address: IpAddr, now: Duration) {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        if counters.len() + 2 > MAX_COUNTERS {
            counters.retain(|_, counter| now < counter.last + MEMORY);
        }
        while counters.len() + 2 > MAX_COUNTERS {
            let oldest = counters.iter().min_by_key(|(_, counter)| counter.last).map(|(key, _)| key.clone());
            let Some(oldest) = oldest else { break };
            counters.remove(&oldest);
        }
        for key in keys(name, address) {
            let counter = counters.entry(key).or_insert(Counter { failures: 0, last: now });
            if now >= counter.last + MEMORY {
                counter.failures = 0;
            }
            counter.failures = counter.failures.saturating_add(1);
            counter.last = now;
        }
    }

    /// A login succeeded: its name starts afresh from there, and is known there.
    pub(crate) fn succeeded(&self, name: &str, address: IpAddr, now: Duration) {
        let [of_name, _] = keys(name, address);
        self.counters.lock().unwrap_or_else(PoisonError::into_inner).remove(&of_name);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_COUNTERS && !known.contains_key(&of_name) {
            let oldest = known.iter().min_by_key(|(_, last)| **last).map(|(key, _)| key.clone());
            oldest.map(|oldest| known.remove(&oldest));
        }
        known.insert(of_name, now);
    }
}

fn delay(failures: u32, free: u32) -> Duration {
    match failures.checked_sub(free) {
        None => Duration::ZERO,
        Some(beyond) => Duration::from_secs(2_u64.saturating_pow(beyond)).min(LONGEST),
    }
}

fn keys(name: &str, address: IpAddr) -> [Key; 2] {
    let network = network(address);
    [(Some(name.to_owned()), network), (None, network)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1000);

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn guessing_from_one_address_is_slowed_and_others_are_not_locked_out() {
        let throttle = Throttle::default();
        for _ in 0..FREE_OF_NAME {
            assert_eq!(throttle.wait("dana", address(1), START), None);
            throttle.failed("dana", address(1), START);
        }
        assert!(throttle.wait("dana", address(1), START).is_some());
        assert_eq!(throttle.wait("dana", address(2), START), None);
        assert_eq!(throttle.wait("omar", address(1), START), None);
        assert_eq!(throttle.wait("dana", address(1), START + LONGEST), None);
    }

    #[test]
    fn many_names_from_one_address_are_slowed_too() {
        let throttle = Throttle::default();
        for n in 0..FREE_OF_ADDRESS {
            throttle.failed(&format!("name-{n}"), address(1), START);
        }
        assert!(throttle.wait("dana", address(1), START).is_some());
    }

    #[test]
    fn what_neighbours_behind_one_address_do_wrong_keeps_nobody_out_who_has_logged_in_there() {
        let throttle = Throttle::default();
        throttle.succeeded("dana", address(1), START);
        for n in 0..FREE_OF_ADDRESS * 2 {
            throttle.failed(&format!("name-{n}"), address(1), START);
        }
        assert_eq!(throttle.wait("dana", address(1), START), None);
        assert!(throttle.wait("omar", address(1), START).is_some());
        // Nor does who guesses there guess more often for it: beyond a slip of the hand dana's name is as any other.
        throttle.failed("dana", address(1), START);
        assert_eq!(throttle.wait("dana", address(1), START), None);
        throttle.failed("dana", address(1), START);
        assert!(throttle.wait("dana", address(1), START).is_some());
        throttle.succeeded("dana", address(1), START + LONGEST);
        let later = START + LONGEST + KNOWN;
        (0..FREE_OF_ADDRESS).for_each(|_| throttle.failed("eve", address(1), later));
        assert!(throttle.wait("dana", address(1), later).is_some());
    }

    #[test]
    fn counters_are_bounded() {
        let throttle = Throttle::default();
        for n in 0..MAX_COUNTERS + 10 {
            throttle.failed(&format!("name-{n}"), address(1), START);
        }
        assert!(throttle.counters.lock().unwrap().len() <= MAX_COUNTERS);
        (0..MAX_COUNTERS + 10).for_each(|n| throttle.succeeded(&format!("name-{n}"), address(1), START));
        assert!(throttle.known.lock().unwrap().len() <= MAX_COUNTERS);
    }
}
