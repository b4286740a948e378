use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use stepgate_wire::startup::SSL_REQUEST_PACKET;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::tls::{client_config, server_name};
use super::{SslMode, UpstreamConfig, UpstreamError};
use crate::{Stream, peer};

/// How long it may take to have a connection, TLS included.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// A connection to the server, encrypted as configured; nothing has been said on it yet.
pub(crate) async fn dial(config: &UpstreamConfig) -> Result<Stream, UpstreamError> {
    let dial = async {
        let tcp = connect(config).await?;
        match config.sslmode {
            SslMode::Disable => Ok(Stream::Plain(tcp)),
            SslMode::Require | SslMode::VerifyFull => encrypt(config, tcp).await,
        }
    };
    timeout(CONNECT_LIMIT, dial).await.map_err(|_| UpstreamError::Timeout(CONNECT_LIMIT.as_secs()))?
}

/// Asks the server for no more than whether it would encrypt: whatever it answers, it is there. What only takes
/// connections, as the kernel does for a process that has stopped, does not.
pub(crate) async fn answers(config: &UpstreamConfig) -> Result<(), UpstreamError> {
    let mut tcp = connect(config).await?;
    tcp.write_all(&SSL_REQUEST_PACKET).await?;
    Ok(tcp.read_u8().await.map(drop)?)
}

/// Tries the host's addresses in turn.
async fn connect(config: &UpstreamConfig) -> Result<TcpStream, UpstreamError> {
    let host = config.host.as_str();
    let dns = |source| UpstreamError::Dns { host: host.to_owned(), source };
    let mut failure = dns(io::Error::from(io::ErrorKind::NotFound));
    for address in lookup_host((host, config.port)).await.map_err(dns)? {
        match TcpStream::connect(address).await {
            Ok(tcp) => {
                peer::prepare(&tcp)?;
                return Ok(tcp);
            }
            Err(source) => failure = refused(address, source),
        }
    }
    Err(failure)
}

fn refused(address: SocketAddr, source: io::Error) -> UpstreamError {
    UpstreamError::Refused { address: address.to_string(), source }
}

async fn encrypt(config: &UpstreamConfig, mut tcp: TcpStream) -> Result<Stream, UpstreamError> {
    let name = server_name(config)?;
    let client = client_config(config)?;
    tcp.write_all(&SSL_REQUEST_PACKET).await?;
    // One byte and not one more: what somebody on the wire appends to it must not be taken for part of the
    // encrypted session (CVE-2021-23222). An error message in its place is not read either: it could be
    // anybody's (CVE-2024-10977).
    match tcp.read_u8().await? {
        b'S' => {}
        b'N' => return Err(UpstreamError::Tls("the server has TLS switched off".to_owned())),
        _ => return Err(UpstreamError::Tls("the server does not answer as PostgreSQL does".to_owned())),
    }
    let connected = TlsConnector::from(client).connect(name, tcp).await;
    let tls = connected.map_err(|error| UpstreamError::Tls(error.to_string()))?;
    Ok(Stream::Tls(Box::new(tls.into())))
}
