//! The operating system's user that a throwaway PostgreSQL runs as: it refuses to run as root.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use crate::Error;

/// Who runs the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunAs {
    /// The user we are (not root).
    Ourselves,
    /// We are root; an unprivileged user instead.
    User { uid: u32, gid: u32 },
}

/// Users a cluster may run as when we are root, best first.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

impl RunAs {
    /// # Errors
    /// We are root and the machine knows none of the unprivileged users.
    pub(crate) fn unprivileged() -> Result<Self, Error> {
        let own = std::fs::metadata("/proc/self").map_err(Error::doing("/proc/self"))?;
        if own.uid() != 0 {
            return Ok(Self::Ourselves);
        }
        let passwd = std::fs::read_to_string("/etc/passwd").map_err(Error::doing("/etc/passwd"))?;
        CANDIDATES.iter().find_map(|name| find(&passwd, name)).ok_or_else(|| {
            Error::new(format!(
                "running as root, and none of the users {CANDIDATES:?} exists to run PostgreSQL"
            ))
        })
    }

    pub(crate) fn apply(self, command: &mut Command) {
        if let Self::User { uid, gid } = self {
            command.uid(uid).gid(gid);
        }
    }

    /// Makes `path` the user's own.
    pub(crate) fn own(self, path: &std::path::Path) -> Result<(), Error> {
        match self {
            Self::Ourselves => Ok(()),
            Self::User { uid, gid } => std::os::unix::fs::chown(path, Some(uid), Some(gid))
                .map_err(Error::doing(format_args!("chown {}", path.display()))),
        }
    }
}

/// A line of passwd(5) is `name:password:uid:gid:…`.
fn find(passwd: &str, name: &str) -> Option<RunAs> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.next()? == name;
        let (_, uid, gid) = (fields.next()?, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        found.then_some(RunAs::User { uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_the_whole_name() {
        let passwd = "root:x:0:0::/:\npostgresql:x:7:8::/:\nnobody:x:65534:65534::/:\n";
        assert_eq!(find(passwd, "postgres"), None);
        assert_eq!(find(passwd, "nobody"), Some(RunAs::User { uid: 65534, gid: 65534 }));
    }
}
