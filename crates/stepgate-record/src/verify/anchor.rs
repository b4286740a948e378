//! What the verifier knows from elsewhere.

use std::str::FromStr;

use crate::{Checkpoint, NoteError, SignedNote, VerifierKey};

/// A verifier key, a signed checkpoint, or both, obtained elsewhere: the only proof that the log is the
/// gate's own and not cut short, since everything else comes from the same hands as the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    key: Option<VerifierKey>,
    note: Option<SignedNote>,
}

impl FromStr for Anchor {
    type Err = NoteError;

    /// Reads a file that holds a verifier key (one line), a signed checkpoint, or the one before the other.
    fn from_str(text: &str) -> Result<Self, NoteError> {
        let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
        let (key, rest) = match first.trim_end().parse::<VerifierKey>() {
            Ok(key) => (Some(key), rest),
            Err(_) => (None, text),
        };
        let note = if rest.trim().is_empty() && key.is_some() { None } else { Some(rest.parse()?) };
        Ok(Self { key, note })
    }
}

impl Anchor {
    /// How many records its checkpoint says that it covers, if it has one.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.note.as_ref().and_then(|note| Checkpoint::of(note).ok()).map(|checkpoint| checkpoint.size)
    }

    /// The checkpoint that must be on the log's way, if the anchor has one, given the log's own key.
    ///
    /// # Errors
    /// The log's key is another one, or the anchor's checkpoint is not signed by it.
    pub fn check(&self, logs_key: &VerifierKey) -> Result<Option<Checkpoint>, String> {
        if self.key.as_ref().is_some_and(|key| key != logs_key) {
            return Err("signed by another key than the one given".to_owned());
        }
        let Some(note) = &self.note else { return Ok(None) };
        // Others (witnesses) may have signed the anchor too.
        note.verify(logs_key).map_err(|error| format!("the checkpoint given is not of this log: {error}"))?;
        let checkpoint = Checkpoint::of(note).map_err(|error| format!("the checkpoint given: {error}"))?;
        if checkpoint.origin == logs_key.name() {
            Ok(Some(checkpoint))
        } else {
            Err("the checkpoint given is not of this log".to_owned())
        }
    }
}
