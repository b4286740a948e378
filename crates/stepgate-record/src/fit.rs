//! Makes an event fit into a record: what is too long is shortened, and the record says so.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::Event;
use crate::canonical::{MAX_SAFE, canonical};
use crate::fitted::{Digits, Fitted};
use crate::record::{MAX_RECORD_BYTES, RecordError};

/// Lists that may lose entries from their end. Whoever makes an event puts the most sensitive first.
const LISTS: [&str; 9] =
    ["columns", "relations", "reasons", "rules", "sinks", "kinds", "groups", "labels", "uses"];

/// Texts that may lose their end.
const TEXTS: [&str; 1] = ["normalised"];

/// And one that might in records of the first format.
const ONCE: &str = "client";

/// The long way to a fitted event, for those that have to be changed to fit. Returns where the digits of the
/// member `statement` are.
pub(crate) fn fitted(event: &Event, into: &mut Fitted) -> Result<Option<Digits>, RecordError> {
    let Value::Object(fields) = serde_json::to_value(event).map_err(|_| RecordError::NotAnEvent)? else {
        return Err(RecordError::NotAnEvent);
    };
    let mut fitting = Fitting { fields, shortened: BTreeMap::new() };
    fitting.cap_numbers();
    loop {
        let digits = fitting.encode(into)?;
        if into.longest() <= MAX_RECORD_BYTES {
            return Ok(digits);
        }
        if !fitting.shorten_the_largest()? {
            return Err(RecordError::TooLong);
        }
    }
}

/// An event on its way to fit.
struct Fitting {
    fields: Map<String, Value>,
    shortened: BTreeMap<String, u64>,
}

impl Fitting {
    fn encode(&self, into: &mut Fitted) -> Result<Option<Digits>, RecordError> {
        let mut members = Vec::with_capacity(self.fields.len() + 1);
        let mut member = |name: &str, value: &Value| -> Result<(), RecordError> {
            let mut bytes = canonical(&name.into())?;
            bytes.push(b':');
            bytes.append(&mut canonical(value)?);
            members.push((name.to_owned(), bytes));
            Ok(())
        };
        for (name, value) in &self.fields {
            member(name, value)?;
        }
        if !self.shortened.is_empty() {
            let marks = self.shortened.iter().map(|(name, was)| (name.clone(), Value::from(*was)));
            member("shortened", &Value::Object(marks.collect()))?;
        }
        members.sort();
        let sorted = members.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
        into.assemble(sorted).ok_or(RecordError::NotAnEvent)
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
        Some(Value::String(text)) if TEXTS.contains(&name.as_str()) || name == ONCE => {
            u64::try_from(text.len()).is_ok_and(|is| is < *was)
        }
        Some(Value::Number(number)) => number.as_u64() == Some(MAX_SAFE) && *was == MAX_SAFE,
        _ => false,
    })
}

/// Whether each mark names a field that has less than it says there is in all.
pub(crate) fn continued_makes_sense(fields: &Map<String, Value>, continued: &BTreeMap<String, u64>) -> bool {
    let has_less = |name: &String, all: u64| match fields.get(name) {
        Some(Value::Array(entries)) if LISTS.contains(&name.as_str()) => as_u64(entries.len()) < all,
        Some(Value::String(text)) if TEXTS.contains(&name.as_str()) => as_u64(text.len()) < all,
        _ => false,
    };
    continued.iter().all(|(name, all)| has_less(name, *all))
}

fn as_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(MAX_SAFE)
}
