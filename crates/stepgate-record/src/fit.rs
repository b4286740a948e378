//! Makes an event fit into a record: what is too long is shortened, and the record says so.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::canonical::{MAX_SAFE, canonical};
use crate::record::{MAX_RECORD_BYTES, RECORD_VERSION, RecordError};
use crate::{Event, Hash};

/// Lists that may lose entries from their end. Whoever makes an event puts the most sensitive first.
const LISTS: [&str; 9] =
    ["columns", "relations", "reasons", "rules", "sinks", "kinds", "groups", "labels", "uses"];

/// Texts that may lose their end.
const TEXTS: [&str; 2] = ["normalised", "client"];

/// No envelope (log, number, time, hash before, version, their names and punctuation) is longer, in bytes.
const MAX_ENVELOPE: usize = 256;

/// An event that is known to fit, whatever number and time its record gets. Its members are encoded already:
/// the log's one writer only puts them together.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// Name and canonical value, in the order of names.
    members: Vec<(String, Vec<u8>)>,
}

impl Fitted {
    /// Makes `event` fit into [`MAX_RECORD_BYTES`].
    ///
    /// # Errors
    /// It does not fit even with every list and text that may be shortened gone.
    pub fn new(event: &Event) -> Result<Self, RecordError> {
        let Value::Object(fields) = serde_json::to_value(event).map_err(|_| RecordError::NotAnEvent)? else {
            return Err(RecordError::NotAnEvent);
        };
        let mut fitting = Fitting { fields, shortened: BTreeMap::new() };
        fitting.cap_numbers();
        let mut fitted = fitting.encode()?;
        if fitted.length() > MAX_RECORD_BYTES {
            while fitting.longest()? > MAX_RECORD_BYTES {
                if !fitting.shorten_the_largest()? {
                    return Err(RecordError::TooLong);
                }
            }
            fitted = fitting.encode()?;
        }
        Ok(fitted)
    }

    /// How long the record is at most.
    fn length(&self) -> usize {
        let members = self.members.iter().map(|(name, value)| name.len() + value.len() + 4);
        members.sum::<usize>() + MAX_ENVELOPE
    }

    /// The canonical bytes of the record of this event.
    ///
    /// # Errors
    /// `seq` or `ts_us` lies beyond 2^53 (after some hundred years).
    pub fn record(&self, log_id: &str, seq: u64, ts_us: i64, prev: &Hash) -> Result<Vec<u8>, RecordError> {
        let envelope = [
            ("log_id", canonical(&log_id.into())?),
            ("prev", canonical(&prev.to_string().into())?),
            ("seq", canonical(&seq.into())?),
            ("ts_us", canonical(&ts_us.into())?),
            ("v", canonical(&RECORD_VERSION.into())?),
        ];
        let mut envelope = envelope.iter().map(|(name, value)| (*name, value)).peekable();
        let mut members = self.members.iter().map(|(name, value)| (name.as_str(), value)).peekable();
        let mut bytes = Vec::with_capacity(self.length());
        // Both are in order; names are ASCII, so bytes order them as UTF-16 would (RFC 8785 section 3.2.3).
        loop {
            let ours = match (envelope.peek(), members.peek()) {
                (Some((ours, _)), Some((theirs, _))) => ours < theirs,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => break,
            };
            let Some((name, value)) = (if ours { envelope.next() } else { members.next() }) else { break };
            bytes.push(if bytes.is_empty() { b'{' } else { b',' });
            bytes.push(b'"');
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b"\":");
            bytes.extend_from_slice(value);
        }
        bytes.push(b'}');
        if bytes.len() > MAX_RECORD_BYTES { Err(RecordError::TooLong) } else { Ok(bytes) }
    }
}

/// An event on its way to fit.
struct Fitting {
    fields: Map<String, Value>,
    shortened: BTreeMap<String, u64>,
}

impl Fitting {
    fn encode(&self) -> Result<Fitted, RecordError> {
        let mut members = Vec::with_capacity(self.fields.len() + 1);
        for (name, value) in &self.fields {
            members.push((name.clone(), canonical(value)?));
        }
        if !self.shortened.is_empty() {
            let marks = self.shortened.iter().map(|(name, was)| (name.clone(), Value::from(*was)));
            members.push(("shortened".to_owned(), canonical(&Value::Object(marks.collect()))?));
        }
        members.sort();
        Ok(Fitted { members })
    }

    /// Numbers above 2^53 (an upper bound that saturated) become 2^53-1 and are marked.
    fn cap_numbers(&mut self) {
        for (name, value) in &mut self.fields {
            if value.as_u64().is_some_and(|number| number > MAX_SAFE) {
                *value = MAX_SAFE.into();
                self.shortened.insert(name.clone(), MAX_SAFE);
            }
        }
    }

    /// How long the record will be at most.
    fn longest(&self) -> Result<usize, RecordError> {
        let ts_us = i64::try_from(MAX_SAFE).map_or(i64::MIN, |max| -max);
        let widest = self.encode()?.record(&"f".repeat(32), MAX_SAFE, ts_us, &Hash::ZERO);
        match widest {
            Ok(bytes) => Ok(bytes.len()),
            Err(RecordError::TooLong) => Ok(usize::MAX),
            Err(error) => Err(error),
        }
    }

    /// Takes an eighth (at least one entry or character) off the field that takes most room.
    fn shorten_the_largest(&mut self) -> Result<bool, RecordError> {
        let mut largest: Option<(usize, &'static str)> = None;
        for name in LISTS.into_iter().chain(TEXTS) {
            let Some(value) = self.fields.get(name).filter(|value| length(value) > 0) else { continue };
            let size = canonical(value)?.len();
            if largest.is_none_or(|(most, _)| size > most) {
                largest = Some((size, name));
            }
        }
        let Some((_, name)) = largest else { return Ok(false) };
        let Some(value) = self.fields.get_mut(name) else { return Ok(false) };
        let before = length(value);
        match value {
            Value::Array(entries) => entries.truncate(entries.len() * 7 / 8),
            Value::String(text) => {
                let mut end = text.len() * 7 / 8;
                while !text.is_char_boundary(end) {
                    end = end.saturating_sub(1);
                }
                text.truncate(end);
            }
            _ => return Ok(false),
        }
        self.shortened.entry(name.to_owned()).or_insert(before);
        Ok(true)
    }
}

/// Entries of a list, bytes of a text; 0 for anything else.
fn length(value: &Value) -> u64 {
    let length = match value {
        Value::Array(entries) => entries.len(),
        Value::String(text) => text.len(),
        _ => 0,
    };
    u64::try_from(length).unwrap_or(MAX_SAFE)
}

/// Whether each mark names a field that is shorter now than it says it was.
pub(crate) fn marks_make_sense(fields: &Map<String, Value>, shortened: &BTreeMap<String, u64>) -> bool {
    shortened.iter().all(|(name, was)| match fields.get(name) {
        Some(Value::Array(entries)) if LISTS.contains(&name.as_str()) => {
            u64::try_from(entries.len()).is_ok_and(|is| is < *was)
        }
        Some(Value::String(text)) if TEXTS.contains(&name.as_str()) => {
            u64::try_from(text.len()).is_ok_and(|is| is < *was)
        }
        Some(Value::Number(number)) => number.as_u64() == Some(MAX_SAFE) && *was == MAX_SAFE,
        _ => false,
    })
}
