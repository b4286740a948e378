//! Messages that the gate makes up itself, built through pgwire's message types.

use bytes::{BufMut as _, Bytes, BytesMut};
use pgwire::messages::Message;
use pgwire::messages::response::{ErrorResponse, NoticeResponse, ReadyForQuery, TransactionStatus};
use pgwire::messages::startup::{Authentication, BackendKeyData, NegotiateProtocolVersion, SecretKey};

use crate::{HEADER, Problem, Severity, plain_ascii, plain_letters};

/// Encodes a message that cannot fail to encode: all texts are free of NUL by then.
fn encode(message: &impl Message) -> Bytes {
    let mut buffer = BytesMut::with_capacity(message.message_length().saturating_add(1));
    match message.encode(&mut buffer) {
        Ok(()) => buffer.freeze(),
        // pgwire's encoders fail only for messages without an encoding; none of ours is one.
        Err(_) => Bytes::new(),
    }
}

/// The fields of an ErrorResponse or NoticeResponse, as documented in "Error and Notice Message Fields".
fn fields(problem: &Problem, severity: Severity) -> Vec<(u8, String)> {
    let mut fields = vec![
        (b'S', severity.as_str().to_owned()),
        (b'V', severity.as_str().to_owned()),
        (b'C', problem.state.as_str().to_owned()),
        (b'M', problem.primary()),
    ];
    let plain = if problem.bare { plain_letters } else { plain_ascii };
    fields.extend(problem.detail.as_deref().map(|detail| (b'D', plain(detail))));
    fields.extend(problem.hint.as_deref().map(|hint| (b'H', plain(hint))));
    fields
}

/// An ErrorResponse.
#[must_use]
pub fn error_response(problem: &Problem, severity: Severity) -> Bytes {
    encode(&ErrorResponse::new(fields(problem, severity)))
}

/// A NoticeResponse.
#[must_use]
pub fn notice_response(problem: &Problem, severity: Severity) -> Bytes {
    encode(&NoticeResponse::new(fields(problem, severity)))
}

/// A ParameterStatus. Name and value must be what the server reported: they are sent as they are, since a
/// driver believes them, and are in its encoding, which need not be UTF-8.
#[must_use]
pub fn parameter_status(name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Bytes {
    let mut body = BytesMut::new();
    for text in [name.as_ref(), value.as_ref()] {
        body.extend(text.iter().filter(|byte| **byte != 0));
        body.put_u8(0);
    }
    let mut frame = BytesMut::with_capacity(body.len().saturating_add(HEADER));
    frame.put_u8(b'S');
    frame.put_u32(u32::try_from(body.len().saturating_add(4)).unwrap_or(u32::MAX));
    frame.put_slice(&body);
    frame.freeze()
}

/// A ReadyForQuery with this transaction status byte (`I`, `T`, `E`); anything else counts as `E`.
#[must_use]
pub fn ready_for_query(status: u8) -> Bytes {
    encode(&ReadyForQuery::new(TransactionStatus::try_from(status).unwrap_or(TransactionStatus::Error)))
}

/// AuthenticationOk.
#[must_use]
pub fn authentication_ok() -> Bytes {
    encode(&Authentication::Ok)
}

/// AuthenticationSASL: the mechanisms on offer.
#[must_use]
pub fn authentication_sasl(mechanisms: &[&str]) -> Bytes {
    encode(&Authentication::SASL(mechanisms.iter().map(|&name| name.to_owned()).collect()))
}

/// AuthenticationSASLContinue.
#[must_use]
pub fn authentication_sasl_continue(data: &[u8]) -> Bytes {
    encode(&Authentication::SASLContinue(Bytes::copy_from_slice(data)))
}

/// AuthenticationSASLFinal.
#[must_use]
pub fn authentication_sasl_final(data: &[u8]) -> Bytes {
    encode(&Authentication::SASLFinal(Bytes::copy_from_slice(data)))
}

/// A BackendKeyData: process id and the secret that a CancelRequest must repeat (4 bytes in protocol 3.0, up to
/// 256 in 3.2).
#[must_use]
pub fn backend_key_data(pid: i32, secret: &[u8]) -> Bytes {
    let key = match <[u8; 4]>::try_from(secret) {
        Ok(word) => SecretKey::I32(i32::from_be_bytes(word)),
        Err(_) => SecretKey::Bytes(Bytes::copy_from_slice(secret)),
    };
    encode(&BackendKeyData::new(pid, key))
}

/// A NegotiateProtocolVersion: the newest minor version spoken here, and the `_pq_.` options that are not known.
///
/// The documentation says "minor version", PostgreSQL and libpq mean the whole version number
/// (`SendNegotiateProtocolVersion` in `backend_startup.c`, `pqGetNegotiateProtocolVersion3` in `fe-protocol3.c`).
#[must_use]
pub fn negotiate_protocol_version(newest_minor: u16, unsupported: &[String]) -> Bytes {
    let unsupported = unsupported.iter().map(|name| plain_ascii(name)).collect();
    encode(&NegotiateProtocolVersion::new(3 << 16 | i32::from(newest_minor), unsupported))
}
