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
pub(super) fn named_event(record: &Record, _names: &dyn Names) -> Map<String, Value> {
    let mut fields = match serde_json::to_value(&record.event) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    if !record.shortened.is_empty() {
        let marks = record.shortened.iter().map(|(name, was)| (name.clone(), Value::from(*was)));
        fields.insert("shortened".to_owned(), Value::Object(marks.collect()));
    }
    fields
}
