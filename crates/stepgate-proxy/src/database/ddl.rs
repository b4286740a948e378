//! DDL that the gate's own sessions have committed, or may be about to: how far behind a catalog may be.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Database;

/// DDL of a database's sessions at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ddl {
    /// How often some may have been committed.
    pub(crate) epoch: u64,
    /// How many statements under way may commit some at any time.
    pub(crate) committing: usize,
}

/// A statement under way that may commit DDL. Dropped when it is done, or the server's end of its session is.
pub(crate) struct CommitsDdl(Arc<Database>);

impl Drop for CommitsDdl {
    fn drop(&mut self) {
        self.0.epoch.fetch_add(1, Ordering::SeqCst);
        self.0.committing.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Database {
    /// Where DDL of the gate's sessions stands now.
    pub(crate) fn ddl(&self) -> Ddl {
        // In this order: whoever is done with committing has moved the epoch before.
        let committing = self.committing.load(Ordering::SeqCst);
        Ddl { epoch: self.epoch.load(Ordering::SeqCst), committing }
    }

    /// Whether a session of the gate may have committed DDL since the catalog was last looked at.
    pub(crate) fn is_behind(&self) -> bool {
        self.looked_at.load(Ordering::SeqCst) < self.epoch.load(Ordering::SeqCst)
    }

    /// Somebody beside the gate has committed DDL.
    pub(crate) fn ddl_elsewhere(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// A session is about to send what may commit DDL.
    pub(crate) fn commits_ddl(self: &Arc<Self>) -> CommitsDdl {
        self.committing.fetch_add(1, Ordering::SeqCst);
        CommitsDdl(Arc::clone(self))
    }
}
