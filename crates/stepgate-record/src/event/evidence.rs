//! What is recorded of the log itself: read, exported, sealed, pruned, restored, sent on.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use stepgate_types::{Commit, SubjectKind, Who};

use crate::Hash;

/// A gate opened the log, and has checked it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Started {
    /// The gate's version.
    pub version: String,
    /// The first record that was read again and held against the newest checkpoint; those before are sealed, and covered
    /// by the same checkpoint by their roots. Left out, as what follows, of a log that was new, and of old records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_from: Option<u64>,
    /// How many records the log had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    /// How many of them the newest checkpoint on this host covers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_size: Option<u64>,
}

impl Started {
    /// A new log.
    #[must_use]
    pub fn new(version: impl Into<String>) -> Self {
        Self { version: version.into(), checked_from: None, records: None, checkpoint_size: None }
    }
}

/// A signed checkpoint has left the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointSigned {
    /// How many records it covers.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Hash,
    /// The name of the way that it left by, in the configuration.
    pub name: String,
    /// `file`, `webhook`, `email`.
    pub kind: String,
}

/// How the log was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reader {
    /// `audit tail`.
    Tail,
    /// `audit search`.
    Search,
    /// `audit report`.
    Report,
    /// `audit prove`.
    Prove,
}

/// Somebody read the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditRead {
    /// How.
    pub how: Reader,
    /// Which records: a filter's canonical JSON, with people as commitments; empty for all of them.
    pub filter: String,
    /// How many records.
    pub records: u64,
    /// Who, where it was a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Who>,
    /// The operator, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<Who>,
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// A name for it: 32 hexadecimal digits; empty for lines alone, which have none.
    pub id: String,
    /// Which records: a filter's canonical JSON, with people as commitments.
    pub filter: String,
    /// Its format besides the records themselves; `lines` where there is nothing else, `tiles` of a tiled log.
    pub format: String,
    /// Whether names, addresses and reasons were left out.
    pub redacted: bool,
    /// Number of the first record that there was to select from: those before were deleted, or, of tiles, given
    /// out earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<u64>,
    /// The number after the last: how many the log had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<u64>,
    /// SHA-256 (hex) over the leaf hashes of the selected records, in order: which they were, and that no other can
    /// take the place of one of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selected: Option<String>,
}

/// An export is complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportSealed {
    /// Which.
    pub export: String,
    /// SHA-256 (hex) of its manifest.
    pub manifest_sha256: String,
    /// Whether the manifest was signed.
    pub signed: bool,
    /// The operator, where one did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<Who>,
}

/// The rest of a record that is too long. It stands right behind that record, in the same write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Continued {
    /// Which part this is, from 1: the record it belongs to is so many places before it.
    pub part: u64,
    /// How many parts there are.
    pub parts: u64,
    /// The field that goes on.
    pub field: String,
    /// Entries, where it is a list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<Value>,
    /// Text, where it is one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// Where a check failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntegrityFailed {
    /// The first record of what was checked.
    pub first: u64,
    /// The record after the last.
    pub end: u64,
    /// What is wrong, in a word or a few; names files and records, never what they hold.
    pub place: String,
}

/// What does not work, or does again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trouble {
    /// What: `space`, `sink`, `checkpoint`, `index`, `witness`.
    pub what: String,
    /// Which, where there are several.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// A segment that was sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// Its first record.
    pub first: u64,
    /// The record after its last.
    pub end: u64,
    /// Root of the tree over all records before `end`.
    pub root: Hash,
    /// Bytes of its records.
    pub bytes: u64,
}

/// A log that goes on from a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restored {
    /// How many records the backup has.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Hash,
    /// Size of the newest tree that a checkpoint in the backup, or given, is of, where that is larger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newer_size: Option<u64>,
    /// Its root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newer_root: Option<Hash>,
}

/// Records that were deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pruned {
    /// The first.
    pub first: u64,
    /// The record after the last.
    pub end: u64,
    /// Root of the tree over all records before `end`.
    pub root: Hash,
    /// Bytes that were deleted.
    pub bytes: u64,
    /// The rule: `keep 2200d`.
    pub policy: String,
    /// The operator, where one did it; the gate does it by itself otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<Who>,
}

/// A personal value that was erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shredded {
    /// Of which kind it was.
    pub kind: SubjectKind,
    /// Its commitment, as records go on to name it.
    pub commit: Commit,
    /// How many records name it.
    pub records: u64,
    /// Whether records that must be kept still were among them (`--now`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub early: bool,
    /// The operator, where one did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<Who>,
}

/// The key that personal values are sealed by was changed: what was erased cannot be read by the new one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renewed {
    /// The new key's number.
    pub epoch: u64,
    /// How many values were sealed by it, in this write.
    pub subjects: u64,
}

/// A sink, and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sink {
    /// Its name in the configuration.
    pub name: String,
    /// `syslog`, `webhook`, `file`; `checkpoint` for a way that checkpoints leave by.
    pub kind: String,
    /// The next record that it is to be sent.
    pub cursor: u64,
    /// Why, in a word, where it failed: `refused`, `timeout`, `tls`, `status-500`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The operator, where one did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<Who>,
}
