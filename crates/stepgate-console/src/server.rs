//! Connections: bounded in number and time, encrypted where configured.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use crate::api::{Api, Peer, router, watchers};
use crate::turned_away;

/// Connections at a time; each costs some tens of kilobytes.
const MAX_CONNECTIONS: usize = 512;

/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the head of a request may take to arrive, idle time between requests included.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a connection may last: nothing here takes longer than a person's patience.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// The longest head of a request, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// How long running requests may go on after a shutdown.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(3);

/// How long to wait after an accept failed (no file descriptors left): trying at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Whether connections are encrypted.
#[derive(Clone)]
pub enum Encryption {
    /// By this configuration.
    Tls(Arc<rustls::ServerConfig>),
    /// Not at all; only on loopback.
    Plain,
}

/// Serves the API until `shutdown` is done; running requests are given three seconds.
///
/// `encryption` is asked for each connection: certificates may be renewed meanwhile.
pub async fn serve(
    api: Arc<Api>,
    listener: TcpListener,
    encryption: watch::Receiver<Encryption>,
    shutdown: impl Future<Output = ()>,
) {
    let closing = async {
        shutdown.await;
        api.close();
    };
    tokio::select! {
        () = answer(router(Arc::clone(&api)), listener, encryption, closing) => {}
        () = turned_away::keep_count(&api) => {}
    }
    turned_away::note_counted(&api, true);
}

/// Serves figures and health alone, likewise.
pub async fn serve_watchers(
    api: Arc<Api>,
    listener: TcpListener,
    encryption: watch::Receiver<Encryption>,
    shutdown: impl Future<Output = ()>,
) {
    answer(watchers(api), listener, encryption, shutdown).await;
}

async fn answer(
    router: Router,
    listener: TcpListener,
    encryption: watch::Receiver<Encryption>,
    shutdown: impl Future<Output = ()>,
) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        let Some((stream, peer, slot)) = accepted else { continue };
        let (router, encryption) = (router.clone(), encryption.borrow().clone());
        tokio::spawn(async move {
            let _slot = slot;
            let _ =
                tokio::time::timeout(CONNECTION_TIMEOUT, connection(stream, peer, encryption, router)).await;
        });
    }
    let all = u32::try_from(MAX_CONNECTIONS).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(SHUTDOWN_GRACE, slots.acquire_many(all)).await;
}

type Accepted = (TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit);

async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> Option<Accepted> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, slot)),
        Err(error) => {
            tracing::warn!(%error, "the API could not accept a connection");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, encryption: Encryption, router: Router) {
    let router = router.layer(axum::Extension(Peer(peer.ip().to_canonical())));
    match encryption {
        Encryption::Plain => speak(stream, router).await,
        Encryption::Tls(config) => {
            let handshake = TlsAcceptor::from(config).accept(stream);
            match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
                Ok(Ok(stream)) => speak(stream, router).await,
                Ok(Err(error)) => tracing::debug!(%error, "TLS handshake of the API failed"),
                Err(_) => tracing::debug!("TLS handshake of the API took too long"),
            }
        }
    }
}

async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin, router: Router) {
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection of the API ended early");
    }
}
