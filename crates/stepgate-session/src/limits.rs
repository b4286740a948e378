//! Limits on what a statement delivers, as the session keeps them: the row that would be one too many waits, with all that
//! comes after it, on the server's side of the connection.
//!
//! Notices are counted as rows: `RAISE NOTICE` in a loop shows a table as well as a SELECT does. So is a command tag whose
//! number is none of rows that were shown (`MOVE 7`); it waits like a row. So is an error, whose text
//! can hold one; it cannot wait, since the server is done, and one of more bytes than are left is not shown. The same goes
//! for what a statement has deferred, and says when its transaction ends (`RAISE` in a deferred trigger, its own `NOTIFY`),
//! and for settings that the server reports (ParameterStatus): what is beyond the limit is left out.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::{Bytes, BytesMut};
use stepgate_types::{Certainty, Kind, SqlState};
use stepgate_wire::read::{CommandComplete, ErrorFields};
use stepgate_wire::{HEADER, Piece, Problem, peek};

use crate::cut::Cut;
use crate::expect::Owed;
use crate::meter::Meter;
use crate::outlet::{Made, Traces};
use crate::session::{Action, Session};
use crate::shown::{Counting, Shown};
use crate::subject::Pending;

/// The longest row, in bytes, of which all is waited for where its key comes late in it; one that is longer counts as
/// somebody else's.
const MAX_GATHERED: usize = 64 << 10;

/// What a session knows of limits.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    /// The meter of what is being decided or held, if it gets one.
    pub(crate) next: Option<Arc<Meter>>,
    /// Something may be under way behind which nothing is sent, since its rows are limited.
    pub(crate) under_way: bool,
    /// A row, notice or command tag that its meter does not let through.
    pub(crate) stalled: Option<Stalled>,
    /// What the server still sends of a reply that is ended.
    pub(crate) cut: Option<Cut>,
    /// The server's process.
    pid: i32,
    /// Those of statements of the open transaction that may say something yet when it ends.
    until_end: Vec<Arc<Meter>>,
    /// There were more.
    too_many: bool,
    /// The client knows that something was left out.
    told: bool,
    /// How rows of the result that a Query has under way are looked into.
    counting: Option<Arc<Counting>>,
    /// Rows of the message under way that earlier statements of it have shown.
    pub(crate) told_of: u64,
    /// A row whose key has not come yet.
    gathered: Option<BytesMut>,
}

impl Limits {
    /// Of a session with this process of the server.
    pub(crate) fn of(pid: i32) -> Self {
        Self { pid, ..Self::default() }
    }

    /// A statement is done. What it has deferred (triggers, checks of constraints, notifications, a cursor that outlives the
    /// transaction) happens when the transaction ends, or before, and is still on its account.
    pub(crate) fn lasts_until_end(&mut self, traces: &Traces) {
        let defers = traces.shows.iter().any(|facts| !facts.read_only || facts.effect.holds);
        let Some(meter) = traces.meter.as_ref().filter(|_| defers) else { return };
        if self.until_end.iter().any(|known| Arc::ptr_eq(known, meter)) {
            return;
        }
        if self.until_end.len() < MAX_UNTIL_END {
            self.until_end.push(Arc::clone(meter));
        } else {
            self.too_many |= meter.enforced;
        }
    }

    /// The transaction is over. Whether anything was kept for that.
    pub(crate) fn transaction_ended(&mut self) -> bool {
        (self.too_many, self.told) = (false, false);
        let kept = !self.until_end.is_empty();
        self.until_end.clear();
        kept
    }
}

/// The most meters that are kept for what comes at the end of a transaction. Of one with more, nothing is shown then.
const MAX_UNTIL_END: usize = 64;

/// A row that waits: its first piece. Or a notice, or a command tag.
#[derive(Debug)]
pub(crate) struct Stalled {
    bytes: Bytes,
    last: bool,
    meter: Arc<Meter>,
    shown: Shown,
}

impl Stalled {
    /// Whether it is a CommandComplete: the server is done with the statement.
    pub(crate) fn is_command_tag(&self) -> bool {
        self.bytes.first() == Some(&b'C')
    }
}

/// Bytes of the whole frame that begins with this piece.
fn frame_bytes(piece: &Bytes) -> u64 {
    let header = piece.get(..HEADER).and_then(|header| peek(header).ok().flatten());
    header.and_then(|header| u64::try_from(header.total()).ok()).unwrap_or(u64::MAX)
}

/// The trailer of a binary COPY, which is no row: a CopyData with the field count -1 (PostgreSQL documentation, "COPY",
/// "File Trailer").
fn is_binary_trailer(piece: &Bytes) -> bool {
    **piece == *b"d\0\0\0\x06\xff\xff"
}

impl Session {
    /// Gives the statement that is being decided or held a meter, if it is passed.
    pub fn limit(&mut self, meter: Arc<Meter>) {
        self.limits.next = Some(meter);
    }

    /// What a statement that is passed draws on: its cursor's meter, if it fetches from one that has one, else its own.
    pub(crate) fn meter_of(&mut self, pending: &Pending) -> Option<Arc<Meter>> {
        let own = self.limits.next.take().filter(|meter| meter.number() == pending.number);
        let fetches =
            matches!(&*pending.facts, [only] if only.kind == Kind::Cursor && only.effect.names.is_empty());
        if !fetches {
            return own;
        }
        let text = self.facts_now(&pending.text());
        let Some(name) = text.first().and_then(|only| only.effect.refers.as_ref()) else { return own };
        let of_cursor = match self.registry.sql_name(name) {
            // By other rules than now, it is judged by itself.
            Some(Made::Cursor(declared)) => declared.meter.clone().filter(|_| declared.rules == self.rules),
            Some(Made::Prepared(..)) => None,
            None => {
                let portal = self.registry.portal(&Bytes::copy_from_slice(name.as_bytes()));
                let portal = portal.filter(|opened| opened.at().rules == self.rules);
                portal.and_then(|opened| opened.traces().meter.clone())
            }
        };
        of_cursor.or(own)
    }

    /// Whether something is under way behind which nothing is sent. COPY data is part of it.
    pub(crate) fn waits_for_limited(&mut self) -> bool {
        if !self.expect.iter().rev().any(|entry| entry.owed.is_limited()) {
            self.limits.under_way = false;
            return false;
        }
        let Some(tag) = self.inbox.front().map(Piece::tag) else { return true };
        let copies = match tag {
            b'd' | b'c' | b'f' => true,
            // PostgreSQL ignores them while it reads data.
            b'S' | b'H' => self.copy_in,
            _ => {
                if self.copy_in {
                    // It fails by anything else.
                    self.server.copy_fail();
                    self.copy_in = false;
                }
                false
            }
        };
        !copies || self.leaving
    }

    /// Brings the rows of an Execute out whose Sync does not follow it yet.
    pub(crate) fn flush_limited(&mut self) {
        if self.expect.back().is_some_and(|entry| entry.owed.is_limited()) {
            self.limits.under_way = true;
            self.server.flush();
        }
    }

    /// The first piece of a row, or another of one whose key has not come yet, once that has or cannot come any more; with
    /// what it shows. `None`: it has not.
    pub(crate) fn seen(&mut self, meter: &Meter, piece: &Bytes, last: bool) -> Option<(Bytes, Shown)> {
        let bytes = match self.limits.gathered.take() {
            None => piece.clone(),
            Some(mut before) => {
                before.extend_from_slice(piece);
                before.freeze()
            }
        };
        let next = frame_bytes(&bytes);
        let counting = match self.expect.front().map(|entry| &entry.owed) {
            Some(Owed::Query { .. }) => self.limits.counting.as_deref(),
            Some(Owed::Execute { traces, .. }) => traces.counting.get().map(|counting| &**counting),
            _ => None,
        };
        match meter.see(&bytes, next, counting) {
            Some(shown) => Some((bytes, shown)),
            None if !last && usize::try_from(next).is_ok_and(|next| next <= MAX_GATHERED) => {
                self.limits.gathered = Some(BytesMut::from(&*bytes));
                None
            }
            None => Some((bytes, meter.unread(next))),
        }
    }

    /// Whether a row is under way whose key has not come yet.
    pub(crate) const fn is_gathering(&self) -> bool {
        self.limits.gathered.is_some()
    }

    /// A result's columns are described: where in its rows keys are that a limit counts.
    pub(crate) fn look_for_subjects(&mut self, frame: &Bytes) {
        let catalog = &self.catalog;
        match self.expect.front().map(|entry| &entry.owed) {
            Some(Owed::Query { traces, .. }) => {
                let meter = traces.meter.as_ref();
                self.limits.counting =
                    meter.and_then(|meter| meter.counting(frame, catalog, &self.rewritten));
            }
            // Not that of a prepared statement, which says nothing of formats.
            Some(Owed::OwnDescribe { traces } | Owed::Describe { traces: Some(traces), statement: None }) => {
                let meter = traces.meter.as_ref();
                if let Some(counting) =
                    meter.and_then(|meter| meter.counting(frame, catalog, &self.rewritten))
                {
                    let _ = traces.counting.set(counting);
                }
            }
            _ => {}
        }
    }

    /// Whether a row that begins with this piece, and shows that, may go to the client now. If not, it waits.
    pub(crate) fn lets(&mut self, meter: Arc<Meter>, shown: Shown, bytes: &Bytes, last: bool) -> bool {
        if is_binary_trailer(bytes) {
            return true;
        }
        if meter.take(&shown) {
            return true;
        }
        let next = shown.bytes;
        meter.keep_waiting(&shown);
        if !meter.enforced {
            meter.count(&shown);
            if !meter.told.swap(true, Relaxed) {
                self.actions.push_back(Action::Threshold { meter, next });
            }
            return true;
        }
        self.actions.push_back(Action::Threshold { meter: Arc::clone(&meter), next });
        self.limits.stalled = Some(Stalled { bytes: bytes.clone(), last, meter, shown });
        false
    }

    /// Whether a row waits for its meter.
    #[must_use]
    pub const fn is_stalled(&self) -> bool {
        self.limits.stalled.is_some()
    }

    /// Tells the client why nothing more comes for now.
    pub fn tell(&mut self, notice: &Problem) {
        self.client.own(&notice.notice_bytes());
    }

    /// Lets the row go that waits, and what follows it by what its meter has been refilled with.
    pub fn go_on(&mut self) {
        let Some(stalled) = self.limits.stalled.take() else { return };
        let is_command_tag = stalled.is_command_tag();
        let Stalled { bytes, last, meter, shown } = stalled;
        meter.goes(&shown);
        if is_command_tag {
            self.complete(&bytes);
            return self.replied();
        }
        if let Some(Owed::Query { .. } | Owed::Execute { .. }) = self.expect.front().map(|entry| &entry.owed)
        {
            if self.rows_have_keys() {
                self.see_keys(&bytes, true, last);
            }
            self.tally.count(bytes.len(), bytes.first() != Some(&b'N'));
            self.client.relay_part(&bytes, last);
        } else {
            self.lost_track();
        }
    }

    /// A notice of the server's.
    pub(crate) fn notice(&mut self, frame: &Bytes) {
        let waits = !matches!(self.expect.front().map(|entry| &entry.owed), Some(Owed::Bind { .. }));
        let is_said = match self.meter_in_front().filter(|_| waits) {
            Some(meter) => {
                let others: Vec<_> = self.deferring().cloned().collect();
                // Only what comes with rows of its own can be asked about.
                if !self.within(&others, frame) {
                    return;
                }
                let shown = meter.unread(frame_bytes(frame));
                self.lets(meter, shown, frame, true)
            }
            // Functions run while a statement is planned, and after it.
            None => self.lets_be_said(frame),
        };
        if is_said {
            self.tally_text(frame);
            self.client.relay(frame);
        }
    }

    /// A notification. What others send is none of this session's data.
    pub(crate) fn notification(&mut self, frame: &Bytes) {
        let sender = frame.get(HEADER..).and_then(|body| body.first_chunk());
        let is_own = sender.is_none_or(|pid| i32::from_be_bytes(*pid) == self.limits.pid);
        if !is_own || self.lets_be_said(frame) {
            self.client.relay(frame);
        }
    }

    /// Whether what is no row, and cannot wait for people, may be said: by the statement under way, and by those of the
    /// open transaction whose deferred code may be running. What may not be is left out.
    pub(crate) fn lets_be_said(&mut self, frame: &Bytes) -> bool {
        let meters: Vec<_> = self.meter_in_front().into_iter().chain(self.deferring().cloned()).collect();
        self.within(&meters, frame)
    }

    /// Counts it as a row of each of these, if all let it through; else it is left out, and that is said once.
    fn within(&mut self, meters: &[Arc<Meter>], frame: &Bytes) -> bool {
        let bytes = frame_bytes(frame);
        let has = |meter: &Meter| meter.has(&meter.unread(bytes));
        let spent = meters.iter().any(|meter| meter.enforced && !has(meter)) || self.is_crowded();
        if !spent {
            meters.iter().for_each(|meter| meter.count(&meter.unread(bytes)));
        } else if !std::mem::replace(&mut self.limits.told, true) {
            self.client.own(&left_out().notice_bytes());
        }
        !spent
    }

    /// What the client is shown of an error of the server's: all of it, but where a meter does not let that through.
    pub(crate) fn shown_error(&mut self, frame: &Bytes) -> Bytes {
        self.tally_text(frame);
        if is_the_servers_own(frame) {
            return frame.clone();
        }
        let bytes = frame_bytes(frame);
        let meters: Vec<_> = self.meter_in_front().into_iter().chain(self.deferring().cloned()).collect();
        let has = |meter: &Meter| meter.has_bytes(&meter.unread(bytes));
        let spent = meters.iter().any(|meter| meter.enforced && !has(meter));
        if !self.fatal && (spent || self.is_crowded()) {
            return error_left_out(frame).error_bytes();
        }
        meters.iter().for_each(|meter| meter.count(&meter.unread(bytes)));
        frame.clone()
    }

    /// The meters of earlier statements of the transaction whose deferred code may be running.
    fn deferring(&self) -> impl Iterator<Item = &Arc<Meter>> {
        let runs = !self.limits.until_end.is_empty() && self.may_run_deferred();
        self.limits.until_end.iter().filter(move |_| runs)
    }

    /// Whether there are more of them than are kept.
    fn is_crowded(&self) -> bool {
        self.limits.too_many && self.may_run_deferred()
    }

    /// Whether code that was deferred before may run by now. A statement with a limit of its own ends no transaction, if
    /// it is the only one of its message, and one was open before.
    fn may_run_deferred(&self) -> bool {
        let (Some(Owed::Query { traces, .. } | Owed::Execute { traces, .. }), b'T') =
            (self.expect.front().map(|entry| &entry.owed), self.status)
        else {
            return true;
        };
        let alone = matches!(&*traces.shows, [only] if only.certainty != Certainty::Unknown);
        traces.meter.is_none() || !alone
    }

    /// Counts what a statement says besides its rows.
    fn tally_text(&mut self, frame: &Bytes) {
        if self.expect.front().is_some_and(|entry| entry.owed.number().is_some()) {
            self.tally.count(frame.len(), false);
        }
    }

    /// Whether the server works on a statement that is proven to change nothing.
    pub(crate) fn only_reads(&self) -> bool {
        match self.expect.front().map(|entry| &entry.owed) {
            Some(Owed::Query { traces, .. } | Owed::Execute { traces, .. }) => {
                traces.shows.iter().all(|facts| facts.read_only)
            }
            _ => false,
        }
    }

    /// A statement has completed. Whether its command tag may go to the client now; if not, it waits.
    pub(crate) fn lets_complete(&mut self, frame: &Bytes) -> bool {
        let shown =
            self.tally.rows.saturating_sub(std::mem::replace(&mut self.limits.told_of, self.tally.rows));
        let (Some(meter), Ok(complete)) = (self.meter_in_front(), CommandComplete::read(frame)) else {
            return true;
        };
        let is = |words: &[&[u8]]| words.iter().any(|word| complete.tag.starts_with(word));
        // How many rows there were is a value as well as any (`MOVE ALL` over `generate_series(1, …)`): as much as a row
        // where none was shown.
        let writes = is(&[b"INSERT ", b"UPDATE ", b"DELETE ", b"MERGE ", b"COPY "]);
        let tells = is(&[b"MOVE "]) || (writes && shown == 0);
        let shown = meter.unread(frame_bytes(frame));
        // What stores was asked about before it ran, and its number counts as what it has stored. Other statements of its
        // message are another matter: each of them tells a number, too.
        let stores = meter.counts_stored();
        let is_asked_about = stores && (is(&[b"INSERT "]) || self.is_alone());
        let counts = stores && meter.has(&shown);
        meter.completed(complete.rows(), is(&[b"SELECT ", b"FETCH "]));
        !tells || is_asked_about || counts || self.lets(meter, shown, frame, true)
    }

    /// Whether the server works on a message of one statement.
    fn is_alone(&self) -> bool {
        match self.expect.front().map(|entry| &entry.owed) {
            Some(Owed::Query { traces, .. } | Owed::Execute { traces, .. }) => traces.shows.len() == 1,
            _ => false,
        }
    }

    /// A portal has shown as many rows as its Execute wanted.
    pub(crate) fn is_suspended(&self) {
        if let Some(meter) = self.meter_in_front() {
            meter.suspended();
        }
    }

    /// What the statement draws on that the server works on.
    fn meter_in_front(&self) -> Option<Arc<Meter>> {
        match &self.expect.front()?.owed {
            Owed::Query { traces, .. } | Owed::Execute { traces, .. } => traces.meter.clone(),
            Owed::Bind { opened, .. } => opened.traces().meter.clone(),
            _ => None,
        }
    }
}

/// Whether an error is one that the server words by itself, whatever runs: that the transaction has failed, or that the
/// statement was cancelled. What code says by the same SQLSTATE is said by another routine, and where it runs, by a CONTEXT.
fn is_the_servers_own(error: &Bytes) -> bool {
    const ROUTINES: [&[u8]; 5] = [
        b"exec_simple_query",
        b"exec_parse_message",
        b"exec_bind_message",
        b"exec_execute_message",
        b"ProcessInterrupts",
    ];
    ErrorFields::read(error).is_ok_and(|fields| {
        let routine = fields.get(b'R').is_some_and(|routine| ROUTINES.contains(&routine));
        let says = matches!(fields.get(b'C'), Some(b"25P02" | b"57014"));
        routine && says && fields.get(b'W').is_none() && fields.get(b'D').is_none()
    })
}

/// In place of notices that a meter does not let through, where nobody can be asked.
fn left_out() -> Problem {
    Problem::notice("further notices of this statement are not shown: its limit is reached")
}

/// In place of an error that a meter does not let through. Programs that would begin anew, or go on, still learn that they
/// may: where it is the server's, and no code's that raises what it likes.
fn error_left_out(error: &Bytes) -> Problem {
    let acted_on = ErrorFields::read(error).ok().and_then(|fields| {
        let by_the_server = fields.get(b'W').is_none() || fields.get(b'R') == Some(b"DeadLockReport");
        fields.get(b'C').filter(|_| by_the_server).and_then(SqlState::acted_on)
    });
    Problem::error(
        acted_on.unwrap_or(SqlState::INSUFFICIENT_PRIVILEGE),
        "the statement failed, and its error is more than the statement's limit lets through",
    )
    .with_hint("Texts of errors count like rows, since they can hold values.")
}
