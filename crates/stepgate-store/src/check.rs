//! Verification of a log in its store: of a copy, or of the running gate's own.

use std::fs::File;
use std::path::Path;
use std::sync::PoisonError;

use stepgate_record::verify::{
    Anchor, Chain, Failure, GIVEN, Given, KEYS_GIVEN, Known, Outcome, Place, Verified,
};
use stepgate_record::{
    Checkpoint, Event, Frontier, Hash, IntegrityFailed, Pruned, Record, SignedNote, VerifierKeys,
};

use crate::archive::{Carry, Seals};
use crate::beside::has_blobs;
use crate::check_beside::check_beside;
use crate::gather::{Changed, Gather};
use crate::index::Comparison;
use crate::keeper::{compare, compare_hashes, without_offsets};
use crate::layout::{Layout, Used};
use crate::open::first_there;
use crate::scan::{Damage, End, Found, Scan, file_header, file_name};
use crate::slim::time_of;
use crate::{Log, LogError, OpenError, check_single, checkpoints, cosigned, keys};

/// Verifies the log of the data directory `dir`, without its keys and without changing it.
///
/// # Errors
/// The first thing that is wrong. A directory that a gate works on is refused: ask that gate.
pub fn verify_dir(dir: &Path, anchor: Option<&Anchor>) -> Outcome {
    let layout = Layout::new(dir);
    let _lock = lock(&layout)?;
    let Checked { mut verified, changes } = check_records(&layout, anchor)?;
    verified.notes.extend(check_beside(&layout, changes)?);
    Ok(verified)
}

/// The same without what is kept beside the log, which takes ten times as long where the log is small.
#[cfg(test)]
pub(crate) fn verify_records(dir: &Path, anchor: Option<&Anchor>) -> Outcome {
    let layout = Layout::new(dir);
    let _lock = lock(&layout)?;
    check_records(&layout, anchor).map(|checked| checked.verified)
}

fn lock(layout: &Layout) -> Result<Option<File>, Failure> {
    layout.lock_for_reading().map_err(|error| match error {
        OpenError::InUse { dir, .. } => Failure::hindered(format!(
            "{} is in use: what is written meanwhile could be taken for damage. Ask the gate that runs on it, or \
             stop it first",
            dir.display()
        )),
        other => Failure::hindered(other.to_string()),
    })
}

pub(crate) fn check_records(layout: &Layout, anchor: Option<&Anchor>) -> Result<Checked, Failure> {
    let dir = layout.dir();
    let used = layout.used().map_err(|error| Failure::files(error.to_string()))?;
    let Used { log_id, old } =
        used.ok_or_else(|| Failure::files(format!("{} holds no log", dir.display())))?;
    if old {
        let why = "written by an older stepgate; open it with this one once (`serve`), which keeps a backup";
        let why = format!("{}: {why}", dir.display());
        // Of which nothing is found to be wrong; where its database is missing, something is.
        let there = layout.old_log().join("db").exists();
        return Err(if there { Failure::hindered(why) } else { Failure::files(why) });
    }
    let keys = keys::read(layout, &Checkpoint::origin(&log_id)).map_err(Failure::files)?;
    let known = keys::all_known(layout, &keys).map_err(Failure::checkpoint)?;
    let cosigned = cosigned::read(&layout.checkpoints(), &keys).map_err(Failure::checkpoint)?;
    if has_blobs(&layout.blobs()).map_err(|error| Failure::files(format!("beside/blobs: {error}")))? {
        return Err(Failure::files("beside/blobs is not empty: no value is that large"));
    }
    let (dir, log_id) = (&layout.records(), log_id.as_str());
    let check = Check { dir, log_id, keys: &keys, known, cosigned, end: u64::MAX, anchor };
    check.run()
}

impl Log {
    /// Verifies all durable records of this log against its checkpoints, and records that it was done.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn verify(&self, anchor: Option<&Anchor>) -> Outcome {
        match self.verify_now(anchor) {
            Ok((outcome, None)) => outcome,
            Ok((Err(failure), _)) => Err(failure),
            Ok((Ok(_), Some(error))) | Err(error) => Err(Failure::hindered(error.to_string())),
        }
    }

    /// [`Log::verify`] also where it cannot be recorded that it was done: the error with the outcome says why.
    ///
    /// # Errors
    /// The log has ended: nothing is known of it.
    pub fn verify_now(&self, anchor: Option<&Anchor>) -> Result<(Outcome, Option<LogError>), LogError> {
        let frontier = match self.shared().checkpoint(false) {
            Ok((frontier, _)) => frontier,
            // On a full disk none is kept. What is on disk is held against the tree in memory all the same.
            Err(error) if error.is_no_space() => {
                self.shared().frontier.lock().unwrap_or_else(PoisonError::into_inner).clone()
            }
            Err(error) => return Err(error),
        };
        let outcome = self.check(&frontier, anchor);
        if outcome.as_ref().is_err_and(|failure| !failure.is_finding()) {
            return Ok((outcome, None));
        }
        let checked = Event::IntegrityChecked { records: frontier.end(), ok: outcome.is_ok(), first: None };
        let mut events = vec![checked];
        if let Err(failure) = &outcome {
            let place = failure.to_string();
            events.push(Event::IntegrityFailed(IntegrityFailed { first: 0, end: frontier.end(), place }));
        }
        let recorded = self.append_blocking(events, Vec::new());
        Ok((outcome, recorded.err()))
    }

    fn check(&self, frontier: &Frontier, anchor: Option<&Anchor>) -> Outcome {
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
        // Nothing is deleted meanwhile.
        let _kept = self.shared().archive.keep_files();
        let (dir, log_id) = (self.shared().records.dir(), self.id());
        let checked = Check { dir, log_id, keys: &keys, known, cosigned, end: frontier.end(), anchor }.run();
        let verified = checked?.verified;
        if let Some(dir) = self.shared().keys_file.parent() {
            check_single::check_live(&Layout::new(dir))?;
        }
        Ok(verified)
    }
}

/// What is checked: the records before `end`, against checkpoints and anchor.
struct Check<'a> {
    dir: &'a Path,
    log_id: &'a str,
    keys: &'a VerifierKeys,
    known: Vec<Known>,
    cosigned: Vec<(Checkpoint, SignedNote)>,
    end: u64,
    anchor: Option<&'a Anchor>,
}

/// What checking has found.
pub(crate) struct Checked {
    pub(crate) verified: Verified,
    /// The last two batches that changed something beside the log.
    pub(crate) changes: (Changed, Changed),
}

/// What records say of the log itself.
#[derive(Default)]
struct Said {
    pruned: Option<Pruned>,
    restored: Option<u64>,
    /// A record that names a new key which never took over.
    unfinished: Option<u64>,
}

impl Check<'_> {
    fn run(mut self) -> Result<Checked, Failure> {
        let covered = self.known.iter().map(|known| known.size).max().unwrap_or(0);
        self.known.extend(self.cosigned.iter().map(|(Checkpoint { size, root, .. }, _)| Known {
            size: *size,
            root: *root,
            source: format!("the cosigned checkpoint over {size}"),
        }));
        let given = self.anchor.map(|anchor| anchor.check(self.keys, u64::MAX)).transpose();
        let Given { checkpoint, replaced, .. } = given.map_err(Failure::checkpoint)?.unwrap_or_default();
        let given = checkpoint.as_ref().map_or(0, |given| given.size);
        let others = checkpoint.into_iter().map(|given| (given, GIVEN));
        let others = others.chain(replaced.iter().map(|tree| (tree.clone(), KEYS_GIVEN)));
        self.known.extend(others.map(|(Checkpoint { size, root, .. }, source)| Known {
            size,
            root,
            source: source.to_owned(),
        }));
        let mut seals = Seals::read(self.dir, self.log_id, self.keys).map_err(Failure::files)?;
        if let Some(beyond) = seals.beyond {
            return Err(Failure::files(format!("the seal before that of record {beyond} is missing")));
        }
        seals.seals.retain(|seal| seal.end <= self.end);
        self.known.append(&mut seals.known);
        let given_one = |known: &Known| [GIVEN, KEYS_GIVEN].contains(&known.source.as_str());
        self.known.retain(|known| known.size <= self.end || given_one(known));
        let mut said = Said::default();
        let checked = self.check(&seals, covered, replaced.first(), &mut said);
        checked.map_err(|mut failure| {
            if let Some(size) = said.restored.filter(|size| *size < given && failure.why.contains(GIVEN)) {
                failure.why.push_str(&format!(
                    ". The log was restored from a backup at record {size}; the checkpoint given covers {given} \
                     records: those from {size} on are not in it"
                ));
            }
            failure
        })
    }

    fn check(
        &self,
        seals: &Seals,
        covered: u64,
        replaced: Option<&Checkpoint>,
        said: &mut Said,
    ) -> Result<Checked, Failure> {
        let floor = first_there(self.dir, seals).map_err(Failure::files)?;
        let carry = self.pruned(seals, floor)?;
        let at_floor = carry.frontier.root();
        let (mut changed, mut changed_before) = carry.changes;
        let mut chain = Chain::new(self.log_id, carry.frontier, self.known.clone());
        if floor > 0 {
            chain = chain.after(carry.prev);
        }
        let scan = Scan::from_file(self.dir, self.log_id, floor);
        let mut scan = scan.map_err(|error| Failure::files(format!("records cannot be read: {error}")))?;
        let mut indexes = Comparison::new(self.dir, self.log_id);
        let (mut unsound, mut torn, mut wrong_index, mut half_deleted) = (None, 0, None, None);
        let mut sealed = seals.seals.iter().filter(|seal| seal.first >= floor).peekable();
        let mut gathered: Option<(Gather, u64)> = None;
        while chain.next() < self.end {
            let frame = match scan.advance() {
                Ok(Found::Frame(frame)) => frame,
                Ok(Found::End(End { torn: bytes, .. })) => {
                    torn = bytes;
                    break;
                }
                Err(Damage { record, why }) => return Err(chain.blame(record, format!("it {why}"))),
            };
            if gathered.is_none() && sealed.peek().is_some_and(|seal| seal.first == chain.next()) {
                let begin = file_header(self.log_id, chain.next()).len();
                let gather = Gather::new(self.log_id, chain.next(), (changed, changed_before));
                gathered = Some((gather, u64::try_from(begin).unwrap_or(u64::MAX)));
            }
            for (_, bytes, _) in frame.records() {
                // The links between the records name the altered one exactly.
                said.take(&chain.push(bytes)?, self.keys);
            }
            if let Err(why) = indexes.take(&scan, &frame) {
                wrong_index.get_or_insert(why);
            }
            if !frame.sound {
                unsound.get_or_insert(frame.header.first);
            }
            if let Some(digest) = frame.header.changes {
                changed_before = changed.replace((frame.header.first, digest));
            }
            if let Some((gather, offset)) = &mut gathered {
                gather.take(&frame, *offset, &mut |_, record| time_of(record)).map_err(Failure::files)?;
                *offset = offset.saturating_add(frame.length());
            }
            if let Some(seal) = sealed.next_if(|seal| seal.end <= chain.next())
                && let Some((gather, _)) = gathered.take()
            {
                let made = gather.finish(&self.dir.join(file_name(seal.first))).map_err(Failure::files)?;
                if made.seal.roots == seal.roots && unsound.is_none() {
                    let is_whole = compare(self.dir, &made, seal).map_err(Failure::files)?;
                    half_deleted = (!is_whole).then_some(seal).or(half_deleted);
                }
            }
        }
        let reached = chain.next();
        let (policies, left_out) = chain.policies().listed();
        let frontier = chain.finish(None).map_err(|mut failure| {
            if failure.place == Place::Record(reached) {
                failure.why.push_str(": the files were cut short");
            }
            failure
        })?;
        if let Some(first) = unsound {
            let why = "what was written with it was changed, though no record of it";
            return Err(Failure::record(first, why));
        }
        if let Some(why) = wrong_index {
            return Err(Failure::files(why));
        }
        if let Some(tree) = replaced {
            let why =
                "the list of keys given names a newer key, of which the log says nothing: it was rewritten";
            return Err(Failure::record(tree.size, why));
        }
        let pruned = said.explain(floor, at_floor)?;
        // A stop in the middle of deleting leaves records whose offsets are gone already, before what was to be deleted ends.
        if let Some(seal) = half_deleted.filter(|seal| seal.end > said.pruned_to()) {
            return Err(Failure::files(without_offsets(self.dir, seal.first)));
        }
        let root = frontier.root().ok_or_else(|| Failure::files("no root"))?;
        let records = frontier.end();
        let mut notes = notes(records, covered, self.anchor.is_some(), torn);
        notes.extend(pruned);
        notes.extend(said.unfinished.map(|seq| {
            format!("record {seq} names a new key that never took over: the old one goes on until it is replaced again")
        }));
        if let Some(anchor) = self.anchor {
            let cosigned = self.cosigned.iter().map(|(_, note)| note);
            notes.extend(anchor.witnessed(cosigned).map_err(Failure::checkpoint)?);
        }
        notes.extend(left_out);
        let verified = Verified { records, tree_size: records, root, notes, policies };
        Ok(Checked { verified, changes: (changed, changed_before) })
    }

    /// What comes before the first record that is there: by their hashes, which stand under the same checkpoints.
    fn pruned(&self, seals: &Seals, floor: u64) -> Result<Carry, Failure> {
        let malformed = || Failure::files("a seal is malformed");
        let gone = seals.seals.iter().take_while(|seal| seal.end <= floor);
        let mut frontier = Frontier::default();
        let mut known: Vec<&Known> = self.known.iter().filter(|known| known.size <= floor).collect();
        known.sort_by_key(|known| std::cmp::Reverse(known.size));
        let mut meet = |frontier: &Frontier| {
            while let Some(met) = known.pop_if(|known| known.size == frontier.end()) {
                if frontier.root() != Some(met.root) {
                    let (size, source) = (met.size, &met.source);
                    let why =
                        format!("the hashes of the first {size} records are not those that {source} signs");
                    return Err(Failure::files(why));
                }
            }
            Ok(())
        };
        meet(&frontier)?;
        for seal in gone.clone() {
            let leaves = compare_hashes(self.dir, seal).map_err(Failure::files)?;
            for leaf in leaves {
                frontier.push(leaf);
                meet(&frontier)?;
            }
        }
        let index = gone.count();
        let carry = seals.carry(index).filter(|carry| carry.frontier == frontier);
        carry.ok_or_else(malformed)
    }
}

impl Said {
    fn take(&mut self, record: &Record, keys: &VerifierKeys) {
        match &record.event {
            Event::KeyRotated { .. } => {
                let done = keys.handovers().iter().any(|handover| handover.seq() == record.seq);
                self.unfinished = (!done).then_some(record.seq).or(self.unfinished);
            }
            Event::RetentionPruned(pruned) => self.pruned = Some(pruned.clone()),
            Event::LogRestored(restored) => self.restored = Some(restored.size),
            _ => {}
        }
    }

    /// Before which record all were to be deleted.
    fn pruned_to(&self) -> u64 {
        self.pruned.as_ref().map_or(0, |pruned| pruned.end)
    }

    /// Whether what is missing before `floor` is what retention has deleted; a note of it.
    fn explain(&self, floor: u64, root: Option<Hash>) -> Result<Option<String>, Failure> {
        let (end, said) = self.pruned.as_ref().map_or((0, None), |pruned| (pruned.end, Some(pruned.root)));
        if end < floor {
            return Err(Failure::record(end, "it is missing, and no record says that it was deleted"));
        }
        if end == floor && end > 0 && said != root {
            return Err(Failure::files(format!(
                "the hashes of the deleted records before {end} are not those that were recorded with their deletion"
            )));
        }
        Ok(match (floor, end) {
            (0, 0) => None,
            (floor, end) if floor < end => {
                Some(format!("the records from {floor} to {} were to be deleted, and are there", end - 1))
            }
            _ => Some(format!(
                "the records before {floor} were deleted by retention; their hashes are there, and are those that \
                 the checkpoints sign"
            )),
        })
    }
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
