//! The keys that a log signs by, one after the other: each was signed in by the one before it.
//!
//! A key takes over at one tree, which holds the record that names it and which both keys signed. From a key that one
//! trusts, then, all later ones follow. Who has only the old key cannot sign what came after it was replaced; who has
//! only the new one cannot sign what came before it, since the old one's signature is on the tree they share.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::canonical::canonical;
use crate::note::SignatureLine;
use crate::{Checkpoint, Event, Hash, NoteError, Record, SignedNote, VerifierKey, inclusion_holds};

/// How many keys a log has at most: each of them but the first takes about 6 kB wherever they are listed.
pub const MAX_KEYS: usize = 64;

/// The longest list, in bytes.
const MAX_LIST_BYTES: usize = 1024 * 1024;

/// The list of keys is none, or does not prove what it says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// Not in the form of a list of keys.
    #[error("no list of a log's keys")]
    Malformed,
    /// More keys than there may be.
    #[error("a log has at most {MAX_KEYS} keys")]
    TooMany,
    /// The key of this number was not signed in.
    #[error("key {0} is not signed in by the one before it: {1}")]
    Unproven(usize, String),
}

/// How one key took over from the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover {
    key: VerifierKey,
    tree: Checkpoint,
    note: SignedNote,
    seq: u64,
    record: Vec<u8>,
    path: Vec<Hash>,
}

/// A log's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKeys {
    first: VerifierKey,
    handovers: Vec<Handover>,
}

/// The same as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyList {
    format: String,
    version: u64,
    /// The first key.
    first: String,
    handovers: Vec<KeyListEntry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyListEntry {
    /// The key that takes over.
    key: String,
    /// The tree from which on it signs, signed by it and by the one before.
    checkpoint: String,
    /// Number of the record that names it.
    seq: u64,
    /// That record's bytes.
    record: String,
    /// The record's audit path in the tree.
    path: Vec<Hash>,
}

impl KeyList {
    const FORMAT: &str = "stepgate-keys";
    const VERSION: u64 = 1;
}

impl Handover {
    /// From the note that both keys signed, and the record (its number, bytes, and audit path in that tree) which names
    /// the new one. Believed only as part of [`VerifierKeys`].
    ///
    /// # Errors
    /// The note is no checkpoint.
    pub fn new(
        key: VerifierKey,
        note: SignedNote,
        (seq, record): (u64, Vec<u8>),
        path: Vec<Hash>,
    ) -> Result<Self, NoteError> {
        Ok(Self { key, tree: Checkpoint::of(&note)?, note, seq, record, path })
    }

    /// The tree at which the key took over.
    #[must_use]
    pub const fn tree(&self) -> &Checkpoint {
        &self.tree
    }

    /// The same as a note, signed by both keys.
    #[must_use]
    pub const fn note(&self) -> &SignedNote {
        &self.note
    }

    /// Number of the record that names the key.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// Whether the key, of number `n`, took over from `old` as it should.
    fn check(&self, old: &VerifierKey, n: usize) -> Result<(), String> {
        if self.key.name() != old.name() || self.tree.origin != old.name() {
            return Err("it is of another log".to_owned());
        }
        let ours = |line: &SignatureLine| line.name == old.name();
        let both = self.note.lines().len() == 2 && self.note.lines().iter().all(ours) && self.key != *old;
        if !both {
            return Err("the tree they share is not signed by these two alone".to_owned());
        }
        for key in [old, &self.key] {
            self.note.verify(key).map_err(|error| format!("the tree they share: {error}"))?;
        }
        let record = Record::decode(&self.record).map_err(|error| format!("the record: {error}"))?;
        let named = match &record.event {
            Event::KeyRotated { old: from, new, n: number } => {
                *from == old.to_string() && *new == self.key.to_string() && usize::try_from(*number) == Ok(n)
            }
            _ => false,
        };
        if !named || record.seq != self.seq || Checkpoint::origin(&record.log_id) != self.tree.origin {
            return Err(format!("record {} does not name it", self.seq));
        }
        let Checkpoint { size, root, .. } = &self.tree;
        if inclusion_holds(&Hash::leaf(&self.record), self.seq, *size, &self.path, root) {
            Ok(())
        } else {
            Err(format!("record {} is not proven to be in the tree they share", self.seq))
        }
    }

    fn entry(&self) -> KeyListEntry {
        KeyListEntry {
            key: self.key.to_string(),
            checkpoint: self.note.to_string(),
            seq: self.seq,
            // It was read as JSON, and so is text.
            record: String::from_utf8_lossy(&self.record).into_owned(),
            path: self.path.clone(),
        }
    }
}

impl From<VerifierKey> for VerifierKeys {
    fn from(first: VerifierKey) -> Self {
        Self { first, handovers: Vec::new() }
    }
}

impl VerifierKeys {
    /// The log's name, which all its keys have.
    #[must_use]
    pub fn name(&self) -> &str {
        self.first.name()
    }

    /// The first key.
    #[must_use]
    pub const fn first(&self) -> &VerifierKey {
        &self.first
    }

    /// The key that signs now.
    #[must_use]
    pub fn newest(&self) -> &VerifierKey {
        self.handovers.last().map_or(&self.first, |handover| &handover.key)
    }

    /// How many keys there are: at least one.
    #[must_use]
    pub fn count(&self) -> usize {
        self.handovers.len().saturating_add(1)
    }

    /// Each key but the first took over so.
    #[must_use]
    pub fn handovers(&self) -> &[Handover] {
        &self.handovers
    }

    /// How the first key took over whose tree holds this record; `None` if none has yet.
    #[must_use]
    pub fn next_after(&self, seq: u64) -> Option<&Handover> {
        self.handovers.iter().find(|handover| handover.tree.size > seq)
    }

    /// All keys, the first one first.
    pub fn all(&self) -> impl Iterator<Item = &VerifierKey> {
        std::iter::once(&self.first).chain(self.handovers.iter().map(|handover| &handover.key))
    }

    /// Another key takes over.
    ///
    /// # Errors
    /// It was not signed in.
    pub fn hand_over(&mut self, handover: Handover) -> Result<(), KeysError> {
        let n = self.count();
        if n >= MAX_KEYS {
            return Err(KeysError::TooMany);
        }
        let unproven = |why: String| KeysError::Unproven(n, why);
        let follows = self.handovers.last().is_none_or(|last| last.tree.size < handover.tree.size);
        if !follows || self.all().any(|key| *key == handover.key) {
            return Err(unproven("it follows none".to_owned()));
        }
        handover.check(self.newest(), n).map_err(unproven)?;
        self.handovers.push(handover);
        Ok(())
    }

    /// Whether this is `other` with, perhaps, keys that came later.
    #[must_use]
    pub fn extends(&self, other: &Self) -> bool {
        self.first == other.first && self.handovers.starts_with(&other.handovers)
    }

    /// The checkpoint in a note that this log's keys signed, each in its time, and nobody else: no byte of it goes
    /// unchecked.
    ///
    /// # Errors
    /// It is malformed, of another log, or not signed so.
    pub fn verified(&self, note: &SignedNote) -> Result<Checkpoint, NoteError> {
        if note.lines().iter().any(|line| line.name != self.name()) {
            return Err(NoteError::Malformed("signed by somebody else too"));
        }
        self.verified_among(note)
    }

    /// The same of a note that others (witnesses) may have signed, too: their lines are ignored.
    ///
    /// # Errors
    /// It is malformed, of another log, or not signed by it.
    pub fn verified_among(&self, note: &SignedNote) -> Result<Checkpoint, NoteError> {
        let checkpoint = Checkpoint::of(note)?;
        let not_signed = || NoteError::NotSigned(self.name().to_owned());
        if checkpoint.origin != self.name() {
            return Err(NoteError::NotSigned(checkpoint.origin));
        }
        let mut signed = false;
        for line in note.lines() {
            if line.name != self.name() {
                // An own line whose name was changed must not pass for a witness's.
                if !line.may_be_cosignature() {
                    return Err(NoteError::Malformed("a line that is neither the log's nor a witness's"));
                }
                continue;
            }
            let found = self.all().enumerate().find_map(|(n, key)| Some((n, line.holds(key, note.text())?)));
            let (n, holds) = found.ok_or_else(not_signed)?;
            if !holds {
                return Err(NoteError::Forged);
            }
            self.in_time(n, checkpoint.size)?;
            signed = true;
        }
        if signed { Ok(checkpoint) } else { Err(not_signed()) }
    }

    /// Whether key `n` signs trees of so many records.
    fn in_time(&self, n: usize, size: u64) -> Result<(), NoteError> {
        let taken_over = |n: usize| self.handovers.get(n).map(|handover| handover.tree.size);
        if let Some(end) = taken_over(n).filter(|end| size > *end) {
            return Err(NoteError::Replaced(end));
        }
        match n.checked_sub(1).and_then(taken_over).filter(|begin| size < *begin) {
            Some(begin) => Err(NoteError::Early(begin)),
            None => Ok(()),
        }
    }

    pub(crate) fn list(&self) -> KeyList {
        KeyList {
            format: KeyList::FORMAT.to_owned(),
            version: KeyList::VERSION,
            first: self.first.to_string(),
            handovers: self.handovers.iter().map(Handover::entry).collect(),
        }
    }
}

impl TryFrom<&KeyList> for VerifierKeys {
    type Error = KeysError;

    fn try_from(list: &KeyList) -> Result<Self, KeysError> {
        if list.format != KeyList::FORMAT || list.version != KeyList::VERSION {
            return Err(KeysError::Malformed);
        }
        let malformed = |_: NoteError| KeysError::Malformed;
        let mut keys = Self::from(list.first.parse::<VerifierKey>().map_err(malformed)?);
        for entry in &list.handovers {
            let handover = Handover::new(
                entry.key.parse().map_err(malformed)?,
                entry.checkpoint.parse().map_err(malformed)?,
                (entry.seq, entry.record.clone().into_bytes()),
                entry.path.clone(),
            );
            keys.hand_over(handover.map_err(malformed)?)?;
        }
        Ok(keys)
    }
}

/// One line of canonical JSON (`keys.json`), without a newline.
impl fmt::Display for VerifierKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = serde_json::to_value(self.list()).map_err(|_| fmt::Error)?;
        let bytes = canonical(&value).map_err(|_| fmt::Error)?;
        f.write_str(std::str::from_utf8(&bytes).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for VerifierKeys {
    type Err = KeysError;

    /// Reads the list, and checks every step in it.
    fn from_str(text: &str) -> Result<Self, KeysError> {
        if text.len() > MAX_LIST_BYTES {
            return Err(KeysError::Malformed);
        }
        let list: KeyList = serde_json::from_str(text).map_err(|_| KeysError::Malformed)?;
        let keys = Self::try_from(&list)?;
        // One form only.
        if keys.to_string() == text { Ok(keys) } else { Err(KeysError::Malformed) }
    }
}
