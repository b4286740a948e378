//! Records on their way: read from the log, in the form that is sent.

use serde::Deserialize;
use stepgate_store::{Log, Stored};

use super::render::Renderer;
use super::trouble::Trouble;

/// The most records that are sent at once, and the most bytes of them.
pub(super) const MAX_RECORDS: u64 = 500;
pub(super) const MAX_BYTES: usize = 1024 * 1024;

/// One record as it is sent: one line.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) head: Head,
    /// Without a line feed, also at its end.
    pub(super) text: Vec<u8>,
}

/// What every record has, of whatever version.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Head {
    pub(super) seq: u64,
    pub(super) ts_us: i64,
    #[serde(rename = "type")]
    pub(super) kind: String,
}

/// Records one after the other, at least one.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    pub(super) lines: Vec<Line>,
}

impl Batch {
    /// The number of the first.
    pub(super) fn first(&self) -> u64 {
        self.lines.first().map_or(0, |line| line.head.seq)
    }

    /// Whether there was no room for more.
    pub(super) fn is_full(&self, most: u64) -> bool {
        let bytes: usize = self.lines.iter().map(|line| line.text.len()).sum();
        u64::try_from(self.lines.len()).is_ok_and(|lines| lines >= most) || bytes >= MAX_BYTES / 2
    }

    /// One more than the number of the last.
    pub(super) fn end(&self) -> u64 {
        self.lines.last().map_or(0, |line| line.head.seq.saturating_add(1))
    }
}

/// Where records come from.
pub(super) struct Source {
    pub(super) log: Log,
    pub(super) renderer: Renderer,
}

impl Source {
    /// The records from `from` on, as many as fit, `most` of them at most; `None`: there is none yet.
    pub(super) fn batch(&self, from: u64, most: u64) -> Result<Option<Batch>, Trouble> {
        let end = self.log.len().min(from.saturating_add(most.clamp(1, MAX_RECORDS)));
        let (mut lines, mut bytes) = (Vec::new(), 0_usize);
        self.each(from, end, &mut |line| {
            bytes = bytes.saturating_add(line.text.len()).saturating_add(1);
            if bytes > MAX_BYTES && !lines.is_empty() {
                return false;
            }
            lines.push(line);
            true
        })?;
        Ok((!lines.is_empty()).then_some(Batch { lines }))
    }

    /// Hands each of the records to `f`, until that has enough.
    pub(super) fn each(&self, from: u64, end: u64, f: &mut dyn FnMut(Line) -> bool) -> Result<(), Trouble> {
        if from >= end {
            return Ok(());
        }
        let trouble =
            |error: &dyn std::fmt::Display| Trouble::new(format!("the log cannot be read: {error}"));
        for stored in self.log.read(from, end) {
            let line = self.line(&stored.map_err(|error| trouble(&error))?)?;
            if !f(line) {
                break;
            }
        }
        Ok(())
    }

    fn line(&self, stored: &Stored) -> Result<Line, Trouble> {
        let seq = stored.seq;
        let head: Head = serde_json::from_slice(&stored.bytes)
            .map_err(|_| Trouble::new(format!("record {seq} is none; see `stepgate audit verify`")))?;
        Ok(Line { head, text: self.renderer.line(stored)? })
    }

    /// The leaf hash (hex) of the record before this one.
    pub(super) fn hash_before(&self, next: u64) -> Option<String> {
        let last = next.checked_sub(1)?;
        let stored = self.log.read(last, next).next()?.ok()?;
        Some(stored.hash.to_string())
    }
}
