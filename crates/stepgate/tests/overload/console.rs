//! Connections to the console by the hundred that ask for nothing: nobody who answers a request stays outside for them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tokio::net::TcpSocket;

use super::support::raw::runtime;
use super::support::{SOON, World, held};

type Tls = rustls::StreamOwned<ClientConnection, TcpStream>;

fn trusting(world: &World) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(world.gate.ca()).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}

/// TLS up to its end: nothing is asked yet.
fn shaken(tcp: TcpStream, config: &Arc<ClientConfig>) -> std::io::Result<Tls> {
    tcp.set_read_timeout(Some(SOON))?;
    let name = ServerName::try_from("localhost").unwrap();
    let mut tls = Tls::new(ClientConnection::new(Arc::clone(config), name).unwrap(), tcp);
    while tls.conn.is_handshaking() {
        tls.conn.complete_io(&mut tls.sock)?;
    }
    Ok(tls)
}

/// A connection from another address of this machine's.
fn from(world: &World, address: [u8; 4]) -> TcpStream {
    let connected = async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((address, 0).into()).unwrap();
        socket.connect(world.gate.console()).await.unwrap().into_std().unwrap()
    };
    let tcp = runtime().block_on(connected);
    tcp.set_nonblocking(false).unwrap();
    tcp
}

/// Whether somebody from that address is answered.
fn is_answered(world: &World, address: [u8; 4], config: &Arc<ClientConfig>) -> bool {
    let asked = || {
        let mut tls = shaken(from(world, address), config)?;
        let host = world.gate.console().port();
        write!(tls, "GET /healthz HTTP/1.1\r\nHost: localhost:{host}\r\nConnection: close\r\n\r\n")?;
        let mut answer = [0; 15];
        tls.read_exact(&mut answer).map(|()| answer == *b"HTTP/1.1 200 OK")
    };
    asked().unwrap_or(false)
}

#[test]
fn idle_connections_to_the_console_keep_nobody_from_answering() {
    let world = World::new();
    let (mut dana, config) = (world.dana(), trusting(&world));
    let mut psql = world.psql(&dana);
    for (tls, sql) in [
        (false, "select ssn from customers where id < 3;"),
        (true, "select iban from payments where id < 3;"),
    ] {
        psql.send(sql).unwrap();
        let request = held(&mut psql);
        let mut flood = (Vec::new(), Vec::new());
        for _ in 0..700 {
            let tcp = TcpStream::connect(world.gate.console()).unwrap();
            // Those that come too fast are closed.
            if tls {
                flood.1.extend(shaken(tcp, &config));
            } else {
                flood.0.push(tcp);
            }
        }
        for address in [[127, 0, 0, 2], [127, 0, 5, 1]] {
            assert!(is_answered(&world, address, &config), "{address:?}, {tls}");
        }
        std::thread::sleep(Duration::from_millis(300));
        dana.verify(&world.gate, &request).unwrap().ok().unwrap();
        assert!(psql.finish(SOON).unwrap().is_ok());
        assert!(!tls || flood.1.len() > 64, "{}", flood.1.len());
    }
}
