//! What clients send.

use super::ReadError;
use super::body::{Body, Formats, Values};

/// Query: one or more statements, simple protocol.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Query<'a> {
    /// The text.
    pub sql: &'a [u8],
}

impl<'a> Query<'a> {
    /// Reads a whole frame.
    ///
    /// # Errors
    /// It is not exactly one Query.
    pub fn read(frame: &'a [u8]) -> Result<Self, ReadError> {
        let mut body = Body::of(frame, b'Q', "Query")?;
        let sql = body.cstring()?;
        body.end()?;
        Ok(Self { sql })
    }
}

/// Parse: makes a prepared statement.
#[derive(Clone, PartialEq, Eq)]
pub struct Parse<'a> {
    /// The statement's name; empty for the unnamed one.
    pub name: &'a [u8],
    /// The text.
    pub sql: &'a [u8],
    /// The parameters' types (OIDs) as far as the client gives them; 0 is unspecified.
    pub types: Vec<u32>,
}

impl<'a> Parse<'a> {
    /// Reads a whole frame.
    ///
    /// # Errors
    /// It is not exactly one Parse.
    pub fn read(frame: &'a [u8]) -> Result<Self, ReadError> {
        let mut body = Body::of(frame, b'P', "Parse")?;
        let read = Self { name: body.cstring()?, sql: body.cstring()?, types: body.list(4, Body::u32)? };
        body.end()?;
        Ok(read)
    }
}

/// Bind: makes a portal of a prepared statement and its values.
#[derive(Clone, Copy)]
pub struct Bind<'a> {
    /// The portal's name; empty for the unnamed one.
    pub portal: &'a [u8],
    /// The statement's name; empty for the unnamed one.
    pub statement: &'a [u8],
    /// The values' formats.
    pub formats: Formats<'a>,
    /// The values.
    pub values: Values<'a>,
    /// The result columns' formats.
    pub result_formats: Formats<'a>,
}

impl<'a> Bind<'a> {
    /// Reads a whole frame.
    ///
    /// # Errors
    /// It is not exactly one Bind. Formats that do not fit the values are the server's to refuse: it reads no value then.
    pub fn read(frame: &'a [u8]) -> Result<Self, ReadError> {
        let mut body = Body::of(frame, b'B', "Bind")?;
        let read = Self {
            portal: body.cstring()?,
            statement: body.cstring()?,
            formats: body.formats()?,
            values: body.values()?,
            result_formats: body.formats()?,
        };
        body.end()?;
        Ok(read)
    }
}

/// What a Describe or Close is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A prepared statement (`S`).
    Statement,
    /// A portal (`P`).
    Portal,
}

fn target<'a>(frame: &'a [u8], tag: u8, what: &'static str) -> Result<(Target, &'a [u8]), ReadError> {
    let mut body = Body::of(frame, tag, what)?;
    let kind = match body.u8()? {
        b'S' => Target::Statement,
        b'P' => Target::Portal,
        _ => return Err(body.error()),
    };
    let name = body.cstring()?;
    body.end()?;
    Ok((kind, name))
}

/// Describe: asks for parameters and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Describe<'a> {
    /// Statement or portal.
    pub kind: Target,
    /// Its name.
    pub name: &'a [u8],
}

impl<'a> Describe<'a> {
    /// Reads a whole frame.
    ///
    /// # Errors
    /// It is not exactly one Describe.
    pub fn read(frame: &'a [u8]) -> Result<Self, ReadError> {
        target(frame, b'D', "Describe").map(|(kind, name)| Self { kind, name })
    }
}

/// Close: drops a prepared statement or portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Close<'a> {
    /// Statement or portal.
    pub kind: Target,
    /// Its name.
    pub name: &'a [u8],
}

impl<'a> Close<'a> {
    /// Reads a whole frame.
    ///
    /// # Errors
    /// It is not exactly one Close.
    pub fn read(frame: &'a [u8]) -> Result<Self, ReadError> {
        target(frame, b'C', "Close").map(|(kind, name)| Self { kind, name })
    }
}

/// Execute: runs a portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Execute<'a> {
    /// The portal's name.
    pub portal: &'a [u8],
    /// The most rows to return; zero or less is all.
    pub max_rows: i32,
}

impl<'a> Execute<'a> {
    /// Reads a whole frame.
    ///
    /// # Errors
    /// It is not exactly one Execute.
    pub fn read(frame: &'a [u8]) -> Result<Self, ReadError> {
        let mut body = Body::of(frame, b'E', "Execute")?;
        let read = Self { portal: body.cstring()?, max_rows: body.i32()? };
        body.end()?;
        Ok(read)
    }
}

/// FunctionCall: the legacy fast-path call.
#[derive(Clone, Copy)]
pub struct FunctionCall<'a> {
    /// The function.
    pub oid: u32,
    /// The arguments' formats.
    pub formats: Formats<'a>,
    /// The arguments.
    pub arguments: Values<'a>,
    /// The result's format.
    pub result_format: i16,
}

impl<'a> FunctionCall<'a> {
    /// Reads a whole frame.
    ///
    /// # Errors
    /// It is not exactly one FunctionCall.
    pub fn read(frame: &'a [u8]) -> Result<Self, ReadError> {
        let mut body = Body::of(frame, b'F', "FunctionCall")?;
        let read = Self {
            oid: body.u32()?,
            formats: body.formats()?,
            arguments: body.values()?,
            result_format: body.i16()?,
        };
        body.end()?;
        Ok(read)
    }
}

/// CopyFail: the client gives up a COPY FROM STDIN.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CopyFail<'a> {
    /// Why, in the client's words.
    pub reason: &'a [u8],
}

impl<'a> CopyFail<'a> {
    /// Reads a whole frame.
    ///
    /// # Errors
    /// It is not exactly one CopyFail.
    pub fn read(frame: &'a [u8]) -> Result<Self, ReadError> {
        let mut body = Body::of(frame, b'f', "CopyFail")?;
        let reason = body.cstring()?;
        body.end()?;
        Ok(Self { reason })
    }
}

/// SASLInitialResponse: the mechanism that the client chose, and its first message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SaslInitialResponse<'a> {
    /// The mechanism's name.
    pub mechanism: &'a [u8],
    /// The first message, if the client sends one.
    pub data: Option<&'a [u8]>,
}

impl<'a> SaslInitialResponse<'a> {
    /// Reads a whole frame.
    ///
    /// # Errors
    /// It is not exactly one SASLInitialResponse.
    pub fn read(frame: &'a [u8]) -> Result<Self, ReadError> {
        let mut body = Body::of(frame, b'p', "SASLInitialResponse")?;
        let read = Self { mechanism: body.cstring()?, data: body.value()? };
        body.end()?;
        Ok(read)
    }
}

/// SASLResponse: the client's next message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SaslResponse<'a> {
    /// The message.
    pub data: &'a [u8],
}

impl<'a> SaslResponse<'a> {
    /// Reads a whole frame.
    ///
    /// # Errors
    /// It is not exactly one frame of type `p`.
    pub fn read(frame: &'a [u8]) -> Result<Self, ReadError> {
        Ok(Self { data: Body::of(frame, b'p', "SASLResponse")?.remaining() })
    }
}

/// Checks a message that has no body: Sync, Flush, Terminate, CopyDone.
///
/// # Errors
/// The frame is not exactly an empty one of this type.
pub fn expect_empty(frame: &[u8], tag: u8) -> Result<(), ReadError> {
    Body::of(frame, tag, "empty")?.end()
}
