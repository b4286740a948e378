//! An index as a file: beside the records it is of, and nothing that anybody relies on.
//!
//! ```text
//! "stepgate-index 1\n"  log id (32)  first u64  count u32  root of the tree over these records (32)
//! length u32 of: blocks (first and last time, i64 each), files (offset u32, first record u64),
//!                terms (length u16, letter and text, count u32, place u32, first 8 bytes of SHA-256)
//! SHA-256 of all before
//! where in its file each record begins, u32 each
//! for each term the offsets of its records: u16 each, or, if that is longer, a bit each
//! ```
//! Numbers are big-endian. What is read of it is checked against accidents; who changes it on purpose can hide
//! records from a search, which `audit verify` finds by making it anew.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use stepgate_record::{Hash, Sieve};
use stepgate_types::Timestamp;

use super::bits::{Bits, CHUNK};
use super::chunk::{ANYTHING, BLOCK, Chunk, Times, file_of, is_wanted, leave_out};

const MAGIC: &[u8; 17] = b"stepgate-index 1\n";

/// Bytes before what has no fixed length.
const HEAD_BYTES: usize = 17 + 32 + 8 + 4 + 32 + 4;

/// What it says of its terms is not longer, in bytes: 65,536 records of 4 KiB could say no more.
const MAX_DICTIONARY: usize = 256 * 1024 * 1024;

/// The name of the index of the records from `first` on.
pub(crate) fn index_path(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:020}.index"))
}

impl Chunk {
    /// The file's bytes.
    pub(crate) fn encode(&self, log_id: &str) -> Vec<u8> {
        let mut dictionary = Vec::new();
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes();
        dictionary.extend_from_slice(&number(self.blocks.len()));
        for Times { first, last } in &self.blocks {
            dictionary.extend_from_slice(&first.micros().to_be_bytes());
            dictionary.extend_from_slice(&last.micros().to_be_bytes());
        }
        dictionary.extend_from_slice(&number(self.files.len()));
        for (offset, file) in &self.files {
            dictionary.extend_from_slice(&offset.to_be_bytes());
            dictionary.extend_from_slice(&file.to_be_bytes());
        }
        let mut postings = Vec::new();
        for (term, offsets) in &self.terms {
            // None is as long as a record.
            let Ok(length) = u16::try_from(term.len()) else { continue };
            let stored = Bits::encode(offsets);
            dictionary.extend_from_slice(&length.to_be_bytes());
            dictionary.extend_from_slice(term);
            dictionary.extend_from_slice(&number(offsets.len()));
            dictionary.extend_from_slice(&number(postings.len()));
            dictionary.extend_from_slice(&digest(&stored));
            postings.extend_from_slice(&stored);
        }
        let mut bytes = Vec::with_capacity(dictionary.len() + postings.len() + self.places.len() * 4 + 256);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(log_id.as_bytes());
        bytes.extend_from_slice(&self.first.to_be_bytes());
        bytes.extend_from_slice(&number(self.places.len()));
        bytes.extend_from_slice(self.tree.root().unwrap_or(Hash::ZERO).bytes());
        bytes.extend_from_slice(&number(dictionary.len()));
        bytes.append(&mut dictionary);
        let all = Sha256::digest(&bytes);
        bytes.extend_from_slice(&all);
        self.places.iter().for_each(|place| bytes.extend_from_slice(&place.to_be_bytes()));
        bytes.append(&mut postings);
        bytes
    }
}

fn digest(stored: &[u8]) -> [u8; 8] {
    let hash: [u8; 32] = Sha256::digest(stored).into();
    hash.first_chunk().copied().unwrap_or_default()
}

/// An index file that was opened.
pub(super) struct Stored {
    file: File,
    blocks: Vec<Times>,
    files: Vec<(u32, u64)>,
    terms: Vec<u8>,
    count: usize,
    /// Where the places of records begin, and where postings do.
    places: u64,
    postings: u64,
}

impl Stored {
    /// Opens the whole index of the chunk that begins with `first`; `None`: there is none that is good.
    pub(super) fn open(dir: &Path, log_id: &str, first: u64) -> Option<Self> {
        let file = File::open(index_path(dir, first)).ok()?;
        let mut head = [0; HEAD_BYTES];
        file.read_exact_at(&mut head, 0).ok()?;
        let mut rest = &head[..];
        let fits = take::<17>(&mut rest)? == *MAGIC
            && take::<32>(&mut rest)? == *log_id.as_bytes()
            && u64::from_be_bytes(take(&mut rest)?) == first;
        let count = u32::from_be_bytes(take(&mut rest)?);
        let _root: [u8; 32] = take(&mut rest)?;
        let length = usize::try_from(u32::from_be_bytes(take(&mut rest)?)).ok()?;
        if !fits || u64::from(count) != CHUNK || length > MAX_DICTIONARY {
            return None;
        }
        let mut bytes = vec![0; length + 32];
        file.read_exact_at(&mut bytes, u64::try_from(HEAD_BYTES).ok()?).ok()?;
        let (dictionary, said) = bytes.split_at_checked(length)?;
        let is: [u8; 32] = Sha256::new().chain_update(head).chain_update(dictionary).finalize().into();
        if is != said {
            return None;
        }
        let mut rest = dictionary;
        let mut blocks = Vec::new();
        for _ in 0..u32::from_be_bytes(take(&mut rest)?) {
            let first = Timestamp::from_micros(i64::from_be_bytes(take(&mut rest)?));
            blocks.push(Times { first, last: Timestamp::from_micros(i64::from_be_bytes(take(&mut rest)?)) });
        }
        let mut files = Vec::new();
        for _ in 0..u32::from_be_bytes(take(&mut rest)?) {
            files.push((u32::from_be_bytes(take(&mut rest)?), u64::from_be_bytes(take(&mut rest)?)));
        }
        let count = usize::try_from(count).ok()?;
        let places = u64::try_from(HEAD_BYTES + bytes.len()).ok()?;
        let postings = places + u64::try_from(count * 4).ok()?;
        (blocks.len() == count.div_ceil(BLOCK)).then_some(())?;
        Some(Self { file, blocks, files, terms: rest.to_vec(), count, places, postings })
    }

    /// As [`Chunk::candidates`]; `None`: the file is not good.
    pub(super) fn candidates(&self, sieve: &Sieve) -> Option<Bits> {
        let mut of_facets: Vec<_> =
            sieve.wanted().map(|(facet, wanted)| (facet.letter(), wanted, Bits::none())).collect();
        let mut rest = &self.terms[..];
        while !rest.is_empty() && !of_facets.is_empty() {
            let length = usize::from(u16::from_be_bytes(take(&mut rest)?));
            let (term, after) = rest.split_at_checked(length)?;
            rest = after;
            let count = usize::try_from(u32::from_be_bytes(take(&mut rest)?)).ok()?;
            let place = u32::from_be_bytes(take(&mut rest)?);
            let said: [u8; 8] = take(&mut rest)?;
            for (letter, wanted, bits) in &mut of_facets {
                if term == ANYTHING || (term.first() == Some(letter) && is_wanted(term, wanted)) {
                    let mut stored = vec![0; Bits::stored_bytes(count)];
                    self.file.read_exact_at(&mut stored, self.postings + u64::from(place)).ok()?;
                    if digest(&stored) != said || !bits.add(count, &stored) {
                        return None;
                    }
                }
            }
        }
        let mut candidates = Bits::first(self.count);
        of_facets.iter().for_each(|(_, _, bits)| candidates.and(bits));
        leave_out(&mut candidates, &self.blocks, sieve);
        Some(candidates)
    }

    /// As [`Chunk::place`].
    pub(super) fn place(&self, offset: u16) -> Option<(u64, u64)> {
        let mut place = [0; 4];
        self.file.read_exact_at(&mut place, self.places + u64::from(offset) * 4).ok()?;
        Some((file_of(&self.files, offset)?, u64::from(u32::from_be_bytes(place))))
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*first)
}

/// Compares the file of a chunk with what was made from its records. `Ok(false)`: it differs.
pub(crate) fn is_as_made(dir: &Path, log_id: &str, chunk: &Chunk) -> io::Result<bool> {
    match std::fs::read(index_path(dir, chunk.first)) {
        Ok(bytes) => Ok(bytes == chunk.encode(log_id)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}
