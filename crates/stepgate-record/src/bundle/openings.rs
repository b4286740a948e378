//! `subjects.jsonl`: what commitments stand for, and the keys by which anybody can check that.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stepgate_types::{Commit, SubjectKind};

use crate::canonical::canonical;
use crate::{Hash, Names, commitment};

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
        let opened = commitment(opening.kind, &opening.value, key.bytes());
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
