//! The log's keys: the one that signs its checkpoints, those before it, and replacing it.
//!
//! Each is derived from the master key by a number of its own. `log.vkey` holds the first one and is never written
//! again; `keys.json` is there once another took over, and proves that.

use std::sync::PoisonError;

use stepgate_record::verify::Known;
use stepgate_record::{
    Event, Handover, Hash, KeysError, MAX_KEYS, NoteSigner, SignedNote, VerifierKey, VerifierKeys,
};

use crate::checkpoints::{self, Checkpoints};
use crate::files::{read_text, write_atomic};
use crate::layout::Layout;
use crate::writer::Shared;
use crate::{Log, LogError, OpenError, Vault, space};

/// The most records that may come between the one that names a key and the tree at which it takes over.
const MAX_BETWEEN: u64 = 65_536;

/// A new key signs from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// The new key.
    pub key: VerifierKey,
    /// The record that names it.
    pub record: u64,
    /// The checkpoint at which it took over, signed by both.
    pub checkpoint: SignedNote,
}

/// Makes the signer of number `n` of a log's checkpoints.
pub(crate) fn signer(vault: &Vault, origin: &str, n: usize) -> Result<NoteSigner, LogError> {
    let purpose = if n == 0 { "log checkpoints".to_owned() } else { format!("log checkpoints/{n}") };
    NoteSigner::new(origin, &vault.key(&purpose)).map_err(|error| LogError::Io(error.to_string()))
}

/// Reads a log's keys. Errors are texts that name the file.
pub(crate) fn read(layout: &Layout, origin: &str) -> Result<VerifierKeys, String> {
    let text = read_text(&layout.verifier_key()).map_err(|error| format!("log.vkey: {error}"))?;
    let first = text.ok_or("log.vkey is missing")?;
    let first = first.strip_suffix('\n').and_then(|key| key.parse::<VerifierKey>().ok());
    let first = first.filter(|key| key.name() == origin).ok_or("log.vkey or format.json was altered")?;
    let Some(list) = read_text(&layout.keys()).map_err(|error| format!("keys.json: {error}"))? else {
        return Ok(first.into());
    };
    let keys = list.strip_suffix('\n').ok_or(KeysError::Malformed).and_then(str::parse::<VerifierKeys>);
    let keys = keys.map_err(|error| format!("keys.json was altered: {error}"))?;
    if *keys.first() == first { Ok(keys) } else { Err("keys.json and log.vkey do not fit".to_owned()) }
}

/// Whether the keys are those of this master key; the signer of the newest.
pub(crate) fn own(layout: &Layout, vault: &Vault, keys: &VerifierKeys) -> Result<NoteSigner, OpenError> {
    for (n, key) in keys.all().enumerate() {
        let signer = signer(vault, keys.name(), n)?;
        if signer.verifier_key() != *key {
            // The first alone says whose the directory is.
            let wrong = OpenError::WrongKey { dir: layout.dir().to_owned() };
            let why = "keys.json names a key that is not of this master key: whoever has the one before it signed it in";
            return Err(if n == 0 { wrong } else { layout.damaged(why) });
        }
        if n.saturating_add(1) == keys.count() {
            return Ok(signer);
        }
    }
    Err(layout.damaged("there is no key"))
}

/// The trees at which keys took over.
pub(crate) fn known(keys: &VerifierKeys) -> impl Iterator<Item = Known> {
    keys.handovers().iter().map(|handover| Known {
        size: handover.tree().size,
        root: handover.tree().root,
        source: stepgate_record::verify::NEW_KEY.to_owned(),
    })
}

impl Log {
    /// The keys that check the log's checkpoints.
    #[must_use]
    pub fn keys(&self) -> VerifierKeys {
        self.shared().checkpoints.lock().unwrap_or_else(PoisonError::into_inner).keys().clone()
    }

    /// The one that checks the newest.
    #[must_use]
    pub fn verifier_key(&self) -> VerifierKey {
        self.keys().newest().clone()
    }

    /// Signs by a new key from now on, which the old one signs in. Blocks the thread.
    ///
    /// # Errors
    /// The old key goes on; that it was to be replaced may have been recorded.
    pub fn rotate_key(&self) -> Result<Rotated, LogError> {
        let shared = self.shared();
        let _one_at_a_time = shared.rotating.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = self.keys();
        let n = keys.count();
        if n >= MAX_KEYS {
            return Err(LogError::Io(KeysError::TooMany.to_string()));
        }
        let signer = signer(&shared.vault, keys.name(), n)?;
        let key = signer.verifier_key();
        let before = shared.frontier.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let event = Event::KeyRotated {
            old: keys.newest().to_string(),
            new: key.to_string(),
            n: u64::try_from(n).unwrap_or(u64::MAX),
        };
        let record = self.append_blocking(vec![event], Vec::new())?;
        // The tree just before it, and what has come since.
        let mut frontier = before;
        let (mut bytes, mut after): (Vec<u8>, Vec<Hash>) = (Vec::new(), Vec::new());
        let mut checkpoints = shared.checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
        shared.marks.check()?;
        let now = shared.frontier.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if now.end().saturating_sub(frontier.end()) > MAX_BETWEEN {
            return Err(LogError::Io("too much was recorded meanwhile; try again".to_owned()));
        }
        for stored in shared.read(frontier.end(), now.end())? {
            let stored = stored?;
            match stored.seq.cmp(&record) {
                std::cmp::Ordering::Less => frontier.push(stored.hash),
                std::cmp::Ordering::Equal => bytes = stored.bytes,
                std::cmp::Ordering::Greater => after.push(stored.hash),
            }
        }
        let path = frontier.path(&after).ok_or(LogError::Closed)?;
        let root = now.root().ok_or(LogError::Closed)?;
        let checkpoint = checkpoints.signed_by_both(now.end(), root, &signer);
        let trouble = |error: &dyn std::fmt::Display| LogError::Io(format!("the new key: {error}"));
        let handover = Handover::new(key.clone(), checkpoint.clone(), (record, bytes), path);
        let mut keys = keys;
        keys.hand_over(handover.map_err(|error| trouble(&error))?).map_err(|error| trouble(&error))?;
        shared.hand_over(&mut checkpoints, keys, signer, (now.end(), checkpoint.clone()))?;
        Ok(Rotated { key, record, checkpoint })
    }
}

impl Shared {
    fn hand_over(
        &self,
        checkpoints: &mut Checkpoints,
        keys: VerifierKeys,
        signer: NoteSigner,
        tree: (u64, SignedNote),
    ) -> Result<(), LogError> {
        match write_atomic(&self.keys_file, format!("{keys}\n").as_bytes()) {
            Ok(()) => {}
            Err(error) if space::is_no_space(&error) => return Err(LogError::NoSpace),
            Err(error) => return Err(self.poison(format!("keys.json cannot be written: {error}"))),
        }
        // From here on the new key counts; its first checkpoint is the one in the list.
        checkpoints.hand_over(keys, signer, tree).or_else(|error| match space::is_no_space(&error) {
            true => Ok(()),
            false => Err(self.poison(format!("a checkpoint cannot be written: {error}"))),
        })
    }
}

/// The checkpoints in the directory, and the trees at which keys took over, the newest last.
pub(crate) fn all_known(layout: &Layout, keys: &VerifierKeys) -> Result<Vec<Known>, String> {
    let mut all = checkpoints::read(&layout.checkpoints(), keys)?;
    all.extend(known(keys));
    all.sort_by_key(|known| known.size);
    Ok(all)
}
