//! Who stands behind the commitments of the log.

use std::sync::Arc;

use stepgate_record::Names;
use stepgate_types::{Commit, PersonName, SubjectKind, Who};
use zeroize::Zeroizing;

/// A personal value, with the key that makes its commitment.
#[derive(Clone, PartialEq, Eq)]
pub struct Subject {
    /// What kind of value it is.
    pub kind: SubjectKind,
    /// The value.
    pub value: String,
    /// Its key: whoever has it and the value can check the commitment.
    pub key: Zeroizing<[u8; 32]>,
}

/// The personal values that records commit to. Cheap to clone.
#[derive(Clone, Default)]
pub struct Subjects(#[expect(dead_code, reason = "for now")] Arc<()>);

impl Subjects {
    /// The commitment by which records name this value, if any does.
    #[must_use]
    pub fn commit_of(&self, _kind: SubjectKind, _value: &str) -> Option<Commit> {
        None
    }

    /// What a commitment stands for; `None` where that was erased, or never was.
    #[must_use]
    pub fn open(&self, _commit: &Commit) -> Option<Subject> {
        None
    }

    /// A name in plain text.
    pub(crate) fn open_text(&self, who: &Who) -> Option<String> {
        match who {
            Who::Name(name) => Some(name.clone()),
            Who::Commit(commit) => self.open(commit).map(|subject| subject.value),
        }
    }

    /// A person by name.
    pub(crate) fn person(&self, who: &Who) -> Option<PersonName> {
        self.open_text(who)?.parse().ok()
    }
}

impl Names for Subjects {
    fn name(&self, commit: &Commit) -> Option<String> {
        self.open(commit).map(|subject| subject.value)
    }
}
