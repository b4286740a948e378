//! The sealed segments of a log: what is known of each, and what lies beside its file.
//!
//! A full file of records is never written again. Beside `<first>.log` are put `<first>.hashes` (the leaf hash of each
//! record, then one over each 256 of them), `<first>.offsets` (where each record begins, four bytes, and the oldest and
//! newest time of each 256), `<first>.checkpoint` (signed, over all records up to its end) and last `<first>.seal`. Who
//! finds that may rely on the others: they were on disk before it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use stepgate_record::verify::Known;
use stepgate_record::{Frontier, Hash, SignedNote, VerifierKeys};

use crate::LogError;
use crate::files::read_text;
use crate::frame::HEADER_BYTES;
use crate::gather::{BEGINS_FRAME, BLOCK, CHECKPOINT, Changed, HASHES, OFFSETS, SEAL, Seal, root_of};
use crate::scan::file_name;

/// Bytes of a hash, of an offset, and of the line that a frame begins with.
const HASH_BYTES: u64 = 32;
const OFFSET_BYTES: u64 = 4;
const FRAME_HEADER: u64 = HEADER_BYTES as u64;

/// So many offsets are read at once.
const LOOK: u64 = 256;

/// A part of the log that is, or will be, one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Its first record.
    pub first: u64,
    /// The record after its last; of the one that is written to, the record that comes next.
    pub end: u64,
    /// Whether it is full, sealed, and never changes again.
    pub sealed: bool,
    /// Its file of records; what stands beside it has the same name with another end. Not there if it was pruned.
    pub path: PathBuf,
}

/// The sealed segments of an open log.
pub(crate) struct Archive {
    dir: PathBuf,
    seals: RwLock<Arc<Vec<Seal>>>,
    /// Records before this are deleted, or about to be.
    floor: RwLock<u64>,
    /// Taken to delete files, and by those who need all of them.
    deleting: RwLock<()>,
}

impl Archive {
    pub(crate) fn new(dir: &Path, seals: Vec<Seal>, floor: u64) -> Self {
        Self {
            dir: dir.to_owned(),
            seals: RwLock::new(Arc::new(seals)),
            floor: RwLock::new(floor),
            deleting: RwLock::default(),
        }
    }

    pub(crate) fn seals(&self) -> Arc<Vec<Seal>> {
        Arc::clone(&self.seals.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The record after the last that is sealed.
    pub(crate) fn sealed_to(&self) -> u64 {
        self.seals().last().map_or(0, |seal| seal.end)
    }

    /// The first record whose bytes are kept.
    pub(crate) fn floor(&self) -> u64 {
        *self.floor.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn raise_floor(&self, floor: u64) {
        *self.floor.write().unwrap_or_else(PoisonError::into_inner) = floor;
    }

    /// No file is deleted while this is held.
    pub(crate) fn keep_files(&self) -> RwLockReadGuard<'_, ()> {
        self.deleting.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody needs all files now.
    pub(crate) fn is_being_read(&self) -> bool {
        self.deleting.try_write().is_err()
    }

    pub(crate) fn delete_files(&self) -> RwLockWriteGuard<'_, ()> {
        self.deleting.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more is sealed.
    pub(crate) fn push(&self, seal: Seal) {
        let mut seals = self.seals.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut seals).push(seal);
    }

    pub(crate) fn segment(&self, seal: &Seal) -> Segment {
        let path = self.dir.join(file_name(seal.first));
        Segment { first: seal.first, end: seal.end, sealed: true, path }
    }

    /// Where, in a sealed segment, the frame begins that a record is in: the file, the offset, the frame's first record.
    /// What is said there is to be looked at before it is believed.
    pub(crate) fn place(&self, seq: u64) -> Option<(u64, u64, u64)> {
        let seals = self.seals();
        let seal = seals.get(seals.partition_point(|seal| seal.end <= seq))?;
        let file = File::open(beside(&self.dir, seal.first, OFFSETS)).ok()?;
        // The frame begins at most so many records before; nearly always in the first look.
        let mut last = seq.checked_sub(seal.first)?;
        loop {
            let first = last.saturating_sub(LOOK - 1);
            let mut bytes = vec![0; usize::try_from((last - first + 1) * OFFSET_BYTES).ok()?];
            file.read_exact_at(&mut bytes, first * OFFSET_BYTES).ok()?;
            let offsets = bytes.as_chunks::<4>().0.iter().map(|offset| u32::from_be_bytes(*offset));
            let begins = (first..).zip(offsets).filter(|(_, offset)| offset & BEGINS_FRAME != 0).last();
            if let Some((index, offset)) = begins {
                let offset = u64::from(offset & !BEGINS_FRAME).checked_sub(FRAME_HEADER)?;
                return Some((seal.first, offset, seal.first.saturating_add(index)));
            }
            last = first.checked_sub(1)?;
        }
    }

    /// Leaf hashes `from..end` of a sealed segment that has them.
    pub(crate) fn leaves(&self, seal: &Seal, from: u64, end: u64) -> Result<Vec<Hash>, LogError> {
        self.hashes(seal, from.saturating_sub(seal.first), end.saturating_sub(from))
    }

    /// The hash over the complete subtree `begin..end`, which lies in a sealed segment.
    pub(crate) fn subtree(&self, seal: &Seal, begin: u64, end: u64) -> Result<Hash, LogError> {
        if (begin, end) == (seal.first, seal.end)
            && let [root] = seal.roots.as_slice()
        {
            return Ok(*root);
        }
        let size = end.saturating_sub(begin);
        let into = begin.saturating_sub(seal.first);
        let hashes = if size >= BLOCK && seal.first.checked_rem(BLOCK) == Some(0) {
            let leaves = seal.end.saturating_sub(seal.first);
            self.hashes(seal, leaves.saturating_add(into / BLOCK), size / BLOCK)?
        } else {
            self.hashes(seal, into, size)?
        };
        root_of(&hashes).ok_or_else(|| LogError::Io(format!("no hashes of the records from {begin} on")))
    }

    fn hashes(&self, seal: &Seal, skip: u64, count: u64) -> Result<Vec<Hash>, LogError> {
        let path = beside(&self.dir, seal.first, HASHES);
        let mut bytes = vec![0; usize::try_from(count.saturating_mul(HASH_BYTES)).unwrap_or(usize::MAX)];
        let read = File::open(&path);
        let read = read.and_then(|file| file.read_exact_at(&mut bytes, skip.saturating_mul(HASH_BYTES)));
        read.map_err(|error| LogError::Io(format!("{} cannot be read: {error}", path.display())))?;
        Ok(bytes.as_chunks::<32>().0.iter().map(|hash| Hash::from_bytes(*hash)).collect())
    }
}

/// The file beside that of the records from `first` on.
pub(crate) fn beside(dir: &Path, first: u64, what: &str) -> PathBuf {
    dir.join(file_name(first)).with_extension(what)
}

/// Seals as they are found, the first on, without a gap.
#[derive(Debug, Default)]
pub(crate) struct Seals {
    pub(crate) seals: Vec<Seal>,
    /// The trees that their checkpoints sign, in order.
    pub(crate) known: Vec<Known>,
    /// There are others behind a gap: the first of them.
    pub(crate) beyond: Option<u64>,
}

/// Where records begin that are not sealed, or must be read again.
pub(crate) struct Carry {
    pub(crate) frontier: Frontier,
    /// Leaf hash of the record before.
    pub(crate) prev: Hash,
    pub(crate) changes: (Changed, Changed),
}

impl Seals {
    /// The seals in a directory of records. Errors are texts that name the file.
    pub(crate) fn read(dir: &Path, log_id: &str, keys: &VerifierKeys) -> Result<Self, String> {
        let mut firsts = numbered(dir, SEAL).map_err(|error| format!("records cannot be listed: {error}"))?;
        firsts.sort_unstable();
        let mut found = Self::default();
        let mut frontier = Frontier::default();
        for first in firsts {
            if first != frontier.end() {
                found.beyond.get_or_insert(first);
                continue;
            }
            let name = file_name(first).replace(".log", "");
            let text = read_text(&beside(dir, first, SEAL));
            let text = text.map_err(|error| format!("records/{name}.{SEAL}: {error}"))?;
            let altered = || format!("records/{name}.{SEAL} was altered");
            let seal = text.and_then(|text| Seal::parse(&text)).ok_or_else(altered)?;
            let range = seal.range().filter(|_| seal.first == first && seal.log_id == log_id);
            range.and_then(|range| frontier.extend(&range)).ok_or_else(altered)?;
            let source = format!("records/{name}.{CHECKPOINT}");
            let text = read_text(&beside(dir, first, CHECKPOINT));
            let text = text.map_err(|error| format!("{source}: {error}"))?;
            let text = text.ok_or_else(|| format!("{source} is missing"))?;
            let note = text.parse::<SignedNote>();
            let checkpoint = note.and_then(|note| keys.verified(&note));
            let checkpoint = checkpoint.map_err(|error| format!("{source} was altered: {error}"))?;
            if checkpoint.size != seal.end {
                return Err(format!("{source} covers {} records", checkpoint.size));
            }
            if frontier.root() != Some(checkpoint.root) {
                return Err(format!(
                    "records/{name}.{SEAL} is not what {source} signs: one of them was altered"
                ));
            }
            found.known.push(Known { size: checkpoint.size, root: checkpoint.root, source });
            found.seals.push(seal);
        }
        Ok(found)
    }

    /// What there is before the segment of number `index`.
    pub(crate) fn carry(&self, index: usize) -> Option<Carry> {
        Carry::after(self.seals.get(..index.min(self.seals.len()))?)
    }
}

impl Carry {
    /// What there is before the segment that comes after these; `None`: one of them is malformed.
    pub(crate) fn after(seals: &[Seal]) -> Option<Self> {
        let mut carry = Self { frontier: Frontier::default(), prev: Hash::ZERO, changes: (None, None) };
        for seal in seals {
            carry.frontier.extend(&seal.range()?)?;
            carry.prev = seal.last;
            carry.changes = seal.changes()?;
        }
        Some(carry)
    }
}

/// Numbers of the files in `dir` whose names are a number and this end.
pub(crate) fn numbered(dir: &Path, ending: &str) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == ending)
            && let Some(Ok(first)) = path.file_stem().and_then(|stem| stem.to_str()).map(str::parse)
        {
            numbers.push(first);
        }
    }
    Ok(numbers)
}
