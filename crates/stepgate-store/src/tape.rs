//! The record files as the writer has them: it appends frames to the last one, and begins another when that is full.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::files::sync_dir;
use crate::scan::{End, file_header, file_name, files};
use crate::space::Unwritten;

/// Files end where the number of records is a multiple of this: each is a segment, of as many tiles as tlog-tiles has
/// in one of level 2.
pub(crate) const SEGMENT_RECORDS: u64 = if cfg!(test) { 64 } else { 65_536 };

/// Zeros are written ahead of the frames, so that a frame changes nothing but bytes of its file, and fdatasync need
/// not write where those lie. At first so many, in bytes …
const FIRST_ROOM: u64 = 64 * 1024;

/// … and later as many as there are, but no more than this at once.
const MOST_ROOM: u64 = 1024 * 1024;

/// A frame of so many bytes gets room of its own in place of zeros ahead, which would be written as often as it is. That
/// costs the sync what it takes to write where its bytes lie, once for all of them.
const LARGE: usize = 256 * 1024;

/// An end of a file's name: it is not whole yet.
const UNFINISHED: &str = "unfinished";

/// The last file of records, open for writing.
pub(crate) struct Tape {
    dir: PathBuf,
    log_id: String,
    /// Records of a segment.
    segment: u64,
    file: File,
    /// Number of the file's first record.
    first: u64,
    /// Where the next frame goes.
    offset: u64,
    /// Up to where the file is written.
    length: u64,
    /// There is no room on the disk, whatever it says.
    #[cfg(test)]
    full: bool,
}

impl Tape {
    /// Begins the files of a new log in `dir`.
    pub(crate) fn create(dir: &Path, log_id: &str, segment: u64) -> io::Result<Self> {
        begin(dir, log_id, 0, segment).map_err(Unwritten::into_error)
    }

    /// Goes on where a scan has ended; what is half written there is removed.
    pub(crate) fn resume(dir: &Path, log_id: &str, end: &End, segment: u64) -> io::Result<Self> {
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == UNFINISHED) {
                fs::remove_file(&path)?;
            }
        }
        // Where half of a batch goes, files behind it hold the other half, or nothing. From the last one on: what is
        // left is always read the same way.
        for first in files(dir)?.into_iter().rev().filter(|first| *first > end.file) {
            fs::remove_file(dir.join(file_name(first)))?;
            sync_dir(dir)?;
        }
        let file = File::options().read(true).write(true).open(dir.join(file_name(end.file)))?;
        let mut tape = Self {
            dir: dir.to_owned(),
            log_id: log_id.to_owned(),
            segment,
            length: file.metadata()?.len(),
            file,
            first: end.file,
            offset: end.offset,
            #[cfg(test)]
            full: false,
        };
        if end.torn > 0 {
            tape.zero(end.offset, end.torn)?;
            tape.file.sync_all()?;
        }
        Ok(tape)
    }

    /// File and offset of the next frame, if its first record is number `next`.
    pub(crate) fn place(&self) -> (u64, u64) {
        (self.first, self.offset)
    }

    /// The first record that does not belong into this file.
    fn until(&self) -> u64 {
        boundary(self.first, self.segment)
    }

    /// How many records the file takes, or the next one if it is full, of those from number `next` on.
    pub(crate) fn room(&self, next: u64) -> u64 {
        let until = self.until();
        if next < until { until - next } else { boundary(next, self.segment).saturating_sub(next) }
    }

    /// Appends a frame, whose first record is number `next`, and returns when it is on disk. Where there is no space
    /// for it, nothing of it is written, and it may be tried again.
    pub(crate) fn append(&mut self, frame: &[u8], next: u64) -> Result<(), Unwritten> {
        if next >= self.until() {
            // The file that ends here is whole, and on disk, before there is another one.
            self.file.set_len(self.offset).map_err(Unwritten::Broken)?;
            self.length = self.offset;
            self.file.sync_all().map_err(Unwritten::Broken)?;
            #[cfg(test)]
            self.disk().map_err(Unwritten::making_room)?;
            *self = begin(&self.dir, &self.log_id, next, self.segment)?;
        }
        let end = self.offset.saturating_add(u64::try_from(frame.len()).unwrap_or(u64::MAX));
        if end > self.length && frame.len() >= LARGE && self.reserve(end).map_err(Unwritten::making_room)? {
            self.length = end;
        }
        if end > self.length {
            let room = self.length.clamp(FIRST_ROOM, MOST_ROOM);
            let length = end.saturating_add(room);
            // What is written of it before an error are zeros behind the last frame, which say nothing.
            self.zero(self.length, length.saturating_sub(self.length)).map_err(Unwritten::making_room)?;
            self.length = length;
        }
        self.file.write_all_at(frame, self.offset).map_err(Unwritten::Broken)?;
        self.file.sync_data().map_err(Unwritten::Broken)?;
        self.offset = end;
        Ok(())
    }

    /// Makes room up to there, which reads as zeros. `false`: that cannot be done in this file system.
    fn reserve(&self, end: u64) -> io::Result<bool> {
        #[cfg(test)]
        self.disk()?;
        let bytes = end.saturating_sub(self.length);
        match fallocate(&self.file, FallocateFlags::empty(), self.length, bytes) {
            Ok(()) => Ok(true),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn zero(&mut self, from: u64, bytes: u64) -> io::Result<()> {
        #[cfg(test)]
        self.disk()?;
        static ZEROS: [u8; 256 * 1024] = [0; 256 * 1024];
        let end = from.saturating_add(bytes);
        let mut at = from;
        while at < end {
            let left = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX);
            let zeros = ZEROS.get(..left.min(ZEROS.len())).unwrap_or(&ZEROS);
            self.file.write_all_at(zeros, at)?;
            at = at.saturating_add(u64::try_from(zeros.len()).unwrap_or(u64::MAX));
        }
        Ok(())
    }

    #[cfg(test)]
    fn disk(&self) -> io::Result<()> {
        if self.full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    /// From now on the disk is full, or no more.
    #[cfg(test)]
    pub(crate) fn fill(&mut self, full: bool) {
        self.full = full;
    }

    /// From now on nothing can be synced: what a dying disk looks like.
    #[cfg(test)]
    pub(crate) fn break_sync(&mut self) {
        // fdatasync on a device without storage is EINVAL.
        self.file = File::options().write(true).open("/dev/null").unwrap();
    }
}

/// Makes the file whose first record is number `first`; it has its name only once it is on disk.
fn begin(dir: &Path, log_id: &str, first: u64, segment: u64) -> Result<Tape, Unwritten> {
    let path = dir.join(file_name(first));
    let unfinished = path.with_extension(UNFINISHED);
    // What is left of one that did not get as far is overwritten.
    let tape = make(dir, log_id, (first, segment), &unfinished).map_err(Unwritten::making_room)?;
    fs::rename(&unfinished, &path).map_err(Unwritten::Broken)?;
    sync_dir(dir).map_err(Unwritten::Broken)?;
    Ok(tape)
}

/// The first multiple of `segment` above `first`.
fn boundary(first: u64, segment: u64) -> u64 {
    let into = first.checked_rem(segment).unwrap_or(0);
    first.saturating_sub(into).saturating_add(segment.max(1))
}

fn make(dir: &Path, log_id: &str, (first, segment): (u64, u64), unfinished: &Path) -> io::Result<Tape> {
    let mut options = File::options();
    let file = options.read(true).write(true).create(true).truncate(true).mode(0o600).open(unfinished)?;
    let header = file_header(log_id, first);
    let offset = u64::try_from(header.len()).unwrap_or(u64::MAX);
    file.write_all_at(header.as_bytes(), 0)?;
    let mut tape = Tape {
        dir: dir.to_owned(),
        log_id: log_id.to_owned(),
        segment,
        file,
        first,
        offset,
        length: FIRST_ROOM,
        #[cfg(test)]
        full: false,
    };
    tape.zero(offset, FIRST_ROOM.saturating_sub(offset))?;
    tape.file.sync_all()?;
    Ok(tape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_frame_has_no_zeros_ahead_and_where_there_is_no_space_for_it_none_of_it_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let mut tape = Tape::create(dir.path(), &"0".repeat(32), 64).unwrap();
        let path = dir.path().join(file_name(0));
        let written = || fs::read(&path).unwrap();
        let begun = tape.place().1;
        tape.append(&vec![b'x'; LARGE], 0).unwrap();
        let mut whole = written();
        assert_eq!(whole.len() as u64, tape.place().1);
        assert_eq!(whole.split_off(usize::try_from(begun).unwrap()), vec![b'x'; LARGE]);
        // A small one has.
        tape.append(b"small", 1).unwrap();
        let ahead = written().len() as u64 - tape.place().1;
        assert_eq!(ahead, begun + LARGE as u64);
        let (before, place) = (written(), tape.place());
        tape.fill(true);
        let large = vec![b'y'; 3 * LARGE];
        assert!(matches!(tape.append(&large, 2), Err(Unwritten::NoSpace(_))));
        assert!(written() == before && tape.place() == place);
        tape.fill(false);
        tape.append(&large, 2).unwrap();
        let whole = written();
        assert_eq!(whole.len() as u64, tape.place().1);
        assert!(whole.ends_with(&large) && whole.starts_with(&before[..usize::try_from(place.1).unwrap()]));
    }
}
