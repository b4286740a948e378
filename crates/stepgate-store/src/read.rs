//! Reading the log, record by record.

use stepgate_record::{Record, RecordError};

use crate::records::{Lines, Stored};
use crate::scan::Scan;
use crate::writer::Shared;
use crate::{Log, LogError};

impl Log {
    /// The durable records `from..end`, in order, and no more than there are when this is called. An error ends it;
    /// records before [`Log::floor`] are not there any more, and asking for one is an error.
    ///
    /// It reads while it is asked for more, and holds no lock in between.
    pub fn read(&self, from: u64, end: u64) -> impl Iterator<Item = Result<Stored, LogError>> + Send + use<> {
        let (lines, failed) = match self.shared().read(from, end.min(self.len())) {
            Ok(lines) => (Some(lines), None),
            Err(error) => (None, Some(Err(error))),
        };
        failed.into_iter().chain(lines.into_iter().flatten())
    }

    /// Hands all durable records from number `from` on to `f`, in order.
    ///
    /// # Errors
    /// A record cannot be read.
    pub fn replay(&self, from: u64, f: &mut dyn FnMut(u64, &Record)) -> Result<(), LogError> {
        for stored in self.shared().read(from, self.len())? {
            let Stored { seq, bytes, .. } = stored?;
            let unreadable =
                |error: RecordError| LogError::Unreadable { seq, why: format!("is none: {error}") };
            f(seq, &Record::decode(&bytes).map_err(unreadable)?);
        }
        Ok(())
    }

    /// The last `n` durable records, oldest first.
    ///
    /// # Errors
    /// A record cannot be read.
    pub fn tail(&self, n: u64) -> Result<Vec<Record>, LogError> {
        let mut records = Vec::new();
        self.replay(self.len().saturating_sub(n), &mut |_, record| records.push(record.clone()))?;
        Ok(records)
    }

    /// The first record whose bytes are kept; of those before it, the hashes alone are.
    #[must_use]
    pub fn floor(&self) -> u64 {
        self.shared().archive.floor()
    }
}

impl Shared {
    /// The records `from..end`, all of which are on disk.
    pub(crate) fn read(&self, from: u64, end: u64) -> Result<Lines, LogError> {
        if from < end {
            self.kept_from(from)?;
        }
        self.records.read(from, end, self.archive.place(from))
    }

    /// A scan whose next frame holds record number `from`, which is on disk.
    pub(crate) fn scan_from(&self, from: u64) -> Result<Scan, LogError> {
        self.kept_from(from)?;
        self.records.scan_from(from, self.archive.place(from))
    }

    fn kept_from(&self, seq: u64) -> Result<(), LogError> {
        if seq < self.archive.floor() {
            return Err(LogError::Unreadable { seq, why: "was deleted by retention".to_owned() });
        }
        Ok(())
    }
}
