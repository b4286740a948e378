//! Records as lists at the terminal.

use serde_json::{Map, Value, json};
use stepgate_record::Filter;

use super::AuditOperator;
use crate::args::Format;
use crate::failure::Failure;
use crate::harmless::harmless;
use crate::operator::{Link, Operator, Reply};
use crate::output::{self, Listing};

/// What a table or CSV of records shows.
const COLUMNS: &[&str] = &[
    "seq", "at", "type", "person", "database", "outcome", "labels", "tables", "rules", "rows", "request",
    "session",
];

/// Prints the last records, and those that follow as they come.
pub(super) fn tail(
    link: &Link,
    (lines, follow): (u64, bool),
    filter: Filter,
    format: Format,
) -> Result<(), Failure> {
    let command = Operator::audit(AuditOperator::Tail { lines, follow, filter });
    if !follow && format != Format::Table {
        return print(&link.rows(command)?, format);
    }
    if format == Format::Csv {
        return Err(Failure::usage("csv is a table, which has an end; with -f write -o json"));
    }
    // One line a record, as they come: whoever follows reads each at once.
    let print = |reply| match (reply, format) {
        (Reply::Row(row), Format::Json) => output::stream(&format!("{row}\n")),
        (Reply::Row(row), _) => output::stream(&format!("{}\n", line(&row))),
        _ => Ok(()),
    };
    link.send(command, &mut { print }).map(drop)
}

/// Prints what a search finds.
pub(super) fn search(link: &Link, search: AuditOperator, format: Format) -> Result<(), Failure> {
    let mut rows = Vec::new();
    let said = link.send(Operator::audit(search), &mut |reply| {
        if let Reply::Row(row) = reply {
            rows.push(row);
        }
        Ok(())
    })?;
    print(&rows, format)?;
    said.into_iter().for_each(|said| eprintln!("stepgate: {said}"));
    Ok(())
}

fn print(rows: &[Value], format: Format) -> Result<(), Failure> {
    let brief = |row: &Value| if format == Format::Json { row.clone() } else { brief(row) };
    Listing::of(COLUMNS, rows.iter().map(brief)).print(format)
}

/// A record in few words.
fn brief(row: &Value) -> Value {
    let Some(fields) = row.as_object() else { return Value::Null };
    let first =
        |names: &[&str]| names.iter().find_map(|name| fields.get(*name).filter(|value| !value.is_null()));
    json!({
        "seq": fields.get("seq"),
        "at": fields.get("at"),
        "type": fields.get("type"),
        "person": first(&["person", "by", "to", "operator"]),
        "database": fields.get("database"),
        "outcome": refused(fields).or(first(&["verdict", "outcome", "sqlstate", "reason", "action"]).cloned()),
        "labels": labels(fields),
        "tables": fields.get("relations").or_else(|| fields.get("relation")),
        "rules": fields.get("rules"),
        "rows": first(&["rows", "records"]),
        "request": fields.get("request"),
        "session": fields.get("session"),
    })
}

/// What became of a statement that the gate itself refuses, and why.
fn refused(fields: &Map<String, Value>) -> Option<Value> {
    let (verdict, why) = (fields.get("verdict")?.as_str()?, fields.get("refusal")?.as_str()?);
    Some(format!("{verdict}: {why}").into())
}

/// The labels that a record names, each once.
fn labels(fields: &Map<String, Value>) -> Value {
    let columns = fields.get("columns").and_then(Value::as_array).into_iter().flatten();
    let of_columns = columns.filter_map(|column| column.get("label"));
    let plain = fields.get("labels").and_then(Value::as_array).into_iter().flatten();
    let mut labels: Vec<_> =
        of_columns.chain(plain).filter_map(Value::as_str).filter(|label| !label.is_empty()).collect();
    labels.sort_unstable();
    labels.dedup();
    json!(labels)
}

/// A record as one line: number, time, type, and the fields that say something.
fn line(row: &Value) -> String {
    let mut line = String::new();
    let Some(fields) = row.as_object() else { return line };
    for key in ["seq", "at", "type"] {
        line.push_str(&shown(fields.get(key).unwrap_or(&Value::Null)));
        line.push_str("  ");
    }
    for (key, value) in fields {
        let empty = match value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            _ => false,
        };
        if !empty && !["seq", "at", "type"].contains(&key.as_str()) {
            line.push_str(&format!("{key}={} ", shown(value)));
        }
    }
    line.trim_end().to_owned()
}

fn shown(value: &Value) -> String {
    match value {
        // What a client or a person has chosen cannot look like fields of its own.
        Value::String(text) if text.is_empty() || !text.chars().all(is_plain) => {
            harmless(&json!(text).to_string())
        }
        Value::String(text) => harmless(text),
        other => harmless(&other.to_string()),
    }
}

fn is_plain(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "._:/@+-*".contains(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_look_like_further_fields() {
        let row = json!({"seq": 7, "at": "2026-01-31T00:00:00Z", "type": "session.opened", "person": "dana",
            "client": "x verdict=forward by=\"kim\"", "address": "2001:db8::7"});
        let shown = line(&row);
        assert!(shown.starts_with("7  2026-01-31T00:00:00Z  session.opened  "), "{shown}");
        assert!(shown.contains("client=\"x verdict=forward by=\\\"kim\\\"\""), "{shown}");
        assert!(shown.contains("person=dana") && shown.contains("address=2001:db8::7"), "{shown}");
    }
}
