//! Startup packets: the only messages without a tag, and the first thing a peer sends.

mod opening;
mod options;
mod outline;
mod packet;

pub use opening::Opening;
pub use outline::Approach;
pub use packet::{
    CancelKey, First, MAX_STARTUP, SSL_REQUEST_PACKET, StartupError, StartupPacket, packet_len, parse,
};
