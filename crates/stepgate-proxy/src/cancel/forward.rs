use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use stepgate_wire::startup::CancelKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::upstream::dial_at;
use crate::{Stream, UpstreamConfig, UpstreamError};

/// How long the server may take to close the connection of a CancelRequest.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// By what a session is known to its server, and where that is. Nothing of the secret shows in debug output.
#[derive(Clone)]
pub struct ServerKey {
    /// The process id of BackendKeyData.
    pub pid: i32,
    /// The secret of BackendKeyData.
    pub secret: Vec<u8>,
    /// The address that the session is connected to. The same host may have others, with processes of the same numbers.
    pub address: SocketAddr,
}

impl std::fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerKey")
            .field("pid", &self.pid)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// Sends a CancelRequest to the server that a session is connected to, over a connection of its own, and waits until the server
/// closes it: by then the signal has been sent, and cannot hit a later statement.
///
/// # Errors
/// See [`UpstreamError`].
pub async fn forward_cancel(config: &UpstreamConfig, key: &ServerKey) -> Result<(), UpstreamError> {
    let sent = send_cancel(config, key).await?;
    timeout(CLOSE_LIMIT, sent.dealt_with()).await.map_err(|_| UpstreamError::Timeout(CLOSE_LIMIT.as_secs()))
}

/// A CancelRequest that was sent: from now on, and until it is dealt with, it may hit whatever runs.
pub(crate) struct Sent(Stream);

impl Sent {
    /// Resolves when the server has closed the connection, or has gone: it will not send a signal any more.
    pub(crate) async fn dealt_with(mut self) {
        // The server says nothing; whatever it did say would be of no interest.
        while matches!(self.0.read(&mut [0; 64]).await, Ok(1..)) {}
    }
}

/// Sends a CancelRequest to the server that a session is connected to.
///
/// # Errors
/// See [`UpstreamError`]: then the server has not got it, and will not.
pub(crate) async fn send_cancel(config: &UpstreamConfig, key: &ServerKey) -> Result<Sent, UpstreamError> {
    let mut stream = dial_at(config, key.address).await?;
    let request = CancelKey { pid: key.pid, secret: Bytes::copy_from_slice(&key.secret) }.request();
    let sends = async {
        stream.write_all(&request).await?;
        stream.flush().await
    };
    timeout(CLOSE_LIMIT, sends).await.map_err(|_| UpstreamError::Timeout(CLOSE_LIMIT.as_secs()))??;
    Ok(Sent(stream))
}
