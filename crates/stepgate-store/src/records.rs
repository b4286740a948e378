//! The records: plain files that are only ever appended to, and where in them which record is.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use stepgate_record::Hash;

use crate::LogError;
use crate::frame::{Frame, HEADER_BYTES, Header};
use crate::scan::{Damage, End, Found, Scan, file_name, files};
use crate::space::Unwritten;
use crate::tape::Tape;

/// A place is kept at least every so many records, and not much more often.
const INDEX_RECORDS: u64 = 256;

/// How many places are kept (24 bytes each): of the newest million records or so. What is older is found by its
/// file and the lengths that frames name.
const MAX_INDEX: usize = 4_096;

/// A stored record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its number.
    pub seq: u64,
    /// Its canonical bytes, without the line feed.
    pub bytes: Vec<u8>,
    /// Its leaf hash.
    pub hash: Hash,
}

/// The files of a log that is open.
pub(crate) struct Records {
    dir: PathBuf,
    log_id: String,
    tape: Mutex<Tape>,
    index: Mutex<Index>,
    /// The first records of the files that there are: whoever reads a record need not list the directory.
    files: Mutex<VecDeque<u64>>,
}

/// Where the frames of some records begin.
#[derive(Debug, Default)]
pub(crate) struct Index(VecDeque<Place>);

#[derive(Debug, Clone, Copy)]
struct Place {
    record: u64,
    file: u64,
    offset: u64,
}

impl Index {
    /// The frame of this record begins there.
    pub(crate) fn note(&mut self, record: u64, (file, offset): (u64, u64)) {
        if self.0.back().is_none_or(|last| record.saturating_sub(last.record) >= INDEX_RECORDS) {
            self.0.push_back(Place { record, file, offset });
            if self.0.len() > MAX_INDEX {
                self.0.pop_front();
            }
        }
    }

    /// Files before that of record `floor` are deleted.
    fn forget_before(&mut self, floor: u64) {
        self.0.retain(|place| place.file >= floor);
    }

    /// The last place known at or before a record.
    fn before(&self, record: u64) -> Option<Place> {
        let after = self.0.partition_point(|place| place.record <= record);
        after.checked_sub(1).and_then(|at| self.0.get(at)).copied()
    }
}

impl Records {
    /// Begins the files of a new log.
    pub(crate) fn create(dir: &Path, log_id: &str, segment: u64) -> io::Result<Self> {
        Self::with(dir, log_id, Tape::create(dir, log_id, segment)?, Index::default())
    }

    /// Goes on where a scan has ended.
    pub(crate) fn resume(
        dir: &Path,
        log_id: &str,
        end: &End,
        index: Index,
        segment: u64,
    ) -> io::Result<Self> {
        Self::with(dir, log_id, Tape::resume(dir, log_id, end, segment)?, index)
    }

    fn with(dir: &Path, log_id: &str, tape: Tape, index: Index) -> io::Result<Self> {
        let (tape, index, files) = (Mutex::new(tape), Mutex::new(index), Mutex::new(files(dir)?));
        Ok(Self { dir: dir.to_owned(), log_id: log_id.to_owned(), tape, index, files })
    }

    fn files(&self) -> MutexGuard<'_, VecDeque<u64>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a frame whose first record is number `first`, and returns when it is on disk; see [`Tape::append`].
    pub(crate) fn append(&self, frame: &[u8], first: u64) -> Result<(), Unwritten> {
        let mut tape = self.tape.lock().unwrap_or_else(PoisonError::into_inner);
        tape.append(frame, first)?;
        let (file, end) = tape.place();
        let mut files = self.files();
        if files.back().is_none_or(|last| *last < file) {
            files.push_back(file);
        }
        drop(files);
        let offset = end.saturating_sub(u64::try_from(frame.len()).unwrap_or(0));
        self.index.lock().unwrap_or_else(PoisonError::into_inner).note(first, (file, offset));
        Ok(())
    }

    /// How many records go into the same file, of those from number `next` on, which comes next.
    pub(crate) fn room(&self, next: u64) -> u64 {
        self.tape.lock().unwrap_or_else(PoisonError::into_inner).room(next)
    }

    /// The file that is written to, by its first record, and how many bytes of it are written.
    pub(crate) fn place(&self) -> (u64, u64) {
        self.tape.lock().unwrap_or_else(PoisonError::into_inner).place()
    }

    /// Where they lie.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A scan over all of it.
    fn scan(&self) -> Scan {
        Scan::over(&self.dir, &self.log_id, self.files().clone())
    }

    /// Files before that of record `floor` are deleted.
    pub(crate) fn forget_before(&self, floor: u64) {
        self.files().retain(|file| *file >= floor);
        self.index.lock().unwrap_or_else(PoisonError::into_inner).forget_before(floor);
    }

    /// A scan whose next frame holds record number `from`, which is on disk. `sealed` tells where a frame begins in a
    /// sealed file: file, offset and first record, to be looked at before it is believed.
    pub(crate) fn scan_from(&self, from: u64, sealed: Option<(u64, u64, u64)>) -> Result<Scan, LogError> {
        let mut scan = self.scan_before(from, sealed)?;
        scan.skip_to(from).map_err(|Damage { record, why }| unreadable(record, &why))?;
        Ok(scan)
    }

    fn scan_before(&self, from: u64, sealed: Option<(u64, u64, u64)>) -> Result<Scan, LogError> {
        let place = self.index.lock().unwrap_or_else(PoisonError::into_inner).before(from);
        let place = place.map(|Place { record, file, offset }| (file, offset, record));
        let begins = |(file, offset, record): &(u64, u64, u64)| {
            let mut line = [0; HEADER_BYTES];
            let read = File::open(self.dir.join(file_name(*file)));
            let read = read.and_then(|file| file.read_exact_at(&mut line, *offset));
            read.is_ok() && Header::parse(&line).is_some_and(|header| header.first == *record)
        };
        let scan = match sealed.filter(begins).or(place) {
            Some(place) => Scan::starting_at(&self.dir, &self.log_id, self.files().clone(), place),
            None => Ok(self.scan()),
        };
        scan.map_err(|error| unreadable(from, &format!("cannot be read: {error}")))
    }

    /// The records `from..end`, all of which are on disk: each of them, or an error, which ends it.
    pub(crate) fn read(
        &self,
        from: u64,
        end: u64,
        sealed: Option<(u64, u64, u64)>,
    ) -> Result<Lines, LogError> {
        let mut scan = self.scan_before(from, sealed)?;
        if from < end {
            scan.skip_to(from).map_err(|Damage { record, why }| unreadable(record, &why))?;
        }
        Ok(Lines { scan, next: from, end, waiting: VecDeque::new() })
    }

    #[cfg(test)]
    pub(crate) fn fill(&self, full: bool) {
        self.tape.lock().unwrap().fill(full);
    }

    #[cfg(test)]
    pub(crate) fn break_sync(&self) {
        self.tape.lock().unwrap().break_sync();
    }
}

/// Records, one after the other.
pub(crate) struct Lines {
    scan: Scan,
    next: u64,
    end: u64,
    waiting: VecDeque<Stored>,
}

impl Iterator for Lines {
    type Item = Result<Stored, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        while self.waiting.is_empty() {
            let frame = match self.scan.advance() {
                Ok(Found::Frame(frame)) if frame.sound => frame,
                Ok(Found::Frame(frame)) => {
                    let first = frame.header.first.max(self.next);
                    return Some(self.fail(first, "cannot be read: it, or one written with it, was changed"));
                }
                Ok(Found::End(_)) => return Some(self.fail(self.next, "is missing")),
                Err(Damage { record, why }) => return Some(self.fail(record, &why)),
            };
            self.waiting = stored(&frame, self.next, self.end);
        }
        let stored = self.waiting.pop_front()?;
        if stored.seq != self.next {
            return Some(self.fail(self.next, "is missing"));
        }
        self.next = self.next.saturating_add(1);
        Some(Ok(stored))
    }
}

impl Lines {
    fn fail(&mut self, record: u64, why: &str) -> Result<Stored, LogError> {
        self.next = self.end;
        Err(unreadable(record, why))
    }
}

fn stored(frame: &Frame, from: u64, end: u64) -> VecDeque<Stored> {
    let wanted = frame.records().filter(|(seq, ..)| (from..end).contains(seq));
    wanted.map(|(seq, bytes, hash)| Stored { seq, bytes: bytes.to_vec(), hash }).collect()
}

fn unreadable(seq: u64, why: &str) -> LogError {
    LogError::Unreadable { seq, why: why.to_owned() }
}
