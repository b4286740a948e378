//! What is kept beside the log, as a file: entry after entry, as the journal has changes, and never all in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::beside::{Beside, MAX_KEY_BYTES, MAX_VALUE_BYTES};
use crate::{Change, Side, journal};

/// A key of a side tree.
pub(crate) type Key = (Side, Vec<u8>);

/// An entry in the file: its tree, its key, its value.
type Line = (Side, Vec<u8>, Vec<u8>);

/// Copies all entries into a file, while they change.
pub(crate) fn copy(beside: &Beside, path: &Path) -> io::Result<()> {
    let mut output = create(path)?;
    for side in Side::ALL {
        let each = beside.each(side, &mut |key, value| {
            let entry = Change::Put { side, key: key.to_vec(), value: value.to_vec() };
            output.write_all(&journal::encode(&[entry])).map_err(|error| error.to_string())
        });
        each.map_err(io::Error::other)?;
    }
    output.flush()
}

/// The entries of these keys as they are now: nobody changes any meanwhile. `None`: there is none.
pub(crate) fn now(beside: &Beside, keys: BTreeSet<Key>) -> io::Result<BTreeMap<Key, Option<Vec<u8>>>> {
    let mut values = BTreeMap::new();
    for (side, key) in keys {
        let value = beside.side_value(side, &key).map_err(io::Error::other)?;
        values.insert((side, key), value);
    }
    Ok(values)
}

/// Makes the copy `to` from the copy `from`, in which these entries were other ones, and returns its SHA-256 (hex) and
/// length once it is on disk.
pub(crate) fn settle(
    from: &Path,
    to: &Path,
    mut changed: BTreeMap<Key, Option<Vec<u8>>>,
) -> io::Result<(String, u64)> {
    let mut output = create(to)?;
    let (mut hash, mut length) = (Sha256::new(), 0_u64);
    let mut write = |entry: Change| {
        let bytes = journal::encode(&[entry]);
        hash.update(&bytes);
        length = length.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        output.write_all(&bytes)
    };
    for entry in Entries::open(from)? {
        let (side, key, value) = entry?;
        if !changed.contains_key(&(side, key.clone())) {
            write(Change::Put { side, key, value })?;
        }
    }
    while let Some(((side, key), value)) = changed.pop_first() {
        if let Some(value) = value {
            write(Change::Put { side, key, value })?;
        }
    }
    output.flush()?;
    output.get_ref().sync_all()?;
    fs::remove_file(from)?;
    Ok((data_encoding::HEXLOWER.encode(&hash.finalize()), length))
}

fn create(path: &Path) -> io::Result<BufWriter<File>> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600).open(path).map(BufWriter::new)
}

/// Reads such a file.
pub(crate) struct Entries(BufReader<File>);

impl Entries {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        File::open(path).map(|file| Self(BufReader::new(file)))
    }

    /// `None`: the file ends here.
    fn entry(&mut self) -> io::Result<Option<Line>> {
        let mut what = [0; 1];
        if self.0.read(&mut what)? == 0 {
            return Ok(None);
        }
        let mut side = [0; 1];
        self.0.read_exact(&mut side)?;
        let ([what], [side]) = (what, side);
        let side = Side::ALL.get(usize::from(side)).filter(|_| what == b'+').ok_or_else(none)?;
        let key = self.part(MAX_KEY_BYTES)?;
        Ok(Some((*side, key, self.part(MAX_VALUE_BYTES)?)))
    }

    fn part(&mut self, most: usize) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.0.read_exact(&mut length)?;
        let length = usize::try_from(u32::from_be_bytes(length)).map_err(|_| none())?;
        let mut part = vec![0; Some(length).filter(|length| *length <= most).ok_or_else(none)?];
        self.0.read_exact(&mut part)?;
        Ok(part)
    }
}

impl Iterator for Entries {
    type Item = io::Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        self.entry().transpose()
    }
}

fn none() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "is no file of entries")
}
