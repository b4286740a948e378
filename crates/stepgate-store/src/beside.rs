//! What is kept beside the log, in sled, tamed. What sled does not do by itself (measured against power cuts,
//! version 0.34.7):
//!
//! - `flush()` does not fsync: an own descriptor on its file is synced after each flush. Without that, 44
//!   of 60 simulated power cuts lost acknowledged values; with it, none of 249.
//! - Values of several KiB go to files of their own that are never synced: no value exceeds
//!   [`MAX_VALUE_BYTES`].
//! - A damaged file is silently cut at the damage, or makes `open` panic: opening runs under `catch_unwind`, all
//!   entries are held against a sum over them, and the last change against the log.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use sled::Transactional as _;
use sled::transaction::{ConflictableTransactionError, TransactionError};
use stepgate_record::MAX_RECORD_BYTES;

use crate::entries::{Entries, Key};
use crate::frame::Digest;
use crate::{Change, Entry, Side};

/// The longest value, in bytes; see above.
pub(crate) const MAX_VALUE_BYTES: usize = MAX_RECORD_BYTES;

/// The longest key, in bytes: names of people are the longest so far.
pub(crate) const MAX_KEY_BYTES: usize = 256;

/// sled's cache, in bytes: whoever uses a tree has it in memory anyway.
const CACHE_BYTES: u64 = 4 * 1024 * 1024;

/// So many entries are in memory while a tree is gone through.
pub(crate) const AT_ONCE: usize = 1_024;

/// So long a lock of sled's may outlive its database.
const DROPPED: Duration = Duration::from_secs(5);

/// Between two looks at such a lock.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// The key of the one value of the tree `meta`.
const STATE: &[u8] = b"state";

/// The database and the descriptor that syncs it.
pub(crate) struct Beside {
    db: sled::Db,
    trees: [sled::Tree; Side::ALL.len()],
    meta: sled::Tree,
    sync: Mutex<File>,
    state: Mutex<State>,
    /// Whose entries have changed since a copy was begun; one is made at a time.
    watched: Mutex<Option<BTreeSet<Key>>>,
    copying: Mutex<()>,
}

/// Sees keys and values; an error ends it.
pub(crate) type Each<'f> = &'f mut dyn FnMut(&[u8], &[u8]) -> Result<(), String>;

/// While this is there, it is noted which entries change.
pub(crate) struct Watch<'b> {
    beside: &'b Beside,
    _alone: MutexGuard<'b, ()>,
}

impl Watch<'_> {
    /// Which have, up to now.
    pub(crate) fn changed(self) -> BTreeSet<Key> {
        self.beside.watched().take().unwrap_or_default()
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        *self.beside.watched() = None;
    }
}

/// How far the trees have come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// First record and changes of the last batch that changed anything.
    pub(crate) last: Option<(u64, Digest)>,
    /// The exclusive or of the hashes of all entries.
    sum: [u8; 32],
}

/// Why the database does not open.
pub(crate) enum BesideError {
    /// Another process has it.
    InUse,
    /// It cannot be read.
    Damaged(String),
}

impl Beside {
    /// Opens (or makes) the database in `dir`. Not only sled's own `open` panics at a torn page: so does looking a tree
    /// up, or its first value.
    pub(crate) fn open(dir: &Path) -> Result<Self, BesideError> {
        let torn = |_| Err(BesideError::Damaged("the database does not open: it is torn".to_owned()));
        catch_unwind(AssertUnwindSafe(|| Self::try_open(dir))).unwrap_or_else(torn)
    }

    fn try_open(dir: &Path) -> Result<Self, BesideError> {
        let damaged = |why: String| BesideError::Damaged(why);
        let db = open_db(dir)?;
        let tree = |name| tree(&db, name).map_err(damaged);
        let mut trees = Vec::new();
        for side in Side::ALL {
            trees.push(tree(side.as_str())?);
        }
        let trees = trees.try_into().map_err(|_| damaged("a tree is missing".to_owned()))?;
        let meta = tree("meta")?;
        let sync = File::options().read(true).write(true).open(dir.join("db"));
        let sync = Mutex::new(sync.map_err(|error| damaged(format!("no file db: {error}")))?);
        let beside = Self {
            db,
            trees,
            meta,
            sync,
            state: Mutex::default(),
            watched: Mutex::default(),
            copying: Mutex::default(),
        };
        let state = beside.stored_state().map_err(damaged)?;
        *beside.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
        Ok(beside)
    }

    /// How far it has come.
    pub(crate) fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anything was ever put in.
    pub(crate) fn holds_anything(&self) -> Result<bool, String> {
        if self.state().last.is_some() {
            return Ok(true);
        }
        for side in Side::ALL {
            if !self.some(side, &[], 1)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Holds all entries against the sum over them.
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut sum = [0; 32];
        for side in Side::ALL {
            self.each(side, &mut |key, value| {
                add(&mut sum, side, key, value);
                Ok(())
            })?;
        }
        if sum == self.state().sum {
            Ok(())
        } else {
            Err("entries beside the log were changed or lost".to_owned())
        }
    }

    /// Makes the changes of the batch with this first record, and returns when they are on disk.
    pub(crate) fn apply(&self, first: u64, digest: Digest, changes: &[Change]) -> Result<(), String> {
        let before = self.state();
        let written = catch_unwind(AssertUnwindSafe(|| {
            let sum = self.change(before.sum, first, digest, changes)?;
            self.sync()?;
            Ok(sum)
        }));
        let sum = written.unwrap_or_else(|_| Err("the database failed".to_owned()))?;
        // After they have: whoever began to copy in between has the one or the other.
        if let Some(watched) = &mut *self.watched() {
            watched.extend(changes.iter().map(|change| (change.side(), change.key().to_vec())));
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State { last: Some((first, digest)), sum };
        Ok(())
    }

    fn watched(&self) -> MutexGuard<'_, Option<BTreeSet<Key>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on it is noted which entries change.
    pub(crate) fn watch(&self) -> Watch<'_> {
        let alone = self.copying.lock().unwrap_or_else(PoisonError::into_inner);
        *self.watched() = Some(BTreeSet::new());
        Watch { beside: self, _alone: alone }
    }

    /// Puts entries in that another database had.
    pub(crate) fn take_over(&self, side: Side, entries: Vec<Entry>) -> Result<(), String> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in entries {
            add(&mut state.sum, side, &key, &value);
            self.tree(side).insert(key, value).map_err(|error| error.to_string())?;
        }
        self.meta.insert(STATE, encode(&state)).map_err(|error| error.to_string())?;
        self.sync()
    }

    /// Puts in what another database had, and how far that had come. This one is empty.
    pub(crate) fn restore(&self, entries: Entries, last: Option<(u64, Digest)>) -> Result<(), String> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in entries {
            let (side, key, value) = entry.map_err(|error| format!("the file of entries: {error}"))?;
            add(&mut state.sum, side, &key, &value);
            let old = self.tree(side).insert(key, value);
            if old.map_err(|error| error.to_string())?.is_some() {
                return Err("an entry is there twice".to_owned());
            }
        }
        state.last = last;
        self.meta.insert(STATE, encode(&state)).map_err(|error| error.to_string())?;
        self.sync()
    }

    fn sync(&self) -> Result<(), String> {
        self.db.flush().map_err(|error| error.to_string())?;
        let sync = self.sync.lock().unwrap_or_else(PoisonError::into_inner);
        sync.sync_data().map_err(|error| error.to_string())
    }

    fn change(
        &self,
        before: [u8; 32],
        first: u64,
        digest: Digest,
        changes: &[Change],
    ) -> Result<[u8; 32], String> {
        let trees: Vec<&sled::Tree> = self.trees.iter().chain([&self.meta]).collect();
        let done = trees[..].transaction(|trees| {
            const MISSING: ConflictableTransactionError<()> = ConflictableTransactionError::Abort(());
            let mut sum = before;
            for change in changes {
                let side = change.side();
                let tree = trees.get(side.index()).ok_or(MISSING)?;
                let (key, old) = match change {
                    Change::Put { key, value, .. } => {
                        add(&mut sum, side, key, value);
                        (key, tree.insert(key.as_slice(), value.as_slice())?)
                    }
                    Change::Delete { key, .. } => (key, tree.remove(key.as_slice())?),
                };
                if let Some(old) = old {
                    // The same hash again takes it out.
                    add(&mut sum, side, key, &old);
                }
            }
            let state = State { last: Some((first, digest)), sum };
            trees.last().ok_or(MISSING)?.insert(STATE, encode(&state))?;
            Ok(sum)
        });
        done.map_err(|error| match error {
            TransactionError::Abort(()) => "a tree is missing".to_owned(),
            TransactionError::Storage(error) => error.to_string(),
        })
    }

    /// Hands each entry of a side tree on, in the order of keys. Not all of them need be of one moment: who changes the
    /// tree meanwhile is not kept waiting. It has no more than [`AT_ONCE`] of them in memory.
    pub(crate) fn each(&self, side: Side, f: Each<'_>) -> Result<(), String> {
        let mut after = Vec::new();
        loop {
            let some = self.some(side, &after, AT_ONCE)?;
            let Some((last, _)) = some.last() else { return Ok(()) };
            after.clone_from(last);
            some.iter().try_for_each(|(key, value)| f(key, value))?;
            if some.len() < AT_ONCE {
                return Ok(());
            }
        }
    }

    /// The next entries of a side tree whose keys come after this one, no more than so many; of an empty key, the first.
    pub(crate) fn some(&self, side: Side, after: &[u8], most: usize) -> Result<Vec<Entry>, String> {
        // No key is empty but the first there can be.
        let from = if after.is_empty() { Bound::Unbounded } else { Bound::Excluded(after) };
        let range = (from, Bound::<&[u8]>::Unbounded);
        let read = catch_unwind(AssertUnwindSafe(|| {
            let entries = self.tree(side).range::<&[u8], _>(range).take(most);
            entries.map(|item| item.map(|(key, value)| (key.to_vec(), value.to_vec()))).collect()
        }));
        let some: Result<Vec<_>, sled::Error> = read.unwrap_or_else(|_| Err(panicked()));
        some.map_err(|error| error.to_string())
    }

    /// All of a side tree.
    pub(crate) fn side(&self, side: Side) -> Result<Vec<Entry>, String> {
        entries(self.tree(side))
    }

    /// One value of a side tree.
    pub(crate) fn side_value(&self, side: Side, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let read = catch_unwind(AssertUnwindSafe(|| self.tree(side).get(key)));
        let value = read.unwrap_or_else(|_| Err(panicked()));
        value.map(|value| value.map(|value| value.to_vec())).map_err(|error| error.to_string())
    }

    const fn tree(&self, side: Side) -> &sled::Tree {
        let [people, factors, desk, taints, bindings, subjects, meters] = &self.trees;
        match side {
            Side::People => people,
            Side::Factors => factors,
            Side::Desk => desk,
            Side::Taints => taints,
            Side::Bindings => bindings,
            Side::Subjects => subjects,
            Side::Meters => meters,
        }
    }

    fn stored_state(&self) -> Result<State, String> {
        let read = catch_unwind(AssertUnwindSafe(|| self.meta.get(STATE)));
        let value = read.unwrap_or_else(|_| Err(panicked())).map_err(|error| error.to_string())?;
        let Some(value) = value else { return Ok(State::default()) };
        decode(&value).ok_or_else(|| "its state cannot be read".to_owned())
    }
}

/// Opens (or makes) a database of sled's. Threads of sled's hold the lock of one that was dropped a while longer, and
/// the data directory has a lock of its own: who is locked out here waits.
pub(crate) fn open_db(dir: &Path) -> Result<sled::Db, BesideError> {
    let began = Instant::now();
    loop {
        match try_open_db(dir) {
            Err(BesideError::InUse) if began.elapsed() < DROPPED => std::thread::sleep(LOOK_AGAIN),
            opened => return opened,
        }
    }
}

fn try_open_db(dir: &Path) -> Result<sled::Db, BesideError> {
    // Its own thread that syncs now and then would sync once more than is needed.
    let config = sled::Config::new().path(dir).cache_capacity(CACHE_BYTES).flush_every_ms(None);
    match catch_unwind(AssertUnwindSafe(|| config.open())) {
        Ok(Ok(db)) => Ok(db),
        Ok(Err(sled::Error::Io(error))) if error.to_string().contains("could not acquire lock") => {
            Err(BesideError::InUse)
        }
        Ok(Err(error)) => Err(BesideError::Damaged(format!("the database does not open: {error}"))),
        Err(_) => Err(BesideError::Damaged("the database does not open: it is torn".to_owned())),
    }
}

/// A tree of that name. Looking it up in a damaged database may panic inside.
pub(crate) fn tree(db: &sled::Db, name: &str) -> Result<sled::Tree, String> {
    let found = catch_unwind(AssertUnwindSafe(|| db.open_tree(name)));
    found.unwrap_or_else(|_| Err(panicked())).map_err(|error| format!("no tree {name}: {error}"))
}

/// All of a tree. Reading a damaged page may panic inside.
pub(crate) fn entries(tree: &sled::Tree) -> Result<Vec<Entry>, String> {
    let read = catch_unwind(AssertUnwindSafe(|| {
        tree.iter().map(|item| item.map(|(key, value)| (key.to_vec(), value.to_vec()))).collect()
    }));
    let all: Result<Vec<_>, sled::Error> = read.unwrap_or_else(|_| Err(panicked()));
    all.map_err(|error| error.to_string())
}

fn add(sum: &mut [u8; 32], side: Side, key: &[u8], value: &[u8]) {
    let length = u64::try_from(key.len()).unwrap_or(u64::MAX).to_be_bytes();
    let hash = Sha256::new().chain_update(side.as_str()).chain_update(length).chain_update(key);
    let hash: [u8; 32] = hash.chain_update(value).finalize().into();
    sum.iter_mut().zip(hash).for_each(|(sum, byte)| *sum ^= byte);
}

fn encode(state: &State) -> Vec<u8> {
    let mut bytes = state.sum.to_vec();
    if let Some((first, digest)) = state.last {
        bytes.extend_from_slice(&first.to_be_bytes());
        bytes.extend_from_slice(&digest);
    }
    bytes
}

fn decode(bytes: &[u8]) -> Option<State> {
    let (sum, rest) = bytes.split_first_chunk::<32>()?;
    let last = match rest.split_first_chunk::<8>() {
        None if rest.is_empty() => None,
        None => return None,
        Some((first, digest)) => Some((u64::from_be_bytes(*first), digest.try_into().ok()?)),
    };
    Some(State { last, sum: *sum })
}

/// Whether sled's directory for large values holds anything.
pub(crate) fn has_blobs(dir: &Path) -> io::Result<bool> {
    match fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// sled panicked on a damaged page.
pub(crate) fn panicked() -> sled::Error {
    sled::Error::ReportableBug("the database failed on a damaged page".to_owned())
}
