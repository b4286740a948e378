//! What becomes of DDL whose session is over: what the server still says of it tells whether it has failed. Else whoever sends
//! what must fail, and hangs up, would have it counted as committed.

use stepgate_session::Session;
use stepgate_wire::Cutter;

use crate::database::{Author, CommitsDdl};

/// See the module.
pub(super) struct Fate {
    /// What the server has still to answer is of one segment.
    one_segment: bool,
    /// Nothing of what changes names ends its transaction.
    stays: bool,
    /// Nothing commits it, for no Sync was sent.
    open: bool,
    /// What the server says.
    says: Cutter,
    /// It has said that something of the message that it is at is done, or that all is.
    done: bool,
    ready: bool,
    /// Before all is done, or before anything is, it has said that something failed.
    failed: bool,
    failed_at_once: bool,
}

impl Fate {
    /// `says`: what the server has said already.
    pub(super) fn of(session: &Session, author: &Author, says: Cutter) -> Self {
        let (one_segment, stays) = (session.owes_one_segment(), author.keeps_open());
        let open = !session.owes_a_ready();
        let done = session.completed() > 0;
        let (ready, failed, failed_at_once) = (false, false, false);
        let mut fate = Self { one_segment, stays, open, says, done, ready, failed, failed_at_once };
        fate.hears(&[]);
        fate
    }

    /// Whether what is left of it can be cancelled: nothing comes behind it then.
    pub(super) const fn is_of_one_segment(&self) -> bool {
        self.one_segment
    }

    /// The server says something more.
    pub(super) fn hears(&mut self, bytes: &[u8]) {
        self.says.push(bytes);
        while let Ok(Some(piece)) = self.says.next() {
            match piece.tag() {
                b'Z' => (self.done, self.ready) = (true, true),
                b'E' if !self.ready => {
                    self.failed = true;
                    self.failed_at_once |= !self.done;
                }
                b'C' | b'I' | b's' => self.done = true,
                _ => {}
            }
        }
    }

    /// Takes note of what has failed: of messages that had no answer yet, and of those that had.
    pub(super) fn befalls(&self, unanswered: &[CommitsDdl], answered: &[CommitsDdl]) {
        if self.one_segment && self.stays && (self.open || self.failed) {
            unanswered.iter().chain(answered).for_each(CommitsDdl::nothing_is_committed);
        } else if self.one_segment && self.failed_at_once {
            // It has skipped the rest.
            unanswered.iter().for_each(CommitsDdl::fails);
        }
    }
}
