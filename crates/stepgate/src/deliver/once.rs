//! A file that is written once and for all, also where the disk itself lets nothing be changed (WORM).

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

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
        let there = self.read(bytes.len()).map_err(|error| trouble(&error))?;
        if there == bytes {
            return Ok(());
        }
        let Some(rest) = bytes.strip_prefix(&there[..]) else {
            return Err(Trouble::new(format!(
                "{} is there and holds something else: keep it, and find out why",
                self.path.display()
            )));
        };
        let file = self.open(OpenOptions::new().append(true)).map_err(|error| trouble(&error))?;
        self.fill(file, rest).map_err(|error| trouble(&error))
    }

    /// What is in it, and not more than one byte more than `most`.
    fn read(&self, most: usize) -> io::Result<Vec<u8>> {
        let most = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
        let mut there = Vec::new();
        self.open(OpenOptions::new().read(true))?.take(most).read_to_end(&mut there)?;
        Ok(there)
    }

    /// The file itself: not what a link leads to, and not a pipe, at which we would wait for ever.
    fn open(&self, how: &mut OpenOptions) -> io::Result<File> {
        let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default();
        let file = how.custom_flags(flags).open(&self.path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other(format!("{} is no regular file", self.path.display())));
        }
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

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

    #[test]
    fn a_link_or_a_pipe_in_its_place_is_neither_read_nor_written_nor_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = dir.path().join("elsewhere");
        fs::write(&elsewhere, "che").unwrap();
        std::os::unix::fs::symlink(&elsewhere, dir.path().join("link")).unwrap();
        let made = std::process::Command::new("mkfifo").arg(dir.path().join("pipe")).status().unwrap();
        assert!(made.success());
        for name in ["link", "pipe"] {
            let trouble = OnceFile::new(dir.path(), name).put(b"checkpoint\n").unwrap_err();
            assert!(trouble.why.contains("it cannot be written"), "{name}: {}", trouble.why);
        }
        assert_eq!(fs::read(&elsewhere).unwrap(), b"che");
    }
}
