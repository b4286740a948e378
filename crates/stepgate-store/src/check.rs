//! Verification of a log in its store: of a copy, or of the running gate's own.

use std::path::Path;
use std::sync::PoisonError;

use stepgate_record::verify::{Anchor, Chain, Failure, Known, Outcome, Place, Verified};
use stepgate_record::{Checkpoint, Event, Frontier, IntegrityFailed, VerifierKey};

use crate::beside::has_blobs;
use crate::checkpoints;
use crate::files::read_text;
use crate::index::Comparison;
use crate::layout::{Layout, Used};
use crate::scan::{Damage, End, Found, Scan};
use crate::{Log, LogError, OpenError};

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
    let key = read_key(&layout, &log_id)?;
    let known = checkpoints::read(&layout.checkpoints(), &key).map_err(Failure::checkpoint)?;
    if has_blobs(&layout.blobs()).map_err(|error| Failure::files(format!("beside/blobs: {error}")))? {
        return Err(Failure::files("beside/blobs is not empty: no value is that large"));
    }
    let scan = Scan::new(&layout.records(), &log_id);
    let scan = scan.map_err(|error| Failure::files(format!("records cannot be read: {error}")))?;
    check(scan, &log_id, &key, known, u64::MAX, anchor)
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
        let scan = self.shared().records.scan();
        let scan = scan.map_err(|error| Failure::files(format!("records cannot be read: {error}")))?;
        let outcome = check(scan, self.id(), self.verifier_key(), known, frontier.end(), anchor);
        let checked = Event::IntegrityChecked { records: frontier.end(), ok: outcome.is_ok(), first: None };
        let mut events = vec![checked];
        if let Err(failure) = &outcome {
            let place = failure.to_string();
            events.push(Event::IntegrityFailed(IntegrityFailed { first: 0, end: frontier.end(), place }));
        }
        self.append_blocking(events, Vec::new()).map_err(trouble)?;
        outcome
    }
}

/// Checks the records before `end` against checkpoints and anchor.
fn check(
    mut scan: Scan,
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
            chain.push(bytes)?;
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
    let root = frontier.root().ok_or_else(|| Failure::files("no root"))?;
    Ok(Verified {
        records: frontier.end(),
        tree_size: frontier.end(),
        root,
        notes: notes(frontier.end(), covered, anchor.is_some(), torn),
    })
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

fn read_key(layout: &Layout, log_id: &str) -> Result<VerifierKey, Failure> {
    let text = read_text(&layout.verifier_key());
    let text = text.map_err(|error| Failure::files(format!("log.vkey: {error}")))?;
    let key = text.and_then(|text| text.strip_suffix('\n').and_then(|key| key.parse::<VerifierKey>().ok()));
    key.filter(|key| key.name() == Checkpoint::origin(log_id))
        .ok_or_else(|| Failure::files("log.vkey or format.json is missing or was altered"))
}
