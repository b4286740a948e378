//! How far each of those has come that records are sent to: a small file each, which retention asks before it deletes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::files::{read_text, sync_dir, write_atomic};
use crate::layout::make_dir;

/// Below the data directory.
const DIR: &str = "sinks";

/// The newest, the one before it, and one of whom nothing is sent to any more.
const NEWEST: &str = "cursor";
const BEFORE: &str = "cursor-before";
const RETIRED: &str = "retired";

/// How far one reader has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    /// The log it is of.
    pub log_id: String,
    /// The first record that it is not known to have.
    pub next: u64,
    /// Leaf hash (hex) of the record before: where the log has another one there, it was restored from a backup.
    pub last_hash: Option<String>,
    /// Where the records end, of one that is a file.
    pub place: Option<Place>,
}

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Which file.
    pub inode: u64,
    /// Bytes before it.
    pub offset: u64,
}

/// What there is of a reader's cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing: it has never been sent anything.
    None,
    /// How far it is.
    Cursor(Cursor),
    /// There is one that cannot be read: how far it is, is not known.
    Damaged,
}

/// Where a reader's cursor is kept.
#[derive(Debug, Clone)]
pub struct CursorFile {
    dir: PathBuf,
    name: String,
}

impl CursorFile {
    /// That of the reader of this name, in a data directory. A name is made of letters, digits, `-` and `_`.
    #[must_use]
    pub fn new(data: &Path, name: &str) -> Self {
        Self { dir: data.join(DIR), name: name.to_owned() }
    }

    fn path(&self, which: &str) -> PathBuf {
        self.dir.join(format!("{}.{which}", self.name))
    }

    /// The cursor; the one before it where the newest cannot be read, which is behind and so only sends twice.
    ///
    /// # Errors
    /// The files are there and the system does not let them be read.
    pub fn read(&self) -> io::Result<Found> {
        let mut damaged = false;
        for which in [NEWEST, BEFORE] {
            match read_file(&self.path(which))? {
                Found::Cursor(cursor) => return Ok(Found::Cursor(cursor)),
                Found::Damaged => damaged = true,
                Found::None => {}
            }
        }
        Ok(if damaged { Found::Damaged } else { Found::None })
    }

    /// Replaces it; returns when that is on disk.
    ///
    /// # Errors
    /// It cannot be written; the one before is still there.
    pub fn write(&self, cursor: &Cursor) -> io::Result<()> {
        make_dir(&self.dir)?;
        let line = serde_json::to_string(cursor)?;
        let text = format!("{line}\n{}\n", sum(&line));
        // Only a good one takes the place of the one before.
        if matches!(read_file(&self.path(NEWEST))?, Found::Cursor(_)) {
            fs::rename(self.path(NEWEST), self.path(BEFORE))?;
        }
        write_atomic(&self.path(NEWEST), text.as_bytes())
    }
}

/// Readers that are not among `names` hold nothing back any more; one that comes back goes on where it was.
///
/// # Errors
/// The directory cannot be read or written.
pub fn settle_cursors(data: &Path, names: &[&str]) -> io::Result<()> {
    let dir = data.join(DIR);
    make_dir(&dir)?;
    for name in readers(&dir)? {
        if !names.contains(&name.as_str()) {
            let file = CursorFile::new(data, &name);
            if let Found::Cursor(cursor) = file.read()? {
                file.write(&cursor)?;
            }
            // A damaged one is kept, too: without one, it would begin anew and skip what it has not been sent.
            let kept = if file.path(NEWEST).exists() { NEWEST } else { BEFORE };
            fs::rename(file.path(kept), file.path(RETIRED))?;
            remove(&file.path(BEFORE))?;
        }
    }
    for name in names {
        let file = CursorFile::new(data, name);
        if file.path(RETIRED).exists() {
            if file.read()? == Found::None {
                fs::rename(file.path(RETIRED), file.path(NEWEST))?;
            } else {
                remove(&file.path(RETIRED))?;
            }
        }
    }
    sync_dir(&dir)
}

/// The first record that some reader is not known to have; `None` where nothing is sent anywhere. What it is not known
/// of may not be deleted: a damaged cursor counts as 0.
///
/// # Errors
/// The directory cannot be read.
pub fn least_cursor(data: &Path) -> io::Result<Option<u64>> {
    let mut least = None;
    for name in readers(&data.join(DIR))? {
        let next = match CursorFile::new(data, &name).read()? {
            Found::None => continue,
            Found::Cursor(cursor) => cursor.next,
            Found::Damaged => 0,
        };
        least = Some(least.map_or(next, |least: u64| least.min(next)));
    }
    Ok(least)
}

fn readers(dir: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        let file = entry?.file_name();
        let Some((name, NEWEST | BEFORE)) = file.to_str().and_then(|file| file.rsplit_once('.')) else {
            continue;
        };
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

fn read_file(path: &Path) -> io::Result<Found> {
    let text = match read_text(path) {
        Ok(Some(text)) => text,
        Ok(None) => return Ok(Found::None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(Found::Damaged),
        Err(error) => return Err(error),
    };
    let Some((line, rest)) = text.split_once('\n') else { return Ok(Found::Damaged) };
    if rest.trim_end_matches('\n') != sum(line) {
        return Ok(Found::Damaged);
    }
    Ok(serde_json::from_str(line).map_or(Found::Damaged, Found::Cursor))
}

fn sum(line: &str) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(line.as_bytes()))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(next: u64) -> Cursor {
        Cursor { log_id: "0".repeat(32), next, last_hash: None, place: None }
    }

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_a_torn_one_gives_way_to_the_one_before() {
        let data = tempfile::tempdir().unwrap();
        let file = CursorFile::new(data.path(), "siem");
        assert_eq!(file.read().unwrap(), Found::None);
        assert_eq!(least_cursor(data.path()).unwrap(), None);
        for next in [3, 5, 8] {
            file.write(&at(next)).unwrap();
            assert_eq!(file.read().unwrap(), Found::Cursor(at(next)));
        }
        let whole = fs::read(file.path(NEWEST)).unwrap();
        for length in 0..whole.len() - 1 {
            fs::write(file.path(NEWEST), &whole[..length]).unwrap();
            assert_eq!(file.read().unwrap(), Found::Cursor(at(5)), "cut to {length}");
        }
        for byte in 0..whole.len() - 1 {
            let mut changed = whole.clone();
            changed[byte] ^= 1;
            fs::write(file.path(NEWEST), &changed).unwrap();
            assert_eq!(file.read().unwrap(), Found::Cursor(at(5)), "byte {byte}");
        }
        // A torn one does not push the good one out.
        file.write(&at(9)).unwrap();
        fs::write(file.path(NEWEST), b"").unwrap();
        assert_eq!(file.read().unwrap(), Found::Cursor(at(5)));
        fs::write(file.path(BEFORE), b"\xff").unwrap();
        assert_eq!(file.read().unwrap(), Found::Damaged);
        assert_eq!(least_cursor(data.path()).unwrap(), Some(0));
    }

    #[test]
    fn the_least_cursor_is_that_of_the_slowest_and_one_that_left_holds_nothing_back() {
        let data = tempfile::tempdir().unwrap();
        for (name, next) in [("siem", 70), ("lake", 40), ("disk", 90)] {
            CursorFile::new(data.path(), name).write(&at(next)).unwrap();
        }
        assert_eq!(least_cursor(data.path()).unwrap(), Some(40));
        settle_cursors(data.path(), &["siem", "disk"]).unwrap();
        assert_eq!(least_cursor(data.path()).unwrap(), Some(70));
        settle_cursors(data.path(), &["siem", "disk", "lake"]).unwrap();
        assert_eq!(least_cursor(data.path()).unwrap(), Some(40));
        assert_eq!(CursorFile::new(data.path(), "lake").read().unwrap(), Found::Cursor(at(40)));
    }
}
