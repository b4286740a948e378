//! A message that was read and not kept, since it was too long or there was no room for it: it fails in its place, and the
//! session goes on. An error or notice of the server's is told by one of the gate's own.

use bytes::Bytes;
use stepgate_types::SqlState;
use stepgate_wire::read::ErrorFields;
use stepgate_wire::{Dropped, Problem, peek};

use crate::session::{Action, Gate, Session};
use crate::subject::Frame;

impl Session {
    /// Refuses the message at the head of the inbox, of which the header alone is there.
    pub(crate) fn take_dropped(&mut self, tag: u8, header: &Bytes, why: Dropped) {
        if self.skipping {
            self.next_piece();
            return;
        }
        if !self.park.is_empty() {
            self.leaving = true;
            return;
        }
        self.next_piece();
        let bytes = peek(header).ok().flatten().map_or(0, |header| header.total());
        let problem = problem(bytes, why);
        self.number = self.number.saturating_add(1);
        let sqlstate = problem.state.to_string();
        self.actions.push_back(Action::NotParsed { number: self.number, sqlstate });
        let frame = match tag {
            b'Q' => Frame::Query(Bytes::new()),
            b'F' => Frame::Function(Bytes::new()),
            // A Parse: whatever fails in its place has the rest of its segment skipped.
            _ => Frame::Bind,
        };
        self.poison(&frame, &problem);
    }

    /// Bytes of what the client has sent and nobody has decided on yet, or has not been sent on. Not those of a statement
    /// that is held: how much of those there may be is the desk's to say.
    #[must_use]
    pub fn keeps(&self) -> usize {
        let judged = match &self.gate {
            Gate::Held(_) => 0,
            Gate::Deciding(subject) => self.park.bytes().saturating_add(subject.frame.len()),
            _ => self.park.bytes(),
        };
        judged.saturating_add(self.inbox_bytes())
    }
}

/// What stands in for an error or notice of the server's, of which only its first fields are there.
pub(crate) fn stands_in(tag: u8, begun: &Bytes) -> Option<Bytes> {
    let bytes = peek(begun).ok().flatten().map_or(0, |header| header.total());
    let begun = ErrorFields::begun(begun);
    let message = format!("what the server said is left out: it has {bytes} bytes");
    match tag {
        b'N' => Some(Problem::notice(message).notice_bytes()),
        b'E' => {
            let problem = Problem::error(SqlState::PROGRAM_LIMIT_EXCEEDED, message);
            let own = if begun.is_fatal() { problem.fatal_bytes() } else { problem.error_bytes() };
            let mut fields = ErrorFields::read(&own).ok()?;
            if let Some(sqlstate) = begun.get(b'C').filter(|code| is_sqlstate(code)) {
                fields.set(b'C', sqlstate);
            }
            Some(fields.encode())
        }
        _ => None,
    }
}

fn is_sqlstate(code: &[u8]) -> bool {
    code.len() == 5 && code.iter().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
}

fn problem(bytes: usize, why: Dropped) -> Problem {
    match why {
        Dropped::TooLong { limit } => Problem::error(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!("a message of {bytes} bytes is longer than the {limit} that are let through"),
        )
        .with_hint("Send less at a time, or by COPY; the gate's operator sets the limit (limits.message)."),
        Dropped::NoRoom => Problem::error(
            SqlState::OUT_OF_MEMORY,
            format!("there is no room for a message of {bytes} bytes now"),
        )
        .with_hint(
            "Send it again later, or less at a time; the gate's operator sets how much there is \
                     (limits.message_memory).",
        ),
        Dropped::StoodStill => Problem::error(
            SqlState::QUERY_CANCELED,
            format!("a message of {bytes} bytes stood still for too long while it came"),
        )
        .with_hint("Send it again; the gate's operator sets the limit (limits.slow_client)."),
    }
}
