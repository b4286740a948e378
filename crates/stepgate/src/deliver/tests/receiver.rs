//! A TCP server of a test: a thread a connection, each with its number.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::world::Certificates;

/// A connection, encrypted or not.
pub(super) trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// Listens until it is dropped.
pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    pub(super) connections: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Receiver {
    /// `serve` gets each connection and its number, from 0.
    pub(super) fn new(
        tls: Option<Arc<ServerConfig>>,
        serve: impl Fn(&mut dyn Stream, usize) + Send + Sync + 'static,
    ) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), tls, serve)
    }

    pub(super) fn at(
        address: SocketAddr,
        tls: Option<Arc<ServerConfig>>,
        serve: impl Fn(&mut dyn Stream, usize) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, connections) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, counted, serve) = (Arc::clone(&stop), Arc::clone(&connections), Arc::new(serve));
        std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let Ok((socket, _)) = listener.accept() else {
                    std::thread::sleep(Duration::from_millis(5));
                    continue;
                };
                let number = counted.fetch_add(1, Ordering::Relaxed);
                let (tls, serve) = (tls.clone(), Arc::clone(&serve));
                std::thread::spawn(move || connection(socket, tls, &*serve, number));
            }
        });
        Self { address, connections, stop }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn connection(
    mut socket: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    serve: &(dyn Fn(&mut dyn Stream, usize) + Send + Sync),
    number: usize,
) {
    socket.set_nonblocking(false).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    match tls {
        None => serve(&mut socket, number),
        Some(config) => {
            let connection = ServerConnection::new(config).unwrap();
            serve(&mut StreamOwned::new(connection, socket), number);
        }
    }
}

/// TLS with this certificate; `clients`: only for who has one of that CA.
pub(super) fn server(
    certificates: &Certificates,
    clients: Option<&Certificates>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> Arc<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(&certificates.cert).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(&certificates.key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions).unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(&clients.ca).unwrap()).unwrap();
            let verifier =
                rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    Arc::new(builder.with_single_cert(chain, key).unwrap())
}
