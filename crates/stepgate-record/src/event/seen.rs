//! Whose data a statement asked for, and whose it showed.

use serde::{Deserialize, Serialize};
use stepgate_types::SessionId;

/// Where a key was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeySource {
    /// In a column of a result.
    Output,
    /// A condition of the statement named it.
    Predicate,
}

/// Keys of a relation that a statement named or showed, as keyed hashes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeenSubjects {
    /// The session.
    pub session: SessionId,
    /// The statement's number in it.
    pub statement: u64,
    /// The relation, as `schema.name`.
    pub relation: String,
    /// Where they were seen.
    pub source: KeySource,
    /// HMAC-SHA-256 of each under a key of the vault for this relation, the first 16 bytes (hex). At most 96; of more
    /// there are more records.
    pub hashes: Vec<String>,
    /// There were others, or some that could not be told.
    pub more: bool,
}
