//! A file that is written once and for all, also where the disk itself lets nothing be changed (WORM).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::trouble::Trouble;

/// A new file in a directory of others.
pub(super) struct OnceFile {
    dir: PathBuf,
    path: PathBuf,
}

impl OnceFile {
    pub(super) fn new(dir: &Path, name: &str) -> Self {
        Self { dir: dir.to_owned(), path: dir.join(name) }
    }

    /// Writes it, if it is not there with the very same in it; returns when it is on disk.
    pub(super) fn put(&self, bytes: &[u8]) -> Result<(), Trouble> {
        let trouble = |error: &io::Error| Trouble::io("it cannot be written", error);
        match OpenOptions::new().write(true).create_new(true).mode(0o640).open(&self.path) {
            Ok(file) => self.fill(file, bytes).map_err(|error| trouble(&error)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.again(bytes),
            Err(error) => Err(trouble(&error)),
        }
    }

    fn fill(&self, mut file: File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)?;
        file.sync_all()?;
        File::open(&self.dir)?.sync_all()
    }

    /// It is there: as it should be, torn by a crash, which can be mended by adding to it, or somebody else's.
    fn again(&self, bytes: &[u8]) -> Result<(), Trouble> {
        let trouble = |error: &io::Error| Trouble::io("it cannot be written", error);
        let there = fs::read(&self.path).map_err(|error| trouble(&error))?;
        if there == bytes {
            return Ok(());
        }
        let Some(rest) = bytes.strip_prefix(&there[..]) else {
            return Err(Trouble::new(format!(
                "{} is there and holds something else: keep it, and find out why",
                self.path.display()
            )));
        };
        let file = OpenOptions::new().append(true).open(&self.path).map_err(|error| trouble(&error))?;
        self.fill(file, rest).map_err(|error| trouble(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_never_changed_but_for_what_a_crash_left_unfinished() {
        let dir = tempfile::tempdir().unwrap();
        let file = OnceFile::new(dir.path(), "1");
        for torn in ["", "che", "checkpoint\n"] {
            fs::write(dir.path().join("1"), torn).unwrap();
            file.put(b"checkpoint\n").unwrap();
            assert_eq!(fs::read(dir.path().join("1")).unwrap(), b"checkpoint\n");
        }
        let trouble = file.put(b"chequepoint\n").unwrap_err();
        assert!(trouble.why.contains("something else"), "{}", trouble.why);
        assert_eq!(fs::read(dir.path().join("1")).unwrap(), b"checkpoint\n");
    }
}
