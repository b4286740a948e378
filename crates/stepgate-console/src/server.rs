//! Connections: bounded in number and time, encrypted where configured.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::api::{Api, Peer, router, watchers};
use crate::crowd::{Crowd, Place};
use crate::turned_away;

/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the head of a request may take to arrive, idle time between requests included.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long an answer may take that is being sent when its connection is closed.
const LAST_WORDS: Duration = Duration::from_secs(10);

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
        () = answer(&api, router(Arc::clone(&api)), listener, encryption, closing) => {}
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
    answer(&api, watchers(Arc::clone(&api)), listener, encryption, shutdown).await;
}

async fn answer(
    api: &Api,
    router: Router,
    listener: TcpListener,
    encryption: watch::Receiver<Encryption>,
    shutdown: impl Future<Output = ()>,
) {
    let (crowd, mut connections) = (Crowd::new(api.parts.proxies.clone()), JoinSet::new());
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener) => accepted,
        };
        let Some((stream, peer)) = accepted else { continue };
        // Whoever is refused is closed at once.
        let peer = peer.ip().to_canonical();
        let Some(place) = crowd.enter(peer, Instant::now()) else { continue };
        let (router, encryption) = (router.clone(), encryption.borrow().clone());
        connections.spawn(async move {
            let place = Arc::new(place);
            let connection = connection(stream, peer, encryption, router, &place);
            tokio::select! {
                () = place.must_go() => tracing::debug!("a connection of the API gave way to another"),
                _ = tokio::time::timeout(CONNECTION_TIMEOUT, connection) => {}
            }
        });
    }
    let _ = tokio::time::timeout(SHUTDOWN_GRACE, async { while connections.join_next().await.is_some() {} })
        .await;
}

async fn accept(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    match listener.accept().await {
        Ok(accepted) => Some(accepted),
        Err(error) => {
            tracing::warn!(%error, "the API could not accept a connection");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn connection(
    stream: TcpStream,
    peer: IpAddr,
    encryption: Encryption,
    router: Router,
    place: &Arc<Place>,
) {
    let router = router
        .layer(axum::Extension(Peer(peer)))
        .layer(axum::Extension(Arc::clone(place)))
        .layer(middleware::from_fn_with_state(Arc::clone(place), asks));
    match encryption {
        Encryption::Plain => speak(stream, router, place).await,
        Encryption::Tls(config) => {
            let handshake = TlsAcceptor::from(config).accept(stream);
            match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
                Ok(Ok(stream)) => speak(stream, router, place).await,
                Ok(Err(error)) => tracing::debug!(%error, "TLS handshake of the API failed"),
                Err(_) => tracing::debug!("TLS handshake of the API took too long"),
            }
        }
    }
}

/// Says when a request has come and when it was answered.
async fn asks(State(place): State<Arc<Place>>, request: Request, next: Next) -> Response {
    place.asks(true, Instant::now());
    let response = next.run(request).await;
    place.asks(false, Instant::now());
    response
}

async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin, router: Router, place: &Place) {
    let mut served = pin!(
        hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
    );
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = place.is_idle() => {
            // What is being sent still is.
            served.as_mut().graceful_shutdown();
            match tokio::time::timeout(LAST_WORDS, served).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection of the API ended early");
    }
}
