//! Makes an event fit into records: what is too long for one goes on in others right behind it, and the record says so.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::canonical::{MAX_SAFE, canonical};
use crate::fitted::Fitted;
use crate::group::MAX_PARTS;
use crate::record::{MAX_RECORD_BYTES, RecordError};
use crate::{Continued, Event};

/// Lists that may lose entries from their end. Whoever makes an event puts the most sensitive first.
const LISTS: [&str; 15] = [
    "columns",
    "relations",
    "objects",
    "reasons",
    "rules",
    "sinks",
    "kinds",
    "groups",
    "labels",
    "uses",
    "functions",
    "why",
    "buckets",
    "signals",
    "statements",
];

/// Texts that may lose their end.
const TEXTS: [&str; 1] = ["normalised"];

/// And one that might in records of the first format.
const ONCE: &str = "client";

/// Bytes of entries or text in one of them, in canonical form: the rest of it is some 400 bytes.
const PART_BYTES: usize = 3_500;

/// The long way to fitted events, for those that have to be changed to fit: the event, and what it goes on in.
pub(crate) fn fitted(event: &Event) -> Result<Vec<Fitted>, RecordError> {
    let Value::Object(fields) = serde_json::to_value(event).map_err(|_| RecordError::NotAnEvent)? else {
        return Err(RecordError::NotAnEvent);
    };
    let whole = fields.clone();
    let mut fitting = Fitting { fields, shortened: BTreeMap::new(), continued: BTreeMap::new() };
    fitting.cap_numbers();
    let mut first = Fitted::default();
    let parts = loop {
        if !fitting.encode(&mut first)? {
            if !fitting.shorten_the_largest()? {
                return Err(RecordError::TooLong);
            }
            continue;
        }
        let parts = fitting.rest_of(&whole)?;
        if fitting.mark_what_is_lost(&whole, &parts) {
            // The mark needs room, too.
            continue;
        }
        break parts;
    };
    let count = u64::try_from(parts.len()).unwrap_or(MAX_SAFE);
    let mut all = vec![first];
    for (part, rest) in (1..).zip(parts) {
        let mut fitted = Fitted::default();
        let part = Event::RecordContinued(Continued { part, parts: count, ..rest });
        if !fitted.fit_whole(&part) {
            let Value::Object(fields) = serde_json::to_value(&part).map_err(|_| RecordError::NotAnEvent)?
            else {
                return Err(RecordError::NotAnEvent);
            };
            if !(Fitting { fields, ..Fitting::default() }).encode(&mut fitted)? {
                return Err(RecordError::TooLong);
            }
        }
        all.push(fitted);
    }
    Ok(all)
}

/// An event on its way to fit.
#[derive(Default)]
struct Fitting {
    fields: Map<String, Value>,
    shortened: BTreeMap<String, u64>,
    continued: BTreeMap<String, u64>,
}

impl Fitting {
    /// Whether it fits.
    fn encode(&self, into: &mut Fitted) -> Result<bool, RecordError> {
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
        for (name, marks) in [("shortened", &self.shortened), ("continued", &self.continued)] {
            if !marks.is_empty() {
                let marks = marks.iter().map(|(name, was)| (name.clone(), Value::from(*was)));
                member(name, &Value::Object(marks.collect()))?;
            }
        }
        // What is far too long has no places that could be told in a `Fitted`.
        if members.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() > MAX_RECORD_BYTES {
            return Ok(false);
        }
        members.sort();
        let sorted = members.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
        into.assemble(sorted).ok_or(RecordError::NotAnEvent)?;
        Ok(into.longest() <= MAX_RECORD_BYTES)
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
            Value::String(text) => text.truncate(boundary(text, text.len() * 7 / 8)),
            _ => return Ok(false),
        }
        self.continued.entry(name.to_owned()).or_insert(before);
        Ok(true)
    }

    /// What was cut off, in pieces that fit; no more of them than there may be.
    fn rest_of(&self, whole: &Map<String, Value>) -> Result<Vec<Continued>, RecordError> {
        let mut parts = Vec::new();
        // Lists first, texts last: what is beyond all parts is lost.
        let names = LISTS.into_iter().chain(TEXTS).filter(|name| self.continued.contains_key(*name));
        for name in names {
            let empty = || Continued {
                part: 0,
                parts: 0,
                field: name.to_owned(),
                values: vec![],
                text: String::new(),
            };
            match (whole.get(name), self.fields.get(name)) {
                (Some(Value::Array(all)), Some(Value::Array(kept))) => {
                    let (mut part, mut room) = (empty(), PART_BYTES);
                    for value in all.iter().skip(kept.len()) {
                        let size = canonical(value)?.len() + 1;
                        if size > PART_BYTES {
                            // No record has room for it: it is lost with those after it, and the mark says so. Nobody
                            // may be refused, nor go unrecorded, because one name is long.
                            break;
                        }
                        if size > room && !part.values.is_empty() {
                            parts.push(std::mem::replace(&mut part, empty()));
                            room = PART_BYTES;
                        }
                        room = room.saturating_sub(size);
                        part.values.push(value.clone());
                    }
                    if !part.values.is_empty() {
                        parts.push(part);
                    }
                }
                (Some(Value::String(all)), Some(Value::String(kept))) => {
                    let mut rest = all.get(kept.len()..).unwrap_or_default();
                    while !rest.is_empty() {
                        let (text, more) = rest.split_at(fitting_length(rest));
                        parts.push(Continued { text: text.to_owned(), ..empty() });
                        rest = more;
                    }
                }
                _ => {}
            }
        }
        // What is beyond is lost, and marked as `shortened`.
        parts.truncate(usize::try_from(MAX_PARTS).unwrap_or_default());
        Ok(parts)
    }

    /// Marks what does not fit into all these parts; whether any mark is new.
    fn mark_what_is_lost(&mut self, whole: &Map<String, Value>, parts: &[Continued]) -> bool {
        let mut new = false;
        for (name, total) in &mut self.continued {
            let (Some(kept), Some(all)) = (self.fields.get(name), whole.get(name)) else { continue };
            let of = parts.iter().filter(|part| part.field == *name);
            let carried: usize = of.map(|part| part.values.len() + part.text.len()).sum();
            let there = length(kept).saturating_add(u64::try_from(carried).unwrap_or(MAX_SAFE));
            if there < length(all) {
                new |= self.shortened.insert(name.clone(), length(all)).is_none();
            }
            new |= std::mem::replace(total, there) != there;
        }
        // Of which nothing is carried on does not go on.
        self.continued.retain(|name, total| self.fields.get(name).is_some_and(|kept| length(kept) < *total));
        new
    }
}

/// How many bytes of a text take at most [`PART_BYTES`] in canonical form.
fn fitting_length(text: &str) -> usize {
    let mut room = PART_BYTES;
    for (at, letter) in text.char_indices() {
        let size = match letter {
            '"' | '\\' => 2,
            '\0'..='\x1f' => 6,
            _ => letter.len_utf8(),
        };
        if size > room {
            return at;
        }
        room -= size;
    }
    text.len()
}

/// The last place up to `end` where a text may be cut; not its beginning, if it has more than one character.
fn boundary(text: &str, end: usize) -> usize {
    (1..=end).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0)
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

/// Whether a field is a list that may lose entries.
pub(crate) fn is_list(name: &str) -> bool {
    LISTS.contains(&name)
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
