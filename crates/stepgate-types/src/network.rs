//! Networks as they are compared with addresses of peers, which never wear the clothes of another family.

use std::net::IpAddr;

/// Bits that `::ffff:0:0/96` has before those of an IPv4 address.
const MAPPED: u8 = 96;

/// The network that is meant: what is written as IPv6 has it for IPv4 (`::ffff:10.0.0.0/104`) is that of IPv4
/// (`10.0.0.0/8`), as which its peers are known. `None`: it is half of each (`::ffff:10.0.0.0/8`), and would hold nobody.
#[must_use]
pub const fn plain_network(address: IpAddr, prefix: u8) -> Option<(IpAddr, u8)> {
    match (address, address.to_canonical()) {
        (IpAddr::V6(_), plain @ IpAddr::V4(_)) => match prefix.checked_sub(MAPPED) {
            Some(prefix) => Some((plain, prefix)),
            None => None,
        },
        _ => Some((address, prefix)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(address: &str, prefix: u8) -> Option<(String, u8)> {
        plain_network(address.parse().unwrap(), prefix).map(|(address, prefix)| (address.to_string(), prefix))
    }

    #[test]
    fn a_network_of_ipv4_in_the_clothes_of_ipv6_is_undressed() {
        for (address, prefix, meant) in [
            ("::ffff:127.0.0.0", 104, Some(("127.0.0.0", 8))),
            ("::ffff:192.0.2.7", 128, Some(("192.0.2.7", 32))),
            ("::ffff:0:0", 96, Some(("0.0.0.0", 0))),
            ("::ffff:10.0.0.0", 8, None),
            ("::ffff:0:0", 95, None),
            ("10.0.0.0", 8, Some(("10.0.0.0", 8))),
            ("::", 0, Some(("::", 0))),
            ("2001:db8::", 32, Some(("2001:db8::", 32))),
        ] {
            let meant = meant.map(|(address, prefix)| (address.to_owned(), prefix));
            assert_eq!(plain(address, prefix), meant, "{address}/{prefix}");
        }
    }
}
