//! How much one person may ask of people, so that nobody is worn down into saying yes (request bombing): few open
//! requests at a time, and a pause once some went unanswered, or many were called off.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::PoisonError;
use std::time::Duration;

use stepgate_approval::Ask;
use stepgate_types::{PersonName, Timestamp};

use super::state::State;
use super::{Desk, DeskError};

/// So many unanswered requests in a row begin a pause.
const IGNORED: u32 = 2;

/// Unanswered requests are forgotten after so long.
const MEMORY: Duration = Duration::from_secs(3600);

/// So many requests to others may be called off within the time below, by whoever asked or because their client has gone.
const CALLED_OFF: u32 = 30;

/// See above.
const WINDOW: Duration = Duration::from_secs(300);

/// From so many places unanswered requests, and those called off, are remembered; beyond, the number of open ones alone is bounded.
const MAX_PLACES: usize = 10_000;

/// What one person may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Open requests at a time, apart for where they usually are and for elsewhere.
    pub open: usize,
    /// How long nothing more is asked from where two requests in a row went unanswered.
    pub cool_down: Duration,
}

impl Default for Caps {
    fn default() -> Self {
        Self { open: 3, cool_down: Duration::from_secs(300) }
    }
}

/// Who asked whom, from where. By address, so that an attacker elsewhere who has the password brings no pause upon
/// the person themselves: nobody is locked out by requests they did not make.
type Place = (PersonName, String, IpAddr);

/// Requests that went unanswered.
#[derive(Debug, Default)]
pub(super) struct Ignored(BTreeMap<Place, (u32, Timestamp)>);

impl Ignored {
    /// A request has expired, and nobody had answered it.
    pub(super) fn expired(&mut self, person: &PersonName, approval: &str, address: IpAddr, at: Timestamp) {
        if self.0.len() >= MAX_PLACES {
            self.0.retain(|_, (_, last)| at.since(*last) < MEMORY);
        }
        let place = place(person, approval, address);
        if self.0.len() < MAX_PLACES || self.0.contains_key(&place) {
            let (count, last) = self.0.entry(place).or_insert((0, at));
            *count = if at.since(*last) < MEMORY { count.saturating_add(1) } else { 1 };
            *last = at;
        }
    }

    /// Somebody has answered one.
    pub(super) fn answered(&mut self, person: &PersonName, approval: &str, address: IpAddr) {
        self.0.remove(&place(person, approval, address));
    }

    /// For how long nothing more is asked.
    fn pause(&self, ask: &Ask, cool_down: Duration, now: Timestamp) -> Option<Duration> {
        let (count, last) = self.0.get(&place(ask.asker(), &ask.terms.approval, ask.address))?;
        let left = last.plus(cool_down).since(now);
        (*count >= IGNORED && !left.is_zero()).then_some(left)
    }
}

/// Requests to others that who asked has called off: how many, and since when those are counted.
#[derive(Debug, Default)]
pub(super) struct CalledOff(BTreeMap<Place, (u32, Timestamp)>);

impl CalledOff {
    /// One more was called off.
    pub(super) fn note(&mut self, person: &PersonName, approval: &str, address: IpAddr, at: Timestamp) {
        if self.0.len() >= MAX_PLACES {
            self.0.retain(|_, (_, since)| is_within(*since, at));
        }
        let place = place(person, approval, address);
        if self.0.len() < MAX_PLACES || self.0.contains_key(&place) {
            let (count, since) = self.0.entry(place).or_insert((0, at));
            if !is_within(*since, at) {
                (*count, *since) = (0, at);
            }
            *count = count.saturating_add(1);
        }
    }

    /// For how long nothing more is asked.
    fn pause(&self, ask: &Ask, now: Timestamp) -> Option<Duration> {
        let (count, since) = self.0.get(&place(ask.asker(), &ask.terms.approval, ask.address))?;
        (*count >= CALLED_OFF && is_within(*since, now)).then(|| since.plus(WINDOW).since(now))
    }
}

/// A clock that was set back counts anew.
fn is_within(since: Timestamp, now: Timestamp) -> bool {
    since <= now && now.since(since) < WINDOW
}

/// Of an IPv6 address, its network: whoever has one has 2^64 of them.
fn place(person: &PersonName, approval: &str, address: IpAddr) -> Place {
    let network = match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => std::net::Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    };
    (person.clone(), approval.to_owned(), network)
}

impl Desk {
    /// How much one person may ask from here on.
    pub fn set_caps(&self, caps: Caps) {
        *self.0.caps.lock().unwrap_or_else(PoisonError::into_inner) = caps;
    }
}

impl State {
    /// Whether this person may ask once more.
    pub(super) fn lets_ask(&self, ask: &Ask, caps: Caps, now: Timestamp) -> Result<(), DeskError> {
        // Apart for where they usually are and for elsewhere: a stolen password uses up nothing of its owner's.
        let here = self.guard.trusts(ask.asker(), ask.address.into());
        let same = |other: &Ask| {
            other.asker() == ask.asker() && self.guard.trusts(other.asker(), other.address.into()) == here
        };
        let of_person = self.open.values().filter(|entry| same(entry.open.ask())).count();
        if of_person >= caps.open {
            return Err(DeskError::TooManyOfPerson(of_person));
        }
        if let Some(left) = self.ignored.pause(ask, caps.cool_down, now) {
            return Err(DeskError::CoolingDown(left.as_secs().max(1)));
        }
        match self.called_off.pause(ask, now) {
            Some(left) => Err(DeskError::CalledOff(left.as_secs().max(1))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_in_one_ipv6_network_are_one_place() {
        let person = "dana".parse().unwrap();
        let of = |address: &str| place(&person, "self", address.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.7"), of("192.0.2.7"));
        assert_ne!(of("192.0.2.8"), of("192.0.2.7"));
    }
}
