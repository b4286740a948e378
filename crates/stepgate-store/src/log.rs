//! The audit log: one writer, group commit, an acknowledgement only after fdatasync.

use std::fs::File;
use std::pin::Pin;
use std::sync::mpsc as std_mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use stepgate_record::{Event, Fitted, Hash, Permit, Record, Release, Seal as _, Ticket, VerifierKey};
use stepgate_types::{Clock, Entropy, StatementId};
use tokio::sync::{mpsc, oneshot, watch};

use crate::disk::{MAX_KEY_BYTES, MAX_VALUE_BYTES};
use crate::wait::block_on;
use crate::writer::{self, Job, QUEUE_JOBS, Shared};
use crate::{LogError, Vault};

/// How many events one call may append: they are written as one batch.
const MAX_EVENTS: usize = 1024;

/// How many changes one call may make.
pub const MAX_CHANGES: usize = 512;

/// A checkpoint is signed at least this often while the log grows.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);

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
    /// What tables hold of labelled columns.
    Taints,
    /// Which columns hold something classified, by OID.
    Bindings,
}

/// Key and value in a side tree.
pub type Entry = (Vec<u8>, Vec<u8>);

/// One write beside the log, on disk together with the events it is appended with. Keys have at most 256
/// bytes, values 4,096.
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

impl Change {
    /// Which tree.
    #[must_use]
    pub const fn side(&self) -> Side {
        match self {
            Self::Put { side, .. } | Self::Delete { side, .. } => *side,
        }
    }

    fn fits(&self) -> bool {
        match self {
            Self::Put { key, value, .. } => key.len() <= MAX_KEY_BYTES && value.len() <= MAX_VALUE_BYTES,
            Self::Delete { key, .. } => key.len() <= MAX_KEY_BYTES,
        }
    }
}

/// The audit log. Cheap to clone; the last clone that is dropped closes it.
#[derive(Clone)]
pub struct Log {
    handle: Arc<Handle>,
}

struct Handle {
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    verifier_key: VerifierKey,
    /// `None` only while it is dropped.
    queue: Option<mpsc::Sender<Job>>,
    /// The number of the next record; locked while it is handed out, so that the queue is in order.
    place: Mutex<Place>,
    writer: Option<JoinHandle<()>>,
    checkpointer: Option<(std_mpsc::Sender<()>, JoinHandle<()>)>,
    /// Held as long as the log is open.
    _lock: File,
}

struct Place {
    next: u64,
    closed: bool,
}

impl Log {
    /// Starts the writer of a log that was checked and ends in a record with hash `prev`.
    pub(crate) fn start(
        shared: Shared,
        prev: Hash,
        verifier_key: VerifierKey,
        clock: Arc<dyn Clock>,
        lock: File,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(shared);
        let (queue, jobs) = mpsc::channel(QUEUE_JOBS);
        let next = shared.marks.durable();
        let writes = Arc::clone(&shared);
        let writer = thread::Builder::new()
            .name("audit-writer".to_owned())
            .spawn(move || writer::run(&writes, jobs, prev))?;
        let (stop, stopped) = std_mpsc::channel::<()>();
        let signs = Arc::clone(&shared);
        let checkpointer = thread::Builder::new().name("audit-checkpoint".to_owned()).spawn(move || {
            while stopped.recv_timeout(CHECKPOINT_EVERY) == Err(std_mpsc::RecvTimeoutError::Timeout) {
                // An error has poisoned the log and is told by everything that uses it.
                if signs.checkpoint_if_dirty().is_err() {
                    return;
                }
            }
        })?;
        Ok(Self {
            handle: Arc::new(Handle {
                shared,
                clock,
                verifier_key,
                queue: Some(queue),
                place: Mutex::new(Place { next, closed: false }),
                writer: Some(writer),
                checkpointer: Some((stop, checkpointer)),
                _lock: lock,
            }),
        })
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.handle.shared
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.handle.clock
    }

    /// What checks the log's checkpoints.
    #[must_use]
    pub fn verifier_key(&self) -> &VerifierKey {
        &self.handle.verifier_key
    }

    /// The log's id: 32 hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.handle.shared.log_id
    }

    /// Appends `events` (at least one) and makes `changes` in the same write. Returns the number of the
    /// first record once all are on disk; the others follow without gaps. If the future is dropped, what
    /// was queued is written all the same.
    ///
    /// # Errors
    /// Nothing was acknowledged; see [`LogError`].
    pub async fn append(&self, events: Vec<Event>, changes: Vec<Change>) -> Result<u64, LogError> {
        let (first, done) = self.queue(&events, changes, true).await?;
        self.acknowledged(done).await?;
        Ok(first)
    }

    /// [`Log::append`] for callers without a runtime; blocks the thread.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn append_blocking(&self, events: Vec<Event>, changes: Vec<Change>) -> Result<u64, LogError> {
        block_on(self.append(events, changes))
    }

    /// Records the decision on a statement, the last of `events`, with what led to it and changes, and, once all are
    /// on disk, permits it.
    ///
    /// # Errors
    /// The statement must not pass.
    pub async fn permit(
        &self,
        statement: StatementId,
        events: Vec<Event>,
        changes: Vec<Change>,
    ) -> Result<Permit, LogError> {
        let before = u64::try_from(events.len().saturating_sub(1)).map_err(|_| LogError::Full)?;
        let seq = self.append(events, changes).await?.saturating_add(before);
        self.shared().marks.permit(statement, seq).map_err(|error| LogError::Poisoned(error.to_string()))
    }

    /// Queues the decision on a proven read-only, unflagged statement: the ticket forwards it now, the
    /// release lets its reply go when the record is as durable as configured.
    ///
    /// # Errors
    /// The statement must not pass.
    pub async fn ticket(
        &self,
        statement: StatementId,
        event: Event,
    ) -> Result<(Ticket, PendingRelease), LogError> {
        let marks = &self.shared().marks;
        let urgent = marks.ordinary_is_durable();
        let (seq, done) = self.queue(&[event], Vec::new(), urgent).await?;
        let ticket = marks.ticket(statement, seq).map_err(|error| LogError::Poisoned(error.to_string()))?;
        let log = Arc::clone(&self.handle.shared);
        Ok((ticket, PendingRelease { log, statement, seq, done }))
    }

    /// The same by the template of an event, at once or not at all: `None` if there is no room in the queue.
    pub fn ticket_by(
        &self,
        statement: StatementId,
        record: &stepgate_record::Template,
    ) -> Option<Result<(Ticket, PendingRelease), LogError>> {
        let marks = &self.shared().marks;
        let urgent = marks.ordinary_is_durable();
        let slot = match self.sender().map(|sender| sender.try_reserve()) {
            Ok(Ok(slot)) => slot,
            Ok(Err(_)) => return None,
            Err(error) => return Some(Err(error)),
        };
        let queued = || {
            let mut event = Fitted::default();
            record.fill(statement.number, &mut event).map_err(|error| LogError::TooLarge(error.to_string()))?;
            let (done, acknowledged) = oneshot::channel();
            let job = Unplaced { events: vec![event], changes: Vec::new(), urgent, done: Some(done) };
            let seq = self.place(slot, job, false)?;
            let ticket = marks.ticket(statement, seq).map_err(|error| LogError::Poisoned(error.to_string()))?;
            let log = Arc::clone(&self.handle.shared);
            Ok((ticket, PendingRelease { log, statement, seq, done: acknowledged }))
        };
        Some(queued())
    }

    /// Queues an event that nothing waits for. It is written, or the log is poisoned.
    ///
    /// # Errors
    /// The event was not queued.
    pub fn note(&self, event: Event) -> Result<(), LogError> {
        let events = fit(&[event])?;
        let slot = self.sender()?.try_reserve().map_err(|error| match error {
            mpsc::error::TrySendError::Full(()) => LogError::Full,
            mpsc::error::TrySendError::Closed(()) => LogError::Closed,
        })?;
        let job = Unplaced { events, changes: Vec::new(), urgent: false, done: None };
        self.place(slot, job, false).map(|_| ())
    }

    /// Hands all durable records from number `from` on to `f`, in order.
    ///
    /// # Errors
    /// A record cannot be read.
    pub fn replay(&self, from: u64, f: &mut dyn FnMut(u64, &Record)) -> Result<(), LogError> {
        let end = self.len();
        let mut next = from;
        for item in self.shared().disk.records(from) {
            if next >= end {
                break;
            }
            let unreadable = |why: String| LogError::Unreadable { seq: next, why };
            let (seq, bytes) = item.map_err(unreadable)?;
            if seq != next {
                return Err(unreadable("it is missing".to_owned()));
            }
            let record = Record::decode(&bytes).map_err(|error| unreadable(error.to_string()))?;
            f(seq, &record);
            next = next.saturating_add(1);
        }
        if next < end {
            return Err(LogError::Unreadable { seq: next, why: "it is missing".to_owned() });
        }
        Ok(())
    }

    /// The last `n` durable records, oldest first.
    ///
    /// # Errors
    /// A record cannot be read.
    pub fn tail(&self, n: u64) -> Result<Vec<Record>, LogError> {
        let mut records = Vec::new();
        self.replay(self.len().saturating_sub(n), &mut |_, record| records.push(record.clone()))?;
        Ok(records)
    }

    /// How many records are durable.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.shared().marks.durable()
    }

    /// The number of records that are queued and not on disk yet.
    #[must_use]
    pub fn backlog(&self) -> u64 {
        let marks = &self.shared().marks;
        marks.queued().saturating_sub(marks.durable())
    }

    /// Whether no record is durable (never so once opened).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Follows the number of durable records. Also wakes when the log is poisoned.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.shared().marks.watch()
    }

    /// All keys and values of a side tree.
    ///
    /// # Errors
    /// The tree cannot be read.
    pub fn load(&self, side: Side) -> Result<Vec<Entry>, LogError> {
        self.shared().disk.side(side).map_err(LogError::Io)
    }

    /// One value of a side tree.
    ///
    /// # Errors
    /// The tree cannot be read.
    pub fn load_one(&self, side: Side, key: &[u8]) -> Result<Option<Vec<u8>>, LogError> {
        self.shared().disk.side_value(side, key).map_err(LogError::Io)
    }

    /// Why nothing is accepted any more, if a write has failed.
    #[must_use]
    pub fn poisoned(&self) -> Option<String> {
        match self.shared().marks.check() {
            Err(LogError::Poisoned(why)) => Some(why),
            _ => None,
        }
    }

    /// Signs a checkpoint over all durable records and keeps it; returns its text.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn checkpoint(&self) -> Result<String, LogError> {
        self.shared().checkpoint(true).map(|(_, note)| note.to_string())
    }

    /// Records `log.stopped`, waits for the disk and signs a last checkpoint. Afterwards everything that
    /// writes fails with [`LogError::Closed`]. The directory is free for others once the last clone is
    /// dropped.
    ///
    /// # Errors
    /// The last records may not be on disk.
    pub fn close(&self) -> Result<(), LogError> {
        let events = fit(&[Event::LogStopped {}])?;
        let (done, acknowledged) = oneshot::channel();
        let slot = block_on(self.sender()?.reserve()).map_err(|_| LogError::Closed)?;
        self.place(slot, Unplaced { events, changes: Vec::new(), urgent: true, done: Some(done) }, true)?;
        block_on(self.acknowledged(acknowledged))?;
        self.shared().checkpoint(true).map(|_| ())
    }

    fn sender(&self) -> Result<&mpsc::Sender<Job>, LogError> {
        self.handle.queue.as_ref().ok_or(LogError::Closed)
    }

    async fn queue(
        &self,
        events: &[Event],
        changes: Vec<Change>,
        urgent: bool,
    ) -> Result<(u64, oneshot::Receiver<Result<(), LogError>>), LogError> {
        let events = fit(events)?;
        if changes.len() > MAX_CHANGES || !changes.iter().all(Change::fits) {
            return Err(LogError::TooLarge("too many or too large changes".to_owned()));
        }
        let slot = self.sender()?.reserve().await.map_err(|_| LogError::Closed)?;
        let (done, acknowledged) = oneshot::channel();
        let job = Unplaced { events, changes, urgent, done: Some(done) };
        let first = self.place(slot, job, false)?;
        Ok((first, acknowledged))
    }

    /// Gives the job its numbers and puts it into its slot.
    fn place(&self, slot: mpsc::Permit<'_, Job>, job: Unplaced, last: bool) -> Result<u64, LogError> {
        let Unplaced { events, changes, urgent, done } = job;
        let marks = &self.shared().marks;
        let mut place = self.handle.place.lock().unwrap_or_else(PoisonError::into_inner);
        marks.check()?;
        if place.closed {
            return Err(LogError::Closed);
        }
        let first = place.next;
        let count = u64::try_from(events.len()).map_err(|_| LogError::Full)?;
        place.next = first.checked_add(count).ok_or(LogError::Full)?;
        place.closed = last;
        slot.send(Job { first, at: self.handle.clock.now(), events, changes, urgent, done });
        marks.queued_to(place.next);
        drop(place);
        if urgent || self.sender()?.capacity() < QUEUE_JOBS / 2 {
            self.handle.wake_writer();
        }
        Ok(first)
    }

    async fn acknowledged(&self, done: oneshot::Receiver<Result<(), LogError>>) -> Result<(), LogError> {
        done.await.unwrap_or_else(|_| Err(LogError::Poisoned("the writer has stopped".to_owned())))
    }
}

/// A job before it has its numbers.
struct Unplaced {
    events: Vec<Fitted>,
    changes: Vec<Change>,
    urgent: bool,
    done: Option<oneshot::Sender<Result<(), LogError>>>,
}

impl Handle {
    /// Ends the writer's wait for company.
    fn wake_writer(&self) {
        if let Some(writer) = &self.writer {
            writer.thread().unpark();
        }
    }
}

fn fit(events: &[Event]) -> Result<Vec<Fitted>, LogError> {
    if events.is_empty() || events.len() > MAX_EVENTS {
        return Err(LogError::TooLarge(format!("{} events at once", events.len())));
    }
    events
        .iter()
        .map(|event| Fitted::new(event).map_err(|error| LogError::TooLarge(error.to_string())))
        .collect()
}

impl Drop for Handle {
    fn drop(&mut self) {
        // The writer ends when it has written what is queued.
        drop(self.queue.take());
        self.wake_writer();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
        if let Some((stop, checkpointer)) = self.checkpointer.take() {
            drop(stop);
            let _ = checkpointer.join();
        }
        if let Err(error) = self.shared.checkpoint_if_dirty() {
            tracing::error!(%error, "no last checkpoint");
        }
    }
}

/// The right to release a reply, once the record behind it has come far enough.
#[must_use = "nothing is released until it is awaited"]
pub struct PendingRelease {
    log: Arc<Shared>,
    statement: StatementId,
    seq: u64,
    done: oneshot::Receiver<Result<(), LogError>>,
}

impl Future for PendingRelease {
    type Output = Result<Release, LogError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Err(error) = self.log.marks.check() {
            return Poll::Ready(Err(error));
        }
        if let Ok(release) = self.log.marks.release(self.statement, self.seq) {
            return Poll::Ready(Ok(release));
        }
        let written = match Pin::new(&mut self.done).poll(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(written) => written,
        };
        let written =
            written.unwrap_or_else(|_| Err(LogError::Poisoned("the writer has stopped".to_owned())));
        Poll::Ready(written.and_then(|()| {
            let release = self.log.marks.release(self.statement, self.seq);
            release.map_err(|error| LogError::Poisoned(error.to_string()))
        }))
    }
}

impl std::fmt::Debug for PendingRelease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PendingRelease").field("seq", &self.seq).finish_non_exhaustive()
    }
}
