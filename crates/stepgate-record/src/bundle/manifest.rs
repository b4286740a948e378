//! `manifest.json`: what a bundle holds, and from where. All of it is made again from the other files when it is
//! verified; signed, it says that the gate gave these files out together.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::canonical::canonical;

/// The manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`Manifest::FORMAT`].
    pub format: String,
    /// [`Manifest::VERSION`].
    pub version: u64,
    /// Version of the derived files, [`crate::render::RENDER_VERSION`].
    pub render: u64,
    /// The log.
    pub log_id: String,
    /// Its name in checkpoints.
    pub origin: String,
    /// Name of this export, as its record says.
    pub export: String,
    /// Number of that record.
    pub exported: u64,
    /// Its time.
    pub exported_at: String,
    /// Which records: the filter, with people as commitments.
    pub filter: String,
    /// Which form was added.
    pub derived: String,
    /// Whether names, addresses and reasons were left out.
    pub redacted: bool,
    /// Whether the log's key signs this manifest.
    pub signed: bool,
    /// How many records.
    pub records: u64,
    /// Number of the first.
    pub first: Option<u64>,
    /// Number of the last.
    pub last: Option<u64>,
    /// The earliest time in them.
    pub from: Option<String>,
    /// The latest.
    pub until: Option<String>,
    /// How many there are of each type.
    pub types: BTreeMap<String, u64>,
    /// Policies they name, in the order they first do.
    pub policies: Vec<Policy>,
    /// How many commitments are opened.
    pub subjects: u64,
    /// Size of the tree that the checkpoint signs.
    pub tree_size: u64,
    /// Its root (hex).
    pub root: String,
    /// All other files.
    pub files: BTreeMap<String, FileInfo>,
}

/// A policy, and the first record here that names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// SHA-256 (hex) of policy and map.
    pub sha256: String,
    /// Number of the record.
    pub first: u64,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileInfo {
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256 (hex).
    pub sha256: String,
}

impl Manifest {
    /// What `format` says.
    pub const FORMAT: &str = "stepgate-bundle";
    /// The format this version writes and reads.
    pub const VERSION: u64 = 1;

    /// The file's bytes: canonical JSON and a line feed.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let value = serde_json::to_value(self).ok();
        let mut bytes = value.and_then(|value| canonical(&value).ok()).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// The SHA-256 of the file's bytes.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.bytes()).into()
    }
}

/// What is signed of a manifest. Its first line keeps it from being taken for a checkpoint, whose second line is a
/// number, and a checkpoint from being taken for it.
#[must_use]
pub fn note_text(origin: &str, manifest_sha256: &[u8; 32]) -> String {
    format!("stepgate-bundle/v1\n{origin}\n{}\n", STANDARD.encode(manifest_sha256))
}
