//! Archives (POSIX ustar): plain files only, each header the one form that we write.

use std::io::{self, Read, Write};

/// Bytes of a block.
const BLOCK: usize = 512;

/// The largest file: eleven octal digits.
const MAX_SIZE: u64 = 0o77_777_777_777;

/// The longest name of a file.
const MAX_NAME: usize = 64;

/// Writes an archive's entries, one after the other.
pub struct TarWriter<W> {
    out: W,
}

impl<W: Write> TarWriter<W> {
    /// Begins an archive.
    pub const fn new(out: W) -> Self {
        Self { out }
    }

    /// Appends a file of exactly `size` bytes.
    ///
    /// # Errors
    /// It cannot be read or written, has another size, or is too large.
    pub fn file(&mut self, name: &str, size: u64, content: &mut dyn Read) -> io::Result<()> {
        let header = header(name, size).ok_or_else(|| {
            io::Error::other(format!("{name} is too large for a .tar (8 GiB): write a directory"))
        })?;
        self.out.write_all(&header)?;
        let copied = io::copy(&mut content.take(size), &mut self.out)?;
        if copied != size {
            return Err(io::Error::other(format!("{name} became shorter while it was read")));
        }
        self.out.write_all(zeros(padding(size)))
    }

    /// Ends the archive.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&[0; 2 * BLOCK])?;
        self.out.flush()?;
        Ok(self.out)
    }
}

/// A file in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarEntry {
    /// Its name.
    pub name: String,
    /// Where in the archive it begins.
    pub offset: u64,
    /// How long it is.
    pub size: u64,
}

/// Why an archive is refused.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is none that `audit export` wrote, or was changed.
    #[error("not an archive as `audit export` writes it: {0}")]
    Malformed(&'static str),
}

/// Lists an archive. Nothing in it goes unchecked: links, directories, paths, further names, dates, bytes between or
/// after the files are refused, so that no two programs can read it differently.
///
/// # Errors
/// See [`TarError`].
pub fn read_tar(reader: &mut dyn Read, max_entries: usize) -> Result<Vec<TarEntry>, TarError> {
    let mut entries: Vec<TarEntry> = Vec::new();
    let mut offset = 0_u64;
    loop {
        let mut block = [0; BLOCK];
        fill(reader, &mut block)?;
        offset = offset.saturating_add(BLOCK as u64);
        if block.iter().all(|byte| *byte == 0) {
            fill(reader, &mut block)?;
            if block.iter().any(|byte| *byte != 0) {
                return Err(TarError::Malformed("one empty block"));
            }
            return if reader.read(&mut [0])? == 0 {
                Ok(entries)
            } else {
                Err(TarError::Malformed("something stands after its end"))
            };
        }
        let (name, size) = parse(&block).ok_or(TarError::Malformed("a header"))?;
        if header(&name, size) != Some(block) {
            return Err(TarError::Malformed("a header"));
        }
        if entries.iter().any(|entry| entry.name == name) {
            return Err(TarError::Malformed("two files of one name"));
        }
        if entries.len() >= max_entries {
            return Err(TarError::Malformed("too many files"));
        }
        entries.push(TarEntry { name, offset, size });
        if io::copy(&mut reader.take(size), &mut io::sink())? != size {
            return Err(TarError::Malformed("it ends within a file"));
        }
        let padding = padding(size);
        let mut rest = [0; BLOCK];
        let rest = rest.get_mut(..padding).unwrap_or_default();
        fill(reader, rest)?;
        if rest.iter().any(|byte| *byte != 0) {
            return Err(TarError::Malformed("something stands between its files"));
        }
        offset = offset.saturating_add(size).saturating_add(padding as u64);
    }
}

fn fill(reader: &mut dyn Read, block: &mut [u8]) -> Result<(), TarError> {
    reader.read_exact(block).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => TarError::Malformed("it ends early"),
        _ => TarError::Io(error),
    })
}

/// Bytes from the end of a file to that of its last block.
fn padding(size: u64) -> usize {
    let over = usize::try_from(size % BLOCK as u64).unwrap_or(0);
    if over == 0 { 0 } else { BLOCK - over }
}

fn zeros(length: usize) -> &'static [u8] {
    const ZEROS: [u8; BLOCK] = [0; BLOCK];
    ZEROS.get(..length).unwrap_or_default()
}

fn parse(block: &[u8; BLOCK]) -> Option<(String, u64)> {
    let name = block.get(..MAX_NAME)?.split(|byte| *byte == 0).next()?;
    let name = std::str::from_utf8(name).ok()?.to_owned();
    let size = std::str::from_utf8(block.get(124..135)?).ok()?;
    Some((name, u64::from_str_radix(size, 8).ok()?))
}

/// A name without any path, and nothing that a terminal or a shell would take for something else.
fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !name.is_empty() && name.len() < MAX_NAME && name.bytes().all(plain) && !name.starts_with('.')
}

/// The header block of a file: mode 0644, of root, of 1970, so that equal content makes equal archives.
fn header(name: &str, size: u64) -> Option<[u8; BLOCK]> {
    if !is_plain(name) || size > MAX_SIZE {
        return None;
    }
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| {
        for (to, from) in block.iter_mut().skip(at).zip(bytes) {
            *to = *from;
        }
    };
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    // The checksum is made as if it were spaces.
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().copied().map(u32::from).sum();
    let sum = format!("{sum:06o}\0 ");
    for (to, from) in block.iter_mut().skip(148).zip(sum.bytes()) {
        *to = from;
    }
    Some(block)
}
