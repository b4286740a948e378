//! Puts records together again that were too long for one.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{Continued, Event, Record};

/// Takes records in their order, and gives each as a whole: what went on in `record.continued` is back in its place.
///
/// A whole may be longer than a record can be, and its bytes are not those that were hashed: it is for reading.
#[derive(Debug, Default)]
pub struct Joiner {
    waiting: Option<Record>,
    parts: Vec<Continued>,
}

impl Joiner {
    /// Takes the next record, and gives those that are whole now, in their order: none, one, or two where the first was
    /// not followed by what belongs to it.
    pub fn take(&mut self, record: Record) -> impl Iterator<Item = Record> + use<> {
        let mut out = [None, None];
        let place = |record: &Record, waiting: &Record| record.seq.checked_sub(waiting.seq);
        match (&record.event, &self.waiting) {
            (Event::RecordContinued(part), Some(waiting)) if place(&record, waiting) == Some(part.part) => {
                let is_last = part.part == part.parts;
                self.parts.push(part.clone());
                if is_last {
                    out = [self.finish(), None];
                }
            }
            _ => {
                let before = self.finish();
                if record.continued.is_empty() {
                    out = [before, Some(record)];
                } else {
                    self.waiting = Some(record);
                    out = [before, None];
                }
            }
        }
        out.into_iter().flatten()
    }

    /// Whether a record waits for what it goes on in.
    #[must_use]
    pub const fn waits(&self) -> bool {
        self.waiting.is_some()
    }

    /// No more come: the one that waits, as far as it is known.
    pub fn finish(&mut self) -> Option<Record> {
        let record = self.waiting.take()?;
        Some(joined(record, std::mem::take(&mut self.parts)))
    }
}

/// The record with what it went on in; as it is where that does not make an event.
pub(crate) fn joined(record: Record, parts: Vec<Continued>) -> Record {
    let Ok(Value::Object(mut fields)) = serde_json::to_value(&record.event) else { return record };
    for Continued { field, values, text, .. } in parts {
        match fields.get_mut(&field) {
            Some(Value::Array(list)) => list.extend(values),
            Some(Value::String(all)) => all.push_str(&text),
            _ => {
                // Empty lists and texts are left out of some records.
                let value = if text.is_empty() { Value::Array(values) } else { Value::String(text) };
                fields.insert(field, value);
            }
        }
    }
    let whole = |name: &String, total: &u64| match fields.get(name) {
        Some(Value::Array(list)) => u64::try_from(list.len()).is_ok_and(|length| length == *total),
        Some(Value::String(text)) => u64::try_from(text.len()).is_ok_and(|length| length == *total),
        _ => false,
    };
    let continued: BTreeMap<_, _> = record.continued.clone();
    let continued = continued.into_iter().filter(|(name, total)| !whole(name, total)).collect();
    match serde_json::from_value(Value::Object(fields)) {
        Ok(event) => Record { event, continued, ..record },
        Err(_) => record,
    }
}
