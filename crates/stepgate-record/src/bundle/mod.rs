//! Evidence that is handed out: records, what proves them, and forms that other tools read.
//!
//! Everything but the records, their proofs and the openings is made from these by pure functions ([`examine`],
//! [`Examined::cover`], [`Examined::manifest`]), when a bundle is packed and again when it is verified: whatever is
//! changed in a derived file is found, signed or not.

mod cover;
mod examine;
mod format;
mod keys;
mod manifest;
mod openings;
mod proof;
mod single;
mod tar;
mod verify;
mod walk;

use std::io::{self, BufRead};

pub use examine::{Examined, examine};
pub use format::{Derived, Format};
pub use keys::keys_text;
pub use manifest::{FileInfo, Manifest, Policy, note_text};
pub use openings::{Opening, Openings};
pub use proof::ProofLine;
pub use single::{is_proof, proof_text, verify_proof};
pub use tar::{TarEntry, TarError, TarWriter, read_tar};
pub use verify::verify_bundle;
pub use walk::filter_commits;

/// What a bundle consists of, in the order of an archive.
pub mod files {
    /// For people.
    pub const COVER: &str = "COVER.txt";
    /// What there is, and from where.
    pub const MANIFEST: &str = "manifest.json";
    /// The log's signature on the manifest.
    pub const NOTE: &str = "manifest.note";
    /// The records, their canonical bytes.
    pub const RECORDS: &str = "records.jsonl";
    /// Where each stands in the log's tree, and the hashes of what stands between.
    pub const PROOF: &str = "proof.jsonl";
    /// The signed head of that tree.
    pub const CHECKPOINT: &str = "checkpoint";
    /// The newest checkpoint that witnesses have cosigned, where there is one.
    pub const COSIGNED: &str = "cosigned";
    /// The keys that sign it.
    pub const KEYS: &str = "keys.json";
    /// The record that says that this was exported, and by whom.
    pub const EXPORTED: &str = "exported.json";
    /// What the commitments in the records stand for.
    pub const SUBJECTS: &str = "subjects.jsonl";
}

/// At most so many files make a bundle.
pub const MAX_FILES: usize = 16;

/// The longest line, in bytes: a gap has at most 126 hashes of 67 bytes.
const MAX_LINE: u64 = 32 * 1024;

/// The longest text that is read as a whole, in bytes: a manifest of many policies.
const MAX_TEXT: u64 = 1024 * 1024;

/// The files of a bundle, wherever they are.
pub trait Files {
    /// The names of all of them.
    fn names(&self) -> Vec<String>;

    /// One of them from its beginning; `None` if it is not there.
    ///
    /// # Errors
    /// It cannot be read.
    fn open(&self, name: &str) -> io::Result<Option<Box<dyn BufRead + '_>>>;
}
