//! `stepgate audit sink …`.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use stepgate_record::{Event, Sink};
use stepgate_store::{Cursor, CursorFile, FoundCursor};
use stepgate_types::Actor;
use tokio::sync::mpsc;

use super::Delivery;
use super::quiet::end_for;
use super::status::{Status, WayStatus};
use crate::args::SinkCommand;
use crate::config::{Audit, Config};
use crate::failure::Failure;
use crate::findings::Findings;
use crate::operator::{Link, Operator, Reply, is_served, log_error, off};
use crate::output::{self, Listing};

/// The operator's commands on sinks.
#[derive(Serialize, Deserialize)]
#[serde(tag = "sink", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum SinkOperator {
    /// Answers with a row a sink, then a row a way of checkpoints, then a row a witness that is asked.
    List {},
    /// Has a sink sent all from this record on.
    Reset { name: String, from: u64 },
}

/// What `audit sink ls` shows.
const COLUMNS: &[&str] =
    &["sink", "kind", "to", "next", "lag", "state", "failing_seconds", "failures", "error"];

/// Runs one of them.
pub(crate) fn run(config: &Path, command: &SinkCommand) -> Result<(), Failure> {
    let link = Link::open(&Config::load(config)?)?;
    match command {
        SinkCommand::Ls(args) => {
            Listing::of(COLUMNS, link.rows(Operator::Sink(SinkOperator::List {}))?).print(args.output)
        }
        SinkCommand::Reset { name, from } => {
            let command = SinkOperator::Reset { name: name.clone(), from: *from };
            let said = link.tell(Operator::Sink(command))?;
            said.map_or(Ok(()), |said| output::print_line(&said))
        }
    }
}

/// Does it. `serving`: the sinks are at work in this process.
pub(crate) async fn execute(
    delivery: &Arc<Delivery>,
    by: &Actor,
    serving: bool,
    command: SinkOperator,
    out: &mpsc::Sender<Reply>,
) -> Result<Option<String>, Failure> {
    match command {
        SinkOperator::List {} => {
            for row in delivery.rows(serving) {
                out.send(Reply::Row(row)).await.map_err(|_| Failure::unreachable("nobody listens"))?;
            }
            Ok(None)
        }
        SinkOperator::Reset { name, from } => {
            let kind = delivery.resettable(serving, &name, from)?.kind.to_owned();
            let event = Event::SinkReset(Sink {
                name: name.clone(),
                kind,
                cursor: from,
                reason: String::new(),
                operator: by.operator(),
            });
            delivery.log.append(vec![event], Vec::new()).await.map_err(|error| log_error(&error))?;
            let delivery = Arc::clone(delivery);
            off(move || delivery.reset(serving, &name, from)).await.map(Some)
        }
    }
}

impl Delivery {
    pub(super) fn rows(&self, serving: bool) -> Vec<Value> {
        let records = self.log.len();
        let sinks = self.sinks.iter().map(|sink| {
            if !serving {
                sink.state().next = self.kept(sink, records);
            }
            sink.row(records)
        });
        let others = self.ways.iter().chain(&self.witnesses);
        let notices = self.notices.iter().map(|(_, notice)| notice.row(records));
        let others = others.map(|way: &Arc<WayStatus>| way.row(end_for(&self.log, way.sent().size)));
        let rows = sinks.chain(others).chain(notices);
        let mut rows: Vec<_> = rows.collect();
        for row in rows.iter_mut().filter(|_| !serving) {
            row["state"] = "off".into();
        }
        rows
    }

    /// How far its file says that it is.
    pub(super) fn kept(&self, sink: &Status, records: u64) -> u64 {
        match CursorFile::new(&self.data, &sink.name).read() {
            Ok(FoundCursor::Cursor(cursor)) => cursor.next,
            Ok(FoundCursor::None) => records,
            Ok(FoundCursor::Damaged) | Err(_) => self.log.floor(),
        }
    }

    /// The sink of that name, if it can be sent all from there on: nothing may be skipped.
    pub(super) fn resettable(&self, serving: bool, name: &str, from: u64) -> Result<&Status, Failure> {
        let Some(sink) = self.sinks.iter().find(|sink| sink.name == name) else {
            return Err(Failure::no(format!("there is no sink {name}")).hint("see: stepgate audit sink ls"));
        };
        let (oldest, records) = (self.log.floor(), self.log.len());
        let next = if serving { sink.state().next } else { self.kept(sink, records) };
        if !(oldest..=records).contains(&from) {
            return Err(Failure::no(format!("the log has records {oldest} to {records} only")));
        }
        if from > next {
            return Err(Failure::no(format!(
                "{name} is at record {next}: those up to {from} would be skipped"
            ))
            .hint("a sink of another name begins with what is recorded from then on"));
        }
        Ok(sink)
    }

    /// Has a sink sent all from there on. Blocks the thread.
    pub(super) fn reset(&self, serving: bool, name: &str, from: u64) -> Result<String, Failure> {
        let sink = self.resettable(serving, name, from)?;
        let cursor = Cursor { log_id: self.log.id().to_owned(), next: from, last_hash: None, place: None };
        let _writing = sink.writing();
        // On disk before it is acknowledged, whatever the sink is at just now.
        CursorFile::new(&self.data, name)
            .write(&cursor)
            .map_err(|error| Failure::usage(format!("the cursor of {name} cannot be written: {error}")))?;
        if serving {
            sink.state().reset = Some(from);
            sink.asked.notify_one();
        }
        Ok(format!("{name} is sent all from record {from} on; what it has, it gets again"))
    }
}

/// Looks whether checkpoints leave, and whether sinks work.
pub(crate) fn doctor(config: &Config, findings: &mut Findings) {
    let audit: &Audit = &config.audit;
    if audit.checkpoints.is_empty() {
        findings.warn(
            "checkpoints",
            "none leave this host: whoever rules it can write another history of the log",
            "name a way in audit.checkpoints, such as {file: /mnt/elsewhere/stepgate}: a directory on the other disk, \
             not where it is mounted, which is there without it too",
        );
    }
    let none = audit.sinks.is_empty() && audit.checkpoints.is_empty() && audit.witnesses.is_empty();
    if !matches!(is_served(config), Ok(true)) || none {
        return;
    }
    match Link::open(config).and_then(|link| link.rows(Operator::Sink(SinkOperator::List {}))) {
        Err(failure) => findings.result("sinks", Err(failure)),
        Ok(rows) => rows.iter().for_each(|row| told(row, findings)),
    }
}

fn told(row: &Value, findings: &mut Findings) {
    let text = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default();
    let lag = row.get("lag").and_then(Value::as_u64).unwrap_or(0);
    let check = format!("sink {}", text("sink"));
    let detail = format!("{} to {}, {lag} records to go", text("kind"), text("to"));
    if text("state") == "failing" {
        findings.warn(
            &check,
            format!("{detail}: {}", text("error")),
            "nothing is lost; see that it gets through",
        );
    } else {
        findings.ok(&check, detail);
    }
}
