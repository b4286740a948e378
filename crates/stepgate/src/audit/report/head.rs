//! The head of a report: what it is of, and by what it can be checked.

use serde_json::Value;
use stepgate_record::Filter;
use stepgate_types::Timestamp;

use super::Head;
use super::make::{Making, text};
use crate::failure::Failure;
use crate::operator::log_error;

/// How many policies are named at most.
const POLICIES: usize = 50;

/// Makes it; what it names of the log covers everything that the report was made from.
pub(super) fn head(making: &Making<'_>, title: &str, filter: &str) -> Result<Head, Failure> {
    let store = making.store;
    let note = store.log.checkpoint().map_err(|error| log_error(&error))?;
    let mut lines = note.lines().skip(1);
    let (size, root) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let root = data_encoding::BASE64.decode(root.as_bytes()).unwrap_or_default();
    let shown = |at: Option<Timestamp>, open: &str| at.map_or(open.to_owned(), |at| at.to_string());
    let mut facts: Vec<(String, String)> = [
        ("Log", store.log.id().to_owned()),
        ("Tree size", format!("{size} records")),
        ("Root", data_encoding::HEXLOWER.encode(&root)),
        ("From", shown(making.since, "the beginning of the log")),
        ("Until", shown(making.until, "now")),
        ("Filter", filter.to_owned()),
        ("Made", store.clock.now().to_string()),
        ("Made by", format!("stepgate {}", env!("CARGO_PKG_VERSION"))),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    let policies = policies(making)?;
    if policies.is_empty() {
        facts.push(("Policy".to_owned(), "none was loaded".to_owned()));
    }
    facts.extend(policies.into_iter().map(|policy| ("Policy".to_owned(), policy)));
    let mut notes = Vec::new();
    let floor = store.log.floor();
    if floor > 0 {
        notes.push(format!(
            "Records before number {floor} were deleted by retention, and are not in this report."
        ));
    }
    Ok(Head { title: title.to_owned(), facts, notes })
}

/// The policies that were in force in the period, each with the time it was loaded at.
fn policies(making: &Making<'_>) -> Result<Vec<String>, Failure> {
    let filter = Filter { kind: vec!["policy.loaded".to_owned()], until: making.until, ..Filter::default() };
    let mut found: Vec<(Timestamp, String)> = Vec::new();
    making.each_of(&filter, making.in_order(), &mut |record, fields| {
        let sha256 = text(fields, "policy_sha256").to_owned();
        if found.last().is_some_and(|(_, last)| *last == sha256) {
            return;
        }
        // One that was replaced before the period begins was not in force in it.
        if making.since.is_some_and(|since| record.at <= since) {
            found.clear();
        }
        found.push((record.at, sha256));
    })?;
    let more = found.len().saturating_sub(POLICIES);
    let mut lines: Vec<_> =
        found.into_iter().skip(more).map(|(at, sha256)| format!("{sha256} (loaded {at})")).collect();
    if more > 0 {
        lines.insert(0, format!("… and {more} before these"));
    }
    Ok(lines)
}

/// Whether a value says something.
pub(super) fn says(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => true,
    }
}
