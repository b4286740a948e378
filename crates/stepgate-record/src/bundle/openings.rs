//! `subjects.jsonl`: what commitments stand for, and the keys by which anybody can check that.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use stepgate_types::{Commit, SubjectKind};

use crate::canonical::canonical;
use crate::{Hash, Names};

/// An opened commitment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// The commitment.
    pub commit: Commit,
    /// What kind of thing it stands for.
    pub kind: SubjectKind,
    /// What it stands for.
    pub value: String,
    /// Its key (hex).
    pub key: String,
}

impl Opening {
    /// The line, without its end.
    #[must_use]
    pub fn line(&self) -> Vec<u8> {
        serde_json::to_value(self).ok().and_then(|value| canonical(&value).ok()).unwrap_or_default()
    }

    /// Reads a line in the one form that it is written in, and checks that it opens its commitment.
    #[must_use]
    pub fn read(line: &[u8]) -> Option<Self> {
        let opening = serde_json::from_slice::<Self>(line).ok().filter(|opening| opening.line() == line)?;
        let key: Hash = opening.key.parse().ok()?;
        let opened = commitment(key.bytes(), opening.kind, &opening.value);
        (opened == opening.commit).then_some(opening)
    }
}

/// The openings of a bundle, or of none.
#[derive(Debug, Clone, Default)]
pub struct Openings(BTreeMap<Commit, String>);

impl Openings {
    /// Adds one; they come sorted. `false`, and nothing is added, if it does not come after the last.
    #[must_use]
    pub fn add(&mut self, opening: Opening) -> bool {
        let follows = self.0.last_key_value().is_none_or(|(last, _)| *last < opening.commit);
        if follows {
            self.0.insert(opening.commit, opening.value);
        }
        follows
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The commitments.
    pub fn commits(&self) -> impl Iterator<Item = &Commit> {
        self.0.keys()
    }
}

impl Names for Openings {
    fn name(&self, commit: &Commit) -> Option<String> {
        self.0.get(commit).cloned()
    }
}

/// The commitment to a value: HMAC-SHA-256 under the value's own key.
#[must_use]
pub fn commitment(key: &[u8; 32], kind: SubjectKind, value: &str) -> Commit {
    let pad = |with: u8| {
        let mut pad = [with; 64];
        pad.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        pad
    };
    let inner = Sha256::new()
        .chain_update(pad(0x36))
        .chain_update(b"stepgate subject v1")
        .chain_update(kind.as_str())
        .chain_update([0])
        .chain_update(value)
        .finalize();
    Commit::from_bytes(Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().into())
}
