//! Ports for servers that have to be told theirs before they start.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net;

use crate::Error;

/// Below those that Linux gives to whoever asks for any, and to outgoing connections (32,768 and above, unless
/// net.ipv4.ip_local_port_range says otherwise): of these, some connection takes one while its server is starting.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// An address of this host on whose port nobody listens. No process that asks here is given the same for as long as this
/// one lives: to find a free one and not to keep it is a race that one of some thousand tests loses.
///
/// # Errors
/// All are taken.
pub fn free_address() -> Result<SocketAddr, Error> {
    // Processes that start together have numbers that follow one another, and want a few ports each.
    let (count, start) = (u32::from(PORTS.end - PORTS.start), std::process::id().wrapping_mul(37));
    (0..count)
        .filter_map(|step| u16::try_from(start.wrapping_add(step) % count).ok())
        .map(|offset| SocketAddr::from((Ipv4Addr::LOCALHOST, PORTS.start + offset)))
        .find(|address| TcpListener::bind(address).is_ok() && keep(address.port()))
        .ok_or_else(|| Error::new("found no free port"))
}

/// The port of such an address.
///
/// # Errors
/// As [`free_address`].
pub fn free_port() -> Result<u16, Error> {
    Ok(free_address()?.port())
}

/// Whether nobody keeps it already: names of abstract sockets are had once, and go with the process.
fn keep(port: u16) -> bool {
    let name = format!("stepgate-test-port-{port}");
    let kept = net::SocketAddr::from_abstract_name(name).and_then(|name| net::UnixListener::bind_addr(&name));
    kept.map(std::mem::forget).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_given_a_port_twice_or_one_that_is_in_use() {
        let mut given: Vec<u16> = (0..50).map(|_| free_port().unwrap()).collect();
        assert!(given.iter().all(|port| PORTS.contains(port)));
        assert!(given.iter().all(|port| !keep(*port)), "another process would get it");
        let next = given.last().unwrap() + 1;
        let listening = TcpListener::bind((Ipv4Addr::LOCALHOST, next));
        given.push(free_port().unwrap());
        assert!(listening.is_err() || !given.contains(&next));
        given.sort_unstable();
        given.dedup();
        assert_eq!(given.len(), 51);
    }
}
