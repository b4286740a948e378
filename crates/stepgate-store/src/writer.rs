//! The one thread that writes: takes what is queued, writes it in one batch, syncs, and only then answers.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use stepgate_record::{Fitted, Frontier, Hash, NoteSigner, SignedNote};
use stepgate_types::Timestamp;
use tokio::sync::{mpsc, oneshot};

use crate::checkpoints::Checkpoints;
use crate::disk::Disk;
use crate::seal::Watermarks;
use crate::{Change, LogError};

/// How many jobs may be queued; whoever comes next waits for room.
pub(crate) const QUEUE_JOBS: usize = 1024;

/// How many jobs are written in one batch. Measured: 256 bring 35 times the throughput of single writes;
/// more only add latency.
const BATCH_JOBS: usize = 256;

/// A batch takes no further job once it has as many records (4 MiB at most, plus one job's).
const BATCH_RECORDS: usize = 1024;

/// How long records that nobody waits for may stay unwritten: completions, and in `buffered` mode the decisions
/// on ordinary statements, which must be on disk within 100 ms.
const LINGER: Duration = Duration::from_millis(50);

/// Records to be written together, and who waits for them.
pub(crate) struct Job {
    pub(crate) first: u64,
    pub(crate) at: Timestamp,
    pub(crate) events: Vec<Fitted>,
    pub(crate) changes: Vec<Change>,
    /// Something waits until it is on disk.
    pub(crate) urgent: bool,
    pub(crate) done: Option<oneshot::Sender<Result<(), LogError>>>,
}

/// What the writer, the checkpointer and all handles share.
pub(crate) struct Shared {
    pub(crate) disk: Disk,
    pub(crate) marks: Watermarks,
    pub(crate) log_id: String,
    /// The tree over what is on disk.
    pub(crate) frontier: Mutex<Frontier>,
    pub(crate) checkpoints: Mutex<Checkpoints>,
    pub(crate) checkpoints_dir: PathBuf,
}

impl Shared {
    /// Signs a checkpoint over everything that is on disk. `keep`: also as an older one.
    pub(crate) fn checkpoint(&self, keep: bool) -> Result<(Frontier, SignedNote), LogError> {
        self.marks.check()?;
        // Locked first, so that an older tree is never signed after a newer one.
        let mut checkpoints = self.checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
        let frontier = self.frontier.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let root = frontier.root().ok_or(LogError::Closed)?;
        match checkpoints.sign(frontier.end(), root, keep) {
            Ok(note) => Ok((frontier, note)),
            Err(error) => {
                self.marks.poison(format!("a checkpoint cannot be written: {error}"));
                self.marks.check()?;
                Err(LogError::Closed)
            }
        }
    }

    /// Signs a checkpoint if there are records that none covers yet.
    pub(crate) fn checkpoint_if_dirty(&self) -> Result<(), LogError> {
        let signed = self.checkpoints.lock().unwrap_or_else(PoisonError::into_inner).last_size();
        let written = self.frontier.lock().unwrap_or_else(PoisonError::into_inner).end();
        if signed == Some(written) { Ok(()) } else { self.checkpoint(false).map(|_| ()) }
    }
}

/// Makes the signer of a log's checkpoints from a secret.
pub(crate) fn signer(origin: &str, seed: &[u8; 32]) -> Result<NoteSigner, LogError> {
    NoteSigner::new(origin, seed).map_err(|error| LogError::Io(error.to_string()))
}

/// Writes until every handle is gone.
pub(crate) fn run(shared: &Arc<Shared>, mut queue: mpsc::Receiver<Job>, mut prev: Hash) {
    while let Some(job) = queue.blocking_recv() {
        let mut jobs = gather(job, &mut queue);
        let written = shared.marks.check().and_then(|()| write(shared, &mut jobs, prev));
        let outcome = match written {
            Ok(last) => {
                prev = last;
                Ok(())
            }
            Err(error) => Err(error),
        };
        for done in jobs.into_iter().filter_map(|job| job.done) {
            // Who does not wait any more need not know.
            let _ = done.send(outcome.clone());
        }
    }
}

/// Takes what is queued besides this job. A sync is worth a hundred records: what nobody waits for waits for
/// company, until something urgent comes (`Log::place` unparks the thread then).
fn gather(job: Job, queue: &mut mpsc::Receiver<Job>) -> Vec<Job> {
    let deadline = Instant::now() + LINGER;
    let mut urgent = job.urgent;
    let mut records = job.events.len();
    let mut jobs = vec![job];
    loop {
        while jobs.len() < BATCH_JOBS
            && records < BATCH_RECORDS
            && let Ok(job) = queue.try_recv()
        {
            urgent |= job.urgent;
            records = records.saturating_add(job.events.len());
            jobs.push(job);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let full = jobs.len() >= BATCH_JOBS || records >= BATCH_RECORDS;
        if urgent || full || left.is_zero() || queue.is_closed() {
            return jobs;
        }
        thread::park_timeout(left);
    }
}

/// Writes the jobs as one batch; returns the hash of the last record. Any error poisons the log.
fn write(shared: &Shared, jobs: &mut [Job], mut prev: Hash) -> Result<Hash, LogError> {
    let mut records = Vec::new();
    let mut changes = Vec::new();
    let mut hashes = Vec::new();
    let poison = |why: String| {
        shared.marks.poison(why.clone());
        LogError::Poisoned(why)
    };
    for job in jobs {
        for (seq, event) in (job.first..).zip(&job.events) {
            let bytes = event
                .record(&shared.log_id, seq, job.at.micros(), &prev)
                .map_err(|error| poison(format!("record {seq}: {error}")))?;
            prev = Hash::leaf(&bytes);
            hashes.push(prev);
            records.push((seq, bytes));
        }
        changes.append(&mut job.changes);
    }
    shared.disk.commit(&records, &changes).map_err(poison)?;
    let mut frontier = shared.frontier.lock().unwrap_or_else(PoisonError::into_inner);
    hashes.into_iter().for_each(|hash| frontier.push(hash));
    shared.marks.durable_to(frontier.end());
    Ok(prev)
}
