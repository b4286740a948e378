//! What was given out for bundles, and not sealed yet: only what the gate itself gave out is signed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest as _, Sha256};
use stepgate_record::Hash;
use stepgate_record::bundle::{FileInfo, Format, Manifest, files};
use stepgate_record::render::RENDER_VERSION;

use crate::LogError;

/// So many exports can wait for their seal; an older one is forgotten, and has to be made again.
const MAX_WAITING: usize = 64;

/// Why a manifest is not sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The log refused.
    #[error(transparent)]
    Log(#[from] LogError),
    /// This process gave out nothing of that name, or sealed it.
    #[error("there is no export of this name to be sealed: it was sealed, or the gate was restarted since")]
    Unknown,
    /// The manifest is none of what was given out; the member or file that differs.
    #[error("the manifest is not of what the gate gave out: its `{0}` differs")]
    Differs(String),
}

/// Lengths and hashes of files on their way out.
#[derive(Debug, Default)]
pub(crate) struct Handed(BTreeMap<&'static str, (u64, Sha256)>);

impl Handed {
    pub(crate) fn add(&mut self, file: &'static str, lines: &[u8]) {
        let (bytes, sha256) = self.0.entry(file).or_default();
        *bytes = bytes.saturating_add(u64::try_from(lines.len()).unwrap_or(u64::MAX));
        sha256.update(lines);
    }

    pub(crate) fn files(self) -> BTreeMap<String, FileInfo> {
        let info = |(bytes, sha256): (u64, Sha256)| FileInfo {
            bytes,
            sha256: Hash::from_bytes(sha256.finalize().into()).to_string(),
        };
        self.0.into_iter().map(|(name, handed)| (name.to_owned(), info(handed))).collect()
    }
}

/// One export.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) id: String,
    pub(crate) exported: u64,
    pub(crate) filter: String,
    pub(crate) format: Format,
    pub(crate) redacted: bool,
    pub(crate) records: u64,
    pub(crate) tree_size: u64,
    pub(crate) root: String,
    pub(crate) files: BTreeMap<String, FileInfo>,
}

impl Given {
    /// The first member of the manifest that is not of this export. What is made from the records (the cover, the derived
    /// file, what the manifest says of types and times) is not made again here: whoever verifies does.
    fn differs(&self, manifest: &Manifest, log_id: &str, origin: &str) -> Option<String> {
        let members = [
            ("format", manifest.format == Manifest::FORMAT),
            ("version", manifest.version == Manifest::VERSION),
            ("render", manifest.render == RENDER_VERSION),
            ("log_id", manifest.log_id == log_id),
            ("origin", manifest.origin == origin),
            ("exported", manifest.exported == self.exported),
            ("filter", manifest.filter == self.filter),
            ("derived", manifest.derived == self.format.as_str()),
            ("redacted", manifest.redacted == self.redacted),
            ("records", manifest.records == self.records),
            ("tree_size", manifest.tree_size == self.tree_size),
            ("root", manifest.root == self.root),
        ];
        if let Some((name, _)) = members.iter().find(|(_, same)| !same) {
            return Some((*name).to_owned());
        }
        let made = [Some(files::COVER), self.format.file()];
        let is_made = |name: &str| made.contains(&Some(name));
        let wrong =
            |(name, info): &(&String, &FileInfo)| !is_made(name) && self.files.get(*name) != Some(*info);
        if let Some((name, _)) = manifest.files.iter().find(wrong) {
            return Some(name.clone());
        }
        let there = |name: &&str| !manifest.files.contains_key(*name);
        self.files.keys().map(String::as_str).chain(made.into_iter().flatten()).find(there).map(str::to_owned)
    }
}

/// Exports that wait for their seal, the newest last.
#[derive(Debug, Default)]
pub(crate) struct Exports(Mutex<VecDeque<Given>>);

impl Exports {
    pub(crate) fn add(&self, given: Given) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|other| other.id != given.id);
        while waiting.len() >= MAX_WAITING {
            waiting.pop_front();
        }
        waiting.push_back(given);
    }

    /// Takes out the export that this is the manifest of; a manifest of something else changes nothing.
    pub(crate) fn take(&self, manifest: &Manifest, log_id: &str, origin: &str) -> Result<(), SealError> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = waiting.iter().position(|given| given.id == manifest.export).ok_or(SealError::Unknown)?;
        match waiting.get(at).and_then(|given| given.differs(manifest, log_id, origin)) {
            Some(what) => Err(SealError::Differs(what)),
            None => {
                waiting.remove(at);
                Ok(())
            }
        }
    }
}
