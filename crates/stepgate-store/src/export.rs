//! Evidence: records, the signed checkpoint over them, and what links the two.

use std::io::Write;

use stepgate_record::verify::{Header, HeaderKeys, checkpoint_line, cuts};
use stepgate_record::{
    Checkpoint, Event, Export, Filter, Frontier, Hash, RECORD_VERSION, Record, VerifierKeys,
};
use stepgate_types::{Timestamp, Who};

use crate::choice::Choice;
use crate::records::Stored;
use crate::slim::time_of;
use crate::{Log, LogError};

/// Which records to export. Times are those in the records; in between, nothing is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExportRange {
    /// From the first record that is not older.
    pub since: Option<Timestamp>,
    /// To the last record that is not younger.
    pub until: Option<Timestamp>,
}

/// What the export's record calls it: neither a bundle's form nor tiles.
const LINES: &str = "lines";

impl ExportRange {
    /// As a filter, whose end is not included.
    fn filter(self) -> Filter {
        let after = |until: Timestamp| Timestamp::from_micros(until.micros().saturating_add(1));
        Filter { since: self.since, until: self.until.map(after), ..Filter::default() }
    }
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

/// Subtrees in runs that end at each tree at which a key took over.
struct Runs {
    done: Vec<Hash>,
    run: Frontier,
    ends: Vec<u64>,
}

impl Runs {
    fn new(keys: &VerifierKeys, begin: u64, end: u64) -> Self {
        Self { done: Vec::new(), run: Frontier::starting_at(begin), ends: cuts(keys, begin, end).collect() }
    }

    fn push(&mut self, hash: Hash) {
        self.run.push(hash);
        let end = self.run.end();
        if self.ends.contains(&end) {
            let run = std::mem::replace(&mut self.run, Frontier::starting_at(end));
            self.done.extend(run.hashes());
        }
    }

    fn hex(&self) -> Vec<String> {
        self.done.iter().map(ToString::to_string).collect()
    }
}

/// The export's place in the tree.
struct Cut {
    before: Runs,
    after: Runs,
    last: Option<Hash>,
}

impl Log {
    /// Writes records as canonical JSON lines between a header and a signed checkpoint, in the form that
    /// [`stepgate_record::verify::verify_export`] reads. Which they are is settled first, and recorded
    /// (`audit.exported`), before the first of them leaves. Blocks the thread.
    ///
    /// # Errors
    /// See [`ExportError`]; what was written so far does not verify.
    pub fn export(
        &self,
        out: &mut dyn Write,
        range: ExportRange,
        operator: Option<Who>,
    ) -> Result<ExportSummary, ExportError> {
        let (first, end) = self.range(range)?;
        let Choice { records, sha256, .. } = self.choose_all(first, end)?;
        let export = Export {
            // Lines have no name: their numbers and the hash over them tell which they are.
            id: String::new(),
            filter: range.filter().for_record(),
            format: LINES.to_owned(),
            redacted: self.is_without_names(first, end)?,
            first: Some(first),
            end: Some(end),
            selected: Some(sha256.to_string()),
        };
        let exported = Event::AuditExported { records, export: Some(export), operator };
        self.append_blocking(vec![exported], Vec::new())?;
        let (frontier, note, keys) = self.shared().checkpoint_with_keys(true)?;
        let cut = self.cut((first, end), frontier.end(), &keys)?;
        let header = Header {
            format: Header::FORMAT.to_owned(),
            version: Header::VERSION,
            log_id: self.id().to_owned(),
            origin: Checkpoint::origin(self.id()),
            verifier_key: keys.newest().to_string(),
            keys: HeaderKeys::of(&keys),
            first,
            records,
            last_hash: cut.last.map(|hash| hash.to_string()).unwrap_or_default(),
            tree_size: frontier.end(),
            before: cut.before.hex(),
            after: cut.after.hex(),
        };
        let mut line = |bytes: &[u8]| out.write_all(bytes).and_then(|()| out.write_all(b"\n"));
        line(&header.line().map_err(|failure| LogError::Io(failure.why))?)?;
        for stored in self.shared().read(first, end)? {
            line(&stored?.bytes)?;
        }
        line(&checkpoint_line(&note))?;
        out.flush()?;
        let root = frontier.root().ok_or(LogError::Closed)?;
        Ok(ExportSummary { first, records, tree_size: frontier.end(), root })
    }

    /// The first record of the range among those there are now, and the number after its last.
    fn range(&self, range: ExportRange) -> Result<(u64, u64), ExportError> {
        let (floor, size) = (self.floor(), self.len());
        let (mut first, mut end) = (None, if range.until.is_none() { size } else { 0 });
        if range != ExportRange::default() {
            for stored in self.shared().read(floor, size)? {
                let Stored { seq, bytes, .. } = stored?;
                let unreadable = || LogError::Unreadable { seq, why: "is none".to_owned() };
                let at = Timestamp::from_micros(time_of(&bytes).ok_or_else(unreadable)?);
                if first.is_none() && range.since.is_none_or(|since| at >= since) {
                    first = Some(seq);
                }
                if range.until.is_some_and(|until| at <= until) {
                    end = seq.saturating_add(1);
                }
            }
        }
        let first = if range.since.is_none() { floor } else { first.unwrap_or(size).min(size) };
        Ok((first, end.max(first)))
    }

    /// Finds the range in the first `size` records.
    fn cut(&self, (first, end): (u64, u64), size: u64, keys: &VerifierKeys) -> Result<Cut, ExportError> {
        let (before, after) = (Runs::new(keys, 0, first), Runs::new(keys, end, size));
        let mut cut = Cut { before, after, last: None };
        self.each_hash(0, size, &mut |seq, hash| {
            if seq < first {
                cut.before.push(hash);
            } else if seq < end {
                cut.last = Some(hash);
            } else {
                cut.after.push(hash);
            }
            Ok(())
        })?;
        Ok(cut)
    }

    /// Whether these records name nobody but by commitments. Those from before there were any are the first ones.
    pub(crate) fn is_without_names(&self, first: u64, end: u64) -> Result<bool, LogError> {
        match self.read(first, end.min(first.saturating_add(1))).next().transpose()? {
            Some(stored) => {
                Ok(Record::decode(&stored.bytes).is_ok_and(|record| record.version == RECORD_VERSION))
            }
            None => Ok(true),
        }
    }
}
