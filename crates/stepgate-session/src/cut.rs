//! Ends a reply in the middle: the client gets an error in place of the rest, whatever the server makes of the cancel
//! request that was sent before. Never is a part shown as if it were all.
//!
//! Nothing was sent behind the statement, so all that the server sends until it has failed or completed it is of it. If
//! it has completed it all the same, a message that must fail follows, so that the transaction ends as after the error
//! that the client has seen.

use bytes::Bytes;
use stepgate_sql::Facts;
use stepgate_types::{Kind, SqlState, Use};
use stepgate_wire::read::{ErrorFields, ReadyForQuery};
use stepgate_wire::{Piece, Problem};

use crate::expect::{Owed, Poison};
use crate::session::{Ending, Session};

/// A reply that is not shown any further.
#[derive(Debug)]
pub(crate) struct Cut {
    /// The ErrorResponse in place of the rest.
    error: Bytes,
    sqlstate: String,
    /// The client has got it.
    told: bool,
}

impl Session {
    /// Ends the reply whose row waits, with this error. Only to be called once the server has dealt with a cancel
    /// request: one that came later could hit what follows.
    pub fn cut(&mut self, problem: &Problem) {
        let Some(stalled) = self.limits.stalled.take() else { return };
        let sqlstate = problem.state.as_str().to_owned();
        self.limits.cut = Some(Cut { error: problem.error_bytes(), sqlstate, told: false });
        let is_execute = matches!(self.expect.front().map(|entry| &entry.owed), Some(Owed::Execute { .. }));
        if stalled.is_command_tag() && is_execute {
            // Nothing more comes of it.
            self.completed_all_the_same();
            self.replied();
        }
    }

    /// Takes what the server still sends of a reply that is ended.
    pub(crate) fn discard(&mut self, piece: &Piece) {
        if let Piece::Whole { tag, bytes } = piece {
            self.discard_reply(*tag, bytes);
        }
        self.drop_copy_marks();
        self.settle();
        self.advance();
    }

    fn discard_reply(&mut self, tag: u8, frame: &Bytes) {
        let simple = match self.expect.front().map(|entry| &entry.owed) {
            Some(Owed::Query { .. }) => true,
            Some(Owed::Execute { .. }) => false,
            _ => return self.lost_track(),
        };
        match (tag, simple) {
            // Of the statement, most likely, and as little to be shown as its rows.
            (b'N', _) => {}
            (b'A' | b'S', _) => self.reply(tag, frame),
            (b'E', _) => self.fails(frame, simple),
            (b'Z', true) => self.is_over(frame),
            (b'C' | b'I' | b's', false) => self.completed_all_the_same(),
            // Another statement of the message; the client sends nothing any more.
            (b'G', true) => self.server.copy_fail(),
            (b'T' | b'C' | b'I' | b'H' | b'c', true) | (b'H' | b'c', false) => {}
            _ => self.lost_track(),
        }
    }

    /// The server has failed it, most likely by the cancel request.
    fn fails(&mut self, frame: &Bytes, simple: bool) {
        let Ok(fields) = ErrorFields::read(frame) else { return self.lost_track() };
        let fatal = [b'V', b'S'].iter().any(|code| matches!(fields.get(*code), Some(b"FATAL" | b"PANIC")));
        if fatal {
            self.limits.cut = None;
            return self.error(frame);
        }
        self.copy_in = false;
        let Some(cut) = &mut self.limits.cut else { return };
        if !std::mem::replace(&mut cut.told, true) {
            self.client.relay(&cut.error);
        }
        if !simple && let Some(cut) = self.limits.cut.take() {
            self.skip_to_sync(Some(cut.sqlstate));
        }
    }

    /// ReadyForQuery of a simple Query.
    fn is_over(&mut self, frame: &Bytes) {
        let Ok(ReadyForQuery { status }) = ReadyForQuery::read(frame) else { return self.lost_track() };
        let Some(Cut { error, sqlstate, told }) = self.limits.cut.take() else { return };
        if told {
            self.failure = Some(sqlstate);
            return self.ready(frame);
        }
        let only_read = match self.expect.front().map(|entry| &entry.owed) {
            Some(Owed::Query { traces, .. }) => traces.shows.iter().all(only_reads),
            _ => false,
        };
        match status {
            b'T' => {
                self.client.relay(&error);
                self.status = status;
                self.ended(Some(sqlstate), false);
                let nonce = self.next_nonce();
                self.server.poison_query(&nonce);
                let poison = Poison { nonce: Some(nonce), error: Bytes::new() };
                self.owe(Owed::RefusedQuery(Some(poison)));
            }
            b'I' if !only_read => {
                // It has done all that it does.
                self.ended(None, false);
                self.end(
                    &Problem::fatal(
                        SqlState::QUERY_CANCELED,
                        "what this statement has changed is committed, and the rest of its rows is not shown",
                    )
                    .with_hint("Look at what it has changed before you send it again."),
                    Ending::Limit,
                );
            }
            _ => {
                self.client.relay(&error);
                self.failure = Some(sqlstate);
                self.ready(frame);
            }
        }
    }

    /// The server was done with an Execute before the cancel request came.
    fn completed_all_the_same(&mut self) {
        let Some(Cut { error, sqlstate, .. }) = self.limits.cut.take() else { return };
        self.client.relay(&error);
        self.ended(Some(sqlstate), false);
        let nonce = self.next_nonce();
        self.server.poison_execute(&nonce);
        let poison = Poison { nonce: Some(nonce), error: Bytes::new() };
        self.owe(Owed::Refused(poison));
        self.skip();
    }
}

/// Whether it changes nothing but how far a cursor has come.
fn only_reads(facts: &Facts) -> bool {
    let writes = || facts.columns.values().any(|uses| uses.contains(&Use::Write));
    let cursor = facts.kind == Kind::Cursor && facts.is_settled() && facts.sinks.is_empty();
    facts.read_only || (cursor && !writes())
}
