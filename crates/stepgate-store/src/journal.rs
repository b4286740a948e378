//! Changes beside the log, on their way: on disk before the records that they come with, and made in sled after.
//!
//! The records' frame names the digest of its changes, so a stop between any two of these steps leaves either
//! both or neither: a journal that no frame names is dropped, one that the last such frame names is made again. It
//! holds one batch, and is wiped once sled has that: nothing lingers here that was deleted there.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::frame::{Digest, digest_of};
use crate::space::Unwritten;
use crate::{Change, Side};

/// What the file begins with: the first record's number, how many bytes follow, their digest.
const HEADER_BYTES: usize = 8 + 8 + 16;

/// No batch's changes are longer, in bytes: the queue's bound and one append of 512 changes.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// The file.
pub(crate) struct Journal {
    file: Mutex<File>,
}

/// What was in it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Written {
    /// The first record of the batch.
    pub(crate) first: u64,
    pub(crate) digest: Digest,
    pub(crate) changes: Vec<Change>,
}

impl Journal {
    /// Opens it, or makes it.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        Ok(Self { file: Mutex::new(file) })
    }

    /// The batch in it, if there is a whole one.
    pub(crate) fn read(&self) -> io::Result<Option<Written>> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let length = file.metadata()?.len();
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX).min(HEADER_BYTES + MAX_BYTES)];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(parse(&bytes))
    }

    /// Puts a batch in, and returns when it is on disk. Where there is no space for it, nothing of it is written.
    pub(crate) fn write(&self, first: u64, changes: &[u8], digest: Digest) -> Result<(), Unwritten> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + changes.len());
        bytes.extend_from_slice(&first.to_be_bytes());
        bytes.extend_from_slice(&u64::try_from(changes.len()).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend_from_slice(&digest);
        bytes.extend_from_slice(changes);
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let length = file.metadata().map_err(Unwritten::Broken)?.len();
        let lacking = usize::try_from(length).map_or(0, |length| bytes.len().saturating_sub(length));
        // Room first: zeros behind what was wiped say nothing.
        file.write_all_at(&vec![0; lacking], length).map_err(Unwritten::making_room)?;
        file.write_all_at(&bytes, 0).and_then(|()| file.sync_data()).map_err(Unwritten::Broken)
    }

    /// Wipes it; when that is on disk does not matter.
    pub(crate) fn wipe(&self) -> io::Result<()> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        file.write_all_at(&vec![0; length.min(HEADER_BYTES + MAX_BYTES)], 0)
    }
}

/// The batch in a file that is only read, if there is a whole one.
pub(crate) fn read_file(path: &Path) -> io::Result<Option<Written>> {
    let file = File::open(path)?;
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length.min(HEADER_BYTES + MAX_BYTES)];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(parse(&bytes))
}

fn parse(bytes: &[u8]) -> Option<Written> {
    let (first, rest) = bytes.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<8>()?;
    let (digest, rest) = rest.split_first_chunk::<16>()?;
    let changes = rest.get(..usize::try_from(u64::from_be_bytes(*length)).ok()?)?;
    let whole = !changes.is_empty() && digest_of(changes) == *digest;
    let changes = decode(changes).filter(|_| whole)?;
    Some(Written { first: u64::from_be_bytes(*first), digest: *digest, changes })
}

/// The bytes of changes.
pub(crate) fn encode(changes: &[Change]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let part = |part: &[u8], bytes: &mut Vec<u8>| {
        bytes.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend_from_slice(part);
    };
    for change in changes {
        let side = u8::try_from(change.side().index()).unwrap_or(u8::MAX);
        match change {
            Change::Put { key, value, .. } => {
                bytes.extend_from_slice(&[b'+', side]);
                part(key, &mut bytes);
                part(value, &mut bytes);
            }
            Change::Delete { key, .. } => {
                bytes.extend_from_slice(&[b'-', side]);
                part(key, &mut bytes);
            }
        }
    }
    bytes
}

/// What they were.
pub(crate) fn decode(mut bytes: &[u8]) -> Option<Vec<Change>> {
    fn part(bytes: &mut &[u8]) -> Option<Vec<u8>> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (part, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        *bytes = rest;
        Some(part.to_vec())
    }
    let mut changes = Vec::new();
    while let Some(([what, side], rest)) = bytes.split_first_chunk::<2>() {
        bytes = rest;
        let side = *Side::ALL.get(usize::from(*side))?;
        let key = part(&mut bytes)?;
        changes.push(match what {
            b'+' => Change::Put { side, key, value: part(&mut bytes)? },
            b'-' => Change::Delete { side, key },
            _ => return None,
        });
    }
    bytes.is_empty().then_some(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes() -> Vec<Change> {
        vec![
            Change::Put { side: Side::Desk, key: b"a".to_vec(), value: b"1".to_vec() },
            Change::Delete { side: Side::Bindings, key: vec![] },
            Change::Put { side: Side::People, key: vec![0; 256], value: vec![] },
        ]
    }

    #[test]
    fn what_is_written_is_read_back_until_it_is_wiped() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(&dir.path().join("journal")).unwrap();
        assert!(journal.read().unwrap().is_none());
        let bytes = encode(&changes());
        let digest = digest_of(&bytes);
        // The second is shorter than the first.
        for changes in [&changes()[..], &changes()[..1]] {
            let bytes = encode(changes);
            let digest = digest_of(&bytes);
            journal.write(7, &bytes, digest).unwrap();
            let written = journal.read().unwrap().unwrap();
            assert!(written == Written { first: 7, digest, changes: changes.to_vec() });
        }
        journal.write(8, &bytes, digest).unwrap();
        journal.wipe().unwrap();
        assert!(journal.read().unwrap().is_none());
        assert!(std::fs::read(dir.path().join("journal")).unwrap().iter().all(|byte| *byte == 0));
    }

    #[test]
    fn no_part_of_a_batch_and_no_changed_byte_is_one() {
        let bytes = encode(&changes());
        let mut whole = 7_u64.to_be_bytes().to_vec();
        whole.extend_from_slice(&u64::try_from(bytes.len()).unwrap().to_be_bytes());
        whole.extend_from_slice(&digest_of(&bytes));
        whole.extend_from_slice(&bytes);
        assert!(parse(&whole).is_some());
        for at in 0..whole.len() {
            assert!(parse(&whole[..at]).is_none());
            let mut bad = whole.clone();
            bad[at] ^= 1;
            // Which record it is for is held against the log.
            assert!(at < 8 || parse(&bad).is_none(), "byte {at}");
        }
    }
}
