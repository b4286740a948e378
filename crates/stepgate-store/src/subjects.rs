//! Who stands behind the commitments of the log.
//!
//! Each personal value (a name, an address, a client's name, a reason) has a key of its own, and records hold a
//! commitment made by that key. Value and key lie beside the log, sealed by a key that can be destroyed (`kek.rs`); a
//! new value is put there in the same write as the first record that names it.

mod keep;
mod open;
mod ration;
mod shred;
mod stage;
mod sweep;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use stepgate_record::{Names, commitment};
use stepgate_types::{Commit, PersonName, SubjectKind, Who};
use zeroize::{Zeroize as _, Zeroizing};

pub(crate) use keep::{Old, Place};
pub use shred::{ShredError, Shredding};
pub(crate) use stage::Staged;

use crate::beside::Beside;
use crate::kek::Kek;
use crate::layout::Layout;
use crate::{Change, LogError, Side, Vault};
use ration::Ration;

/// How many values are kept in memory; beyond, they are read again.
const MAX_CACHED: usize = 10_000;

/// The longest value, in bytes: reasons are the longest, with 1,000.
const MAX_VALUE: usize = 2_048;

/// What keys of the tree begin with: values by their commitments, …
const BY_COMMIT: u8 = b'c';

/// … and commitments by a keyed hash of the value.
const BY_VALUE: u8 = b'n';

/// A personal value, with the key that makes its commitment.
#[derive(Clone, PartialEq, Eq)]
pub struct Subject {
    /// What kind of value it is.
    pub kind: SubjectKind,
    /// The value.
    pub value: String,
    /// Its key: whoever has it and the value can check the commitment.
    pub key: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subject").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// The personal values that records commit to. Cheap to clone. The default opens nothing.
#[derive(Clone, Default)]
pub struct Subjects(Option<Arc<Inner>>);

pub(crate) struct Inner {
    beside: Arc<Beside>,
    layout: Layout,
    vault: Vault,
    state: Mutex<State>,
    /// One at a time.
    shredding: Mutex<()>,
    /// How far the last sweep has come.
    swept: Mutex<sweep::Swept>,
}

struct State {
    current: Kek,
    /// The one before it, until nothing is sealed by it any more.
    old: Option<Kek>,
    /// By kind, then value.
    by_value: [HashMap<String, Commit>; SubjectKind::ALL.len()],
    known: HashMap<Commit, Subject>,
    /// Those that may not be beside the log yet.
    pending: HashMap<Commit, Pending>,
    /// Those of values that are being erased: records from now on must name others.
    leaving: HashSet<Commit>,
    /// Held by whoever is about to queue records that name somebody: see [`Inner::settled`].
    staging: Arc<()>,
    /// How many values strangers may still bring in.
    ration: Ration,
}

/// A new value on its way.
struct Pending {
    epoch: u64,
    changes: Vec<Change>,
    /// With which record it was queued, if it was.
    queued: Option<u64>,
    /// How many are about to queue records that name it.
    users: usize,
}

/// What is stored of a value, sealed.
#[derive(Serialize, Deserialize)]
struct Stored {
    kind: SubjectKind,
    value: String,
    key: [u8; 32],
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl Subjects {
    /// The commitment by which records name this value, if any does.
    #[must_use]
    pub fn commit_of(&self, kind: SubjectKind, value: &str) -> Option<Commit> {
        let inner = self.0.as_ref()?;
        inner.find(&mut inner.state(), kind, value)
    }

    /// What a commitment stands for; `None` where that was erased, or never was.
    #[must_use]
    pub fn open(&self, commit: &Commit) -> Option<Subject> {
        let inner = self.0.as_ref()?;
        inner.open(&mut inner.state(), commit)
    }

    /// The commitment to a person's name where there is one, else the name: for who makes many events of one person.
    #[must_use]
    pub fn who(&self, kind: SubjectKind, value: &str) -> Who {
        self.commit_of(kind, value).map_or_else(|| Who::from(value), Who::Commit)
    }

    /// The number of the key that values are sealed by now.
    pub(crate) fn epoch(&self) -> u64 {
        self.0.as_ref().map_or(0, |inner| inner.state().current.epoch)
    }

    /// A name in plain text.
    pub(crate) fn open_text(&self, who: &Who) -> Option<String> {
        match who {
            Who::Name(name) => Some(name.clone()),
            Who::Commit(commit) => self.open(commit).map(|subject| subject.value),
        }
    }

    /// A person by name.
    pub(crate) fn person(&self, who: &Who) -> Option<PersonName> {
        self.open_text(who)?.parse().ok()
    }
}

impl Names for Subjects {
    fn name(&self, commit: &Commit) -> Option<String> {
        self.open(commit).map(|subject| subject.value)
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, key: &[u8]) -> Option<Vec<u8>> {
        // What cannot be read opens nothing; the log's own writing finds out why.
        self.beside.side_value(Side::Subjects, key).ok().flatten()
    }

    fn find(&self, state: &mut State, kind: SubjectKind, value: &str) -> Option<Commit> {
        if let Some(commit) = state.by_value(kind).get(value) {
            return Some(*commit);
        }
        let by = |kek: &Kek| self.read(&value_key(kek, kind, value));
        let found = by(&state.current).or_else(|| state.old.as_ref().and_then(by))?;
        let commit = Commit::from_bytes(found.try_into().ok()?);
        if state.leaving.contains(&commit) {
            return None;
        }
        state.trim();
        state.by_value(kind).insert(value.to_owned(), commit);
        Some(commit)
    }

    fn open(&self, state: &mut State, commit: &Commit) -> Option<Subject> {
        if let Some(subject) = state.known.get(commit) {
            return Some(subject.clone());
        }
        if state.leaving.contains(commit) {
            return None;
        }
        let subject = unseal(state, commit, &self.read(&commit_key(commit))?)?;
        state.trim();
        state.known.insert(*commit, subject.clone());
        Some(subject)
    }
}

impl State {
    fn by_value(&mut self, kind: SubjectKind) -> &mut HashMap<String, Commit> {
        let [person, address, reason, client, operator] = &mut self.by_value;
        match kind {
            SubjectKind::Person => person,
            SubjectKind::Address => address,
            SubjectKind::Reason => reason,
            SubjectKind::Client => client,
            SubjectKind::Operator => operator,
        }
    }

    fn kek(&self, epoch: u64) -> Option<&Kek> {
        [Some(&self.current), self.old.as_ref()].into_iter().flatten().find(|kek| kek.epoch == epoch)
    }

    /// Makes room for one more. What is on its way is found here alone, and stays.
    fn trim(&mut self) {
        let pending = &self.pending;
        for values in self.by_value.iter_mut().filter(|values| values.len() >= MAX_CACHED) {
            values.retain(|_, commit| pending.contains_key(commit));
        }
        if self.known.len() >= MAX_CACHED {
            self.known.retain(|commit, _| pending.contains_key(commit));
        }
    }

    fn forget(&mut self, commit: &Commit) {
        if let Some(subject) = self.known.remove(commit) {
            self.by_value(subject.kind).remove(&subject.value);
        }
        self.by_value.iter_mut().for_each(|values| values.retain(|_, found| found != commit));
    }
}

fn commit_key(commit: &Commit) -> Vec<u8> {
    [&[BY_COMMIT], commit.as_bytes().as_slice()].concat()
}

fn value_key(kek: &Kek, kind: SubjectKind, value: &str) -> Vec<u8> {
    let data = [kind.as_str().as_bytes(), &[0], value.as_bytes()].concat();
    [&[BY_VALUE], kek.vault.hmac("subject value", &data).as_slice()].concat()
}

fn label(commit: &Commit) -> String {
    format!("subject/{commit}")
}

/// What puts a value beside the log.
fn put(kek: &Kek, commit: &Commit, subject: &Subject) -> Result<Vec<Change>, LogError> {
    let Subject { kind, value, key } = subject;
    let stored = Stored { kind: *kind, value: value.clone(), key: **key };
    let json = serde_json::to_vec(&stored).map(Zeroizing::new);
    let sealed = json
        .map_err(|error| error.to_string())
        .and_then(|json| kek.vault.seal(&label(commit), &json).map_err(|error| error.to_string()));
    let mut bytes = kek.epoch.to_be_bytes().to_vec();
    bytes.extend(sealed.map_err(LogError::Io)?);
    let mut changes = vec![Change::Put { side: Side::Subjects, key: commit_key(commit), value: bytes }];
    if *kind != SubjectKind::Reason {
        let key = value_key(kek, *kind, value);
        changes.push(Change::Put { side: Side::Subjects, key, value: commit.as_bytes().to_vec() });
    }
    Ok(changes)
}

/// The numbers of the keys that values are sealed by; of what does not even name one, none that there is.
pub(crate) fn epochs(beside: &Beside) -> Result<BTreeSet<Option<u64>>, String> {
    let mut epochs = BTreeSet::new();
    beside.each(Side::Subjects, &mut |key, value| {
        if key.first() == Some(&BY_COMMIT) {
            epochs.insert(epoch_of(value));
        }
        Ok(())
    })?;
    Ok(epochs)
}

/// By which key a stored value is sealed.
fn epoch_of(stored: &[u8]) -> Option<u64> {
    stored.first_chunk().map(|epoch| u64::from_be_bytes(*epoch))
}

fn unseal(state: &State, commit: &Commit, stored: &[u8]) -> Option<Subject> {
    let kek = state.kek(epoch_of(stored)?)?;
    let json = kek.vault.unseal(&label(commit), stored.get(8..)?).ok()?;
    let stored: Stored = serde_json::from_slice(&json).ok()?;
    let subject = Subject { kind: stored.kind, value: stored.value.clone(), key: Zeroizing::new(stored.key) };
    // Whatever lies there: nobody is named whom the record does not name.
    (commitment(subject.kind, &subject.value, &subject.key) == *commit).then_some(subject)
}
