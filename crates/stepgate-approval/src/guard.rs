//! Slows down guessing of codes without letting an attacker lock anybody out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use stepgate_types::PersonName;

use crate::AuthenticatorId;

/// Failures in a row that cost nothing: people mistype.
const FREE_FAILURES: u32 = 5;

/// The first delay.
const FIRST_DELAY: Duration = Duration::from_secs(30);

/// The longest delay: one guess an hour at three codes in a million each.
const LONGEST_DELAY: Duration = Duration::from_secs(60 * 60);

/// Failures in a row after which an authenticator is not asked any more, until another one of the person's or an
/// operator lets it (NIST SP 800-63B-4 section 3.2.2: at most 100).
pub const CEILING: u32 = 100;

/// Addresses and devices remembered for a person as those they have succeeded from: home, office, VPN, phone.
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

/// Why an authenticator is not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocked {
    /// For a while.
    Throttled(Throttled),
    /// Until another of the person's authenticators, or an operator, lets it.
    Suspended,
}

/// Where somebody comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// The peer's address.
    pub address: IpAddr,
    /// Hash of the cookie that this device was given when somebody succeeded on it, if it shows one.
    pub device: Option<[u8; 32]>,
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        Self { address: address.to_canonical(), device: None }
    }
}

/// A place that a person has succeeded from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trusted {
    /// An address.
    Address(IpAddr),
    /// A device.
    Device([u8; 32]),
}

impl fmt::Display for Trusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Device(hash) => hash.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}

impl FromStr for Trusted {
    type Err = std::net::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut hash = [0; 32];
        let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
        let bytes: Option<Vec<u8>> = digits.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect();
        match bytes {
            Some(bytes) if bytes.len() == hash.len() => {
                hash.copy_from_slice(&bytes);
                Ok(Self::Device(hash))
            }
            _ => Ok(Self::Address(text.parse()?)),
        }
    }
}

/// Counts failures for each person and authenticator, apart for each device or address they have succeeded from and
/// for all others together (after OWASP's device cookies). Who guesses from elsewhere, from however many addresses,
/// shares one counter, and the person goes on undisturbed from where they usually are.
#[derive(Debug, Default)]
pub struct Guard {
    failures: BTreeMap<Counter, Failures>,
    trusted: BTreeMap<PersonName, BTreeSet<Trusted>>,
}

/// `None`: all places that are not trusted.
type Counter = (PersonName, AuthenticatorId, Option<Trusted>);

#[derive(Debug, Clone, Copy, Default)]
struct Failures {
    count: u32,
    /// On the monotonic clock.
    until: Duration,
    /// Whether a try has been refused during this delay.
    refused: bool,
}

impl Guard {
    /// What was known of a person before the gate stopped: where they succeeded, and failures in a row from
    /// elsewhere.
    pub fn restore(
        &mut self,
        person: &PersonName,
        trusted: impl IntoIterator<Item = Trusted>,
        failed: impl IntoIterator<Item = (AuthenticatorId, u32)>,
    ) {
        self.trusted.entry(person.clone()).or_default().extend(trusted.into_iter().take(MAX_TRUSTED));
        for (id, count) in failed {
            self.failures.insert((person.clone(), id, None), Failures { count, ..Failures::default() });
        }
    }

    /// Whether this authenticator may be tried now, from there. `now` is monotonic time.
    ///
    /// # Errors
    /// See [`Blocked`].
    pub fn check(
        &mut self,
        person: &PersonName,
        id: &AuthenticatorId,
        source: Source,
        now: Duration,
    ) -> Result<(), Blocked> {
        let counter = self.counter(person, id, source);
        let Some(entry) = self.failures.get_mut(&counter) else { return Ok(()) };
        if entry.count >= CEILING {
            return Err(Blocked::Suspended);
        }
        match entry.until.checked_sub(now) {
            Some(wait) if !wait.is_zero() => {
                let first = !std::mem::replace(&mut entry.refused, true);
                Err(Blocked::Throttled(Throttled { wait, first }))
            }
            _ => Ok(()),
        }
    }

    /// A wrong code was offered. How many in a row that makes.
    pub fn failed(
        &mut self,
        person: &PersonName,
        id: &AuthenticatorId,
        source: Source,
        now: Duration,
    ) -> u32 {
        self.make_room(now);
        let entry = self.failures.entry(self.counter(person, id, source)).or_default();
        entry.count = entry.count.saturating_add(1);
        entry.until = now.saturating_add(delay(entry.count));
        entry.refused = false;
        entry.count
    }

    /// A right code was offered: the place is trusted from now on. Whether anything is different now.
    pub fn succeeded(&mut self, person: &PersonName, id: &AuthenticatorId, source: Source) -> bool {
        let counted = self.failures.remove(&self.counter(person, id, source)).is_some();
        if self.trusted.len() >= MAX_ENTRIES && !self.trusted.contains_key(person) {
            return counted;
        }
        let places = self.trusted.entry(person.clone()).or_default();
        let place = source.device.map_or(Trusted::Address(source.address), Trusted::Device);
        if places.contains(&place) {
            return counted;
        }
        if places.len() >= MAX_TRUSTED {
            // Only who succeeds gets here: an attacker pushes nothing out. Addresses come first.
            places.pop_first();
        }
        places.insert(place);
        true
    }

    /// Lets an authenticator be tried again, from anywhere.
    pub fn unlock(&mut self, person: &PersonName, id: &AuthenticatorId) -> bool {
        let before = self.failures.len();
        self.failures.retain(|(of, which, _), _| of != person || which != id);
        self.failures.len() != before
    }

    /// Forgets a person.
    pub fn forget(&mut self, person: &PersonName) {
        self.failures.retain(|(of, _, _), _| of != person);
        self.trusted.remove(person);
    }

    /// Whether they have succeeded from there before.
    #[must_use]
    pub fn trusts(&self, person: &PersonName, source: Source) -> bool {
        self.place(person, source).is_some()
    }

    /// From where they have succeeded.
    #[must_use]
    pub fn trusted(&self, person: &PersonName) -> BTreeSet<Trusted> {
        self.trusted.get(person).cloned().unwrap_or_default()
    }

    /// Failures in a row from elsewhere, for each authenticator.
    #[must_use]
    pub fn failures(&self, person: &PersonName) -> BTreeMap<AuthenticatorId, u32> {
        let own = self.failures.iter().filter(|((of, _, place), _)| of == person && place.is_none());
        own.map(|((_, id, _), entry)| (id.clone(), entry.count)).collect()
    }

    fn place(&self, person: &PersonName, source: Source) -> Option<Trusted> {
        let places = self.trusted.get(person)?;
        let device = source.device.map(Trusted::Device).filter(|device| places.contains(device));
        device.or_else(|| Some(Trusted::Address(source.address)).filter(|address| places.contains(address)))
    }

    fn counter(&self, person: &PersonName, id: &AuthenticatorId, source: Source) -> Counter {
        (person.clone(), id.clone(), self.place(person, source))
    }

    /// Forgets counters whose delay is over, when there are too many, and if all are running the one
    /// that ends first. Those that count high stay longest.
    fn make_room(&mut self, now: Duration) {
        if self.failures.len() < MAX_ENTRIES {
            return;
        }
        self.failures.retain(|_, entry| entry.until > now || entry.count > FREE_FAILURES);
        if self.failures.len() >= MAX_ENTRIES {
            let least = self.failures.iter().min_by_key(|(_, entry)| (entry.count, entry.until));
            least.map(|(key, _)| key.clone()).map(|key| self.failures.remove(&key));
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
    use crate::Method;
    use crate::fixture::person;

    fn address(last: u8) -> Source {
        IpAddr::from([192, 0, 2, last]).into()
    }

    fn app() -> AuthenticatorId {
        AuthenticatorId::only(Method::Totp)
    }

    fn wait(guard: &mut Guard, source: Source, now: Duration) -> Duration {
        match guard.check(&person("dana"), &app(), source, now) {
            Ok(()) => Duration::ZERO,
            Err(Blocked::Throttled(throttled)) => throttled.wait,
            Err(Blocked::Suspended) => Duration::MAX,
        }
    }

    #[test]
    fn mistyping_costs_nothing_and_guessing_ever_more() {
        let (mut guard, dana, source) = (Guard::default(), person("dana"), address(1));
        let mut now = Duration::ZERO;
        let mut waits = Vec::new();
        for _ in 0..13 {
            guard.failed(&dana, &app(), source, now);
            let wait = wait(&mut guard, source, now);
            waits.push(wait.as_secs());
            now += wait;
        }
        assert_eq!(waits, [0, 0, 0, 0, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
    }

    #[test]
    fn guessing_from_many_addresses_counts_as_one() {
        let (mut guard, dana) = (Guard::default(), person("dana"));
        for last in 1..=5 {
            guard.failed(&dana, &app(), address(last), Duration::ZERO);
        }
        assert_eq!(wait(&mut guard, address(99), Duration::ZERO), FIRST_DELAY);
    }

    #[test]
    fn an_attacker_cannot_lock_the_victim_out() {
        let (mut guard, dana, home) = (Guard::default(), person("dana"), address(1));
        let device = Source { device: Some([7; 32]), ..address(66) };
        guard.succeeded(&dana, &app(), home);
        guard.succeeded(&dana, &app(), device);
        for _ in 0..1000 {
            guard.failed(&dana, &app(), address(66), Duration::ZERO);
        }
        let forged = Source { device: Some([8; 32]), ..address(66) };
        for source in [address(66), address(67), forged] {
            assert_eq!(guard.check(&dana, &app(), source, Duration::MAX), Err(Blocked::Suspended));
        }
        // By a trusted address, by a trusted device even where the attacker sits, and by any other authenticator.
        assert_eq!(guard.check(&dana, &app(), home, Duration::ZERO), Ok(()));
        assert_eq!(guard.check(&dana, &app(), device, Duration::ZERO), Ok(()));
        let other = AuthenticatorId::new(Method::Totp, [1; 4]);
        assert_eq!(guard.check(&dana, &other, address(66), Duration::ZERO), Ok(()));
        assert_eq!(guard.check(&person("omar"), &app(), address(66), Duration::ZERO), Ok(()));
        assert!(guard.unlock(&dana, &app()));
        assert_eq!(guard.check(&dana, &app(), address(66), Duration::ZERO), Ok(()));
    }

    #[test]
    fn a_trusted_place_is_guarded_too() {
        let (mut guard, dana, home) = (Guard::default(), person("dana"), address(1));
        guard.succeeded(&dana, &app(), home);
        for _ in 0..5 {
            guard.failed(&dana, &app(), home, Duration::ZERO);
        }
        assert_eq!(wait(&mut guard, home, Duration::ZERO), FIRST_DELAY);
        assert_eq!(wait(&mut guard, address(2), Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn a_delay_is_told_once_and_success_ends_the_count() {
        let (mut guard, dana, source) = (Guard::default(), person("dana"), address(1));
        for _ in 0..5 {
            guard.failed(&dana, &app(), source, Duration::ZERO);
        }
        let told = |guard: &mut Guard| match guard.check(&dana, &app(), source, Duration::ZERO) {
            Err(Blocked::Throttled(throttled)) => throttled.first,
            other => panic!("{other:?}"),
        };
        assert!(told(&mut guard));
        assert!(!told(&mut guard));
        assert!(guard.succeeded(&dana, &app(), source));
        assert!(!guard.succeeded(&dana, &app(), source));
        assert_eq!(wait(&mut guard, source, Duration::ZERO), Duration::ZERO);
        assert!(guard.failures(&dana).is_empty());
    }

    #[test]
    fn a_restart_forgets_neither_failures_nor_trusted_places() {
        let (mut guard, dana) = (Guard::default(), person("dana"));
        let device = Source { device: Some([7; 32]), ..address(66) };
        guard.succeeded(&dana, &app(), address(1));
        guard.succeeded(&dana, &app(), device);
        for _ in 0..CEILING {
            guard.failed(&dana, &app(), address(66), Duration::ZERO);
        }
        let texts: Vec<_> = guard.trusted(&dana).iter().map(ToString::to_string).collect();
        let mut again = Guard::default();
        again.restore(&dana, texts.iter().map(|text| text.parse().unwrap()), guard.failures(&dana));
        assert_eq!(again.check(&dana, &app(), address(66), Duration::ZERO), Err(Blocked::Suspended));
        assert_eq!(again.check(&dana, &app(), device, Duration::ZERO), Ok(()));
        assert_eq!(again.check(&dana, &app(), address(1), Duration::ZERO), Ok(()));
    }

    #[test]
    fn counters_and_places_are_bounded() {
        let mut guard = Guard::default();
        for number in 0..MAX_ENTRIES + 10 {
            guard.failed(&person(&format!("p{number}")), &app(), address(1), Duration::ZERO);
        }
        assert!(guard.failures.len() <= MAX_ENTRIES);
        for last in 0..=255 {
            guard.succeeded(&person("dana"), &app(), address(last));
        }
        assert_eq!(guard.trusted(&person("dana")).len(), MAX_TRUSTED);
    }
}
