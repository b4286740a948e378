//! The connections that have not proven yet who they are: bounded in all and for each network.
//!
//! Who comes when there is no room does not stay outside for that: somebody who came earlier and has said nothing
//! since gives way. So 1,500 idle connections keep nobody out, not even their own neighbours, whose logins take
//! milliseconds. Where all of them speak, one of the address that has the most gives way to those that have fewer, and
//! of one's own address whoever has not come as far as a startup packet in a quarter of a second. So whoever opens
//! hundreds a second from one address is refused himself, and keeps out neither neighbours nor other networks.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Connections at a time, each of a few kilobytes and a file descriptor.
pub const MAX_CROWD: usize = 1_024;

/// Of them from one network: enough for a rack of application servers that all start at once.
const MAX_OF_NETWORK: usize = 256;

/// From how many on nobody has the usual time for logging in, of a network and in all.
const CROWDED_NETWORK: usize = MAX_OF_NETWORK / 2;
const CROWDED: usize = MAX_CROWD / 2;

/// The time that they have then.
const HURRIED: Duration = Duration::from_secs(10);

/// Who is at it for less gives way to nobody of the same address: a login over a bad line takes as long.
const BUSY: Duration = Duration::from_secs(2);

/// The same before the startup packet, which comes within four times the way there and back.
const SLOW: Duration = Duration::from_millis(250);

/// Everybody who is being let in. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Crowd(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    networks: HashMap<IpAddr, BTreeMap<u64, Waiter>>,
    count: usize,
    next: u64,
}

struct Waiter {
    address: IpAddr,
    since: Instant,
    stage: Stage,
    gives_way: Arc<Notify>,
}

/// How far somebody has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Nothing was said.
    Silent,
    /// Something.
    Speaking,
    /// A whole startup packet, after TLS where that is wanted.
    Introduced,
}

/// One who is being let in; dropping it makes room.
pub(crate) struct Newcomer {
    crowd: Crowd,
    network: IpAddr,
    number: u64,
    gives_way: Arc<Notify>,
    /// How long it may take.
    pub(crate) time: Duration,
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        self.crowd.lock().remove(self.network, self.number);
    }
}

impl Newcomer {
    /// Resolves when somebody else needs the room more.
    pub(crate) async fn must_go(&self) {
        self.gives_way.notified().await;
    }

    /// It has said something.
    pub(crate) fn speaks(&self) {
        self.comes_to(Stage::Speaking);
    }

    /// It has said who it is, and in which database it wants a session.
    pub(crate) fn is_introduced(&self) {
        self.comes_to(Stage::Introduced);
    }

    fn comes_to(&self, stage: Stage) {
        let mut state = self.crowd.lock();
        let waiters = state.networks.get_mut(&self.network);
        if let Some(waiter) = waiters.and_then(|waiters| waiters.get_mut(&self.number)) {
            waiter.stage = stage;
        }
    }
}

impl Crowd {
    /// Takes somebody in, who otherwise has this `time`; `None` if there is no room to be had.
    pub(crate) fn enter(&self, address: IpAddr, time: Duration, now: Instant) -> Option<Newcomer> {
        let network = network(address);
        let mut state = self.lock();
        let neighbours = state.networks.get(&network).map_or(0, BTreeMap::len);
        if neighbours >= MAX_OF_NETWORK {
            state.make_room(network, Some(address), now)?;
        } else if state.count >= MAX_CROWD {
            // Whoever sends the most has the least right to stay.
            let largest = state.networks.iter().max_by_key(|(_, waiters)| waiters.len())?;
            let largest = *largest.0;
            state.make_room(largest, None, now)?;
        }
        let crowded = neighbours >= CROWDED_NETWORK || state.count >= CROWDED;
        let time = if crowded { time.min(HURRIED) } else { time };
        let gives_way = Arc::new(Notify::new());
        let number = state.next;
        state.next = number.wrapping_add(1);
        state.count = state.count.saturating_add(1);
        let stage = Stage::Silent;
        let waiter = Waiter { address, since: now, stage, gives_way: Arc::clone(&gives_way) };
        state.networks.entry(network).or_default().insert(number, waiter);
        Some(Newcomer { crowd: self.clone(), network, number, gives_way, time })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.lock().count
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held; if it did, the map would still be whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Sends somebody of that network away, for somebody of this `address` in it or for somebody elsewhere: the one who
    /// has been silent for longest, or else one of the address that has the most.
    fn make_room(&mut self, network: IpAddr, address: Option<IpAddr>, now: Instant) -> Option<()> {
        let waiters = self.networks.get(&network)?;
        let mut of: HashMap<IpAddr, usize> = HashMap::new();
        for waiter in waiters.values() {
            *of.entry(waiter.address).or_default() += 1;
        }
        let has = |address: &IpAddr| of.get(address).copied().unwrap_or(0);
        let most = of.iter().max_by_key(|(_, many)| **many).map(|(address, _)| *address)?;
        // Whoever has fewer comes before whoever has the most, however busy that one is.
        let comes_first = address.is_some_and(|address| has(&address) < has(&most));
        let at_it = |waiter: &Waiter| now.saturating_duration_since(waiter.since);
        let may_go = |waiter: &Waiter| match waiter.stage {
            Stage::Silent => true,
            _ if comes_first => true,
            Stage::Speaking => at_it(waiter) > SLOW,
            Stage::Introduced => at_it(waiter) > BUSY,
        };
        let silent = waiters.iter().find(|(_, waiter)| waiter.stage == Stage::Silent);
        let of_most = waiters.iter().filter(|(_, waiter)| waiter.address == most && may_go(waiter));
        let (number, waiter) =
            silent.or_else(|| of_most.min_by_key(|(number, waiter)| (waiter.stage, **number)))?;
        let number = *number;
        waiter.gives_way.notify_one();
        self.remove(network, number);
        Some(())
    }

    fn remove(&mut self, network: IpAddr, number: u64) {
        let Some(waiters) = self.networks.get_mut(&network) else { return };
        if waiters.remove(&number).is_some() {
            self.count = self.count.saturating_sub(1);
        }
        if waiters.is_empty() {
            self.networks.remove(&network);
        }
    }
}

/// Whoever has one address can have its neighbours: an IPv4 /24, an IPv6 /64.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(short) => Ipv4Addr::from_bits(short.to_bits() & !0xff).into(),
        IpAddr::V6(long) => Ipv6Addr::from_bits(long.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGIN: Duration = Duration::from_secs(60);

    fn from(network: u8, host: u8) -> IpAddr {
        IpAddr::from([10, 0, network, host])
    }

    fn is_sent_away(newcomer: &Newcomer) -> bool {
        let mut waiting = Box::pin(newcomer.must_go());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        waiting.as_mut().poll(&mut context).is_ready()
    }

    #[test]
    fn an_idle_flood_of_one_network_gives_way_to_its_neighbours_and_never_touches_others() {
        let (crowd, now) = (Crowd::default(), Instant::now());
        let elsewhere = crowd.enter(from(9, 1), LOGIN, now).unwrap();
        let flood: Vec<_> = (0..1_500).map(|_| crowd.enter(from(1, 1), LOGIN, now).unwrap()).collect();
        assert_eq!(crowd.len(), MAX_OF_NETWORK + 1);
        assert_eq!(flood.iter().filter(|idle| is_sent_away(idle)).count(), 1_500 - MAX_OF_NETWORK);
        let neighbour = crowd.enter(from(1, 200), LOGIN, now).unwrap();
        neighbour.speaks();
        let _more: Vec<_> = (0..300).map(|_| crowd.enter(from(1, 1), LOGIN, now).unwrap()).collect();
        assert!(!is_sent_away(&neighbour));
        assert!(!is_sent_away(&elsewhere));
        drop(flood);
        drop(elsewhere);
        assert_eq!(crowd.len(), MAX_OF_NETWORK);
    }

    #[test]
    fn who_is_busy_logging_in_is_not_sent_away_for_the_same_address_and_the_newcomer_is_refused_instead() {
        let (crowd, now) = (Crowd::default(), Instant::now());
        let busy: Vec<_> = (0..MAX_OF_NETWORK)
            .map(|_| {
                let busy = crowd.enter(from(1, 1), LOGIN, now).unwrap();
                busy.is_introduced();
                busy
            })
            .collect();
        assert!(crowd.enter(from(1, 1), LOGIN, now + BUSY).is_none());
        assert!(!busy.iter().any(is_sent_away));
        let _late = crowd.enter(from(1, 1), LOGIN, now + 2 * BUSY).unwrap();
        assert_eq!(busy.iter().filter(|busy| is_sent_away(busy)).count(), 1);
    }

    #[test]
    fn a_flood_of_one_address_that_speaks_keeps_no_neighbour_out() {
        let (crowd, now) = (Crowd::default(), Instant::now());
        let flood: Vec<_> = (0..MAX_OF_NETWORK)
            .map(|_| {
                let one = crowd.enter(from(1, 1), LOGIN, now).unwrap();
                one.is_introduced();
                one
            })
            .collect();
        let neighbour = crowd.enter(from(1, 2), LOGIN, now).unwrap();
        neighbour.speaks();
        assert!(flood.first().is_some_and(is_sent_away));
        assert!((0..1_000).all(|_| crowd.enter(from(1, 1), LOGIN, now).is_none_or(|one| is_sent_away(&one))));
        assert!(!is_sent_away(&neighbour));
        assert_eq!(flood.iter().filter(|one| is_sent_away(one)).count(), 0);
    }

    #[test]
    fn who_stops_before_a_startup_packet_gives_way_to_others_of_the_same_address() {
        let (crowd, now) = (Crowd::default(), Instant::now());
        let stopped = crowd.enter(from(1, 1), LOGIN, now).unwrap();
        stopped.speaks();
        let _busy: Vec<_> = (1..MAX_OF_NETWORK)
            .map(|_| {
                let busy = crowd.enter(from(1, 1), LOGIN, now).unwrap();
                busy.is_introduced();
                busy
            })
            .collect();
        assert!(crowd.enter(from(1, 1), LOGIN, now + SLOW).is_none());
        let _newcomer = crowd.enter(from(1, 1), LOGIN, now + 2 * SLOW).unwrap();
        assert!(is_sent_away(&stopped));
    }

    #[test]
    fn floods_of_many_networks_are_bounded_in_all_and_the_largest_gives_way() {
        let (crowd, now) = (Crowd::default(), Instant::now());
        let large: Vec<_> = (0..200).map(|_| crowd.enter(from(0, 1), LOGIN, now).unwrap()).collect();
        let small: Vec<_> =
            (200..3_000_u32).map(|one| crowd.enter(from((one / 20) as u8, 1), LOGIN, now)).collect();
        assert_eq!(crowd.len(), MAX_CROWD);
        let left = large.iter().filter(|one| !is_sent_away(one)).count();
        assert!(left <= 20, "{left} of the largest are left");
        drop((large, small));
        assert!(crowd.lock().networks.is_empty());
        assert_eq!(crowd.len(), 0);
    }

    #[test]
    fn while_many_wait_nobody_has_the_usual_time() {
        let (crowd, now) = (Crowd::default(), Instant::now());
        let all: Vec<_> = (0..200).map(|_| crowd.enter(from(1, 1), LOGIN, now).unwrap()).collect();
        assert_eq!(all.first().unwrap().time, LOGIN);
        assert_eq!(all.last().unwrap().time, HURRIED);
        assert_eq!(crowd.enter(from(2, 1), LOGIN, now).unwrap().time, LOGIN);
    }
}
