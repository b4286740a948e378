//! Reading the log, record by record.

use crate::records::{Lines, Stored};
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

    /// The first record whose bytes are kept; of those before it, the hashes alone are.
    #[must_use]
    pub fn floor(&self) -> u64 {
        self.shared().archive.floor()
    }
}

impl Shared {
    /// The records `from..end`, all of which are on disk.
    pub(crate) fn read(&self, from: u64, end: u64) -> Result<Lines, LogError> {
        let floor = self.archive.floor();
        if from < floor && from < end {
            return Err(LogError::Unreadable { seq: from, why: "was deleted by retention".to_owned() });
        }
        self.records.read(from, end, self.archive.place(from))
    }
}
