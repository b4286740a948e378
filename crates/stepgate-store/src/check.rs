//! Verification of a log in its store: of a copy, or of the running gate's own.

use std::path::Path;
use std::sync::PoisonError;

use stepgate_record::verify::{Anchor, Chain, Failure, Given, Known, Outcome, Place, Verified};
use stepgate_record::{Checkpoint, Event, Frontier, SignedNote, VerifierKeys};

use crate::beside::has_blobs;
use crate::index::Comparison;
use crate::layout::{Layout, Used};
use crate::scan::{Damage, End, Found, Scan};
use crate::{Log, LogError, OpenError};
use crate::{checkpoints, cosigned, keys};

/// Verifies the log of the data directory `dir`, without its keys and without changing it.
///
/// # Errors
/// The first thing that is wrong. A directory that a gate works on is refused: ask that gate.
pub fn verify_dir(dir: &Path, anchor: Option<&Anchor>) -> Outcome {
    let layout = Layout::new(dir);
    let _lock = layout.lock_for_reading().map_err(|error| match error {
        OpenError::InUse { dir } => Failure::files(format!(
            "{} is in use: what is written meanwhile could be taken for damage. Ask the gate that runs on it, or \
             stop it first",
            dir.display()
        )),
        other => Failure::files(other.to_string()),
    })?;
    let used = layout.used().map_err(|error| Failure::files(error.to_string()))?;
    let Used { log_id, old } =
        used.ok_or_else(|| Failure::files(format!("{} holds no log", dir.display())))?;
    if old {
        let why = "written by an older stepgate; open it with this one once (`serve`), which keeps a backup";
        return Err(Failure::files(format!("{}: {why}", dir.display())));
    }
    let keys = keys::read(&layout, &Checkpoint::origin(&log_id)).map_err(Failure::files)?;
    let known = keys::all_known(&layout, &keys).map_err(Failure::checkpoint)?;
    let cosigned = cosigned::read(&layout.checkpoints(), &keys).map_err(Failure::checkpoint)?;
    if has_blobs(&layout.blobs()).map_err(|error| Failure::files(format!("beside/blobs: {error}")))? {
        return Err(Failure::files("beside/blobs is not empty: no value is that large"));
    }
    let scan = Scan::new(&layout.records(), &log_id);
    let scan = scan.map_err(|error| Failure::files(format!("records cannot be read: {error}")))?;
    check(scan, &log_id, &keys, (known, cosigned), u64::MAX, anchor)
}

impl Log {
    /// Verifies all durable records of this log against its checkpoints, and records that it was done.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn verify(&self, anchor: Option<&Anchor>) -> Outcome {
        let trouble = |error: LogError| Failure::files(error.to_string());
        let (frontier, _) = self.shared().checkpoint(false).map_err(trouble)?;
        let (keys, known, cosigned) = {
            // None is removed meanwhile.
            let kept = self.shared().checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
            let (keys, dir) = (kept.keys().clone(), &self.shared().checkpoints_dir);
            let known = checkpoints::read(dir, &keys);
            let cosigned = cosigned::read(dir, &keys);
            (keys, known, cosigned)
        };
        // One may have been signed since: it covers more than is checked here.
        let mut known = known.map_err(Failure::checkpoint)?;
        known.extend(keys::known(&keys));
        known.retain(|known| known.size <= frontier.end());
        let mut cosigned = cosigned.map_err(Failure::checkpoint)?;
        cosigned.retain(|(checkpoint, _)| checkpoint.size <= frontier.end());
        if let Some(root) = frontier.root() {
            let source = "the newest checkpoint".to_owned();
            known.push(Known { size: frontier.end(), root, source });
        }
        let scan = self.shared().records.scan();
        let scan = scan.map_err(|error| Failure::files(format!("records cannot be read: {error}")))?;
        let outcome = check(scan, self.id(), &keys, (known, cosigned), frontier.end(), anchor);
        let checked = Event::IntegrityChecked { records: frontier.end(), ok: outcome.is_ok(), first: None };
        self.append_blocking(vec![checked], Vec::new()).map_err(trouble)?;
        outcome
    }
}

/// Checks the records before `end` against checkpoints and anchor.
fn check(
    mut scan: Scan,
    log_id: &str,
    keys: &VerifierKeys,
    (mut known, cosigned): (Vec<Known>, Vec<(Checkpoint, SignedNote)>),
    end: u64,
    anchor: Option<&Anchor>,
) -> Outcome {
    let covered = known.iter().map(|known| known.size).max().unwrap_or(0);
    known.extend(cosigned.iter().map(|(Checkpoint { size, root, .. }, _)| Known {
        size: *size,
        root: *root,
        source: format!("the cosigned checkpoint over {size}"),
    }));
    let given = anchor.map(|anchor| anchor.check(keys)).transpose().map_err(Failure::checkpoint)?;
    let Given { checkpoint, replaced } = given.unwrap_or_default();
    let others = checkpoint.into_iter().map(|given| (given, "the checkpoint given"));
    let others = others.chain(replaced.iter().map(|tree| (tree.clone(), "the list of keys given")));
    known.extend(others.map(|(Checkpoint { size, root, .. }, source)| Known {
        size,
        root,
        source: source.to_owned(),
    }));
    let mut unfinished = None;
    let mut indexes = Comparison::new(scan.dir(), log_id);
    let mut wrong_index = None;
    let mut chain = Chain::new(log_id, Frontier::default(), known);
    let (mut unsound, mut torn) = (None, 0);
    while chain.next() < end {
        let frame = match scan.advance() {
            Ok(Found::Frame(frame)) => frame,
            Ok(Found::End(End { torn: bytes, .. })) => {
                torn = bytes;
                break;
            }
            Err(Damage { record, why }) => return Err(chain.blame(record, format!("it {why}"))),
        };
        for (_, bytes, _) in frame.records() {
            // The links between the records name the altered one exactly.
            let record = chain.push(bytes)?;
            if matches!(record.event, Event::KeyRotated { .. }) {
                let done = keys.handovers().iter().any(|handover| handover.seq() == record.seq);
                unfinished = (!done).then_some(record.seq).or(unfinished);
            }
        }
        if !frame.sound {
            unsound.get_or_insert(frame.header.first);
        }
        if let Err(why) = indexes.take(&scan, &frame) {
            wrong_index.get_or_insert(why);
        }
    }
    let reached = chain.next();
    let frontier = chain.finish(None).map_err(|mut failure| {
        if failure.place == Place::Record(reached) {
            failure.why.push_str(": the files were cut short");
        }
        failure
    })?;
    if let Some(first) = unsound {
        return Err(Failure::record(first, "what was written with it was changed, though no record of it"));
    }
    if let Some(why) = wrong_index {
        return Err(Failure::files(why));
    }
    if let Some(tree) = replaced.first() {
        let why = "the list of keys given names a newer key, of which the log says nothing: it was rewritten";
        return Err(Failure::record(tree.size, why));
    }
    let root = frontier.root().ok_or_else(|| Failure::files("no root"))?;
    let mut notes = notes(frontier.end(), covered, anchor.is_some(), torn);
    if let Some(seq) = unfinished {
        notes.push(format!(
            "record {seq} names a new key that never took over: the old one goes on until it is replaced again"
        ));
    }
    if let Some(anchor) = anchor {
        notes.extend(anchor.witnessed(cosigned.iter().map(|(_, note)| note)).map_err(Failure::checkpoint)?);
    }
    Ok(Verified { records: frontier.end(), tree_size: frontier.end(), root, notes })
}

fn notes(records: u64, covered: u64, anchored: bool, torn: u64) -> Vec<String> {
    let mut notes = Vec::new();
    if torn > 0 {
        notes.push(format!(
            "a last batch of {torn} bytes is half written, as a stop in the middle leaves it: nobody was told that \
             it was recorded"
        ));
    }
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
