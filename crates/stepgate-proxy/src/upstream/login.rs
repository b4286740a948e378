use std::net::SocketAddr;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use stepgate_wire::read::{Authentication, BackendKeyData, ErrorFields, ParameterStatus, ReadyForQuery};
use stepgate_wire::{Cutter, MAX_SERVER_SMALL, Piece, Side};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::dial::{dial, dial_at};
use super::{Credentials, SslMode, Upstream, UpstreamConfig, UpstreamError};
use crate::scram::{self, Binding, Exchange, ExpectVerifier, Refused, SCRAM_PLUS};
use crate::{Stream, digest};

/// How long the server may take from the startup packet to its first ReadyForQuery: PostgreSQL's
/// `authentication_timeout`.
const LOGIN_LIMIT: Duration = Duration::from_secs(60);
/// The most bytes that the server may say until then, before the gate gives up: some thirty parameters and a few
/// notices take 3 kB.
const MAX_LOGIN: usize = 1 << 20;
/// The major versions that are tested.
const TESTED: std::ops::RangeInclusive<u32> = 13..=18;
/// Protocol 3.0: what all of them speak.
const PROTOCOL: i32 = 3 << 16;

/// Connects and authenticates, with these settings for the session.
///
/// # Errors
/// See [`UpstreamError`].
pub async fn connect(
    config: &UpstreamConfig,
    credentials: &Credentials,
    settings: &[(String, String)],
) -> Result<Upstream, UpstreamError> {
    log_in(config, credentials, settings, dial(config).await?).await
}

/// The same at the one address that a session is connected to.
///
/// # Errors
/// See [`UpstreamError`].
pub(crate) async fn connect_at(
    config: &UpstreamConfig,
    credentials: &Credentials,
    settings: &[(String, String)],
    address: SocketAddr,
) -> Result<Upstream, UpstreamError> {
    log_in(config, credentials, settings, (dial_at(config, address).await?, address)).await
}

async fn log_in(
    config: &UpstreamConfig,
    credentials: &Credentials,
    settings: &[(String, String)],
    (stream, address): (Stream, SocketAddr),
) -> Result<Upstream, UpstreamError> {
    let login = async {
        let mut login = Login::new(stream, address, config);
        login.send(&startup_packet(config, credentials, settings)).await?;
        login.run(credentials).await
    };
    let upstream =
        timeout(LOGIN_LIMIT, login).await.map_err(|_| UpstreamError::Timeout(LOGIN_LIMIT.as_secs()))??;
    check_version(&upstream, config.allow_untested)?;
    Ok(upstream)
}

fn startup_packet(
    config: &UpstreamConfig,
    credentials: &Credentials,
    settings: &[(String, String)],
) -> BytesMut {
    let own = [("user", credentials.user.as_str()), ("database", config.dbname.as_str())];
    let asked = settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut body = BytesMut::new();
    body.put_i32(PROTOCOL);
    for (name, value) in own.into_iter().chain(asked) {
        body.put_slice(name.as_bytes());
        body.put_u8(0);
        body.put_slice(value.as_bytes());
        body.put_u8(0);
    }
    body.put_u8(0);
    let mut packet = BytesMut::with_capacity(body.len().saturating_add(4));
    packet.put_u32(u32::try_from(body.len().saturating_add(4)).unwrap_or(u32::MAX));
    packet.put_slice(&body);
    packet
}

fn check_version(upstream: &Upstream, allow_untested: bool) -> Result<(), UpstreamError> {
    let version = upstream.param("server_version").unwrap_or("unknown");
    let digits = version.split(|letter: char| !letter.is_ascii_digit()).next();
    let tested = digits.and_then(|digits| digits.parse().ok()).is_some_and(|major| TESTED.contains(&major));
    if tested || allow_untested {
        Ok(())
    } else {
        Err(UpstreamError::Version(version.chars().filter(|it| !it.is_control()).take(40).collect()))
    }
}

/// Where authentication stands.
enum Stage {
    Begun,
    /// SCRAM: the server's first message is expected.
    First(Exchange),
    /// SCRAM: the server's proof is expected.
    Proof(ExpectVerifier),
    /// What was needed was given and, with SCRAM, the server has proved itself.
    Proven,
    /// AuthenticationOk.
    Done,
}

struct Login {
    stream: Stream,
    address: SocketAddr,
    sslmode: SslMode,
    cutter: Cutter,
    heard: usize,
    params: Vec<(Bytes, Bytes)>,
    notices: Vec<Bytes>,
    key: Option<(i32, Vec<u8>)>,
}

impl Login {
    fn new(stream: Stream, address: SocketAddr, config: &UpstreamConfig) -> Self {
        let cutter = Cutter::new(Side::Server, b"");
        let (params, notices) = (Vec::new(), Vec::new());
        Self { stream, address, sslmode: config.sslmode, cutter, heard: 0, params, notices, key: None }
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), UpstreamError> {
        self.stream.write_all(bytes).await?;
        Ok(self.stream.flush().await?)
    }

    /// The next frame.
    async fn receive(&mut self) -> Result<(u8, Bytes), UpstreamError> {
        loop {
            match self.cutter.next().map_err(|_| UpstreamError::Protocol("unreadable message"))? {
                Some(Piece::Whole { tag, bytes }) => return Ok((tag, bytes)),
                Some(Piece::Part { .. } | Piece::Dropped { .. }) => {
                    return Err(UpstreamError::Protocol("unexpected message"));
                }
                None => {}
            }
            let read = self.stream.read_buf(self.cutter.buffer()).await?;
            self.heard = self.heard.saturating_add(read);
            if read == 0 {
                return Err(UpstreamError::Protocol("the server closed the connection"));
            }
            if self.heard > MAX_LOGIN {
                return Err(UpstreamError::TooLarge(MAX_LOGIN));
            }
        }
    }

    async fn run(mut self, credentials: &Credentials) -> Result<Upstream, UpstreamError> {
        let mut stage = Stage::Begun;
        loop {
            let (tag, frame) = self.receive().await?;
            match tag {
                b'R' => stage = self.authenticate(stage, &frame, credentials).await?,
                b'E' => return Err(server_error(&frame)),
                // For whoever opens the session; what comes before is about the gate's own credentials. At most MAX_LOGIN.
                b'N' if matches!(stage, Stage::Done) => self.notices.push(frame),
                b'N' => {}
                b'S' if matches!(stage, Stage::Done) => self.params.push(parameter(&frame)?),
                b'K' if matches!(stage, Stage::Done) => {
                    let key = BackendKeyData::read(&frame).map_err(|_| malformed())?;
                    self.key = Some((key.pid, key.secret.to_vec()));
                }
                b'Z' if matches!(stage, Stage::Done) => return self.ready(&frame),
                _ => return Err(UpstreamError::Protocol("unexpected message")),
            }
        }
    }

    fn ready(mut self, frame: &[u8]) -> Result<Upstream, UpstreamError> {
        let status = ReadyForQuery::read(frame).map_err(|_| malformed())?.status;
        let (pid, secret) = self.key.ok_or(UpstreamError::Protocol("no cancel key"))?;
        let leftover = std::mem::take(self.cutter.buffer());
        let (stream, address, params, notices) = (self.stream, self.address, self.params, self.notices);
        Ok(Upstream { stream, address, params, notices, pid, secret, leftover, status })
    }

    async fn authenticate(
        &mut self,
        stage: Stage,
        frame: &[u8],
        credentials: &Credentials,
    ) -> Result<Stage, UpstreamError> {
        let asked = Authentication::read(frame).map_err(|_| malformed())?;
        match (stage, asked) {
            (Stage::Begun | Stage::Proven, Authentication::Ok) => Ok(Stage::Done),
            (Stage::Begun, Authentication::Sasl(mechanisms)) => self.begin_scram(&mechanisms).await,
            (Stage::First(exchange), Authentication::SaslContinue(first)) => {
                let answer = exchange.answer_aside(first, credentials.password.get());
                let (verifier, last) = answer.await.map_err(refused)?;
                self.send(&password_frame(&[&last])).await?;
                Ok(Stage::Proof(verifier))
            }
            (Stage::Proof(verifier), Authentication::SaslFinal(last)) => {
                verifier.check(last).map_err(refused)?;
                Ok(Stage::Proven)
            }
            (Stage::Begun, Authentication::Cleartext) => self.cleartext(credentials).await,
            (Stage::Begun, Authentication::Md5) => Err(UpstreamError::Auth(
                "the server wants an MD5 password, which is not safe to give; set password_encryption to \
                 scram-sha-256, the role's password anew, and pg_hba.conf to scram-sha-256",
            )),
            (Stage::Begun, Authentication::Other(_)) => Err(UpstreamError::Auth(
                "the server wants a method other than a password; set pg_hba.conf to scram-sha-256 for the gate",
            )),
            _ => Err(UpstreamError::Protocol("authentication out of order")),
        }
    }

    async fn begin_scram(&mut self, mechanisms: &[&[u8]]) -> Result<Stage, UpstreamError> {
        let offered = |name: &str| mechanisms.contains(&name.as_bytes());
        let end_point = self.end_point();
        let binding = match &end_point {
            None => Binding::None,
            Some(hash) if offered(SCRAM_PLUS) => Binding::EndPoint(hash),
            Some(_) => Binding::NotOffered,
        };
        let (exchange, first) = Exchange::begin(binding, scram::nonce()?);
        if !offered(exchange.mechanism()) {
            return Err(UpstreamError::Auth("the server offers no SCRAM-SHA-256"));
        }
        let len = u32::try_from(first.len()).unwrap_or(u32::MAX).to_be_bytes();
        self.send(&password_frame(&[exchange.mechanism().as_bytes(), &[0], &len, &first])).await?;
        Ok(Stage::First(exchange))
    }

    /// The hash of the server's certificate, where it is defined.
    fn end_point(&self) -> Option<Vec<u8>> {
        self.stream.peer_certificate().and_then(digest::end_point)
    }

    /// Gives the password itself, only to a server that has shown whose it is.
    async fn cleartext(&mut self, credentials: &Credentials) -> Result<Stage, UpstreamError> {
        if self.sslmode != SslMode::VerifyFull || !self.stream.is_secure() {
            return Err(UpstreamError::Auth(
                "the server wants the password in the clear, which is given with sslmode: verify-full only",
            ));
        }
        let password = credentials.password.get();
        self.send(&password_frame(&[password.as_bytes(), &[0]])).await?;
        Ok(Stage::Proven)
    }
}

fn password_frame(parts: &[&[u8]]) -> BytesMut {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let mut frame = BytesMut::with_capacity(len.saturating_add(5));
    frame.put_u8(b'p');
    frame.put_u32(u32::try_from(len.saturating_add(4)).unwrap_or(u32::MAX));
    parts.iter().for_each(|part| frame.put_slice(part));
    frame
}

const fn malformed() -> UpstreamError {
    UpstreamError::Protocol("malformed message")
}

const fn refused(why: Refused) -> UpstreamError {
    UpstreamError::Auth(match why {
        Refused::Malformed(what) => what,
        Refused::Mechanism | Refused::Unbound(_) => "the server and the gate do not agree on channel binding",
        Refused::Proof => "the server does not know the password: is it the right one?",
    })
}

/// A ParameterStatus, as it came.
pub(super) fn parameter(frame: &[u8]) -> Result<(Bytes, Bytes), UpstreamError> {
    let ParameterStatus { name, value } = ParameterStatus::read(frame).map_err(|_| malformed())?;
    Ok((Bytes::copy_from_slice(name), Bytes::copy_from_slice(value)))
}

/// An ErrorResponse of the server's, for the operator.
pub(super) fn server_error(frame: &[u8]) -> UpstreamError {
    let Ok(fields) = ErrorFields::read(frame) else { return malformed() };
    let text = |code| {
        let bytes = fields.get(code).unwrap_or_default();
        let bytes = bytes.get(..MAX_SERVER_SMALL).unwrap_or(bytes);
        stepgate_wire::plain_letters(&String::from_utf8_lossy(bytes))
    };
    let [detail, hint] = [b'D', b'H'].map(|code| fields.get(code).map(|_| text(code)));
    // Which is in each line of the log about it: five letters and digits, whatever else may come in their place.
    let state = text(b'C').chars().filter(char::is_ascii_alphanumeric).take(5).collect();
    UpstreamError::Server { state, message: text(b'M'), detail, hint }
}

#[cfg(test)]
mod tests {
    use stepgate_wire::reply;

    use super::*;

    #[test]
    fn a_roles_name_in_the_clients_encoding_is_no_breach_of_the_protocol() {
        let latin1 = b"S\0\0\0\x1fsession_authorization\0ren\xe9\0";
        let (name, value) = parameter(latin1).unwrap();
        assert_eq!((&name[..], &value[..]), (&b"session_authorization"[..], &b"ren\xe9"[..]));
        assert_eq!(reply::parameter_status(&name, &value), &latin1[..]);
    }

    #[test]
    fn what_a_server_gives_for_a_sqlstate_is_no_line_of_the_log() {
        let fields = b"SFATAL\0C28\nWARN 000\0Mno\0DSee the log.\0\0";
        let length = u32::try_from(fields.len() + 4).unwrap().to_be_bytes();
        let UpstreamError::Server { state, detail, .. } =
            server_error(&[&b"E"[..], &length, fields].concat())
        else {
            panic!("an error of the server's")
        };
        assert_eq!((state.as_str(), detail.as_deref()), ("28WAR", Some("See the log.")));
    }
}
