//! What servers send.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};

use super::ReadError;
use super::body::Body;

/// The fields of an ErrorResponse or NoticeResponse, in their order, each a code and its bytes.
///
/// [`ErrorFields::encode`] gives back the very bytes that were read unless a field was changed.
#[derive(Clone, PartialEq, Eq)]
pub struct ErrorFields<'a> {
    tag: u8,
    fields: Vec<(u8, Cow<'a, [u8]>)>,
}

impl<'a> ErrorFields<'a> {
    /// Reads a whole ErrorResponse (`E`) or NoticeResponse (`N`).
    ///
    /// # Errors
    /// It is not exactly one of them.
    pub fn read(frame: &'a [u8]) -> Result<Self, ReadError> {
        let tag = if frame.first() == Some(&b'N') { b'N' } else { b'E' };
        let mut body = Body::of(frame, tag, "ErrorResponse")?;
        let mut fields = Vec::new();
        loop {
            match body.u8()? {
                0 => break,
                code => fields.push((code, Cow::Borrowed(body.cstring()?))),
            }
        }
        body.end()?;
        Ok(Self { tag, fields })
    }

    /// What can be read of one of which only the beginning was kept: the fields that are there in whole.
    #[must_use]
    pub fn begun(frame: &'a [u8]) -> Self {
        let tag = if frame.first() == Some(&b'N') { b'N' } else { b'E' };
        let mut rest = frame.get(crate::HEADER..).unwrap_or_default();
        let mut fields = Vec::new();
        while let Some((code, value)) = rest.split_first()
            && *code != 0
            && let Some(end) = value.iter().position(|byte| *byte == 0)
            && let Some((value, behind)) = value.split_at_checked(end)
        {
            fields.push((*code, Cow::Borrowed(value)));
            rest = behind.get(1..).unwrap_or_default();
        }
        Self { tag, fields }
    }

    /// The field of this code, for example `b'C'` for the SQLSTATE.
    #[must_use]
    pub fn get(&self, code: u8) -> Option<&[u8]> {
        self.fields.iter().find(|(known, _)| *known == code).map(|(_, value)| value.as_ref())
    }

    /// The SQLSTATE, if it is text at all.
    #[must_use]
    pub fn sqlstate(&self) -> Option<&str> {
        self.get(b'C').and_then(|state| std::str::from_utf8(state).ok())
    }

    /// Whether the session ends with this message (severity FATAL or PANIC).
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        matches!(self.get(b'V').or_else(|| self.get(b'S')), Some(b"FATAL" | b"PANIC"))
    }

    /// Whether any field contains `needle`, which must not be empty.
    #[must_use]
    pub fn contains(&self, needle: &[u8]) -> bool {
        !needle.is_empty()
            && self.fields.iter().any(|(_, value)| value.windows(needle.len()).any(|window| window == needle))
    }

    /// Sets the field of this code in its place, or adds it at the end. A NUL ends the value.
    pub fn set(&mut self, code: u8, value: impl Into<Vec<u8>>) {
        let mut value = value.into();
        if let Some(end) = value.iter().position(|byte| *byte == 0) {
            value.truncate(end);
        }
        match self.fields.iter_mut().find(|(known, _)| *known == code) {
            Some((_, place)) => *place = Cow::Owned(value),
            None => self.fields.push((code, Cow::Owned(value))),
        }
    }

    /// Drops the fields of this code.
    pub fn remove(&mut self, code: u8) {
        self.fields.retain(|(known, _)| *known != code);
    }

    /// The codes that are there, in order.
    pub fn codes(&self) -> impl Iterator<Item = u8> + '_ {
        self.fields.iter().map(|(code, _)| *code)
    }

    /// The message as a frame.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let body: usize = self.fields.iter().map(|(_, value)| value.len().saturating_add(2)).sum();
        let len = body.saturating_add(5);
        let mut frame = BytesMut::with_capacity(len.saturating_add(1));
        frame.put_u8(self.tag);
        frame.put_u32(u32::try_from(len).unwrap_or(u32::MAX));
        for (code, value) in &self.fields {
            frame.put_u8(*code);
            frame.put_slice(value);
            frame.put_u8(0);
        }
        frame.put_u8(0);
        frame.freeze()
    }
}

/// CommandComplete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandComplete<'a> {
    /// The command tag, for example `SELECT 5`.
    pub tag: &'a [u8],
}

impl<'a> CommandComplete<'a> {
    /// Reads a whole frame.
    ///
    /// # Errors
    /// It is not exactly one CommandComplete.
    pub fn read(frame: &'a [u8]) -> Result<Self, ReadError> {
        let mut body = Body::of(frame, b'C', "CommandComplete")?;
        let tag = body.cstring()?;
        body.end()?;
        Ok(Self { tag })
    }

    /// The number of rows that the tag ends with, if it does.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        let last = self.tag.rsplit(|byte| *byte == b' ').next()?;
        std::str::from_utf8(last).ok()?.parse().ok()
    }
}

/// ReadyForQuery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadyForQuery {
    /// `I` idle, `T` in a transaction, `E` in a failed one.
    pub status: u8,
}

impl ReadyForQuery {
    /// Reads a whole frame.
    ///
    /// # Errors
    /// It is not exactly one ReadyForQuery with a known status.
    pub fn read(frame: &[u8]) -> Result<Self, ReadError> {
        let mut body = Body::of(frame, b'Z', "ReadyForQuery")?;
        let status = body.u8()?;
        if !matches!(status, b'I' | b'T' | b'E') {
            return Err(body.error());
        }
        body.end()?;
        Ok(Self { status })
    }
}

/// ParameterStatus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParameterStatus<'a> {
    /// The setting's name.
    pub name: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
}

impl<'a> ParameterStatus<'a> {
    /// Reads a whole frame.
    ///
    /// # Errors
    /// It is not exactly one ParameterStatus.
    pub fn read(frame: &'a [u8]) -> Result<Self, ReadError> {
        let mut body = Body::of(frame, b'S', "ParameterStatus")?;
        let read = Self { name: body.cstring()?, value: body.cstring()? };
        body.end()?;
        Ok(read)
    }
}

/// One column of a RowDescription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowField<'a> {
    /// The column's name in the result.
    pub name: &'a [u8],
    /// The table it is a column of (OID), or 0.
    pub table: u32,
    /// Its attribute number there, or 0.
    pub attribute: i16,
    /// Its type (OID).
    pub type_oid: u32,
    /// `pg_type.typlen`.
    pub type_len: i16,
    /// `pg_attribute.atttypmod`.
    pub type_modifier: i32,
    /// 0 text, 1 binary.
    pub format: i16,
}

/// RowDescription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowDescription<'a> {
    /// The columns.
    pub fields: Vec<RowField<'a>>,
}

impl<'a> RowDescription<'a> {
    /// Reads a whole frame.
    ///
    /// # Errors
    /// It is not exactly one RowDescription.
    pub fn read(frame: &'a [u8]) -> Result<Self, ReadError> {
        let mut body = Body::of(frame, b'T', "RowDescription")?;
        let fields = body.list(19, |body| {
            Ok(RowField {
                name: body.cstring()?,
                table: body.u32()?,
                attribute: body.i16()?,
                type_oid: body.u32()?,
                type_len: body.i16()?,
                type_modifier: body.i32()?,
                format: body.i16()?,
            })
        })?;
        body.end()?;
        Ok(Self { fields })
    }
}

/// DataRow. The gate's own queries are read so; rows for clients pass unread, but for those whose keys are tracked.
#[derive(Clone, PartialEq, Eq)]
pub struct DataRow<'a> {
    /// The values; `None` is NULL.
    pub values: Vec<Option<&'a [u8]>>,
}

impl<'a> DataRow<'a> {
    /// Reads a whole frame.
    ///
    /// # Errors
    /// It is not exactly one DataRow.
    pub fn read(frame: &'a [u8]) -> Result<Self, ReadError> {
        let mut body = Body::of(frame, b'D', "DataRow")?;
        let values = body.list(4, Body::value)?;
        body.end()?;
        Ok(Self { values })
    }
}

/// BackendKeyData: what a CancelRequest must repeat.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BackendKeyData<'a> {
    /// The server's process id.
    pub pid: i32,
    /// 4 bytes, in protocol 3.2 up to 256.
    pub secret: &'a [u8],
}

impl<'a> BackendKeyData<'a> {
    /// Reads a whole frame.
    ///
    /// # Errors
    /// It is not exactly one BackendKeyData with a secret of 4 to 256 bytes.
    pub fn read(frame: &'a [u8]) -> Result<Self, ReadError> {
        let mut body = Body::of(frame, b'K', "BackendKeyData")?;
        let read = Self { pid: body.i32()?, secret: body.remaining() };
        if (4..=256).contains(&read.secret.len()) { Ok(read) } else { Err(body.error()) }
    }
}

/// NegotiateProtocolVersion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NegotiateProtocolVersion {
    /// The version number as sent.
    pub version: i32,
}

impl NegotiateProtocolVersion {
    /// Reads a whole frame.
    ///
    /// # Errors
    /// It is not exactly one NegotiateProtocolVersion.
    pub fn read(frame: &[u8]) -> Result<Self, ReadError> {
        let mut body = Body::of(frame, b'v', "NegotiateProtocolVersion")?;
        let version = body.i32()?;
        let options = usize::try_from(body.i32()?).map_err(|_| body.error())?;
        if options > body.left() {
            return Err(body.error());
        }
        for _ in 0..options {
            body.cstring()?;
        }
        body.end()?;
        Ok(Self { version })
    }
}

/// What the server wants for authentication.
#[derive(Clone, PartialEq, Eq)]
pub enum Authentication<'a> {
    /// Done.
    Ok,
    /// The password in the clear.
    Cleartext,
    /// The password hashed with MD5.
    Md5,
    /// SASL, by one of these mechanisms.
    Sasl(Vec<&'a [u8]>),
    /// The server's next SASL message.
    SaslContinue(&'a [u8]),
    /// The server's last SASL message.
    SaslFinal(&'a [u8]),
    /// Some other method, by its code.
    Other(i32),
}

impl<'a> Authentication<'a> {
    /// Reads a whole frame.
    ///
    /// # Errors
    /// It is not exactly one Authentication message.
    pub fn read(frame: &'a [u8]) -> Result<Self, ReadError> {
        let mut body = Body::of(frame, b'R', "Authentication")?;
        let read = match body.i32()? {
            0 => Self::Ok,
            3 => Self::Cleartext,
            5 => {
                body.bytes(4)?;
                Self::Md5
            }
            10 => {
                let mut mechanisms = Vec::new();
                loop {
                    match body.cstring()? {
                        [] => break,
                        name => mechanisms.push(name),
                    }
                }
                Self::Sasl(mechanisms)
            }
            11 => Self::SaslContinue(body.remaining()),
            12 => Self::SaslFinal(body.remaining()),
            other => {
                body.remaining();
                Self::Other(other)
            }
        };
        body.end()?;
        Ok(read)
    }
}
