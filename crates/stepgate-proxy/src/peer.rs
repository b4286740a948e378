//! The sockets of peers.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd as _;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::Interest;
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

/// Gives a client up that has acknowledged or taken nothing for so `long` of what was sent to it. Nothing of the kind
/// towards the server: one that reads nothing may wait for a lock, and a COPY into it would be ended for that.
pub(crate) fn give_up_after(tcp: &TcpStream, long: Duration) -> io::Result<()> {
    SockRef::from(tcp).set_tcp_user_timeout(Some(long))
}

/// Sees a peer go, also where what it has sent before is not read: data in the way hides the end of a stream from
/// whoever reads it, not from whoever asks the kernel.
pub(crate) struct Lookout(TcpStream);

impl Lookout {
    /// Of that connection. A descriptor of its own, since the connection's is busy reading and writing.
    pub(crate) fn of(tcp: &TcpStream) -> io::Result<Self> {
        let own = std::net::TcpStream::from(tcp.as_fd().try_clone_to_owned()?);
        TcpStream::from_std(own).map(Self)
    }

    /// Resolves when the peer has closed its end, or the connection is broken. As PostgreSQL's
    /// `client_connection_check_interval` does, it takes a peer that only stops sending for one that has gone.
    pub(crate) async fn gone(&self) {
        // PRIORITY is never ready by itself: what is told is that the reading side is closed (EPOLLRDHUP).
        let _ = self.0.ready(Interest::PRIORITY).await;
    }
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

    #[tokio::test]
    async fn a_peer_that_has_gone_is_seen_behind_what_it_sent() {
        use tokio::io::AsyncWriteExt as _;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (tcp, _) = listener.accept().await.unwrap();
        let lookout = Lookout::of(&tcp).unwrap();
        peer.write_all(&[0; 10_000]).await.unwrap();
        tcp.readable().await.unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(200), lookout.gone()).await.is_err());
        drop(peer);
        tokio::time::timeout(Duration::from_secs(1), lookout.gone()).await.unwrap();
    }
}
