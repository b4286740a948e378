//! Evidence: records, the signed checkpoint over them, and what links the two.

use std::io::Write;

use stepgate_record::verify::{Header, checkpoint_line};
use stepgate_record::{Checkpoint, Event, Frontier, Hash, Record, RecordError};
use stepgate_types::Timestamp;

use crate::records::Stored;
use crate::{Log, LogError};

/// Which records to export. Times are those in the records; in between, nothing is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExportRange {
    /// From the first record that is not older.
    pub since: Option<Timestamp>,
    /// To the last record that is not younger.
    pub until: Option<Timestamp>,
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportSummary {
    /// Number of the first record.
    pub first: u64,
    /// How many records.
    pub records: u64,
    /// Size of the tree that the export's checkpoint signs.
    pub tree_size: u64,
    /// Its root.
    pub root: Hash,
}

/// Why there is no export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The log refused.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The export cannot be written where it should go.
    #[error("the export cannot be written: {0}")]
    Write(#[from] std::io::Error),
}

/// The export's place in the tree.
struct Cut {
    first: u64,
    end: u64,
    before: Frontier,
    after: Frontier,
    last: Option<Hash>,
}

impl Log {
    /// Writes records as canonical JSON lines between a header and a signed checkpoint, in the form that
    /// [`stepgate_record::verify::verify_export`] reads. That they were read is recorded first
    /// (`audit.exported`). Blocks the thread.
    ///
    /// # Errors
    /// See [`ExportError`]; what was written so far does not verify.
    pub fn export(&self, out: &mut dyn Write, range: ExportRange) -> Result<ExportSummary, ExportError> {
        let before = self.cut(range, self.len())?;
        let exported = Event::AuditExported { records: before.end.saturating_sub(before.first) };
        self.append_blocking(vec![exported], Vec::new())?;
        let (frontier, note) = self.shared().checkpoint(true)?;
        let cut = self.cut(range, frontier.end())?;
        let hex = |frontier: &Frontier| frontier.hashes().iter().map(ToString::to_string).collect();
        let records = cut.end.saturating_sub(cut.first);
        let header = Header {
            format: Header::FORMAT.to_owned(),
            version: Header::VERSION,
            log_id: self.id().to_owned(),
            origin: Checkpoint::origin(self.id()),
            verifier_key: self.verifier_key().to_string(),
            first: cut.first,
            records,
            last_hash: cut.last.map(|hash| hash.to_string()).unwrap_or_default(),
            tree_size: frontier.end(),
            before: hex(&cut.before),
            after: hex(&cut.after),
        };
        let mut line = |bytes: &[u8]| out.write_all(bytes).and_then(|()| out.write_all(b"\n"));
        line(&header.line().map_err(|failure| LogError::Io(failure.why))?)?;
        for stored in self.shared().read(cut.first, cut.end)? {
            line(&stored?.bytes)?;
        }
        line(&checkpoint_line(&note))?;
        out.flush()?;
        let root = frontier.root().ok_or(LogError::Closed)?;
        Ok(ExportSummary { first: cut.first, records, tree_size: frontier.end(), root })
    }

    /// Finds the range in the first `size` records.
    fn cut(&self, range: ExportRange, size: u64) -> Result<Cut, LogError> {
        let (mut first, mut end) = (None, if range.until.is_none() { size } else { 0 });
        if range != ExportRange::default() {
            for stored in self.shared().read(0, size)? {
                let Stored { seq, bytes, .. } = stored?;
                let unreadable =
                    |error: RecordError| LogError::Unreadable { seq, why: format!("is none: {error}") };
                let at = Record::decode(&bytes).map_err(unreadable)?.at;
                if first.is_none() && range.since.is_none_or(|since| at >= since) {
                    first = Some(seq);
                }
                if range.until.is_some_and(|until| at <= until) {
                    end = seq.saturating_add(1);
                }
            }
        }
        let first = if range.since.is_none() { 0 } else { first.unwrap_or(size).min(size) };
        let end = end.max(first);
        let mut cut =
            Cut { first, end, before: Frontier::default(), after: Frontier::starting_at(end), last: None };
        for stored in self.shared().read(0, size)? {
            let Stored { seq, hash, .. } = stored?;
            if seq < first {
                cut.before.push(hash);
            } else if seq < end {
                cut.last = Some(hash);
            } else {
                cut.after.push(hash);
            }
        }
        Ok(cut)
    }
}
