//! Taking out what no record names any more, once retention has deleted those that did.
//!
//! Names of people stay until they are erased: sessions, grants and factors may hold them without a record that says so.
//! Everything else (addresses, clients, reasons, operators) stands behind records alone. What is taken out is not erased
//! for good: old copies of it open as long as its key does, which the next erasure replaces.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stepgate_record::{Event, Seal as _};
use stepgate_types::{Commit, SubjectKind};

use super::{BY_COMMIT, Inner, Subject, Subjects, commit_key, unseal, value_key};
use crate::beside::AT_ONCE;
use crate::keeper::{Breath, Hand};
use crate::{Change, LogError, Side};

/// So many values are looked for at once, 32 bytes each and as many again; the others the next time.
const MOST: usize = if cfg!(test) { 200 } else { 100_000 };

/// All records are read for it: so often at most.
const EVERY: Duration = if cfg!(test) { Duration::ZERO } else { Duration::from_secs(24 * 60 * 60) };

/// Values that are taken out in one write: two or three changes each.
const BATCH: usize = 150;

/// So long those are waited for who are about to record something.
const PATIENCE: Duration = Duration::from_secs(5);

/// Digits of a commitment.
const DIGITS: usize = 64;

/// How far the last sweep has come.
#[derive(Debug, Default)]
pub(super) struct Swept {
    at: Option<Instant>,
    /// It goes on behind this key.
    after: Vec<u8>,
}

impl Subjects {
    /// Takes out what no record names that is there; returns how many values. `0` too if it is not time, or somebody
    /// erases something just now. Blocks the thread.
    pub(crate) fn sweep(&self, hand: &Hand<'_>) -> Result<u64, LogError> {
        let Some(inner) = &self.0 else { return Ok(0) };
        let (Ok(_alone), Ok(mut swept)) = (inner.shredding.try_lock(), inner.swept.try_lock()) else {
            return Ok(0);
        };
        if swept.at.is_some_and(|at| at.elapsed() < EVERY) {
            return Ok(0);
        }
        let (mut left, after) = inner.candidates(&swept.after)?;
        *swept = Swept { at: Some(Instant::now()), after };
        inner.keep_what_the_desk_names(&mut left)?;
        let seen = keep_what_records_name(hand, hand.shared.archive.floor(), &mut left)?;
        if left.is_empty() {
            return Ok(0);
        }
        let gone = inner.leave(hand, seen, &mut left);
        inner.state().leaving.clear();
        gone
    }
}

impl Inner {
    /// Values that may go, and behind which key there may be more; of none, there are not.
    fn candidates(&self, after: &[u8]) -> Result<(HashSet<Commit>, Vec<u8>), LogError> {
        let (mut found, mut after) = (HashSet::new(), after.to_vec());
        loop {
            let some = self.beside.some(Side::Subjects, &after, AT_ONCE).map_err(LogError::Io)?;
            let state = self.state();
            for (key, stored) in &some {
                let Some((&BY_COMMIT, commit)) = key.split_first() else { continue };
                let Ok(commit) = commit.try_into().map(Commit::from_bytes) else { continue };
                let subject = unseal(&state, &commit, stored);
                if subject.is_some_and(|it| it.kind != SubjectKind::Person)
                    && !state.pending.contains_key(&commit)
                {
                    found.insert(commit);
                }
            }
            drop(state);
            match some.last() {
                Some((last, _)) if some.len() == AT_ONCE => after.clone_from(last),
                _ => return Ok((found, Vec::new())),
            }
            if found.len() >= MOST {
                return Ok((found, after));
            }
        }
    }

    /// What the desk keeps is named in records that are kept, too; but it costs little to look.
    fn keep_what_the_desk_names(&self, left: &mut HashSet<Commit>) -> Result<(), LogError> {
        let each = self.beside.each(Side::Desk, &mut |_, value| {
            keep_named(value, left);
            Ok(())
        });
        each.map_err(LogError::Io)
    }

    /// From here on, records that name one of these values commit to it anew; then takes out those that none has named
    /// until then. `seen`: up to which record that is known.
    fn leave(&self, hand: &Hand<'_>, seen: u64, left: &mut HashSet<Commit>) -> Result<u64, LogError> {
        let before = {
            let mut state = self.state();
            state.known.retain(|commit, _| !left.contains(commit));
            state.by_value.iter_mut().for_each(|values| values.retain(|_, commit| !left.contains(commit)));
            state.leaving.clone_from(left);
            std::mem::take(&mut state.staging)
        };
        // Whoever had looked one of them up has queued the record that names it, or never will.
        let begun = Instant::now();
        while Arc::strong_count(&before) > 1 {
            hand.stops()?;
            if begun.elapsed() > PATIENCE {
                return Ok(0);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let queued = hand.shared.marks.queued();
        while hand.shared.marks_durable() < queued {
            hand.shared.marks.check()?;
            hand.stops()?;
            std::thread::sleep(Duration::from_millis(1));
        }
        keep_what_records_name(hand, seen, left)?;
        let commits: Vec<Commit> = left.iter().copied().collect();
        let mut gone = 0;
        for some in commits.chunks(BATCH) {
            let (mut changes, mut subjects) = (Vec::new(), 0_u64);
            for commit in some {
                changes.extend(self.without(commit));
                subjects += 1;
            }
            let event = Event::SubjectsPruned { subjects };
            hand.append(&event, changes)?;
            gone += subjects;
        }
        Ok(gone)
    }

    /// What takes a value out.
    fn without(&self, commit: &Commit) -> Vec<Change> {
        let delete = |key| Change::Delete { side: Side::Subjects, key };
        let mut changes = vec![delete(commit_key(commit))];
        let stored = self.read(&commit_key(commit));
        let mut state = self.state();
        let Some(Subject { kind, value, .. }) = stored.and_then(|stored| unseal(&state, commit, &stored))
        else {
            return changes;
        };
        // Not if it was committed to anew meanwhile: that is found by the same key.
        if !state.by_value(kind).contains_key(&value) {
            let keks = [Some(&state.current), state.old.as_ref()].into_iter().flatten();
            let keys: Vec<_> = keks.map(|kek| value_key(kek, kind, &value)).collect();
            let ours = |key: &Vec<u8>| self.read(key).is_some_and(|found| found == commit.as_bytes());
            changes.extend(keys.into_iter().filter(ours).map(delete));
        }
        changes
    }
}

/// Takes out of `left` what the records from this one on name; returns the number after the last of them.
fn keep_what_records_name(hand: &Hand<'_>, from: u64, left: &mut HashSet<Commit>) -> Result<u64, LogError> {
    let end = hand.shared.marks_durable();
    let mut breath = Breath::new(hand);
    for stored in hand.shared.read(from, end)? {
        hand.stops()?;
        keep_named(&stored?.bytes, left);
        if left.is_empty() {
            break;
        }
        breath.after_one(hand);
    }
    Ok(end)
}

/// Takes out of `left` what is named in a text: commitments stand in records as 64 digits in quotes.
fn keep_named(text: &[u8], left: &mut HashSet<Commit>) {
    for part in text.split(|byte| *byte == b'"') {
        // In a filter that was recorded, quotes are escaped.
        let part = part.strip_suffix(b"\\").unwrap_or(part);
        if part.len() != DIGITS {
            continue;
        }
        let commit = std::str::from_utf8(part).ok().and_then(|part| part.parse::<Commit>().ok());
        if let Some(commit) = commit {
            left.remove(&commit);
        }
    }
}
