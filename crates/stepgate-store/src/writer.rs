//! The one thread that writes: takes what is queued, writes it in one batch, syncs, and only then answers.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use stepgate_record::{Envelope, Event, Frontier, Hash, NoteSigner, SignedNote, Trouble};
use stepgate_types::Clock;

use crate::beside::Beside;
use crate::checkpoints::Checkpoints;
use crate::frame::{Builder, digest_of};
use crate::journal::{self, Journal};
use crate::queue::{Batch, Queue};
use crate::records::Records;
use crate::seal::Watermarks;
use crate::space::{self, Unwritten};
use crate::{LogError, Subjects};

/// Room for a frame of so many bytes is kept when a burst is over.
const KEPT_BYTES: usize = 256 * 1024;

/// So often a batch is tried again that there was no space for …
const TRY_AGAIN: Duration = Duration::from_millis(250);

/// … and after so long those are told who wait for it and need not.
const PATIENCE: Duration = if cfg!(test) { Duration::from_millis(600) } else { Duration::from_secs(5) };

/// What the writer, the checkpointer and all handles share.
pub(crate) struct Shared {
    pub(crate) queue: Queue,
    pub(crate) records: Records,
    pub(crate) beside: Arc<Beside>,
    pub(crate) journal: Journal,
    pub(crate) marks: Watermarks,
    pub(crate) log_id: String,
    /// The tree over what is on disk.
    pub(crate) frontier: Mutex<Frontier>,
    pub(crate) checkpoints: Mutex<Checkpoints>,
    pub(crate) checkpoints_dir: PathBuf,
    pub(crate) subjects: Subjects,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Shared {
    /// Nothing passes any more.
    fn poison(&self, why: String) -> LogError {
        self.marks.poison(why.clone());
        self.queue.give_up();
        LogError::Poisoned(why)
    }

    /// Signs a checkpoint over everything that is on disk. `keep`: also as an older one.
    pub(crate) fn checkpoint(&self, keep: bool) -> Result<(Frontier, SignedNote), LogError> {
        self.marks.check()?;
        // Locked first, so that an older tree is never signed after a newer one.
        let mut checkpoints = self.checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
        let frontier = self.frontier.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let root = frontier.root().ok_or(LogError::Closed)?;
        match checkpoints.sign(frontier.end(), root, keep) {
            Ok(note) => Ok((frontier, note)),
            Err(error) if space::is_no_space(&error) => {
                // The one before is still whole, and the next may have more luck.
                tracing::warn!(%error, "no checkpoint is written for now");
                Err(LogError::NoSpace)
            }
            Err(error) => Err(self.poison(format!("a checkpoint cannot be written: {error}"))),
        }
    }

    /// Signs a checkpoint if there are records that none covers yet.
    pub(crate) fn checkpoint_if_dirty(&self) -> Result<(), LogError> {
        let signed = self.checkpoints.lock().unwrap_or_else(PoisonError::into_inner).last_size();
        let written = self.frontier.lock().unwrap_or_else(PoisonError::into_inner).end();
        if signed == Some(written) { Ok(()) } else { self.checkpoint(false).map(|_| ()) }
    }

    /// Says something about itself.
    fn tell(&self, event: Event) {
        self.queue.tell(&event, &self.marks, &*self.clock);
    }

    /// Writes a batch; returns the hash of the last record. It waits for space where there is none; any other error
    /// poisons the log.
    fn write(&self, batch: &Batch, frame: &mut Builder, mut prev: Hash) -> Result<Hash, LogError> {
        self.marks.check()?;
        frame.begin();
        for (seq, (event, cuts, at)) in (batch.first..).zip(batch.events()) {
            let envelope = Envelope { log_id: &self.log_id, seq, ts_us: at.micros(), prev: &prev };
            prev = frame
                .add(event, cuts, &envelope)
                .map_err(|error| self.poison(format!("record {seq}: {error}")))?;
        }
        let mut full = None;
        while let Err(failed) = self.commit(batch, frame) {
            let ended = self.queue.has_ended();
            match failed {
                // Never dropped: a statement whose record it holds may have run, and others follow its numbers.
                Failed { why: _, clean: true } if !ended => {
                    let since: Instant = *full.get_or_insert_with(Instant::now);
                    if since.elapsed() < TRY_AGAIN {
                        self.tell(Event::StoreDegraded(space()));
                    }
                    self.marks.full(since.elapsed() >= PATIENCE);
                    self.queue.give_up();
                    thread::park_timeout(TRY_AGAIN);
                }
                Failed { why, .. } => return Err(self.poison(why)),
            }
        }
        self.marks.has_space();
        if full.is_some() {
            self.tell(Event::StoreRecovered(space()));
        }
        let mut frontier = self.frontier.lock().unwrap_or_else(PoisonError::into_inner);
        frame.hashes().iter().for_each(|hash| frontier.push(*hash));
        let end = frontier.end();
        drop(frontier);
        self.marks.durable_to(end);
        Ok(prev)
    }

    /// Returns when records and changes are on disk. Each step is, before the next one begins.
    fn commit(&self, batch: &Batch, frame: &mut Builder) -> Result<(), Failed> {
        let first = batch.first;
        let record =
            |frame: &[u8]| self.records.append(frame, first).map_err(|error| Failed::new("records", error));
        // Changes are rare, and must not be there without their records, nor the other way round.
        if batch.changes.is_empty() {
            return record(frame.finish(first, None));
        }
        let changes = journal::encode(&batch.changes);
        let digest = digest_of(&changes);
        let journalled = |error| Failed::new("changes", error);
        // The database does not bear a write that fails, so there is room for it before anything is begun.
        space::spare(&self.checkpoints_dir).map_err(journalled)?;
        self.journal.write(first, &changes, digest).map_err(journalled)?;
        // If there is no space for them, no frame names what is in the journal, which says nothing then.
        record(frame.finish(first, Some(digest)))?;
        self.beside.apply(first, digest, &batch.changes).map_err(|why| Failed { why, clean: false })?;
        self.journal.wipe().map_err(|error| journalled(Unwritten::Broken(error)))
    }
}

/// What is wrong, or right again.
fn space() -> Trouble {
    Trouble { what: "space".to_owned(), name: String::new() }
}

/// A batch is not written.
struct Failed {
    why: String,
    /// Nothing of it is, and it may be tried again.
    clean: bool,
}

impl Failed {
    fn new(what: &str, error: Unwritten) -> Self {
        let clean = matches!(error, Unwritten::NoSpace(_));
        Self { why: format!("{what} cannot be written: {}", error.into_error()), clean }
    }
}

/// Makes the signer of a log's checkpoints from a secret.
pub(crate) fn signer(origin: &str, seed: &[u8; 32]) -> Result<NoteSigner, LogError> {
    NoteSigner::new(origin, seed).map_err(|error| LogError::Io(error.to_string()))
}

/// Whoever waits is told, however the writer ends.
struct Ends<'a>(&'a Shared);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.poison("the writer has stopped".to_owned());
        }
    }
}

/// Writes until every handle is gone. `prev` is the hash of the last record.
pub(crate) fn run(shared: &Shared, mut prev: Hash) {
    let ends = Ends(shared);
    let (mut batch, mut frame) = (Batch::default(), Builder::default());
    while shared.queue.take(&mut batch) {
        // An error has poisoned the log, which tells those who wait.
        if let Ok(last) = shared.write(&batch, &mut frame, prev) {
            prev = last;
        }
        batch.clear();
        frame.shrink(KEPT_BYTES);
    }
    drop(ends);
}
