//! Cancel requests.

use std::net::SocketAddr;
use std::sync::Arc;

use stepgate_types::SessionId;
use stepgate_wire::startup::CancelKey;
use tokio::sync::mpsc;

use crate::{UpstreamConfig, UpstreamError};

/// Tells a session that its client wants its statement cancelled. The client's cancel connection stays open
/// until this is dropped: by then either the held statement is over, or the server has dealt with the request.
#[derive(Debug)]
pub struct CancelNotice {
    _done: tokio::sync::oneshot::Sender<()>,
}

/// There are as many sessions as the gate takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many sessions")]
pub struct RegistryFull;

/// The sessions that can be cancelled. Cheap to clone.
#[derive(Clone, Default)]
pub struct CancelRegistry {
    _inner: Arc<()>,
}

/// A session's entry; dropping it takes it out.
pub struct Registration {
    /// What the client gets in BackendKeyData.
    pub key: CancelKey,
    /// Where notices arrive.
    pub notices: mpsc::Receiver<CancelNotice>,
}

impl CancelRegistry {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Enters a session, with a random secret as long as its protocol version has it.
    ///
    /// # Errors
    /// There are too many sessions, or no randomness.
    pub fn register(
        &self,
        session: SessionId,
        pid: i32,
        minor: u16,
        peer: SocketAddr,
    ) -> Result<Registration, RegistryFull> {
        let _ = (session, pid, minor, peer);
        Err(RegistryFull)
    }

    /// Deals with a CancelRequest: tells the session, and returns once it is dealt with. `false`: unknown key,
    /// other address, or too many failures; the client must not learn which.
    pub async fn cancel(&self, key: &CancelKey, peer: SocketAddr) -> bool {
        let _ = (key, peer);
        false
    }
}

/// Sends a CancelRequest to the server over a connection of its own, and waits until the server closes it: by
/// then the signal has been sent, and cannot hit a later statement.
///
/// # Errors
/// See [`UpstreamError`].
pub async fn forward_cancel(config: &UpstreamConfig, pid: i32, secret: &[u8]) -> Result<(), UpstreamError> {
    let _ = (config, pid, secret);
    Ok(())
}
