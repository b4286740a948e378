//! What lies where in a data directory.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stepgate_record::is_log_id;

use crate::files::{AtPath as _, read_text, write_atomic};
use crate::{OpenError, holder};

/// The store format that this version writes; a newer one is refused.
const FORMAT: u64 = 2;

/// The format before it: records lay in sled, too.
const OLD_FORMAT: u64 = 1;

/// A data directory.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    dir: PathBuf,
}

/// `format.json`, written last when a directory is made: what exists without it was never used.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Format {
    version: u64,
    log_id: String,
}

/// A directory that has been used.
#[derive(Debug, Clone)]
pub(crate) struct Used {
    pub(crate) log_id: String,
    /// By the format before this one.
    pub(crate) old: bool,
}

impl Layout {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The records' directory.
    pub(crate) fn records(&self) -> PathBuf {
        self.dir.join("records")
    }

    /// sled's directory: what is kept beside the log.
    pub(crate) fn beside(&self) -> PathBuf {
        self.dir.join("beside")
    }

    /// sled's one file.
    pub(crate) fn db(&self) -> PathBuf {
        self.beside().join("db")
    }

    /// sled's files for large values: must stay empty, since sled never syncs them.
    pub(crate) fn blobs(&self) -> PathBuf {
        self.beside().join("blobs")
    }

    /// Changes on their way to sled.
    pub(crate) fn journal(&self) -> PathBuf {
        self.dir.join("journal")
    }

    /// Where format 1 had everything: sled's directory.
    pub(crate) fn old_log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// What is left of format 1.
    pub(crate) fn backup(&self) -> PathBuf {
        self.dir.join("backup-format-1")
    }

    /// The key that personal values are sealed by, itself sealed by the vault.
    pub(crate) fn subjects_key(&self) -> PathBuf {
        self.dir.join("subjects.kek")
    }

    /// The one that is about to take its place.
    pub(crate) fn next_subjects_key(&self) -> PathBuf {
        self.dir.join("subjects.kek.next")
    }

    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.dir.join("checkpoints")
    }

    /// The public key that checks the log's first checkpoints.
    pub(crate) fn verifier_key(&self) -> PathBuf {
        self.dir.join("log.vkey")
    }

    /// The keys that came after it, once there are any.
    pub(crate) fn keys(&self) -> PathBuf {
        self.dir.join("keys.json")
    }

    fn format(&self) -> PathBuf {
        self.dir.join("format.json")
    }

    fn lock_file(&self) -> PathBuf {
        self.dir.join("lock")
    }

    /// Makes the directories, readable to nobody else.
    pub(crate) fn make_dirs(&self) -> Result<(), OpenError> {
        for dir in [self.dir.clone(), self.checkpoints()] {
            make_dir(&dir).at(&dir)?;
        }
        Ok(())
    }

    /// Takes the directory for this process alone, until the file is dropped.
    pub(crate) fn lock(&self) -> Result<File, OpenError> {
        let path = self.lock_file();
        let file = File::options().create(true).truncate(false).write(true).open(&path).at(&path)?;
        match file.try_lock() {
            Ok(()) => {
                holder::write(&file);
                Ok(file)
            }
            Err(TryLockError::WouldBlock) => Err(self.in_use()),
            Err(TryLockError::Error(source)) => Err(OpenError::Io { path, source }),
        }
    }

    /// Keeps gates out while the directory is copied; changes nothing in it.
    pub(crate) fn lock_for_reading(&self) -> Result<Option<File>, OpenError> {
        let path = self.lock_file();
        let file = match File::open(&path) {
            Ok(file) => file,
            // A copy of a directory, perhaps.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(OpenError::Io { path, source }),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Err(self.in_use()),
            Err(TryLockError::Error(source)) => Err(OpenError::Io { path, source }),
        }
    }

    /// What the directory is; `None`: it has never been used.
    pub(crate) fn used(&self) -> Result<Option<Used>, OpenError> {
        let path = self.format();
        let Some(text) = read_text(&path).at(&path)? else { return Ok(None) };
        let format: Option<Format> = serde_json::from_str(&text).ok();
        match format {
            Some(Format { version, .. }) if version > FORMAT => {
                Err(OpenError::Newer { dir: self.dir.clone(), found: version, known: FORMAT })
            }
            Some(Format { version: version @ (OLD_FORMAT | FORMAT), log_id }) if is_log_id(&log_id) => {
                Ok(Some(Used { log_id, old: version == OLD_FORMAT }))
            }
            _ => Err(self.damaged("format.json is not readable")),
        }
    }

    pub(crate) fn write_format(&self, log_id: &str) -> Result<(), OpenError> {
        let path = self.format();
        let format = Format { version: FORMAT, log_id: log_id.to_owned() };
        let bytes = serde_json::to_vec(&format).map_err(io::Error::from).at(&path)?;
        write_atomic(&path, &bytes).at(&path)
    }

    /// Another process works on it: which one, if it says so.
    pub(crate) fn in_use(&self) -> OpenError {
        OpenError::InUse { dir: self.dir.clone(), by: holder::read(&self.lock_file()) }
    }

    pub(crate) fn damaged(&self, why: impl Into<String>) -> OpenError {
        OpenError::Damaged { dir: self.dir.clone(), why: why.into() }
    }
}

/// Makes a directory, readable to nobody else.
pub(crate) fn make_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}
