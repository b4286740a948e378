//! Where this machine keeps PostgreSQL's server binaries.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Error;

/// A directory that holds `postgres`, `initdb` and `psql` of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    directory: PathBuf,
    version: String,
}

/// What a directory must hold to be of use.
const NEEDED: [&str; 3] = ["postgres", "initdb", "psql"];

impl Binaries {
    /// Looks at `STEPGATE_PG_BIN`, then at the directory that `postgres` in PATH really lies in, then at
    /// what `pg_config --bindir` names, then at `/usr/lib/postgresql/*/bin` (newest first).
    ///
    /// # Errors
    /// There are none; the error says what to install.
    pub fn find() -> Result<Self, Error> {
        candidates().into_iter().find_map(|directory| Self::at(&directory)).ok_or_else(|| {
            Error::new(
                "no PostgreSQL server binaries found (looked in PATH and /usr/lib/postgresql/*/bin); \
                 on Debian or Ubuntu: apt-get install postgresql",
            )
        })
    }

    fn at(directory: &Path) -> Option<Self> {
        if !NEEDED.iter().all(|name| directory.join(name).is_file()) {
            return None;
        }
        let output = Command::new(directory.join("postgres")).arg("--version").output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        // "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"
        let version = text.split_whitespace().nth(2)?.to_owned();
        Some(Self { directory: directory.to_owned(), version })
    }

    /// The path of one of them.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Like `15.18`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }
}

fn candidates() -> Vec<PathBuf> {
    let named = std::env::var_os("STEPGATE_PG_BIN").map(PathBuf::from);
    let in_path = std::env::var_os("PATH").into_iter().flat_map(|path| {
        std::env::split_paths(&path)
            .filter_map(|directory| directory.join("postgres").canonicalize().ok())
            .filter_map(|postgres| postgres.parent().map(Path::to_owned))
            .collect::<Vec<_>>()
    });
    named.into_iter().chain(in_path).chain(pg_config()).chain(debian()).collect()
}

fn pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()))
}

/// Debian's and PGDG's places, newest major first.
fn debian() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir("/usr/lib/postgresql") else { return Vec::new() };
    let mut majors: Vec<u32> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    majors.sort_unstable_by(|a, b| b.cmp(a));
    majors.into_iter().map(|major| PathBuf::from(format!("/usr/lib/postgresql/{major}/bin"))).collect()
}
