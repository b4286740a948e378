use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// How many wrong keys an address may send in [`WINDOW`]: no client sends any, and the 32-bit secrets of
/// protocol 3.0 then take centuries to guess.
const MAX_FAILURES: u32 = 30;
/// The time over which they are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// How many addresses are remembered. A key counts only from its session's own address, so that forgetting
/// others costs nothing.
const MAX_ADDRESSES: usize = 4096;

/// Wrong keys by address.
#[derive(Default)]
pub(super) struct Failures {
    seen: HashMap<IpAddr, (Instant, u32)>,
}

impl Failures {
    /// Whether the address has used up its failures for now.
    pub(super) fn exhausted(&self, address: IpAddr, now: Instant) -> bool {
        self.seen.get(&network(address)).is_some_and(|(since, count)| {
            now.saturating_duration_since(*since) < WINDOW && *count >= MAX_FAILURES
        })
    }

    /// Counts one.
    pub(super) fn count(&mut self, address: IpAddr, now: Instant) {
        let address = network(address);
        if self.seen.len() >= MAX_ADDRESSES && !self.seen.contains_key(&address) {
            self.seen.retain(|_, (since, _)| now.saturating_duration_since(*since) < WINDOW);
            if self.seen.len() >= MAX_ADDRESSES {
                return;
            }
        }
        let (since, count) = self.seen.entry(address).or_insert((now, 0));
        if now.saturating_duration_since(*since) >= WINDOW {
            (*since, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
    }
}

/// Whoever has one IPv6 address has its /64.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(long) => Ipv6Addr::from_bits(long.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessing_is_cut_off_for_the_address_and_forgiven_after_the_window() {
        let now = Instant::now();
        let (guesser, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut failures = Failures::default();
        for _ in 0..MAX_FAILURES {
            assert!(!failures.exhausted(guesser, now));
            failures.count(guesser, now);
        }
        assert!(failures.exhausted(guesser, now));
        assert!(!failures.exhausted(other, now));
        assert!(!failures.exhausted(guesser, now + WINDOW));
    }

    #[test]
    fn many_addresses_do_not_exhaust_memory() {
        let now = Instant::now();
        let mut failures = Failures::default();
        for number in 0..10_000_u32 {
            failures.count(IpAddr::from(number.to_be_bytes()), now);
        }
        assert_eq!(failures.seen.len(), MAX_ADDRESSES);
        failures.count(IpAddr::from([127, 0, 0, 1]), now + WINDOW);
        assert_eq!(failures.seen.len(), 1);
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one() {
        assert_eq!(network("2001:db8::1".parse().unwrap()), network("2001:db8::ffff:1".parse().unwrap()));
        assert_ne!(network("2001:db8::1".parse().unwrap()), network("2001:db8:0:1::1".parse().unwrap()));
    }
}
