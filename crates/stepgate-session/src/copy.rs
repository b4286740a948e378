//! COPY FROM STDIN. While PostgreSQL reads its data, it ignores Sync and Flush (`CopyGetData` of copyfromparse.c).
//! Which Sync has a reply must never be in doubt, or replies would be taken for those of other statements: so a Sync
//! waits until the server has said whether it reads data, and is not sent where it does.

use bytes::Bytes;
use stepgate_wire::Piece;

use crate::expect::{self, Owed};
use crate::session::{Gate, Session};

/// The most Syncs that are remembered so; nobody sends more.
const MAX_DROPPED: usize = 64;

/// Where COPY data stand.
#[derive(Debug, Default)]
pub(crate) struct Copying {
    /// The head of a CopyData was sent, and its rest must follow.
    frame_goes: bool,
    /// The statement that last began to read data, and how often it has.
    begun: (u64, usize),
    /// The statement whose answer the server was last asked for.
    flushed: u64,
    /// How many Syncs were dropped since the last data of the COPY under way. If the server has failed on those data, it
    /// would have answered them. (Whether it had when the client ends its data behind them, nobody can tell.)
    dropped: usize,
    /// Data were sent for it.
    has_data: bool,
}

/// What becomes of a Sync.
enum Fate {
    Answered,
    Ignored,
    /// Either, by what comes next from the client or the server.
    ByNext,
    /// Either, until the server has answered this statement.
    Unknown(u64),
}

impl Session {
    /// CopyData executes nothing: outside COPY FROM STDIN, PostgreSQL ignores it.
    pub(crate) fn copy_data(&mut self) {
        let begins = matches!(self.inbox.front(), Some(Piece::Part { first: true, .. }));
        if begins && !self.park.is_empty() && !self.skipping {
            self.leaving = true;
            return;
        }
        let Some(Piece::Part { tag, bytes, first, last }) = self.next_piece() else { return };
        (self.copying.dropped, self.copying.has_data) = (0, true);
        if first {
            self.copying.frame_goes = !self.skipping && self.server.copy_data(tag, &bytes, last);
        } else if self.copying.frame_goes {
            // Whatever the server has said meanwhile: without its rest, it would take what follows for that.
            self.server.copy_data_rest(&bytes, last);
        }
    }

    /// CopyDone or CopyFail.
    pub(crate) fn copy_ends(&mut self, tag: u8, frame: &Bytes) {
        self.next_piece();
        self.copy_in = false;
        (self.copying.dropped, self.copying.has_data) = (0, false);
        self.server.harmless(tag, frame);
        let limited = |owed: &Owed| owed.is_limited() && matches!(owed, Owed::Execute { .. });
        if self.limits.under_way && self.expect.iter().any(|entry| limited(&entry.owed)) {
            // Nothing is sent behind it that would bring out how it ends.
            self.server.flush();
        }
        // Where it stands, for as long as it matters.
        if self.expect.iter().any(|entry| entry.owed.copies_in() > 0) {
            let segment = self.segment;
            self.expect.push_back(expect::Entry { owed: Owed::CopyEnd, segment, ddl: self.ddl });
        }
    }

    /// The server begins to read data for the statement at the head of what is owed.
    pub(crate) fn copy_in_begins(&mut self) {
        let Some(number) = self.expect.front().and_then(|entry| entry.owed.number()) else { return };
        let (of, begun) = self.copying.begun;
        let begun = if of == number { begun.saturating_add(1) } else { 1 };
        self.copying.begun = (number, begun);
        let behind = self.expect.iter().skip(1);
        let ends = behind.take_while(|entry| matches!(entry.owed, Owed::CopyEnd)).count();
        self.copy_in = begun > ends;
    }

    /// The COPY at the head of what is owed has failed: Syncs that were dropped behind its last data are sent now.
    pub(crate) fn copy_failed(&mut self) {
        self.copy_in = false;
        self.copying.has_data = false;
        for _ in 0..std::mem::take(&mut self.copying.dropped) {
            self.server.sync();
            self.skipping = false;
            self.owe(Owed::Sync);
            self.segment = self.segment.saturating_add(1);
        }
    }

    /// Marks at the head of what is owed stand for nothing any more.
    pub(crate) fn drop_copy_marks(&mut self) {
        while self.expect.front().is_some_and(|entry| matches!(entry.owed, Owed::CopyEnd)) {
            self.expect.pop_front();
        }
    }

    /// A Sync at the head of the inbox: whether it may go now. If not, it is gone, or `gate` says what it waits for.
    pub(crate) fn sync_may_go(&mut self) -> bool {
        match self.fate_of_sync() {
            Fate::Answered => true,
            Fate::Ignored => {
                self.next_piece();
                let data = usize::from(self.copying.has_data);
                self.copying.dropped = self.copying.dropped.saturating_add(data).min(MAX_DROPPED);
                false
            }
            Fate::ByNext => {
                self.gate = Gate::InData;
                false
            }
            Fate::Unknown(number) => {
                if self.copying.flushed != number {
                    // What an Execute ends with sits in the server's buffer until then.
                    self.server.flush();
                    self.copying.flushed = number;
                }
                self.gate = Gate::Settling;
                false
            }
        }
    }

    fn fate_of_sync(&self) -> Fate {
        if self.skipping {
            return Fate::Answered;
        }
        let mut ends = 0;
        for (at, entry) in self.expect.iter().enumerate().rev() {
            match (&entry.owed, entry.owed.copies_in()) {
                (Owed::CopyEnd, _) => ends += 1,
                (_, 0) => {}
                (_, copies) if ends >= copies => return Fate::Answered,
                _ if at == 0 && self.copy_in => {
                    return if self.inbox.len() > 1 { Fate::Ignored } else { Fate::ByNext };
                }
                (owed, _) => return Fate::Unknown(owed.number().unwrap_or_default()),
            }
        }
        Fate::Answered
    }
}
