//! The one thread that writes: takes what is queued, writes it in one batch, syncs, and only then answers.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use stepgate_record::{Envelope, Event, Frontier, Hash, SignedNote, Trouble, VerifierKeys};
use stepgate_types::Clock;

use crate::archive::Archive;
use crate::beside::Beside;
use crate::checkpoints::Checkpoints;
use crate::frame::{Builder, digest_of};
use crate::journal::{self, Journal};
use crate::keeper::Upkeep;
use crate::pace::Pace;
use crate::queue::{Batch, Queue, Taken};
use crate::records::Records;
use crate::seal::Watermarks;
use crate::space::{self, Unwritten};
use crate::{LogError, Subjects, Vault};

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
    /// Held while a batch is written: who has it sees the log between two batches.
    pub(crate) writing: Mutex<()>,
    /// What is sealed.
    pub(crate) archive: Archive,
    /// What is to be done by itself.
    pub(crate) upkeep: Mutex<Upkeep>,
    /// Whether full files are sealed: tests that count records would be at a loss.
    #[cfg(test)]
    pub(crate) seals: std::sync::atomic::AtomicBool,
    pub(crate) checkpoints: Mutex<Checkpoints>,
    pub(crate) checkpoints_dir: PathBuf,
    /// Held while a key is replaced.
    pub(crate) rotating: Mutex<()>,
    /// What was given out for bundles.
    pub(crate) exports: crate::given::Exports,
    pub(crate) keys_file: PathBuf,
    pub(crate) vault: Vault,
    pub(crate) subjects: Subjects,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Shared {
    /// Nothing passes any more.
    pub(crate) fn poison(&self, why: String) -> LogError {
        self.marks.poison(why.clone());
        self.queue.give_up();
        LogError::Poisoned(why)
    }

    /// Signs a checkpoint over everything that is on disk. `keep`: also as an older one.
    pub(crate) fn checkpoint(&self, keep: bool) -> Result<(Frontier, SignedNote), LogError> {
        self.checkpoint_with_keys(keep).map(|(frontier, note, _)| (frontier, note))
    }

    /// The same, with the keys as they are then.
    pub(crate) fn checkpoint_with_keys(
        &self,
        keep: bool,
    ) -> Result<(Frontier, SignedNote, VerifierKeys), LogError> {
        self.marks.check()?;
        // Locked first, so that an older tree is never signed after a newer one.
        let mut checkpoints = self.checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
        let frontier = self.frontier.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let root = frontier.root().ok_or(LogError::Closed)?;
        match checkpoints.sign(frontier.end(), root, keep) {
            Ok(note) => {
                if checkpoints.had_space(true) {
                    tracing::info!("checkpoints are written again");
                }
                Ok((frontier, note, checkpoints.keys().clone()))
            }
            Err(error) if space::is_no_space(&error) => {
                // The one before is still whole, and the next may have more luck.
                if checkpoints.had_space(false) {
                    tracing::warn!(%error, "no checkpoint is written for now");
                }
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
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        // Of halves that are written already.
        let mut before = Vec::new();
        let (mut first, mut room) = (batch.first, self.records.room(batch.first));
        frame.begin();
        for (seq, (event, cuts, at)) in (batch.first..).zip(batch.events()) {
            if room == 0 {
                self.persist(|| self.append(frame.finish_half(first), first))?;
                before.extend_from_slice(frame.hashes());
                frame.begin();
                (first, room) = (seq, self.records.room(seq));
            }
            let envelope = Envelope { log_id: &self.log_id, seq, ts_us: at.micros(), prev: &prev };
            prev = frame
                .add(event, cuts, &envelope)
                .map_err(|error| self.poison(format!("record {seq}: {error}")))?;
            room = room.saturating_sub(1);
        }
        self.persist(|| self.commit(batch, frame, first))?;
        self.marks.has_space();
        let mut frontier = self.frontier.lock().unwrap_or_else(PoisonError::into_inner);
        before.iter().chain(frame.hashes()).for_each(|hash| frontier.push(*hash));
        let end = frontier.end();
        drop(frontier);
        self.marks.durable_to(end);
        Ok(prev)
    }

    /// Does a step, again and again while there is no space for it.
    fn persist(&self, mut step: impl FnMut() -> Result<(), Failed>) -> Result<(), LogError> {
        let mut full = None;
        while let Err(failed) = step() {
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
        if full.is_some() {
            self.tell(Event::StoreRecovered(space()));
        }
        Ok(())
    }

    fn append(&self, frame: &[u8], first: u64) -> Result<(), Failed> {
        self.records.append(frame, first).map_err(|error| Failed::new("records", error))
    }

    /// Returns when records and changes are on disk. Each step is, before the next one begins.
    fn commit(&self, batch: &Batch, frame: &mut Builder, first: u64) -> Result<(), Failed> {
        // Changes are rare, and must not be there without their records, nor the other way round.
        if batch.changes.is_empty() {
            return self.append(frame.finish(first, None), first);
        }
        let changes = journal::encode(&batch.changes);
        let digest = digest_of(&changes);
        let journalled = |error| Failed::new("changes", error);
        // The database does not bear a write that fails, so there is room for it before anything is begun.
        space::spare(&self.checkpoints_dir).map_err(journalled)?;
        self.journal.write(first, &changes, digest).map_err(journalled)?;
        // If there is no space for them, no frame names what is in the journal, which says nothing then.
        self.append(frame.finish(first, Some(digest)), first)?;
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
    let (mut batch, mut frame, mut pace) = (Batch::default(), Builder::default(), Pace::default());
    loop {
        match shared.queue.take(&mut batch, &pace) {
            Taken::Over => break,
            Taken::Nothing => {}
            Taken::Batch => {
                let begun = Instant::now();
                // An error has poisoned the log, which tells those who wait.
                if let Ok(last) = shared.write(&batch, &mut frame, prev) {
                    prev = last;
                }
                pace.wrote(begun.elapsed());
                pace.used(batch.length(), KEPT_BYTES);
                batch.clear();
                if !pace.gives_back() {
                    continue;
                }
            }
        }
        batch.shrink(KEPT_BYTES);
        frame.shrink(KEPT_BYTES);
        shared.queue.shrink(KEPT_BYTES);
        pace.gave_back();
    }
    drop(ends);
}
