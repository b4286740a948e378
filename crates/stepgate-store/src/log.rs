//! The audit log: one writer, group commit, an acknowledgement only after fdatasync.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use stepgate_record::{Event, Permit, Record, Release, Ticket};
use stepgate_types::{Clock, Entropy, StatementId};
use tokio::sync::watch;

use crate::{LogError, OpenError, Vault};

/// How a log is opened.
#[derive(Clone)]
pub struct LogOptions {
    /// Whether replies to ordinary statements wait for the disk (`audit: {ordinary: durable}`).
    pub ordinary_durable: bool,
    /// The gate's version, for `log.started`.
    pub version: String,
    /// Tells the time of records.
    pub clock: Arc<dyn Clock>,
    /// Makes the log's id.
    pub entropy: Arc<dyn Entropy>,
    /// Holds the keys; the checkpoint key is one of them.
    pub vault: Vault,
}

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The log did not exist before.
    pub created: bool,
    /// How many records it had.
    pub records: u64,
}

/// Something kept beside the log, in a tree of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// People who may connect.
    People,
    /// Their factors.
    Factors,
    /// Free for the projections of requests and grants.
    Desk,
}

/// One write beside the log, durable together with the events it is appended with. At most 4,096 bytes.
#[derive(Clone, PartialEq, Eq)]
pub enum Change {
    /// Sets a key.
    Put {
        /// Where.
        side: Side,
        /// Key.
        key: Vec<u8>,
        /// Value.
        value: Vec<u8>,
    },
    /// Removes a key.
    Delete {
        /// Where.
        side: Side,
        /// Key.
        key: Vec<u8>,
    },
}

/// The audit log. Cheap to clone.
#[derive(Clone)]
pub struct Log {}

impl Log {
    /// Opens the log in the data directory `dir`, or makes it there.
    ///
    /// # Errors
    /// See [`OpenError`]; a damaged log is never repaired or made anew.
    pub fn open(_dir: &Path, _options: LogOptions) -> Result<(Self, Opened), OpenError> {
        Err(LogError::Closed.into())
    }

    /// Appends `events` (at least one) and makes `changes` in the same write. Returns the number of the
    /// first record once all are on disk.
    ///
    /// # Errors
    /// Nothing was acknowledged; see [`LogError`].
    pub async fn append(&self, _events: Vec<Event>, _changes: Vec<Change>) -> Result<u64, LogError> {
        Err(LogError::Closed)
    }

    /// [`Log::append`] for callers without a runtime; blocks the thread.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn append_blocking(&self, _events: Vec<Event>, _changes: Vec<Change>) -> Result<u64, LogError> {
        Err(LogError::Closed)
    }

    /// Records the decision on a statement and, once it is on disk, permits it.
    ///
    /// # Errors
    /// The statement must not pass.
    pub async fn permit(&self, _statement: StatementId, _event: Event) -> Result<Permit, LogError> {
        Err(LogError::Closed)
    }

    /// Queues the decision on a proven read-only, unflagged statement: the ticket forwards it now, the
    /// release lets its reply go when the record is as durable as configured.
    ///
    /// # Errors
    /// The statement must not pass.
    pub async fn ticket(
        &self,
        _statement: StatementId,
        _event: Event,
    ) -> Result<(Ticket, PendingRelease), LogError> {
        Err(LogError::Closed)
    }

    /// Queues an event that nothing waits for.
    ///
    /// # Errors
    /// The event was not queued.
    pub fn note(&self, _event: Event) -> Result<(), LogError> {
        Err(LogError::Closed)
    }

    /// Hands all durable records from number `from` on to `f`, in order.
    ///
    /// # Errors
    /// A record cannot be read.
    pub fn replay(&self, _from: u64, _f: &mut dyn FnMut(u64, &Record)) -> Result<(), LogError> {
        Err(LogError::Closed)
    }

    /// The last `n` durable records, oldest first.
    ///
    /// # Errors
    /// A record cannot be read.
    pub fn tail(&self, _n: u64) -> Result<Vec<Record>, LogError> {
        Err(LogError::Closed)
    }

    /// How many records are durable.
    #[must_use]
    pub fn len(&self) -> u64 {
        0
    }

    /// Whether no record is durable (never so once opened).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Follows the number of durable records.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }

    /// All keys and values of a side tree.
    ///
    /// # Errors
    /// The tree cannot be read.
    pub fn load(&self, _side: Side) -> Result<Vec<(Vec<u8>, Vec<u8>)>, LogError> {
        Err(LogError::Closed)
    }

    /// Whether a write has failed; nothing is accepted then.
    #[must_use]
    pub fn poisoned(&self) -> Option<String> {
        None
    }

    /// Records `log.stopped`, waits for the disk and signs a last checkpoint.
    ///
    /// # Errors
    /// The last records may not be on disk.
    pub fn close(&self) -> Result<(), LogError> {
        Err(LogError::Closed)
    }
}

/// The right to release a reply, once the record behind it has come far enough.
#[derive(Debug)]
#[must_use = "nothing is released until it is awaited"]
pub struct PendingRelease {}

impl Future for PendingRelease {
    type Output = Result<Release, LogError>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Err(LogError::Closed))
    }
}
