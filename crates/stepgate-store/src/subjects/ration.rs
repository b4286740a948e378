//! How many new values strangers may bring in: whoever fails to log in from ten million addresses leaves records of it,
//! and not ten million values beside the log.
//!
//! So many addresses of failed logins an hour are committed to each by itself, so many networks of the others after
//! that, and what is still left as one value. Those that are there already, and those of people who have proved who they
//! are, are never counted.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use stepgate_types::SubjectKind;

use super::Inner;

/// New addresses in an hour.
pub(super) const ADDRESSES: u32 = 120;

/// New networks in an hour, once there were so many addresses.
pub(super) const NETWORKS: u32 = 120;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// The address of a failed login that came after as many others.
pub(super) const OTHERS: &str = "others";

/// What is left of this hour.
#[derive(Debug, Default)]
pub(super) struct Ration {
    began: Option<Instant>,
    addresses: u32,
    networks: u32,
}

impl Ration {
    fn renew(&mut self, now: Instant) {
        if self.began.is_none_or(|began| now.saturating_duration_since(began) >= HOUR) {
            *self = Self { began: Some(now), addresses: 0, networks: 0 };
        }
    }
}

/// Takes one of so many, if there is one left.
fn take(used: &mut u32, most: u32) -> bool {
    let free = *used < most;
    *used += u32::from(free);
    free
}

impl Inner {
    /// By which text a stranger's address is committed to.
    pub(super) fn rationed(&self, address: String, now: Instant) -> String {
        let mut state = self.state();
        if self.find(&mut state, SubjectKind::Address, &address).is_some() {
            return address;
        }
        state.ration.renew(now);
        if take(&mut state.ration.addresses, ADDRESSES) {
            return address;
        }
        let Some(network) = network(&address) else { return OTHERS.to_owned() };
        let known = self.find(&mut state, SubjectKind::Address, &network).is_some();
        if known || take(&mut state.ration.networks, NETWORKS) { network } else { OTHERS.to_owned() }
    }
}

/// What belongs to one customer as a rule: /64 of IPv6, /24 of IPv4.
fn network(address: &str) -> Option<String> {
    match address.parse::<IpAddr>().ok()?.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            Some(format!("{a}.{b}.{c}.0/24"))
        }
        IpAddr::V6(address) => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            Some(format!("{}/64", std::net::Ipv6Addr::from_bits(network)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_so_many_an_hour() {
        let (mut ration, now) = (Ration::default(), Instant::now());
        let mut taken = |at: Instant| {
            ration.renew(at);
            (0..1_000).filter(|_| take(&mut ration.addresses, ADDRESSES)).count()
        };
        assert_eq!(taken(now), 120);
        assert_eq!(taken(now + HOUR / 2), 0);
        assert_eq!(taken(now + HOUR), 120);
    }

    #[test]
    fn a_network_is_what_one_customer_has() {
        let network = |address: &str| network(address).unwrap();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        assert_eq!(network("192.0.2.99"), "192.0.2.0/24");
        assert_eq!(network("::ffff:192.0.2.99"), "192.0.2.0/24");
        assert_eq!(super::network("a pipe"), None);
    }
}
