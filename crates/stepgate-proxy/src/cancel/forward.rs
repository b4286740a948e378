use std::time::Duration;

use bytes::Bytes;
use stepgate_wire::startup::CancelKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::upstream::dial;
use crate::{UpstreamConfig, UpstreamError};

/// How long the server may take to close the connection of a CancelRequest.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// Sends a CancelRequest to the server over a connection of its own, and waits until the server closes it: by
/// then the signal has been sent, and cannot hit a later statement.
///
/// # Errors
/// See [`UpstreamError`].
pub async fn forward_cancel(config: &UpstreamConfig, pid: i32, secret: &[u8]) -> Result<(), UpstreamError> {
    let key = CancelKey { pid, secret: Bytes::copy_from_slice(secret) };
    let mut stream = dial(config).await?;
    let deliver = async {
        stream.write_all(&key.request()).await?;
        stream.flush().await?;
        // The server says nothing; whatever it did say would be of no interest.
        while stream.read(&mut [0; 64]).await? > 0 {}
        Ok(())
    };
    timeout(CLOSE_LIMIT, deliver).await.map_err(|_| UpstreamError::Timeout(CLOSE_LIMIT.as_secs()))?
}
