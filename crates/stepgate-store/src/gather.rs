//! What stands beside a full file of records once it is sealed, made from that file: to be written, or to be held
//! against what is there.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use stepgate_record::{Frontier, Hash};

use crate::frame::{Digest, Frame};
use crate::scan::{Damage, Found, Scan, file_name};

/// Records under one hash of the level that `.hashes` has besides the leaves, and under one pair of times.
pub(crate) const BLOCK: u64 = 256;

/// The first record of a frame is marked in `.offsets`.
pub(crate) const BEGINS_FRAME: u32 = 1 << 31;

/// Ends of the names of what stands beside a sealed file of records.
pub(crate) const HASHES: &str = "hashes";
pub(crate) const OFFSETS: &str = "offsets";
pub(crate) const CHECKPOINT: &str = "checkpoint";
pub(crate) const SEAL: &str = "seal";

/// A sealed segment: all that has to be known of it to go on without reading it. The file `.seal`, written last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seal {
    format: String,
    version: u64,
    pub(crate) log_id: String,
    /// The first record.
    pub(crate) first: u64,
    /// The record after the last.
    pub(crate) end: u64,
    /// Length of the file of records.
    pub(crate) bytes: u64,
    /// Times of its oldest and newest record, in microseconds since the Unix epoch.
    pub(crate) oldest_us: i64,
    pub(crate) newest_us: i64,
    /// The complete subtrees that cover it.
    pub(crate) roots: Vec<Hash>,
    /// Leaf hash of the last record.
    pub(crate) last: Hash,
    /// The last batch up to its end that changed something beside the log, and the one before: see the journal.
    changed: Option<(u64, String)>,
    changed_before: Option<(u64, String)>,
    pub(crate) records_sha256: String,
    pub(crate) hashes_sha256: String,
    pub(crate) offsets_sha256: String,
}

/// A batch that changed something beside the log.
pub(crate) type Changed = Option<(u64, Digest)>;

impl Seal {
    const FORMAT: &str = "stepgate-seal";
    const VERSION: u64 = 1;

    /// Reads the text of a `.seal` file.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let seal: Self = serde_json::from_str(text).ok()?;
        let known = seal.format == Self::FORMAT && seal.version == Self::VERSION;
        let whole = seal.range().is_some() && seal.first < seal.end && seal.changes().is_some();
        (known && whole && seal.text().is_ok_and(|again| again == text)).then_some(seal)
    }

    pub(crate) fn text(&self) -> io::Result<String> {
        Ok(format!("{}\n", serde_json::to_string(self)?))
    }

    /// The subtrees as a frontier.
    pub(crate) fn range(&self) -> Option<Frontier> {
        Frontier::from_hashes(self.first, self.end, &self.roots)
    }

    /// The last two batches that changed something beside the log.
    pub(crate) fn changes(&self) -> Option<(Changed, Changed)> {
        Some((parse_changed(self.changed.as_ref())?, parse_changed(self.changed_before.as_ref())?))
    }
}

fn parse_changed(changed: Option<&(u64, String)>) -> Option<Changed> {
    let Some((first, hex)) = changed else { return Some(None) };
    let digest = data_encoding::HEXLOWER.decode(hex.as_bytes()).ok()?.try_into().ok()?;
    Some(Some((*first, digest)))
}

pub(crate) fn format_changed(changed: Changed) -> Option<(u64, String)> {
    changed.map(|(first, digest)| (first, data_encoding::HEXLOWER.encode(&digest)))
}

/// Tells when a record was made, in microseconds since the Unix epoch, by its number and bytes; `None`: it is none.
pub(crate) type Times<'t> = &'t mut dyn FnMut(u64, &[u8]) -> Option<i64>;

/// A segment as its records say.
pub(crate) struct Made {
    pub(crate) seal: Seal,
    pub(crate) hashes: Vec<u8>,
    pub(crate) offsets: Vec<u8>,
}

/// Collects it, frame by frame.
pub(crate) struct Gather {
    log_id: String,
    first: u64,
    leaves: Vec<Hash>,
    range: Frontier,
    offsets: Vec<u8>,
    times: Vec<(i64, i64)>,
    changed: Changed,
    changed_before: Changed,
}

impl Gather {
    /// Of the segment that begins with record `first`; `changes` are the last two before it.
    pub(crate) fn new(log_id: &str, first: u64, (changed, changed_before): (Changed, Changed)) -> Self {
        Self {
            log_id: log_id.to_owned(),
            first,
            leaves: Vec::new(),
            range: Frontier::starting_at(first),
            offsets: Vec::new(),
            times: Vec::new(),
            changed,
            changed_before,
        }
    }

    /// Takes the next frame, which begins at `offset` in the file. `times` reads when a record was made, and what else it
    /// wants of it.
    pub(crate) fn take(&mut self, frame: &Frame, offset: u64, times: Times<'_>) -> Result<(), String> {
        let mut begins = BEGINS_FRAME;
        for ((seq, record, hash), start) in frame.records().zip(frame.starts()) {
            let at = offset.saturating_add(u64::try_from(start).unwrap_or(u64::MAX));
            let at = u32::try_from(at).ok().filter(|at| *at < BEGINS_FRAME);
            let at = at.ok_or_else(|| format!("record {seq} lies too far into its file"))?;
            self.offsets.extend_from_slice(&(at | std::mem::take(&mut begins)).to_be_bytes());
            let time = times(seq, record).ok_or_else(|| format!("record {seq} is none"))?;
            match self.times.last_mut() {
                Some((oldest, newest)) if u64::try_from(self.leaves.len()).unwrap_or(0) % BLOCK != 0 => {
                    (*oldest, *newest) = ((*oldest).min(time), (*newest).max(time));
                }
                _ => self.times.push((time, time)),
            }
            self.leaves.push(hash);
            self.range.push(hash);
        }
        if let Some(digest) = frame.header.changes {
            self.changed_before = self.changed.replace((frame.header.first, digest));
        }
        Ok(())
    }

    /// The number of the record that comes next.
    pub(crate) fn next(&self) -> u64 {
        self.range.end()
    }

    /// All of the segment was taken; `path` is its file.
    pub(crate) fn finish(mut self, path: &Path) -> Result<Made, String> {
        let unreadable = |error: io::Error| format!("{} cannot be read: {error}", name(path));
        let mut hashes: Vec<u8> = self.leaves.iter().flat_map(|hash| *hash.bytes()).collect();
        for block in blocks(self.first, &self.leaves) {
            hashes.extend_from_slice(block.bytes());
        }
        for (oldest, newest) in &self.times {
            self.offsets.extend_from_slice(&oldest.to_be_bytes());
            self.offsets.extend_from_slice(&newest.to_be_bytes());
        }
        let (records_sha256, bytes) = digest_file(path).map_err(unreadable)?;
        let seal = Seal {
            format: Seal::FORMAT.to_owned(),
            version: Seal::VERSION,
            log_id: self.log_id,
            first: self.first,
            end: self.range.end(),
            bytes,
            oldest_us: self.times.iter().map(|(oldest, _)| *oldest).min().unwrap_or(0),
            newest_us: self.times.iter().map(|(_, newest)| *newest).max().unwrap_or(0),
            roots: self.range.hashes(),
            last: self.leaves.last().copied().unwrap_or(Hash::ZERO),
            changed: format_changed(self.changed),
            changed_before: format_changed(self.changed_before),
            records_sha256,
            hashes_sha256: hex_digest(&hashes),
            offsets_sha256: hex_digest(&self.offsets),
        };
        Ok(Made { seal, hashes, offsets: self.offsets })
    }
}

/// Hashes over whole blocks of leaves, where these begin at a block's beginning.
fn blocks(first: u64, leaves: &[Hash]) -> Vec<Hash> {
    let aligned = first.checked_rem(BLOCK) == Some(0);
    let of_block = usize::try_from(BLOCK).unwrap_or(usize::MAX);
    let whole = leaves.chunks_exact(of_block).filter(|_| aligned);
    whole.filter_map(root_of).collect()
}

/// The root over leaves, of which there must be some.
pub(crate) fn root_of(leaves: &[Hash]) -> Option<Hash> {
    let mut frontier = Frontier::default();
    leaves.iter().for_each(|leaf| frontier.push(*leaf));
    frontier.root().filter(|_| !leaves.is_empty())
}

/// Gathers the segment `first..end` from its file; `times` sees all records.
pub(crate) fn gather(
    dir: &Path,
    log_id: &str,
    (first, end): (u64, u64),
    changes: (Changed, Changed),
    times: Times<'_>,
) -> Result<Made, String> {
    let unreadable = |error: io::Error| format!("records cannot be read: {error}");
    let damage = |Damage { record, why }: Damage| format!("record {record} {why}");
    let mut scan = Scan::from_file(dir, log_id, first).map_err(unreadable)?;
    let mut gather = Gather::new(log_id, first, changes);
    while gather.next() < end {
        let frame = match scan.advance_one().map_err(damage)? {
            Found::Frame(frame) if frame.sound => frame,
            Found::Frame(frame) => {
                return Err(format!(
                    "record {}, or what was written with it, was changed",
                    frame.header.first
                ));
            }
            Found::End(_) => return Err(format!("record {} is missing", gather.next())),
        };
        let (file, after) = scan.place().unwrap_or((first, 0));
        if file != first || frame.header.end() > end {
            return Err(format!("record {} is missing in its file", gather.next()));
        }
        gather.take(&frame, after.saturating_sub(frame.length()), times)?;
    }
    gather.finish(&dir.join(file_name(first)))
}

/// SHA-256 (hex) and length of a file.
pub(crate) fn digest_file(path: &Path) -> io::Result<(String, u64)> {
    let mut file = File::open(path)?;
    let (mut hash, mut bytes) = (Sha256::new(), 0_u64);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((data_encoding::HEXLOWER.encode(&hash.finalize()), bytes));
        }
        hash.update(buffer.get(..read).unwrap_or_default());
        bytes = bytes.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
    }
}

/// SHA-256 (hex) of bytes.
pub(crate) fn hex_digest(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(bytes))
}

/// A file's own name, for messages.
pub(crate) fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
