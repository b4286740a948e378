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
/// The most addresses of a host that share that time: each gets enough to lose a packet or two.
const SHARES: u32 = 4;

/// A connection to the server and the address that it leads to, encrypted as configured; nothing has been said on it yet.
pub(crate) async fn dial(config: &UpstreamConfig) -> Result<(Stream, SocketAddr), UpstreamError> {
    let dial = async {
        let host = config.host.as_str();
        let dns = |source| UpstreamError::Dns { host: host.to_owned(), source };
        let addresses: Vec<_> = lookup_host((host, config.port)).await.map_err(dns)?.collect();
        let found = first(&addresses, |address| open(config, address)).await;
        found.unwrap_or_else(|| Err(dns(io::Error::from(io::ErrorKind::NotFound))))
    };
    timeout(CONNECT_LIMIT, dial).await.map_err(|_| too_late())?
}

/// The same to the one address that a session is connected to. Each address of a host may be another server, which knows
/// nothing of the session; the certificate is still that of the host.
pub(crate) async fn dial_at(config: &UpstreamConfig, address: SocketAddr) -> Result<Stream, UpstreamError> {
    timeout(CONNECT_LIMIT, open(config, address)).await.map_err(|_| too_late())?
}

/// Asks the server at that address for no more than whether it would encrypt: whatever it answers, it is there. What only
/// takes connections, as the kernel does for a process that has stopped, does not.
pub(crate) async fn answers(address: SocketAddr) -> Result<(), UpstreamError> {
    let mut tcp = connect(address).await?;
    tcp.write_all(&SSL_REQUEST_PACKET).await?;
    Ok(tcp.read_u8().await.map(drop)?)
}

/// What the first of these addresses gives that can be reached, tried in turn. One that does not answer takes no more than its
/// share of the time: behind it there may be one that does. `None`: there are no addresses.
async fn first<T, F: Future<Output = Result<T, UpstreamError>>>(
    addresses: &[SocketAddr],
    open: impl Fn(SocketAddr) -> F,
) -> Option<Result<(T, SocketAddr), UpstreamError>> {
    let shares = u32::try_from(addresses.len()).unwrap_or(SHARES).clamp(1, SHARES);
    let share = CONNECT_LIMIT.checked_div(shares).unwrap_or(CONNECT_LIMIT);
    let mut failure = None;
    for address in addresses {
        match timeout(share, open(*address)).await.unwrap_or_else(|_| Err(too_late())) {
            Err(error @ (UpstreamError::Refused { .. } | UpstreamError::Timeout(_))) => {
                failure = Some(Err(error))
            }
            Ok(opened) => return Some(Ok((opened, *address))),
            // Somebody is there, and not who should be: that is for the operator to hear.
            Err(error) => return Some(Err(error)),
        }
    }
    failure
}

async fn open(config: &UpstreamConfig, address: SocketAddr) -> Result<Stream, UpstreamError> {
    let tcp = connect(address).await?;
    match config.sslmode {
        SslMode::Disable => Ok(Stream::Plain(tcp)),
        SslMode::Require | SslMode::VerifyFull => encrypt(config, tcp).await,
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream, UpstreamError> {
    let refused = |source| UpstreamError::Refused { address: address.to_string(), source };
    let tcp = TcpStream::connect(address).await.map_err(refused)?;
    peer::prepare(&tcp)?;
    Ok(tcp)
}

const fn too_late() -> UpstreamError {
    UpstreamError::Timeout(CONNECT_LIMIT.as_secs())
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

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::Instant;

    use super::*;

    fn addresses(many: u8) -> Vec<SocketAddr> {
        (1..=many).map(|last| SocketAddr::from(([192, 0, 2, last], 5432))).collect()
    }

    /// What comes of addresses of which only that one answers.
    async fn found(many: u8, answers: u8) -> Option<Result<((), SocketAddr), UpstreamError>> {
        let good = SocketAddr::from(([192, 0, 2, answers], 5432));
        let open = |address| async move { if address == good { Ok(()) } else { pending().await } };
        first(&addresses(many), open).await
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_swallows_what_is_sent_keeps_nobody_from_the_next_one() {
        for (many, answers) in [(2, 2), (3, 2), (3, 3), (8, 4)] {
            let begun = Instant::now();
            let (_, address) = found(many, answers).await.unwrap().unwrap();
            assert_eq!(address, SocketAddr::from(([192, 0, 2, answers], 5432)));
            assert!(begun.elapsed() < CONNECT_LIMIT, "{many} {answers}: {:?}", begun.elapsed());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_with_one_address_has_all_of_the_time_and_one_with_none_takes_none() {
        let begun = Instant::now();
        assert!(matches!(found(1, 9).await, Some(Err(UpstreamError::Timeout(_)))));
        assert_eq!(begun.elapsed().as_secs(), CONNECT_LIMIT.as_secs());
        assert!(found(0, 9).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_there_and_is_not_the_server_is_not_passed_over_for_another_address() {
        let impostor =
            |address: SocketAddr| async move { Err::<(), _>(UpstreamError::Tls(address.to_string())) };
        let found = first(&addresses(3), impostor).await;
        assert!(matches!(found, Some(Err(UpstreamError::Tls(whose))) if whose == "192.0.2.1:5432"));
    }
}
