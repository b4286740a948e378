//! A TLS connection that can tell, at its end, that the other side has read all of it.
//!
//! Syslog acknowledges nothing, and what lies unread in a receiver's buffers when it dies is lost (RFC 5425 section
//! 4.4). Nor does TLS: an answer to a KeyUpdate need not come before the next data (RFC 8446 section 4.6.3), of which
//! a receiver of logs has none. But TCP does. Who is sent the end of a stream ends theirs, once they have come to it;
//! a process that ends or closes before it has read all has its system send a reset instead.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::trouble::Trouble;
use crate::config::HostPort;

/// How long connecting may take at each address, the handshake in all, and a write without any progress.
const CONNECT: Duration = Duration::from_secs(10);
const HANDSHAKE: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 20 });
const WRITE: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 10 });

/// How long one call of `send`, or a look, may write in all: who takes a byte now and then makes progress, too.
const SEND: Duration = Duration::from_secs(if cfg!(test) { 3 } else { 60 });

/// The most that the other side may say on one connection, in bytes: a receiver of logs has nothing to say but TLS.
const MAX_HEARD: usize = 256 * 1024;

/// How long the other side may take to come to the end, and a reset to come after it: some round trips.
const END: Duration = Duration::from_secs(if cfg!(test) { 3 } else { 20 });
const RESET: Duration = Duration::from_millis(250);

/// An open connection.
pub(super) struct Link {
    tls: ClientConnection,
    socket: TcpStream,
    /// The other side has said that it ends.
    ended: bool,
    /// Bytes that it has said in all.
    heard: usize,
}

impl Link {
    /// Connects and checks who answers.
    pub(super) fn connect(place: &HostPort, config: Arc<ClientConfig>) -> Result<Self, Trouble> {
        let name = ServerName::try_from(place.host.clone())
            .map_err(|_| Trouble::new("its host is no name that a certificate can be for"))?;
        let socket = dial(place)?;
        let tls = ClientConnection::new(config, name)
            .map_err(|error| Trouble::new(format!("TLS cannot be set up: {error}")))?;
        let mut link = Self { tls, socket, ended: false, heard: 0 };
        link.handshake()?;
        Ok(link)
    }

    /// A receiver that trickles must not keep us for ever.
    fn handshake(&mut self) -> Result<(), Trouble> {
        let deadline = Instant::now() + HANDSHAKE;
        while self.tls.is_handshaking() {
            self.flush(deadline)?;
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Trouble::new("the TLS handshake takes too long"));
            }
            let trouble = |error: &io::Error| Trouble::io("the TLS handshake", error);
            self.socket.set_read_timeout(Some(left)).map_err(|error| trouble(&error))?;
            if !self.tls.wants_read() {
                continue;
            }
            match self.hear() {
                Ok(true) => {}
                Ok(false) => return Err(Trouble::new("closed during the TLS handshake")),
                Err(error) => return Err(trouble(&error)),
            }
        }
        self.flush(deadline)
    }

    /// Sends; returns when the system has taken all of it.
    pub(super) fn send(&mut self, mut bytes: &[u8]) -> Result<(), Trouble> {
        let deadline = Instant::now() + SEND;
        while !bytes.is_empty() {
            let taken = self.tls.writer().write(bytes).map_err(|error| Trouble::io("TLS", &error))?;
            bytes = bytes.get(taken..).unwrap_or_default();
            self.flush(deadline)?;
        }
        Ok(())
    }

    /// Looks, without waiting, whether the other side is still there.
    pub(super) fn look(&mut self) -> Result<(), Trouble> {
        let trouble = |error: &io::Error| Trouble::io("the connection", error);
        self.socket.set_nonblocking(true).map_err(|error| trouble(&error))?;
        let heard = loop {
            match self.hear() {
                Ok(true) if !self.ended => {}
                Ok(_) => break Err(Trouble::new("the receiver has closed the connection")),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(()),
                Err(error) => break Err(trouble(&error)),
            }
        };
        self.socket.set_nonblocking(false).map_err(|error| trouble(&error))?;
        heard.and_then(|()| self.flush(Instant::now() + SEND))
    }

    /// Ends it, and returns once the other side has read all that was sent.
    pub(super) fn finish(mut self) -> Result<(), Trouble> {
        // Whoever has ended before has not.
        self.look()?;
        let trouble = |error: &io::Error| Trouble::io("the receiver has not read all", error);
        let deadline = Instant::now() + END;
        self.tls.send_close_notify();
        self.flush(deadline)?;
        self.socket.shutdown(Shutdown::Write).map_err(|error| trouble(&error))?;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Trouble::new("the receiver has not read all in time: does it hang?"));
            }
            self.socket.set_read_timeout(Some(left)).map_err(|error| trouble(&error))?;
            match self.hear() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(trouble(&error)),
            }
        }
        // It may have ended by itself while the last was still on its way, which is then answered by a reset.
        std::thread::sleep(RESET);
        match self.socket.take_error() {
            Ok(None) => Ok(()),
            Ok(Some(error)) | Err(error) => Err(trouble(&error)),
        }
    }

    /// Takes what the other side says; whether it may say more. Errors of TLS, such as an alert, are invalid data.
    fn hear(&mut self) -> io::Result<bool> {
        let mut buffer = [0_u8; 4096];
        let mut heard = match self.socket.read(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(length) => buffer.get(..length).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
            Err(error) => return Err(error),
        };
        self.heard = self.heard.saturating_add(heard.len());
        if self.heard > MAX_HEARD {
            return Err(io::Error::other("the receiver says more than a receiver of logs has to"));
        }
        while !heard.is_empty() {
            if self.tls.read_tls(&mut heard)? == 0 {
                break;
            }
            match self.tls.process_new_packets() {
                Ok(state) => self.ended = state.peer_has_closed(),
                Err(error) => {
                    // The other side is told why.
                    let _ = self.flush(Instant::now() + WRITE);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, format!("TLS: {error}")));
                }
            }
            // A receiver has nothing to say to us; it is not kept.
            let _ = io::copy(&mut self.tls.reader().take(64 * 1024), &mut io::sink());
        }
        Ok(true)
    }

    /// Writes what is to be written, and gives up at the deadline, or where nothing is taken for as long as `WRITE`.
    fn flush(&mut self, deadline: Instant) -> Result<(), Trouble> {
        while self.tls.wants_write() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Trouble::new("the receiver takes too little in too long"));
            }
            let set = self.socket.set_write_timeout(Some(left.min(WRITE)));
            set.map_err(|error| Trouble::io("the connection", &error))?;
            match self.tls.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // It was for the deadline, and not for a pause, that no more could be written.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && left < WRITE => {}
                Err(error) => return Err(Trouble::io("the receiver takes nothing", &error)),
            }
        }
        Ok(())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Politely, as RFC 5425 section 4.4 asks, but without waiting.
        self.tls.send_close_notify();
        if self.socket.set_nonblocking(true).is_ok() {
            let _ = self.tls.write_tls(&mut self.socket);
        }
        let _ = self.socket.shutdown(Shutdown::Write);
    }
}

fn dial(place: &HostPort) -> Result<TcpStream, Trouble> {
    let unreachable = |error: &io::Error| Trouble::io("not reachable", error);
    let addresses =
        (place.host.as_str(), place.port).to_socket_addrs().map_err(|error| unreachable(&error))?;
    let mut last = Trouble::new("not reachable: its name has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(socket) => {
                socket.set_nodelay(true).map_err(|error| unreachable(&error))?;
                return Ok(socket);
            }
            Err(error) => last = unreachable(&error),
        }
    }
    Err(last)
}
