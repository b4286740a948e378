//! What verification says, in the words that scripts rely on.

use std::fmt;

use super::InForce;
use crate::Hash;

/// Verified, or the first thing that is wrong.
pub type Outcome = Result<Verified, Failure>;

/// All is well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// How many records were checked.
    pub records: u64,
    /// Size of the tree that the checkpoint signs.
    pub tree_size: u64,
    /// Its root.
    pub root: Hash,
    /// What the reader should know besides, one line each.
    pub notes: Vec<String>,
    /// Which map and policy were in force meanwhile, as far as the records here tell it.
    pub policies: Vec<InForce>,
}

/// The first thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Where.
    pub place: Place,
    /// What. Never repeats what a record holds.
    pub why: String,
}

/// Where something is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// First line of an export.
    Header,
    /// The record of this number.
    Record(u64),
    /// A checkpoint.
    Checkpoint,
    /// The files themselves cannot be read.
    Files,
    /// The file of this name in a bundle.
    File(&'static str),
    /// Nowhere: it could not be verified, which says nothing of the log.
    Hindered,
    /// Nowhere: what is here is sound, but says nothing of the checkpoint that was given.
    Uncompared,
}

impl Failure {
    /// At the record of number `seq`.
    pub fn record(seq: u64, why: impl Into<String>) -> Self {
        Self { place: Place::Record(seq), why: why.into() }
    }

    /// At the checkpoint.
    pub fn checkpoint(why: impl Into<String>) -> Self {
        Self { place: Place::Checkpoint, why: why.into() }
    }

    /// At the header.
    pub fn header(why: impl Into<String>) -> Self {
        Self { place: Place::Header, why: why.into() }
    }

    /// At the file of this name in a bundle.
    pub fn file(name: &'static str, why: impl Into<String>) -> Self {
        Self { place: Place::File(name), why: why.into() }
    }

    /// It could not be verified.
    pub fn hindered(why: impl Into<String>) -> Self {
        Self { place: Place::Hindered, why: why.into() }
    }

    /// All is well with what is here, but it cannot be compared with the checkpoint given.
    pub fn uncompared(why: impl Into<String>) -> Self {
        Self { place: Place::Uncompared, why: why.into() }
    }

    /// It ends before the checkpoint given: whoever made it earlier did no wrong, and whoever cut it off did. Which of
    /// the two it was, neither tells.
    pub(crate) fn newer(given: u64, own: u64) -> String {
        format!(
            "the checkpoint given covers {given} records, this export {own}: it was taken after the export was made, or \
             records from {own} on were cut off; export again to tell, and verify that: it must hold {given} or more"
        )
    }

    /// The same, of a checkpoint that is signed by a key that is not here.
    pub(crate) fn later(given: u64, own: u64) -> String {
        format!(
            "{}. It is signed by none of the keys here, by a later one perhaps: `keys.json` before it, in one file, tells",
            Self::newer(given, own)
        )
    }

    /// Whether something is wrong with what was verified; if not, it could not be, or not be compared.
    #[must_use]
    pub fn is_finding(&self) -> bool {
        ![Place::Hindered, Place::Uncompared].contains(&self.place)
    }

    /// At the files.
    pub fn files(why: impl Into<String>) -> Self {
        Self { place: Place::Files, why: why.into() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => f.write_str("header"),
            Self::Record(seq) => write!(f, "record {seq}"),
            Self::Checkpoint => f.write_str("checkpoint"),
            Self::Files => f.write_str("files"),
            Self::File(name) => f.write_str(name),
            Self::Hindered => f.write_str("cannot verify now"),
            Self::Uncompared => f.write_str("not compared"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed = if self.is_finding() { "FAILED: " } else { "" };
        write!(f, "{failed}{}: {}", self.place, self.why)
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { records, tree_size, root, .. } = self;
        write!(f, "ok: {records} records, tree size {tree_size}, root {}", root.to_base64())
    }
}

/// What `audit verify` prints: notes, policies in force, then the one line `ok: …`, `FAILED: …` or `not compared: …`.
#[must_use]
pub fn report(outcome: &Outcome) -> String {
    match outcome {
        Err(failure) => failure.to_string(),
        Ok(verified) => {
            let policies = verified.policies.iter().map(|policy| format!("policy: {policy}"));
            let notes = verified.notes.iter().map(|note| format!("note: {note}"));
            let mut lines: Vec<String> = notes.chain(policies).collect();
            lines.push(verified.to_string());
            lines.join("\n")
        }
    }
}
