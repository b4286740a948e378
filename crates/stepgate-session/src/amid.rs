//! A Query or FunctionCall in the middle of a segment, as asyncpg sends one behind the Parse and Flush of what it prepares.
//!
//! An error may be its own, and then ReadyForQuery follows; or that of what was sent before it, and then PostgreSQL ignores it
//! with all that comes up to Sync. Mostly it is plain which: what was sent before has replies. But a Flush has none, and what is
//! overdue (`statement_timeout`) strikes at whichever message is read next (`PostgresMain` and `SocketBackend` of postgres.c,
//! `ignore_till_sync`). So nothing is sent behind it until something of its own has come; and if that is an error, the server
//! is asked whether it skips.

use bytes::Bytes;

use crate::expect::Owed;
use crate::session::Session;

/// The gate's own question whether the server skips: Sync, Close, Sync.
#[derive(Debug, Default)]
pub(crate) struct Skips {
    /// How often it was ready before it had closed anything: by the Sync, and by what failed unless that was skipped.
    readies: u8,
    closed: bool,
}

impl Session {
    /// Whether nothing may be sent before more is known of what was sent last.
    pub(crate) fn waits_amid(&self) -> bool {
        self.amid || matches!(self.expect.back().map(|last| &last.owed), Some(Owed::Skips(_)))
    }

    /// Something came, of what was sent in the middle of a segment if it is its turn: whether it was the first of that.
    pub(crate) fn heard_amid(&mut self) -> bool {
        let turn = self.amid && self.expect.len() == 1;
        self.amid &= !turn;
        turn
    }

    /// It has failed, or was skipped.
    pub(crate) fn ask_whether_it_skips(&mut self, sqlstate: Option<String>) {
        self.ended(sqlstate, false);
        self.server.sync();
        self.server.close_statement(&self.own_name("skips"));
        self.server.sync();
        self.owe(Owed::Skips(Skips::default()));
    }

    /// CloseComplete.
    pub(crate) fn closed_amid(&mut self) {
        if let Some(Owed::Skips(skips)) = self.expect.front_mut().map(|entry| &mut entry.owed) {
            skips.closed = true;
        }
    }

    /// ReadyForQuery.
    pub(crate) fn ready_amid(&mut self, frame: &Bytes) {
        let Some(Owed::Skips(skips)) = self.expect.front_mut().map(|entry| &mut entry.owed) else { return };
        match skips {
            Skips { closed: false, readies } => *readies = readies.saturating_add(1),
            Skips { readies: 1, .. } => {
                self.expect.pop_front();
                // Up to the client's own Sync.
                self.skip();
            }
            Skips { readies: 2, .. } => {
                self.expect.pop_front();
                self.client.relay(frame);
            }
            Skips { .. } => self.lost_track(),
        }
    }
}
