//! Copies of the whole log, made while it is written to.
//!
//! ```text
//! backup.json                 which log's backups these are
//! segments/<first>.…          sealed segments, copied once
//! at-<size>/manifest.json     what the log was at that size; manifest.note signs it
//! at-<size>/files/…           what is not sealed, what is kept beside the log, checkpoints and keys
//! ```
//!
//! What is kept beside the log is copied while it changes. The writer is held up only while that is read again which has
//! changed since, so that all of it is of one moment. An `at-…` directory has its name once it is on disk as a whole. The
//! master key is in none of it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use stepgate_record::{Checkpoint, Event, Frontier, Hash, NoteSigner};
use stepgate_types::Who;

use crate::archive::beside;
use crate::beside::Watch;
use crate::entries::{self, Key};
use crate::files::{read_text, remove_dir, sync_dir, write_atomic};
use crate::gather::{CHECKPOINT, HASHES, OFFSETS, SEAL, Seal, hex_digest};
use crate::layout::{Layout, make_dir};
use crate::scan::{file_name, files};
use crate::{Log, LogError, keys};

/// So many backups of one directory are kept besides the sealed segments, which they share.
const KEPT: usize = 2;

/// The most bytes of one of the small files.
const MAX_SMALL: u64 = 1024 * 1024;

/// The directory of the policies that are approved, or wait to be.
const POLICIES: &str = "policies";

/// The most bytes of one of them that are copied: the gate reads no larger ones.
const MAX_POLICY: u64 = 16 * 1024 * 1024;

/// Names in a backup.
pub(crate) const MANIFEST: &str = "manifest.json";
pub(crate) const NOTE: &str = "manifest.note";
pub(crate) const SEGMENTS: &str = "segments";
pub(crate) const FILES: &str = "files";
pub(crate) const ENTRIES: &str = "beside.entries";
pub(crate) const MARK: &str = "backup.json";

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackedUp {
    /// How many records.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Hash,
    /// Bytes written.
    pub bytes: u64,
    /// Sealed segments that were there from an earlier backup.
    pub there: u64,
    /// For how long the writer was held up.
    pub held: Duration,
    /// Where the copy is.
    pub path: PathBuf,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The log refused.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The directory is not one for backups of this log.
    #[error("{0} {1}")]
    Directory(PathBuf, &'static str),
    /// It cannot be written there, or read here.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What a backup is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    pub(crate) format: String,
    pub(crate) version: u64,
    pub(crate) log_id: String,
    pub(crate) size: u64,
    pub(crate) root: Hash,
    /// The first record whose bytes are there.
    pub(crate) floor: u64,
    /// The last batch that changed something beside the log.
    pub(crate) changed: Option<(u64, String)>,
    /// Sealed segments, and SHA-256 (hex) of their seals, which name that of their files.
    pub(crate) segments: Vec<(u64, String)>,
    /// All other files, and SHA-256 (hex) of each.
    pub(crate) files: BTreeMap<String, String>,
}

impl Manifest {
    pub(crate) const FORMAT: &str = "stepgate-backup";
    pub(crate) const VERSION: u64 = 1;

    /// The text that is signed.
    pub(crate) fn note_text(log_id: &str, manifest: &[u8]) -> String {
        let hash = Hash::from_bytes(Sha256::digest(manifest).into());
        format!("stepgate-backup/v1\n{}\n{}\n", Checkpoint::origin(log_id), hash.to_base64())
    }
}

/// The log at one moment, between two batches.
struct Moment {
    frontier: Frontier,
    /// The file that was written to, and how many bytes of it there were.
    place: (u64, u64),
    /// What is beside the log, where it has changed since that was copied.
    entries: BTreeMap<Key, Option<Vec<u8>>>,
    changed: Option<(u64, String)>,
    small: BTreeMap<String, Vec<u8>>,
    /// Signs by the newest of the keys that are among `small`: it may be replaced while the rest is copied.
    signer: NoteSigner,
    /// For how long the writer was held up.
    held: Duration,
}

fn at(path: &Path) -> impl Fn(io::Error) -> BackupError {
    move |source| BackupError::Io { path: path.to_owned(), source }
}

impl Log {
    /// Copies the log into `dir`, where earlier copies of it may be; what is sealed is copied once. Recorded as
    /// `log.backed_up`, with the operator who asked for it. Blocks the thread.
    ///
    /// # Errors
    /// There is no new copy; earlier ones are as they were.
    pub fn backup(&self, dir: &Path, operator: Option<Who>) -> Result<BackedUp, BackupError> {
        let _one = claim(dir, self.id())?;
        // Nothing is deleted meanwhile.
        let _kept = self.shared().archive.keep_files();
        let unfinished = dir.join("at.unfinished");
        remove_dir(&unfinished).map_err(at(&unfinished))?;
        make_dir(&unfinished).map_err(at(&unfinished))?;
        // Copied while it changes; what has changed meanwhile is read again at the moment that the backup is of.
        let copied = unfinished.join("beside.copied");
        let watch = self.shared().beside.watch();
        entries::copy(&self.shared().beside, &copied).map_err(at(&copied))?;
        let mut writing = Writing { dir: unfinished.join(FILES), bytes: 0, files: BTreeMap::new() };
        self.copy_policies(&mut writing)?;
        let moment = self.moment(watch)?;
        crate::fault::point("backup: moment");
        let held = moment.held;
        let (size, root) = (moment.frontier.end(), moment.frontier.root().ok_or(LogError::Closed)?);
        // One that was sealed since that moment may have records of after it: of it, what is there is copied as it was.
        let seals = self.shared().archive.seals();
        let sealed = sealed_at(&seals, size);
        let (mut segments, mut there) = (Vec::new(), 0);
        for seal in sealed {
            let (sha256, copied) = self.copy_segment(seal, &dir.join(SEGMENTS))?;
            segments.push((seal.first, sha256));
            writing.bytes = writing.bytes.saturating_add(copied.unwrap_or(0));
            there += u64::from(copied.is_none());
        }
        crate::fault::point("backup: sealed copied");
        self.copy_open(&mut writing, sealed.last().map_or(0, |seal| seal.end), moment.place)?;
        let path = writing.place(ENTRIES)?;
        let (sha256, length) = entries::settle(&copied, &path, moment.entries).map_err(at(&path))?;
        sync_dir(&writing.dir).map_err(at(&writing.dir))?;
        writing.bytes = writing.bytes.saturating_add(length);
        writing.files.insert(ENTRIES.to_owned(), sha256);
        for (name, bytes) in &moment.small {
            writing.put(name, bytes)?;
        }
        let signer = &moment.signer;
        let note = Checkpoint { origin: Checkpoint::origin(self.id()), size, root }.sign(signer);
        writing.put("checkpoints/latest.checkpoint", note.to_string().as_bytes())?;
        let manifest = Manifest {
            format: Manifest::FORMAT.to_owned(),
            version: Manifest::VERSION,
            log_id: self.id().to_owned(),
            size,
            root,
            floor: self.floor(),
            changed: moment.changed,
            segments,
            files: writing.files,
        };
        let text = serde_json::to_vec(&manifest).map_err(io::Error::from).map_err(at(&unfinished))?;
        let signed = signer.sign(&Manifest::note_text(self.id(), &text));
        for (name, bytes) in [(MANIFEST, &text[..]), (NOTE, signed.to_string().as_bytes())] {
            let path = unfinished.join(name);
            write_atomic(&path, bytes).map_err(at(&path))?;
        }
        let path = dir.join(format!("at-{size:020}"));
        crate::fault::point("backup: finished");
        remove_dir(&path).map_err(at(&path))?;
        fs::rename(&unfinished, &path).map_err(at(&path))?;
        sync_dir(dir).map_err(at(dir))?;
        for old in backups(dir).map_err(at(dir))?.into_iter().rev().skip(KEPT) {
            remove_dir(&old).map_err(at(&old))?;
        }
        self.append_blocking(vec![Event::LogBackedUp { size, root, operator }], Vec::new())?;
        Ok(BackedUp { size, root, bytes: writing.bytes, there, held, path })
    }

    /// Reads what is of one moment, while nothing is written.
    fn moment(&self, watch: Watch<'_>) -> Result<Moment, BackupError> {
        let shared = self.shared();
        let data = shared.checkpoints_dir.parent().unwrap_or(&shared.checkpoints_dir);
        let layout = Layout::new(data);
        let mut small = BTreeMap::new();
        let _writing = shared.writing.lock().unwrap_or_else(PoisonError::into_inner);
        shared.marks.check()?;
        let frontier = shared.frontier.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let begun = Instant::now();
        let entries = entries::now(&shared.beside, watch.changed());
        let entries = entries.map_err(|error| LogError::Io(error.to_string()))?;
        let changed = shared.beside.state().last;
        let changed = changed.map(|(first, digest)| (first, data_encoding::HEXLOWER.encode(&digest)));
        // No key takes over before all that it signs is read.
        let checkpoints = shared.checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = checkpoints.keys().count().saturating_sub(1);
        let signer = keys::signer(&shared.vault, checkpoints.keys().name(), newest)?;
        // Of the keys of personal values the new one first: it takes the place of the other, whose bytes are written over
        // before, and under no lock of the log.
        for path in [layout.next_subjects_key(), layout.subjects_key(), layout.verifier_key(), layout.keys()]
        {
            match read_small(&path, data, &mut small) {
                Err(BackupError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                read => read?,
            }
        }
        for dir in [shared.checkpoints_dir.clone(), data.join("sinks")] {
            let Ok(entries) = fs::read_dir(&dir) else { continue };
            for entry in entries {
                let path = entry.map_err(at(&dir))?.path();
                if !path.is_file() || is_unfinished(&path) {
                    continue;
                }
                match read_small(&path, data, &mut small) {
                    // What sinks and ways keep is written under no lock of the log: gone since it was listed.
                    Err(BackupError::Io { source, .. })
                        if dir != shared.checkpoints_dir && source.kind() == io::ErrorKind::NotFound => {}
                    read => read?,
                }
            }
        }
        drop(checkpoints);
        // The newest is made anew, over exactly these records.
        small.retain(|name, _| !name.ends_with("latest.checkpoint"));
        let place = shared.records.place();
        Ok(Moment { frontier, place, entries, changed, small, signer, held: begun.elapsed() })
    }

    /// Copies the policies that are kept by their hashes: each is written once, before any record says that it waits.
    fn copy_policies(&self, writing: &mut Writing) -> Result<(), BackupError> {
        let checkpoints = &self.shared().checkpoints_dir;
        let dir = checkpoints.parent().unwrap_or(checkpoints).join(POLICIES);
        let Ok(entries) = fs::read_dir(&dir) else { return Ok(()) };
        for entry in entries {
            let path = entry.map_err(at(&dir))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).filter(|name| name.ends_with(".yaml"));
            let Some(name) = name.filter(|_| path.is_file()) else { continue };
            match writing.copy(&path, &format!("{POLICIES}/{name}"), MAX_POLICY) {
                // Not needed any more, and deleted meanwhile.
                Err(BackupError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                copied => copied?,
            }
        }
        Ok(())
    }

    /// Copies a sealed segment, unless it is there; returns its seal's SHA-256, and how many bytes were written.
    fn copy_segment(&self, seal: &Seal, to: &Path) -> Result<(String, Option<u64>), BackupError> {
        let dir = self.shared().records.dir();
        let text = seal.text().map_err(at(dir))?;
        let sha256 = hex_digest(text.as_bytes());
        let bodies = seal.first >= self.floor();
        let endings: &[&str] =
            if bodies { &["log", HASHES, OFFSETS, CHECKPOINT] } else { &[HASHES, CHECKPOINT] };
        let path = |dir: &Path, ending: &str| beside(dir, seal.first, ending);
        let same = |ending: &&str| {
            let length = |dir: &Path| fs::metadata(path(dir, ending)).map(|data| data.len()).ok();
            length(to).is_some() && length(to) == length(dir)
        };
        let found = read_text(&path(to, SEAL)).map_err(at(to))?;
        if found.as_deref() == Some(text.as_str()) && endings.iter().all(same) {
            return Ok((sha256, None));
        }
        let mut bytes = 0_u64;
        for ending in endings {
            let (copied, length) = copy(&path(dir, ending), &path(to, ending), u64::MAX)?;
            let expected = match *ending {
                "log" => Some(&seal.records_sha256),
                HASHES => Some(&seal.hashes_sha256),
                OFFSETS => Some(&seal.offsets_sha256),
                _ => None,
            };
            if expected.is_some_and(|expected| *expected != copied) {
                let why = "is not what was sealed: it is not copied; see `stepgate audit verify`";
                return Err(BackupError::Directory(path(dir, ending), why));
            }
            bytes = bytes.saturating_add(length);
        }
        let sealed = path(to, SEAL);
        write_atomic(&sealed, text.as_bytes()).map_err(at(&sealed))?;
        Ok((sha256, Some(bytes)))
    }

    /// Copies the files that are not sealed, the last up to where it was written.
    fn copy_open(
        &self,
        writing: &mut Writing,
        from: u64,
        (last, end): (u64, u64),
    ) -> Result<(), BackupError> {
        let dir = self.shared().records.dir();
        let firsts = files(dir).map_err(at(dir))?;
        for first in firsts.into_iter().filter(|first| (from..=last).contains(first)) {
            let name = format!("records/{}", file_name(first));
            let length = if first == last { end } else { u64::MAX };
            writing.copy(&dir.join(file_name(first)), &name, length)?;
        }
        Ok(())
    }
}

/// Of the segments that are sealed by now, those that were full when the log had `size` records.
pub(crate) fn sealed_at(seals: &[Seal], size: u64) -> &[Seal] {
    seals.get(..seals.partition_point(|seal| seal.end <= size)).unwrap_or_default()
}

/// Whether it is on its way to another name, and may have got there before it is read.
fn is_unfinished(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| ending.ends_with("unfinished"))
}

/// A backup on its way.
struct Writing {
    dir: PathBuf,
    bytes: u64,
    files: BTreeMap<String, String>,
}

impl Writing {
    fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), BackupError> {
        let path = self.place(name)?;
        write_atomic(&path, bytes).map_err(at(&path))?;
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.files.insert(name.to_owned(), hex_digest(bytes));
        Ok(())
    }

    fn copy(&mut self, from: &Path, name: &str, length: u64) -> Result<(), BackupError> {
        let path = self.place(name)?;
        let (sha256, bytes) = copy(from, &path, length)?;
        self.bytes = self.bytes.saturating_add(bytes);
        self.files.insert(name.to_owned(), sha256);
        Ok(())
    }

    fn place(&self, name: &str) -> Result<PathBuf, BackupError> {
        let path = self.dir.join(name);
        let parent = path.parent().unwrap_or(&self.dir);
        make_dir(parent).map_err(at(parent))?;
        Ok(path)
    }
}

/// Copies the first `length` bytes of a file; returns their SHA-256 (hex) and number, once they are on disk.
pub(crate) fn copy(from: &Path, to: &Path, length: u64) -> Result<(String, u64), BackupError> {
    let mut input = File::open(from).map_err(at(from))?.take(length);
    let unfinished = to.with_extension("unfinished");
    let mut options = File::options();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let mut output = options.open(&unfinished).map_err(at(&unfinished))?;
    let (mut hash, mut bytes, mut buffer) = (Sha256::new(), 0_u64, vec![0; 256 * 1024]);
    loop {
        let read = input.read(&mut buffer).map_err(at(from))?;
        let piece = buffer.get(..read).unwrap_or_default();
        if piece.is_empty() {
            break;
        }
        hash.update(piece);
        output.write_all(piece).map_err(at(&unfinished))?;
        bytes = bytes.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
    }
    output.sync_all().map_err(at(&unfinished))?;
    fs::rename(&unfinished, to).map_err(at(to))?;
    Ok((data_encoding::HEXLOWER.encode(&hash.finalize()), bytes))
}

fn read_small(path: &Path, data: &Path, into: &mut BTreeMap<String, Vec<u8>>) -> Result<(), BackupError> {
    let name = path.strip_prefix(data).unwrap_or(path).to_string_lossy().into_owned();
    if fs::metadata(path).map_err(at(path))?.len() > MAX_SMALL {
        return Err(BackupError::Directory(path.to_owned(), "is larger than such a file can be"));
    }
    into.insert(name, fs::read(path).map_err(at(path))?);
    Ok(())
}

/// The text of [`MARK`].
pub(crate) fn mark_text(log_id: &str) -> String {
    format!("{{\"format\":\"{}\",\"log_id\":\"{log_id}\"}}\n", Manifest::FORMAT)
}

/// Makes the directory one for backups of this log, or sees that it is; nobody else writes to it meanwhile.
fn claim(dir: &Path, log_id: &str) -> Result<File, BackupError> {
    make_dir(&dir.join(SEGMENTS)).map_err(at(dir))?;
    let mark = dir.join(MARK);
    let text = mark_text(log_id);
    match read_text(&mark).map_err(at(&mark))? {
        Some(found) if found == text => {}
        Some(_) => return Err(BackupError::Directory(dir.to_owned(), "holds backups of another log")),
        None => {
            let mut entries = fs::read_dir(dir).map_err(at(dir))?.map_while(Result::ok);
            if entries.any(|entry| entry.file_name() != SEGMENTS) {
                return Err(BackupError::Directory(dir.to_owned(), "holds something that is no backup"));
            }
            write_atomic(&mark, text.as_bytes()).map_err(at(&mark))?;
        }
    }
    let lock = File::open(&mark).map_err(at(&mark))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(_) => Err(BackupError::Directory(dir.to_owned(), "is being written to by another backup")),
    }
}

/// The whole backups in a directory, the newest last.
pub(crate) fn backups(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let size = entry.file_name().to_str().and_then(|name| name.strip_prefix("at-")?.parse::<u64>().ok());
        if size.is_some() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}
