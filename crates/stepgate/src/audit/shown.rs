//! Records as whoever may read the log sees them: with names in place of commitments.

use std::time::Duration;

use serde_json::{Map, Value, json};
use stepgate_record::{AuditRead, Event, Facet, Filter, MAX_PARTS, Reader, Record};
use stepgate_store::{Log, Stored, Subjects};
use stepgate_types::{Actor, SubjectKind, Who};

use crate::failure::Failure;
use crate::operator::log_error;
use crate::store::Store;

/// A record as it is read; what was erased stays a commitment.
pub(super) fn open(stored: &Stored, subjects: &Subjects) -> Result<Record, Failure> {
    let mut record = Record::decode(&stored.bytes)
        .map_err(|error| Failure::usage(format!("record {} is none: {error}", stored.seq)))?;
    record.event.personal(&mut |_, who| {
        if let Who::Commit(commit) = who
            && let Some(subject) = subjects.open(commit)
        {
            *who = Who::Name(subject.value);
        }
    });
    Ok(record)
}

/// A record as it is read, and its event's members with what goes on of them in the records behind it.
pub(super) fn whole(stored: &Stored, log: &Log) -> Result<(Record, Map<String, Value>), Failure> {
    let record = open(stored, log.subjects())?;
    let Ok(Value::Object(mut fields)) = serde_json::to_value(&record.event) else {
        return Ok((record, Map::new()));
    };
    if !record.continued.is_empty() {
        let next = stored.seq.saturating_add(1);
        for part in log.read(next, next.saturating_add(MAX_PARTS)) {
            let part = open(&part.map_err(|error| log_error(&error))?, log.subjects())?;
            let Event::RecordContinued(part) = part.event else { break };
            if let Some(Value::Array(list)) = fields.get_mut(&part.field) {
                list.extend(part.values);
            }
        }
    }
    Ok((record, fields))
}

/// A record as a listing shows it: its place and time, then the event's own fields.
pub(super) fn row(record: &Record) -> Value {
    let mut row = json!({"seq": record.seq, "at": record.at.to_string()});
    if let (Some(row), Ok(Value::Object(event))) = (row.as_object_mut(), serde_json::to_value(&record.event))
    {
        row.extend(event);
        for (name, marks) in [("shortened", &record.shortened), ("continued", &record.continued)] {
            if !marks.is_empty() {
                row.insert(name.to_owned(), json!(marks));
            }
        }
    }
    row
}

/// Finds out once what the people and addresses of a filter are in records.
pub(super) fn resolve(filter: &mut Filter, subjects: &Subjects) {
    filter.resolve(&mut |facet, text| {
        let kind = if facet == Facet::Address { SubjectKind::Address } else { SubjectKind::Person };
        subjects.commit_of(kind, text).map(|commit| commit.to_string())
    });
}

/// Lets what was recorded so far come to disk, where alone it is read; on a disk that is full it does not.
pub(crate) fn settle(log: &Log) {
    let end = log.len().saturating_add(log.backlog());
    for _ in 0..25 {
        if log.len() >= end {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Records that so many records are read, before any of them is shown.
pub(crate) fn told(
    store: &Store,
    by: &Actor,
    how: Reader,
    filter: String,
    records: u64,
) -> Result<(), Failure> {
    let read = AuditRead { how, filter, records, by: by.by(), operator: by.operator() };
    store
        .log
        .append_blocking(vec![Event::AuditRead(read)], Vec::new())
        .map(drop)
        .map_err(|error| log_error(&error))
}
