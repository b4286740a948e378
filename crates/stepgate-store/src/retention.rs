//! Deletes records that need not be kept any more. Their hashes stay, so that every proof holds that was ever given.
//!
//! First it is recorded what goes, and only then it goes: records that are missing without that record were taken away
//! by somebody else. The newest such record says all that is missing.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use stepgate_record::{Event, Frontier, Pruned};
use stepgate_types::Who;

use crate::archive::{beside, numbered};
use crate::files::sync_dir;
use crate::gather::{OFFSETS, Seal};
use crate::keeper::{Hand, before, check_one, floor};
use crate::scan::file_name;
use crate::writer::Shared;
use crate::{Change, Log, LogError, Side};

/// Where the desk's tree says before which record all may be missing.
const PRUNED: &[u8] = b"pruned";

/// The end of an index's name, which goes with the records.
const INDEX: &str = "index";

/// What retention deletes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruning {
    /// The first record.
    pub first: u64,
    /// The record after the last; nothing goes if it is the first.
    pub end: u64,
    /// Bytes of files.
    pub bytes: u64,
    /// Why not more: `keep`, `desk`, `sink`, `open`.
    pub bound: &'static str,
}

impl Log {
    /// Deletes records that are older than `keep`, as [`Upkeep::keep`](crate::Upkeep::keep) has it done by itself;
    /// `dry_run` only says which. `operator` asked for it. Blocks the thread.
    ///
    /// # Errors
    /// Nothing, or not all, was deleted.
    pub fn retention(
        &self,
        keep: Duration,
        dry_run: bool,
        operator: Option<Who>,
    ) -> Result<Pruning, LogError> {
        let hand = Hand { shared: self.shared(), clock: &**self.clock(), stop: &AtomicBool::new(false) };
        let pruned = prune(&hand, keep, dry_run, operator)?;
        if !dry_run && pruned.end > pruned.first {
            hand.shared.subjects.sweep(&hand)?;
        }
        Ok(pruned)
    }
}

/// Deletes whole sealed segments of records that are old enough, and that nothing needs any more.
pub(crate) fn prune(
    hand: &Hand<'_>,
    keep: Duration,
    dry_run: bool,
    operator: Option<Who>,
) -> Result<Pruning, LogError> {
    let shared = hand.shared;
    let _deleting = shared.archive.delete_files();
    let first = shared.archive.floor();
    let seals = shared.archive.seals();
    let mut pruning = Pruning { first, end: first, bytes: 0, bound: "open" };
    let oldest = before(hand.clock, keep).micros();
    let (desk, sink) = (floor(shared)?, least_cursor(shared)?);
    let mut root = None;
    let mut frontier = Frontier::default();
    for (at, seal) in seals.iter().enumerate() {
        let range = seal.range().and_then(|range| frontier.extend(&range));
        range.ok_or_else(|| LogError::Io(format!("the seal of record {} is malformed", seal.first)))?;
        if seal.end <= first {
            continue;
        }
        let bound = [
            (seal.newest_us >= oldest, "keep"),
            (seal.end > desk, "desk"),
            (sink.is_some_and(|sink| seal.end > sink), "sink"),
            // The newest sealed one is read again at each start.
            (at.saturating_add(1) == seals.len(), "open"),
        ];
        if let Some((_, bound)) = bound.into_iter().find(|(holds, _)| *holds) {
            pruning.bound = bound;
            break;
        }
        // What is not as it was sealed is evidence, and stays.
        if !dry_run {
            check_one(shared, &seals, at).map_err(LogError::Io)?;
        }
        pruning.end = seal.end;
        pruning.bytes = pruning.bytes.saturating_add(seal.bytes);
        root = frontier.root();
    }
    let Some(root) = root.filter(|_| !dry_run) else { return Ok(pruning) };
    crate::fault::point("prune: recorded");
    let policy = format!("keep {}", words(keep.as_secs()));
    let Pruning { end, bytes, .. } = pruning;
    let event = Event::RetentionPruned(Pruned { first, end, root, bytes, policy, operator });
    let change = Change::Put { side: Side::Desk, key: PRUNED.to_vec(), value: end.to_be_bytes().to_vec() };
    hand.append(&event, vec![change])?;
    shared.archive.raise_floor(end);
    shared.records.forget_before(end);
    crate::fault::point("prune: deleted");
    delete(shared, &seals, end)
        .map_err(|error| LogError::Io(format!("records cannot be deleted: {error}")))?;
    tracing::info!(first, end, bytes, "records were deleted by audit.retention.keep");
    Ok(pruning)
}

fn words(seconds: u64) -> String {
    match (seconds.is_multiple_of(86_400), seconds) {
        (true, seconds) => format!("{}d", seconds / 86_400),
        (false, seconds) => format!("{seconds}s"),
    }
}

/// Deletes what lies before `end`, the first records first.
fn delete(shared: &Shared, seals: &[Seal], end: u64) -> io::Result<()> {
    let dir = shared.records.dir();
    for seal in seals.iter().filter(|seal| seal.end <= end) {
        for path in [
            beside(dir, seal.first, OFFSETS),
            beside(dir, seal.first, INDEX),
            dir.join(file_name(seal.first)),
        ] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
            crate::fault::point("prune: half of one deleted");
        }
        // Names go in this order also where the power fails: what is there begins with the first record that is kept.
        sync_dir(dir)?;
        crate::fault::point("prune: one deleted");
    }
    Ok(())
}

/// Before which record all may be missing.
pub(crate) fn pruned_to(shared: &Shared) -> Result<u64, String> {
    let value = shared.beside.side_value(Side::Desk, PRUNED)?;
    Ok(value.and_then(|value| value.try_into().ok()).map_or(0, u64::from_be_bytes))
}

/// What opening finds: records are missing up to `floor`. Deletes what a stop has left, and says so if more is missing
/// than was to be.
pub(crate) fn settle(shared: &Shared) -> Result<(), String> {
    let (floor, pruned) = (shared.archive.floor(), pruned_to(shared)?);
    if floor > pruned {
        return Err(format!("record {pruned} is missing: it was not deleted by retention"));
    }
    shared.archive.raise_floor(pruned);
    if floor < pruned {
        let seals = shared.archive.seals();
        delete(shared, &seals, pruned).map_err(|error| format!("records cannot be deleted: {error}"))?;
    }
    sweep(shared.records.dir(), pruned).map_err(|error| format!("files cannot be deleted: {error}"))
}

/// Deletes what lay beside records that are gone: where the power failed, names of one segment may go in any order.
fn sweep(dir: &Path, end: u64) -> io::Result<()> {
    for what in [OFFSETS, INDEX] {
        for first in numbered(dir, what)?.into_iter().filter(|first| *first < end) {
            fs::remove_file(beside(dir, first, what))?;
        }
    }
    Ok(())
}

/// The first record that something is still to be sent.
fn least_cursor(shared: &Shared) -> Result<Option<u64>, LogError> {
    let data = shared.checkpoints_dir.parent().unwrap_or(&shared.checkpoints_dir);
    crate::least_cursor(data)
        .map_err(|error| LogError::Io(format!("cursors of sinks cannot be read: {error}")))
}
