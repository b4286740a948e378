//! Addresses.

use std::net::{IpAddr, SocketAddr};

/// The address without the clothes of a dual-stack socket (`::ffff:127.0.0.1` is `127.0.0.1`).
pub(crate) fn address(peer: SocketAddr) -> IpAddr {
    peer.ip().to_canonical()
}
