//! The files of a bundle, in a directory or an archive.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use stepgate_record::bundle::{Files, MAX_FILES, TarEntry, TarError, files, read_tar};

/// Bytes that are read at once.
const BUFFER: usize = 128 * 1024;

/// A directory.
pub(crate) struct BundleDir {
    dir: PathBuf,
}

impl BundleDir {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }
}

impl Files for BundleDir {
    fn names(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(&self.dir) else { return Vec::new() };
        let name = |entry: io::Result<fs::DirEntry>| {
            // What has no proper name, or is no plain file, belongs to no bundle.
            let entry = entry.ok()?;
            let plain = entry.file_type().is_ok_and(|kind| kind.is_file());
            entry.file_name().into_string().ok().filter(|_| plain)
        };
        entries.take(MAX_FILES.saturating_add(1)).map(|entry| name(entry).unwrap_or_default()).collect()
    }

    fn open(&self, name: &str) -> io::Result<Option<Box<dyn BufRead + '_>>> {
        let path = self.dir.join(name);
        match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_file() => {}
            Ok(_) => return Err(io::Error::other("not a plain file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
        Ok(Some(Box::new(BufReader::with_capacity(BUFFER, File::open(path)?))))
    }
}

/// An archive.
pub(crate) struct BundleTar {
    path: PathBuf,
    entries: Vec<TarEntry>,
}

impl BundleTar {
    /// Lists it.
    pub(crate) fn open(path: &Path) -> Result<Self, TarError> {
        let mut file = BufReader::with_capacity(BUFFER, File::open(path)?);
        Ok(Self { path: path.to_owned(), entries: read_tar(&mut file, MAX_FILES)? })
    }
}

impl Files for BundleTar {
    fn names(&self) -> Vec<String> {
        self.entries.iter().map(|entry| entry.name.clone()).collect()
    }

    fn open(&self, name: &str) -> io::Result<Option<Box<dyn BufRead + '_>>> {
        let Some(entry) = self.entries.iter().find(|entry| entry.name == name) else { return Ok(None) };
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(entry.offset))?;
        Ok(Some(Box::new(BufReader::with_capacity(BUFFER, file.take(entry.size)))))
    }
}

/// Whether a directory is a bundle, and no copy of a data directory.
pub(crate) fn is_bundle_dir(dir: &Path) -> bool {
    [files::MANIFEST, files::COVER].iter().any(|name| dir.join(name).exists())
}

/// Whether a file begins as an archive does.
pub(crate) fn is_tar(begin: &[u8]) -> bool {
    begin.get(257..262) == Some(b"ustar")
}
