//! FunctionCall, the fast path: it calls a function by its OID, and is judged as a SELECT of that function would be.
//!
//! psql's `\lo_` commands and the large objects of drivers use it; PostgreSQL lets it call any function.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use stepgate_wire::ReadError;
use stepgate_wire::read::FunctionCall;

use crate::asking::Judged;
use crate::session::Session;
use crate::subject::{Frame, Known, Pending, Protocol, Subject};
use crate::text::Text;

impl Session {
    pub(crate) fn function_call(&mut self, frame: &Bytes) -> Result<(), ReadError> {
        let call = FunctionCall::read(frame)?;
        let text = Text::unsent(self.call_as_select(&call));
        let Judged::Facts(facts) = self.judge(&text, None) else { return Ok(()) };
        self.next_piece();
        let value = |value: Option<&[u8]>| value.map(|value| frame.slice_ref(value));
        let pending = Pending {
            values: call.arguments.iter().map(value).collect(),
            formats: (0..call.arguments.len()).map(|index| call.formats.of(index)).collect(),
            ..self.pending(Protocol::Function, facts, text)
        };
        self.decide(Subject {
            frame: Frame::Function(frame.clone()),
            opaque: false,
            executes: false,
            parsed: None,
            pending: Arc::new(pending),
            known: Known::of(self),
        });
        Ok(())
    }

    /// Whether what a FunctionCall calls has another name by now than when it was read.
    pub(crate) fn is_renamed(&self, subject: &Subject) -> bool {
        let Frame::Function(frame) = &subject.frame else { return false };
        FunctionCall::read(frame).map_or(true, |call| self.call_as_select(&call) != subject.pending.sql)
    }

    /// The SELECT that calls the same function with the same arguments. One that no catalog shows has no name, and so
    /// nobody knows what it does.
    fn call_as_select(&self, call: &FunctionCall<'_>) -> Bytes {
        let mut sql = "select ".to_owned();
        match self.catalog.function_of(call.oid) {
            Some((schema, name)) => {
                quote(schema, &mut sql);
                sql.push('.');
                quote(name, &mut sql);
            }
            // Writing to a String cannot fail.
            None => _ = write!(sql, "pg_catalog.\"function {}\"", call.oid),
        }
        sql.push('(');
        for number in 1..=call.arguments.len() {
            let _ = write!(sql, "{}${number}", if number == 1 { "" } else { ", " });
        }
        sql.push(')');
        sql.into()
    }
}

/// A name as it is written in SQL, whatever it is.
fn quote(name: &str, sql: &mut String) {
    let plain = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    if plain && name.starts_with(|first: char| first.is_ascii_lowercase()) {
        return sql.push_str(name);
    }
    let _ = write!(sql, "\"{}\"", name.replace('"', "\"\""));
}
