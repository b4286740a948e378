//! Finding records by what they say, without reading all of them.
//!
//! An index says which records *may* pass a filter; each of these is read, and the filter decides. So a wrong index
//! can hide records and never show a wrong one; where a file of it is missing or broken it is made anew, and
//! verification makes it anew to compare. Each 65,536 records have one, in a file as soon as there are as many;
//! of the others it is in memory, and what is not indexed yet is read.

mod bits;
mod chunk;
mod file;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use stepgate_record::{Filter, Group, Hash, MAX_PARTS, MAX_RECORD_BYTES, Sieve, members};
use stepgate_types::Timestamp;

use crate::files::write_atomic;
use crate::frame::Frame;
use crate::scan::{Damage, Found, Scan, file_name};
use crate::{Log, LogError, Stored};
use bits::{Bits, CHUNK};
use chunk::Chunk;
use file::index_path;

/// How a search goes about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Search {
    /// The newest first.
    pub reverse: bool,
    /// Read every record, and no index.
    pub scan: bool,
    /// Only records before this number.
    pub end: u64,
}

/// Finds records of a log. Cheap to clone.
#[derive(Clone)]
pub struct Finder {
    log: Log,
    active: Arc<Mutex<Chunk>>,
}

/// What to go on with: `false` ends a search.
type Each<'e> = &'e mut dyn FnMut(Stored) -> bool;

impl Finder {
    /// Of this log.
    #[must_use]
    pub fn new(log: &Log) -> Self {
        let first = log.len() / CHUNK * CHUNK;
        Self { log: log.clone(), active: Arc::new(Mutex::new(Chunk::new(first))) }
    }

    /// Indexes records that are not yet, about `most` of them; returns how many are left, and of how many in all. Blocks
    /// the thread.
    ///
    /// # Errors
    /// A record cannot be read.
    pub fn catch_up(&self, most: u64) -> Result<(u64, u64), LogError> {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        let end = self.log.len();
        let until = end.min(active.next().saturating_add(most));
        self.advance(&mut active, until, end)?;
        Ok((end.saturating_sub(active.next()), end))
    }

    /// How many records are not indexed yet: these, a search reads.
    #[must_use]
    pub fn lag(&self) -> u64 {
        let indexed = self.active.lock().unwrap_or_else(PoisonError::into_inner).next();
        self.log.len().saturating_sub(indexed)
    }

    /// Whether a record of this log passes; as a search finds out.
    ///
    /// # Errors
    /// It goes on in others, which cannot be read.
    pub fn matches(&self, sieve: &Sieve, stored: &Stored) -> Result<bool, LogError> {
        self.passes(sieve, stored)
    }

    /// Hands on the records that pass, in order, until `each` says that it has enough. Blocks the thread.
    ///
    /// # Errors
    /// A record cannot be read.
    pub fn search(&self, filter: &Filter, how: Search, each: Each<'_>) -> Result<(), LogError> {
        let sieve = filter.sieve();
        let end = how.end.min(self.log.len());
        let floor = self.log.floor();
        let firsts = (floor / CHUNK..end.div_ceil(CHUNK)).map(|chunk| chunk * CHUNK);
        let firsts: Vec<u64> = if how.reverse { firsts.rev().collect() } else { firsts.collect() };
        for first in firsts {
            let range = (first.max(floor), first.saturating_add(CHUNK).min(end));
            let goes_on = match how.scan {
                true => self.scan_chunk(&sieve, range, how.reverse, each)?,
                false if self.is_sealed_away(&sieve, range) => true,
                false => self.search_chunk(&sieve, first, range, how.reverse, each)?,
            };
            if !goes_on {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether these records are all sealed, and none of them is of a time that can pass, as their seals say.
    fn is_sealed_away(&self, sieve: &Sieve, (mut from, end): (u64, u64)) -> bool {
        let seals = self.log.shared().archive.seals();
        let of = seals.partition_point(|seal| seal.end <= from);
        for seal in seals.iter().skip(of) {
            let (oldest, newest) = (seal.oldest_us, seal.newest_us);
            let out = sieve.excludes(Timestamp::from_micros(oldest), Timestamp::from_micros(newest));
            if !out || seal.first > from {
                return false;
            }
            from = seal.end;
            if from >= end {
                return true;
            }
        }
        false
    }

    fn scan_chunk(
        &self,
        sieve: &Sieve,
        (from, end): (u64, u64),
        reverse: bool,
        each: Each<'_>,
    ) -> Result<bool, LogError> {
        let mut found = VecDeque::new();
        for stored in self.log.read(from, end) {
            let stored = stored?;
            if !self.passes(sieve, &stored)? {
                continue;
            }
            if reverse {
                found.push_back(stored.seq);
            } else if !each(stored) {
                return Ok(false);
            }
        }
        // Numbers only: a whole chunk of records would be too much to hold.
        while let Some(seq) = found.pop_back() {
            if let Some(stored) = self.log.read(seq, seq.saturating_add(1)).next().transpose()?
                && !each(stored)
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn search_chunk(
        &self,
        sieve: &Sieve,
        first: u64,
        (from, end): (u64, u64),
        reverse: bool,
        each: Each<'_>,
    ) -> Result<bool, LogError> {
        let Some((index, indexed)) = self.index(sieve, first, from)? else {
            return self.scan_chunk(sieve, (from, end), reverse, each);
        };
        // Nobody waits for what is not indexed yet: it is read.
        let middle = end.min(indexed).max(from);
        if reverse {
            Ok(self.scan_chunk(sieve, (middle, end), true, each)?
                && self.search_indexed(sieve, &index, first, (from, middle), true, each)?)
        } else {
            Ok(self.search_indexed(sieve, &index, first, (from, middle), false, each)?
                && self.scan_chunk(sieve, (middle, end), false, each)?)
        }
    }

    fn search_indexed(
        &self,
        sieve: &Sieve,
        index: &Index,
        first: u64,
        (from, end): (u64, u64),
        reverse: bool,
        each: Each<'_>,
    ) -> Result<bool, LogError> {
        let candidates = index.candidates();
        let mut files = Files::new(self.log.shared().records.dir());
        let mut offsets = candidates.offsets();
        while let Some(offset) = if reverse { offsets.next_back() } else { offsets.next() } {
            let seq = first.saturating_add(u64::from(offset));
            if !(from..end).contains(&seq) {
                continue;
            }
            let at = index.place(offset).and_then(|place| files.record(seq, place));
            let stored = match at {
                Some(bytes) => Stored { seq, hash: Hash::leaf(&bytes), bytes },
                // The index is wrong about it, or it cannot be read, which this says.
                None => match self.log.read(seq, seq.saturating_add(1)).next().transpose()? {
                    Some(stored) => stored,
                    None => continue,
                },
            };
            if self.passes(sieve, &stored)? && !each(stored) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a record passes, with what goes on in those behind it.
    fn passes(&self, sieve: &Sieve, stored: &Stored) -> Result<bool, LogError> {
        let mut group = Group::begin(sieve, stored.seq, &members(&stored.bytes));
        if !group.is_open() {
            return Ok(group.passes());
        }
        let next = stored.seq.saturating_add(1);
        for part in self.log.read(next, next.saturating_add(MAX_PARTS)) {
            let part = part?;
            if !group.add(sieve, part.seq, &members(&part.bytes)) || !group.is_open() {
                break;
            }
        }
        Ok(group.passes())
    }

    /// The index of a chunk, what it finds, and before which record: from its file, from memory, or made from the
    /// records. `None`: there is none yet, or records before `from` are not there any more.
    fn index(&self, sieve: &Sieve, first: u64, from: u64) -> Result<Option<(Index, u64)>, LogError> {
        let active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        if active.first == first {
            let (candidates, indexed) = (active.candidates(sieve), active.next());
            let places = Places::Active(Arc::clone(&self.active), first);
            return Ok(Some((Index { candidates, places }, indexed)));
        }
        if active.first < first {
            return Ok(None);
        }
        drop(active);
        let all = first.saturating_add(CHUNK);
        let dir = self.log.shared().records.dir();
        let stored = file::Stored::open(dir, self.log.id(), first);
        let found = stored.and_then(|stored| Some((stored.candidates(sieve)?, stored)));
        if let Some((candidates, stored)) = found {
            return Ok(Some((Index { candidates, places: Places::Stored(Box::new(stored)) }, all)));
        }
        if from > first {
            return Ok(None);
        }
        let mut chunk = Chunk::new(first);
        self.fill(&mut chunk, all, all)?;
        keep(dir, self.log.id(), &chunk);
        let candidates = chunk.candidates(sieve);
        Ok(Some((Index { candidates, places: Places::Made(Box::new(chunk)) }, all)))
    }

    /// Indexes the records before `until`, and before `end` what was written with the last of them; a full chunk becomes
    /// a file.
    fn advance(&self, active: &mut Chunk, until: u64, end: u64) -> Result<(), LogError> {
        while active.next() < until {
            let full = active.first.saturating_add(CHUNK);
            self.fill(active, full.min(until), full.min(end))?;
            if active.is_full() {
                keep(self.log.shared().records.dir(), self.log.id(), active);
                *active = Chunk::new(active.next());
            }
        }
        Ok(())
    }

    /// Adds the records before `until`, and before `end` those of the same frame, which has been read anyhow; all are on
    /// disk.
    fn fill(&self, chunk: &mut Chunk, until: u64, end: u64) -> Result<(), LogError> {
        let from = chunk.next();
        if from >= until {
            return Ok(());
        }
        let unreadable = |Damage { record, why }: Damage| LogError::Unreadable { seq: record, why };
        let mut scan = self.log.shared().scan_from(from)?;
        while chunk.next() < until {
            match scan.advance().map_err(unreadable)? {
                Found::Frame(frame) if frame.sound => take(chunk, &scan, &frame, end),
                Found::Frame(frame) => {
                    let why = "cannot be read: it, or one written with it, was changed".to_owned();
                    return Err(LogError::Unreadable { seq: frame.header.first, why });
                }
                Found::End(_) => {
                    let why = "is missing".to_owned();
                    return Err(LogError::Unreadable { seq: chunk.next(), why });
                }
            }
        }
        Ok(())
    }
}

/// Adds those records before `end` of the frame that the scan has just found.
fn take(chunk: &mut Chunk, scan: &Scan, frame: &Frame, end: u64) {
    let bytes = u64::try_from(frame.header.bytes).unwrap_or(u64::MAX);
    let Some((file, after)) = scan.place() else { return };
    let mut place = after.saturating_sub(bytes);
    for (seq, record, hash) in frame.records() {
        if seq == chunk.next() && seq < end {
            chunk.add(record, hash, (file, place));
        }
        place = place.saturating_add(u64::try_from(record.len()).unwrap_or(0)).saturating_add(1);
    }
}

/// Writes the file of a whole index. Without it the next search makes it anew.
fn keep(dir: &Path, log_id: &str, chunk: &Chunk) {
    // Two searches may have made the same one.
    static ONE: Mutex<()> = Mutex::new(());
    let _turn = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Err(error) = write_atomic(&index_path(dir, chunk.first), &chunk.encode(log_id)) {
        tracing::warn!(%error, "an index of the log cannot be written for now; search is slower without it");
    }
}

/// What an index finds in a chunk.
struct Index {
    candidates: Bits,
    places: Places,
}

enum Places {
    Active(Arc<Mutex<Chunk>>, u64),
    Stored(Box<file::Stored>),
    Made(Box<Chunk>),
}

impl Index {
    fn candidates(&self) -> &Bits {
        &self.candidates
    }

    fn place(&self, offset: u16) -> Option<(u64, u64)> {
        match &self.places {
            Places::Active(chunk, first) => {
                let chunk = chunk.lock().unwrap_or_else(PoisonError::into_inner);
                // It may have become a file meanwhile.
                (chunk.first == *first).then(|| chunk.place(offset)).flatten()
            }
            Places::Stored(stored) => stored.place(offset),
            Places::Made(chunk) => chunk.place(offset),
        }
    }
}

/// Record files that are open for reading single records.
struct Files {
    dir: PathBuf,
    open: Option<(u64, fs::File)>,
}

impl Files {
    fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), open: None }
    }

    /// The record of this number, if it is at that place.
    fn record(&mut self, seq: u64, (file, place): (u64, u64)) -> Option<Vec<u8>> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != file) {
            self.open = Some((file, fs::File::open(self.dir.join(file_name(file))).ok()?));
        }
        let (_, open) = self.open.as_ref()?;
        let mut bytes = vec![0; MAX_RECORD_BYTES + 1];
        let mut read = 0;
        while let Some(room) = bytes.get_mut(read..).filter(|room| !room.is_empty()) {
            match open.read_at(room, place.saturating_add(u64::try_from(read).ok()?)).ok()? {
                0 => break,
                more => read += more,
            }
        }
        let end = bytes.get(..read)?.iter().position(|byte| *byte == b'\n')?;
        bytes.truncate(end);
        #[derive(serde::Deserialize)]
        struct Numbered {
            seq: u64,
        }
        let numbered: Numbered = serde_json::from_slice(&bytes).ok()?;
        (numbered.seq == seq).then_some(bytes)
    }
}

/// Makes indexes anew while the records go by, and compares.
pub(crate) struct Comparison {
    dir: PathBuf,
    log_id: String,
    chunk: Option<Chunk>,
}

impl Comparison {
    pub(crate) fn new(dir: &Path, log_id: &str) -> Self {
        Self { dir: dir.to_owned(), log_id: log_id.to_owned(), chunk: None }
    }

    /// Takes the frame that the scan has just found. `Err`: the chunk whose index file is not what its records say.
    pub(crate) fn take(&mut self, scan: &Scan, frame: &Frame) -> Result<(), String> {
        let header = frame.header;
        let mut from = header.first;
        while from < header.end() {
            let first = from / CHUNK * CHUNK;
            if from == first {
                // Only what has a file is made anew.
                let exists = index_path(&self.dir, first).exists();
                self.chunk = exists.then(|| Chunk::new(first));
            }
            let Some(chunk) = &mut self.chunk else {
                from = first.saturating_add(CHUNK);
                continue;
            };
            take(chunk, scan, frame, first.saturating_add(CHUNK));
            from = chunk.next();
            if !chunk.is_full() {
                break;
            }
            let as_made = file::is_as_made(&self.dir, &self.log_id, chunk);
            self.chunk = None;
            let name = index_path(Path::new(""), first);
            match as_made {
                Ok(true) => {}
                Ok(false) => {
                    return Err(format!(
                        "records/{} is not what the records {first} to {} say, so that a search may have hidden some \
                         of them; once it is removed, it is made anew",
                        name.display(),
                        first.saturating_add(CHUNK - 1)
                    ));
                }
                Err(error) => return Err(format!("records/{} cannot be read: {error}", name.display())),
            }
        }
        Ok(())
    }
}
