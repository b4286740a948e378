//! The audit log: one writer, group commit, an acknowledgement only after fdatasync.

use std::borrow::Borrow;
use std::cell::RefCell;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as std_mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use stepgate_record::{Completed, Event, Fitted, Hash, Permit, RecordError, Seal as _, Template, Ticket};
use stepgate_types::{Clock, Entropy, SessionId, StatementId};
use tokio::sync::watch;

use crate::keeper;
use crate::queue::Parcel;
use crate::release::{Durable, PendingRelease};
use crate::subjects::Staged;
use crate::wait::block_on;
use crate::writer::{self, Shared};
use crate::{Bell, Change, Entry, LogError, Side, Subjects, Vault};

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

/// The audit log. Cheap to clone; the last clone that is dropped closes it.
#[derive(Clone)]
pub struct Log {
    handle: Arc<Handle>,
}

struct Handle {
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    writer: Option<JoinHandle<()>>,
    checkpointer: Option<(std_mpsc::Sender<()>, JoinHandle<()>)>,
    keeper: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
    /// Held as long as the log is open.
    _lock: File,
}

thread_local! {
    /// Where this thread encodes what it records.
    static FITTED: RefCell<Fitted> = RefCell::default();
}

impl Log {
    /// Starts the writer of a log that was checked and ends in a record with hash `prev`.
    pub(crate) fn start(
        shared: Shared,
        prev: Hash,
        clock: Arc<dyn Clock>,
        lock: File,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(shared);
        let writes = Arc::clone(&shared);
        let writer = thread::Builder::new()
            .name("audit-writer".to_owned())
            .spawn(move || writer::run(&writes, prev))?;
        let (stop, stopped) = std_mpsc::channel::<()>();
        let signs = Arc::clone(&shared);
        let checkpointer = thread::Builder::new().name("audit-checkpoint".to_owned()).spawn(move || {
            while stopped.recv_timeout(CHECKPOINT_EVERY) == Err(std_mpsc::RecvTimeoutError::Timeout) {
                // An error has poisoned the log and is told by everything that uses it; or there is no space, for now.
                if signs.checkpoint_if_dirty().is_err_and(|error| !error.is_no_space()) {
                    return;
                }
            }
        })?;
        let stop_keeping = Arc::new(AtomicBool::new(false));
        let (keeps, keeps_time, stopped) =
            (Arc::clone(&shared), Arc::clone(&clock), Arc::clone(&stop_keeping));
        let keeper = thread::Builder::new()
            .name("audit-keeper".to_owned())
            .spawn(move || keeper::run(&keeps, &*keeps_time, &stopped))?;
        Ok(Self {
            handle: Arc::new(Handle {
                shared,
                clock,
                writer: Some(writer),
                checkpointer: Some((stop, checkpointer)),
                keeper: Some((stop_keeping, keeper)),
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
        self.append_as(&events, changes, How { urgent: true, ..How::default() }).await
    }

    /// [`Log::append`] for who need not know how it ends: where the disk has no space for some seconds, this ends in
    /// [`LogError::Late`], and the events are written once it has.
    ///
    /// # Errors
    /// As [`Log::append`]; only after `Late` may anything be recorded.
    pub async fn append_in_time(&self, events: Vec<Event>, changes: Vec<Change>) -> Result<u64, LogError> {
        self.append_as(&events, changes, How { urgent: true, hurries: true, ..How::default() }).await
    }

    /// [`Log::append`] of what has happened already, or must at any rate: also while the disk has no space, and then
    /// this waits until it has.
    ///
    /// # Errors
    /// As [`Log::append`], and never [`LogError::NoSpace`].
    pub async fn append_happened(&self, events: Vec<Event>) -> Result<u64, LogError> {
        self.append_as(&events, Vec::new(), How { urgent: true, happened: true, ..How::default() }).await
    }

    /// [`Log::note`] that waits for room in the queue, and not for the disk.
    ///
    /// # Errors
    /// The event was not queued.
    pub async fn note_with_room(&self, event: Event) -> Result<(), LogError> {
        self.queue_as(&[event], Vec::new(), How { happened: true, ..How::default() }).await.map(drop)
    }

    async fn append_as(&self, events: &[Event], changes: Vec<Change>, how: How) -> Result<u64, LogError> {
        self.append_all(events, changes, how).await.map(|queued| queued.first)
    }

    async fn append_all(&self, events: &[Event], changes: Vec<Change>, how: How) -> Result<Queued, LogError> {
        let queued = self.queue_as(events, changes, how).await?;
        Durable::new(&self.shared().marks, queued.end, how.hurries).await?;
        Ok(queued)
    }

    /// [`Log::append_in_time`] for callers without a runtime; blocks the thread.
    ///
    /// # Errors
    /// As [`Log::append_in_time`].
    pub fn append_blocking(&self, events: Vec<Event>, changes: Vec<Change>) -> Result<u64, LogError> {
        block_on(self.append_in_time(events, changes))
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
        self.permit_as(statement, events, changes, How { urgent: true, ..How::default() }).await
    }

    /// [`Log::permit`] as [`Log::append_in_time`]: after [`LogError::Late`] the decision is recorded all the same, and
    /// the statement must not pass.
    ///
    /// # Errors
    /// The statement must not pass.
    pub async fn permit_in_time(
        &self,
        statement: StatementId,
        events: Vec<Event>,
        changes: Vec<Change>,
    ) -> Result<Permit, LogError> {
        let how = How { urgent: true, hurries: true, ..How::default() };
        self.permit_as(statement, events, changes, how).await
    }

    async fn permit_as(
        &self,
        statement: StatementId,
        events: Vec<Event>,
        changes: Vec<Change>,
        how: How,
    ) -> Result<Permit, LogError> {
        let seq = self.append_all(&events, changes, how).await?.last;
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
        match self.try_ticket(statement, &event)? {
            Some(had) => Ok(had),
            None => {
                let urgent = self.shared().marks.ordinary_is_durable();
                let how = How { urgent, ..How::default() };
                let seq = self.queue_as(std::slice::from_ref(&event), Vec::new(), how).await?.first;
                self.ticketed(statement, seq)
            }
        }
    }

    /// [`Log::ticket`] without waiting; `None` if there is no room right now.
    ///
    /// # Errors
    /// The statement must not pass.
    pub fn try_ticket(
        &self,
        statement: StatementId,
        event: &Event,
    ) -> Result<Option<(Ticket, PendingRelease)>, LogError> {
        let urgent = self.shared().marks.ordinary_is_durable();
        let first = self.push_event(event, Some(statement.session), urgent, false)?;
        first.map(|seq| self.ticketed(statement, seq)).transpose()
    }

    /// [`Log::try_ticket`] for a decision that was made before: `template` is its event, whose number is that of
    /// `statement` this time.
    ///
    /// # Errors
    /// The statement must not pass.
    pub fn try_ticket_again(
        &self,
        statement: StatementId,
        template: &Template,
    ) -> Result<Option<(Ticket, PendingRelease)>, LogError> {
        let urgent = self.shared().marks.ordinary_is_durable();
        let encode = |fitted: &mut Fitted| template.fill(statement.number, fitted).map(|()| true);
        let first =
            self.push_encoded(urgent, Some(statement.session), false, encode)?.ok_or(LogError::Full)?;
        first.map(|seq| self.ticketed(statement, seq)).transpose()
    }

    fn ticketed(&self, statement: StatementId, seq: u64) -> Result<(Ticket, PendingRelease), LogError> {
        let ticket = self.shared().marks.ticket(statement, seq);
        let ticket = ticket.map_err(|error| LogError::Poisoned(error.to_string()))?;
        let log = Arc::clone(&self.handle.shared);
        Ok((ticket, PendingRelease::new(log, statement, seq)))
    }

    /// Queues an event that nothing waits for, also while the disk has no space. It is written, or the log is
    /// poisoned.
    ///
    /// # Errors
    /// The event was not queued.
    pub fn note(&self, event: impl Borrow<Event>) -> Result<(), LogError> {
        self.push_event(event.borrow(), None, false, true)?.map(|_| ()).ok_or(LogError::Full)
    }

    /// [`Log::note`] of a statement's end, which there is one of for each.
    ///
    /// # Errors
    /// It was not queued.
    pub fn note_completed(&self, completed: &Completed) -> Result<(), LogError> {
        let encode = |fitted: &mut Fitted| Ok(fitted.fit_completed(completed).is_some());
        match self.push_encoded(false, None, true, encode)? {
            Some(pushed) => pushed.map(|_| ()).ok_or(LogError::Full),
            None => self.note(completed.event()),
        }
    }

    /// Queues an event without waiting; `None` if there is no room right now.
    fn push_event(
        &self,
        event: &Event,
        waits: Option<SessionId>,
        urgent: bool,
        happened: bool,
    ) -> Result<Option<u64>, LogError> {
        if !event.is_plain_spoken() && !event.is_of_an_account() {
            let encode = |fitted: &mut Fitted| Ok(fitted.fit_whole(event));
            if let Some(pushed) = self.push_encoded(urgent, waits, happened, encode)? {
                return Ok(pushed);
            }
        }
        let mut event = [event.clone()];
        let staged = self.subjects().commit(&mut event, self.len())?;
        let (events, _) = fit(&event)?;
        let parcel = Parcel {
            events: &events,
            changes: &mut staged.changes().to_vec(),
            urgent,
            waits: None,
            last: false,
            happened,
            of_accounts: event.iter().any(Event::is_of_an_account),
        };
        let first = self.push(parcel)?;
        first.into_iter().for_each(|first| staged.queued(first));
        Ok(first)
    }

    /// Of no account. `None`: it does not fit into one record.
    fn push_encoded(
        &self,
        urgent: bool,
        waits: Option<SessionId>,
        happened: bool,
        encode: impl FnOnce(&mut Fitted) -> Result<bool, RecordError>,
    ) -> Result<Option<Option<u64>>, LogError> {
        // Taken out and put back: a thread that is about to end has none, and gets a new one.
        let mut fitted = FITTED.try_with(RefCell::take).unwrap_or_default();
        let fits = encode(&mut fitted).map_err(|error| LogError::TooLarge(error.to_string()))?;
        let events = std::slice::from_ref(&fitted);
        let parcel = Parcel {
            events,
            changes: &mut Vec::new(),
            urgent,
            waits,
            last: false,
            happened,
            of_accounts: false,
        };
        let pushed = fits.then(|| self.push(parcel));
        let _ = FITTED.try_with(|room| room.replace(fitted));
        pushed.transpose()
    }

    fn push(&self, parcel: Parcel<'_>) -> Result<Option<u64>, LogError> {
        self.shared().queue.push(parcel, &self.shared().marks, &*self.handle.clock)
    }

    /// How many records are durable.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.shared().marks.durable()
    }

    /// The first record from number `from` on that may tell of what was done to somebody's account, or how many
    /// records are on disk.
    #[must_use]
    pub fn of_accounts_from(&self, from: u64) -> u64 {
        // In this order: what is on disk was told of before.
        let end = self.len();
        if self.shared().marks.of_accounts() > from { from } else { from.max(end) }
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

    /// One for those who wait for releases on one runtime.
    #[must_use]
    pub fn bell(&self) -> Bell {
        Bell::new(Arc::clone(&self.handle.shared))
    }

    /// Follows the number of durable records. Also wakes when the log is poisoned.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.shared().marks.watch()
    }

    /// Who stands behind the commitments in its records.
    #[must_use]
    pub fn subjects(&self) -> &Subjects {
        &self.shared().subjects
    }

    /// All keys and values of a side tree.
    ///
    /// # Errors
    /// The tree cannot be read.
    pub fn load(&self, side: Side) -> Result<Vec<Entry>, LogError> {
        self.shared().beside.side(side).map_err(LogError::Io)
    }

    /// One value of a side tree.
    ///
    /// # Errors
    /// The tree cannot be read.
    pub fn load_one(&self, side: Side, key: &[u8]) -> Result<Option<Vec<u8>>, LogError> {
        self.shared().beside.side_value(side, key).map_err(LogError::Io)
    }

    /// Why nothing is accepted any more, if a write has failed.
    #[must_use]
    pub fn poisoned(&self) -> Option<String> {
        match self.shared().marks.check() {
            Err(LogError::Poisoned(why)) => Some(why),
            _ => None,
        }
    }

    /// Whether the disk has no space: nothing new is accepted until it has.
    #[must_use]
    pub fn has_no_space(&self) -> bool {
        self.shared().marks.is_full()
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
        let how = How { urgent: true, hurries: true, last: true, ..How::default() };
        block_on(self.append_as(&[Event::LogStopped {}], Vec::new(), how))?;
        self.shared().checkpoint(true).map(|_| ())
    }

    async fn queue_as(
        &self,
        events: &[Event],
        mut changes: Vec<Change>,
        how: How,
    ) -> Result<Queued, LogError> {
        let How { urgent, last, happened, .. } = how;
        if changes.len() > MAX_CHANGES || !changes.iter().all(Change::fits) {
            return Err(LogError::TooLarge("too many or too large changes".to_owned()));
        }
        let mut named;
        let (events, staged) = if events.iter().any(Event::is_plain_spoken) {
            named = events.to_vec();
            let staged = self.subjects().commit(&mut named, self.len())?;
            (named.as_slice(), Some(staged))
        } else {
            (events, None)
        };
        let of_accounts = events.iter().any(Event::is_of_an_account);
        let (events, last_event) = fit(events)?;
        changes.extend(staged.iter().flat_map(Staged::changes).cloned());
        let Shared { queue, marks, .. } = self.shared();
        loop {
            let parcel = Parcel {
                events: &events,
                changes: &mut changes,
                urgent,
                waits: None,
                last,
                happened,
                of_accounts,
            };
            if let Some(first) = self.push(parcel)? {
                staged.iter().for_each(|staged| staged.queued(first));
                let place = |at: usize| first.saturating_add(u64::try_from(at).unwrap_or(u64::MAX));
                return Ok(Queued {
                    first,
                    last: place(last_event),
                    end: place(events.len().saturating_sub(1)),
                });
            }
            std::future::poll_fn(|context| queue.poll_room(happened, marks, context)).await;
        }
    }
}

/// How events are queued, and waited for.
#[derive(Clone, Copy, Default)]
struct How {
    /// Somebody waits until they are on disk.
    urgent: bool,
    /// … and not for long where there is no space.
    hurries: bool,
    /// They tell what has happened: see [`Parcel`].
    happened: bool,
    /// Nothing comes after them.
    last: bool,
}

/// The numbers of records that were queued.
#[derive(Clone, Copy)]
struct Queued {
    /// The first.
    first: u64,
    /// That of the last event.
    last: u64,
    /// The last of all: what the last event goes on in, perhaps.
    end: u64,
}

/// Events as records, and at which place the last of them begins.
fn fit(events: &[Event]) -> Result<(Vec<Fitted>, usize), LogError> {
    if events.is_empty() || events.len() > MAX_EVENTS {
        return Err(LogError::TooLarge(format!("{} events at once", events.len())));
    }
    let (mut all, mut last) = (Vec::with_capacity(events.len()), 0);
    for event in events {
        last = all.len();
        all.append(&mut Fitted::all(event).map_err(|error| LogError::TooLarge(error.to_string()))?);
    }
    Ok((all, last))
}

impl Drop for Handle {
    fn drop(&mut self) {
        // First: it appends records.
        if let Some((stop, keeper)) = self.keeper.take() {
            stop.store(true, Ordering::Release);
            keeper.thread().unpark();
            let _ = keeper.join();
        }
        // The writer ends when it has written what is queued.
        self.shared.queue.end();
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
