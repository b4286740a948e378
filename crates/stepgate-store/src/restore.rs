//! A data directory made from a backup. Everything is verified before anything has its place.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use stepgate_record::{Checkpoint, Event, Hash, Restored, SignedNote, VerifierKeys};

use crate::archive::beside;
use crate::backup::{ENTRIES, FILES, MANIFEST, Manifest, NOTE, SEGMENTS, backups, copy};
use crate::beside::{Beside, BesideError};
use crate::entries::Entries;
use crate::files::{read_text, remove_dir, sync_dir};
use crate::gather::{CHECKPOINT, HASHES, OFFSETS, SEAL, Seal, hex_digest};
use crate::journal::Journal;
use crate::layout::{Layout, make_dir};
use crate::{BackupError, Log, LogError, LogOptions, OpenError, keys, verify_dir};

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredLog {
    /// How many records the backup has.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Hash,
    /// The first record whose bytes it has.
    pub floor: u64,
}

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The target holds something.
    #[error("{0} is not empty; a backup is restored into a directory that is missing or empty")]
    NotEmpty(PathBuf),
    /// There is no backup.
    #[error("{0} holds no backup")]
    None(PathBuf),
    /// It was made with another master key.
    #[error("the master key is not the one that the backup was made with")]
    WrongKey,
    /// It is not what it was.
    #[error("the backup was altered or is incomplete: {0}")]
    Altered(String),
    /// A file could not be read or written.
    #[error(transparent)]
    Copy(#[from] BackupError),
    /// A file could not be read or written.
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
    /// What was restored does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// That it was restored cannot be recorded.
    #[error(transparent)]
    Log(#[from] LogError),
}

fn at(path: &Path) -> impl Fn(io::Error) -> RestoreError {
    move |source| RestoreError::Io(path.to_owned(), source)
}

fn altered(why: impl Into<String>) -> RestoreError {
    RestoreError::Altered(why.into())
}

impl Log {
    /// Makes the data directory `to`, missing or empty until then, from the newest backup in `from` (or from that of
    /// one moment, `at-…`), and records `log.restored` in it. Blocks the thread.
    ///
    /// # Errors
    /// See [`RestoreError`]; `to` is as it was.
    pub fn restore(from: &Path, to: &Path, options: LogOptions) -> Result<RestoredLog, RestoreError> {
        if to.exists() && fs::read_dir(to).map_err(at(to))?.next().is_some() {
            return Err(RestoreError::NotEmpty(to.to_owned()));
        }
        let backup = newest(from)?;
        let manifest = read_manifest(&backup, &options)?;
        let made = !to.exists();
        let staging = to.join("restoring");
        make_dir(&staging).map_err(at(&staging))?;
        let restored = stage(&backup, &manifest, &staging, options).and_then(|()| take_place(&staging, to));
        if let Err(error) = restored {
            let _ = remove_dir(&staging);
            if made {
                let _ = fs::remove_dir(to);
            }
            return Err(error);
        }
        let Manifest { size, root, floor, .. } = manifest;
        Ok(RestoredLog { size, root, floor })
    }
}

/// The newest backup in a directory, or the directory itself where it is the one of a moment.
pub(crate) fn newest(from: &Path) -> Result<PathBuf, RestoreError> {
    if from.join(MANIFEST).exists() {
        return Ok(from.to_owned());
    }
    let all = backups(from).map_err(at(from))?;
    all.last().cloned().ok_or_else(|| RestoreError::None(from.to_owned()))
}

/// The manifest, which the log's own key must have signed: this master key's.
fn read_manifest(backup: &Path, options: &LogOptions) -> Result<Manifest, RestoreError> {
    let (manifest, keys) = signed_manifest(backup)?;
    keys::own(&Layout::new(backup), &options.vault, &keys).map_err(|_| RestoreError::WrongKey)?;
    Ok(manifest)
}

/// The manifest, signed by the newest of the log's keys, which are in the backup, too. Whose they are is another
/// question.
pub(crate) fn signed_manifest(backup: &Path) -> Result<(Manifest, VerifierKeys), RestoreError> {
    let path = backup.join(MANIFEST);
    let text = read_text(&path).map_err(at(&path))?.ok_or_else(|| altered("manifest.json is missing"))?;
    let manifest: Manifest = serde_json::from_str(&text).map_err(|_| altered("manifest.json"))?;
    if manifest.format != Manifest::FORMAT || manifest.version != Manifest::VERSION {
        return Err(altered("its format is not known to this version"));
    }
    let keys = keys::read(&Layout::new(&backup.join(FILES)), &Checkpoint::origin(&manifest.log_id));
    let keys = keys.map_err(altered)?;
    let path = backup.join(NOTE);
    let note = read_text(&path).map_err(at(&path))?.ok_or_else(|| altered("manifest.note is missing"))?;
    let note: SignedNote = note.parse().map_err(|error| altered(format!("manifest.note: {error}")))?;
    let signed = note.text() == Manifest::note_text(&manifest.log_id, text.as_bytes());
    if !signed || note.verify_alone(keys.newest()).is_err() {
        return Err(altered("manifest.json is not what manifest.note signs"));
    }
    Ok((manifest, keys))
}

/// Copies everything, holding each file against the manifest, and opens it.
fn stage(
    backup: &Path,
    manifest: &Manifest,
    staging: &Path,
    options: LogOptions,
) -> Result<(), RestoreError> {
    let layout = Layout::new(staging);
    layout.make_dirs()?;
    for dir in [layout.records(), layout.beside()] {
        make_dir(&dir).map_err(at(&dir))?;
    }
    for (name, sha256) in &manifest.files {
        if !Path::new(name).components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(altered(format!("{name} is no name of a file")));
        }
        let to = staging.join(name);
        make_dir(to.parent().unwrap_or(staging)).map_err(at(&to))?;
        held(name, copy(&backup.join(FILES).join(name), &to, u64::MAX)?.0, sha256)?;
    }
    let segments = backup.parent().unwrap_or(backup).join(SEGMENTS);
    for (first, sha256) in &manifest.segments {
        copy_segment(&segments, &layout.records(), (*first, manifest.floor), sha256)?;
    }
    restore_beside(&layout, manifest)?;
    Journal::open(&layout.journal()).map_err(at(&layout.journal()))?;
    layout.write_format(&manifest.log_id)?;
    for dir in [layout.records(), layout.checkpoints(), staging.to_owned()] {
        sync_dir(&dir).map_err(at(&dir))?;
    }
    let verified = verify_dir(staging, None).map_err(|failure| altered(failure.to_string()))?;
    if (verified.records, verified.root) != (manifest.size, manifest.root) {
        return Err(altered("it holds other records than its manifest says"));
    }
    let (log, _) = Log::open(staging, options)?;
    let (size, root) = (manifest.size, manifest.root);
    let restored = Restored { size, root, newer_size: None, newer_root: None };
    log.append_blocking(vec![Event::LogRestored(restored)], Vec::new())?;
    log.close()?;
    Ok(())
}

fn held(name: &str, found: String, expected: &str) -> Result<(), RestoreError> {
    if found == expected { Ok(()) } else { Err(altered(name)) }
}

fn copy_segment(
    from: &Path,
    to: &Path,
    (first, floor): (u64, u64),
    sha256: &str,
) -> Result<(), RestoreError> {
    let path = beside(from, first, SEAL);
    let text = read_text(&path).map_err(at(&path))?.unwrap_or_default();
    let name = |ending: &str| format!("{SEGMENTS}/{first:020}.{ending}");
    held(&name(SEAL), hex_digest(text.as_bytes()), sha256)?;
    let seal = Seal::parse(&text).ok_or_else(|| altered(name(SEAL)))?;
    let copied = |ending: &str| copy(&beside(from, first, ending), &beside(to, first, ending), u64::MAX);
    held(&name(HASHES), copied(HASHES)?.0, &seal.hashes_sha256)?;
    if first >= floor {
        held(&name("log"), copied("log")?.0, &seal.records_sha256)?;
        held(&name(OFFSETS), copied(OFFSETS)?.0, &seal.offsets_sha256)?;
    }
    // These two are held against each other and the records when all is verified.
    copied(CHECKPOINT)?;
    copied(SEAL)?;
    Ok(())
}

/// Makes the database of what is kept beside the log from its entries.
fn restore_beside(layout: &Layout, manifest: &Manifest) -> Result<(), RestoreError> {
    let path = layout.dir().join(ENTRIES);
    let entries = Entries::open(&path).map_err(at(&path))?;
    let changed = manifest.changed.as_ref().map(|(first, hex)| {
        let digest = data_encoding::HEXLOWER.decode(hex.as_bytes()).ok()?.try_into().ok()?;
        Some((*first, digest))
    });
    let changed = changed.map(|changed| changed.ok_or_else(|| altered(MANIFEST))).transpose()?;
    let beside = match Beside::open(&layout.beside()) {
        Ok(beside) => beside,
        Err(BesideError::InUse) => return Err(altered("beside/db is in use")),
        Err(BesideError::Damaged(why)) => return Err(altered(why)),
    };
    beside.restore(entries, changed).map_err(altered)?;
    fs::remove_file(&path).map_err(at(&path))
}

/// Moves what was restored to where it belongs. `format.json` comes last: until then the directory counts as unused.
fn take_place(staging: &Path, to: &Path) -> Result<(), RestoreError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(staging).map_err(at(staging))? {
        names.push(entry.map_err(at(staging))?.file_name());
    }
    names.sort_by_key(|name| name == "format.json");
    for name in names {
        if name == "format.json" {
            sync_dir(to).map_err(at(to))?;
        }
        let place = to.join(&name);
        fs::rename(staging.join(&name), &place).map_err(at(&place))?;
    }
    fs::remove_dir(staging).map_err(at(staging))?;
    sync_dir(to).map_err(at(to))
}
