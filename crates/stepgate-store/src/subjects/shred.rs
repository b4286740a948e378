//! Erasing a personal value for good.
//!
//! 1. A new key is put beside the old one (`subjects.kek.next`), and seals whatever is new.
//! 2. All values but the one are sealed by it, batch after batch, each with a record.
//! 3. The value is taken out, with the record that says so.
//! 4. The old key is written over, and the new one takes its place.
//!
//! A stop before step 3 has erased nothing, and says nothing; after it, the next start does step 4. Either way the next
//! start finds two keys, seals what is left by the new one, and destroys the old.

use std::sync::PoisonError;
use std::time::Duration;

use stepgate_record::{Event, Renewed, Shredded};
use stepgate_types::{Actor, Commit, Timestamp};

use super::{BY_COMMIT, Inner, Subject, Subjects, commit_key, epoch_of, put, unseal, value_key};
use crate::beside::AT_ONCE;
use crate::kek::{self, Kek};
use crate::wait::block_on;
use crate::{Change, Entry, Log, LogError, Side};

/// Values that are sealed anew in one write: three changes each.
const BATCH: usize = 150;

/// How long those who are just recording something are waited for.
const PAUSE: Duration = Duration::from_millis(2);

/// Why nothing was erased.
#[derive(Debug, thiserror::Error)]
pub enum ShredError {
    /// There never was such a value, or it was erased before.
    #[error("there is no such value, or none any more")]
    Unknown,
    /// A value beside the log does not open.
    #[error("a personal value beside the log does not open; nothing was erased")]
    Damaged,
    /// The key cannot be written.
    #[error("the key of personal values cannot be written: {0}")]
    Key(#[from] std::io::Error),
    /// The log refused.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// What is to be erased, as records name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shredding {
    /// Its commitment.
    pub commit: Commit,
    /// How many records name it.
    pub records: u64,
    /// When the newest of them was made.
    pub last: Option<Timestamp>,
}

impl Log {
    /// Which of the records that are kept name this. Reads all of them, and blocks the thread.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn naming(&self, commit: Commit) -> Result<Shredding, LogError> {
        let mut found = Shredding { commit, records: 0, last: None };
        self.replay(self.floor(), &mut |_, record| {
            let mut named = false;
            record.event.names(&mut |_, who| named |= who.commit() == Some(&commit));
            if named {
                found.records += 1;
                found.last = found.last.max(Some(record.at));
            }
        })?;
        Ok(found)
    }

    /// Erases a value: afterwards nothing in the data directory opens its commitment, with the master key or without.
    /// Proofs and hashes are as before. `early`: records of it should have been kept longer. Blocks the thread.
    ///
    /// # Errors
    /// See [`ShredError`].
    pub fn shred(&self, what: &Shredding, early: bool, by: &Actor) -> Result<(), ShredError> {
        self.shred_with(what, early, by, Vec::new())
    }

    /// The same, with changes beside the log in the write that takes the value out.
    ///
    /// # Errors
    /// See [`ShredError`].
    pub fn shred_with(
        &self,
        what: &Shredding,
        early: bool,
        by: &Actor,
        more: Vec<Change>,
    ) -> Result<(), ShredError> {
        let inner = self.subjects().0.clone().ok_or(LogError::Closed)?;
        let _alone = inner.shredding.lock().unwrap_or_else(PoisonError::into_inner);
        let subject = self.subjects().open(&what.commit).ok_or(ShredError::Unknown)?;
        // What is sealed by the newest key already would not go with the old one.
        self.subjects().finish_shredding(self)?;
        inner.begin()?;
        inner.reseal(self, Some(&what.commit))?;
        inner.take_out(self, (what, &subject), early, by, more)?;
        inner.destroy_old()
    }
}

impl Subjects {
    /// Does what an interrupted erasure left to do.
    pub(crate) fn finish_shredding(&self, log: &Log) -> Result<(), ShredError> {
        let Some(inner) = self.0.as_ref().filter(|inner| inner.state().old.is_some()) else { return Ok(()) };
        inner.reseal(log, None)?;
        inner.destroy_old()
    }
}

impl Inner {
    /// Takes the value out, with the record that says so.
    pub(super) fn take_out(
        &self,
        log: &Log,
        (what, subject): (&Shredding, &Subject),
        early: bool,
        by: &Actor,
        more: Vec<Change>,
    ) -> Result<(), ShredError> {
        let keks = {
            let state = self.state();
            [state.old.clone(), Some(state.current.clone())]
        };
        let keys = keks.iter().flatten().map(|kek| value_key(kek, subject.kind, &subject.value));
        let keys = keys.chain([commit_key(&what.commit)]);
        let changes = keys.map(|key| Change::Delete { side: Side::Subjects, key }).chain(more).collect();
        let event = Event::SubjectShredded(Shredded {
            kind: subject.kind,
            commit: what.commit,
            records: what.records,
            early,
            operator: by.operator(),
        });
        // Whoever records it meanwhile commits to it anew, by a key that stays.
        {
            let mut state = self.state();
            state.leaving.insert(what.commit);
            state.forget(&what.commit);
        }
        let done = block_on(log.append(vec![event], changes));
        self.state().leaving.remove(&what.commit);
        Ok(done.map(drop)?)
    }

    /// From here on, new values are sealed by a new key.
    pub(super) fn begin(&self) -> Result<(), ShredError> {
        let epoch = self.state().current.epoch;
        let next = Kek::new(epoch.saturating_add(1), &self.vault);
        let next = next.map_err(|error| LogError::Io(error.to_string()))?;
        // On disk before anything is sealed by it. Whoever records meanwhile is not kept waiting for the disk, and nobody
        // else replaces the key: `shredding` is held.
        next.write(&self.layout.next_subjects_key(), &self.vault)?;
        let mut state = self.state();
        let old = std::mem::replace(&mut state.current, next);
        state.old = Some(old);
        Ok(())
    }

    /// Seals all values by the new key that are not yet, but `except`.
    pub(super) fn reseal(&self, log: &Log, except: Option<&Commit>) -> Result<(), ShredError> {
        loop {
            let (epoch, waits) = {
                let (state, durable) = (self.state(), log.len());
                let epoch = state.current.epoch;
                let on_the_way = |first: u64| first >= durable;
                let waits = state.pending.values().any(|pending| {
                    pending.epoch != epoch && (pending.users > 0 || pending.queued.is_some_and(on_the_way))
                });
                (epoch, waits)
            };
            let (mut after, mut all) = (Vec::new(), true);
            loop {
                let some = self.beside.some(Side::Subjects, &after, AT_ONCE).map_err(LogError::Io)?;
                let Some((last, _)) = some.last() else { break };
                after.clone_from(last);
                let left: Vec<_> = some.iter().filter_map(|entry| stale(entry, epoch, except)).collect();
                all &= left.is_empty();
                for some in left.chunks(BATCH) {
                    let mut changes = Vec::new();
                    for (commit, stored) in some {
                        changes.extend(self.sealed_anew(commit, stored).ok_or(ShredError::Damaged)?);
                    }
                    let subjects = u64::try_from(some.len()).unwrap_or(u64::MAX);
                    let event = Event::SubjectsResealed(Renewed { epoch, subjects });
                    block_on(log.append(vec![event], changes))?;
                }
                if some.len() < AT_ONCE {
                    break;
                }
            }
            if all && !waits {
                return Ok(());
            }
            if waits {
                std::thread::sleep(PAUSE);
            }
        }
    }

    fn sealed_anew(&self, commit: &Commit, stored: &[u8]) -> Option<Vec<Change>> {
        let state = self.state();
        let subject: Subject = unseal(&state, commit, stored)?;
        let old = state.kek(epoch_of(stored)?)?;
        let key = value_key(old, subject.kind, &subject.value);
        let mut changes = put(&state.current, commit, &subject).ok()?;
        changes.push(Change::Delete { side: Side::Subjects, key });
        Some(changes)
    }

    pub(super) fn destroy_old(&self) -> Result<(), ShredError> {
        // Nothing is sealed by it any more, and nobody waits here for the disk.
        kek::replace(&self.layout, &self.vault)?;
        self.state().old = None;
        Ok(())
    }
}

/// A value that is sealed by another key than this one.
fn stale<'e>((key, stored): &'e Entry, epoch: u64, except: Option<&Commit>) -> Option<(Commit, &'e [u8])> {
    let (&BY_COMMIT, commit) = key.split_first()? else { return None };
    let commit = Commit::from_bytes(commit.try_into().ok()?);
    let fresh = epoch_of(stored) == Some(epoch);
    (!fresh && except != Some(&commit)).then_some((commit, stored.as_slice()))
}
