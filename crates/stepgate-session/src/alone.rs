//! What changes names for others is sent when nothing else is under way, and nothing is sent behind it until it is answered,
//! nor while its transaction is open. So whoever hangs on those names need not wait for what its session has sent besides, and
//! whether it is committed can be asked of the server.
//!
//! That holds from Sync to Sync: what a driver sends before one is done as one anyway.

use stepgate_sql::Facts;
use stepgate_wire::Piece;

use crate::session::{Gate, Session};

impl Session {
    /// Whether these statements have to wait until what was sent before their segment is answered.
    pub(crate) fn must_be_alone(&mut self, facts: &[Facts]) -> bool {
        let waits = facts.iter().any(Facts::changes_names_of_others)
            && !self.copy_in
            && self.expect.iter().any(|entry| entry.owed.is_of_client() && entry.owed.ends_with_ready());
        if waits {
            self.gate = Gate::Settling;
        }
        waits
    }

    /// Such statements are sent.
    pub(crate) fn sends_alone(&mut self, facts: &[Facts]) {
        self.alone |= facts.iter().any(Facts::changes_names_of_others);
    }

    /// Whether nothing may be sent before those are answered. COPY data is part of them.
    pub(crate) fn waits_alone(&mut self) -> bool {
        let Some(last) = self.expect.back() else {
            self.alone = self.segment_begun || self.status != b'I';
            return false;
        };
        let is_more = matches!(self.inbox.front().map(Piece::tag), Some(b'd' | b'c' | b'f' | b'H' | b'X'));
        last.owed.ends_with_ready() && !self.copy_in && !is_more
    }

    /// Whether a ReadyForQuery is outstanding.
    #[must_use]
    pub fn owes_a_ready(&self) -> bool {
        self.expect.iter().any(|entry| entry.owed.ends_with_ready())
    }

    /// Whether what the server has not answered is of one segment, which may not have ended yet; or nothing, in a transaction
    /// that is open.
    #[must_use]
    pub fn owes_one_segment(&self) -> bool {
        let readies = self.expect.iter().filter(|entry| entry.owed.ends_with_ready()).count();
        let is_last = self.expect.back().is_some_and(|last| last.owed.ends_with_ready());
        let is_open = self.segment_begun || self.status != b'I';
        readies == usize::from(is_last) && (is_open || !self.expect.is_empty())
    }
}
