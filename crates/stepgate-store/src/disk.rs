//! sled, tamed. What it does not do by itself (measured against power cuts, version 0.34.7):
//!
//! - `flush()` does not fsync: an own descriptor on its file is synced after each flush. Without that, 44
//!   of 60 simulated power cuts lost acknowledged records; with it, none of 249.
//! - Values of several KiB go to files of their own that are never synced: no value exceeds
//!   [`MAX_VALUE_BYTES`].
//! - A damaged file is silently cut at the damage, or makes `open` panic: the log is checked against signed
//!   checkpoints outside sled, and opening runs under `catch_unwind`.

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use sled::Transactional as _;
use sled::transaction::{ConflictableTransactionError, TransactionError};
use stepgate_record::MAX_RECORD_BYTES;

use crate::{Change, Entry, Side};

/// The longest value, in bytes; see above.
pub(crate) const MAX_VALUE_BYTES: usize = MAX_RECORD_BYTES;

/// The longest key, in bytes: names of people are the longest so far.
pub(crate) const MAX_KEY_BYTES: usize = 256;

/// sled's cache, in bytes. Resident memory reaches 2.4 times that while loading.
const CACHE_BYTES: u64 = 64 * 1024 * 1024;

/// The database and the descriptor that syncs it.
pub(crate) struct Disk {
    db: sled::Db,
    records: sled::Tree,
    people: sled::Tree,
    factors: sled::Tree,
    desk: sled::Tree,
    taints: sled::Tree,
    bindings: sled::Tree,
    sync: Mutex<File>,
}

/// Why the database does not open.
pub(crate) enum DiskError {
    /// Another process has it.
    InUse,
    /// It cannot be read.
    Damaged(String),
}

impl Disk {
    /// Opens (or makes) the database in `dir`.
    pub(crate) fn open(dir: &Path) -> Result<Self, DiskError> {
        let damaged = |why: String| DiskError::Damaged(why);
        let opened = catch_unwind(|| sled::Config::new().path(dir).cache_capacity(CACHE_BYTES).open());
        let db = match opened {
            Ok(Ok(db)) => db,
            Ok(Err(sled::Error::Io(error))) if error.to_string().contains("could not acquire lock") => {
                return Err(DiskError::InUse);
            }
            Ok(Err(error)) => return Err(damaged(format!("the database does not open: {error}"))),
            Err(_) => return Err(damaged("the database does not open: it is torn".to_owned())),
        };
        let tree = |name| db.open_tree(name).map_err(|error| damaged(format!("no tree {name}: {error}")));
        let sync = File::options().read(true).write(true).open(dir.join("db"));
        let disk = Self {
            records: tree("records")?,
            people: tree("people")?,
            factors: tree("factors")?,
            desk: tree("desk")?,
            taints: tree("taints")?,
            bindings: tree("bindings")?,
            sync: Mutex::new(sync.map_err(|error| damaged(format!("no file db: {error}")))?),
            db,
        };
        Ok(disk)
    }

    /// Writes records and changes, and returns when they are on disk.
    pub(crate) fn commit(&self, records: &[(u64, Vec<u8>)], changes: &[Change]) -> Result<(), String> {
        let written = catch_unwind(AssertUnwindSafe(|| {
            self.apply(records, changes)?;
            self.db.flush().map_err(|error| error.to_string())?;
            let sync = self.sync.lock().unwrap_or_else(PoisonError::into_inner);
            sync.sync_data().map_err(|error| error.to_string())
        }));
        written.unwrap_or_else(|_| Err("the database failed".to_owned()))
    }

    fn apply(&self, records: &[(u64, Vec<u8>)], changes: &[Change]) -> Result<(), String> {
        let mut batch = sled::Batch::default();
        for (seq, bytes) in records {
            batch.insert(&seq.to_be_bytes(), bytes.as_slice());
        }
        if changes.is_empty() {
            return self.records.apply_batch(batch).map_err(|error| error.to_string());
        }
        // Changes are rare, and must not be there without their records, nor the other way round.
        let trees = [&self.records, &self.people, &self.factors, &self.desk, &self.taints, &self.bindings];
        let done = trees[..].transaction(|trees| {
            let [records, people, factors, desk, taints, bindings] = trees.as_slice() else {
                return Err(ConflictableTransactionError::Abort(()));
            };
            records.apply_batch(&batch)?;
            for change in changes {
                let tree = match change.side() {
                    Side::People => people,
                    Side::Factors => factors,
                    Side::Desk => desk,
                    Side::Taints => taints,
                    Side::Bindings => bindings,
                };
                match change {
                    Change::Put { key, value, .. } => tree.insert(key.as_slice(), value.as_slice())?,
                    Change::Delete { key, .. } => tree.remove(key.as_slice())?,
                };
            }
            Ok(())
        });
        done.map_err(|error| match error {
            TransactionError::Abort(()) => "a tree is missing".to_owned(),
            TransactionError::Storage(error) => error.to_string(),
        })
    }

    /// Number and bytes of the records from number `from` on. An error ends it.
    pub(crate) fn records(&self, from: u64) -> impl Iterator<Item = Result<(u64, sled::IVec), String>> {
        let mut range = self.records.range(from.to_be_bytes()..);
        std::iter::from_fn(move || {
            // Reading a damaged page may panic.
            let item = catch_unwind(AssertUnwindSafe(|| range.next()));
            match item.unwrap_or_else(|_| Some(Err(panicked())))? {
                Ok((key, bytes)) => Some(match <[u8; 8]>::try_from(key.as_ref()) {
                    Ok(seq) => Ok((u64::from_be_bytes(seq), bytes)),
                    Err(_) => Err("a key is not a number".to_owned()),
                }),
                Err(error) => Some(Err(error.to_string())),
            }
        })
    }

    /// All of a side tree.
    pub(crate) fn side(&self, side: Side) -> Result<Vec<Entry>, String> {
        let tree = self.tree(side);
        let read = catch_unwind(AssertUnwindSafe(|| {
            tree.iter().map(|item| item.map(|(key, value)| (key.to_vec(), value.to_vec()))).collect()
        }));
        let all: Result<Vec<_>, sled::Error> = read.unwrap_or_else(|_| Err(panicked()));
        all.map_err(|error| error.to_string())
    }

    /// One value of a side tree.
    pub(crate) fn side_value(&self, side: Side, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let read = catch_unwind(AssertUnwindSafe(|| self.tree(side).get(key)));
        let value = read.unwrap_or_else(|_| Err(panicked()));
        value.map(|value| value.map(|value| value.to_vec())).map_err(|error| error.to_string())
    }

    const fn tree(&self, side: Side) -> &sled::Tree {
        match side {
            Side::People => &self.people,
            Side::Factors => &self.factors,
            Side::Desk => &self.desk,
            Side::Taints => &self.taints,
            Side::Bindings => &self.bindings,
        }
    }

    /// From now on nothing can be synced: what a dying disk looks like.
    #[cfg(test)]
    pub(crate) fn break_sync(&self) {
        // fdatasync on a device without storage is EINVAL.
        *self.sync.lock().unwrap() = File::options().write(true).open("/dev/null").unwrap();
    }
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
fn panicked() -> sled::Error {
    sled::Error::ReportableBug("the database failed on a damaged page".to_owned())
}
