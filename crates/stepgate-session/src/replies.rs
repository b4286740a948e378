//! The server's side: replies are matched with what is owed, relayed, and counted.

use std::sync::Arc;

use bytes::Bytes;
use stepgate_types::SqlState;
use stepgate_wire::read::{CommandComplete, ErrorFields, ParameterStatus, ReadyForQuery};
use stepgate_wire::{Piece, Problem};

use crate::dropped::stands_in;
use crate::expect::{Check, Owed, Poison};
use crate::outlet::Traces;
use crate::probe::Names;
use crate::session::{Action, Ending, Gate, Session};
use crate::subject::TransactionSoFar;

/// SQLSTATE of a FunctionCall of no function (`fetch_fp_info` of fastpath.c).
const UNDEFINED_FUNCTION: &[u8] = b"42883";
/// The most notices that are kept for a statement that may not parse.
const MAX_NOTICES: usize = 16;

impl Session {
    /// Takes what the server sent. Only to be called while [`Session::wants_server`].
    pub fn on_server(&mut self, piece: &Piece) {
        if !self.server.all_released() {
            self.lost_track();
            return;
        }
        self.drop_copy_marks();
        let instead = match piece {
            Piece::Dropped { tag, bytes, .. } => {
                stands_in(*tag, bytes).map(|bytes| Piece::Whole { tag: *tag, bytes })
            }
            _ => None,
        };
        let piece = instead.as_ref().unwrap_or(piece);
        if self.limits.cut.is_some() {
            self.discard(piece);
        } else if self.hold_against_facts(piece) {
            self.take_from_server(piece);
        }
    }

    pub(crate) fn take_from_server(&mut self, piece: &Piece) {
        // What else comes may come of anything.
        if !matches!(piece.tag(), b'E' | b'N' | b'A' | b'S') {
            self.heard_amid();
        }
        match piece {
            // Nothing that is waited for.
            Piece::Part { bytes, first, last, .. } => return self.data(bytes, *first, *last),
            Piece::Whole { tag, bytes } => self.reply(*tag, bytes),
            // Of the server's, only what something stands in for.
            Piece::Dropped { .. } => return self.lost_track(),
        }
        self.replied();
    }

    /// A reply was taken: what it was waited for goes on.
    pub(crate) fn replied(&mut self) {
        self.drop_copy_marks();
        self.settle();
        self.let_go();
        self.advance();
    }

    /// A DataRow or CopyData.
    fn data(&mut self, piece: &Bytes, first: bool, last: bool) {
        match self.expect.front().map(|entry| &entry.owed) {
            Some(Owed::Probe) => self.answer.row_part(piece),
            Some(Owed::Query { traces, .. } | Owed::Execute { traces, .. }) => {
                let (mut bytes, mut first) = (piece.clone(), first);
                if (first || self.is_gathering())
                    && let Some(meter) = &traces.meter
                {
                    let meter = Arc::clone(meter);
                    let Some((begun, shown)) = self.seen(&meter, piece, last) else { return };
                    if !self.lets(meter, shown, &begun, last) {
                        return;
                    }
                    (bytes, first) = (begun, true);
                }
                if self.rows_have_keys() {
                    self.see_keys(&bytes, first, last);
                }
                self.tally.count(bytes.len(), first);
                self.client.relay_part(&bytes, last);
            }
            _ => self.lost_track(),
        }
    }

    pub(crate) fn reply(&mut self, tag: u8, frame: &Bytes) {
        match tag {
            // What the server notices while it tries to parse, it notices again when it runs, if it does.
            b'N' if self.is_checking() => return self.noticed(frame),
            b'N' if self.is_about_own(frame) => return,
            b'N' => return self.notice(frame),
            b'A' => return self.notification(frame),
            b'S' => return self.parameter_status(frame),
            b'E' => return self.error(frame),
            b'Z' => return self.ready(frame),
            _ => {}
        }
        if tag == b'3' && self.has_dropped_unnamed() {
            return;
        }
        let Some(owed) = self.expect.front().map(|entry| &entry.owed) else { return self.lost_track() };
        match (owed, tag) {
            (Owed::Probe, b'1' | b'2' | b'3' | b'C')
            | (Owed::Check(_), b'1')
            | (Owed::Check(Check { within: false, .. }), b'3') => {}
            (Owed::Check(_), b'3') => {
                if let Some(Owed::Check(check)) = self.expect.pop_front().map(|entry| entry.owed) {
                    self.checked(check, None);
                }
            }
            (Owed::Query { .. } | Owed::Execute { .. }, b'C') => {
                self.tally.completed = self.tally.completed.saturating_add(1);
                self.tally.prepared |=
                    CommandComplete::read(frame).is_ok_and(|it| it.tag == b"PREPARE TRANSACTION");
                if self.lets_complete(frame) {
                    self.complete(frame);
                }
            }
            (Owed::Query { .. } | Owed::Execute { .. }, b'H' | b'c') => {
                self.tally.copies(frame);
                self.client.relay(frame);
            }
            (Owed::Query { .. }, b'T' | b'I') => self.client.relay(frame),
            (Owed::Query { .. } | Owed::Execute { .. }, b'G') => {
                self.client.relay(frame);
                self.copy_in_begins();
            }
            (Owed::Skips(_), b'3') => self.closed_amid(),
            (Owed::OwnDescribe { .. }, b'T' | b'n') => drop(self.expect.pop_front()),
            (Owed::OwnClose { .. }, b'3') => {
                if let Some(Owed::OwnClose { portal }) = self.expect.pop_front().map(|entry| entry.owed) {
                    self.registry.forget_portal(&portal);
                }
            }
            (Owed::Exists, b't') => {}
            (Owed::Exists, b'T' | b'n') => {
                self.expect.pop_front();
                self.exists = true;
            }
            (Owed::Execute { .. }, b's') => {
                self.is_suspended();
                self.client.relay(frame);
                self.ended(None, true);
            }
            (Owed::Execute { .. }, b'I') | (Owed::Describe { .. }, b'T' | b'n') => {
                self.client.relay(frame);
                self.ended(None, false);
            }
            (Owed::Describe { .. }, b't') => self.client.relay(frame),
            (Owed::Parse { .. }, b'1') | (Owed::Bind { .. }, b'2') | (Owed::Close { .. }, b'3') => {
                self.client.relay(frame);
                self.confirmed();
            }
            _ => self.lost_track(),
        }
    }

    /// CommandComplete.
    pub(crate) fn complete(&mut self, frame: &Bytes) {
        self.client.relay(frame);
        if let Some(Owed::Execute { number, .. }) = self.expect.front().map(|entry| &entry.owed) {
            self.has_made(*number);
            self.ended(None, false);
        }
    }

    /// `1`, `2` or `3`: names change on the server's word alone.
    fn confirmed(&mut self) {
        match self.expect.pop_front().map(|entry| entry.owed) {
            Some(Owed::Parse { name, statement }) => self.registry.prepared(name, statement),
            Some(Owed::Bind { portal, opened }) => self.registry.bound(portal, opened),
            Some(Owed::Close { portal: true, name }) => self.registry.forget_portal(&name),
            Some(Owed::Close { portal: false, name }) => self.registry.forget_statement(&name),
            _ => {}
        }
        self.keeps_to_its_room();
    }

    /// The reply at the head is complete.
    fn done(&mut self, sqlstate: Option<String>) {
        self.ended(sqlstate, false);
    }

    /// The same; `suspended`: the portal may be executed further.
    pub(crate) fn ended(&mut self, sqlstate: Option<String>, suspended: bool) {
        self.ends(sqlstate, suspended, false);
    }

    /// The same; `undone`: the server has failed it, or has skipped it.
    fn ends(&mut self, sqlstate: Option<String>, suspended: bool, undone: bool) {
        let Some(entry) = self.expect.pop_front() else { return };
        self.drop_copy_marks();
        if suspended {
            // A portal that is not done keeps its snapshot.
            self.so_far = self.so_far.max(TransactionSoFar::Snapshot);
        }
        if let Owed::Execute { traces, .. } | Owed::Query { traces, .. } = &entry.owed {
            if let (Owed::Execute { number, .. }, None, false) = (&entry.owed, &sqlstate, suspended) {
                self.registry.has_finished(*number);
            }
            self.limits.lasts_until_end(traces);
            self.leave_traces(traces);
            if let (None, Some(made), Some(name)) = (&sqlstate, &traces.made, traces.names.first()) {
                self.registry.made_by_sql(name, made.clone());
                self.keeps_to_its_room();
            }
            if sqlstate.is_none() {
                traces.closes.iter().for_each(|closes| self.registry.closed(closes));
            }
        }
        if let Some(number) = entry.owed.number() {
            match &entry.owed {
                Owed::Execute { traces, .. } | Owed::Query { traces, .. } => {
                    self.tell_keys(number, &traces.shows);
                }
                _ => self.tell_keys(number, &[]),
            }
            let tally = self.tally.take();
            let done = match &entry.owed {
                // What was cut off, the server may have completed all the same.
                Owed::Query { failed: true, .. } => Some(tally.completed),
                _ => undone.then_some(0),
            };
            self.limits.told_of = 0;
            let late = |traces: &Traces| traces.late.is_some();
            let goes_on = suspended && !self.portals_end_next();
            let suspended = suspended && matches!(&entry.owed, Owed::Execute { traces, .. } if late(traces));
            self.actions.push_back(Action::Completed {
                number,
                sqlstate: sqlstate.clone(),
                done,
                prepared: tally.prepared,
                rows: tally.rows,
                bytes: tally.bytes,
                suspended,
                goes_on,
            });
        }
        if sqlstate.is_none()
            && let Owed::Execute { traces, declares: Some(opened), .. }
            | Owed::Query { traces, declares: Some(opened), .. } = entry.owed
            && let Some(name) = traces.names.first()
        {
            self.registry.declared(name, opened);
        }
    }

    /// The next reply is that of a Sync which ends the transaction, and all portals with it.
    fn portals_end_next(&self) -> bool {
        let next = self.expect.front().map(|entry| &entry.owed);
        matches!(next, Some(Owed::Sync)) && !self.isolation.is_open(self.status)
    }

    fn parameter_status(&mut self, frame: &Bytes) {
        let Ok(ParameterStatus { name, value }) = ParameterStatus::read(frame) else {
            return self.lost_track();
        };
        let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
        self.parameter(&name, &value);
        // What only reads sets nothing: the server's operator has.
        if self.only_reads() || self.lets_be_said(frame) || is_of_the_protocol(&name) {
            self.client.relay(frame);
        }
    }

    pub(crate) fn error(&mut self, frame: &Bytes) {
        let Ok(fields) = ErrorFields::read(frame) else { return self.lost_track() };
        self.fatal |= [b'V', b'S']
            .iter()
            .any(|code| fields.get(*code).is_some_and(|severity| matches!(severity, b"FATAL" | b"PANIC")));
        // As it is recorded; the client has the error itself.
        let sqlstate = fields.get(b'C').map(|code| SqlState::recorded(code).to_owned());
        let is = |poison: &Poison| match &poison.nonce {
            Some(nonce) => fields.get(b'M').is_some_and(|text| contains(text, nonce.as_bytes())),
            None => fields.get(b'C') == Some(UNDEFINED_FUNCTION),
        };
        let refused = matches!(self.expect.front().map(|entry| &entry.owed),
            Some(Owed::RefusedQuery(Some(poison))) if is(poison));
        let amid = self.heard_amid() && !refused && !self.fatal;
        match self.expect.front_mut().map(|entry| &mut entry.owed) {
            // Nothing is owed: the server ends the connection.
            None => {
                let shown = self.shown_error(frame);
                self.client.relay(&shown);
                if self.segment_begun && !self.fatal {
                    // A timeout of the server's, in the middle of a segment.
                    self.skip_to_sync(sqlstate);
                }
            }
            Some(Owed::Query { .. } | Owed::RefusedQuery(_)) if amid => {
                let shown = self.shown_error(frame);
                self.client.relay(&shown);
                self.ask_whether_it_skips(sqlstate);
            }
            Some(Owed::Query { failed, .. }) => {
                *failed = true;
                self.failure = sqlstate;
                let shown = self.shown_error(frame);
                self.client.relay(&shown);
                self.copy_failed();
            }
            Some(Owed::RefusedQuery(poison)) => match poison.take_if(|poison| is(poison)) {
                Some(poison) => self.client.relay(&poison.error),
                None => {
                    let shown = self.shown_error(frame);
                    self.client.relay(&shown);
                }
            },
            Some(Owed::Probe) => self.probe_failed = true,
            Some(Owed::Check(Check { within: true, abandoned, said, .. })) => {
                said.iter().for_each(|notice| self.client.relay(notice));
                if !*abandoned {
                    self.number = self.number.saturating_add(1);
                    let sqlstate = sqlstate.clone().unwrap_or_default();
                    self.actions.push_back(Action::NotParsed { number: self.number, sqlstate });
                }
                self.client.relay(frame);
                self.skip_to_sync(sqlstate);
            }
            Some(Owed::Check(check)) if check.abandoned => {}
            // Several statements cannot be parsed as one: that says nothing about any of them.
            Some(Owed::Check(_)) if fields.get(b'R') == Some(b"exec_parse_message") => {}
            Some(Owed::Check(check)) => {
                check.refused = Some(sqlstate.unwrap_or_default());
                check.said.push(frame.clone());
            }
            // A timeout of the server's has struck before the gate let go of the segment: that is the segment's end.
            Some(Owed::OwnSync) if self.synced_within => {
                let shown = self.shown_error(frame);
                self.client.relay(&shown);
                self.skip_to_sync(sqlstate);
            }
            // A Sync can fail: it ends an implicit transaction, and with it comes what was deferred until then. Its
            // ReadyForQuery still comes.
            Some(Owed::Sync | Owed::OwnSync) => {
                let shown = self.shown_error(frame);
                self.client.relay(&shown);
            }
            Some(Owed::Refused(poison)) if is(poison) => {
                let error = poison.error.clone();
                self.client.relay(&error);
                self.skip_to_sync(None);
            }
            Some(_) => {
                let shown = self.shown_error(frame);
                self.client.relay(&shown);
                self.skip_to_sync(sqlstate);
            }
        }
    }

    /// After an error in the extended protocol the server ignores everything up to the next Sync.
    pub(crate) fn skip_to_sync(&mut self, sqlstate: Option<String>) {
        self.copy_in = false;
        let mut last = None;
        while let Some(entry) = self.expect.front_mut() {
            match &mut entry.owed {
                Owed::Sync => return,
                Owed::OwnSync | Owed::Probe => break,
                // Its own Sync ends the skipping at the server.
                Owed::Check(check) if !check.within => {
                    check.abandoned = true;
                    break;
                }
                _ => {}
            }
            let number = entry.owed.number();
            if number.is_some() && number == last {
                // A Bind and its Execute are one statement, whatever stands between them.
                self.expect.pop_front();
            } else {
                last = number.or(last);
                self.ends(sqlstate.clone(), false, true);
            }
        }
        // What was sent last is skipped, too, unless it is behind another Sync.
        self.amid &= !self.expect.is_empty();
        for number in self.park.all_passed().into_iter().filter(|number| Some(*number) != last) {
            // Let through, and skipped before it was sent.
            let sqlstate = sqlstate.clone();
            self.actions.push_back(Action::Completed {
                number,
                sqlstate,
                done: Some(0),
                prepared: false,
                rows: 0,
                bytes: 0,
                suspended: false,
                goes_on: false,
            });
        }
        self.skip();
        if let Gate::Deciding(subject) | Gate::Held(subject) = &self.gate {
            let number = subject.pending.number;
            let asked = |action: &Action| matches!(action, Action::Decide(it) if it.number == number);
            match self.actions.iter().position(asked) {
                // Nobody has heard of it yet.
                Some(at) => drop(self.actions.remove(at)),
                None => self.actions.push_back(Action::Withdraw { number }),
            }
            self.gate = Gate::Open;
        }
        self.copy_failed();
    }

    pub(crate) fn ready(&mut self, frame: &Bytes) {
        let Ok(ReadyForQuery { status }) = ReadyForQuery::read(frame) else { return self.lost_track() };
        self.status = status;
        if status == b'I' {
            self.registry.forget_portals();
        }
        if status == b'T'
            && self.failure.is_none()
            && let Some(Owed::Query { number, .. }) = self.expect.front().map(|entry| &entry.owed)
        {
            self.has_made(*number);
        } else if status != b'T' {
            self.forget_made();
        }
        match self.expect.front().map(|entry| &entry.owed) {
            Some(Owed::Query { .. }) => {
                self.client.relay(frame);
                let failure = self.failure.take();
                self.done(failure);
            }
            Some(Owed::Sync | Owed::RefusedQuery(_)) => {
                self.client.relay(frame);
                self.expect.pop_front();
            }
            Some(Owed::Probe) => {
                self.expect.pop_front();
                self.probe_answered();
            }
            Some(Owed::OwnSync) => {
                self.expect.pop_front();
                self.synced_within = false;
            }
            Some(Owed::Skips(_)) => self.ready_amid(frame),
            Some(Owed::Check(_)) => {
                if let Some(Owed::Check(check)) = self.expect.pop_front().map(|entry| entry.owed) {
                    self.checked(check, Some(frame));
                }
            }
            // Nobody asked for it, or for something else.
            _ => return self.lost_track(),
        }
        if status == b'I' {
            // What was deferred has run, and what it said has come.
            if self.limits.transaction_ended() {
                self.actions.push_back(Action::LimitsOver);
            }
        }
        if self.expect.is_empty() {
            self.settings_told(status == b'I');
        }
        if status == b'I' && self.expect.is_empty() {
            // Not while another BEGIN may be on its way, with what was done behind it.
            self.so_far = TransactionSoFar::Nothing;
            self.rewritten.forget();
            self.isolation.ended();
            self.touched = self.touched && self.state.search_path.is_none();
            self.wild = false;
            self.catalog_settled = self.catalog_changes;
            self.note_altered();
            if self.catalog_stale() && !matches!(self.gate, Gate::AwaitingCatalog) {
                self.ask_for_catalog();
            }
        }
    }

    fn probe_answered(&mut self) {
        let names = self.answer.names();
        self.probe_failed |= names.is_none();
        if let Some(names) = names {
            let Names { search_path, made_by_sql, isolation, transaction_timeout, purpose, runs_as } = names;
            let [usually, now] = isolation;
            self.transaction_timeout = transaction_timeout;
            let keeps = |level: &str| !matches!(level, "read committed" | "read uncommitted");
            self.isolation.told(keeps(&now), keeps(&usually));
            self.own_state().search_path = Some(search_path);
            self.own_state().purpose = purpose;
            self.own_state().runs_as = runs_as;
            self.registry.are_made_by_sql(made_by_sql);
            self.learned = self.learned.saturating_add(1);
        }
        self.question_ran();
        self.forget_facts();
    }

    /// A question of the gate's own ran in the client's transaction.
    fn question_ran(&mut self) {
        if self.status == b'T' && self.isolation.read() == TransactionSoFar::Snapshot {
            self.so_far = self.so_far.max(TransactionSoFar::Snapshot);
        }
    }

    /// Whether a notice is of something that only the gate has sent.
    fn is_about_own(&self, notice: &Bytes) -> bool {
        match self.expect.front().map(|entry| &entry.owed) {
            Some(
                Owed::Probe
                | Owed::Skips(_)
                | Owed::OwnDescribe { .. }
                | Owed::OwnClose { .. }
                | Owed::Refused(_)
                | Owed::RefusedQuery(_),
            ) => true,
            // What was deferred runs by it, and may tell the client something.
            Some(Owed::OwnSync) => is_debug(notice),
            _ => false,
        }
    }

    fn noticed(&mut self, notice: &Bytes) {
        if is_debug(notice) {
            return;
        }
        if let Some(Owed::Check(check)) = self.expect.front_mut().map(|entry| &mut entry.owed)
            && check.said.len() < MAX_NOTICES
        {
            check.said.push(notice.clone());
        }
    }

    fn is_checking(&self) -> bool {
        matches!(self.expect.front().map(|entry| &entry.owed), Some(Owed::Check(_) | Owed::Exists))
    }

    /// Whether this is what the server says of the unnamed statement, before it tries to parse another in its place.
    fn has_dropped_unnamed(&mut self) -> bool {
        let Some(Owed::Check(check)) = self.expect.front_mut().map(|entry| &mut entry.owed) else {
            return false;
        };
        let dropped = std::mem::take(&mut check.drops);
        if dropped {
            self.registry.forget_statement(&Bytes::new());
        }
        dropped
    }

    /// The server has tried to parse what waits at the head of inbox or park.
    fn checked(&mut self, check: Check, ready: Option<&Bytes>) {
        if check.abandoned {
            return;
        }
        let Some(sqlstate) = check.refused else {
            self.parses = true;
            if self.status == b'T' || check.within {
                // Its relations are locked in share mode until the transaction ends.
                self.so_far = self.so_far.max(self.isolation.read());
            }
            return;
        };
        self.number = self.number.saturating_add(1);
        self.actions.push_back(Action::NotParsed { number: self.number, sqlstate });
        check.said.iter().for_each(|frame| self.client.relay(frame));
        if let (true, Some(ready)) = (check.simple, ready) {
            self.client.relay(ready);
            self.next_piece();
        } else {
            self.skip();
        }
    }

    /// What was waited for may have come.
    pub(crate) fn settle(&mut self) {
        let ready = match self.gate {
            Gate::Settling | Gate::InData => true,
            Gate::Checking => {
                let asked = |owed: &Owed| matches!(owed, Owed::Check(_) | Owed::Exists);
                !self.expect.iter().any(|entry| asked(&entry.owed))
            }
            Gate::Probing => !self.expect.iter().any(|entry| matches!(entry.owed, Owed::Probe)),
            _ => false,
        };
        if ready {
            self.gate = Gate::Open;
        }
    }

    /// The server sent what nothing explains: nothing it sends can be attributed any more.
    pub(crate) fn lost_track(&mut self) {
        self.end(
            &Problem::fatal(SqlState::PROTOCOL_VIOLATION, "the server's reply does not fit what was asked")
                .with_hint("Connect again and tell the gate's operator."),
            Ending::Protocol,
        );
    }
}

/// Whether it is about the server's own doings, names of the gate's among them.
fn is_debug(notice: &Bytes) -> bool {
    let severity = ErrorFields::read(notice).ok().and_then(|fields| fields.get(b'V').map(<[u8]>::to_owned));
    severity.is_none_or(|severity| severity.starts_with(b"DEBUG"))
}

/// Whether clients read what the server sends by this setting. It is one of a few words.
fn is_of_the_protocol(setting: &str) -> bool {
    matches!(setting, "client_encoding" | "standard_conforming_strings" | "integer_datetimes")
}

fn contains(text: &[u8], needle: &[u8]) -> bool {
    text.windows(needle.len().max(1)).any(|window| window == needle)
}
