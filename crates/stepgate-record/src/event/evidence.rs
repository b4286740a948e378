//! What is recorded of the log itself: read, exported, sealed, pruned, restored, sent on.

use serde::{Deserialize, Serialize};

use crate::Hash;

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
}
