//! Failed logins on their way into the log: one by one while they are few, counted while they are many. Whoever guesses
//! passwords as fast as the network allows does not fill the disk with records of it; and none goes uncounted.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use stepgate_record::Event;
use stepgate_types::PersonName;

use crate::crowd::network;

/// How many of one network have records of their own in a minute.
const EACH: usize = 10;
const MINUTE: Duration = Duration::from_secs(60);

/// How many networks are told apart in a minute; the others are counted together.
const MAX_NETWORKS: usize = 1_024;

/// A failed login.
struct Failure {
    person: Option<PersonName>,
    address: IpAddr,
}

impl Failure {
    fn event(self, more: u64) -> Event {
        let more = Some(more).filter(|more| *more > 0);
        Event::SessionAuthFailed { person: self.person.map(Into::into), address: self.address.into(), more }
    }
}

/// The failures of one network since it began.
struct Minute {
    began: Instant,
    recorded: usize,
    /// The last one without a record of its own, and how many came before it.
    last: Option<(Failure, u64)>,
}

/// The failures of the last minute.
#[derive(Default)]
pub(crate) struct Failures(Mutex<HashMap<Option<IpAddr>, Minute>>);

impl Failures {
    /// Takes one in; its record, if it is to have one now.
    pub(crate) fn record(&self, person: Option<PersonName>, address: IpAddr, now: Instant) -> Option<Event> {
        let mut minutes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let network = Some(network(address));
        let known = minutes.len() < MAX_NETWORKS || minutes.contains_key(&network);
        let fresh = || Minute { began: now, recorded: 0, last: None };
        let minute = minutes.entry(network.filter(|_| known)).or_insert_with(fresh);
        let failure = Failure { person, address };
        if minute.recorded < EACH {
            minute.recorded += 1;
            return Some(failure.event(0));
        }
        let before = minute.last.take().map_or(0, |(_, before)| before.saturating_add(1));
        minute.last = Some((failure, before));
        None
    }

    /// Records of what was only counted in minutes that are over by now; `all`: of those under way too.
    pub(crate) fn due(&self, now: Instant, all: bool) -> Vec<Event> {
        let mut minutes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |minute: &Minute| all || now.saturating_duration_since(minute.began) >= MINUTE;
        let over = minutes.extract_if(|_, minute| is_over(minute));
        over.filter_map(|(_, minute)| minute.last).map(|(failure, more)| failure.event(more)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(network: u32, host: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(network << 8 | host).into()
    }

    fn stands_for(event: &Event) -> u64 {
        let Event::SessionAuthFailed { more, .. } = event else { panic!("{event:?}") };
        1 + more.unwrap_or(0)
    }

    #[test]
    fn few_have_records_of_their_own_and_of_many_none_goes_uncounted() {
        let (failures, begin) = (Failures::default(), Instant::now());
        let mut records = Vec::new();
        for number in 0..10_000 {
            let now = begin + MINUTE / 10_000 * number;
            records.extend(failures.record("dana".parse().ok(), from(1, number % 256), now));
        }
        assert_eq!(records.len(), EACH);
        // Others are not affected.
        assert!(failures.record(None, from(2, 1), begin).is_some());
        assert!(failures.due(begin + MINUTE - Duration::from_secs(1), false).is_empty());
        records.extend(failures.due(begin + MINUTE, false));
        assert_eq!(records.len(), EACH + 1);
        assert_eq!(records.iter().map(stands_for).sum::<u64>(), 10_000);
        assert!(failures.due(begin + 2 * MINUTE, false).is_empty());
        assert!(failures.record(None, from(1, 1), begin + 2 * MINUTE).is_some());
    }

    #[test]
    fn what_was_counted_is_told_at_the_end_and_memory_is_bounded() {
        let (failures, now) = (Failures::default(), Instant::now());
        let networks = 3 * u32::try_from(MAX_NETWORKS).unwrap();
        let mut records: Vec<_> =
            (0..networks).filter_map(|network| failures.record(None, from(network, 1), now)).collect();
        assert!(failures.0.lock().unwrap().len() <= MAX_NETWORKS + 1);
        assert!(records.len() <= MAX_NETWORKS + EACH);
        records.extend(failures.due(now, true));
        assert_eq!(records.iter().map(stands_for).sum::<u64>(), u64::from(networks));
        assert!(failures.0.lock().unwrap().is_empty());
    }
}
