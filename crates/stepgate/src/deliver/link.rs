//! A TLS connection of which it is known how much the other end has read.
//!
//! Syslog acknowledges nothing (RFC 5425 section 4.4 warns of what is lost in buffers). But TLS 1.3 does: who is sent a
//! KeyUpdate that asks for one must answer it (RFC 8446 section 4.6.3), and comes to it only after all that was sent
//! before. OpenSSL, Go and Java answer as they read; GnuTLS and rustls when they next send, which a receiver of logs
//! never does. An answer is told by its length: receivers send nothing else of that length.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ProtocolVersion};

use super::trouble::Trouble;
use crate::config::HostPort;

/// How long connecting may take at each address, the handshake in all, and a write without any progress.
const CONNECT: Duration = Duration::from_secs(10);
const HANDSHAKE: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 20 });
const WRITE: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 10 });

/// Bytes of a KeyUpdate as a record without its header: type, length, one byte (RFC 8446 section 4.6.3), the type of
/// what is encrypted, and the tag.
const KEY_UPDATE: usize = 4 + 1 + 1 + 16;

/// An open connection.
pub(super) struct Link {
    tls: ClientConnection,
    socket: TcpStream,
    records: Records,
}

impl Link {
    /// Connects and checks who answers.
    pub(super) fn connect(place: &HostPort, config: Arc<ClientConfig>) -> Result<Self, Trouble> {
        let name = ServerName::try_from(place.host.clone())
            .map_err(|_| Trouble::new("its host is no name that a certificate can be for"))?;
        let socket = dial(place)?;
        let tls = ClientConnection::new(config, name)
            .map_err(|error| Trouble::new(format!("TLS cannot be set up: {error}")))?;
        let mut link = Self { tls, socket, records: Records::default() };
        link.handshake()?;
        Ok(link)
    }

    /// A receiver that trickles must not keep us for ever.
    fn handshake(&mut self) -> Result<(), Trouble> {
        let deadline = Instant::now() + HANDSHAKE;
        while self.tls.is_handshaking() {
            self.flush()?;
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Trouble::new("the TLS handshake takes too long"));
            }
            let trouble = |error: &io::Error| Trouble::io("the TLS handshake", error);
            self.socket.set_read_timeout(Some(left)).map_err(|error| trouble(&error))?;
            if !self.tls.wants_read() {
                continue;
            }
            let mut buffer = [0_u8; 4096];
            match self.socket.read(&mut buffer) {
                Ok(0) => return Err(Trouble::new("closed during the TLS handshake")),
                Ok(length) => self.take(buffer.get(..length).unwrap_or_default())?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(trouble(&error)),
            };
        }
        self.flush()
    }

    /// Sends; returns when the system has taken all of it.
    pub(super) fn send(&mut self, mut bytes: &[u8]) -> Result<(), Trouble> {
        while !bytes.is_empty() {
            let taken = self.tls.writer().write(bytes).map_err(|error| Trouble::io("TLS", &error))?;
            bytes = bytes.get(taken..).unwrap_or_default();
            self.flush()?;
        }
        Ok(())
    }

    /// Asks the other end to say that it has read all so far; false where it cannot.
    pub(super) fn ping(&mut self) -> Result<bool, Trouble> {
        if self.tls.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
            return Ok(false);
        }
        self.tls.refresh_traffic_keys().map_err(|error| Trouble::new(format!("TLS: {error}")))?;
        self.flush()?;
        Ok(true)
    }

    /// How many answers have come, without waiting for one. An error where the other end has gone.
    pub(super) fn answers(&mut self) -> Result<u64, Trouble> {
        let trouble = |error: &io::Error| Trouble::io("the connection", error);
        self.socket.set_nonblocking(true).map_err(|error| trouble(&error))?;
        let heard = self.hear();
        self.socket.set_nonblocking(false).map_err(|error| trouble(&error))?;
        let answers = heard?;
        self.flush()?;
        Ok(answers)
    }

    fn hear(&mut self) -> Result<u64, Trouble> {
        let mut answers = 0_u64;
        let mut buffer = [0_u8; 4096];
        loop {
            let heard: &[u8] = match self.socket.read(&mut buffer) {
                Ok(0) => return Err(Trouble::new("the receiver has closed the connection")),
                Ok(length) => buffer.get(..length).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(answers),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Trouble::io("the connection", &error)),
            };
            answers = answers.saturating_add(self.take(heard)?);
        }
    }

    /// Hands on what the other end has sent; how many answers are in it.
    fn take(&mut self, heard: &[u8]) -> Result<u64, Trouble> {
        let mut rest = heard;
        while !rest.is_empty() {
            self.tls.read_tls(&mut rest).map_err(|error| Trouble::io("TLS", &error))?;
            let state = match self.tls.process_new_packets() {
                Ok(state) => state,
                Err(error) => {
                    // The other end is told why.
                    let _ = self.flush();
                    return Err(Trouble::new(format!("TLS: {error}")));
                }
            };
            if state.peer_has_closed() {
                return Err(Trouble::new("the receiver has closed the connection"));
            }
            // A receiver has nothing to say to us; it is not kept.
            let _ = io::copy(&mut self.tls.reader().take(64 * 1024), &mut io::sink());
        }
        Ok(self.records.count(heard))
    }

    fn flush(&mut self) -> Result<(), Trouble> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
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
                let set = socket.set_write_timeout(Some(WRITE)).and_then(|()| socket.set_nodelay(true));
                set.map_err(|error| unreachable(&error))?;
                return Ok(socket);
            }
            Err(error) => last = unreachable(&error),
        }
    }
    Err(last)
}

/// Counts the records in a stream that can only be a KeyUpdate.
#[derive(Default)]
struct Records {
    header: Vec<u8>,
    /// Bytes of the record that is being passed over.
    skip: usize,
}

impl Records {
    fn count(&mut self, mut bytes: &[u8]) -> u64 {
        let mut found = 0_u64;
        while !bytes.is_empty() {
            let passed = self.skip.min(bytes.len());
            self.skip -= passed;
            bytes = bytes.get(passed..).unwrap_or_default();
            let Some((byte, rest)) = bytes.split_first() else { break };
            self.header.push(*byte);
            bytes = rest;
            if let [kind, _, _, high, low] = self.header[..] {
                self.skip = usize::from(u16::from_be_bytes([high, low]));
                // 23: encrypted, whatever it is.
                found += u64::from(kind == 23 && self.skip == KEY_UPDATE);
                self.header.clear();
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_found_however_the_stream_is_cut() {
        let mut stream = Vec::new();
        for (kind, length) in [(22_u8, 22_u8), (23, 22), (23, 200), (23, 19), (23, 22), (21, 22), (23, 22)] {
            stream.extend([kind, 3, 3, 0, length]);
            stream.extend(vec![23; usize::from(length)]);
        }
        for piece in 1..stream.len() {
            let mut records = Records::default();
            let found: u64 = stream.chunks(piece).map(|chunk| records.count(chunk)).sum();
            assert_eq!(found, 3, "in pieces of {piece}");
        }
    }
}
