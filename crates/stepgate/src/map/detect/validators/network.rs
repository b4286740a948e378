//! Addresses of networks.

use std::net::IpAddr;

/// Whether a text is an IP address, with or without a prefix length. A version number of four parts looks the same: most
/// of those begin with a small number, and such addresses hardly occur.
pub(crate) fn is(text: &str) -> bool {
    let text = text.trim();
    let text = text.split_once('/').map_or(text, |(address, _)| address);
    match text.parse() {
        Ok(IpAddr::V4(address)) => address.octets().first().is_some_and(|first| *first >= 5),
        Ok(IpAddr::V6(_)) => text.len() > 2,
        Err(_) => false,
    }
}

/// Whether it is an address that only machines of one's own have.
pub(crate) fn is_private(text: &str) -> bool {
    let text = text.trim();
    let text = text.split_once('/').map_or(text, |(address, _)| address);
    match text.parse() {
        Ok(IpAddr::V4(address)) => address.is_private() || address.is_loopback() || address.is_link_local(),
        Ok(IpAddr::V6(address)) => address.is_loopback() || address.is_unique_local(),
        Err(_) => false,
    }
}

/// Whether it may as well be a version of four parts, which count from one on.
pub(crate) fn is_like_version(text: &str) -> bool {
    match text.trim().parse() {
        Ok(IpAddr::V4(address)) => matches!(address.octets(), [0..=20, 0..=20, ..]),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_no_addresses() {
        for good in ["192.0.2.7", "203.0.113.9/24", "2001:db8::7", "fe80::1"] {
            assert!(is(good), "{good}");
        }
        for bad in ["1.2.3.4", "2024.1.0.3", "300.1.1.1", "::", "12:30:00", "dead", ""] {
            assert!(!is(bad), "{bad}");
        }
        assert!(is_private("10.1.2.3") && !is_private("203.0.113.9"));
    }
}
