//! One entry of the log and its canonical bytes.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use stepgate_types::Timestamp;

use crate::canonical::{NotCanonical, canonical};
use crate::fit::{continued_makes_sense, is_list, marks_make_sense};
use crate::{Event, Fitted, Hash};

/// The longest record, in bytes: long enough for what a statement is decided by, short enough for a batch of a
/// thousand.
pub const MAX_RECORD_BYTES: usize = 4096;

/// The format of records that this version writes.
pub const RECORD_VERSION: u64 = 2;

/// The format before it, which is read as ever: people stand in it by their names.
const FIRST_VERSION: u64 = 1;

/// One entry of the log: an event, its place and what came before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The log it belongs to: 32 hexadecimal digits.
    pub log_id: String,
    /// The format it was written in.
    pub version: u64,
    /// Its number, counted from 0 without gaps.
    pub seq: u64,
    /// When it was made, by the gate's clock.
    pub at: Timestamp,
    /// Leaf hash of the record before it; [`Hash::ZERO`] for the first.
    pub prev: Hash,
    /// Fields that were too long for a record, and how long they had been (entries of a list, bytes of a
    /// text). Empty for almost all records.
    pub shortened: BTreeMap<String, u64>,
    /// Fields that go on in the `record.continued` records right behind this one, and how long they are in all
    /// (entries of a list, bytes of a text). Empty for almost all records.
    pub continued: BTreeMap<String, u64>,
    /// What happened.
    pub event: Event,
}

/// Bytes are no record, or an event makes none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Longer than [`MAX_RECORD_BYTES`].
    #[error("longer than {MAX_RECORD_BYTES} bytes")]
    TooLong,
    /// Not JSON, or not an object.
    #[error("not a JSON object")]
    NotJson,
    /// A member of every record is missing or of the wrong type.
    #[error("`{0}` is missing or malformed")]
    Malformed(&'static str),
    /// A format that this version does not know.
    #[error("record format {0} is not known to this version")]
    Version(u64),
    /// The rest is no event of a known type: unknown, missing or ill-typed members.
    #[error("not a known event, or with unknown or missing members")]
    NotAnEvent,
    /// `shortened` or `continued` does not describe the record.
    #[error("`shortened` or `continued` does not fit the record")]
    Marks,
    /// Readable, but not in the one form that records are written in.
    #[error("not in canonical form")]
    NotCanonical,
}

impl From<NotCanonical> for RecordError {
    fn from(_: NotCanonical) -> Self {
        Self::NotCanonical
    }
}

impl Record {
    /// A record of this event, of which nothing is missing.
    #[must_use]
    pub fn new(log_id: &str, seq: u64, at: Timestamp, prev: Hash, event: Event) -> Self {
        Self {
            log_id: log_id.to_owned(),
            version: RECORD_VERSION,
            seq,
            at,
            prev,
            shortened: BTreeMap::new(),
            continued: BTreeMap::new(),
            event,
        }
    }

    /// The canonical bytes (RFC 8785): what is stored, hashed and exported.
    ///
    /// # Errors
    /// It is too long, or holds a number beyond 2^53.
    pub fn encode(&self) -> Result<Vec<u8>, RecordError> {
        let event = serde_json::to_value(&self.event);
        let Ok(Value::Object(mut fields)) = event else { return Err(RecordError::NotAnEvent) };
        fields.insert("v".to_owned(), self.version.into());
        fields.insert("log_id".to_owned(), self.log_id.as_str().into());
        fields.insert("seq".to_owned(), self.seq.into());
        fields.insert("ts_us".to_owned(), self.at.micros().into());
        fields.insert("prev".to_owned(), self.prev.to_string().into());
        for (name, marks) in [("shortened", &self.shortened), ("continued", &self.continued)] {
            if !marks.is_empty() {
                let marks = marks.iter().map(|(field, length)| (field.clone(), Value::from(*length)));
                fields.insert(name.to_owned(), Value::Object(marks.collect()));
            }
        }
        // Of which nothing was kept, the record says so: it has the list all the same.
        for name in self.shortened.keys().chain(self.continued.keys()).filter(|name| is_list(name)) {
            fields.entry(name.as_str()).or_insert_with(|| Value::Array(Vec::new()));
        }
        let bytes = canonical(&Value::Object(fields))?;
        if bytes.len() > MAX_RECORD_BYTES { Err(RecordError::TooLong) } else { Ok(bytes) }
    }

    /// Reads canonical bytes, and nothing but those: what does not encode to the very same bytes again is
    /// no record.
    ///
    /// # Errors
    /// See [`RecordError`]. No error repeats what the bytes hold.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        if bytes.len() > MAX_RECORD_BYTES {
            return Err(RecordError::TooLong);
        }
        let Ok(Value::Object(mut fields)) = serde_json::from_slice(bytes) else {
            return Err(RecordError::NotJson);
        };
        let version = match fields.remove("v").as_ref().and_then(Value::as_u64) {
            Some(version @ (RECORD_VERSION | FIRST_VERSION)) => version,
            Some(other) => return Err(RecordError::Version(other)),
            None => return Err(RecordError::Malformed("v")),
        };
        let log_id = take_text(&mut fields, "log_id").filter(|id| is_log_id(id));
        let seq = fields.remove("seq").as_ref().and_then(Value::as_u64);
        let ts_us = fields.remove("ts_us").as_ref().and_then(Value::as_i64);
        let prev = take_text(&mut fields, "prev").and_then(|prev| prev.parse().ok());
        let mut marks = |name| match fields.remove(name) {
            None => Ok(BTreeMap::new()),
            Some(marks) => serde_json::from_value(marks).map_err(|_| RecordError::Marks),
        };
        let (shortened, continued): (BTreeMap<_, _>, BTreeMap<_, _>) =
            (marks("shortened")?, marks("continued")?);
        if !marks_make_sense(&fields, &shortened) || !continued_makes_sense(&fields, &continued) {
            return Err(RecordError::Marks);
        }
        let record = Self {
            version,
            log_id: log_id.ok_or(RecordError::Malformed("log_id"))?,
            seq: seq.ok_or(RecordError::Malformed("seq"))?,
            at: Timestamp::from_micros(ts_us.ok_or(RecordError::Malformed("ts_us"))?),
            prev: prev.ok_or(RecordError::Malformed("prev"))?,
            shortened,
            continued,
            event: serde_json::from_value(Value::Object(fields)).map_err(|_| RecordError::NotAnEvent)?,
        };
        // In one pass for almost all; not where something was cut off, or would be.
        let again = || {
            let mut fitted = Fitted::default();
            if !fitted.fit_whole(&record.event) {
                return Err(RecordError::TooLong);
            }
            fitted.record(&record.log_id, record.seq, record.at.micros(), &record.prev)
        };
        if version == RECORD_VERSION && again().is_ok_and(|again| again == bytes) || record.encode()? == bytes
        {
            Ok(record)
        } else {
            Err(RecordError::NotCanonical)
        }
    }
}

/// Whether a text is a log's id: 32 lower-case hexadecimal digits.
#[must_use]
pub fn is_log_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn take_text(fields: &mut Map<String, Value>, name: &str) -> Option<String> {
    match fields.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}
