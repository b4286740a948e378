//! Taking in a client.

use std::io;
use std::net::SocketAddr;

use stepgate_wire::startup::{CancelKey, Opening, StartupError};
use tokio::net::TcpStream;

use crate::{ServerTls, Stream};

/// What a connection turned out to be.
#[derive(Debug)]
pub enum Admitted {
    /// Somebody wants a session; not authenticated yet.
    Session(Box<Client>),
    /// Somebody wants a statement cancelled. Nothing may be answered; the stream is to be shut down once the
    /// request has been dealt with.
    Cancel(CancelKey, Stream),
}

/// A client that wants a session.
#[derive(Debug)]
pub struct Client {
    /// The connection; nothing was read beyond the startup packet.
    pub stream: Stream,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// What it asks for.
    pub opening: Opening,
}

/// Why a client was not admitted. It has been told already, as far as it could understand.
#[derive(Debug, thiserror::Error)]
pub enum AdmitError {
    /// It took too long.
    #[error("admission took too long")]
    Timeout,
    /// The connection failed or ended.
    #[error("connection failed: {0}")]
    Io(#[from] io::Error),
    /// It closed at once, as port checks do.
    #[error("closed without a word")]
    Silent,
    /// It broke the protocol.
    #[error("{0}")]
    Protocol(&'static str),
    /// Its startup packet cannot be read.
    #[error(transparent)]
    Startup(#[from] StartupError),
    /// It was refused; the primary message it got.
    #[error("{0}")]
    Refused(String),
}

/// Reads what a client sends before authentication, and answers it: TLS, GSSAPI, startup packet.
///
/// # Errors
/// See [`AdmitError`].
pub async fn admit(
    tcp: TcpStream,
    peer: SocketAddr,
    tls: Option<&ServerTls>,
) -> Result<Admitted, AdmitError> {
    let _ = (tcp, peer, tls);
    Err(AdmitError::Silent)
}
