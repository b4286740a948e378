//! A disk without space: told apart from one that fails, since what was not begun can be tried again.

use std::io::{self, ErrorKind};
use std::path::Path;

/// So much stays free, in bytes, for what the database of changes takes at once: it does not survive a write that
/// fails.
const SPARE: u64 = 1024 * 1024;

/// Why something is not written.
#[derive(Debug)]
pub(crate) enum Unwritten {
    /// There was no space for it, and nothing of it was begun: it may be tried again.
    NoSpace(io::Error),
    /// Nothing is known of what is on disk.
    Broken(io::Error),
}

impl Unwritten {
    /// An error of making room: nothing that counts was begun.
    pub(crate) fn making_room(error: io::Error) -> Self {
        if is_no_space(&error) { Self::NoSpace(error) } else { Self::Broken(error) }
    }

    pub(crate) fn into_error(self) -> io::Error {
        match self {
            Self::NoSpace(error) | Self::Broken(error) => error,
        }
    }
}

/// Whether it says that a disk or quota is full, or a file as long as it may be.
pub(crate) fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

/// An error if the disk has no room for what the database may take.
pub(crate) fn spare(dir: &Path) -> Result<(), Unwritten> {
    let disk = rustix::fs::statvfs(dir).map_err(|error| Unwritten::Broken(error.into()))?;
    if disk.f_bavail.saturating_mul(disk.f_frsize) < SPARE {
        return Err(Unwritten::NoSpace(ErrorKind::StorageFull.into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_a_failing_one() {
        for (errno, full) in [(28, true), (122, true), (27, true), (5, false), (22, false), (30, false)] {
            assert_eq!(is_no_space(&io::Error::from_raw_os_error(errno)), full, "{errno}");
        }
    }
}
