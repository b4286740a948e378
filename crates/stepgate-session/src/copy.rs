//! COPY FROM STDIN. While PostgreSQL reads its data, it ignores Sync and Flush (`CopyGetData` of copyfromparse.c).
//! Which Sync has a reply must never be in doubt, or replies would be taken for those of other statements: so a Sync
//! waits until the server has said whether it reads data, and is not sent where it does.
//!
//! Outside of it, PostgreSQL ignores data: but whatever is overdue (`statement_timeout`) strikes when it has read any message,
//! and by an error there it neither skips up to Sync nor leaves ReadyForQuery to that (`SocketBackend` of postgres.c does not
//! count data among the messages of the extended protocol). So data that nothing reads are not sent.

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

/// Whether something reads the client's data, as far as that can be told.
enum Reader {
    /// Something does, or has failed: then nothing is under way that could still be overdue.
    Is,
    Nothing,
    /// This statement does, unless it is none that does: its portal may be suspended, with its timeout running.
    MayBe(u64),
}

impl Session {
    /// CopyData executes nothing.
    pub(crate) fn copy_data(&mut self) {
        let begins = matches!(self.inbox.front(), Some(Piece::Part { first: true, .. }));
        let reads = !begins
            || match self.reader() {
                Reader::Is => true,
                Reader::Nothing => false,
                Reader::MayBe(number) => return self.settle_copy(number),
            };
        let Some(Piece::Part { tag, bytes, first, last }) = self.next_piece() else { return };
        if first {
            self.copying.frame_goes = reads && self.server.copy_data(tag, &bytes, last);
        } else if self.copying.frame_goes {
            // Whatever the server has said meanwhile: without its rest, it would take what follows for that.
            self.server.copy_data_rest(&bytes, last);
        }
        if self.copying.frame_goes {
            (self.copying.dropped, self.copying.has_data) = (0, true);
        }
    }

    /// CopyDone or CopyFail.
    pub(crate) fn copy_ends(&mut self, tag: u8, frame: &Bytes) {
        match self.reader() {
            Reader::Is => {}
            Reader::Nothing => return drop(self.next_piece()),
            Reader::MayBe(number) => return self.settle_copy(number),
        }
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
        let segment = self.segment;
        self.expect.push_back(expect::Entry { owed: Owed::CopyEnd, segment, ddl: self.ddl });
    }

    /// What reads the client's data that come next. Only what was sent last can: it would have failed by anything else.
    fn reader(&self) -> Reader {
        if self.skipping || !self.park.is_empty() {
            return Reader::Nothing;
        }
        let ends = self.expect.iter().rev().take_while(|entry| matches!(entry.owed, Owed::CopyEnd)).count();
        let at = self.expect.len().saturating_sub(ends.saturating_add(1));
        match self.expect.get(at).map(|entry| &entry.owed) {
            Some(last) if last.copies_in() <= ends => Reader::Nothing,
            Some(Owed::Execute { number, .. }) if at > 0 || !self.copy_in => Reader::MayBe(*number),
            Some(_) => Reader::Is,
            None => Reader::Nothing,
        }
    }

    /// Waits until the server has said whether this statement reads data.
    fn settle_copy(&mut self, number: u64) {
        if self.copying.flushed != number {
            // What an Execute ends with sits in the server's buffer until then.
            self.server.flush();
            self.copying.flushed = number;
        }
        self.gate = Gate::Settling;
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
                self.settle_copy(number);
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
