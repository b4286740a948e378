//! A database that is not any more what its PII map was written for.

use serde::{Deserialize, Serialize};

/// What has come or gone since the map came into force, and is not in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    /// Name of the database in the gate's configuration.
    pub database: String,
    /// In a word: `new-column` of a table that the map lists, `new-table` in a schema of one, `column-gone` and
    /// `table-gone` that the map lists.
    pub what: String,
    /// Tables, as `schema.relation`, the first 16 of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relations: Vec<String>,
    /// `schema.relation.column`, the first 16 of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// How many there are.
    pub number: u64,
}
