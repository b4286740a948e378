//! Signed tree heads (C2SP tlog-checkpoint): origin, size, root.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::{Hash, NoteError, NoteSigner, SignedNote, VerifierKey};

/// The head of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: `stepgate/<log id>`.
    pub origin: String,
    /// How many records.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Hash,
}

impl Checkpoint {
    /// The origin of the log with this id.
    #[must_use]
    pub fn origin(log_id: &str) -> String {
        format!("stepgate/{log_id}")
    }

    /// Signs it.
    #[must_use]
    pub fn sign(&self, signer: &NoteSigner) -> SignedNote {
        signer.sign(&self.to_string())
    }

    /// Reads a note's checkpoint without believing it.
    ///
    /// # Errors
    /// The note holds none.
    pub fn of(note: &SignedNote) -> Result<Self, NoteError> {
        note.text().parse()
    }

    /// Reads and checks the note of a log that `key`, named as its origin, signed alone.
    ///
    /// # Errors
    /// It is malformed or not signed so.
    pub fn verified(note: &SignedNote, key: &VerifierKey) -> Result<Self, NoteError> {
        note.verify_alone(key)?;
        let checkpoint = Self::of(note)?;
        if checkpoint.origin == key.name() {
            Ok(checkpoint)
        } else {
            Err(NoteError::NotSigned(checkpoint.origin))
        }
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, self.root.to_base64())
    }
}

impl FromStr for Checkpoint {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        const ERROR: NoteError = NoteError::Malformed("not a checkpoint (origin, size, root)");
        let mut lines = text.lines();
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(ERROR);
        };
        let root = STANDARD.decode(root).map_err(|_| ERROR)?;
        let root = <[u8; 32]>::try_from(root).map_err(|_| ERROR)?;
        let checkpoint = Self {
            origin: origin.to_owned(),
            size: size.parse().map_err(|_| ERROR)?,
            root: Hash::from_bytes(root),
        };
        // No leading zeros, no further lines, one form only.
        if checkpoint.to_string() == text { Ok(checkpoint) } else { Err(ERROR) }
    }
}
