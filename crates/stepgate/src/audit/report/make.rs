//! Making a report, at the gate.

use serde_json::{Map, Value};
use stepgate_record::{Filter, Reader, Record};
use stepgate_store::{LogError, Search, Stored};
use stepgate_types::{Actor, Timestamp};
use tokio::sync::mpsc;

use super::{Asked, Report, activity, approvals, subject};
use crate::audit::shown;
use crate::failure::Failure;
use crate::operator::{Reply, log_error};
use crate::store::Store;

/// The most rows of a section: it is for people to read.
pub(super) const MOST_ROWS: usize = 20_000;

/// The most that is kept in memory for a report of what it counts.
pub(super) const MOST_COUNTED: usize = 1_000_000;

/// What a report is made with.
pub(super) struct Making<'s> {
    pub(super) store: &'s Store,
    pub(super) since: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
}

/// What is done with each record and its members.
pub(super) type Each<'e> = &'e mut dyn FnMut(&Record, &Map<String, Value>);

impl Making<'_> {
    /// The filter of the period.
    pub(super) fn period(&self) -> Filter {
        Filter { since: self.since, until: self.until, ..Filter::default() }
    }

    /// By an index, the oldest first.
    pub(super) const fn in_order(&self) -> Search {
        Search { reverse: false, scan: false, end: u64::MAX }
    }

    /// Hands on the records that pass, with names in place of commitments. Names in the filter are looked up.
    pub(super) fn each(&self, filter: &Filter, each: Each<'_>) -> Result<(), Failure> {
        self.each_of(filter, self.in_order(), each)
    }

    pub(super) fn each_of(&self, filter: &Filter, how: Search, each: Each<'_>) -> Result<(), Failure> {
        self.each_until(filter, how, &mut |record, fields| {
            each(record, fields);
            true
        })
    }

    /// The same until `each` says that it has enough.
    pub(super) fn each_until(
        &self,
        filter: &Filter,
        how: Search,
        each: &mut dyn FnMut(&Record, &Map<String, Value>) -> bool,
    ) -> Result<(), Failure> {
        let mut filter = filter.clone();
        shown::resolve(&mut filter, self.store.log.subjects());
        let mut failed = None;
        let mut take = |stored: Stored| match shown::whole(&stored, &self.store.log) {
            Ok((record, fields)) => each(&record, &fields),
            Err(failure) => {
                failed = Some(failure);
                false
            }
        };
        let done: Result<(), LogError> = self.store.finder.search(&filter, how, &mut take);
        done.map_err(|error| log_error(&error))?;
        failed.map_or(Ok(()), Err)
    }
}

/// A text member; empty where there is none.
pub(super) fn text<'f>(fields: &'f Map<String, Value>, name: &str) -> &'f str {
    fields.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A number; 0 where there is none.
pub(super) fn number(fields: &Map<String, Value>, name: &str) -> u64 {
    fields.get(name).and_then(Value::as_u64).unwrap_or_default()
}

/// The texts of a list.
pub(super) fn texts<'f>(fields: &'f Map<String, Value>, name: &str) -> impl Iterator<Item = &'f str> {
    fields.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// The labels that a statement touches, each once.
pub(super) fn labels(fields: &Map<String, Value>) -> Vec<String> {
    let columns = fields.get("columns").and_then(Value::as_array).into_iter().flatten();
    let labels = columns.filter_map(|column| column.get("label").and_then(Value::as_str));
    let mut labels: Vec<_> = labels.filter(|label| !label.is_empty()).map(str::to_owned).collect();
    labels.sort_unstable();
    labels.dedup();
    labels
}

/// Makes the report, records that, and answers with it in parts. Blocks the thread.
pub(crate) fn make(
    store: &Store,
    by: &Actor,
    asked: &Asked,
    (since, until): (Option<Timestamp>, Option<Timestamp>),
    out: &mpsc::Sender<Reply>,
) -> Result<Option<String>, Failure> {
    shown::settle(&store.log);
    let making = Making { store, since, until };
    let report = match asked {
        Asked::Activity { person } => activity::make(&making, person)?,
        Asked::Approvals {} => approvals::make(&making)?,
        Asked::SubjectAccess { relation, key, database } => subject::make(&making, relation, key, database)?,
    };
    let Report { mut head, sections } = report.body;
    // Recorded before anything of it is shown; the head then names a tree that covers that as well.
    shown::told(store, by, Reader::Report, report.filter, report.records)?;
    let made = super::head::head(&making, &head.title, &report.shown_filter)?;
    head.facts = made.facts;
    head.notes.extend(made.notes);
    for part in (Report { head, sections }).parts() {
        let row = serde_json::to_value(part).unwrap_or_default();
        out.blocking_send(Reply::Row(row))
            .map_err(|_| Failure::unreachable("nobody listens to the answer"))?;
    }
    Ok(None)
}

/// A report that was made, and what is recorded of that.
pub(super) struct Made {
    pub(super) body: Report,
    /// The filter as it is recorded: without names.
    pub(super) filter: String,
    /// And as it is shown.
    pub(super) shown_filter: String,
    /// How many records it was made from.
    pub(super) records: u64,
}

/// Too much for one report.
pub(super) fn too_much() -> Failure {
    Failure::usage(format!("there are more than {MOST_COUNTED} statements or sessions in this period"))
        .hint("narrow it down with --since and --until, or use `stepgate audit export`")
}
