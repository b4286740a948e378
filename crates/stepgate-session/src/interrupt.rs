//! Cancel requests, as far as they concern what has not been sent to the server; and the pause while one that does is
//! under way to it.

use stepgate_wire::{Piece, Problem};

use crate::expect::Owed;
use crate::session::{Gate, Session};
use crate::subject::Frame;

impl Session {
    /// Whether the server works for the client, or will without anything more being sent.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.expect.iter().any(|entry| entry.owed.is_of_client())
    }

    /// The number of the statement that the server works on, if it works on one.
    #[must_use]
    pub fn running(&self) -> Option<u64> {
        self.expect.iter().find(|entry| entry.owed.is_of_client()).and_then(|entry| entry.owed.number())
    }

    /// Whether more than one segment is under way at the server: when what runs there is cancelled, it goes on with the next.
    #[must_use]
    pub fn runs_several(&self) -> bool {
        let mut segments = self.expect.iter().filter(|it| it.owed.is_of_client()).map(|it| it.segment);
        // A Query ends the stretch that it comes in without being a Sync.
        let mut ends = self.expect.iter().filter(|it| it.owed.is_of_client() && it.owed.ends_with_ready());
        let first = segments.next();
        segments.any(|segment| Some(segment) != first) || ends.nth(1).is_some()
    }

    /// Whether a client of which nothing more comes has nothing to wait for: all that it has sent is with the server, and
    /// answered, or will not be answered without more.
    #[must_use]
    pub fn has_done_all(&self) -> bool {
        let nothing_waits = self.inbox.is_empty() && matches!(self.gate, Gate::Open) && !self.paused;
        nothing_waits && !(self.is_running() && self.answers_will_come())
    }

    /// Takes no more of the client's frames: a cancel request is under way to the server, and would hit whichever
    /// statement it works on when it comes.
    pub const fn pause(&mut self) {
        self.paused = true;
    }

    /// Goes on after [`Session::pause`].
    pub fn resume(&mut self) {
        self.paused = false;
        self.advance();
    }

    /// Refuses the statement that waits for something of the gate's own to be done before it can be judged. Whether there
    /// is one: where the server works for the client, that is what is meant to be cancelled.
    pub fn cancel_unsent(&mut self, problem: &Problem) -> bool {
        let waits =
            matches!(self.gate, Gate::Settling | Gate::Probing | Gate::AwaitingCatalog | Gate::Checking);
        if !waits || self.is_running() {
            return false;
        }
        let frame = match self.inbox.front() {
            _ if self.park.undecided().is_some() => Frame::Bind,
            Some(Piece::Whole { tag: b'Q', bytes }) if self.park.is_empty() => Frame::Query(bytes.clone()),
            Some(Piece::Whole { tag: b'F', bytes }) if self.park.is_empty() => Frame::Function(bytes.clone()),
            // Nothing that would execute anything.
            _ => return false,
        };
        for entry in &mut self.expect {
            if let Owed::Check(check) = &mut entry.owed {
                check.abandoned = true;
            }
        }
        if !matches!(frame, Frame::Bind) {
            self.next_piece();
        }
        self.gate = Gate::Open;
        self.parses = false;
        self.poison(&frame, problem);
        self.advance();
        true
    }
}
