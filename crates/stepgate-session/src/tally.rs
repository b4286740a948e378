//! Counts what goes to the client, by headers alone.

use stepgate_wire::HEADER;

/// Rows and bytes of the result under way.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    /// How many statements of the message the server has completed.
    pub(crate) completed: usize,
    /// One of them has prepared a transaction. PREPARE TRANSACTION undoes one that has failed, and says so in its tag alone.
    pub(crate) prepared: bool,
    /// A COPY in binary format is under way, the last frame of which is no row (PostgreSQL documentation, "COPY", "File
    /// Trailer").
    is_binary: bool,
}

impl Tally {
    /// Counts a piece of a DataRow or CopyData; `first` if a frame begins with it.
    pub(crate) fn count(&mut self, bytes: usize, first: bool) {
        self.count_run(bytes, u64::from(first));
    }

    /// Counts so many bytes in which so many frames begin.
    pub(crate) fn count_run(&mut self, bytes: usize, begun: u64) {
        self.rows = self.rows.saturating_add(begun);
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// A COPY begins (CopyOutResponse), or all of it has come (CopyDone).
    pub(crate) fn copies(&mut self, frame: &[u8]) {
        let was_binary = std::mem::replace(&mut self.is_binary, frame.get(HEADER) == Some(&1));
        if frame.first() == Some(&b'c') && was_binary {
            self.rows = self.rows.saturating_sub(1);
        }
    }

    /// What was counted; counting begins anew.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::take(self)
    }
}
