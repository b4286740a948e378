//! Reads record files frame by frame, and tells a torn end from damage.
//!
//! The writer goes on only when a frame is on disk. So at most one frame can be half written, and nothing follows
//! it: whatever is wrong with any other frame was done to it later. A frame that is half of a batch, and has nothing
//! sound behind it, belongs to that torn end.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use crate::frame::{Frame, HEADER_BYTES, Header, MAX_FRAME_BYTES};

/// Bytes read at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// The end of the names of record files, which begin with the number of their first record.
const SUFFIX: &str = ".log";

/// What is wrong, of which record: `is missing`, said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) record: u64,
    pub(crate) why: String,
}

/// Where the records end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    /// The first record of the last file.
    pub(crate) file: u64,
    /// Where the next frame goes.
    pub(crate) offset: u64,
    /// How many bytes of a half-written frame are there.
    pub(crate) torn: u64,
}

/// What comes next.
pub(crate) enum Found {
    /// A frame, in its place; perhaps not sound.
    Frame(Frame),
    /// Nothing.
    End(End),
}

/// The name of the file whose first record is number `first`.
pub(crate) fn file_name(first: u64) -> String {
    format!("{first:020}{SUFFIX}")
}

/// The line that a file begins with.
pub(crate) fn file_header(log_id: &str, first: u64) -> String {
    format!("stepgate-records 1 {log_id} {first:020}\n")
}

#[cfg(test)]
thread_local! {
    /// How often this thread has listed files.
    pub(crate) static LISTED: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// The first records of the files in `dir`, in order.
pub(crate) fn files(dir: &Path) -> io::Result<VecDeque<u64>> {
    #[cfg(test)]
    LISTED.with(|listed| listed.set(listed.get() + 1));
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let Some(first) = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)) else { continue };
        if let Ok(first) = first.parse() {
            files.push(first);
        }
    }
    files.sort_unstable();
    Ok(files.into())
}

/// Goes through the files.
pub(crate) struct Scan {
    dir: PathBuf,
    log_id: String,
    /// Those still to come.
    files: VecDeque<u64>,
    open: Option<Open>,
    next: u64,
    /// Frames that were read ahead: halves of a batch, up to its end.
    ahead: VecDeque<(Frame, (u64, u64))>,
    /// Where the last frame ends that was given out, while others were read ahead.
    passed: Option<(u64, u64)>,
}

struct Open {
    first: u64,
    input: BufReader<File>,
    offset: u64,
    length: u64,
}

/// A frame, or what is there in its place.
enum Got<T> {
    Frame(T),
    Nothing,
    Broken,
}

/// A frame's first line, and what it says.
type Line = ([u8; HEADER_BYTES], Header);

impl Scan {
    /// From the first record on.
    pub(crate) fn new(dir: &Path, log_id: &str) -> io::Result<Self> {
        Ok(Self::over(dir, log_id, files(dir)?))
    }

    /// From the first record on, over these files.
    pub(crate) fn over(dir: &Path, log_id: &str, files: VecDeque<u64>) -> Self {
        Self {
            dir: dir.to_owned(),
            log_id: log_id.to_owned(),
            files,
            open: None,
            next: 0,
            ahead: VecDeque::new(),
            passed: None,
        }
    }

    /// From the beginning of the file of `first` on, or of the first one there is after it.
    pub(crate) fn from_file(dir: &Path, log_id: &str, first: u64) -> io::Result<Self> {
        let mut scan = Self::new(dir, log_id)?;
        scan.files.retain(|file| *file >= first);
        scan.next = first;
        Ok(scan)
    }

    /// From the frame at `offset` in the file of `first` on, whose first record is `next`; `files` are those there are.
    pub(crate) fn starting_at(
        dir: &Path,
        log_id: &str,
        mut files: VecDeque<u64>,
        (first, offset, next): (u64, u64, u64),
    ) -> io::Result<Self> {
        files.retain(|file| *file > first);
        let input = File::open(dir.join(file_name(first)))?;
        let length = input.metadata()?.len();
        let mut input = BufReader::with_capacity(BUFFER_BYTES, input);
        input.seek(SeekFrom::Start(offset))?;
        let open = Some(Open { first, input, offset, length });
        let (dir, log_id) = (dir.to_owned(), log_id.to_owned());
        Ok(Self { dir, log_id, files, open, next, ahead: VecDeque::new(), passed: None })
    }

    /// Behind the last frame: file and offset, where the next one is if that is in the same file.
    pub(crate) fn place(&self) -> Option<(u64, u64)> {
        let read = self.open.as_ref().map(|open| (open.first, open.offset));
        if self.ahead.is_empty() { read } else { self.passed }
    }

    /// Reads on.
    pub(crate) fn advance(&mut self) -> Result<Found, Damage> {
        if let Some(frame) = self.take_ahead() {
            return Ok(Found::Frame(frame));
        }
        // Where the halves of a batch begin, and how long they are.
        let mut halves: Option<((u64, u64), u64)> = None;
        loop {
            match (self.advance_one()?, &mut halves) {
                (Found::End(end), None) => return Ok(Found::End(end)),
                (Found::End(end), Some(((file, offset), bytes))) => {
                    self.ahead.clear();
                    let torn = bytes.saturating_add(end.torn);
                    return Ok(Found::End(End { file: *file, offset: *offset, torn }));
                }
                (Found::Frame(frame), halves) => {
                    let goes_on = frame.header.goes_on && frame.sound;
                    let end = self.open.as_ref().map_or((0, 0), |open| (open.first, open.offset));
                    if goes_on {
                        let length = length_of(&frame.header);
                        let (_, bytes) = halves.get_or_insert(((end.0, end.1.saturating_sub(length)), 0));
                        *bytes = bytes.saturating_add(length);
                    }
                    self.ahead.push_back((frame, end));
                    if !goes_on {
                        break;
                    }
                }
            }
        }
        self.take_ahead().map(Found::Frame).ok_or_else(|| self.damage("is missing"))
    }

    fn take_ahead(&mut self) -> Option<Frame> {
        let (frame, end) = self.ahead.pop_front()?;
        self.passed = Some(end);
        Some(frame)
    }

    /// Reads on; a half of a batch is a frame like others.
    pub(crate) fn advance_one(&mut self) -> Result<Found, Damage> {
        loop {
            let found = self.open.as_mut().map_or(Ok(Got::Nothing), Open::frame);
            match found.map_err(|error| self.damage(format!("cannot be read: {error}")))? {
                Got::Frame(frame) if frame.sound => return self.meet(frame),
                Got::Frame(frame) => {
                    return match self.torn()? {
                        Some(end) => Ok(Found::End(end)),
                        None => self.meet(frame),
                    };
                }
                Got::Broken => {
                    return match self.torn()? {
                        Some(end) => Ok(Found::End(end)),
                        None => Err(self.damage("cannot be read: its bytes were changed or lost")),
                    };
                }
                Got::Nothing => {
                    if let (Some(open), true) = (&self.open, self.files.is_empty()) {
                        let (file, offset) = (open.first, open.offset);
                        return Ok(Found::End(End { file, offset, torn: 0 }));
                    }
                    self.open_next()?;
                }
            }
        }
    }

    /// Skips frames until one holds a record from number `from` on.
    pub(crate) fn skip_to(&mut self, from: u64) -> Result<(), Damage> {
        loop {
            let next_file = self.files.front().copied();
            if let Some(first) = next_file.filter(|first| *first <= from) {
                self.next = first;
                self.open_next()?;
                continue;
            }
            let Some(open) = &mut self.open else { return Ok(()) };
            let passed = open.pass(from);
            let passed = passed.map_err(|error| self.damage(format!("cannot be read: {error}")))?;
            match passed {
                Some(end) => self.next = end,
                None => return Ok(()),
            }
        }
    }

    fn meet(&mut self, frame: Frame) -> Result<Found, Damage> {
        let header = frame.header;
        if header.first != self.next {
            return Err(self.damage(format!("is missing; record {} is the next there is", header.first)));
        }
        self.next = header.end();
        if let Some(open) = &mut self.open {
            open.offset = open.offset.saturating_add(length_of(&header));
        }
        Ok(Found::Frame(frame))
    }

    fn damage(&self, why: impl Into<String>) -> Damage {
        Damage { record: self.next, why: why.into() }
    }

    fn open_next(&mut self) -> Result<(), Damage> {
        let Some(first) = self.files.pop_front() else {
            return Err(self.damage("is missing: there is no file of records"));
        };
        let name = file_name(first);
        if self.next != first {
            return Err(self.damage(format!("is missing; {name} begins with record {first}")));
        }
        let unreadable = |error: io::Error| Damage { record: first, why: format!("cannot be read: {error}") };
        let input = File::open(self.dir.join(&name)).map_err(unreadable)?;
        let length = input.metadata().map_err(unreadable)?.len();
        let mut input = BufReader::with_capacity(BUFFER_BYTES, input);
        let expected = file_header(&self.log_id, first);
        let mut header = vec![0; expected.len()];
        match input.read_exact(&mut header) {
            Ok(()) if header == expected.as_bytes() => {}
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(unreadable(error)),
            _ => return Err(self.damage(format!("cannot be read: the beginning of {name} was changed"))),
        }
        let offset = u64::try_from(expected.len()).unwrap_or(u64::MAX);
        self.open = Some(Open { first, input, offset, length });
        Ok(())
    }

    /// What is wrong at this place is the last, half-written frame; `None` if anything shows that more was written
    /// after it.
    fn torn(&self) -> Result<Option<End>, Damage> {
        let Some(open) = &self.open else { return Ok(None) };
        if !self.files.is_empty() {
            return Ok(None);
        }
        let rest = read_from(&self.dir.join(file_name(open.first)), open.offset);
        let mut rest = rest.map_err(|error| self.damage(format!("cannot be read: {error}")))?;
        rest.truncate(rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
        if rest.len() > MAX_FRAME_BYTES || holds_a_frame(&rest) {
            return Ok(None);
        }
        let torn = u64::try_from(rest.len()).unwrap_or(u64::MAX);
        Ok(Some(End { file: open.first, offset: open.offset, torn }))
    }
}

impl Open {
    fn frame(&mut self) -> io::Result<Got<Frame>> {
        let (line, header) = match self.header()? {
            Got::Frame(line) => line,
            Got::Nothing => return Ok(Got::Nothing),
            Got::Broken => return Ok(Got::Broken),
        };
        let mut bytes = vec![0; header.bytes];
        match self.input.read_exact(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Got::Broken),
            other => other?,
        }
        Ok(Frame::read(&line, header, bytes).map_or(Got::Broken, Got::Frame))
    }

    /// Passes a frame whose records all lie before `from`; returns the number after them.
    fn pass(&mut self, from: u64) -> io::Result<Option<u64>> {
        let passes = match self.header()? {
            Got::Frame((_, header)) if header.end() <= from => Some(header),
            _ => None,
        };
        let Some(header) = passes else {
            self.input.seek(SeekFrom::Start(self.offset))?;
            return Ok(None);
        };
        self.input.seek_relative(i64::try_from(header.bytes).unwrap_or(i64::MAX))?;
        self.offset = self.offset.saturating_add(length_of(&header));
        Ok(Some(header.end()))
    }

    fn header(&mut self) -> io::Result<Got<Line>> {
        let mut line = [0; HEADER_BYTES];
        let left = usize::try_from(self.length.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let (used, _) = line.split_at_mut(left.min(HEADER_BYTES));
        match self.input.read_exact(used) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                // The room behind the last frame goes when another file is begun.
                let ends_here = self.input.get_ref().metadata()?.len() == self.offset;
                return Ok(if ends_here { Got::Nothing } else { Got::Broken });
            }
            other => other?,
        }
        if line.iter().all(|byte| *byte == 0) {
            return Ok(if self.rest_is_zero()? { Got::Nothing } else { Got::Broken });
        }
        Ok(Header::parse(&line).map_or(Got::Broken, |header| Got::Frame((line, header))))
    }

    /// Up to the length that the file had when it was opened: room was made beyond it since, perhaps.
    fn rest_is_zero(&mut self) -> io::Result<bool> {
        loop {
            let bytes = self.input.fill_buf()?;
            if bytes.is_empty() {
                return Ok(true);
            }
            if bytes.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            let length = bytes.len();
            self.input.consume(length);
        }
    }
}

fn length_of(header: &Header) -> u64 {
    u64::try_from(HEADER_BYTES.saturating_add(header.bytes)).unwrap_or(u64::MAX)
}

fn read_from(path: &Path, offset: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether a whole frame is anywhere in it: then the place before it was on disk once.
fn holds_a_frame(bytes: &[u8]) -> bool {
    let starts = bytes.windows(2).enumerate().filter(|(_, window)| *window == b"# ");
    starts.map(|(at, _)| bytes.get(at..).unwrap_or_default()).any(|from| {
        let frame = || {
            let (line, rest) = from.split_first_chunk::<HEADER_BYTES>()?;
            let header = Header::parse(line)?;
            Frame::read(line, header, rest.get(..header.bytes)?.to_vec())
        };
        frame().is_some_and(|frame| frame.sound)
    })
}
