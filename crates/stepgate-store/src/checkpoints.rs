//! Signed checkpoints in plain files outside sled: what shows that sled has lost or changed something.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use stepgate_record::verify::Known;
use stepgate_record::{Checkpoint, Hash, NoteSigner, SignedNote, VerifierKeys};

use crate::files::{read_text, write_atomic};

/// The newest checkpoint.
const LATEST: &str = "latest.checkpoint";

/// How many older checkpoints are kept (about 300 bytes each): they tell between which two the log was
/// altered.
const MAX_HISTORY: usize = if cfg!(test) { 16 } else { 1024 };

/// An older checkpoint is kept at least every so many records …
const HISTORY_RECORDS: u64 = 4096;

/// … or so often while the log grows.
const HISTORY_TIME: Duration = Duration::from_secs(60);

/// Signs and keeps checkpoints.
pub(crate) struct Checkpoints {
    dir: PathBuf,
    keys: VerifierKeys,
    /// Of the newest of them.
    signer: NoteSigner,
    last: Option<(u64, SignedNote)>,
    history: VecDeque<u64>,
    kept: Instant,
    /// There was no room for the last one.
    no_space: bool,
}

impl Checkpoints {
    pub(crate) fn new(dir: PathBuf, keys: VerifierKeys, signer: NoteSigner) -> io::Result<Self> {
        let mut history: Vec<u64> = history_sizes(&dir)?;
        history.sort_unstable();
        let (history, kept) = (history.into(), Instant::now());
        Ok(Self { dir, keys, signer, last: None, history, kept, no_space: false })
    }

    /// The log's keys.
    pub(crate) const fn keys(&self) -> &VerifierKeys {
        &self.keys
    }

    /// The checkpoint of a tree, signed by the newest key and by the one that comes after it.
    pub(crate) fn signed_by_both(&self, size: u64, root: Hash, next: &NoteSigner) -> SignedNote {
        let checkpoint = Checkpoint { origin: self.keys.name().to_owned(), size, root };
        let note = checkpoint.sign(&self.signer);
        // They are of one text.
        note.with_signatures_of(&checkpoint.sign(next)).unwrap_or(note)
    }

    /// Another key signs from now on; `tree` is the checkpoint at which it took over.
    pub(crate) fn hand_over(
        &mut self,
        keys: VerifierKeys,
        signer: NoteSigner,
        tree: (u64, SignedNote),
    ) -> io::Result<()> {
        let (size, note) = tree.clone();
        (self.keys, self.signer, self.last) = (keys, signer, Some(tree));
        write_atomic(&self.dir.join(LATEST), note.to_string().as_bytes())?;
        self.keep(size, &note)
    }

    /// Signs a text that is no checkpoint; its first line must say so.
    pub(crate) fn sign_text(&self, text: &str) -> SignedNote {
        self.signer.sign(text)
    }

    /// How many records the newest checkpoint that this process signed covers.
    pub(crate) fn last_size(&self) -> Option<u64> {
        self.last.as_ref().map(|(size, _)| *size)
    }

    /// How many records each checkpoint covers that is kept here: the newest of those that were given out are among them.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = u64> + '_ {
        self.history.iter().copied().chain(self.last_size())
    }

    /// Signs the tree of this size and root, and returns when the checkpoint is on disk. `keep`: also as
    /// an older one.
    pub(crate) fn sign(&mut self, size: u64, root: Hash, keep: bool) -> io::Result<SignedNote> {
        let due = keep
            || self.history.back().is_none_or(|last| size.saturating_sub(*last) >= HISTORY_RECORDS)
            || self.kept.elapsed() >= HISTORY_TIME;
        let note = match &self.last {
            Some((last, note)) if *last == size => note.clone(),
            _ => {
                let note = Checkpoint { origin: self.keys.name().to_owned(), size, root }.sign(&self.signer);
                write_atomic(&self.dir.join(LATEST), note.to_string().as_bytes())?;
                self.last = Some((size, note.clone()));
                note
            }
        };
        if due && self.history.back() != Some(&size) {
            self.keep(size, &note)?;
        }
        Ok(note)
    }

    /// Whether there was room for a checkpoint; returns whether that is news. One is tried each second, and a disk may be
    /// full for hours.
    pub(crate) const fn had_space(&mut self, had: bool) -> bool {
        std::mem::replace(&mut self.no_space, !had) == had
    }

    /// Keeps a checkpoint as an older one.
    fn keep(&mut self, size: u64, note: &SignedNote) -> io::Result<()> {
        write_atomic(&self.dir.join(history_name(size)), note.to_string().as_bytes())?;
        self.kept = Instant::now();
        if self.history.back() != Some(&size) {
            self.history.push_back(size);
        }
        while self.history.len() > MAX_HISTORY
            && let Some(oldest) = self.history.pop_front()
        {
            fs::remove_file(self.dir.join(history_name(oldest)))?;
        }
        Ok(())
    }
}

/// The checkpoints in `dir`, signed by these keys and, perhaps, by witnesses, the newest last.
///
/// Errors are texts that name the file.
pub(crate) fn read(dir: &Path, keys: &VerifierKeys) -> Result<Vec<Known>, String> {
    let mut names: Vec<String> = history_sizes(dir)
        .map_err(|error| format!("checkpoints cannot be listed: {error}"))?
        .into_iter()
        .map(history_name)
        .collect();
    names.push(LATEST.to_owned());
    let mut known = Vec::new();
    for name in names {
        let text = read_text(&dir.join(&name)).map_err(|error| format!("checkpoints/{name}: {error}"))?;
        let text = text.ok_or_else(|| format!("checkpoints/{name} is missing"))?;
        let checkpoint = text
            .parse::<SignedNote>()
            .and_then(|note| keys.verified_among(&note))
            .map_err(|error| format!("checkpoints/{name} was altered: {error}"))?;
        if name != LATEST && name != history_name(checkpoint.size) {
            return Err(format!("checkpoints/{name} covers {} records", checkpoint.size));
        }
        known.push(Known {
            size: checkpoint.size,
            root: checkpoint.root,
            source: format!("checkpoints/{name}"),
        });
    }
    known.sort_by_key(|known| known.size);
    Ok(known)
}

/// Whether there is any checkpoint in `dir`.
pub(crate) fn any(dir: &Path) -> io::Result<bool> {
    Ok(dir.join(LATEST).exists() || !history_sizes(dir)?.is_empty())
}

/// Whether a checkpoint in `dir`, believed or not, covers a record or cannot be read.
pub(crate) fn claim_records(dir: &Path) -> io::Result<bool> {
    let mut names: Vec<String> = history_sizes(dir)?.into_iter().map(history_name).collect();
    names.push(LATEST.to_owned());
    for name in names {
        let Some(text) = read_text(&dir.join(name))? else { continue };
        let checkpoint = text.parse::<SignedNote>().and_then(|note| Checkpoint::of(&note));
        if checkpoint.map_or(true, |checkpoint| checkpoint.size > 0) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn history_name(size: u64) -> String {
    format!("{size:020}.checkpoint")
}

fn history_sizes(dir: &Path) -> io::Result<Vec<u64>> {
    let mut sizes = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let Some(size) = name.to_str().and_then(|name| name.strip_suffix(".checkpoint")) else { continue };
        if let Ok(size) = size.parse() {
            sizes.push(size);
        }
    }
    Ok(sizes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_checkpoints_are_bounded_and_the_newest_stay() {
        let dir = tempfile::tempdir().unwrap();
        let signer = || NoteSigner::new("stepgate/x", &[7; 32]).unwrap();
        let key: VerifierKeys = signer().verifier_key().into();
        let mut checkpoints = Checkpoints::new(dir.path().to_owned(), key.clone(), signer()).unwrap();
        let sizes = 0..u64::try_from(MAX_HISTORY).unwrap() + 10;
        for size in sizes.clone() {
            checkpoints.sign(size, Hash::ZERO, true).unwrap();
        }
        let known: Vec<u64> = read(dir.path(), &key).unwrap().iter().map(|known| known.size).collect();
        // The newest is there twice: as the newest and as one of the others.
        assert_eq!(known[..MAX_HISTORY], sizes.clone().skip(10).collect::<Vec<u64>>());
        assert_eq!(known.len(), MAX_HISTORY + 1);
        assert_eq!(checkpoints.last_size(), sizes.last());
    }

    #[test]
    fn a_growing_log_keeps_an_older_checkpoint_now_and_then() {
        let dir = tempfile::tempdir().unwrap();
        let signer = NoteSigner::new("stepgate/x", &[7; 32]).unwrap();
        let keys = signer.verifier_key().into();
        let mut checkpoints = Checkpoints::new(dir.path().to_owned(), keys, signer).unwrap();
        for size in [0, 1, 5, HISTORY_RECORDS - 1, HISTORY_RECORDS, HISTORY_RECORDS + 1] {
            checkpoints.sign(size, Hash::ZERO, false).unwrap();
        }
        let mut sizes = history_sizes(dir.path()).unwrap();
        sizes.sort_unstable();
        assert_eq!(sizes, [0, HISTORY_RECORDS]);
    }
}
