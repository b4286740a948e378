//! Portals that are open keep the snapshot by which they read, and with it the server from cleaning up, also when all
//! their rows have been fetched: until they are closed, bound anew, or the transaction ends (`PortalDrop` of
//! portalmem.c). A statement that is held must not keep one.
//!
//! So while it waits, the gate closes the portals that it can: what a Query or a Bind without a name replaces anyhow, and
//! those of which all rows have come. Whoever executed one of these again would get an error instead of no rows, and whoever
//! bound one anew none instead of an error; no driver does. (One that is bound anew by what waits itself stays.)

use std::sync::Arc;

use bytes::Bytes;

use crate::expect::Owed;
use crate::session::{Gate, Session};
use crate::subject::{Frame, Subject, TransactionSoFar};

impl Session {
    /// Accounts for portals that stay open while a statement waits.
    pub(crate) fn mind_portals(&self, subject: &mut Subject) {
        let kept = || {
            let replaced = self.replaces_unnamed(&subject.frame);
            let stays = |name: &Bytes| !(replaced && name.is_empty());
            // What waits to be described is not closed, nor is anything else then.
            let described = self.park.describes();
            let closed = |name: &Bytes, finished: bool| finished && !self.park.binds_named(name);
            self.registry
                .portals()
                .any(|(name, finished)| described || (!closed(name, finished) && stays(name)))
                || self.being_opened().any(stays)
        };
        if subject.pending.transaction == TransactionSoFar::Read && kept() {
            Arc::make_mut(&mut subject.pending).transaction = TransactionSoFar::Snapshot;
        }
    }

    /// Closes what need not stay open while this is held.
    pub(crate) fn close_portals(&mut self) {
        let Gate::Held(subject) = &self.gate else { return };
        let closing = self.expect.iter().any(|entry| matches!(entry.owed, Owed::OwnClose { .. }));
        // A Sync of the gate's own would end what the server may be skipping: it has to have answered before.
        let can_sync = self.segment_begun || self.expect.is_empty();
        // What waits to be described must still be there.
        let described = self.park.describes();
        if closing || described || self.status == b'E' || !can_sync {
            return;
        }
        let replaced = self.replaces_unnamed(&subject.frame);
        let portals = self.registry.portals();
        let portals = portals.filter(|(name, finished)| {
            (*finished && !self.park.binds_named(name)) || (replaced && name.is_empty())
        });
        let mut portals: Vec<Bytes> = portals.map(|(name, _)| name.clone()).collect();
        if replaced && self.being_opened().any(Bytes::is_empty) && !portals.iter().any(Bytes::is_empty) {
            portals.push(Bytes::new());
        }
        if portals.is_empty() {
            return;
        }
        let within = self.segment_begun;
        for portal in portals {
            self.server.close_portal(&portal);
            self.owe(Owed::OwnClose { portal });
        }
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

    /// The names of portals whose Bind the server has not confirmed.
    fn being_opened(&self) -> impl Iterator<Item = &Bytes> {
        self.expect.iter().filter_map(|entry| match &entry.owed {
            Owed::Bind { portal, .. } => Some(portal),
            _ => None,
        })
    }
}
