//! A record in the form that a sink wants.

use stepgate_record::Record;
use stepgate_record::render::Style;
use stepgate_store::{Log, Stored, Subjects};

use super::trouble::Trouble;
use crate::config::{Format, Names, Sink};

/// Writes records in one form.
pub(super) struct Renderer {
    style: Style,
    /// Who opens commitments, where names leave.
    subjects: Option<Subjects>,
}

impl Renderer {
    pub(super) fn new(sink: &Sink, log: &Log) -> Self {
        let style = match sink.format {
            Format::Jsonl => Style::Jsonl,
            Format::Cef => Style::Cef,
            Format::Ocsf => Style::Ocsf,
        };
        Self { style, subjects: (sink.names == Names::Open).then(|| log.subjects().clone()) }
    }

    /// Records as they are, without names.
    pub(super) const fn as_written() -> Self {
        Self { style: Style::Jsonl, subjects: None }
    }

    /// One line, without a line feed.
    pub(super) fn line(&self, stored: &Stored) -> Result<Vec<u8>, Trouble> {
        if self.style == Style::Jsonl && self.subjects.is_none() {
            return Ok(stored.bytes.clone());
        }
        // What cannot be read is damaged: it is neither skipped nor sent as something else.
        let record = Record::decode(&stored.bytes)
            .map_err(|error| Trouble::new(format!("record {} is none: {error}", stored.seq)))?;
        let line = match &self.subjects {
            Some(subjects) => self.style.line(&record, subjects),
            None => self.style.line(&record, &()),
        };
        Ok(line.into_bytes())
    }
}
