//! Counts what goes to the client, by headers alone.

/// Rows and bytes of the result under way.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    /// How many statements of the message the server has completed.
    pub(crate) completed: usize,
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

    /// What was counted; counting begins anew.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::take(self)
    }
}
