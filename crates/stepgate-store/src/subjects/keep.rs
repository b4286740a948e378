//! What is kept of people themselves, sealed by their own keys: it goes when they are erased.

use stepgate_record::{Event, Renewed};
use stepgate_types::{Commit, PersonName, SubjectKind};

use super::{Staged, Subject, Subjects};
use crate::wait::block_on;
use crate::{Change, Entry, Log, LogError, Side, Vault};

/// What a key begins with that holds a commitment; no name does.
const MARK: u8 = 1;

/// Bytes of mark and commitment.
const PREFIX: usize = 33;

/// Entries of an older store that are sealed anew in one write.
const BATCH: usize = 100;

/// A person's place beside the log.
pub(crate) struct Place {
    prefix: Vec<u8>,
    vault: Vault,
    /// Must live until what was sealed is queued.
    pub(crate) staged: Staged,
}

impl Place {
    /// The key of an entry of theirs.
    pub(crate) fn key(&self, what: &str) -> Vec<u8> {
        [self.prefix.as_slice(), what.as_bytes()].concat()
    }

    /// Seals by their key.
    pub(crate) const fn vault(&self) -> &Vault {
        &self.vault
    }
}

/// An entry that was found.
pub(crate) struct Kept {
    pub(crate) person: PersonName,
    /// What follows the person in its key.
    pub(crate) what: String,
    pub(crate) vault: Vault,
}

fn prefix(commit: &Commit) -> Vec<u8> {
    [&[MARK], commit.as_bytes().as_slice()].concat()
}

impl Subjects {
    /// The place of this person, who may be new.
    pub(crate) fn place_for(&self, person: &PersonName, log: &Log, vault: &Vault) -> Result<Place, LogError> {
        let (commit, subject, staged) = self.reserve(SubjectKind::Person, person.as_str(), log.len())?;
        Ok(Place { prefix: prefix(&commit), vault: vault.with_master(&subject.key), staged })
    }

    /// The key of an entry of a person who has one, or nothing's.
    pub(crate) fn key_of(&self, person: &PersonName, what: &str) -> Vec<u8> {
        let commit = self.commit_of(SubjectKind::Person, person.as_str());
        commit.map_or_else(Vec::new, |commit| [prefix(&commit).as_slice(), what.as_bytes()].concat())
    }

    /// Whose an entry is; `None`: it has a name for a key, as older stores had.
    pub(crate) fn kept(&self, key: &[u8], vault: &Vault) -> Option<Result<Kept, crate::VaultError>> {
        let (prefix, what) = key.split_first_chunk::<PREFIX>()?;
        let [MARK, commit @ ..] = prefix else { return None };
        let subject = self.open(&Commit::from_bytes(*commit));
        let kept = subject.and_then(|Subject { value, key, .. }| {
            let what = std::str::from_utf8(what).ok()?.to_owned();
            Some(Kept { person: value.parse().ok()?, what, vault: vault.with_master(&key) })
        });
        Some(kept.ok_or(crate::VaultError::DoesNotOpen))
    }

    /// Puts entries of an older store where they belong now: each with its person, what is to follow them in its key,
    /// and what is to be sealed under which label.
    pub(crate) fn move_in(
        &self,
        log: &Log,
        vault: &Vault,
        side: Side,
        old: Vec<Old>,
    ) -> Result<(), LogError> {
        for some in old.chunks(BATCH) {
            let (mut changes, mut places) = (Vec::new(), Vec::new());
            for Old { entry: (key, _), person, what, label, plain } in some {
                let place = self.place_for(person, log, vault)?;
                let value =
                    place.vault().seal(label, plain).map_err(|error| LogError::Io(error.to_string()))?;
                changes.extend(place.staged.changes().iter().cloned());
                changes.push(Change::Put { side, key: place.key(what), value });
                changes.push(Change::Delete { side, key: key.clone() });
                places.push(place);
            }
            let subjects = u64::try_from(some.len()).unwrap_or(u64::MAX);
            let event = Event::SubjectsResealed(Renewed { epoch: self.epoch(), subjects });
            let first = block_on(log.append(vec![event], changes))?;
            places.iter().for_each(|place| place.staged.queued(first));
        }
        Ok(())
    }
}

/// An entry of an older store, opened.
pub(crate) struct Old {
    pub(crate) entry: Entry,
    pub(crate) person: PersonName,
    pub(crate) what: String,
    pub(crate) label: String,
    pub(crate) plain: zeroize::Zeroizing<Vec<u8>>,
}
