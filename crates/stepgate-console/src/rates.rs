//! How often anybody may ask: by network for everything, by person and network once it is known who asks. Bounded tables;
//! who asks too often waits for seconds, and locks nobody else out: nor does who has somebody's password lock them out.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use stepgate_types::PersonName;

use crate::api::{Api, Peer};
use crate::problem::Problem;

/// How often, once what was saved up is spent, and how much can be saved up.
#[derive(Debug, Clone, Copy)]
struct Rate {
    /// Time between two.
    every: Duration,
    /// At once.
    burst: u32,
}

/// Of a network: an office whose people share an address, each with pages open and scripts running.
const OF_NETWORK: Rate = Rate { every: Duration::from_millis(5), burst: 2000 };

/// Of a person: programs that look for changes a few times a second, and a person besides.
const OF_PERSON: Rate = Rate { every: Duration::from_millis(20), burst: 600 };

/// Counters of each kind; each is some 100 bytes.
const MAX_COUNTERS: usize = 10_000;

/// All counters.
#[derive(Default)]
pub(crate) struct Rates {
    networks: Mutex<Table<IpAddr>>,
    people: Mutex<Table<(PersonName, IpAddr)>>,
}

impl Rates {
    /// Counts something that a network asks at this (monotonic) time.
    pub(crate) fn of_network(&self, address: IpAddr, now: Duration) -> Result<(), Problem> {
        let mut networks = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
        networks.take(network(address), OF_NETWORK, now).map_err(too_often)
    }

    /// Counts something that a person asks from there.
    pub(crate) fn of_person(
        &self,
        person: &PersonName,
        address: IpAddr,
        now: Duration,
    ) -> Result<(), Problem> {
        let mut people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        people.take((person.clone(), network(address)), OF_PERSON, now).map_err(too_often)
    }
}

fn too_often(wait: Duration) -> Problem {
    let seconds = wait.as_secs() + 1;
    Problem::throttled("too_often", format!("too many requests; try again in {seconds} s"), seconds)
}

/// One customer has a /64 of IPv6: counting single addresses would count nothing.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// For each, when all it has taken will be earned again (the generic cell rate algorithm, ITU-T I.371).
struct Table<K>(HashMap<K, Duration>);

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Table<K> {
    fn take(&mut self, key: K, rate: Rate, now: Duration) -> Result<(), Duration> {
        let earned = self.0.get(&key).copied().unwrap_or(now).max(now).saturating_add(rate.every);
        let wait = earned.saturating_sub(now).saturating_sub(rate.every.saturating_mul(rate.burst));
        if !wait.is_zero() {
            return Err(wait);
        }
        if self.0.len() >= MAX_COUNTERS && !self.0.contains_key(&key) {
            self.make_room(now);
        }
        self.0.insert(key, earned);
        Ok(())
    }

    /// Forgets who owes nothing; then the quarter that owes least, so that this is done seldom.
    fn make_room(&mut self, now: Duration) {
        self.0.retain(|_, earned| *earned > now);
        if self.0.len() < MAX_COUNTERS {
            return;
        }
        let mut all: Vec<_> = self.0.values().copied().collect();
        let (_, quarter, _) = all.select_nth_unstable(MAX_COUNTERS / 4);
        let quarter = *quarter;
        self.0.retain(|_, earned| *earned > quarter);
    }
}

/// Counts everything by where it comes from, before anything else is done with it.
pub(crate) async fn seldom_enough(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().copied();
    let now = api.parts.clock.monotonic();
    match peer.map_or(Ok(()), |Peer(address)| api.rates.of_network(address, now)) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1000);

    #[test]
    fn who_asks_too_often_waits_and_nobody_else_does() {
        let rates = Rates::default();
        let take = |last, now| rates.of_network(IpAddr::from([192, 0, 2, last]), now);
        for _ in 0..OF_NETWORK.burst {
            take(1, START).unwrap();
        }
        assert!(take(1, START).is_err());
        take(2, START).unwrap();
        take(1, START + OF_NETWORK.every).unwrap();
        assert!(take(1, START + OF_NETWORK.every).is_err());
        let dana: PersonName = "dana".parse().unwrap();
        let of_dana = |last| rates.of_person(&dana, IpAddr::from([192, 0, 2, last]), START);
        let taken = (0..=OF_PERSON.burst).filter(|_| of_dana(1).is_ok()).count();
        assert_eq!(taken, OF_PERSON.burst as usize);
        // Whoever asks in her name elsewhere takes nothing from her.
        assert!(of_dana(1).is_err() && of_dana(2).is_ok());
    }

    #[test]
    fn neighbours_in_one_ipv6_network_count_as_one() {
        let address = |text: &str| network(text.parse().unwrap());
        assert_eq!(address("2001:db8::1"), address("2001:db8::ffff:2"));
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
    }

    #[test]
    fn counters_are_bounded_and_who_owes_most_is_remembered() {
        let mut table = Table::default();
        for _ in 0..OF_NETWORK.burst {
            table.take(0, OF_NETWORK, START).unwrap();
        }
        for n in 1..3 * MAX_COUNTERS {
            table.take(n, OF_NETWORK, START).unwrap();
            assert!(table.0.len() <= MAX_COUNTERS);
        }
        assert!(table.take(0, OF_NETWORK, START).is_err());
    }
}
