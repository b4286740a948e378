//! One batch of records in a file: a line that says what follows, then the records, a line each.
//!
//! ```text
//! # FIRST COUNT BYTES CHANGES DIGEST
//! {"…":…}
//! ```
//!
//! First and count number the records, bytes is the length of what follows, changes the digest of what was changed
//! beside the log (dashes: nothing). All have a fixed width. The digest is over this line and the leaf hashes of
//! the records, which the writer needs anyway.
//!
//! Where a file is full in the middle of a batch, it is two frames. The first says by pluses in place of the changes
//! that it counts only together with the next one, which begins the next file.

use std::io::Write as _;
use std::ops::Range;

use sha2::{Digest as _, Sha256};
use stepgate_record::{Cuts, Envelope, Hash, MAX_RECORD_BYTES, RecordError};

/// Bytes of the line before the records.
pub(crate) const HEADER_BYTES: usize = 107;

/// Bytes of it that the digest covers.
const COVERED_BYTES: usize = HEADER_BYTES - 33;

/// No frame is longer, in bytes: the queue's bound and one append of 1,024 records of 4 KiB.
pub(crate) const MAX_FRAME_BYTES: usize = 8 * 1024 * 1024;

/// The first half of a SHA-256: told apart are accidents, not forgeries, which the tree of all records is for.
pub(crate) type Digest = [u8; 16];

pub(crate) fn digest_of(bytes: &[u8]) -> Digest {
    half(Sha256::digest(bytes).into())
}

fn half(hash: [u8; 32]) -> Digest {
    hash.first_chunk().copied().unwrap_or_default()
}

/// What the line before the records says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) first: u64,
    pub(crate) count: u64,
    /// How many bytes follow it.
    pub(crate) bytes: usize,
    /// What was changed beside the log together with these records.
    pub(crate) changes: Option<Digest>,
    /// It is half of a batch, and counts only if the frame behind it is there.
    pub(crate) goes_on: bool,
    digest: Digest,
}

impl Header {
    /// Reads the line; `None` if it is none.
    pub(crate) fn parse(line: &[u8; HEADER_BYTES]) -> Option<Self> {
        let rest = line.strip_prefix(b"# ")?.strip_suffix(b"\n")?;
        let mut fields = rest.split(|byte| *byte == b' ');
        let mut field = |width: usize| fields.next().filter(|field| field.len() == width);
        let (first, count, bytes) = (number(field(20)?)?, number(field(8)?)?, number(field(8)?)?);
        let (changes, goes_on) = match field(32)? {
            dashes if dashes.iter().all(|byte| *byte == b'-') => (None, false),
            pluses if pluses.iter().all(|byte| *byte == b'+') => (None, true),
            hex => (Some(unhex(hex)?), false),
        };
        let digest = unhex(field(32)?)?;
        let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes <= MAX_FRAME_BYTES)?;
        (count > 0 && fields.next().is_none()).then_some(Self {
            first,
            count,
            bytes,
            changes,
            goes_on,
            digest,
        })
    }

    /// The number of the record after these.
    pub(crate) const fn end(&self) -> u64 {
        self.first.saturating_add(self.count)
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    text?.parse().ok()
}

fn unhex(text: &[u8]) -> Option<Digest> {
    data_encoding::HEXLOWER.decode(text).ok()?.try_into().ok()
}

/// A frame that was read.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) header: Header,
    bytes: Vec<u8>,
    lines: Vec<Range<usize>>,
    hashes: Vec<Hash>,
    /// Whether its digest fits.
    pub(crate) sound: bool,
}

impl Frame {
    /// From its first line and what follows; `None` if there are not as many records as it says.
    pub(crate) fn read(line: &[u8; HEADER_BYTES], header: Header, bytes: Vec<u8>) -> Option<Self> {
        let mut lines = Vec::new();
        let mut start = 0;
        for (end, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
            lines.push(start..end);
            start = end + 1;
        }
        let fits = |line: &Range<usize>| (1..=MAX_RECORD_BYTES).contains(&line.len());
        let whole = start == bytes.len() && u64::try_from(lines.len()).ok() == Some(header.count);
        if !whole || !lines.iter().all(fits) {
            return None;
        }
        let hash = |line: &Range<usize>| Hash::leaf(bytes.get(line.clone()).unwrap_or_default());
        let hashes: Vec<Hash> = lines.iter().map(hash).collect();
        let sound = digest(line, &hashes) == header.digest;
        Some(Self { header, bytes, lines, hashes, sound })
    }

    /// Its length, in bytes.
    pub(crate) fn length(&self) -> u64 {
        u64::try_from(HEADER_BYTES.saturating_add(self.bytes.len())).unwrap_or(u64::MAX)
    }

    /// Where its records begin, in bytes from its own beginning.
    pub(crate) fn starts(&self) -> impl Iterator<Item = usize> {
        self.lines.iter().map(|line| HEADER_BYTES.saturating_add(line.start))
    }

    /// Its records: number, bytes, leaf hash.
    pub(crate) fn records(&self) -> impl Iterator<Item = (u64, &[u8], Hash)> {
        let lines = self.lines.iter().map(|line| self.bytes.get(line.clone()).unwrap_or_default());
        let each = (self.header.first..).zip(lines).zip(&self.hashes);
        each.map(|((seq, line), hash)| (seq, line, *hash))
    }
}

fn digest(line: &[u8], hashes: &[Hash]) -> Digest {
    let mut hash = Sha256::new();
    hash.update(line.get(..COVERED_BYTES).unwrap_or_default());
    hashes.iter().for_each(|leaf| hash.update(leaf.bytes()));
    half(hash.finalize().into())
}

/// Puts frames together, in the same room each time.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    bytes: Vec<u8>,
    hashes: Vec<Hash>,
}

impl Builder {
    pub(crate) fn begin(&mut self) {
        self.bytes.clear();
        self.bytes.resize(HEADER_BYTES, b' ');
        self.hashes.clear();
    }

    /// Adds the record of an event; returns its leaf hash.
    pub(crate) fn add(
        &mut self,
        event: &[u8],
        cuts: Cuts,
        envelope: &Envelope<'_>,
    ) -> Result<Hash, RecordError> {
        let start = self.bytes.len();
        cuts.splice(event, envelope, &mut self.bytes)?;
        Ok(self.added(start))
    }

    /// Adds a record as it is; returns its leaf hash.
    pub(crate) fn add_record(&mut self, record: &[u8]) -> Hash {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(record);
        self.added(start)
    }

    fn added(&mut self, start: usize) -> Hash {
        let hash = Hash::leaf(self.bytes.get(start..).unwrap_or_default());
        self.bytes.push(b'\n');
        self.hashes.push(hash);
        hash
    }

    /// Leaf hashes of the records so far.
    pub(crate) fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// The frame, of which `first` is the first record.
    pub(crate) fn finish(&mut self, first: u64, changes: Option<Digest>) -> &[u8] {
        let said = changes.map_or_else(|| "-".repeat(32), |changes| data_encoding::HEXLOWER.encode(&changes));
        self.finish_saying(first, &said)
    }

    /// The same, of a batch that goes on in another frame.
    pub(crate) fn finish_half(&mut self, first: u64) -> &[u8] {
        self.finish_saying(first, &"+".repeat(32))
    }

    fn finish_saying(&mut self, first: u64, changes: &str) -> &[u8] {
        let (count, bytes) = (self.hashes.len(), self.bytes.len().saturating_sub(HEADER_BYTES));
        let mut line = Vec::with_capacity(HEADER_BYTES);
        // Writing to a vector does not fail.
        let _ = write!(line, "# {first:020} {count:08} {bytes:08} {changes} ");
        let digest = digest(&line, &self.hashes);
        line.extend_from_slice(data_encoding::HEXLOWER.encode(&digest).as_bytes());
        line.push(b'\n');
        if let Some(room) = self.bytes.get_mut(..line.len()) {
            room.copy_from_slice(&line);
        }
        &self.bytes
    }

    /// Gives back what a burst has taken.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(bytes);
        self.hashes.clear();
        self.hashes.shrink_to(bytes / 256);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(records: &[&str], changes: Option<Digest>) -> Vec<u8> {
        let mut builder = Builder::default();
        builder.begin();
        for record in records {
            builder.add_record(record.as_bytes());
        }
        builder.finish(7, changes).to_vec()
    }

    fn read(bytes: &[u8]) -> Option<Frame> {
        let (line, rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let header = Header::parse(line)?;
        Frame::read(line, header, rest.get(..header.bytes)?.to_vec())
    }

    #[test]
    fn a_frame_is_read_back() {
        for changes in [None, Some([9; 16])] {
            let bytes = built(&["{}", "{\"a\":1}"], changes);
            let frame = read(&bytes).unwrap();
            assert!(frame.sound);
            assert_eq!((frame.header.first, frame.header.end(), frame.header.changes), (7, 9, changes));
            let records: Vec<_> = frame.records().map(|(seq, bytes, _)| (seq, bytes)).collect();
            assert_eq!(records, [(7, &b"{}"[..]), (8, &b"{\"a\":1}"[..])]);
        }
    }

    #[test]
    fn no_changed_byte_of_a_frame_leaves_it_sound() {
        let good = built(&["{}", "{\"a\":1}"], Some([9; 16]));
        for at in 0..good.len() {
            for flip in [1, 0x80, 0xff] {
                let mut bad = good.clone();
                bad[at] ^= flip;
                assert!(read(&bad).is_none_or(|frame| !frame.sound), "byte {at}");
            }
        }
    }

    #[test]
    fn no_part_of_a_frame_is_one() {
        let good = built(&["{}", "{\"a\":1}"], None);
        for length in 0..good.len() {
            assert!(read(&good[..length]).is_none());
            let mut zeroed = good.clone();
            zeroed[length..].fill(0);
            assert!(read(&zeroed).is_none_or(|frame| !frame.sound), "{length}");
            let mut zeroed = good.clone();
            zeroed[..=length].fill(0);
            assert!(read(&zeroed).is_none_or(|frame| !frame.sound), "{length}");
        }
    }
}
