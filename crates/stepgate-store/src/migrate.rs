//! From format 1, in which records lay in sled too, to plain files: after a backup, checked before and after.
//!
//! A stop at any moment leaves `format.json` saying what is true: until it says 2, the old database is whole and
//! all that was begun is begun anew; from then on it is not needed any more.

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use stepgate_record::{Frontier, Hash, VerifierKeys};

use crate::archive::Seals;
use crate::beside::{Beside, BesideError, entries, has_blobs, open_db, panicked, tree};
use crate::files::{AtPath as _, remove_dir, sync_dir};
use crate::frame::Builder;
use crate::history::History;
use crate::journal::Journal;
use crate::layout::{Layout, make_dir};
use crate::open::check_records;
use crate::tape::{SEGMENT_RECORDS, Tape};
use crate::{OpenError, Side, checkpoints};

/// Records written as one batch.
const BATCH_RECORDS: usize = 256;

/// Migrates the directory, whose log was made under this key.
pub(crate) fn migrate(layout: &Layout, log_id: &str, keys: &VerifierKeys) -> Result<(), OpenError> {
    tracing::info!(dir = %layout.dir().display(), "migrating the store to format 2");
    for begun in [layout.records(), layout.beside()] {
        remove_dir(&begun).at(&begun)?;
    }
    if !layout.old_log().join("db").exists() {
        return Err(layout.damaged("log/db is missing"));
    }
    back_up(layout)?;
    let found = |why: String| {
        layout.damaged(format!("{why} (the store as it was found: {})", layout.backup().display()))
    };
    let blobs = layout.old_log().join("blobs");
    if has_blobs(&blobs).at(&blobs)? {
        return Err(found("log/blobs is not empty: no record or value is that large".to_owned()));
    }
    let known = || checkpoints::read(&layout.checkpoints(), keys).map_err(|why| layout.damaged(why));
    let old = match open_db(&layout.old_log()) {
        Ok(old) => old,
        Err(BesideError::InUse) => return Err(layout.in_use()),
        Err(BesideError::Damaged(why)) => return Err(found(why)),
    };
    make_dir(&layout.records()).at(&layout.records())?;
    let history = History::new(log_id, known()?);
    let before = copy_records(&old, &layout.records(), log_id, history).map_err(found)?;
    copy_entries(&old, &layout.beside()).map_err(found)?;
    drop(old);
    // What was written is read back, and held against the checkpoints once more.
    let after = check_records(&layout.records(), log_id, known()?, &Seals::default());
    let after = after.map_err(|why| layout.damaged(why))?;
    if after.frontier != before {
        return Err(layout.damaged("the migrated records are not those of the old store"));
    }
    Journal::open(&layout.journal()).and_then(|journal| journal.wipe()).at(&layout.journal())?;
    for dir in [layout.records(), layout.beside(), layout.dir().to_owned()] {
        sync_dir(&dir).at(&dir)?;
    }
    layout.write_format(log_id)?;
    remove_dir(&layout.old_log()).at(&layout.old_log())
}

/// Copies everything that format 1 had.
fn back_up(layout: &Layout) -> Result<(), OpenError> {
    let backup = layout.backup();
    if backup.exists() {
        return Ok(());
    }
    let unfinished = backup.with_extension("unfinished");
    remove_dir(&unfinished).at(&unfinished)?;
    for name in ["log", "log/blobs", "checkpoints", ""] {
        let (from, to) = (layout.dir().join(name), unfinished.join(name));
        if from.exists() {
            copy_files(&from, &to).at(&to)?;
        }
    }
    fs::rename(&unfinished, &backup).at(&backup)?;
    sync_dir(layout.dir()).at(layout.dir())
}

/// Copies the files of a directory, not those of directories in it.
fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    make_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let copy = to.join(entry.file_name());
            fs::copy(entry.path(), &copy)?;
            File::open(&copy)?.sync_all()?;
        }
    }
    sync_dir(to)
}

/// Writes all records into files in `dir`. Errors are what is wrong with the old store.
fn copy_records(
    old: &sled::Db,
    dir: &Path,
    log_id: &str,
    mut history: History<'_>,
) -> Result<Frontier, String> {
    let unwritten = |error: io::Error| format!("records cannot be written: {error}");
    let tree = tree(old, "records")?;
    let mut tape = Tape::create(dir, log_id, SEGMENT_RECORDS).map_err(unwritten)?;
    let mut frame = Builder::default();
    frame.begin();
    let (mut first, mut next) = (0_u64, 0_u64);
    let mut all = tree.iter();
    loop {
        // Reading a damaged page may panic.
        let item = catch_unwind(AssertUnwindSafe(|| all.next())).unwrap_or_else(|_| Some(Err(panicked())));
        let record = item.transpose().map_err(|error| format!("record {next} cannot be read: {error}"))?;
        if let Some((key, bytes)) = &record {
            let seq = <[u8; 8]>::try_from(key.as_ref()).map_err(|_| "a key is not a number".to_owned())?;
            history.take(u64::from_be_bytes(seq), bytes, Hash::leaf(bytes))?;
            frame.add_record(bytes);
            next = next.saturating_add(1);
        }
        let count = frame.hashes().len();
        if count >= BATCH_RECORDS || record.is_none() && count > 0 {
            tape.append(frame.finish(first, None), first).map_err(|error| unwritten(error.into_error()))?;
            frame.begin();
            first = next;
        }
        if record.is_none() {
            return history.finish().map(|(frontier, _)| frontier);
        }
    }
}

fn copy_entries(old: &sled::Db, dir: &Path) -> Result<(), String> {
    let new = match Beside::open(dir) {
        Ok(new) => new,
        Err(BesideError::InUse) => return Err("beside/db is in use".to_owned()),
        Err(BesideError::Damaged(why)) => return Err(why),
    };
    for side in Side::ALL {
        new.take_over(side, entries(&tree(old, side.as_str())?)?)?;
    }
    Ok(())
}
