//! Taking in a client: everything before authentication.
//!
//! The reader takes exactly the bytes of each packet from the socket and never one more. What is sent before
//! TLS stays before TLS: nothing that somebody on the wire slips in can be taken for part of the encrypted
//! session (the class of CVE-2021-23214).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use stepgate_types::SqlState;
use stepgate_wire::startup::{self, Approach, CancelKey, First, Opening, StartupError, StartupPacket};
use stepgate_wire::{Problem, reply};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;

use crate::manner::{self, Manner};
use crate::{ServerTls, Stream, peer, tls};

/// How long a client may take from connecting to the end of its startup packet.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// How long it may take to be told that it is refused.
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(5);

/// The first byte of a TLS handshake record: no startup packet begins so, since it would be far too long.
const TLS_HANDSHAKE: u8 = 0x16;

/// What a connection turned out to be.
#[derive(Debug)]
pub enum Admitted {
    /// Somebody wants a session; not authenticated yet.
    Session(Box<Client>),
    /// Somebody wants a statement cancelled. Nothing may be answered; the stream is to be shut down once the
    /// request has been dealt with. Accepted in the clear as well: libpq before 17 knows no other way.
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
    /// What its program looks like.
    pub manner: Manner,
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
    /// It was refused; the SQLSTATE it got. (The message may repeat what it sent.)
    #[error("refused: {0}")]
    Refused(SqlState),
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
    peer::prepare(&tcp)?;
    match timeout(TIME_LIMIT, negotiate(tcp, peer, tls)).await {
        Ok(admitted) => admitted,
        Err(_) => Err(AdmitError::Timeout),
    }
}

/// What may still be asked for on the way to a startup packet; each once.
struct Allowed {
    ssl: bool,
    gss: bool,
}

async fn negotiate(
    tcp: TcpStream,
    peer: SocketAddr,
    tls: Option<&ServerTls>,
) -> Result<Admitted, AdmitError> {
    let mut allowed = Allowed { ssl: true, gss: true };
    let (mut approach, mut hello) = (Approach::default(), None);
    let mut stream = match tls {
        Some(tls) if begins_with_tls(&tcp).await? => {
            allowed = Allowed { ssl: false, gss: false };
            approach.direct = true;
            let (stream, said) = direct(tcp, tls).await?;
            hello = Some(said);
            stream
        }
        _ => Stream::Plain(tcp),
    };
    loop {
        match startup::parse(&packet(&mut stream).await?) {
            Ok(First::Cancel(key)) => return Ok(Admitted::Cancel(key, stream)),
            Ok(First::Startup(packet)) => {
                let startup = manner::of_outline(&packet.outline(approach));
                return session(stream, peer, packet, Manner { startup, tls: hello }, tls).await;
            }
            Ok(First::GssEnc) if allowed.gss => {
                allowed.gss = false;
                approach.gss = true;
                send(&mut stream, b"N").await?;
            }
            Ok(First::Ssl) if allowed.ssl => {
                allowed.ssl = false;
                approach.ssl = true;
                stream = match (stream, tls) {
                    (Stream::Plain(tcp), Some(tls)) => {
                        allowed.gss = false;
                        let (stream, said) = encrypt(tcp, tls).await?;
                        hello = Some(said);
                        stream
                    }
                    (mut stream, _) => {
                        send(&mut stream, b"N").await?;
                        stream
                    }
                };
            }
            Ok(First::Ssl | First::GssEnc) => {
                return Err(AdmitError::Protocol("encryption asked for again"));
            }
            Err(error) => return Err(misread(stream, error).await),
        }
    }
}

/// Whether the client starts with TLS rather than with a packet (`sslnegotiation=direct`).
async fn begins_with_tls(tcp: &TcpStream) -> Result<bool, AdmitError> {
    let mut first = [0];
    match tcp.peek(&mut first).await? {
        0 => Err(AdmitError::Silent),
        _ => Ok(first == [TLS_HANDSHAKE]),
    }
}

async fn direct(tcp: TcpStream, tls: &ServerTls) -> Result<(Stream, String), AdmitError> {
    let (mut stream, hello) = handshake(tcp, tls).await?;
    // As PostgreSQL has it. Without ALPN, a client of another protocol could have been led here.
    if !matches!(&stream, Stream::Tls(it) if it.get_ref().1.alpn_protocol() == Some(tls::ALPN)) {
        stream.shutdown().await?;
        return Err(AdmitError::Protocol("direct TLS without ALPN"));
    }
    Ok((stream, hello))
}

/// Answers an SSLRequest with TLS.
async fn encrypt(mut tcp: TcpStream, tls: &ServerTls) -> Result<(Stream, String), AdmitError> {
    // An honest client waits for the answer. What is here already was sent in the clear, by whomever.
    if has_unread_bytes(&tcp).await {
        return Err(AdmitError::Protocol("received unencrypted data after SSL request"));
    }
    tcp.write_all(b"S").await?;
    handshake(tcp, tls).await
}

/// TLS, and the fingerprint of the client's part in it.
async fn handshake(tcp: TcpStream, tls: &ServerTls) -> Result<(Stream, String), AdmitError> {
    let begun = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), tcp).await?;
    let hello = manner::of_hello(&begun.client_hello());
    let stream = begun.into_stream(tls.config.clone()).await?;
    let hello = hello.agreed(stream.get_ref().1.protocol_version());
    Ok((Stream::Tls(Box::new(stream.into())), hello))
}

/// Whether bytes (or the end of the stream) wait to be read at this moment.
async fn has_unread_bytes(tcp: &TcpStream) -> bool {
    timeout(Duration::ZERO, tcp.peek(&mut [0])).await.is_ok()
}

/// Exactly one packet, and not a byte beyond it.
async fn packet(stream: &mut Stream) -> Result<Vec<u8>, AdmitError> {
    let mut word = [0; 4];
    let begun = stream.read(&mut word).await?;
    if begun == 0 {
        return Err(AdmitError::Silent);
    }
    stream.read_exact(word.get_mut(begun..).unwrap_or_default()).await?;
    let len = startup::packet_len(word)?;
    let mut packet = vec![0; len];
    let (head, body) = packet.split_first_chunk_mut().ok_or(StartupError::Length)?;
    *head = word;
    stream.read_exact(body).await?;
    Ok(packet)
}

async fn session(
    mut stream: Stream,
    peer: SocketAddr,
    packet: StartupPacket,
    manner: Manner,
    tls: Option<&ServerTls>,
) -> Result<Admitted, AdmitError> {
    if !stream.is_secure() && !peer::address(peer).is_loopback() {
        return Err(refuse(stream, unencrypted(tls.is_some())).await);
    }
    let opening = match Opening::judge(packet) {
        Ok(opening) => opening,
        Err(problem) => return Err(refuse(stream, problem).await),
    };
    if let Some(unsupported) = &opening.negotiate {
        send(&mut stream, &reply::negotiate_protocol_version(opening.minor, unsupported)).await?;
    }
    Ok(Admitted::Session(Box::new(Client { stream, peer, opening, manner })))
}

fn unencrypted(tls: bool) -> Problem {
    let problem = Problem::fatal(
        SqlState::INVALID_AUTHORIZATION,
        "connections from other machines must be encrypted, and this one is not",
    );
    problem.with_hint(if tls {
        "Connect with sslmode=verify-full (or at least sslmode=require)."
    } else {
        "The gate has no certificate yet: set tls.cert and tls.key in its configuration."
    })
}

/// Answers a packet that cannot be read, where the sender may be a PostgreSQL client at all.
async fn misread(stream: Stream, error: StartupError) -> AdmitError {
    let problem = match error {
        // Somebody who speaks another protocol, such as HTTP; PostgreSQL is silent here as well.
        StartupError::Length => return error.into(),
        StartupError::Version { .. } => Problem::fatal(SqlState::FEATURE_NOT_SUPPORTED, error.to_string()),
        StartupError::NotUtf8(_) => Problem::fatal(SqlState::CHARACTER_NOT_IN_REPERTOIRE, error.to_string())
            .with_hint("Names and settings are read as UTF-8 until a session is open: send them so."),
        StartupError::Layout => Problem::fatal(SqlState::PROTOCOL_VIOLATION, error.to_string()),
        StartupError::Duplicate => Problem::fatal(SqlState::PROTOCOL_VIOLATION, error.to_string()).with_hint(
            "Send each parameter once: PostgreSQL takes the last, and not every program between does.",
        ),
    };
    refuse(stream, problem).await
}

/// Says why, and ends the connection.
async fn refuse(mut stream: Stream, problem: Problem) -> AdmitError {
    let last_words = async {
        stream.write_all(&problem.fatal_bytes()).await?;
        stream.shutdown().await
    };
    // It is refused already; that it cannot be told does not change why.
    let _ = timeout(LAST_WORDS_LIMIT, last_words).await;
    AdmitError::Refused(problem.state)
}

async fn send(stream: &mut Stream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}
