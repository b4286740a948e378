//! The connections of the API: bounded in all and for each network.
//!
//! Who comes when there is no room does not stay outside for that: of the network that has the most, and there of the
//! address that has, the one that was silent for longest gives way. So whoever opens hundreds and says nothing keeps
//! nobody out, not even others of their own address. Who has logged in gives way to nobody, and takes no room from those
//! of their network who have not yet.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::proxies::Proxies;

/// Connections at a time; each costs some tens of kilobytes.
const MAX_CONNECTIONS: usize = 512;

/// Of them from one network, before a login: a browser opens six.
const MAX_OF_NETWORK: usize = 64;

/// The same of a proxy that is trusted: all people come by it.
const MAX_OF_PROXY: usize = 448;

/// Of them after a login. More are like those before one: there is always room for somebody to log in.
const MAX_KNOWN: usize = 384;

/// Who was silent for less gives way to nobody of the same address: a handshake over a bad line takes as long.
const SLOW: Duration = Duration::from_millis(250);

/// The same of one whose request is being answered.
const BUSY: Duration = Duration::from_secs(2);

/// How long a connection without a login may be silent. No multiple of five seconds: programs ask again after so many,
/// and what was just closed they would take for a failure.
const IDLE: Duration = Duration::from_secs(7);

/// Everybody who is connected. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Crowd(Arc<Shared>);

struct Shared {
    proxies: Proxies,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    origins: HashMap<Origin, Guests>,
    count: usize,
    known: usize,
    next: u64,
}

/// Whose connections share one bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Origin {
    /// Whoever has one address can have its neighbours: an IPv4 /24, an IPv6 /64.
    Network(IpAddr),
    Proxy(IpAddr),
}

#[derive(Default)]
struct Guests {
    all: BTreeMap<u64, Guest>,
    known: usize,
}

impl Guests {
    fn strangers(&self) -> usize {
        self.all.len().saturating_sub(self.known)
    }
}

struct Guest {
    address: IpAddr,
    /// When it last came, asked, or was answered.
    since: Instant,
    /// Its request is being answered.
    asking: bool,
    /// Somebody has asked by it who is logged in.
    known: bool,
    gives_way: Arc<Notify>,
}

/// One connection; dropping it makes room.
pub(crate) struct Place {
    crowd: Crowd,
    origin: Origin,
    number: u64,
    gives_way: Arc<Notify>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.lock().remove(self.origin, self.number);
    }
}

impl Place {
    /// Resolves when somebody else needs the room more.
    pub(crate) async fn must_go(&self) {
        self.gives_way.notified().await;
    }

    /// A request has come, or was answered.
    pub(crate) fn asks(&self, asking: bool, now: Instant) {
        self.with(|guest| (guest.since, guest.asking) = (now, asking));
    }

    /// Who asks is logged in.
    pub(crate) fn is_known(&self) {
        let mut state = self.crowd.lock();
        if state.known >= MAX_KNOWN {
            return;
        }
        let Some(guests) = state.origins.get_mut(&self.origin) else { return };
        let Some(guest) = guests.all.get_mut(&self.number) else { return };
        if !std::mem::replace(&mut guest.known, true) {
            guests.known = guests.known.saturating_add(1);
            state.known = state.known.saturating_add(1);
        }
    }

    /// Resolves when it was silent for so long that it is closed, unless somebody has logged in.
    pub(crate) async fn is_idle(&self) {
        while let Some(rest) = self.may_rest(Instant::now()) {
            tokio::time::sleep(rest).await;
        }
    }

    /// After which time to look again whether it is idle; `None`: it is.
    fn may_rest(&self, now: Instant) -> Option<Duration> {
        let rest = self.with(|guest| {
            if guest.known || guest.asking {
                return Some(IDLE);
            }
            let rest = IDLE.saturating_sub(now.saturating_duration_since(guest.since));
            (!rest.is_zero()).then_some(rest)
        });
        rest.flatten()
    }

    fn with<T>(&self, look: impl FnOnce(&mut Guest) -> T) -> Option<T> {
        let mut state = self.crowd.lock();
        let guest = state.origins.get_mut(&self.origin).and_then(|guests| guests.all.get_mut(&self.number));
        guest.map(look)
    }
}

impl Crowd {
    /// Nobody yet.
    pub(crate) fn new(proxies: Proxies) -> Self {
        Self(Arc::new(Shared { proxies, state: Mutex::default() }))
    }

    /// Takes a connection in; `None` if there is no room to be had.
    pub(crate) fn enter(&self, address: IpAddr, now: Instant) -> Option<Place> {
        let (origin, most) = if self.0.proxies.trusts(address) {
            (Origin::Proxy(address), MAX_OF_PROXY)
        } else {
            (Origin::Network(network(address)), MAX_OF_NETWORK)
        };
        let mut state = self.lock();
        if state.origins.get(&origin).map_or(0, Guests::strangers) >= most {
            state.make_room(origin, address, now)?;
        } else if state.count >= MAX_CONNECTIONS {
            let largest = state.origins.iter().max_by_key(|(_, guests)| guests.strangers())?;
            let largest = *largest.0;
            state.make_room(largest, address, now)?;
        }
        let gives_way = Arc::new(Notify::new());
        let number = state.next;
        state.next = number.wrapping_add(1);
        state.count = state.count.saturating_add(1);
        let (asking, known) = (false, false);
        let guest = Guest { address, since: now, asking, known, gives_way: Arc::clone(&gives_way) };
        state.origins.entry(origin).or_default().all.insert(number, guest);
        Some(Place { crowd: self.clone(), origin, number, gives_way })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held; if it did, the map would still be whole.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Sends one from there away, for somebody of this `address`, there or elsewhere: of the address that has the most
    /// without a login, the one that was silent for longest.
    fn make_room(&mut self, origin: Origin, address: IpAddr, now: Instant) -> Option<()> {
        let strangers = || self.origins.get(&origin).into_iter().flat_map(|guests| &guests.all);
        let strangers = || strangers().filter(|(_, guest)| !guest.known);
        let mut of: HashMap<IpAddr, usize> = HashMap::new();
        for (_, guest) in strangers() {
            *of.entry(guest.address).or_default() += 1;
        }
        let has = |address: &IpAddr| of.get(address).copied().unwrap_or(0);
        let most = of.iter().max_by_key(|(_, many)| **many).map(|(address, _)| *address)?;
        // Whoever has fewer comes before whoever has the most, however busy that one is.
        let comes_first = has(&address) < has(&most);
        let may_go = |guest: &Guest| {
            let patience = if guest.asking { BUSY } else { SLOW };
            comes_first || now.saturating_duration_since(guest.since) > patience
        };
        let of_most = strangers().filter(|(_, guest)| guest.address == most && may_go(guest));
        let (number, guest) = of_most.min_by_key(|(number, guest)| (guest.asking, guest.since, **number))?;
        let number = *number;
        guest.gives_way.notify_one();
        self.remove(origin, number);
        Some(())
    }

    fn remove(&mut self, origin: Origin, number: u64) {
        let Some(guests) = self.origins.get_mut(&origin) else { return };
        if let Some(guest) = guests.all.remove(&number) {
            self.count = self.count.saturating_sub(1);
            guests.known = guests.known.saturating_sub(usize::from(guest.known));
            self.known = self.known.saturating_sub(usize::from(guest.known));
        }
        if guests.all.is_empty() {
            self.origins.remove(&origin);
        }
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(short) => Ipv4Addr::from_bits(short.to_bits() & !0xff).into(),
        IpAddr::V6(long) => Ipv6Addr::from_bits(long.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(network: u8, host: u8) -> IpAddr {
        IpAddr::from([10, 0, network, host])
    }

    fn crowd() -> (Crowd, Instant) {
        let mut proxies = Proxies::default();
        proxies.trust("10.9.0.1").unwrap();
        (Crowd::new(proxies), Instant::now())
    }

    fn is_sent_away(place: &Place) -> bool {
        let mut waiting = Box::pin(place.must_go());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        waiting.as_mut().poll(&mut context).is_ready()
    }

    fn sent_away(places: &[Place]) -> usize {
        places.iter().filter(|place| is_sent_away(place)).count()
    }

    #[test]
    fn who_opens_hundreds_and_says_nothing_gives_way_to_themselves_and_touches_nobody_else() {
        let (crowd, mut now) = crowd();
        let elsewhere = crowd.enter(from(2, 1), now).unwrap();
        let neighbour = crowd.enter(from(1, 200), now).unwrap();
        let mut flood = Vec::new();
        for _ in 0..600 {
            now += SLOW;
            flood.push(crowd.enter(from(1, 1), now + SLOW).unwrap());
        }
        assert_eq!(crowd.lock().count, MAX_OF_NETWORK + 1);
        assert!(!is_sent_away(&elsewhere) && !is_sent_away(&neighbour));
        assert_eq!(sent_away(&flood), 600 - (MAX_OF_NETWORK - 1));
        // The longest silent first.
        assert!(!flood.last().is_some_and(is_sent_away));
        let _own = crowd.enter(from(1, 1), now + 3 * SLOW).unwrap();
        drop((flood, elsewhere, neighbour));
        assert_eq!(crowd.lock().count, 1);
    }

    #[test]
    fn a_busy_flood_of_one_address_is_refused_more_and_keeps_no_neighbour_out() {
        let (crowd, now) = crowd();
        let flood: Vec<_> = (0..MAX_OF_NETWORK).map(|_| crowd.enter(from(1, 1), now).unwrap()).collect();
        flood.iter().for_each(|place| place.asks(true, now));
        assert!(crowd.enter(from(1, 1), now + BUSY).is_none());
        let neighbour = crowd.enter(from(1, 2), now).unwrap();
        assert_eq!(sent_away(&flood), 1);
        assert!(crowd.enter(from(1, 1), now + 2 * BUSY).is_some());
        assert_eq!((sent_away(&flood), is_sent_away(&neighbour)), (1, false));
        // Who is being answered goes after all who are not.
        flood.iter().skip(10).for_each(|place| place.asks(false, now + BUSY));
        let _neighbours: Vec<_> = (0..20).map(|_| crowd.enter(from(1, 3), now + BUSY).unwrap()).collect();
        assert!(flood.iter().take(10).filter(|place| is_sent_away(place)).count() == 0);
    }

    #[test]
    fn who_has_logged_in_gives_way_to_nobody_and_leaves_room_for_others_to() {
        let (crowd, now) = crowd();
        let entered = (0..MAX_KNOWN + 20).map(|_| {
            let place = crowd.enter(from(1, 1), now).unwrap();
            place.is_known();
            place.is_known();
            place
        });
        let all: Vec<_> = entered.collect();
        assert_eq!(crowd.lock().known, MAX_KNOWN);
        let later = now + 2 * SLOW;
        let flood: Vec<_> = (0..=255).map(|network| crowd.enter(from(network, 7), later).unwrap()).collect();
        assert_eq!(crowd.lock().count, MAX_CONNECTIONS);
        let (known, more) = all.split_at(MAX_KNOWN);
        assert_eq!(sent_away(known), 0);
        assert!(sent_away(more) > 10);
        drop((flood, all));
        let state = crowd.lock();
        assert!(state.origins.is_empty() && (state.count, state.known) == (0, 0));
    }

    #[test]
    fn floods_of_many_networks_are_bounded_in_all_and_the_largest_gives_way() {
        let (crowd, now) = crowd();
        let proxied: Vec<_> =
            (0..300).map(|_| crowd.enter(IpAddr::from([10, 9, 0, 1]), now).unwrap()).collect();
        let beside = crowd.enter(IpAddr::from([10, 9, 0, 2]), now).unwrap();
        let small: Vec<_> =
            (0..600_u32).filter_map(|one| crowd.enter(from((one / 4) as u8, 1), now + 2 * SLOW)).collect();
        assert_eq!(crowd.lock().count, MAX_CONNECTIONS);
        let left = proxied.len() - sent_away(&proxied);
        assert!(left <= 10, "{left} of the largest are left");
        assert!(!is_sent_away(&beside));
        drop((proxied, beside, small));
        assert_eq!(crowd.lock().count, 0);
    }

    #[test]
    fn what_is_silent_without_a_login_is_idle_soon() {
        let (crowd, now) = crowd();
        let place = crowd.enter(from(1, 1), now).unwrap();
        assert_eq!(place.may_rest(now + Duration::from_secs(1)), Some(IDLE - Duration::from_secs(1)));
        assert_eq!(place.may_rest(now + IDLE), None);
        place.asks(true, now);
        assert_eq!(place.may_rest(now + 2 * IDLE), Some(IDLE));
        place.asks(false, now + IDLE);
        assert_eq!(place.may_rest(now + IDLE), Some(IDLE));
        assert_eq!(place.may_rest(now + 2 * IDLE), None);
        place.is_known();
        assert_eq!(place.may_rest(now + 9 * IDLE), Some(IDLE));
    }
}
