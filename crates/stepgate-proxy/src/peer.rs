//! The sockets of peers.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// After how much silence the kernel asks whether the peer is still there, and how often it asks again.
/// Together: a peer that is gone without a word is noticed within half a minute, and until then its session
/// holds what it holds.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(15))
    .with_interval(Duration::from_secs(5))
    .with_retries(3);

/// The address without the clothes of a dual-stack socket (`::ffff:127.0.0.1` is `127.0.0.1`).
pub(crate) fn address(peer: SocketAddr) -> IpAddr {
    peer.ip().to_canonical()
}

/// Makes a socket send at once and notice when its peer is gone.
pub(crate) fn prepare(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    SockRef::from(tcp).set_tcp_keepalive(&KEEPALIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_the_same_however_the_socket_dresses_it() {
        let dressed = "[::ffff:127.0.0.1]:5000".parse().unwrap();
        assert_eq!(address(dressed), IpAddr::from([127, 0, 0, 1]));
        assert!(address(dressed).is_loopback());
    }
}
