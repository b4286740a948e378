//! Reading the log, record by record.

use crate::records::Stored;
use crate::{Log, LogError};

impl Log {
    /// The durable records `from..end`, in order, and no more than there are when this is called. An error ends it;
    /// records before [`Log::floor`] are not there any more, and asking for one is an error.
    ///
    /// It reads while it is asked for more, and holds no lock in between.
    pub fn read(&self, from: u64, end: u64) -> impl Iterator<Item = Result<Stored, LogError>> + Send + use<> {
        let (lines, failed) = match self.shared().records.read(from, end.min(self.len())) {
            Ok(lines) => (Some(lines), None),
            Err(error) => (None, Some(Err(error))),
        };
        failed.into_iter().chain(lines.into_iter().flatten())
    }

    /// The first record whose bytes are kept; of those before it, the hashes alone are.
    #[must_use]
    pub fn floor(&self) -> u64 {
        0
    }
}
