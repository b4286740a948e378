//! `stepgate audit …`: reading, proving and keeping the log.

mod bundle;
mod filter;
mod keys;
mod live;
mod operator;
mod tail;
mod verify;

pub(crate) use operator::{AuditOperator, execute};

use std::io::Write;
use std::path::Path;

use serde_json::Value;
use stepgate_record::Filter;
use stepgate_record::bundle::Format;

use crate::args::{AuditCommand, ExportFormat, Format as ListFormat};
use crate::config::Config;
use crate::failure::Failure;
use crate::harmless::harmless;
use crate::operator::{Link, Operator, Reply};
use crate::output::{self, Listing};

/// Runs one of them.
pub(crate) fn run(config: &Path, command: &AuditCommand) -> Result<(), Failure> {
    match command {
        AuditCommand::Tail { lines, follow, filter: _, output } => {
            tail(&Link::open(&Config::load(config)?)?, *lines, *follow, *output)
        }
        AuditCommand::Verify { path, offline, checkpoint, witness } => {
            verify::verify(config, path.as_deref(), *offline, checkpoint.as_deref(), witness)
        }
        AuditCommand::Export { filter, format, sign, redact, meet, out } => {
            let now = stepgate_types::Clock::now(&crate::system::SystemClock);
            let filter = filter::filter(filter, now)?;
            let wanted = bundle::Wanted {
                filter,
                format: (*format).into(),
                sign: *sign,
                redact: *redact,
                meet: verify::sizes(meet)?,
            };
            export(config, wanted, out.as_deref())
        }
        AuditCommand::Prove { record } => {
            let command = Operator::Audit(AuditOperator::Prove { record: *record });
            write_text(&Link::open(&Config::load(config)?)?, command, None)
        }
        AuditCommand::Checkpoint => {
            let command = Operator::Audit(AuditOperator::Checkpoint {});
            write_text(&Link::open(&Config::load(config)?)?, command, None)
        }
        AuditCommand::RotateKey => {
            let command = Operator::Audit(AuditOperator::RotateKey {});
            write_text(&Link::open(&Config::load(config)?)?, command, None)
        }
        AuditCommand::Cosign { file } => keys::cosign(&Config::load(config)?, file),
        AuditCommand::Sink(command) => crate::deliver::run(config, command),
        _ => Err(Failure::usage("this is not built yet")),
    }
}

/// A bundle, or the records alone.
fn export(config: &Path, wanted: bundle::Wanted, out: Option<&Path>) -> Result<(), Failure> {
    let target = bundle::target(out)?;
    if !matches!(target, bundle::Target::Lines) {
        return bundle::pack(&Link::open(&Config::load(config)?)?, wanted, &target);
    }
    let Filter { since, until, .. } = wanted.filter;
    let plain = wanted.format == Format::Jsonl && !wanted.sign && !wanted.redact && wanted.meet.is_empty();
    if !plain || wanted.filter != (Filter { since, until, ..Filter::default() }) {
        return Err(Failure::usage("lines alone are all records of a time, as they are")
            .hint("for anything else write a bundle: --out NAME.tar, or --out DIRECTORY"));
    }
    let command = Operator::Audit(AuditOperator::Export { since, until });
    write_text(&Link::open(&Config::load(config)?)?, command, out)
}

impl From<ExportFormat> for Format {
    fn from(format: ExportFormat) -> Self {
        match format {
            ExportFormat::Jsonl => Self::Jsonl,
            ExportFormat::Csv => Self::Csv,
            ExportFormat::Parquet => Self::Parquet,
            ExportFormat::Ocsf => Self::Ocsf,
            ExportFormat::Cef => Self::Cef,
        }
    }
}

/// What a CSV of records shows.
const COLUMNS: &[&str] = &[
    "seq", "at", "type", "session", "person", "database", "action", "verdict", "rules", "request", "outcome",
];

fn tail(link: &Link, lines: u64, follow: bool, format: ListFormat) -> Result<(), Failure> {
    let command = Operator::Audit(AuditOperator::Tail { lines, follow });
    if format == ListFormat::Csv || (format == ListFormat::Json && !follow) {
        return Listing::of(COLUMNS, link.rows(command)?).print(format);
    }
    // One line a record, as they come: whoever follows reads each at once.
    let print = |reply| match (reply, format) {
        (Reply::Row(row), ListFormat::Json) => output::print_line(&row.to_string()),
        (Reply::Row(row), _) => output::print_line(&line(&row)),
        _ => Ok(()),
    };
    link.send(command, &mut { print }).map(drop)
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
        Value::String(text) => harmless(text),
        other => harmless(&other.to_string()),
    }
}

/// Writes text as it comes, to a file that appears once it is whole, or to standard output.
fn write_text(link: &Link, command: Operator, out: Option<&Path>) -> Result<(), Failure> {
    let Some(path) = out else {
        let said = link.send(command, &mut |reply| match reply {
            Reply::Text(text) => output::print(&text),
            _ => Ok(()),
        })?;
        said.into_iter().for_each(|said| eprintln!("{said}"));
        return Ok(());
    };
    let trouble = |error: &std::io::Error| Failure::file("write", path, error);
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(dir).map_err(|error| trouble(&error))?;
    let said = link.send(command, &mut |reply| match reply {
        Reply::Text(text) => file.write_all(text.as_bytes()).map_err(|error| trouble(&error)),
        _ => Ok(()),
    })?;
    file.as_file().sync_all().map_err(|error| trouble(&error))?;
    file.persist(path).map_err(|error| trouble(&error.error))?;
    output::print_line(&format!(
        "wrote {}{}",
        path.display(),
        said.map_or(String::new(), |said| format!(": {said}"))
    ))
}
