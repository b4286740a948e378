//! What the verifier knows from elsewhere.

use std::str::FromStr;

use crate::{Checkpoint, NoteError, SignedNote, VerifierKey, VerifierKeys, WitnessKey};

/// A verifier key (or all of a log's keys), a signed checkpoint, or both, obtained elsewhere, and witnesses whose word
/// is demanded: the only proof that the log is the gate's own and not cut short, since everything else comes from the
/// same hands as the log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Anchor {
    keys: Option<Pinned>,
    note: Option<SignedNote>,
    witnesses: Vec<WitnessKey>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pinned {
    One(Box<VerifierKey>),
    All(Box<VerifierKeys>),
}

/// What an anchor demands of a log with certain keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Given {
    /// It must be on the log's way.
    pub checkpoint: Option<Checkpoint>,
    /// The trees at which keys were replaced that the log names; the log does not know of it.
    pub replaced: Vec<Checkpoint>,
    /// The anchor's checkpoint covers so many records, more than there are here, and is signed by none of the keys here: by
    /// one that came later, as far as can be told.
    pub later: Option<u64>,
}

impl FromStr for Anchor {
    type Err = NoteError;

    /// Reads a file that holds a verifier key (one line) or a list of keys (`keys.json`), a signed checkpoint, or the
    /// one before the other.
    fn from_str(text: &str) -> Result<Self, NoteError> {
        let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
        let first = first.trim_end();
        let one = || first.parse().map(|key| Pinned::One(Box::new(key))).ok();
        let keys = match first.starts_with('{') {
            true => {
                let keys = first.parse::<VerifierKeys>();
                Some(Pinned::All(Box::new(keys.map_err(|error| NoteError::Keys(error.to_string()))?)))
            }
            false => one(),
        };
        let rest = if keys.is_some() { rest } else { text };
        let note = if rest.trim().is_empty() && keys.is_some() { None } else { Some(rest.parse()?) };
        Ok(Self { keys, note, witnesses: Vec::new() })
    }
}

impl Anchor {
    /// How many records its checkpoint says that it covers, if it has one.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.note.as_ref().and_then(|note| Checkpoint::of(note).ok()).map(|checkpoint| checkpoint.size)
    }

    /// Also demands that each of these has cosigned a checkpoint of the log.
    #[must_use]
    pub fn with_witnesses(self, witnesses: Vec<WitnessKey>) -> Self {
        Self { witnesses, ..self }
    }

    /// Who must have.
    #[must_use]
    pub fn witnesses(&self) -> &[WitnessKey] {
        &self.witnesses
    }

    /// What it demands of the log whose keys are these, as the log has it, and of which there are so many records here.
    ///
    /// # Errors
    /// The log's keys are others, or the anchor's checkpoint is not signed by them.
    pub fn check(&self, logs: &VerifierKeys, end: u64) -> Result<Given, String> {
        let mut replaced = Vec::new();
        let mut keys = logs;
        match &self.keys {
            None => {}
            Some(Pinned::One(key)) if logs.all().any(|other| *other == **key) => {}
            Some(Pinned::All(all)) if logs.extends(all) => {}
            Some(Pinned::All(all)) if all.extends(logs) => {
                let later = all.handovers().iter().skip(logs.handovers().len());
                replaced.extend(later.map(|handover| handover.tree().clone()));
                keys = all;
            }
            Some(_) => return Err("signed by another key than the one given".to_owned()),
        }
        let Some(note) = &self.note else { return Ok(Given { replaced, ..Given::default() }) };
        // Others (witnesses) may have signed the anchor too.
        match keys.verified_among(note) {
            Ok(checkpoint) => Ok(Given { checkpoint: Some(checkpoint), replaced, later: None }),
            // Of before it ended, the log would have the key.
            Err(NoteError::NotSigned(_))
                if self.size().is_some_and(|size| size > end)
                    && note.text().lines().next() == Some(logs.name()) =>
            {
                Ok(Given { checkpoint: None, replaced, later: self.size() })
            }
            Err(error) => Err(format!("the checkpoint given is not of this log: {error}")),
        }
    }

    /// Whether every witness that is demanded has cosigned one of these notes, or the one given, all of which are known
    /// to be of the log; a line on each.
    ///
    /// # Errors
    /// One has not.
    pub fn witnessed<'n>(
        &'n self,
        notes: impl IntoIterator<Item = &'n SignedNote>,
    ) -> Result<Vec<String>, String> {
        let notes: Vec<&SignedNote> = notes.into_iter().chain(&self.note).collect();
        let newest = |witness: &WitnessKey| {
            let mut newest = None;
            for note in &notes {
                let when = witness
                    .cosigned(note)
                    .map_err(|error| format!("the line of witness {}: {error}", witness.name()))?;
                let size = Checkpoint::of(note).map_err(|error| error.to_string())?.size;
                newest = newest.max(when.map(|when| (size, when)));
            }
            newest
                .ok_or_else(|| format!("witness {} has cosigned no checkpoint that is here", witness.name()))
        };
        let said = |witness: &WitnessKey| {
            let (size, when) = newest(witness)?;
            Ok(format!("witness {} has cosigned the first {size} records, at {when}", witness.name()))
        };
        self.witnesses.iter().map(said).collect()
    }
}
