//! Takes whatever is sent: posts, letters, and syslog over TLS, byte by byte as they come.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What each has taken, by where it was sent to.
#[derive(Clone, Default)]
pub(crate) struct Taken(Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

impl Taken {
    fn add(&self, place: &str, bytes: &[u8]) {
        self.0.lock().unwrap().entry(place.to_owned()).or_default().extend(bytes);
    }

    /// All that came there.
    pub(crate) fn at(&self, place: &str) -> Vec<u8> {
        self.0.lock().unwrap().get(place).cloned().unwrap_or_default()
    }
}

/// What is done with whoever connects.
type Serve = Arc<dyn Fn(TcpStream, &Taken) + Send + Sync>;

/// All of it.
pub(crate) struct Lake {
    pub(crate) posts: SocketAddr,
    pub(crate) mail: SocketAddr,
    pub(crate) syslog: SocketAddr,
    pub(crate) taken: Taken,
}

impl Lake {
    /// `cert` and `key`: those of the receiver of syslog.
    pub(crate) fn new(cert: &Path, key: &Path) -> Self {
        let chain: Vec<_> = CertificateDer::pem_file_iter(cert).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(key).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = Arc::new(config.unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap());
        let taken = Taken::default();
        let at = |serve: Serve| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let (address, taken) = (listener.local_addr().unwrap(), taken.clone());
            std::thread::spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    let (serve, taken) = (Arc::clone(&serve), taken.clone());
                    std::thread::spawn(move || serve(stream, &taken));
                }
            });
            address
        };
        Self {
            posts: at(Arc::new(|stream, taken| while post(&stream, taken).is_some() {})),
            mail: at(Arc::new(|stream, taken| letters(&stream, taken).unwrap_or_default())),
            syslog: at(Arc::new(move |stream, taken| syslog(stream, &config, taken))),
            taken,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.posts)
    }
}

/// Reads one request, keeps it, and says that it is there.
fn post(stream: &TcpStream, taken: &Taken) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut line) = (String::new(), String::new());
    while line != "\r\n" {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        head.push_str(&line);
    }
    let length = |line: &str| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok();
    let mut body = vec![0; head.lines().find_map(length).unwrap()];
    reader.read_exact(&mut body).ok()?;
    let path = head.split(' ').nth(1).unwrap().to_owned();
    taken.add(&path, &[head.as_bytes(), &body, b"\n"].concat());
    (&*stream).write_all(b"HTTP/1.1 204 No Content\r\n\r\n").ok()
}

/// SMTP (RFC 5321), as much as it takes to be sent letters: they are what is wanted, byte by byte.
fn letters(mut stream: &TcpStream, taken: &Taken) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut say = |answer: &str| stream.write_all(format!("{answer}\r\n").as_bytes()).ok();
    say("220 lake")?;
    let (mut line, mut in_letter) = (Vec::new(), false);
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line).ok()? == 0 {
            return None;
        }
        taken.add("mail", &line);
        let word = String::from_utf8_lossy(&line).trim_end().to_uppercase();
        if in_letter {
            if word == "." {
                in_letter = false;
                say("250 taken")?;
            }
        } else if word == "DATA" {
            in_letter = true;
            say("354 go on")?;
        } else if word == "QUIT" {
            return say("221 bye");
        } else {
            say("250 lake")?;
        }
    }
}

/// RFC 5425: everything that was encrypted, until the other side ends it.
fn syslog(stream: TcpStream, config: &Arc<ServerConfig>, taken: &Taken) {
    let Ok(connection) = ServerConnection::new(Arc::clone(config)) else { return };
    let mut stream = StreamOwned::new(connection, stream);
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut piece) {
        taken.add("syslog", &piece[..length]);
    }
    stream.conn.send_close_notify();
    let _ = stream.flush();
}
