//! `audit report`: what examiners ask for.
//!
//! The gate makes a report from its records and sends it in parts; the command line writes it.

mod activity;
mod approvals;
mod csv;
mod head;
pub(crate) mod html;
mod known;
mod make;
mod subject;
mod table;

use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(crate) use make::make;

use super::AuditOperator;
use super::bundle::{free_file, sync_parent};
use super::filter::{in_order, time};
use crate::args::{ReportArgs, ReportCommand, ReportFormat};
use crate::config::Config;
use crate::failure::Failure;
use crate::operator::{Link, Operator, Reply};
use crate::output;
use stepgate_types::{PersonName, Timestamp};

/// Which report.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Asked {
    /// What a person did.
    Activity { person: PersonName },
    /// Who asked, who approved.
    Approvals {},
    /// Who read what of a subject; in these databases, or in all.
    SubjectAccess {
        relation: String,
        key: String,
        #[serde(default)]
        database: Vec<String>,
    },
}

/// The beginning of a report: what it is of, and what it can be checked with.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Head {
    /// `Activity of dana`.
    pub(crate) title: String,
    /// Names and values, in order.
    pub(crate) facts: Vec<(String, String)>,
    /// What whoever reads it must know.
    pub(crate) notes: Vec<String>,
}

/// A table of a report.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Section {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<Value>>,
}

impl Section {
    fn new(name: &str, title: &str, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|column| (*column).to_owned()).collect();
        Self { name: name.to_owned(), title: title.to_owned(), columns, rows: Vec::new() }
    }
}

/// A whole report.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) head: Head,
    pub(crate) sections: Vec<Section>,
}

/// A piece of it on its way.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Part {
    Head(Head),
    Section(Section),
    /// More rows of the section before.
    Rows(Vec<Vec<Value>>),
}

/// Rows that are sent at once.
const AT_ONCE: usize = 200;

impl Report {
    /// In pieces that are each a line of the socket.
    fn parts(self) -> impl Iterator<Item = Part> {
        let sections = self.sections.into_iter().flat_map(|mut section| {
            let rows = std::mem::take(&mut section.rows);
            let pieces: Vec<_> = rows.chunks(AT_ONCE).map(|rows| Part::Rows(rows.to_vec())).collect();
            std::iter::once(Part::Section(section)).chain(pieces)
        });
        std::iter::once(Part::Head(self.head)).chain(sections)
    }

    fn take(&mut self, part: Part) {
        match part {
            Part::Head(head) => self.head = head,
            Part::Section(section) => self.sections.push(section),
            Part::Rows(rows) => {
                if let Some(section) = self.sections.last_mut() {
                    section.rows.extend(rows);
                }
            }
        }
    }

    fn json(&self) -> String {
        let sections: serde_json::Map<String, Value> = self
            .sections
            .iter()
            .map(|section| {
                let rows = section.rows.iter().map(|row| {
                    let cells = section.columns.iter().cloned().zip(row.iter().cloned());
                    Value::Object(cells.collect())
                });
                (section.name.clone(), rows.collect())
            })
            .collect();
        let facts: serde_json::Map<String, Value> =
            self.head.facts.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let report = json!({"title": self.head.title, "report": facts, "notes": self.head.notes, "sections": sections});
        serde_json::to_string_pretty(&report).unwrap_or_default() + "\n"
    }

    fn write(&self, format: ReportFormat) -> String {
        match format {
            ReportFormat::Table => table::write(self),
            ReportFormat::Json => self.json(),
            ReportFormat::Csv => csv::write(self),
            ReportFormat::Html => html::write(self),
        }
    }
}

/// Has a report made, and writes it.
pub(crate) fn run(config: &Config, command: &ReportCommand, now: Timestamp) -> Result<(), Failure> {
    let (asked, args) = match command {
        ReportCommand::Activity { person, report } => (Asked::Activity { person: person.clone() }, report),
        ReportCommand::Approvals { report } => (Asked::Approvals {}, report),
        ReportCommand::SubjectAccess { subject, database, report } => {
            let (relation, key) = known::subject(config, subject)?;
            (Asked::SubjectAccess { relation, key, database: database.clone() }, report)
        }
    };
    let ReportArgs { since, until, output, out } = args;
    let since = since.as_deref().map(|text| time(text, now)).transpose()?;
    let until = until.as_deref().map(|text| time(text, now)).transpose()?;
    in_order(since, until)?;
    // Nothing is made, and recorded as made, that could not be written.
    out.as_deref().map_or(Ok(()), free_file)?;
    let mut report = Report::default();
    let command = Operator::audit(AuditOperator::Report { report: asked, since, until });
    Link::open(config)?.send(command, &mut |reply| {
        if let Reply::Row(row) = reply {
            report
                .take(serde_json::from_value(row).map_err(|error| Failure::unreachable(error.to_string()))?);
        }
        Ok(())
    })?;
    let text = report.write(*output);
    match out {
        None => output::print(&text),
        Some(path) => {
            write_file(path, &text).map_err(|error| Failure::file("write", path, &error))?;
            output::print_line(&format!("wrote {}", path.display()))
        }
    }
}

/// It has its name only once it is whole, and takes it from nothing that is there.
fn write_file(path: &Path, text: &str) -> std::io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map_err(|error| error.error)?;
    sync_parent(path)
}

/// A cell as text.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
