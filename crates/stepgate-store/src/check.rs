//! Verification of a log in its store: of a copy, or of the running gate's own.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::PoisonError;

use stepgate_record::verify::{Anchor, Chain, Failure, Known, Outcome, Place, Verified};
use stepgate_record::{Checkpoint, Event, Frontier, VerifierKey};

use crate::checkpoints;
use crate::disk::{Disk, DiskError, has_blobs};
use crate::files::read_text;
use crate::layout::Layout;
use crate::{Log, LogError, OpenError};

/// Verifies the log of the data directory `dir`, without its keys and without changing it: the database is
/// copied first, since sled rewrites what it opens.
///
/// # Errors
/// The first thing that is wrong. A directory that a gate works on is refused: ask that gate.
pub fn verify_dir(dir: &Path, anchor: Option<&Anchor>) -> Outcome {
    let layout = Layout::new(dir);
    let lock = layout.lock_for_reading().map_err(|error| match error {
        OpenError::InUse { dir } => Failure::files(format!(
            "{} is in use: a copy of it could be torn. Ask the gate that runs on it, or stop it first",
            dir.display()
        )),
        other => Failure::files(other.to_string()),
    })?;
    let log_id = layout.log_id().map_err(|error| Failure::files(error.to_string()))?;
    let log_id = log_id.ok_or_else(|| Failure::files(format!("{} holds no log", dir.display())))?;
    let key = read_key(&layout, &log_id)?;
    let known = checkpoints::read(&layout.checkpoints(), &key).map_err(Failure::checkpoint)?;
    if has_blobs(&layout.blobs()).map_err(|error| Failure::files(format!("log/blobs: {error}")))? {
        return Err(Failure::files("log/blobs is not empty: no record is that large"));
    }
    let copy = copy_of(&layout).map_err(|error| Failure::files(format!("cannot be copied: {error}")))?;
    drop(lock);
    let disk = Disk::open(copy.path()).map_err(|error| match error {
        DiskError::InUse => Failure::files("the copy is in use"),
        DiskError::Damaged(why) => Failure::record(0, format!("no record can be read: {why}")),
    })?;
    check(&disk, &log_id, &key, known, u64::MAX, anchor)
}

impl Log {
    /// Verifies all durable records of this log against its checkpoints, and records that it was done.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn verify(&self, anchor: Option<&Anchor>) -> Outcome {
        let trouble = |error: LogError| Failure::files(error.to_string());
        let (frontier, _) = self.shared().checkpoint(false).map_err(trouble)?;
        let known = {
            // None is removed meanwhile.
            let _kept = self.shared().checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
            checkpoints::read(&self.shared().checkpoints_dir, self.verifier_key())
        };
        // One may have been signed since: it covers more than is checked here.
        let mut known = known.map_err(Failure::checkpoint)?;
        known.retain(|known| known.size <= frontier.end());
        if let Some(root) = frontier.root() {
            let source = "the newest checkpoint".to_owned();
            known.push(Known { size: frontier.end(), root, source });
        }
        let disk = &self.shared().disk;
        let outcome = check(disk, self.id(), self.verifier_key(), known, frontier.end(), anchor);
        let checked = Event::IntegrityChecked { records: frontier.end(), ok: outcome.is_ok() };
        self.append_blocking(vec![checked], Vec::new()).map_err(trouble)?;
        outcome
    }
}

/// Checks the records before `end` against checkpoints and anchor.
fn check(
    disk: &Disk,
    log_id: &str,
    key: &VerifierKey,
    mut known: Vec<Known>,
    end: u64,
    anchor: Option<&Anchor>,
) -> Outcome {
    let covered = known.iter().map(|known| known.size).max().unwrap_or(0);
    if let Some(anchor) = anchor
        && let Some(Checkpoint { size, root, .. }) = anchor.check(key).map_err(Failure::checkpoint)?
    {
        known.push(Known { size, root, source: "the checkpoint given".to_owned() });
    }
    let mut chain = Chain::new(log_id, Frontier::default(), known);
    for item in disk.records(0) {
        let next = chain.next();
        if next >= end {
            break;
        }
        let (seq, bytes) = item.map_err(|why| Failure::record(next, format!("it cannot be read: {why}")))?;
        if seq != next {
            return Err(Failure::record(next, format!("it is missing; record {seq} is the next there is")));
        }
        chain.push(&bytes)?;
    }
    let reached = chain.next();
    let frontier = chain.finish(None).map_err(|mut failure| {
        if failure.place == Place::Record(reached) {
            // sled says nothing of it.
            failure.why.push_str(": the database was cut short, or ends where a byte of it was changed");
        }
        failure
    })?;
    let root = frontier.root().ok_or_else(|| Failure::files("no root"))?;
    Ok(Verified {
        records: frontier.end(),
        tree_size: frontier.end(),
        root,
        notes: notes(frontier.end(), covered, anchor.is_some()),
    })
}

fn notes(records: u64, covered: u64, anchored: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if covered < records {
        notes.push(format!(
            "no checkpoint covers the records from {covered} on yet: they are linked, but not signed"
        ));
    }
    if !anchored {
        notes.push(
            "checked against the key and checkpoints in the data directory; give --checkpoint FILE with a \
             checkpoint or verifier key kept elsewhere to know that nobody replaced both"
                .to_owned(),
        );
    }
    notes
}

fn read_key(layout: &Layout, log_id: &str) -> Result<VerifierKey, Failure> {
    let text = read_text(&layout.verifier_key());
    let text = text.map_err(|error| Failure::files(format!("log.vkey: {error}")))?;
    let key = text.and_then(|text| text.strip_suffix('\n').and_then(|key| key.parse::<VerifierKey>().ok()));
    key.filter(|key| key.name() == Checkpoint::origin(log_id))
        .ok_or_else(|| Failure::files("log.vkey or format.json is missing or was altered"))
}

/// A private copy of sled's directory, deleted when dropped.
fn copy_of(layout: &Layout) -> io::Result<tempfile::TempDir> {
    let copy = tempfile::TempDir::with_prefix("stepgate-verify-")?;
    for entry in fs::read_dir(layout.log())? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), copy.path().join(entry.file_name()))?;
        }
    }
    if copy.path().join("db").exists() { Ok(copy) } else { Err(io::Error::other("log/db is missing")) }
}
