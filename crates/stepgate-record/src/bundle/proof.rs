//! `proof.jsonl`: the whole tree in order, as records that are here and hashes over those that are not. Together they
//! make one proof that all of the records are in the tree that the checkpoint signs, and in which places.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::canonical::canonical;
use crate::{Frontier, Hash};

/// One line of the proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ProofLine {
    /// The next line of `records.jsonl` stands here.
    Record(RecordLine),
    /// The record of the export itself stands here.
    Exported(ExportedLine),
    /// Records that are not here.
    Gap(GapLine),
}

/// See [`ProofLine::Record`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordLine {
    /// Its number.
    pub record: u64,
    /// Its leaf hash (hex): tells which of them was altered, if one was.
    pub hash: String,
}

/// See [`ProofLine::Exported`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportedLine {
    /// Its number.
    pub exported: u64,
    /// Its leaf hash (hex).
    pub hash: String,
}

/// See [`ProofLine::Gap`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GapLine {
    /// The first that is not here, and the one after the last.
    pub gap: (u64, u64),
    /// Hashes (hex) of the complete subtrees over them, from left to right.
    pub hashes: Vec<String>,
}

impl ProofLine {
    /// A record that is here.
    #[must_use]
    pub fn record(seq: u64, hash: &Hash) -> Self {
        Self::Record(RecordLine { record: seq, hash: hash.to_string() })
    }

    /// The record of the export.
    #[must_use]
    pub fn exported(seq: u64, hash: &Hash) -> Self {
        Self::Exported(ExportedLine { exported: seq, hash: hash.to_string() })
    }

    /// Records that are not here, from `begin` on.
    #[must_use]
    pub fn gap(begin: u64, over: &Frontier) -> Self {
        let hashes = over.hashes().iter().map(ToString::to_string).collect();
        Self::Gap(GapLine { gap: (begin, over.end()), hashes })
    }

    /// The line, without its end.
    #[must_use]
    pub fn line(&self) -> Vec<u8> {
        // Numbers of records are below 2^53.
        serde_json::to_value(self).ok().and_then(|value: Value| canonical(&value).ok()).unwrap_or_default()
    }

    /// Reads a line in the one form that it is written in.
    #[must_use]
    pub fn read(line: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Self>(line).ok().filter(|read| read.line() == line)
    }
}

impl GapLine {
    /// What it covers, if its hashes are as many as that takes.
    #[must_use]
    pub fn frontier(&self) -> Option<Frontier> {
        let (begin, end) = self.gap;
        if begin >= end {
            return None;
        }
        let hashes = self.hashes.iter().map(|hash| hash.parse().ok()).collect::<Option<Vec<Hash>>>()?;
        Frontier::from_hashes(begin, end, &hashes)
    }
}
