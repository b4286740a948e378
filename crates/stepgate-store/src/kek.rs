//! The key that personal values are sealed by: a file of its own, so that it can be destroyed.
//!
//! sled and file systems keep old bytes, so erasing a value beside the log erases nothing. What is erased is this key:
//! all values that stay are sealed by a new one first, and what only the old one opens is gone with it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::files::{AtPath as _, read_text, sync_dir, unfinished, write_atomic};
use crate::layout::Layout;
use crate::{OpenError, Vault};

/// Bytes of a key.
const BYTES: usize = 32;

/// A key, and its number.
#[derive(Clone)]
pub(crate) struct Kek {
    pub(crate) epoch: u64,
    /// Seals by it.
    pub(crate) vault: Vault,
    key: Zeroizing<[u8; BYTES]>,
}

/// What the file holds.
#[derive(Serialize, Deserialize)]
struct Stored {
    epoch: u64,
    /// Sealed by the vault of the master key, in hexadecimal.
    key: String,
}

/// The keys that are there.
pub(crate) struct Keks {
    pub(crate) current: Kek,
    /// The one before it, where sealing by the current one was interrupted.
    pub(crate) old: Option<Kek>,
    /// The old one was being destroyed: the current one has to take its place.
    pub(crate) replaces: bool,
}

impl Kek {
    pub(crate) fn new(epoch: u64, vault: &Vault) -> Result<Self, crate::VaultError> {
        Ok(Self::of(epoch, Zeroizing::new(vault.random()?), vault))
    }

    fn of(epoch: u64, key: Zeroizing<[u8; BYTES]>, vault: &Vault) -> Self {
        Self { epoch, vault: vault.with_master(&key), key }
    }

    /// Keeps it in a file.
    pub(crate) fn write(&self, path: &Path, vault: &Vault) -> io::Result<()> {
        let sealed = vault.seal(&label(self.epoch), &self.key[..]).map_err(io::Error::other)?;
        let stored = Stored { epoch: self.epoch, key: data_encoding::HEXLOWER.encode(&sealed) };
        write_atomic(path, &serde_json::to_vec(&stored)?)
    }

    /// `None`: there is no such file, or nothing in it can be read.
    fn read(path: &Path, vault: &Vault) -> io::Result<Option<Self>> {
        let Ok(text) = read_text(path) else { return Ok(None) };
        let Some(stored) = text.and_then(|text| serde_json::from_str::<Stored>(&text).ok()) else {
            return Ok(None);
        };
        let sealed = data_encoding::HEXLOWER.decode(stored.key.as_bytes()).unwrap_or_default();
        let Ok(key) = vault.unseal(&label(stored.epoch), &sealed) else { return Ok(None) };
        let Ok(key) = key.as_slice().try_into().map(Zeroizing::new) else { return Ok(None) };
        Ok(Some(Self::of(stored.epoch, key, vault)))
    }
}

/// The number of the key in a file, if there is one there, as far as can be told without opening it.
pub(crate) fn epoch(path: &Path) -> Option<u64> {
    let stored: Stored = serde_json::from_str(&read_text(path).ok()??).ok()?;
    let sealed = data_encoding::HEXLOWER.decode(stored.key.as_bytes()).ok()?;
    (sealed.len() == BYTES.saturating_add(Vault::OVERHEAD)).then_some(stored.epoch)
}

fn label(epoch: u64) -> String {
    format!("subjects key/{epoch}")
}

impl Keks {
    /// Reads them; makes one where there never was any. `used`: values are sealed by one.
    pub(crate) fn open(layout: &Layout, vault: &Vault, used: bool) -> Result<Self, OpenError> {
        let (path, next) = (layout.subjects_key(), layout.next_subjects_key());
        let left_over = unfinished(&next);
        if left_over.exists() {
            fs::remove_file(&left_over).at(&left_over)?;
        }
        match (Kek::read(&path, vault).at(&path)?, Kek::read(&next, vault).at(&next)?) {
            (Some(current), None) => Ok(Self { current, old: None, replaces: false }),
            (old, Some(current)) => Ok(Self { replaces: old.is_none(), current, old }),
            (None, None) if used => {
                Err(layout.damaged(
                    "subjects.kek, the key of personal values, is missing or was changed: put it back from a backup",
                ))
            }
            (None, None) => {
                let no = |error: crate::VaultError| OpenError::Log(crate::LogError::Io(error.to_string()));
                let current = Kek::new(1, vault).map_err(no)?;
                current.write(&path, vault).at(&path)?;
                Ok(Self { current, old: None, replaces: false })
            }
        }
    }
}

/// Destroys the old key: its bytes are written over where they are, and the new one takes its place.
pub(crate) fn replace(layout: &Layout, vault: &Vault) -> io::Result<()> {
    let (path, next) = (layout.subjects_key(), layout.next_subjects_key());
    if path.exists() {
        let file = File::options().write(true).open(&path)?;
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX).min(4096);
        for _ in 0..2 {
            let noise: [u8; 64] = vault.random().map_err(io::Error::other)?;
            let noise: Vec<u8> = noise.iter().copied().cycle().take(length).collect();
            file.write_all_at(&noise, 0)?;
            file.sync_all()?;
        }
    }
    fs::rename(&next, &path)?;
    sync_dir(layout.dir())
}
