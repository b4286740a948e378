use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use stepgate_wire::read::{Authentication, BackendKeyData, ErrorFields, ParameterStatus, ReadyForQuery};
use stepgate_wire::{Cutter, MAX_SERVER_SMALL, Piece, Side};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::dial::dial;
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
    let stream = dial(config).await?;
    let login = async {
        let mut login = Login::new(stream, config);
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
        Err(UpstreamError::Version(version.chars().take(40).collect()))
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
    sslmode: SslMode,
    cutter: Cutter,
    heard: usize,
    params: Vec<(String, String)>,
    notices: Vec<Bytes>,
    key: Option<(i32, Vec<u8>)>,
}

impl Login {
    fn new(stream: Stream, config: &UpstreamConfig) -> Self {
        let cutter = Cutter::new(Side::Server, b"");
        let (params, notices) = (Vec::new(), Vec::new());
        Self { stream, sslmode: config.sslmode, cutter, heard: 0, params, notices, key: None }
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
        let (stream, params, notices) = (self.stream, self.params, self.notices);
        Ok(Upstream { stream, params, notices, pid, secret, leftover, status })
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
                let (verifier, last) =
                    exchange.answer(first, &credentials.password.get()).map_err(refused)?;
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
        Refused::Proof => "the server does not know the password: is it the right one?",
    })
}

pub(super) fn parameter(frame: &[u8]) -> Result<(String, String), UpstreamError> {
    let read = ParameterStatus::read(frame).map_err(|_| malformed())?;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| malformed());
    Ok((text(read.name)?, text(read.value)?))
}

/// An ErrorResponse of the server's, for the operator.
pub(super) fn server_error(frame: &[u8]) -> UpstreamError {
    let Ok(fields) = ErrorFields::read(frame) else { return malformed() };
    let text = |code| {
        let bytes = fields.get(code).unwrap_or_default();
        let bytes = bytes.get(..MAX_SERVER_SMALL).unwrap_or(bytes);
        stepgate_wire::plain_letters(&String::from_utf8_lossy(bytes))
    };
    let hint = fields.get(b'H').map(|_| text(b'H'));
    UpstreamError::Server { state: text(b'C'), message: text(b'M'), hint }
}
