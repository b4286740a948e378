//! `audit tail`: the last records, and those that follow.

use serde_json::{Value, json};
use stepgate_record::{Names, Record};
use tokio::sync::mpsc;

use crate::failure::Failure;
use crate::operator::{Reply, log_error};
use crate::store::Store;

type Out<'a> = &'a mpsc::Sender<Reply>;

async fn row(out: Out<'_>, value: Value) -> Result<(), Failure> {
    out.send(Reply::Row(value)).await.map_err(|_| gone())
}

/// The answer was cut off: whoever asked is gone.
fn gone() -> Failure {
    Failure::unreachable("nobody listens to the answer")
}

/// Records that are read at once, some kilobytes each; who falls further behind while following misses
/// some, and `audit export` has them.
const MAX_TAIL: u64 = 10_000;

/// The last `lines` records, and, where `follow`, each new one.
pub(super) async fn tail(
    store: &Store,
    lines: u64,
    follow: bool,
    out: Out<'_>,
) -> Result<Option<String>, Failure> {
    let mut durable = store.log.watch();
    let mut next = store.log.len();
    for record in store.log.tail(lines.min(MAX_TAIL)).map_err(|error| log_error(&error))? {
        next = record.seq + 1;
        row(out, record_row(&record, store.log.subjects())).await?;
    }
    if !follow {
        return Ok(None);
    }
    loop {
        tokio::select! {
            changed = durable.changed() => changed.map_err(|_| Failure::unreachable("the gate has stopped"))?,
            () = out.closed() => return Err(gone()),
        }
        while next < store.log.len() {
            let behind = store.log.len() - next;
            for record in store.log.tail(behind.min(MAX_TAIL)).map_err(|error| log_error(&error))? {
                if record.seq >= next {
                    next = record.seq + 1;
                    row(out, record_row(&record, store.log.subjects())).await?;
                }
            }
        }
    }
}

/// A record as a listing shows it: its place and time, then the event's own fields.
fn record_row(record: &Record, names: &dyn Names) -> Value {
    let mut row = json!({"seq": record.seq, "at": record.at.to_string()});
    if let (Some(row), Ok(Value::Object(event))) = (row.as_object_mut(), {
        let mut event = record.event.clone();
        event.open(names);
        serde_json::to_value(&event)
    }) {
        row.extend(event);
        if !record.shortened.is_empty() {
            row.insert("shortened".to_owned(), json!(record.shortened));
        }
    }
    row
}
