//! A file that records are appended to, each exactly once, and that is put aside when it is large.
//!
//! The cursor names the file (by its inode) and where in it the records end that it knows of. What stands behind that
//! place, after a kill, is compared with the records that must be there: what is the same counts, the rest is cut off.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use stepgate_store::Place;

use super::batch::{Batch, Source};
use super::courier::Way;
use super::trouble::Trouble;
use crate::config::{FileSink, Rotate};

/// Its owner writes, its group may read: such as that of whatever ships logs.
const MODE: u32 = 0o640;

/// A file.
pub(super) struct FileWay {
    config: FileSink,
    open: Option<Open>,
    settled: u64,
    /// What was written last may not be on the disk, whatever can be read.
    doubted: bool,
}

struct Open {
    file: File,
    inode: u64,
    /// How long it is.
    end: u64,
}

impl FileWay {
    pub(super) fn new(config: FileSink) -> Self {
        Self { config, open: None, settled: 0, doubted: false }
    }

    fn aside(&self, number: u32) -> PathBuf {
        let mut name = self.config.path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        name.into()
    }

    fn keep(&self) -> u32 {
        self.config.rotate.map_or(0, |rotate| rotate.keep)
    }

    /// The files that were begun after the one with this inode, itself first: put aside, but for the last.
    fn since(&self, inode: u64) -> Vec<PathBuf> {
        let all = (1..=self.keep()).rev().map(|number| self.aside(number)).filter(|path| path.exists());
        let mut all = all.skip_while(|path| fs::metadata(path).map_or(true, |meta| meta.ino() != inode));
        let first = all.next();
        first.into_iter().chain(all).collect()
    }

    /// Writes lines and returns when they are on disk.
    fn append(&mut self, lines: &[u8]) -> Result<(), Trouble> {
        let Some(open) = &mut self.open else { return Err(Trouble::new("not open")) };
        open.file.write_all(lines).map_err(|error| Trouble::io("it cannot be written", &error))?;
        if let Err(error) = open.file.sync_data() {
            // The system forgets what it could not write, and shows it all the same.
            self.doubted = true;
            return Err(Trouble::io("it cannot be written to the disk", &error));
        }
        open.end = open.end.saturating_add(u64::try_from(lines.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    /// Whether the file is still where it was, and as long: others may have put it aside, or emptied it.
    fn look(&mut self) -> Result<(), Trouble> {
        let trouble = |error: &io::Error| Trouble::io("it cannot be looked at", error);
        let Some(open) = &mut self.open else { return Err(Trouble::new("not open")) };
        let same = fs::metadata(&self.config.path).is_ok_and(|meta| meta.ino() == open.inode);
        if same {
            open.end = open.file.metadata().map_err(|error| trouble(&error))?.len();
        } else {
            self.open = None;
            self.open = Some(Open::at_end(&self.config.path)?);
        }
        Ok(())
    }

    fn rotate(&mut self) -> Result<(), Trouble> {
        let trouble = |error: &io::Error| Trouble::io("it cannot be put aside", error);
        self.open = None;
        for number in (1..self.keep()).rev() {
            if self.aside(number).exists() {
                fs::rename(self.aside(number), self.aside(number + 1)).map_err(|error| trouble(&error))?;
            }
        }
        fs::rename(&self.config.path, self.aside(1)).map_err(|error| trouble(&error))?;
        self.open = Some(Open::at_end(&self.config.path)?);
        Ok(())
    }
}

impl Way for FileWay {
    fn open(&mut self, from: u64, place: Option<Place>, source: &Source) -> Result<u64, Trouble> {
        self.open = None;
        self.settled = from;
        let mut begins = place;
        if let Some(Place { inode, offset }) = place {
            let mut offset = offset;
            for path in self.since(inode) {
                let file = File::open(&path).map_err(|error| Trouble::io("it cannot be read", &error))?;
                (self.settled, _) = same(&file, offset, self.settled, source)?;
                offset = 0;
                begins = None;
            }
        }
        let mut open = Open::new(&self.config.path)?;
        // Ours as far as the cursor goes; where another one stands in its place, as far as it is the same.
        let (ours, known) = match begins {
            Some(place) if place.inode == open.inode && place.offset <= open.end => (true, place.offset),
            _ => (false, 0),
        };
        let mut end = open.end;
        if place.is_some() {
            let (next, upto) = if self.doubted && ours {
                (self.settled, known)
            } else {
                same(&open.file, known, self.settled, source)?
            };
            if ours || next > self.settled {
                (self.settled, end) = (next, upto);
            }
            // What is read may be in memory only.
            open.file.sync_all().map_err(|error| Trouble::io("it cannot be written to the disk", &error))?;
        }
        if end < open.end {
            let cut = open.file.set_len(end).and_then(|()| open.file.sync_all());
            cut.map_err(|error| Trouble::io("it cannot be cut", &error))?;
            open.end = end;
        }
        open.end_line()?;
        self.open = Some(open);
        self.doubted = false;
        Ok(self.settled)
    }

    fn send(&mut self, batch: &Batch) -> Result<(), Trouble> {
        self.look()?;
        let mut lines = Vec::new();
        for line in &batch.lines {
            let end = self.open.as_ref().map_or(0, |open| open.end);
            let with = u64::try_from(lines.len() + line.text.len() + 1).unwrap_or(u64::MAX);
            let full = |rotate: Rotate| end.saturating_add(with) > rotate.bytes;
            if self.config.rotate.is_some_and(full) && !(lines.is_empty() && end == 0) {
                self.append(&lines)?;
                self.settled = line.head.seq;
                lines.clear();
                self.rotate()?;
            }
            lines.extend(&line.text);
            lines.push(b'\n');
        }
        self.append(&lines)?;
        self.settled = batch.end();
        Ok(())
    }

    fn settled(&mut self) -> Result<u64, Trouble> {
        Ok(self.settled)
    }

    fn place(&self) -> Option<Place> {
        self.open.as_ref().map(|open| Place { inode: open.inode, offset: open.end })
    }
}

impl Open {
    /// The file, made where it is missing. A link, a pipe or a device is none.
    fn new(path: &Path) -> Result<Self, Trouble> {
        let trouble = |error: &io::Error| Trouble::io("it cannot be opened", error);
        let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or(0);
        let missing = !path.exists();
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(MODE)
            .custom_flags(flags)
            .open(path)
            .map_err(|error| trouble(&error))?;
        if missing {
            let dir = path.parent().unwrap_or(Path::new("."));
            File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| trouble(&error))?;
        }
        let meta = file.metadata().map_err(|error| trouble(&error))?;
        if !meta.is_file() {
            return Err(Trouble::new("it is not a regular file"));
        }
        match file.try_lock() {
            Ok(()) => Ok(Self { inode: meta.ino(), end: meta.len(), file }),
            Err(TryLockError::WouldBlock) => Err(Trouble::new("another process writes it")),
            Err(TryLockError::Error(error)) => Err(trouble(&error)),
        }
    }

    /// The file, to be appended to whatever is in it.
    fn at_end(path: &Path) -> Result<Self, Trouble> {
        let mut open = Self::new(path)?;
        open.end_line()?;
        Ok(open)
    }

    /// What others have left without a line feed must not become a part of a record.
    fn end_line(&mut self) -> Result<(), Trouble> {
        let trouble = |error: &io::Error| Trouble::io("it cannot be written", error);
        let Some(last) = self.end.checked_sub(1) else { return Ok(()) };
        let mut byte = [0_u8];
        self.file.read_exact_at(&mut byte, last).map_err(|error| trouble(&error))?;
        if byte != *b"\n" {
            self.file.write_all(b"\n").map_err(|error| trouble(&error))?;
            self.end = self.end.saturating_add(1);
        }
        Ok(())
    }
}

/// How far the file is, from `offset` on, what it must be from record `from` on: the next record, and its place.
fn same(file: &File, offset: u64, from: u64, source: &Source) -> Result<(u64, u64), Trouble> {
    let trouble = |error: &io::Error| Trouble::io("it cannot be read", error);
    let mut reader = BufReader::new(file);
    reader.seek(SeekFrom::Start(offset)).map_err(|error| trouble(&error))?;
    let (mut next, mut end) = (from, offset);
    let mut failed = None;
    source.each(from, source.log.len(), &mut |line| {
        let mut there = vec![0_u8; line.text.len() + 1];
        match reader.read_exact(&mut there) {
            Ok(()) if there.strip_suffix(b"\n") == Some(&line.text[..]) => {
                next = line.head.seq.saturating_add(1);
                end = end.saturating_add(u64::try_from(there.len()).unwrap_or(0));
                true
            }
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                failed = Some(trouble(&error));
                false
            }
            _ => false,
        }
    })?;
    failed.map_or(Ok((next, end)), Err)
}
