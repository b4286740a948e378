//! Checked readers, each over exactly one whole frame (header included) as [`crate::Cutter`] cuts it.
//!
//! A reader consumes its frame completely: what is left over is an error, as in PostgreSQL's `pq_getmsgend`.
//! Texts stay bytes, since the client's encoding need not be UTF-8.

mod body;
mod client;
mod server;

pub use body::{Formats, ReadError, Values};
pub use client::{
    Bind, Close, CopyFail, Describe, Execute, FunctionCall, Parse, Query, SaslInitialResponse, SaslResponse,
    Target, expect_empty,
};
pub use server::{
    Authentication, BackendKeyData, CommandComplete, DataRow, ErrorFields, NegotiateProtocolVersion,
    ParameterStatus, ReadyForQuery, RowDescription, RowField,
};
