//! Portals that are open keep the snapshot by which they read, and with it the server from cleaning up, also when all
//! their rows have been fetched: until they are closed, bound anew, or the transaction ends (`PortalDrop` of
//! portalmem.c). A statement that is held must not keep one.

use bytes::Bytes;

use crate::expect::Owed;
use crate::session::{Gate, Session};
use crate::subject::{Frame, Subject, TransactionSoFar};

impl Session {
    /// Accounts for portals that stay open while a statement waits.
    pub(crate) fn mind_portals(&self, subject: &mut Subject) {
        let keeps = || self.has_portal(|name| !name.is_empty() || !self.replaces_unnamed(&subject.frame));
        if subject.pending.transaction == TransactionSoFar::Read && keeps() {
            subject.pending.transaction = TransactionSoFar::Snapshot;
        }
    }

    /// Closes the unnamed portal, if what is held replaces it: a Query does, and a Bind without a name. Nobody else can
    /// get at it in between, so nobody sees that it went sooner.
    pub(crate) fn close_what_is_replaced(&mut self) {
        let Gate::Held(subject) = &self.gate else { return };
        let closing = self.expect.iter().any(|entry| matches!(entry.owed, Owed::OwnClose));
        if closing || self.status == b'E' || !self.replaces_unnamed(&subject.frame) {
            return;
        }
        if !self.has_portal(Bytes::is_empty) {
            return;
        }
        let within = self.segment_begun;
        self.server.close_unnamed_portal();
        self.owe(Owed::OwnClose);
        if !within {
            self.server.sync();
            self.owe(Owed::OwnSync);
        }
    }

    fn replaces_unnamed(&self, frame: &Frame) -> bool {
        match frame {
            Frame::Query(_) => true,
            Frame::Bind => self.park.undecided().is_some_and(|(bind, ..)| bind.portal.is_empty()),
            Frame::Execute(_) | Frame::Function(_) => false,
        }
    }

    /// Whether a portal is open, or being opened, whose name is one of these.
    fn has_portal(&self, meant: impl Fn(&Bytes) -> bool) -> bool {
        let opened = self.expect.iter().filter_map(|entry| match &entry.owed {
            Owed::Bind { portal, .. } => Some(portal),
            _ => None,
        });
        self.registry.portals().chain(opened).any(meant)
    }
}
