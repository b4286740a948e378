//! Checkpoints that witnesses have cosigned, in files of their own beside the others: a bad one is named by
//! verification, and never keeps the gate from opening its log.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::PoisonError;

use stepgate_record::{Checkpoint, Event, IntegrityFailed, NoteError, SignedNote, VerifierKeys, WitnessKey};

use crate::files::{read_text, write_atomic};
use crate::{Log, LogError};

/// The end of their names, which begin with the number of records.
const SUFFIX: &str = ".cosigned";

/// How many are kept.
const MAX_KEPT: usize = 256;

/// Why cosignatures are not taken.
#[derive(Debug, thiserror::Error)]
pub enum CosignError {
    /// They do not hold, are of nobody who is known, or of another log.
    #[error("the cosigned checkpoint is refused: {0}")]
    Refused(#[from] NoteError),
    /// The checkpoint says what is not so.
    #[error("the cosigned checkpoint is not of this log as it is here: {0}")]
    NotOurs(String),
    /// It cannot be kept.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// What was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosigned {
    /// The tree.
    pub checkpoint: Checkpoint,
    /// Who has cosigned it and had not before.
    pub witnesses: Vec<WitnessKey>,
}

fn file_name(size: u64) -> String {
    format!("{size:020}{SUFFIX}")
}

fn sizes(dir: &Path) -> io::Result<Vec<u64>> {
    let mut sizes = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let size = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)).map(str::parse::<u64>);
        sizes.extend(size.and_then(Result::ok));
    }
    sizes.sort_unstable();
    Ok(sizes)
}

/// All of them, the oldest first. Errors are texts that name the file.
pub(crate) fn read(dir: &Path, keys: &VerifierKeys) -> Result<Vec<(Checkpoint, SignedNote)>, String> {
    let sizes = sizes(dir).map_err(|error| format!("checkpoints cannot be listed: {error}"))?;
    let one = |size: u64| {
        let name = file_name(size);
        let text = read_text(&dir.join(&name)).map_err(|error| format!("checkpoints/{name}: {error}"))?;
        let text = text.ok_or_else(|| format!("checkpoints/{name} is missing"))?;
        let note = text.parse::<SignedNote>();
        let read = note.and_then(|note| Ok((keys.verified_among(&note)?, note)));
        let (checkpoint, note) = read.map_err(|error| format!("checkpoints/{name} was altered: {error}"))?;
        if checkpoint.size != size {
            return Err(format!("checkpoints/{name} covers {} records", checkpoint.size));
        }
        Ok((checkpoint, note))
    };
    sizes.into_iter().map(one).collect()
}

impl Log {
    /// The checkpoints that were cosigned, the oldest first; those that cannot be read are left out.
    #[must_use]
    pub fn cosigned(&self) -> Vec<SignedNote> {
        let dir = &self.shared().checkpoints_dir;
        let keys = self.keys();
        let one = |size: u64| {
            let note: SignedNote = read_text(&dir.join(file_name(size))).ok()??.parse().ok()?;
            keys.verified_among(&note).ok().map(|_| note)
        };
        sizes(dir).unwrap_or_default().into_iter().filter_map(one).collect()
    }

    /// Keeps a checkpoint of this log with the lines of witnesses, all of whom must be among `known`. Records
    /// `witness.cosigned` for each that is new; of one of another history, `integrity.failed`. Blocks the thread.
    ///
    /// # Errors
    /// See [`CosignError`].
    pub fn cosign(&self, note: &SignedNote, known: &[WitnessKey]) -> Result<Cosigned, CosignError> {
        let shared = self.shared();
        self.holds(&self.keys().verified_among(note)?)?;
        let witnesses = {
            let mut checkpoints = shared.checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
            let keys = checkpoints.keys().clone();
            let checkpoint = keys.verified_among(note)?;
            let new = note.cosigned_by(keys.name(), known)?;
            if new.is_empty() {
                return Err(NoteError::NotSigned("any known witness".to_owned()).into());
            }
            let path = shared.checkpoints_dir.join(file_name(checkpoint.size));
            let kept = read_text(&path).ok().flatten().and_then(|text| text.parse::<SignedNote>().ok());
            let kept = kept.filter(|kept| keys.verified_among(kept).is_ok());
            if kept.as_ref().is_some_and(|kept| kept.text() != note.text()) {
                let why = "another checkpoint of the same size was cosigned before".to_owned();
                return Err(CosignError::NotOurs(why));
            }
            let is_new = |witness: &&WitnessKey| {
                kept.as_ref().is_none_or(|kept| !matches!(witness.cosigned(kept), Ok(Some(_))))
            };
            let new: Vec<WitnessKey> = new.into_iter().filter(is_new).cloned().collect();
            if !new.is_empty() {
                let whole = kept.as_ref().and_then(|kept| kept.with_signatures_of(note));
                let whole = whole.unwrap_or_else(|| note.clone());
                let written = write_atomic(&path, whole.to_string().as_bytes());
                written.map_err(|error| LogError::Io(format!("{}: {error}", path.display())))?;
                checkpoints.forget_oldest_cosigned(&shared.checkpoints_dir);
            }
            (checkpoint, new)
        };
        let (checkpoint, witnesses) = witnesses;
        let event = |witness: &WitnessKey| Event::WitnessCosigned {
            witness: witness.to_string(),
            size: checkpoint.size,
            root: checkpoint.root,
        };
        let events: Vec<Event> = witnesses.iter().map(event).collect();
        if !events.is_empty() {
            self.append_blocking(events, Vec::new())?;
        }
        Ok(Cosigned { checkpoint, witnesses })
    }

    /// Whether a checkpoint that our own key signed is of the records that are here. One that is not says that this log
    /// was put back, or that somebody else has its key: that must not be lost with the command's output.
    fn holds(&self, Checkpoint { size, root, .. }: &Checkpoint) -> Result<(), CosignError> {
        let there = self.len();
        if *size > there {
            return Err(CosignError::NotOurs(format!("it covers {size} records, there are {there}")));
        }
        if self.frontier_at(*size)?.root() == Some(*root) {
            return Ok(());
        }
        tracing::error!(
            size,
            "A CHECKPOINT THAT THIS LOG'S KEY SIGNED IS OF OTHER RECORDS THAN THIS LOG HAS"
        );
        let place = "a checkpoint that this log's key signed is of other records".to_owned();
        let failed = IntegrityFailed { first: 0, end: *size, place };
        self.append_blocking(vec![Event::IntegrityFailed(failed)], Vec::new())?;
        let why = format!(
            "this log's own key has signed another history of the first {size} records: the log was restored or \
             altered, or its key is in other hands"
        );
        Err(CosignError::NotOurs(why))
    }
}

impl crate::checkpoints::Checkpoints {
    /// Keeps the newest ones, and the newest of each name that signed any.
    fn forget_oldest_cosigned(&mut self, dir: &Path) {
        let sizes = sizes(dir).unwrap_or_default();
        let Some(excess) = sizes.len().checked_sub(MAX_KEPT).filter(|excess| *excess > 0) else { return };
        let mut newest: BTreeMap<String, u64> = BTreeMap::new();
        for size in &sizes {
            let note = read_text(&dir.join(file_name(*size))).ok().flatten();
            let note = note.and_then(|text| text.parse::<SignedNote>().ok());
            for name in note.iter().flat_map(SignedNote::signers) {
                newest.insert(name.to_owned(), *size);
            }
        }
        for size in sizes.iter().take(excess).filter(|size| !newest.values().any(|kept| kept == *size)) {
            // It is older evidence of what a newer one shows, too.
            let _ = fs::remove_file(dir.join(file_name(*size)));
        }
    }
}
