//! Where an export is written until it is whole: a directory beside its target, on the same disk. There are names and
//! keys to commitments in it, so it goes when the export is done, fails or is interrupted; what a killed one left, the
//! next one removes.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::FlockOperation;
use stepgate_types::Entropy as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::Failure;
use crate::system::SystemEntropy;

/// Of the directory's name; 16 hexadecimal digits follow.
const PREFIX: &str = ".stepgate-export-";

/// How often a directory is made anew that another export took for a leftover, before it was locked.
const TRIES: usize = 4;

/// Held while a directory is made, and from an interruption on: what was removed is not made anew.
static MAKING: Mutex<()> = Mutex::new(());

/// The directory. Who works in it holds a lock on it.
pub(crate) struct Spool {
    path: PathBuf,
    _lock: File,
}

impl Spool {
    /// Makes one beside the target, after what killed exports left there was removed.
    pub(crate) fn beside(target: &Path) -> Result<Self, Failure> {
        let trouble = |error: io::Error| Failure::file("write", target, &error);
        let parent = parent(target);
        sweep(parent);
        let mut name = [0; 8];
        SystemEntropy.fill(&mut name).map_err(|error| trouble(io::Error::other(error.to_string())))?;
        let path = parent.join(format!("{PREFIX}{}", data_encoding::HEXLOWER.encode(&name)));
        // Before there is anything to be left behind.
        remove_when_interrupted(path.clone()).map_err(trouble)?;
        for _ in 0..TRIES {
            {
                let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
                fs::DirBuilder::new().mode(0o700).create(&path).map_err(trouble)?;
            }
            let lock = match open_dir(&path) {
                Ok(lock) => lock,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(trouble(error)),
            };
            rustix::fs::flock(&lock, FlockOperation::LockExclusive).map_err(|error| trouble(error.into()))?;
            if path.exists() {
                return Ok(Self { path, _lock: lock });
            }
        }
        Err(trouble(io::Error::other("other exports are in the way; try again")))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        // It is not there any more where it has become the export itself.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A new file that nobody else reads.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file that was just given its name keeps it from here on, whatever happens to the power.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    File::open(parent(path))?.sync_all()
}

/// The directory itself, and not what a link leads to.
fn open_dir(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::NOFOLLOW;
    OpenOptions::new().read(true).custom_flags(i32::try_from(flags.bits()).unwrap_or_default()).open(path)
}

/// Removes what no living export of this user holds; whatever cannot be removed does not keep anybody from exporting.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    let own = rustix::process::geteuid().as_raw();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let digits = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        // Six letters were those of an earlier version.
        let ours = |digits: &str| {
            [6, 16].contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        if !digits.is_some_and(ours) {
            continue;
        }
        let Ok(lock) = open_dir(&entry.path()) else { continue };
        let owned = lock.metadata().is_ok_and(|meta| meta.uid() == own);
        if owned && rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Waits on a thread of its own; the process ends as the signal would have ended it.
fn remove_when_interrupted(path: PathBuf) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut hang_up, mut interrupt, mut terminate) = {
        let _in_it = runtime.enter();
        (signal(SignalKind::hangup())?, signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let wait = move || {
        let kind = runtime.block_on(async {
            tokio::select! {
                _ = hang_up.recv() => SignalKind::hangup(),
                _ = interrupt.recv() => SignalKind::interrupt(),
                _ = terminate.recv() => SignalKind::terminate(),
            }
        });
        let _made_no_more = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        // Who writes in it may make a file in between.
        for _ in 0..TRIES {
            if fs::remove_dir_all(&path).is_ok() || !path.exists() {
                break;
            }
        }
        std::process::exit(kind.as_raw_value().saturating_add(128));
    };
    std::thread::Builder::new().name("interrupted".to_owned()).spawn(wait).map(drop)
}
