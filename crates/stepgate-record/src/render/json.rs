//! A record as canonical JSON, with names where they are known.

use serde_json::{Map, Value};

use super::row::json;
use crate::{Names, Record};

/// Without names these are the record's own bytes.
pub(super) fn line(record: &Record, names: &dyn Names) -> String {
    let bytes = record.encode().unwrap_or_default();
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(&bytes) else { return String::new() };
    fields.extend(named_event(record, names));
    json(&Value::Object(fields))
}

/// The members of a record's event.
pub(super) fn named_event(record: &Record, names: &dyn Names) -> Map<String, Value> {
    let mut event = record.event.clone();
    event.open(names);
    let mut fields = match serde_json::to_value(&event) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    for (member, marks) in [("shortened", &record.shortened), ("continued", &record.continued)] {
        if !marks.is_empty() {
            let marks = marks.iter().map(|(name, was)| (name.clone(), Value::from(*was)));
            fields.insert(member.to_owned(), Value::Object(marks.collect()));
        }
    }
    fields
}
